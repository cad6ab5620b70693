"""Values of Python as a spec has them: parameters as text, columns and weights as arrays."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from compiler.report.diagnostics import CompileError
from compiler.report.messages.data import array_refused, no_columns

Array = NDArray[Any]
Columns = Mapping[str, Mapping[str, ArrayLike]]
"""Arrays in place of the sources of data items: `{"digits": {"image": …, "label": …}}`."""


def as_text(overrides: Mapping[str, object] | None) -> dict[str, str]:
    """Values as they are written in a spec."""
    return {name: _write(value) for name, value in (overrides or {}).items()}


def as_arrays(data: Columns | None) -> dict[str, dict[str, Array]]:
    """Columns as arrays of NumPy: lists, tensors on the CPU and columns of data frames become
    such.

    Raises:
        CompileError: it is no columns by item, or a column is no array.
    """
    if data is not None and not isinstance(data, Mapping):
        raise CompileError([no_columns(None, type(data).__name__)])
    made: dict[str, dict[str, Array]] = {}
    for item, columns in (data or {}).items():
        if not hasattr(columns, "items") or isinstance(columns, type):
            raise CompileError([no_columns(None, type(columns).__name__, str(item))])
        made[str(item)] = {str(n): _as_column(str(n), column) for n, column in columns.items()}
    return made


def _as_column(name: str, column: Any) -> Array:
    """One column; masked entries are missing.

    Raises:
        CompileError: it is no array.
    """
    try:
        array = np.asanyarray(column) if isinstance(column, np.ma.MaskedArray) else as_array(column)
    except (ValueError, TypeError) as error:
        advice = "rows of one column have one shape"
        raise CompileError([array_refused(None, name, _describe_rows(column), advice)]) from error
    if not np.ma.is_masked(array):
        return np.asarray(array)
    if array.dtype.kind in "iuf":
        kind = array.dtype if array.dtype.kind == "f" else np.dtype(np.float64)
        return np.asarray(np.ma.filled(array.astype(kind), np.nan))
    if array.dtype.kind == "M":
        return np.asarray(np.ma.filled(array, np.datetime64("NaT")))
    cells = np.ma.getdata(array).astype(object)
    cells[np.ma.getmaskarray(array)] = None
    return np.asarray(cells)


def _describe_rows(column: Any) -> str:
    """Why rows do not make an array: the first whose shape is another than that of the first."""
    first: tuple[int, ...] | None = None
    for number, row in enumerate(column if isinstance(column, Iterable) else ()):
        try:
            shape = np.shape(row)
        except (ValueError, TypeError):
            return f"row {number:,} is not an array: its parts have different shapes"
        first = shape if first is None else first
        if shape != first:
            return f"row {number:,} has the shape {list(shape)}, and row 0 has {list(first)}"
    return f"a value of type `{type(column).__name__}` is not an array"


def as_weights(given: Mapping[str, Any]) -> dict[str, Array]:
    """Weights as arrays; what makes none is one of objects, which is the weight of nothing."""
    made = {}
    for path, value in given.items():
        try:
            made[path] = as_array(value)
        except (ValueError, TypeError):
            made[path] = np.asarray(value, dtype=object)
    return made


def as_array(value: Any) -> Array:
    """A tensor of PyTorch or what NumPy takes for an array, as one."""
    if hasattr(value, "detach"):
        value = value.detach().cpu()
        if str(value.dtype) == "torch.bfloat16":  # NumPy has none
            value = value.float()
        value = value.numpy()
    return np.asarray(value)


def _write(value: object) -> str:
    match value:
        case None:
            return "none"
        case bool():
            return "true" if value else "false"
        case list() | tuple():
            return f"[{', '.join(_write(item) for item in value)}]"
        case Path():
            return value.as_posix()
    return str(value)
