"""Casts of arrays to the dtypes of a model's inputs, where no value is lost."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from compiler.report.diagnostics import CompileError
from compiler.report.messages.deployed_rows import not_words
from compiler.report.messages.files import lossy_cast, not_numbers
from compiler.types.tensor import DType

Array = NDArray[Any]

NUMBERS = "biuf"
"""NumPy's letters of booleans, whole numbers (two of them) and floating-point numbers."""


TEXTS = "OU"
"""NumPy's letters of text."""


def cast_exactly(name: str, array: Array, kind: np.dtype[Any]) -> Array:
    """An array in the dtype of an input. Floating-point numbers may be rounded to fewer bits.

    Args:
        name: of the input.
        array: what is given.
        kind: the dtype of the input.

    Raises:
        CompileError: the array holds no numbers, or one that the input's dtype does not hold.
    """
    if array.dtype == kind:
        return array
    dtype = DType.of_numpy(kind)
    assert dtype is not None, "inputs have the dtypes of Weft"
    if array.dtype.kind not in NUMBERS:
        raise CompileError([not_numbers(None, name, dtype, str(array.dtype))])
    with np.errstate(all="ignore"):
        cast = array.astype(kind)
        held = np.asarray(_find_held(array, cast))
    if held.all():
        return cast
    index = tuple(int(at) for at in np.argwhere(~held)[0])
    value = str(array[index].item())
    raise CompileError([lossy_cast(None, name, dtype, name_dtype(array.dtype), value, index)])


def cast_text(name: str, array: Array) -> Array:
    """An array as an input of words takes it.

    Raises:
        CompileError: the array holds no text.
    """
    if array.dtype.kind not in TEXTS or not all(isinstance(word, str) for word in array.flat):
        raise CompileError([not_words(None, name, name_dtype(array.dtype))])
    return array.astype(object)


def name_dtype(dtype: np.dtype[Any]) -> str:
    """What Weft calls the dtype of an array; NumPy's name where Weft has it not."""
    return str(DType.of_numpy(dtype) or dtype)


def _find_held(array: Array, cast: Array) -> Array:
    """Where a cast has kept the value."""
    if array.dtype.kind == "f" and cast.dtype.kind == "f":
        held: Array = np.isfinite(cast) | ~np.isfinite(array)
    elif array.dtype.kind == "f":
        held = _are_equal(array, cast)
    elif cast.dtype.kind == "f":
        held = _are_equal(cast, array)
    else:  # NumPy compares whole numbers of any two dtypes by their values
        held = array == cast
    return held


def _are_equal(floats: Array, whole: Array) -> Array:
    """Where floating-point numbers are the whole numbers beside them. The cast of one beyond the
    range of whole numbers gives whatever the processor gives, so these are left out first."""
    low, high = (0, 1) if whole.dtype == np.bool_ else _read_range(whole.dtype)
    # `high` itself may be no floating-point number: the power of 2 above it is one.
    inside = np.isfinite(floats) & (floats >= float(low)) & (floats < float(high + 1))
    there, back = whole.astype(floats.dtype), floats.astype(whole.dtype)
    equal: Array = inside & (there == floats) & (back == whole)
    return equal


def _read_range(dtype: np.dtype[Any]) -> tuple[int, int]:
    info = np.iinfo(dtype)
    return int(info.min), int(info.max)
