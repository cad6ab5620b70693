"""What differs between ONNX opsets: since when an operator exists, and how to say it before."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir

from compiler.ir.onnx_builder import OnnxBuilder
from compiler.types.tensor import DType

DEFAULT = 21

IR_VERSIONS = {18: 8, 19: 9, 20: 9, 21: 10, 22: 10, 23: 11, 24: 12, 25: 13, 26: 13}
"""Version of the file format that each opset was published with
(https://github.com/onnx/onnx/blob/main/docs/Versioning.md)."""

DOMAINS = {"ai.onnx.ml": 3}
"""Versions of other sets of operators than the default one: what every opset from 18 on came
with. A set that is not named here has version 1."""

Inputs = Sequence[ir.Value | None]
Attributes = Mapping[str, object]
Override = Callable[[OnnxBuilder, Inputs, Attributes], Any]


class UnavailableOp(Exception):
    """An ONNX operator that the chosen opset does not have yet."""

    def __init__(self, op_type: str, needed: int) -> None:
        super().__init__(f"{op_type} needs opset {needed}")
        self.op_type = op_type
        self.needed = needed


@cache
def find_override(op_type: str, opset: int) -> Override | None:
    """How to write an operator that this opset lacks; None where it has the operator.

    Raises:
        UnavailableOp: the opset lacks it, and it cannot be written otherwise.
    """
    if onnx.defs.has(op_type, opset, ""):
        return None
    if op_type not in OVERRIDES:
        raise UnavailableOp(op_type, first_opset(op_type))
    return OVERRIDES[op_type]


@cache
def first_opset(op_type: str) -> int:
    """The opset that brought an operator of the default domain.

    Raises:
        KeyError: no opset has it.
    """
    for opset in range(1, onnx.defs.onnx_opset_version() + 1):
        if onnx.defs.has(op_type, opset, ""):
            return opset
    raise KeyError(op_type)


@cache
def find_carried(op_type: str, opset: int) -> int | DType | None:
    """What the first result of an operator is made of: the dtype of the operand at this place, or
    one that is always the same; None where neither is known."""
    if not onnx.defs.has(op_type, opset, ""):
        return None
    schema = onnx.defs.get_schema(op_type, opset, "")
    kind = schema.outputs[0].type_str
    for place, operand in enumerate(schema.inputs):
        if operand.type_str == kind and kind in {c.type_param_str for c in schema.type_constraints}:
            return place
    return _ALWAYS.get(kind)


_ALWAYS = {"tensor(bool)": DType.BOOL, "tensor(int64)": DType.I64}


def write_gelu(build: OnnxBuilder, inputs: Inputs, attributes: Attributes) -> Any:
    """Gelu before opset 20: `x * (1 + erf(x / √2)) / 2`, or its approximation by tanh."""
    (x,) = inputs
    number = _numbers(build, x)
    if attributes.get("approximate", "none") == "tanh":
        cube = build.op("Mul", [build.op("Mul", [x, x]), build.op("Mul", [x, number(0.044715)])])
        inner = build.op("Mul", [build.op("Add", [x, cube]), number(math.sqrt(2 / math.pi))])
        bell = build.op("Tanh", [inner])
    else:
        bell = build.op("Erf", [build.op("Div", [x, number(math.sqrt(2))])])
    half = build.op("Mul", [x, number(0.5)])
    return build.op("Mul", [half, build.op("Add", [bell, number(1.0)])])


def write_swish(build: OnnxBuilder, inputs: Inputs, attributes: Attributes) -> Any:
    """Swish before opset 24: `x * sigmoid(alpha * x)`."""
    (x,) = inputs
    alpha = attributes.get("alpha", 1.0)
    assert isinstance(alpha, float), "alpha is an attribute of type float"
    scaled = x if alpha == 1.0 else build.op("Mul", [x, _numbers(build, x)(alpha)])
    return build.op("Mul", [x, build.op("Sigmoid", [scaled])])


def _numbers(build: OnnxBuilder, like: ir.Value | None) -> Callable[[float], Any]:
    """Makes scalar constants of the dtype of a value (f32 where it is not known)."""
    dtype = build.dtype_of(like) or DType.F32

    def number(value: float) -> Any:
        return build.constant(np.array(value, dtype=dtype.numpy), dtype)

    return number


OVERRIDES: Mapping[str, Override] = {"Gelu": write_gelu, "Swish": write_swish}
"""How operators are written for opsets that lack them."""
