"""`weft check`: find every fault before anything runs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from compiler.data.validation import validate_data
from compiler.diagnostics import CompileError, Sink, did_you_mean
from compiler.driver import STAGES, Print, check
from compiler.messages.files import UnknownItem
from weft.cli.reporting import (
    Assignments,
    Format,
    OutputFormat,
    print_messages,
    split_assignments,
)


def add_to(app: typer.Typer) -> None:
    """Adds the command."""

    @app.command("check")
    def check_command(
        files: Annotated[list[Path], typer.Argument(metavar="FILE...", help=".weft files.")],
        assignments: Assignments = None,
        form: Format = OutputFormat.TEXT,
        data: Annotated[
            bool, typer.Option("--data", help="Also load the data and look at the numbers.")
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
                raise CompileError([UnknownItem(None, "stage", stage, STAGES, suggestion)])
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
    program = check(path, overrides=split_assignments(assignments), sink=sink, print_after=shown)
    if data and program is not None and not sink.has_errors:
        for train in program.trains.values():
            validate_data(train, sink)
    print_messages(sink.messages, form)
    return not sink.has_errors


def _print_stage(text: str) -> None:
    print(text)
