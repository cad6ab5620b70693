"""Data in memory: raw rows of a source, the columns computed from them, and their splits."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from compiler.ir.evaluate import bind_sizes, evaluate
from compiler.ir.memory import need_columns
from compiler.ir.operands import Array
from compiler.program.data import DataSet
from compiler.records import dataclass
from compiler.report.diagnostics import CompileError, Fault, Label
from compiler.report.messages.columns import empty_split, too_few_rows
from compiler.report.source import Span
from compiler.rows.fitting import fit_statistics


@dataclass(frozen=True)
class LoadedData:
    """A data set with its numbers. `columns` holds every column for all rows, `raw` those of the
    source that they are computed from, `rows` the row numbers of each split, `statistics` the
    fitted buffers by path."""

    data: DataSet
    raw: Mapping[str, Array]
    columns: Mapping[str, Array]
    rows: Mapping[str, Array]
    statistics: Mapping[str, Array]
    labels: Array | None = None
    """The column whose classes the splits keep in proportion, if they do."""

    def split(self, name: str) -> dict[str, Array]:
        """The columns of one split."""
        return {column: array[self.rows[name]] for column, array in self.columns.items()}


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
    """Loads, splits and computes the columns of a data set.

    Args:
        data: the data set.
        folder: what the paths of its source are relative to; the spec's folder.
        fitted: figures of a training, by the path of their statistic, in place of those of this
            data.

    Raises:
        CompileError: a file is missing or broken, a split holds no row, or memory holds the rows
            not.
    """
    assert data.span is not None
    try:
        raw = data.source.load(folder or data.span.source.folder)
    except Fault as fault:
        raise CompileError([fault.make(SourcePlace(data.span))]) from fault
    used = {item.name: raw[item.name] for item in data.columns.inputs}
    stratify = data.split.stratify
    labels = raw[stratify] if stratify is not None else None
    rows = _divide(data, len(next(iter(raw.values()))), labels)
    need_columns(data.columns, bind_sizes(data.columns, used), data.span)
    statistics = fit_statistics(data.columns, data.statistics, used, rows["train"])
    statistics = {path: (fitted or {}).get(path, array) for path, array in statistics.items()}
    columns = evaluate_columns(data, used, statistics)
    return LoadedData(data, used, columns, rows, statistics, labels)


def _divide(data: DataSet, count: int, labels: Array | None) -> dict[str, Array]:
    """The rows of each split, none of which is empty."""
    split = data.split
    wanted, known = split.count_wanted(count)
    if wanted > known:
        raise CompileError([too_few_rows(split.span, wanted, known)])
    rows = split.divide(count, labels)
    empty = [empty_split(split.span, name, count) for name, part in rows.items() if not len(part)]
    if empty:
        raise CompileError(empty)
    return rows


def evaluate_columns(
    data: DataSet, raw: Mapping[str, Array], statistics: Mapping[str, Array]
) -> dict[str, Array]:
    """The columns of rows as they come from the source (`[rows, …]` by name)."""
    return evaluate(data.columns, statistics, {i.name: raw[i.name] for i in data.columns.inputs})
