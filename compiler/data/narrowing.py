"""Stored numbers that the type of their column does not hold."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from compiler.messages.cells import NumberTooLarge
from compiler.tensor import DType


def find_large_entry(name: str, array: NDArray[Any], dtype: DType) -> NumberTooLarge | None:
    """The first entry of a column that its dtype does not hold."""
    if array.dtype.kind not in "uf" or array.dtype.itemsize < dtype.numpy.itemsize:
        return None
    large = (np.abs(array) > dtype.range[1]) & np.isfinite(array)
    if not large.any():
        return None
    row = int(np.argwhere(large)[0][0])
    number = f"{array[large][0]}"
    return NumberTooLarge(None, name, number, row, str(dtype), text=False)
