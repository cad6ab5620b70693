"""The check that most commands begin with."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import typer

from compiler.driver import FindWords, check
from compiler.program.program import Program
from compiler.report.diagnostics import Severity, Sink
from weft.cli.options import OutputFormat, split_assignments
from weft.cli.printing import print_messages


def check_file(
    path: Path,
    assignments: Iterable[str] | None,
    form: OutputFormat = OutputFormat.TEXT,
    words: FindWords | None = None,
) -> Program:
    """The checked program of a file, where it is given with the words of trainings; prints its
    warnings.

    Raises:
        typer.Exit: there were errors (status 1), which are printed.
    """
    sink = Sink()
    overrides = split_assignments(assignments)
    program = check(path, overrides=overrides, sink=sink, words=words)
    if program is None or sink.has_errors or form is OutputFormat.JSON:
        print_messages(sink.messages, form)
    else:
        print_messages([m for m in sink.messages if m.severity is Severity.WARNING])
    if program is None or sink.has_errors:
        raise typer.Exit(1)
    return program
