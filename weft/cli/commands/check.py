"""`weft check`: find every fault before anything runs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from compiler.data.base import OpenedSource
from compiler.driver import STAGES, Print, check
from compiler.report.diagnostics import CompileError, Fault, Sink
from compiler.report.messages.files import unknown_item
from compiler.report.render import render_json
from compiler.report.suggestions import did_you_mean
from compiler.rows.counts import RowCounts
from compiler.rows.loading import SourcePlace
from compiler.rows.validation import validate_data
from weft.cli.options import Assignments, Format, OutputFormat, split_assignments
from weft.cli.printing import print_messages, print_page, say, say_lines

if TYPE_CHECKING:
    from compiler.data.summary import ColumnSummary


def add_to(app: typer.Typer) -> None:
    """Adds the command."""

    @app.command("check")
    def check_command(
        files: Annotated[list[Path], typer.Argument(metavar="FILE...", help=".weft files.")],
        assignments: Assignments = None,
        form: Format = OutputFormat.TEXT,
        data: Annotated[
            bool, typer.Option("--data", help="Also load the data, and print their columns.")
        ] = False,
        print_after: Annotated[
            list[str] | None,
            typer.Option("--print-after", metavar="STAGE", help=f"Print {', '.join(STAGES)}."),
        ] = None,
    ) -> None:
        """Check specs: names, shapes, types, clauses.

        Every fault found is printed, with the line it stands on; the status is 1 if there was
        an error.

        Examples:

            weft check net.weft

            weft check --format=json net.weft

            weft check --set fit.width=32 --data net.weft

            weft check --print-after=graphs net.weft
        """
        for stage in print_after or ():
            if stage not in STAGES:
                suggestion = did_you_mean(stage, STAGES)
                raise CompileError([unknown_item(None, "stage", stage, STAGES, suggestion)])
        shown = dict.fromkeys(print_after or (), _print_stage)
        results = [_check(path, assignments, form, data, shown) for path in files]
        if not all(results):
            raise typer.Exit(1)


def _check(
    path: Path,
    assignments: list[str] | None,
    form: OutputFormat,
    data: bool,
    shown: Mapping[str, Print],
) -> bool:
    """Checks one file; whether it is well."""
    sink = Sink()
    opened: dict[str, OpenedSource] = {}
    program = check(
        path,
        overrides=split_assignments(assignments),
        sink=sink,
        print_after=shown,
        opened=opened,
    )
    rows: dict[str, RowCounts] = {}
    if data and program is not None and not sink.has_errors:
        for train in program.trains.values():
            loaded = validate_data(train, sink)
            if loaded is not None:
                parts = [part for part, _ in loaded.beside.values()] or [loaded]
                rows |= {part.data.name: RowCounts.of(part) for part in parts}
    tables = _summarize(opened, sink) if data else {}
    if form is OutputFormat.JSON:
        found = {name: [vars(c) for c in columns] for name, columns in tables.items()}
        counts = {name: vars(count) for name, count in rows.items()}
        told = {"data": found, "rows": counts} if data else None
        print_page(render_json(sink.messages, told))
    else:
        from weft.survey.text import describe_columns

        for name, columns in tables.items():
            say_lines("\n".join([f"{name}:", *describe_columns(columns)]))
            if name in rows:
                say(f"  {rows[name].describe()}")
        print_messages(sink.messages)
    return not sink.has_errors


def _summarize(opened: Mapping[str, OpenedSource], sink: Sink) -> dict[str, list[ColumnSummary]]:
    """The columns of every source that can be loaded."""
    from compiler.data.summary import summarize_source

    tables = {}
    for name, source in opened.items():
        try:
            tables[name] = list(summarize_source(source))
        except Fault as fault:
            message = fault.make(SourcePlace(source.span))
            if message not in sink.messages:  # the train that reads it reports it as well
                sink.report(message)
    return tables


def _print_stage(text: str) -> None:
    say_lines(text)
