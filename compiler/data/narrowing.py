"""Stored numbers that the type of their column does not hold, or whose differences it loses."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from compiler.report.diagnostics import Message
from compiler.report.messages.cells import number_too_large
from compiler.types.tensor import DType

SHARE = 1e-3
"""Rounding by more than this share of the standard deviation loses what a column tells; so does
one that leaves less than half of the different numbers."""
FEW = 4
"""As many different numbers may be a flag with some noise."""
MOST_ENTRIES = 2**24
"""Larger arrays are not looked through for what f32 loses: they are images, not measurements."""


def find_large_entry(name: str, array: NDArray[Any], dtype: DType) -> Message | None:
    """The first entry of a column that its dtype does not hold."""
    if array.dtype.kind not in "uf" or array.dtype.itemsize < dtype.numpy.itemsize:
        return None
    large = (np.abs(array) > dtype.range[1]) & np.isfinite(array)
    if not large.any():
        return None
    row = int(np.argwhere(large)[0][0])
    number = f"{array[large][0]}"
    return number_too_large(None, name, number, row, str(dtype), text=False)


def choose_float(array: NDArray[Any]) -> DType:
    """The floating-point dtype of a column, of numbers as they are stored: f32, and f64 where f32
    would lose their differences."""
    wide = array.dtype.kind == "f" and array.dtype.itemsize > 4
    if not wide or array.size > MOST_ENTRIES:
        return DType.F32
    return DType.F32 if find_lost(array, np.float32) is None else DType.F64


def find_lost(array: NDArray[Any], dtype: type[np.floating[Any]]) -> NDArray[Any] | None:
    """The first entry of rows `[rows, …]` whose numbers lose their differences in a dtype; None
    where none does. Numbers that are missing, infinite or too large for it are passed over."""
    if not array.size:
        return None
    for numbers in array.reshape(len(array), -1).T:
        with np.errstate(over="ignore"):
            rounded = numbers.astype(dtype)
        held = np.isfinite(rounded)
        kept, rounded = numbers[held], rounded[held]
        if kept.size < 2 or (kept == kept[0]).all():
            continue
        # Of whole numbers beyond 2**53 neither the error nor the deviation is exact in f64.
        exact = kept - kept[0] if kept.dtype.kind == "i" else kept.astype(np.float64)
        errors = np.abs(rounded.astype(np.longdouble) - kept.astype(np.longdouble)).max()
        if errors > SHARE * exact.std(dtype=np.float64) or _collapse(kept, rounded):
            return kept
    return None


def _collapse(numbers: NDArray[Any], rounded: NDArray[Any]) -> bool:
    """Whether most of some different numbers are rounded to ones that others are rounded to: beside
    a far one, such as the 0 that stands for what is missing, their deviation does not tell."""
    different = np.unique(numbers).size
    return different > FEW and 2 * np.unique(rounded).size < different
