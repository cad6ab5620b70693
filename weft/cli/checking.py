"""The check that most commands begin with."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import typer

from compiler.driver import Chosen, FindWords, check
from compiler.program.program import Program
from compiler.report.diagnostics import Severity, Sink
from weft.cli.options import OutputFormat, split_assignments
from weft.cli.printing import print_messages


def check_file(
    path: Path,
    assignments: Iterable[str] | None,
    form: OutputFormat = OutputFormat.TEXT,
    words: FindWords | None = None,
    chosen: Chosen | None = None,
) -> Program:
    """The checked program of a file, where it is given with the words of trainings and the values
    of sweeps; prints its warnings.

    Raises:
        typer.Exit: there were errors (status 1), which are printed.
    """
    sink = Sink()
    overrides = split_assignments(assignments)
    program = check(path, overrides=overrides, sink=sink, words=words, chosen=chosen)
    if program is None or sink.has_errors or form is OutputFormat.JSON:
        print_messages(sink.messages, form)
    else:
        print_messages([m for m in sink.messages if m.severity is Severity.WARNING])
    if program is None or sink.has_errors:
        raise typer.Exit(1)
    return program


def check_again(path: Path, assignments: Iterable[str] | None) -> Callable[[Chosen], Program]:
    """What checks a file again with values for its sweeps, and prints nothing; it raises
    `CompileError` where the file has faults with these."""
    overrides = split_assignments(assignments)

    def recheck(chosen: Chosen) -> Program:
        sink = Sink()
        program = check(path, overrides=overrides, sink=sink, chosen=chosen)
        sink.stop_on_errors()
        assert program is not None, "what is left out has an error"
        return program

    return recheck
