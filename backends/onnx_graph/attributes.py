"""Attributes of ONNX nodes from plain Python values."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from backends.onnx_graph.dtypes import onnx_dtype
from compiler.types.dims import Dim
from compiler.types.tensor import DType


class FixedDimension(Exception):
    """A symbolic dimension where ONNX wants a number: writing it would break the promise that
    the dimension stays free."""

    def __init__(self, dim: Dim) -> None:
        super().__init__(f"{dim} would become a fixed number")
        self.dim = dim


def make_attribute(name: str, value: object) -> ir.Attr:
    """The attribute of a node; a sequence is a list of ints, floats or strings.

    Raises:
        FixedDimension: the value is, or holds, a dimension that is not known.
        TypeError: ONNX has no attribute for such a value.
    """
    match value:
        case ir.Graph():
            return ir.AttrGraph(name, value)
        case np.ndarray():
            return ir.AttrTensor(name, ir.tensor(value))
        case DType():
            return ir.AttrInt64(name, int(onnx_dtype(value)))
        case bool() | int() | np.integer() | Dim():
            return ir.AttrInt64(name, known_size(value))
        case float() | np.floating():
            return ir.AttrFloat32(name, float(value))
        case str():
            return ir.AttrString(name, value)
        case Sequence():
            return _make_list(name, value)
    raise TypeError(f"{name}: {value!r} is no attribute of ONNX")


def known_size(value: int | np.integer | Dim) -> int:
    """The number; raises `FixedDimension` for a dim that is not known."""
    if not isinstance(value, Dim):
        return int(value)
    if value.known is None:
        raise FixedDimension(value)
    return value.known


def _make_list(name: str, values: Sequence[object]) -> ir.Attr:
    if values and all(isinstance(v, str) for v in values):
        return ir.AttrStrings(name, [str(v) for v in values])
    if any(isinstance(v, float) for v in values):
        return ir.AttrFloat32s(name, [float(v) for v in values])  # type: ignore[arg-type]
    return ir.AttrInt64s(name, [known_size(v) for v in values])  # type: ignore[arg-type]
