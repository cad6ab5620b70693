"""`weft eval`: the metrics of a spec, measured on an ONNX file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from compiler.diagnostics import CompileError, did_you_mean
from compiler.messages.files import BadInput, NothingToDo, UnknownItem
from compiler.program import Deploy, Program
from weft.cli.reporting import (
    Assignments,
    Device,
    DeviceOption,
    OutputFormat,
    SpecFile,
    check_file,
    need_input,
)

Measured = tuple[str, Mapping[str, float]]
"""A split, and figures by name."""


def add_to(app: typer.Typer) -> None:
    """Adds the command."""

    @app.command("eval")
    def eval_command(
        file: SpecFile,
        name: Annotated[
            str | None, typer.Argument(metavar="[DEPLOY]", help="Which deployment; none: all.")
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

        Examples:

            weft eval digits.weft

            weft eval digits.weft --split val --onnx out/fit.onnx
        """
        program = check_file(file, assignments)
        measured = {}
        for deploy in choose_deploys(program, name):
            path = onnx or Path("output") / file.stem / f"{deploy.name}.onnx"
            need_input(path, build=onnx is None)
            measured[deploy.name] = measure_file(deploy, program, path, device, split)
        print_figures(measured, form)


def measure_file(
    deploy: Deploy, program: Program, path: Path, device: Device, split: str | None
) -> Measured:
    """The split that a file is measured on (the last one, if none is asked for), and its figures.

    Raises:
        CompileError: the file is not the one that the spec deploys, or there is no such split.
    """
    from backends.onnx_runtime.session import Device as Place
    from backends.onnx_runtime.session import open_session
    from compiler.loading import read_trained
    from weft.measuring import find_place, measure_deployed

    session = open_session(path, device=Place(device.value))
    place = find_place(deploy, program)
    trained = path.parent / place.train.name / "best.safetensors"
    if trained.is_file():
        place = replace(place, weights=read_trained(place.train, trained))
    measured = split or place.train.data.split.names[-1]
    try:
        return measured, measure_deployed(place, session, measured)
    except RuntimeError as error:
        reason = f"`{path}` does not fit `{deploy.name}`: {error}"
        raise CompileError([BadInput(None, reason)]) from error


def print_figures(measured: Mapping[str, Measured], form: OutputFormat) -> None:
    """Prints the figures of every deployment."""
    from weft.building.report import format_metrics

    if form is OutputFormat.JSON:
        print(json.dumps({name: found for name, (_, found) in measured.items()}, indent=2))
        return
    for name, (split, found) in measured.items():
        text = format_metrics(found) or "none of its figures reads only what the file has"
        print(f"{name}, {split}: {text}")


def choose_deploys(program: Program, name: str | None) -> list[Deploy]:
    """Deployments of trained nets: those have data and metrics.

    Raises:
        CompileError: there is none.
    """
    known = {d.name: d for d in program.deploys if _has_data(d, program)}
    if not known:
        raise CompileError([NothingToDo(None, "eval", "`deploy` of a `train`")])
    if name is None:
        return list(known.values())
    if name not in known:
        names = tuple(known)
        fault = UnknownItem(None, "deployment", name, names, did_you_mean(name, names))
        raise CompileError([fault])
    return [known[name]]


def _has_data(deploy: Deploy, program: Program) -> bool:
    variant = program.variants.get(deploy.variant or "")
    return deploy.train is not None or (variant is not None and variant.train is not None)
