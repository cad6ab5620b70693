"""Operators of which ONNX Runtime has no kernel for a dtype: how they are written instead.

Where others say exactly the same, they stand in `DOUBLE` with what writes them. Those that have an
attribute of type float are there too: ONNX holds it in f32, which rounds the 0.1 of a spec.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from backends.onnx_graph.opsets import Attributes, Inputs, Override, write_gelu, write_swish
from compiler.ir.onnx_builder import OnnxBuilder
from compiler.types.tensor import DType


class MissingKernel(Exception):
    """An ONNX operator that ONNX Runtime does not compute in a dtype."""

    def __init__(self, op_type: str, dtype: DType) -> None:
        super().__init__(f"{op_type} has no kernel for {dtype}")
        self.op_type = op_type
        self.dtype = dtype


class OldKernel(Exception):
    """An ONNX operator that ONNX Runtime computes as older opsets have it, and no newer ones."""

    def __init__(self, op_type: str, newest: int) -> None:
        super().__init__(f"{op_type} has no kernel since opset {newest + 1}")
        self.op_type = op_type
        self.newest = newest


def find_kernel(op_type: str, dtype: DType | None, opset: int) -> Override | None:
    """How to write an operator of which there is no kernel for this dtype; None where there is one.

    Raises:
        MissingKernel: there is none, and it cannot be written otherwise.
        OldKernel: there is none for this opset.
    """
    if opset > NEWEST.get(op_type, opset):
        raise OldKernel(op_type, NEWEST[op_type])
    if dtype in (DType.F16, DType.F64) and op_type in ONLY_SINGLE:
        raise MissingKernel(op_type, dtype)
    if dtype is not DType.F64:
        return None
    if op_type in NO_DOUBLE:
        raise MissingKernel(op_type, dtype)
    return DOUBLE.get(op_type)


def _double(build: OnnxBuilder, value: float) -> Any:
    return build.constant(np.array(value, np.float64))


def _expm1(build: OnnxBuilder, x: Any) -> Any:
    """exp(x) - 1 where x is below 0, and 0 elsewhere, where exp may overflow."""
    below = build.op("Min", [x, _double(build, 0.0)])
    return build.op("Sub", [build.op("Exp", [below]), _double(build, 1.0)])


def _write_elu(build: OnnxBuilder, inputs: Inputs, attributes: Attributes) -> Any:
    (x,) = inputs
    bent = build.op("Mul", [_expm1(build, x), _double(build, _read(attributes, "alpha", 1.0))])
    return build.op("Where", [_above(build, x), x, bent])


def _write_selu(build: OnnxBuilder, inputs: Inputs, attributes: Attributes) -> Any:
    bent = _write_elu(build, inputs, {"alpha": 1.6732632423543772})
    return build.op("Mul", [bent, _double(build, 1.0507009873554805)])


def _write_leaky(build: OnnxBuilder, inputs: Inputs, attributes: Attributes) -> Any:
    slope = _double(build, _read(attributes, "alpha", 0.01))
    return _write_prelu(build, [inputs[0], slope], {})


def _write_prelu(build: OnnxBuilder, inputs: Inputs, attributes: Attributes) -> Any:
    x, slope = inputs
    return build.op("Where", [_above(build, x), x, build.op("Mul", [x, slope])])


def _write_hard_sigmoid(build: OnnxBuilder, inputs: Inputs, attributes: Attributes) -> Any:
    (x,) = inputs
    scaled = build.op("Mul", [x, _double(build, _read(attributes, "alpha", 0.2))])
    moved = build.op("Add", [scaled, _double(build, _read(attributes, "beta", 0.5))])
    return build.op("Clip", [moved, _double(build, 0.0), _double(build, 1.0)])


def _write_hard_swish(build: OnnxBuilder, inputs: Inputs, attributes: Attributes) -> Any:
    gate = _write_hard_sigmoid(build, inputs, {"alpha": 1 / 6, "beta": 0.5})
    return build.op("Mul", [inputs[0], gate])


def _write_clip(build: OnnxBuilder, inputs: Inputs, attributes: Attributes) -> Any:
    """A Clip of f64 behind a Relu is refused (runtime_faults: relu_before_clip)."""
    x, *bounds = inputs
    for op_type, bound in zip(("Max", "Min"), bounds, strict=False):
        x = x if bound is None else build.op(op_type, [x, bound])
    return x


def _write_softplus(build: OnnxBuilder, inputs: Inputs, attributes: Attributes) -> Any:
    """max(x, 0) + log(1 + exp(-|x|)), which overflows nowhere."""
    (x,) = inputs
    far = build.op("Exp", [build.op("Neg", [build.op("Abs", [x])])])
    bend = build.op("Log", [build.op("Add", [far, _double(build, 1.0)])])
    return build.op("Add", [build.op("Max", [x, _double(build, 0.0)]), bend])


def _write_mish(build: OnnxBuilder, inputs: Inputs, attributes: Attributes) -> Any:
    return build.op("Mul", [inputs[0], build.op("Tanh", [_write_softplus(build, inputs, {})])])


def _write_softsign(build: OnnxBuilder, inputs: Inputs, attributes: Attributes) -> Any:
    (x,) = inputs
    below = build.op("Add", [build.op("Abs", [x]), _double(build, 1.0)])
    return build.op("Div", [x, below])


def _above(build: OnnxBuilder, x: Any) -> Any:
    return build.op("Greater", [x, _double(build, 0.0)])


def _read(attributes: Attributes, name: str, default: float) -> float:
    value = attributes.get(name, default)
    assert isinstance(value, float), f"{name} is an attribute of type float"
    return value


NEWEST: Mapping[str, int] = {
    "Multinomial": 21,
    "RandomNormal": 21,
    "RandomNormalLike": 21,
    "RandomUniform": 21,
    "RandomUniformLike": 21,
}
"""The newest opset for which ONNX Runtime 1.31 has a kernel: opset 22 has brought these operators
for bf16."""

DOUBLE: Mapping[str, Override] = {
    "Clip": _write_clip,
    "Elu": _write_elu,
    "Gelu": write_gelu,
    "HardSigmoid": _write_hard_sigmoid,
    "HardSwish": _write_hard_swish,
    "LeakyRelu": _write_leaky,
    "Mish": _write_mish,
    "PRelu": _write_prelu,
    "Selu": _write_selu,
    "Softplus": _write_softplus,
    "Softsign": _write_softsign,
    "Swish": write_swish,
}
"""How operators are written for f64."""

NO_DOUBLE = frozenset(
    {
        "AveragePool",
        "Col2Im",
        "Conv",
        "ConvTranspose",
        "Det",
        "Erf",
        "GridSample",
        "QuantizeLinear",
        "Resize",
    }
)
"""Operators that cannot be written for f64 with others."""

ONLY_SINGLE = frozenset({"DynamicQuantizeLinear", "GRU", "LSTM", "MatMulNBits", "RNN"})
"""Operators of rounded and of recurrent layers, which compute in f32 alone."""
