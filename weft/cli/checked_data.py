"""What `weft check --data` finds out: every row read, every column told."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from compiler.data.base import OpenedSource
from compiler.data.summary import ColumnSummary, summarize_source
from compiler.program.program import Program
from compiler.records import dataclass
from compiler.report.diagnostics import Fault, Sink
from compiler.rows.counts import RowCounts
from compiler.rows.loading import SourcePlace
from compiler.rows.validation import validate_data
from weft.survey.text import describe_columns


@dataclass(frozen=True)
class CheckedData:
    """The columns of each data item, and how many rows each keeps, by the item's name."""

    tables: Mapping[str, list[ColumnSummary]]
    rows: Mapping[str, RowCounts]

    def tell(self) -> dict[str, Any]:
        """As it stands in JSON."""
        found = {name: [vars(c) for c in columns] for name, columns in self.tables.items()}
        return {"data": found, "rows": {name: vars(count) for name, count in self.rows.items()}}

    def describe(self) -> Iterator[str]:
        """As lines of text."""
        for name, columns in self.tables.items():
            yield "\n".join([f"{name}:", *describe_columns(columns)])
            if name in self.rows:
                yield f"  {self.rows[name].describe()}"


def look_at_data(
    program: Program | None, opened: Mapping[str, OpenedSource], sink: Sink
) -> CheckedData:
    """Reads the data of every train of a program without errors, and sums up every source that can
    be loaded. Faults of rows are reported to the sink."""
    rows: dict[str, RowCounts] = {}
    if program is not None and not sink.has_errors:
        for train in program.trains.values():
            loaded = validate_data(train, sink)
            if loaded is not None:
                parts = [part for part, _ in loaded.beside.values()] or [loaded]
                rows |= {part.data.name: RowCounts.of(part) for part in parts}
    return CheckedData(_summarize(opened, sink), rows)


def _summarize(opened: Mapping[str, OpenedSource], sink: Sink) -> dict[str, list[ColumnSummary]]:
    tables = {}
    for name, source in opened.items():
        try:
            tables[name] = list(summarize_source(source))
        except Fault as fault:
            message = fault.make(SourcePlace(source.span))
            if message not in sink.messages:  # the train that reads it reports it as well
                sink.report(message)
    return tables
