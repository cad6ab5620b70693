"""Options that several commands have, and what they stand for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from compiler.report.diagnostics import CompileError, Message
from compiler.report.messages.files import bad_assignment


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
