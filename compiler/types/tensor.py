"""Dtypes and tensor types: what a value is, as far as it is known when compiling."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from enum import Enum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compiler.records import dataclass
from compiler.types.dims import Dim, product


class DType(Enum):
    """Element types, named as in the language; the value is the name."""

    F64 = "f64"
    F32 = "f32"
    F16 = "f16"
    BF16 = "bf16"
    I64 = "i64"
    I32 = "i32"
    I16 = "i16"
    I8 = "i8"
    U8 = "u8"
    BOOL = "bool"

    def __str__(self) -> str:
        return self.value

    @property
    def is_float(self) -> bool:
        """Whether it holds fractions."""
        return self in (DType.F64, DType.F32, DType.F16, DType.BF16)

    @property
    def is_integer(self) -> bool:
        """Whether it holds whole numbers (bool is none)."""
        return not self.is_float and self is not DType.BOOL

    @property
    def range(self) -> tuple[float, float]:
        """The least and the greatest finite number."""
        if self is DType.BOOL:
            return 0, 1
        if self.is_float:
            largest = float(np.finfo(self.numpy).max)
            return -largest, largest
        whole = np.iinfo(self.numpy)
        return int(whole.min), int(whole.max)

    def holds(self, value: float) -> bool:
        """Whether a number lies in its range; floating-point numbers may be infinite or NaN."""
        if self is DType.BOOL or (isinstance(value, float) and not math.isfinite(value)):
            return True
        low, high = self.range
        return low <= value <= high

    @property
    def bytes(self) -> int:
        """Size of one element in bytes."""
        return {"64": 8, "32": 4, "16": 2}.get(self.value[-2:], 1)

    @property
    def numpy(self) -> np.dtype[Any]:
        """The NumPy dtype of its meaning; bf16 is computed as float32, which contains it."""
        return np.dtype(_NUMPY[self])

    def round(self, array: NDArray[Any]) -> NDArray[Any]:
        """Numbers as it holds them, in the array that stands for it."""
        held = np.asarray(array, self.numpy)
        return _round_to_bfloat(held) if self is DType.BF16 else held

    @staticmethod
    def of_numpy(dtype: np.dtype[Any]) -> DType | None:
        """The dtype of a NumPy array, if Weft has it."""
        return next(
            (d for d, n in _NUMPY.items() if np.dtype(n) == dtype and d is not DType.BF16), None
        )


_NUMPY = {
    DType.F64: "float64",
    DType.F32: "float32",
    DType.F16: "float16",
    DType.BF16: "float32",
    DType.I64: "int64",
    DType.I32: "int32",
    DType.I16: "int16",
    DType.I8: "int8",
    DType.U8: "uint8",
    DType.BOOL: "bool",
}


def _round_to_bfloat(array: NDArray[Any]) -> NDArray[Any]:
    """Numbers of bf16 as f32: the upper 16 bits, halves to even."""
    bits = np.ascontiguousarray(array).view(np.uint32).reshape(array.shape)
    odd = (bits >> 16) & 1
    rounded = ((bits + 0x7FFF + odd) & 0xFFFF0000).astype(np.uint32).view(np.float32)
    return np.where(np.isfinite(array), rounded, array)


def shorten_integer(value: float) -> float:
    """A number as a fraction where it is whole and beyond 64 bits: runtimes take none."""
    return value if DType.I64.holds(value) else float(value)


MAX_RANK = 64
"""Axes of a tensor, as NumPy and PyTorch have it."""


@dataclass(frozen=True)
class TensorType:
    """`f32[batch, 3, h, w]`: element type and shape."""

    dtype: DType
    shape: tuple[Dim, ...]

    @staticmethod
    def of(dtype: DType | str, shape: Iterable[int | str | Dim]) -> TensorType:
        """A type from a dtype (or its name) and ints, symbol names or dims."""
        return TensorType(DType(dtype), tuple(Dim.of(d) for d in shape))

    @property
    def rank(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def size(self) -> Dim:
        """Number of elements."""
        return product(self.shape)

    @property
    def known_shape(self) -> tuple[int, ...] | None:
        """The shape as ints, if every dim is known."""
        sizes = [d.known for d in self.shape]
        return None if None in sizes else tuple(s for s in sizes if s is not None)

    def substitute(self, sizes: Mapping[str, int | Dim]) -> TensorType:
        """The type with symbols replaced."""
        return TensorType(self.dtype, tuple(d.substitute(sizes) for d in self.shape))

    def __str__(self) -> str:
        return f"{self.dtype}[{', '.join(map(str, self.shape))}]"


def promote(left: DType, right: DType) -> DType:
    """The dtype of arithmetic between two tensors, as PyTorch promotes.

    Source: PyTorch's type promotion for tensors of at least one axis
    (https://docs.pytorch.org/docs/stable/tensor_attributes.html).
    """
    if left is right:
        return left
    if left.is_float != right.is_float:
        return left if left.is_float else right
    if left.is_float:
        if {left, right} == {DType.F16, DType.BF16}:
            return DType.F32
        return max(left, right, key=lambda d: d.bytes)
    if DType.BOOL in (left, right):
        return right if left is DType.BOOL else left
    if DType.U8 in (left, right):
        other = right if left is DType.U8 else left
        return DType.I16 if other is DType.I8 else other
    return max(left, right, key=lambda d: d.bytes)
