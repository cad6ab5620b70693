"""Two sources as one: rows of one below those of the other, or beside them."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, NoReturn, final

import numpy as np
from numpy.typing import NDArray

from compiler.data.base import SOURCES, Column, DataSource, LoadingCode
from compiler.data.files import refuse_column, refuse_setting
from compiler.records import dataclass
from compiler.report.diagnostics import Fault
from compiler.report.messages.paired_sources import (
    columns_differ,
    key_not_found,
    key_not_unique,
    sources_overlap,
)
from compiler.types.tensor import DType, TensorType
from compiler.writing.python import write_dtype, write_string

Array = NDArray[Any]
NUMBERS = (DType.I64, DType.F32, DType.F64)
SIDES = ("first", "second")


class TwoSources(DataSource):
    """Base of sources that are made of two others."""

    first: DataSource
    second: DataSource

    @property
    def both(self) -> tuple[DataSource, DataSource]:
        """The two."""
        return self.first, self.second

    def files(self, folder: Path) -> Sequence[Path]:
        return [path for source in self.both for path in source.files(folder)]

    def fingerprint(self, folder: Path) -> str:
        return " ".join(source.fingerprint(folder) for source in self.both).strip()

    def overlap(self) -> int:
        return max(source.overlap() for source in self.both)

    def attributes(self, folder: Path) -> Mapping[str, int]:
        counted = {fact: name for source in self.both for fact, name in source.counted.items()}
        categories = {column.name: len(column.categories) for column in self.schema(folder)}
        found = {f: n for source in self.both for f, n in source.attributes(folder).items()}
        return {fact: categories.get(counted.get(fact, ""), n) for fact, n in found.items()}

    def reading_words(self, columns: Sequence[str]) -> DataSource:
        first, second = (source.reading_words(columns) for source in self.both)
        return replace(self, first=first, second=second)  # type: ignore[type-var]  # as its subclasses

    def describe_reading(self) -> Mapping[str, object]:
        return {**self.second.describe_reading(), **self.first.describe_reading()}

    def beside(self, folder: Path) -> Mapping[str, str]:
        return {n: text for source in self.both for n, text in source.beside(folder).items()}

    def imports(self) -> Sequence[str]:
        return list(dict.fromkeys(line for source in self.both for line in source.imports()))

    @abstractmethod
    def find_needed(self, columns: Sequence[Column], place: int) -> list[Column]:
        """The columns of one source that some columns are made of."""

    @abstractmethod
    def combine(self, columns: Sequence[Column]) -> tuple[list[str], dict[str, str]]:
        """Statements and the expression of each column, of `first` and `second`: columns by
        name."""

    def code(self, columns: Sequence[Column]) -> LoadingCode:
        lines: list[str] = []
        for place, (name, source) in enumerate(zip(SIDES, self.both, strict=True)):
            code = source.code(self.find_needed(columns, place))
            pairs = ", ".join(f"{write_string(n)}: {text}" for n, text in code.columns.items())
            body = [*code.lines, *([code.opened] if code.opened else [])]
            body.append(f"{'    ' * bool(code.opened)}return {{{pairs}}}")
            lines += [
                f"def load_{name}() -> dict[str, np.ndarray]:",
                f'    """The columns of the {name} source."""',
                *([""] if body[0].startswith("def ") else []),
                *(f"    {line}".rstrip() for text in body for line in text.split("\n")),
                "",
            ]
        more, found = self.combine(columns)
        return LoadingCode([*lines, "first, second = load_first(), load_second()", *more], found)


@SOURCES.register
@final
@dataclass(frozen=True)
class Concat(TwoSources):
    """The rows of two sources, those of the first above those of the second.

    Both have the same columns, in any order. Categories are those of both, in sorted order; a
    column that is whole numbers in one and has a fraction or gaps in the other is f32. The splits
    that a source itself defines are not kept.

    - `first`: a source, written as after `source`: `csv("houses.csv")`, or one of two others.
    - `second`: the other.

    Example:

        source concat(csv("houses.csv"), parquet("houses.parquet"))
        inputs = stack([area, rooms]) -> standardize

    Source: https://pandas.pydata.org/docs/reference/api/pandas.concat.html
    """

    name: ClassVar[str] = "concat"
    first: DataSource
    second: DataSource

    def schema(self, folder: Path) -> tuple[Column, ...]:
        first, second = (source.schema(folder) for source in self.both)
        others = {column.name: column for column in second}
        for name in sorted({c.name for c in first} ^ others.keys()):
            lacking = "first" if name in others else "second"
            _refuse(name, f"the {lacking} source has no such column")
        return tuple(_merge(column, others[column.name]) for column in first)

    def load(self, folder: Path) -> Mapping[str, Array]:
        arrays = [source.load(folder) for source in self.both]
        return {
            column.name: np.concatenate(
                [
                    _recode(array[column.name], column, own)
                    for array, own in zip(arrays, column.own, strict=True)
                    if own is not None
                ]
            )
            for column in self.schema(folder)
        }

    def combine(self, columns: Sequence[Column]) -> tuple[list[str], dict[str, str]]:
        found = {}
        for column in columns:
            texts = [
                _write_recoding(side, column, own)
                for side, own in zip(SIDES, column.own, strict=True)
                if own is not None
            ]
            found[column.name] = f"np.concatenate([{', '.join(texts)}])"
        return [], found

    def find_needed(self, columns: Sequence[Column], place: int) -> list[Column]:
        return [own for column in columns if (own := column.own[place]) is not None]


@SOURCES.register
@final
@dataclass(frozen=True)
class Join(TwoSources):
    """The rows of a source, each with the columns of that row of another which has the same key.

    The key is a column of whole numbers, dates or categories, or several. No two rows of the second
    source have one key. The order is that of the first source. Other columns have different names.
    The splits that a source itself defines are not kept.

    - `first`: a source, written as after `source`: `csv("houses.csv")`, or one of two others.
    - `second`: the other.
    - `on`: the columns that both have and that tell which row belongs to which: `"id"`,
      `["shop", "day"]`.
    - `unmatched`: what becomes of rows of the first source whose key the second lacks: `"refuse"`
      them, or `"leave_out"`.

    Example:

        source join(csv("houses.csv"), csv("prices.csv"), on="rooms")
        inputs = stack([area, price]) -> standardize

    Source: https://pandas.pydata.org/docs/reference/api/pandas.merge.html
    """

    name: ClassVar[str] = "join"
    first: DataSource
    second: DataSource
    on: str | tuple[str, ...]
    unmatched: str = "refuse"

    def check(self) -> None:
        if self.unmatched not in ("refuse", "leave_out"):
            shown = f'"{self.unmatched}"'
            refuse_setting(self.name, "unmatched", shown, '"refuse" or "leave_out"')
        if not self.keys or len(set(self.keys)) < len(self.keys):
            refuse_setting(
                self.name, "on", list(self.keys), "one column, or several different ones"
            )

    @property
    def keys(self) -> tuple[str, ...]:
        """The columns of the key."""
        return (self.on,) if isinstance(self.on, str) else self.on

    def schema(self, folder: Path) -> tuple[Column, ...]:
        first, second = (source.schema(folder) for source in self.both)
        for name in self.keys:
            for columns in (first, second):
                names = [c.name for c in columns]
                if name not in names:
                    refuse_column(name, names, "on")
        known = {c.name: c for c in first}
        others = {c.name: c for c in second}
        keys = {name: _check_key(_merge(known[name], others[name])) for name in self.keys}
        twice = sorted(known.keys() & others.keys() - keys.keys())
        if twice:
            raise Fault(lambda w: sources_overlap(w.argument("second"), twice[0]))
        ends = tuple(keys.values())
        joined = {name: replace(key, own=(*key.own, *ends)) for name, key in keys.items()}
        left = (joined.get(c.name) or replace(c, own=(c, None, *ends)) for c in first)
        right = (replace(c, own=(None, c, *ends)) for c in second if c.name not in keys)
        return (*left, *right)

    def load(self, folder: Path) -> Mapping[str, Array]:
        schema = self.schema(folder)
        keys = [column for column in schema if column.name in self.keys]
        first, second = (source.load(folder) for source in self.both)
        wanted, known = (
            _list_keys([_recode(arrays[c.name], c, _take(c, place)) for c in keys])
            for place, arrays in enumerate((first, second))
        )
        places = {key: row for row, key in enumerate(known)}
        if len(places) < len(known):
            twice = next(key for row, key in enumerate(known) if places[key] != row)
            rows = [row for row, key in enumerate(known) if key == twice]
            shown = _show_key(keys, twice)
            raise Fault(lambda w: key_not_unique(w.argument("second"), shown, rows[0], rows[1]))
        kept = [row for row, key in enumerate(wanted) if key in places]
        if (len(kept) < len(wanted) and self.unmatched == "refuse") or not kept:
            row = next(row for row, key in enumerate(wanted) if key not in places)
            shown, lacking = _show_key(keys, wanted[row]), len(wanted) - len(kept)
            raise Fault(lambda w: key_not_found(w.argument("on"), shown, row, lacking))
        rows = [places[wanted[row]] for row in kept]
        return {
            column.name: second[column.name][rows]
            if column.own[0] is None
            else _recode(first[column.name][kept], column, column.own[0])
            for column in schema
        }

    def find_needed(self, columns: Sequence[Column], place: int) -> list[Column]:
        keys = self._find_keys(columns)
        needed = [c.own[place] for c in columns if c.name not in self.keys]
        return [own for own in (*(k.own[place] for k in keys), *needed) if own is not None]

    def combine(self, columns: Sequence[Column]) -> tuple[list[str], dict[str, str]]:
        keys = self._find_keys(columns)
        sides = [
            [_write_recoding(side, c, _take(c, place)) for c in keys]
            for place, side in enumerate(SIDES)
        ]
        wanted, known = (_write_keys(texts) for texts in sides)
        lines = [
            f"keys = {wanted}",
            f"places = {{key: row for row, key in enumerate({known})}}",
        ]
        chosen = ""
        if self.unmatched == "leave_out":
            lines.append("kept = [row for row, key in enumerate(keys) if key in places]")
            lines.append("beside = [places[keys[row]] for row in kept]")
            chosen = "[kept]"
        else:
            lines.append("beside = [places[key] for key in keys]")
        found = {}
        for column in columns:
            if column.own[0] is None:
                found[column.name] = f"second[{write_string(column.name)}][beside]"
            else:
                found[column.name] = f"{_write_recoding('first', column, column.own[0])}{chosen}"
        return lines, found

    def _find_keys(self, columns: Sequence[Column]) -> list[Column]:
        """The columns of the key, which each column knows."""
        known = {c.name: c for c in columns[0].own[2:] if c is not None}
        return [known[name] for name in self.keys]


def _merge(first: Column, second: Column) -> Column:
    """One column of the rows of two.

    Raises:
        Fault: they hold different things.
    """
    name, both = first.name, (first, second)
    trouble = first.trouble or second.trouble
    merged = replace(
        first,
        own=both,
        parts=(),
        missing=first.missing or second.missing,
        gaps=first.gaps + second.gaps,
        trouble=trouble,
        doubt=first.doubt or second.doubt,
    )
    if trouble is not None:
        return merged
    if first.kind != second.kind or first.type.shape != second.type.shape:
        kinds = [f"{c.type} of {c.kind}" if c.type.rank else c.kind for c in both]
        _refuse(name, f"it holds {kinds[0]} in the first source and {kinds[1]} in the second")
    if first.words:
        known = {word for column in both for word in column.categories}
        same = first.categories == second.categories
        return replace(merged, categories=first.categories if same else tuple(sorted(known)))
    dtypes = [first.type.dtype, second.type.dtype]
    if dtypes[0] != dtypes[1]:
        if not set(dtypes) <= set(NUMBERS):
            _refuse(name, f"it is {dtypes[0]} in the first source and {dtypes[1]} in the second")
        dtype = DType.F64 if DType.F64 in dtypes else DType.F32
        return replace(merged, type=TensorType.of(dtype, first.type.shape))
    return merged


def _refuse(name: str, reason: str) -> NoReturn:
    raise Fault(lambda w: columns_differ(w.argument("second"), name, reason))


def _check_key(column: Column) -> Column:
    """A column by which rows belong together.

    Raises:
        Fault: nothing is equal to what it holds, or it cannot be read.
    """
    if column.trouble is not None:
        trouble = column.trouble
        raise Fault(lambda w: replace(trouble, span=w.argument("on")))
    if column.type.rank or column.type.dtype.is_float:
        _refuse(column.name, f"it holds {column.type}, and a key is whole numbers, dates or words")
    return column


def _take(column: Column, place: int) -> Column:
    """The column of one source that a key is made of."""
    own = column.own[place]
    assert own is not None, "both have the key"
    return own


def _list_keys(arrays: Sequence[Array]) -> list[Any]:
    """What tells each row from others."""
    lists = [array.tolist() for array in arrays]
    return lists[0] if len(lists) == 1 else list(zip(*lists, strict=True))


def _write_keys(texts: Sequence[str]) -> str:
    lists = [f"{text}.tolist()" for text in texts]
    return lists[0] if len(lists) == 1 else f"list(zip({', '.join(lists)}, strict=True))"


def _show_key(columns: Sequence[Column], key: Any) -> str:
    """A key in a message: words as such."""
    parts = key if len(columns) > 1 else (key,)
    return ", ".join(
        c.categories[part] if c.words else str(part) for c, part in zip(columns, parts, strict=True)
    )


def _find_codes(column: Column, own: Column) -> list[int] | None:
    """The places of the categories of one source among those of both; None where they are the
    same, and for what has none."""
    if not column.words or column.trouble is not None or own.categories == column.categories:
        return None
    return [column.categories.index(word) for word in own.categories]


def _recode(array: Array, column: Column, own: Column) -> Array:
    """The rows of one source as those of a column of both."""
    codes = _find_codes(column, own)
    if codes is not None:
        return np.array(codes, np.int64)[array]
    return array.astype(column.type.dtype.numpy, copy=False)


def _write_recoding(side: str, column: Column, own: Column) -> str:
    """The expression of the same."""
    text, codes = f"{side}[{write_string(column.name)}]", _find_codes(column, own)
    if codes is not None:
        return f"np.array({codes})[{text}]"
    same = own.type.dtype == column.type.dtype
    return text if same else f"{text}.astype({write_dtype(column.type.dtype)})"
