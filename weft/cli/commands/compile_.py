"""`weft compile`: PyTorch source and ONNX files, verified against each other."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from compiler.report.diagnostics import CompileError
from compiler.report.messages.files import unknown_item
from compiler.report.messages.verification import not_verified
from compiler.report.suggestions import did_you_mean
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

if TYPE_CHECKING:
    from backends.onnx_runtime.session import Device as Place
    from compiler.ir.evaluate import Array
    from compiler.passes.base import Explanation
    from compiler.program.program import Program
    from weft.deployed.compiling import Target
    from weft.results.generated import GeneratedFiles

Folder = Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="Folder to write.")]
ItemName = Annotated[
    str | None,
    typer.Option("--item", help="What the spec calls it; none: all deployments."),
]
OnlyOnnx = Annotated[bool, typer.Option("--onnx", help="Write ONNX only.")]
OnlyPyTorch = Annotated[bool, typer.Option("--pytorch", help="Write PyTorch only.")]
WeightsFile = Annotated[Path | None, typer.Option("--weights", metavar="FILE", help=WEIGHTS_HELP)]
Opset = Annotated[int | None, typer.Option("--opset", help="Default: the spec's, or 21.")]
Verify = Annotated[
    bool, typer.Option("--verify/--no-verify", help="Run and compare what was written.")
]
Explain = Annotated[
    str | None, typer.Option("--explain", metavar="PASS", help="Say why a pass left sites alone.")
]


def add_to(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("compile")(compile_command)


def compile_command(
    file: SpecFile,
    output: Folder,
    item: ItemName = None,
    build: BuildFolder = None,
    only_onnx: OnlyOnnx = False,
    only_pytorch: OnlyPyTorch = False,
    weights: WeightsFile = None,
    opset: Opset = None,
    verify: Verify = True,
    device: DeviceOption = Device.AUTO,
    assignments: Assignments = None,
    explain: Explain = None,
) -> None:
    """Compile the deployments of a spec (or its nets and models, where it has none).

    Weights come from --weights, else from the spec's `load(…)`, else they are fresh; those of a
    train or a variant are what a build of this spec left in its folder. Beside NAME.py they are
    written as NAME.safetensors, by the paths of the module, unless they are fresh. What is written
    is verified by default: NumPy, the PyTorch module and ONNX Runtime must agree at several sizes
    of every symbolic dim.

    Examples:

        weft compile resnet18.weft -o out --weights resnet18.safetensors

        weft compile net.weft -o out --pytorch

        weft compile net.weft -o out --onnx --opset 18 --item fit
    """
    from weft.deployed.trained_data import find_words_of
    from weft.results.chosen import read_chosen

    weights = fetch_given(weights)
    words = partial(find_words_of, weights=weights) if weights is not None else None
    chosen = read_chosen(build or default_folder(file))
    program = check_file(file, assignments, words=words, chosen=chosen)
    from backends.onnx_runtime.session import Device as Place
    from weft.results.generated import GeneratedFiles

    if explain is not None:
        _check_pass(explain)
    both = only_onnx == only_pytorch
    files = GeneratedFiles(output, say)
    written = _Written(only_onnx or both, only_pytorch or both, files, weights, opset, explain)
    place = Place(device.value) if verify else None
    _compile_targets(program, item, build or default_folder(file), written, place)


@dataclass(frozen=True)
class _Written:
    """What is to be written of each target, and where."""

    onnx: bool
    pytorch: bool
    files: GeneratedFiles
    weights: Path | None
    opset: int | None
    explain: str | None


def _compile_targets(
    program: Program, item: str | None, folder: Path, written: _Written, place: Place | None
) -> None:
    """Writes the item that is asked for, or all; a build in `folder` may have their weights."""
    from weft.building.build_outputs import find_trained, open_target, require_learned
    from weft.deployed import compiling
    from weft.results.generated import OWN
    from weft.results.links import name_outputs, refuse_links

    targets = compiling.choose_targets(program, item, partial(open_target, program, folder))
    if program.sweeps:
        from weft.building.sweep_stages import need_sweeps

        need_sweeps(program, folder, [name for t in targets for name in t.owners])
    refuse_links(written.files.root, [*OWN, *name_outputs(target.name for target in targets)])
    for target in targets:
        trained = None if written.weights is not None else find_trained(program, folder, target)
        if trained is not None:
            say(f"{target.name} is compiled with the weights of the build: {trained}")
        if written.weights is None and target.weights is None:
            require_learned(program, folder, target)
        given = replace(written, weights=written.weights or trained)
        _compile_target(target, program, folder, given, place)


def _compile_target(
    target: Target, program: Program, build: Path, written: _Written, place: Place | None
) -> None:
    """Writes a target, and verifies it at a place, if one is given. A build may have trained nets
    inside it."""
    from backends.verification.cases import need_memory
    from weft.deployed import compiling
    from weft.deployed.loaded import list_loaded

    if target.deploy is not None and not target.deploy.verify:
        place = None
    if place is not None and written.onnx:
        need_memory(target.graph, target.fixed)
    numbers = None
    if written.onnx or compiling.has_weights(target, written.weights):
        numbers, warnings = compiling.gather_weights(target, written.weights, program, build)
        print_messages(warnings)
        if target.net is not None and written.weights is None and target.weights is None:
            for file in list_loaded(target.net, program.source.folder, build):
                say(f"{target.name} loads {file.source}")
                if file.left_out:
                    say(f"left out by rule: {file.omissions}")
    module: list[Path] = []
    if written.pytorch:
        module = _write_module(target, numbers, written.files, written.weights)
    if numbers is None or not written.onnx:
        return
    files, opset = written.files, written.opset
    artifact = compiling.make_artifact(target, numbers, program, files.root, opset=opset)
    report = artifact.write(files)
    say(f"wrote {report.files[0]} ({compiling.describe(report)})")
    print_explanations(report.explanations, written.explain)
    if target.deploy is not None and not target.deploy.verify:
        print_messages([not_verified(target.deploy.span, str(report.files[0]))])
    elif place is not None:
        try:
            say_lines(compiling.verify_written(artifact, module, place))
        finally:
            for path in (*module, *report.files):
                if not path.exists():
                    say(f"took {path} away again: it is not verified")


def _write_module(
    target: Target, numbers: Mapping[str, Array] | None, files: GeneratedFiles, read: Path | None
) -> list[Path]:
    """Writes the module of a target, and beside it its weights where they come from somewhere;
    the files that were written."""
    from weft.deployed import compiling

    made: list[Path] = []
    if numbers is not None and compiling.has_weights(target, read):
        written = compiling.write_module_weights(target, numbers, files, read)
        made += [written] if written is not None else []
    made.append(compiling.write_module(target, files))
    for path in made:
        say(f"wrote {path}")
    return made


def print_explanations(explanations: Iterable[Explanation], wanted: str | None) -> None:
    """Why the pass that is asked about left sites alone."""
    for explanation in explanations:
        if explanation.name == wanted:
            say(f"  {explanation}")


def _check_pass(name: str) -> None:
    """Raises `CompileError` where no pass has the name."""
    from compiler.passes.pipeline import ONNX_PASSES

    known = tuple(dict.fromkeys(made.name for made in ONNX_PASSES))
    if name not in known:
        raise CompileError([unknown_item(None, "pass", name, known, did_you_mean(name, known))])
