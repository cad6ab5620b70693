"""One op as an ONNX model of its own: what the laws of ops compare with their meaning."""

from __future__ import annotations

from collections.abc import Sequence

import onnx

from backends.onnx_graph.dtypes import Array
from backends.onnx_graph.lower import lower_graph
from backends.onnx_graph.metadata import OnnxOptions
from backends.onnx_graph.opsets import DEFAULT
from compiler.ir.builder import Builder
from compiler.ir.frame import Frame, Site
from compiler.ir.graph import Op, Value
from compiler.ir.operands import Types
from compiler.vocabulary.initializers.given import Zeros


def lower_op(
    op: Op, types: Types, arrays: Sequence[Array | None] = (), opset: int = DEFAULT
) -> onnx.ModelProto:
    """A model of one op. Input k of the op is the graph's input `x{k}`, or an initializer
    `w{k}` where `arrays[k]` is given; its outputs are `y0`, `y1` …

    Args:
        op: what to lower.
        types: types of the op's inputs, operands then weights; None where one is left out.
        arrays: numbers of inputs that are weights.
        opset: version of the default operator set.

    Raises:
        CompileError: this opset cannot say what the op means.
        Fault: the types do not fit the op.
    """
    frame = Frame(block=op.name, path="", call=0)
    build = Builder(op.name, frame)
    weights: dict[str, Array] = {}
    inputs: list[Value | None] = []
    for k, given in enumerate(types):
        array = arrays[k] if k < len(arrays) else None
        if given is None:
            inputs.append(None)
        elif array is None:
            inputs.append(build.input(f"x{k}", given))
        else:
            weights[f"w{k}"] = array
            inputs.append(build.parameter(f"w{k}", given, Zeros()))
    for k, value in enumerate(build.apply(op, inputs, frame, Site())):
        build.output(f"y{k}", value)
    return lower_graph(build.graph(), weights, opset=opset, options=OnnxOptions()).whole()
