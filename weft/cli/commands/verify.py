"""`weft verify`: hold an ONNX file, and the generated PyTorch, against the meaning of the spec."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from compiler.program.program import Program
from weft.cli.checking import check_file
from weft.cli.given_weights import WEIGHTS_HELP, fetch_given
from weft.cli.options import (
    Assignments,
    BuildFolder,
    Device,
    DeviceOption,
    SpecFile,
    default_folder,
)
from weft.cli.printing import print_messages, say, say_lines
from weft.deployed.given import need_input


def add_to(app: typer.Typer) -> None:
    """Adds the command."""

    @app.command("verify")
    def verify_command(
        file: SpecFile,
        onnx: Annotated[
            Path | None, typer.Argument(metavar="[MODEL.onnx]", help="None: a file made for this.")
        ] = None,
        weights: Annotated[
            Path | None, typer.Option("--weights", metavar="FILE", help=WEIGHTS_HELP)
        ] = None,
        item: Annotated[
            str | None,
            typer.Option("--item", help="What the spec calls it; none: all deployments."),
        ] = None,
        build: BuildFolder = None,
        device: DeviceOption = Device.AUTO,
        assignments: Assignments = None,
    ) -> None:
        """Compare the meaning in NumPy, the generated PyTorch and ONNX Runtime.

        Random and edge inputs, at several sizes of every symbolic dim. On a difference, the
        first node that diverges is named, with its line in the spec.

        Examples:

            weft verify resnet18.weft

            weft verify digits.weft out/fit.onnx --weights out/fit/best.safetensors
        """
        weights = fetch_given(weights)
        from weft.results.chosen import read_chosen

        at = build or default_folder(file)
        program = check_file(file, assignments, chosen=read_chosen(at))
        if onnx is not None:
            need_input(onnx)
        _verify(program, at, item, onnx, weights, device)


def _verify(
    program: Program,
    build: Path,
    item: str | None,
    onnx: Path | None,
    weights: Path | None,
    device: Device,
) -> None:
    from backends.onnx_runtime.session import Device as Place
    from weft.building.build_outputs import open_target, require_learned
    from weft.building.sweep_stages import need_sweeps
    from weft.deployed import compiling
    from weft.deployed.inspecting import need_ports
    from weft.results.generated import GeneratedFiles

    with tempfile.TemporaryDirectory(prefix="weft-") as folder:
        open_variant = partial(open_target, program, build)
        for target in compiling.choose_targets(program, item, open_variant):
            need_sweeps(program, build, target.owners)
            if weights is None and target.weights is None:
                require_learned(program, build, target)
            numbers, warnings = compiling.gather_weights(target, weights, program, build)
            print_messages(warnings)
            artifact = compiling.make_artifact(target, numbers, program, Path(folder))
            if onnx is None:
                artifact.write(GeneratedFiles(Path(folder), say))
            else:
                artifact = replace(artifact, path=onnx)
                need_ports(artifact, target.name, target.deploy, Place(device.value))
            say_lines(compiling.verify_target(artifact, Place(device.value)))
