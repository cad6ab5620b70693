"""Data in memory: raw rows of a source, the columns computed from them, and their splits."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import field, replace
from pathlib import Path
from typing import Any

import numpy as np

from compiler.data.holding import Rows, WrappedRows, choose_rows, cut_pieces, is_held, read_columns
from compiler.data.joined import qualify
from compiler.ir.evaluate import bind_sizes, evaluate
from compiler.ir.graph import Graph
from compiler.ir.memory import need_columns
from compiler.ir.operands import Array
from compiler.program.data import DataSet
from compiler.records import dataclass
from compiler.report.diagnostics import CompileError, Fault, Label, Message
from compiler.report.messages.columns import empty_split, too_few_rows
from compiler.report.messages.series import irregular_steps, no_row_left, no_window
from compiler.report.source import Span
from compiler.rows.fitting import fit_in_passes, fit_statistics
from compiler.rows.readers import find_outside_columns
from compiler.rows.reading import compute_columns


@dataclass(frozen=True)
class LoadedData:
    """A data set with its numbers. `columns` holds every column for all rows, `raw` those of the
    source that they are computed from, `rows` the row numbers of each split, `statistics` the
    fitted buffers by path.

    Where the data has windows, these are its rows, under the number of their first one: `columns`
    are views of the windows, and `rows` says which there are. `single` and `divided` are columns
    and splits of the rows that windows are made of, and the same where there are none. `numbers`
    are the rows of the source in the order in which all others count them; None where that is its
    own.

    Where rows are not held in memory, columns are read, and computed, when rows of them are asked
    for: `pieces` says how many may be at once.
    """

    data: DataSet
    raw: Mapping[str, Rows]
    columns: Mapping[str, Rows]
    rows: Mapping[str, Array]
    statistics: Mapping[str, Array]
    single: Mapping[str, Rows]
    divided: Mapping[str, Array]
    labels: Array | None = None
    """The column whose classes the splits keep in proportion, if they do."""
    numbers: Array | None = None
    total: int = 0
    """How many rows the source has."""
    lead: str = ""
    """Of joined data sets, the one whose rows these are: those of the others stand beside them,
    and begin anew behind their last one."""
    beside: Mapping[str, tuple[LoadedData, Array]] = field(default_factory=dict)
    """Each of joined data sets, and which of its rows stand beside these."""

    @property
    def divided_rows(self) -> Array:
        """The numbers of the rows of all splits."""
        return np.concatenate(list(self.divided.values()))

    def name_rows(self, rows: Array) -> Array:
        """What the source calls these rows."""
        return rows if self.numbers is None else self.numbers[rows]

    def take_raw(self, rows: Array, data: str = "") -> dict[str, Array]:
        """What a deployed file takes for these rows: raw columns, or windows of them; of joined
        data sets those of one."""
        if self.beside:
            loaded, beside = self.beside[data]
            return loaded.take_raw(beside[rows])
        window = self.data.window
        if window is None:
            return read_columns(self.raw, rows)
        single = replace(window, targets=())
        return {name: single.view(name, array[:])[rows] for name, array in self.raw.items()}

    def split(self, name: str) -> dict[str, Array]:
        """The columns of one split."""
        return read_columns(self.columns, self.rows[name])

    def pieces(self, rows: Array, step: int = 1) -> Iterator[Array]:
        """Row numbers in parts that may be read at once: all of them where rows are in memory. Of
        others a part is of a multiple of `step` rows, but for the last."""
        return cut_pieces([*self.raw.values(), *self.columns.values()], rows, step)


@dataclass(frozen=True)
class SourcePlace:
    """Where a source that cannot be read stands: its clause, whatever the argument."""

    call: Span

    def argument(self, name: str) -> Span:
        """The clause."""
        return self.call

    def operand(self, index: int) -> Label:
        """The clause."""
        return Label(self.call, "read here")


def load_data(
    data: DataSet, folder: Path | None = None, fitted: Mapping[str, Array] | None = None
) -> LoadedData:
    """Loads, splits and computes the columns of a data set; of joined ones beside the rows of the
    first.

    Args:
        data: the data set.
        folder: what the paths of its source are relative to; the spec's folder.
        fitted: figures of a training, by the path of their statistic, in place of those of this
            data.

    Raises:
        CompileError: a file is missing or broken, a split holds no row, or memory holds the rows
            not.
    """
    if data.members:
        parts = load_parts(data, folder, fitted)
        return pair_rows(data, parts, data.members[0].name)
    data = data.source_rows or data
    span = data.span
    assert span is not None
    raw = _read_source(data, span, folder)
    total = len(next(iter(raw.values())))
    data, raw, numbers = _select_rows(data, raw)
    used = {item.name: raw[item.name] for item in data.columns.inputs}
    labels = None if data.split.stratify is None else np.asarray(raw[data.split.stratify][:])
    divided = _divide(data, raw, labels, numbers)
    try:
        statistics, single = _compute(data, used, divided["train"], fitted or {}, span)
    except IndexError:
        raise CompileError(_explain_places(data.columns, used, numbers)) from None
    columns, rows = single, divided
    if data.window is not None:
        columns = {name: data.window.view(name, array[:]) for name, array in single.items()}
        rows = _find_windows(data, raw, divided, numbers)
    if data.balance is not None:
        drawn = data.balance.draw(divided["train"], raw[data.balance.column][:])
        rows = {**divided, "train": drawn}
    return LoadedData(
        data=data,
        raw=used,
        columns=columns,
        rows=rows,
        statistics=statistics,
        single=single,
        divided=divided,
        labels=labels,
        numbers=numbers,
        total=total,
    )


def _explain_places(
    columns: Graph, raw: Mapping[str, Rows], numbers: Array | None
) -> list[Message]:
    """Why columns cannot be computed that look up places in tables."""
    unfitted = {
        p.path: np.zeros(p.value.type.known_shape or (), p.value.type.dtype.numpy)
        for p in columns.parameters
    }
    rows = numbers if numbers is not None else np.arange(len(next(iter(raw.values()))))
    # What comes before the first can be computed.
    found = (
        message
        for piece in cut_pieces(list(raw.values()), np.arange(len(rows)))
        for message in find_outside_columns(
            columns, unfitted, read_columns(raw, piece), rows[piece]
        )
    )
    return [next(found)]


def _compute(
    data: DataSet,
    raw: Mapping[str, Rows],
    training: Array,
    fitted: Mapping[str, Array],
    span: Span,
) -> tuple[dict[str, Array], Mapping[str, Rows]]:
    """The figures of the columns, and the columns themselves."""
    graph, wanted = data.columns, data.statistics
    if data.is_lazy:
        if any(statistic.path not in fitted for statistic in wanted):
            fitted = fit_in_passes(graph, wanted, raw, training) | dict(fitted)
        statistics = {s.path: np.asarray(fitted[s.path]) for s in wanted}
        return statistics, compute_columns(graph, statistics, raw)
    need_columns(graph, bind_sizes(graph, _take_all(raw)), span)
    statistics = fit_statistics(graph, wanted, raw, training)
    statistics = {path: fitted.get(path, array) for path, array in statistics.items()}
    return statistics, evaluate_columns(data, raw, statistics)


def _read_source(data: DataSet, span: Span, folder: Path | None) -> Mapping[str, Rows]:
    """The raw columns of a data item that stands at a place.

    Raises:
        CompileError: a file is missing or broken.
    """
    try:
        source = data.source if folder else data.source.local
        place = folder or span.source.folder
        if not data.is_lazy:
            return source.load(place)
        columns = source.open(place)
    except Fault as fault:
        raise CompileError([fault.make(SourcePlace(span))]) from fault
    return {n: c if is_held(c) else _ReadHere(c, span) for n, c in columns.items()}


@dataclass(frozen=True, eq=False)
class _ReadHere(WrappedRows):
    """A column of a source that stands at a place, which errors of reading are told with."""

    span: Span

    def __getitem__(self, rows: Any, /) -> Array:
        try:
            return np.asarray(self.column[rows])
        except Fault as fault:
            raise CompileError([fault.make(SourcePlace(self.span))]) from fault


def _select_rows(
    data: DataSet, raw: Mapping[str, Rows]
) -> tuple[DataSet, Mapping[str, Rows], Array | None]:
    """The rows that `where` keeps, in the order that the split asks for, with a split of these
    alone; and their numbers in the source, None where all stay in its order."""
    chosen = _choose(data, raw)
    split = data.split if chosen is None else data.split.choose(chosen)
    data = replace(data, split=split)
    numbers = _arrange(data, raw, chosen)
    if numbers is not None:
        raw = {name: choose_rows(array, numbers) for name, array in raw.items()}
    return data, raw, numbers


def _choose(data: DataSet, raw: Mapping[str, Rows]) -> Array | None:
    """The rows that `where` keeps; None without any condition."""
    if data.where is None:
        return None
    given = {item.name: raw[item.name] for item in data.where.inputs}
    count = len(next(iter(raw.values())))
    kept = [
        piece[evaluate(data.where, {}, read_columns(given, piece))[data.where.outputs[0].name]]
        for piece in cut_pieces(list(given.values()), np.arange(count))
    ]
    rows = np.concatenate(kept)
    if not len(rows):
        span = data.where.outputs[0].origin or data.span
        raise CompileError([no_row_left(span, count)])
    return rows


def _arrange(data: DataSet, raw: Mapping[str, Rows], chosen: Array | None) -> Array | None:
    """The rows of the source that are left, in the order that windows need; None where that is
    its own."""
    if data.window is None:
        return chosen
    if chosen is not None:
        raw = {name: raw[name][chosen] for name in data.window.keys}
    order = data.window.sort(_take_all(raw), [count for _, count in data.split.given])
    if order is None or chosen is None:
        return chosen if order is None else order
    return np.asarray(chosen[order])


def _find_times(data: DataSet, raw: Mapping[str, Rows], numbers: Array | None) -> Array | None:
    """What a split in order goes by, if not by the order of rows: their time, or else where they
    stand in the source."""
    if not data.split.timed:
        return None
    return numbers if data.split.by is None else np.asarray(raw[data.split.by][:])


def _find_windows(
    data: DataSet, raw: Mapping[str, Rows], divided: Mapping[str, Array], numbers: Array | None
) -> dict[str, Array]:
    """The first rows of the windows of each split, none of which is empty."""
    window = data.window
    assert window is not None
    arrays, count = _take_all(raw), len(next(iter(raw.values())))
    given = [part for _, part in data.split.given]
    wrong = window.find_irregular(arrays, count, given)
    if wrong is not None:
        place = wrong.row if numbers is None else int(numbers[wrong.row])
        dates = any(column.name == window.by and column.written.date for column in data.schema)
        message = irregular_steps(window.span, window.by or "", place, wrong, dates=dates)
        raise CompileError([message])
    stretches = window.number_stretches(arrays, count, given)
    rows = {name: window.find_starts(part, stretches) for name, part in divided.items()}
    empty = [
        no_window(window.span, name, len(divided[name]), window.reach + 1)
        for name, part in rows.items()
        if not len(part)
    ]
    if empty:
        raise CompileError(empty)
    return rows


def load_parts(
    data: DataSet, folder: Path | None = None, fitted: Mapping[str, Array] | None = None
) -> dict[str, LoadedData]:
    """Each of joined data sets, loaded, by name; `fitted` are figures by their joined paths.

    Raises:
        CompileError: one cannot be loaded.
    """
    return {
        part.name: load_data(part, folder, choose_fitted(part, fitted or {}))
        for part in data.members
    }


def choose_fitted(part: DataSet, fitted: Mapping[str, Array]) -> dict[str, Array]:
    """The figures of one of joined data sets, by its own paths."""
    own = qualify(part.name, "")
    return {p.removeprefix(own): array for p, array in fitted.items() if p.startswith(own)}


def pair_rows(data: DataSet, parts: Mapping[str, LoadedData], lead: str) -> LoadedData:
    """Joined data sets with the rows of one, each beside one of the same split of every other:
    these begin anew behind their last one, and end where there are more of them."""
    first = parts[lead]
    total = len(next(iter(first.single.values())))
    beside: dict[str, tuple[LoadedData, Array]] = {}
    for name, part in parts.items():
        rows = np.arange(total)
        for split, own in first.rows.items() if name != lead else ():
            if split in part.rows:
                rows[own] = np.resize(part.rows[split], len(own))
        known = len(next(iter(part.single.values())))
        beside[name] = part, rows % max(1, known)  # where it is of no split, whichever

    def pair(read: Callable[[LoadedData], Mapping[str, Rows]]) -> dict[str, Rows]:
        return {
            qualify(name, column): array if name == lead else choose_rows(array, rows)
            for name, (part, rows) in beside.items()
            for column, array in read(part).items()
        }

    return LoadedData(
        data=data,
        raw=pair(lambda part: part.raw),
        columns=pair(lambda part: part.columns),
        rows={n: rows for n, rows in first.rows.items() if n in data.split.names},
        statistics={
            qualify(name, path): array
            for name, part in parts.items()
            for path, array in part.statistics.items()
        },
        single=pair(lambda part: part.single),
        divided={n: rows for n, rows in first.divided.items() if n in data.split.names},
        numbers=first.numbers,
        lead=lead,
        beside=beside,
    )


def _divide(
    data: DataSet, raw: Mapping[str, Rows], labels: Array | None, numbers: Array | None
) -> dict[str, Array]:
    """The rows of each split, none of which is empty."""
    split, count = data.split, len(next(iter(raw.values())))
    wanted, known = split.count_wanted(count)
    if wanted > known:
        raise CompileError([too_few_rows(split.span, wanted, known)])
    groups = np.asarray(raw[split.group][:]) if split.group is not None else None
    rows = split.divide(count, labels, _find_times(data, raw, numbers), groups)
    empty = [empty_split(split.span, name, count) for name, part in rows.items() if not len(part)]
    if empty:
        raise CompileError(empty)
    return rows


def evaluate_columns(
    data: DataSet, raw: Mapping[str, Rows], statistics: Mapping[str, Array]
) -> dict[str, Array]:
    """The columns of rows as they come from the source (`[rows, …]` by name)."""
    given = {i.name: raw[i.name] for i in data.columns.inputs}
    return evaluate(data.columns, statistics, _take_all(given))


def _take_all(columns: Mapping[str, Rows]) -> dict[str, Array]:
    """All rows of columns, which are in memory or small enough to be."""
    return {name: np.asarray(column[:]) for name, column in columns.items()}
