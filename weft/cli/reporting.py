"""What every command shares: options, printing of diagnostics, checking a file."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, TextIO

import typer

from compiler.driver import FindWords, check
from compiler.program.program import Program
from compiler.report.diagnostics import CompileError, Message, Severity, Sink
from compiler.report.messages.files import bad_assignment
from compiler.report.render import render, render_json
from compiler.writing.python import show


class OutputFormat(StrEnum):
    """How diagnostics and tables are printed."""

    TEXT = "text"
    JSON = "json"


class Device(StrEnum):
    """Where sessions and training run."""

    AUTO = "auto"
    CPU = "cpu"
    CUDA = "cuda"


SpecFile = Annotated[Path, typer.Argument(metavar="FILE", help="A .weft file.", show_default=False)]
Assignments = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="NAME=VALUE",
        help="Override a parameter of an item, e.g. --set fit.lr=1e-3. Can be repeated.",
    ),
]
Format = Annotated[
    OutputFormat, typer.Option("--format", help="How diagnostics are printed.", show_default=True)
]
OutputFolder = Annotated[
    Path | None, typer.Option("--output", "-o", metavar="DIR", help="Folder for what is made.")
]
BuildFolder = Annotated[
    Path | None,
    typer.Option(
        "--build", metavar="DIR", help="Build that made the variants. Default: output/SPEC."
    ),
]
DeviceOption = Annotated[Device, typer.Option("--device", help="Where to run.")]


def use_color(stream_is_terminal: bool | None = None) -> bool:
    """Whether diagnostics are coloured: on a terminal, unless NO_COLOR is set
    (https://no-color.org)."""
    terminal = sys.stderr.isatty() if stream_is_terminal is None else stream_is_terminal
    return terminal and not os.environ.get("NO_COLOR")


def print_messages(messages: Sequence[Message], form: OutputFormat = OutputFormat.TEXT) -> None:
    """Prints diagnostics: text to standard error, JSON to standard output."""
    if form is OutputFormat.JSON:
        print_page(render_json(messages))
    elif messages:
        print_page(render(messages, color=use_color()), sys.stderr)


def say(text: str) -> None:
    """Prints a line that holds names of the user's: what a terminal would obey is escaped."""
    print(show(text))


def say_lines(text: str) -> None:
    """Prints several lines as `say` does each."""
    for line in text.split("\n"):
        say(line)


def print_page(text: str, stream: TextIO | None = None) -> None:
    """Prints what is escaped, and maybe coloured, already: diagnostics and pages of Weft's own."""
    print(text, file=stream)


def default_folder(file: Path) -> Path:
    """Where a spec is built when no folder is given: output/SPEC. Where SPEC would be no name, as
    the `..` of `...weft`, it is the whole name of the file."""
    return Path("output") / (file.stem if file.stem.strip(".") else file.name)


def choose_folder(given: Path | None, file: Path) -> Path:
    """The folder that was given, wherever it leads, or the one where a spec is built otherwise.

    Raises:
        CompileError: nobody has named it, and it is a link.
    """
    from weft.results.links import refuse_link_to

    if given is not None:
        return given
    refuse_link_to(Path(), default_folder(file))
    return default_folder(file)


def split_assignments(assignments: Iterable[str] | None) -> Mapping[str, str]:
    """`NAME=VALUE` pairs as a mapping.

    Raises:
        CompileError: one has no `=`, or a name stands twice.
    """
    pairs: dict[str, str] = {}
    faults: list[Message] = []
    for text in assignments or ():
        name, equals, value = text.partition("=")
        if not equals or not name.strip():
            faults.append(bad_assignment(None, text))
        pairs[name.strip()] = value.strip()
    if faults:
        raise CompileError(faults)
    return pairs


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
