"""Writes the biases of integer layers as integers, without which runtimes leave them float.

A layer that reads two dequantized tensors, with scales s_x and s_w, sums products in i32 steps of
s_x · s_w. Its bias is added to that sum, so it is stored as i32 in the same steps.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from backends.onnx_graph.builder import GraphBuilder
from backends.onnx_graph.dtypes import Array
from compiler.tensor import DType

LAYERS = ("Conv", "Gemm")
MOVES = ("Reshape", "Transpose", "Flatten", "Squeeze", "Unsqueeze")
LARGEST = 2**31 - 1


def write_integer_biases(build: GraphBuilder) -> None:
    """Replaces every float bias of an integer layer by an integer one and a DequantizeLinear,
    right before the layer. A bias that would not fit in i32 stays as it is."""
    nodes: list[ir.Node] = []
    for node in build.nodes:
        if node.domain == "" and node.op_type in LAYERS and len(node.inputs) == 3:
            made = _write_bias(build, node)
            if made is not None:
                nodes.append(made)
                node.replace_input_with(2, made.outputs[0])
        nodes.append(node)
    build.nodes[:] = nodes


def _write_bias(build: GraphBuilder, node: ir.Node) -> ir.Node | None:
    given = node.inputs[2]
    bias = build.numbers(given) if given is not None else None
    scales = [_find_scale(build, value) for value in node.inputs[:2]]
    if (
        given is None
        or bias is None
        or bias.dtype != np.float32
        or any(scale is None for scale in scales)
    ):
        return None
    source, weight = (np.asarray(scale, np.float32) for scale in scales)
    if source.ndim:
        return None
    scale = source * weight
    levels = np.round(bias.astype(np.float64) / scale)
    if np.abs(levels).max(initial=0) > LARGEST:
        return None
    whole = build.constant(levels.astype(np.int32), DType.I32, like=given)
    inputs = [whole, build.constant(scale), build.constant(np.zeros(scale.shape, np.int32))]
    attributes = {"axis": 0} if scale.ndim else {}
    value = build.add_plain("DequantizeLinear", inputs, attributes, f"{node.name}/bias")
    made = value.producer()
    assert made is not None, "a node was made"
    made.metadata_props.update(node.metadata_props)
    build.nodes.remove(made)
    return made


def _find_scale(build: GraphBuilder, value: ir.Value | None) -> Array | None:
    """The scale of a dequantized tensor, also behind nodes that only move its numbers."""
    maker = value.producer() if value is not None else None
    while maker is not None and maker.op_type in MOVES and maker.inputs[0] is not None:
        maker = maker.inputs[0].producer()
    if maker is None or maker.op_type != "DequantizeLinear" or maker.inputs[1] is None:
        return None
    return build.numbers(maker.inputs[1])
