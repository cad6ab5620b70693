"""Literals of the generated loading code."""

from __future__ import annotations

from compiler.tensor import DType


def quote(text: str) -> str:
    """A string literal of Python in double quotes."""
    escaped = (
        text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\t", "\\t")
    )
    return f'"{escaped}"'


def write_path(path: str) -> str:
    """The expression of a path relative to the folder of the data."""
    return f"folder / {quote(path)}"


def write_dtype(dtype: DType) -> str:
    """A dtype of NumPy: `np.float32`, `bool`."""
    name = dtype.numpy.name
    return name if name == "bool" else f"np.{name}"
