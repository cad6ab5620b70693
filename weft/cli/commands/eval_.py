"""`weft eval`: the metrics of a spec, measured on an ONNX file."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from weft.cli.checking import check_file
from weft.cli.options import (
    Assignments,
    Device,
    DeviceOption,
    OutputFormat,
    SpecFile,
    default_folder,
)
from weft.cli.printing import print_messages, say, say_lines
from weft.deployed.given import need_input

if TYPE_CHECKING:
    from compiler.program.program import Program
    from weft.evaluating import Evaluated


def add_to(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("eval")(eval_command)


def eval_command(
    file: SpecFile,
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="[DEPLOY]", help="Which deployment; none: all, or that of the file."
        ),
    ] = None,
    onnx: Annotated[
        Path | None,
        typer.Option("--onnx", metavar="FILE", help="Default: output/SPEC/DEPLOY.onnx."),
    ] = None,
    split: Annotated[
        str | None, typer.Option("--split", help="Default: test, or the last that there is.")
    ] = None,
    device: DeviceOption = Device.AUTO,
    form: Annotated[OutputFormat, typer.Option("--format", help="How to print.")] = (
        OutputFormat.TEXT
    ),
    assignments: Assignments = None,
) -> None:
    """Measure the metrics of a train on the ONNX file that was deployed from it.

    What is said is about the file: its size, hash, inputs and outputs stand beside its figures.
    A file of another net, or with other labels, is refused.

    Examples:

        weft eval digits.weft

        weft eval digits.weft --split val --onnx out/fit.onnx
    """
    from weft.deployed.trained_data import find_words
    from weft.results.chosen import read_chosen

    folder = default_folder(file) if onnx is None else onnx.parent
    words = partial(find_words, folder=folder)
    program = check_file(file, assignments, words=words, chosen=read_chosen(folder))
    found = _measure(program, name, onnx, folder, device, split)
    print_messages([one.warning for one in found if one.warning is not None])
    if form is OutputFormat.JSON:
        from weft.building.report import without_nan

        say_lines(json.dumps(without_nan({one.deploy: one.encode() for one in found}), indent=2))
    else:
        _print(found)


def _measure(
    program: Program,
    name: str | None,
    onnx: Path | None,
    folder: Path,
    device: Device,
    split: str | None,
) -> Sequence[Evaluated]:
    from weft.evaluating import choose_deploys, measure_default, measure_given

    deploys = choose_deploys(program, name)
    if onnx is not None:
        need_input(onnx)
        return [measure_given(deploys, program, onnx, device.value, split)]
    for deploy in deploys:
        need_input(folder / f"{deploy.name}.onnx", build=True)
    return [measure_default(d, program, folder, device.value, split) for d in deploys]


def _print(found: Sequence[Evaluated]) -> None:
    for one in found:
        say(one.title)
        for what, said in one.rows():
            say(f"    {what}: {said}")
