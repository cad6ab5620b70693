"""`weft check`: find every fault before anything runs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from compiler.data.base import OpenedSource
from compiler.driver import STAGES, Print, check
from compiler.report.diagnostics import CompileError, Sink
from compiler.report.messages.files import unknown_item
from compiler.report.render import render_json
from compiler.report.suggestions import did_you_mean
from weft.cli.options import Assignments, Format, OutputFormat, split_assignments
from weft.cli.printing import print_messages, print_page, say_lines


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
    found = None
    if data:
        # Without it none of what reads rows is needed.
        from weft.cli.checked_data import look_at_data

        found = look_at_data(program, opened, sink)
    if form is OutputFormat.JSON:
        print_page(render_json(sink.messages, found.tell() if found is not None else None))
    else:
        for text in found.describe() if found is not None else ():
            say_lines(text)
        print_messages(sink.messages)
    return not sink.has_errors


def _print_stage(text: str) -> None:
    say_lines(text)
