"""Holds data sources to their schemas, and their generated code to their arrays."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from compiler.data.base import Column, DataSource
from compiler.report.diagnostics import Fault
from compiler.report.source import Source, Span
from compiler.rows.loading import SourcePlace

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"
"""Real data beside the project; tests that need it skip, saying so, where it is absent."""


@contextmanager
def refused(reason: str) -> Iterator[None]:
    """A source is refused for a reason that holds these words."""
    with pytest.raises(Fault) as caught:
        yield
    span = Span(Source("s.weft", ""), 0, 0)
    assert reason in caught.value.make(SourcePlace(span)).text.label


def load_generated(
    source: DataSource, folder: Path, columns: Sequence[Column]
) -> dict[str, np.ndarray[Any, Any]]:
    """The arrays that generated code loads."""
    return open_generated(source, folder, columns)()


def open_generated(
    source: DataSource, folder: Path, columns: Sequence[Column]
) -> Callable[[], dict[str, np.ndarray[Any, Any]]]:
    """The generated code that loads columns, as a function."""
    code = source.code(columns)
    returned = ", ".join(f"{name!r}: {text}" for name, text in code.columns.items())
    made = [f"{'    ' * bool(code.opened)}return {{{returned}}}"]
    body = "\n    ".join([*code.lines, *filter(None, [code.opened]), *made])
    text = "\n".join(
        [
            "from pathlib import Path",
            "import numpy as np",
            *source.imports(),
            f"def load_columns(folder):\n    {body}",
        ]
    )
    names: dict[str, Any] = {"__file__": str(folder / "train.py")}
    exec(text, names)
    return lambda: names["load_columns"](folder)


def check_source(source: DataSource, folder: Path) -> dict[str, np.ndarray[Any, Any]]:
    """Holds a source to its schema and its generated code to its arrays."""
    described = source.schema(folder)
    schema = [c for c in described if c.trouble is None]  # no script reads the others
    arrays = dict(source.load(folder))
    assert [c.name for c in schema] == list(dict.fromkeys(c.name for c in schema))
    assert set(arrays) == {c.name for c in described}
    rows = len(arrays[schema[0].name])
    for column in schema:
        array = arrays[column.name]
        assert array.dtype == column.type.dtype.numpy, column.name
        assert array.shape == (rows, *(column.type.known_shape or ())), column.name
        assert not column.missing or np.isnan(array).any()
        if column.categories and column.type.dtype.is_integer:
            assert array.min() >= 0
            assert array.max() < len(column.categories)
    given = source.given_splits(folder)
    assert given is None or sum(given.values()) == rows
    generated = load_generated(source, folder, schema)
    assert list(generated) == [c.name for c in schema]
    for name, array in generated.items():
        assert array.dtype == arrays[name].dtype, name
        np.testing.assert_array_equal(array, arrays[name], err_msg=name)
    single = load_generated(source, folder, schema[:1])
    assert list(single) == [schema[0].name]
    for path in source.files(folder):
        assert path.is_file()
    return arrays
