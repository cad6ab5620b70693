"""Variants that a build has finished, for commands that compile, show or verify them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from backends.onnx_runtime.session import Device
from backends.pytorch.train.script_spec import ScriptSpec
from backends.pytorch.train.settings import read_settings
from compiler.ir.weighted_net import WeightedNet
from compiler.loading import find_learned
from compiler.program.program import Program
from compiler.program.train import Train
from compiler.program.variant import Variant
from compiler.report.diagnostics import CompileError
from compiler.report.messages.contracts import variant_not_built
from compiler.report.messages.tuning import train_not_run
from compiler.vocabulary.signature import write_call
from compiler.weights.files import find_files
from weft.building.stage import BuildContext, Echo, fingerprint
from weft.building.variants import VariantBuild, name_stage
from weft.building.version import identify_weft
from weft.deployed.compiling import Target
from weft.deployed.trained_data import BEST, find_data
from weft.results.cache import Cache
from weft.results.generated import GeneratedFiles


def open_context(folder: Path, device: Device, echo: Echo, warn: Echo) -> BuildContext:
    """What stages of a build in a folder run in. `warn` is told what was kept of files that are
    replaced."""
    cache = Cache(folder, identify_weft())
    return BuildContext(cache, device, echo, GeneratedFiles(folder, warn))


def recall_variant(
    program: Program, variant: Variant, folder: Path
) -> tuple[WeightedNet, VariantBuild]:
    """The net of a variant as a build has left it in its folder, and its build.

    Raises:
        CompileError: no build has finished it, or it has changed since.
    """
    context = open_context(folder, Device.AUTO, _be_silent, _be_silent)
    build = VariantBuild(program, variant, context)
    trained = folder / str(variant.train) / BEST
    begun = variant.train is None or trained.is_file()
    net = build.recall() if begun else None
    if net is None:
        raise CompileError([variant_not_built(variant.span, variant.name, str(folder))])
    return net, build


def open_target(program: Program, folder: Path, target: Target) -> Target:
    """What is compiled for a variant: its net as a build has left it, in the form in which it is
    deployed.

    Raises:
        CompileError: no build has finished it, or it has changed since.
    """
    assert target.variant is not None, "only variants have passes"
    net, build = recall_variant(program, target.variant, folder)
    if target.deploy is None:
        return replace(target, graph=net.graph, weights=net.weights)
    wrapped = build.make_spec(target.deploy).wrap(net)
    return replace(target, graph=wrapped.graph, weights=wrapped.weights)


def find_other_passes(variant: Variant, folder: Path) -> Iterator[str]:
    """How the passes of a variant differ from those that the build in a folder has run for it; as
    far as that is recorded there."""
    cache = Cache(folder, identify_weft())
    if not any(name.startswith(f"variant {variant.name}: ") for name in cache.stages):
        return
    for number, step in enumerate(variant.steps, 1):
        wanted = write_call(step.compression)
        found = cache.get_metadata(name_stage(variant, number)).get("pass")
        if found != wanted:
            was = f"was `{found}`" if found is not None else "was another one"
            yield f"pass {number} {was} there and is `{wanted}` here"


def find_trained(program: Program, folder: Path, target: Target) -> Path | None:
    """The weights of the train that a target is deployed from, as a build has left them in its
    folder; None where no build has finished it, or the spec or the data has changed since."""
    train = program.trains.get(target.deploy.train or "") if target.deploy is not None else None
    if train is None or not _is_trained(train, program, folder):
        return None
    return folder / train.name / BEST


def require_learned(program: Program, folder: Path, target: Target) -> None:
    """Makes sure that the nets of trains inside a target (`net m = fit`) are there as this spec
    and its data make them.

    Raises:
        CompileError: the build in the folder has not finished such a train, or the spec or the
            data has changed since.
    """
    trains = find_learned(target.net) if target.net is not None else []
    faults = [
        train_not_run(program.trains[name].span, name)
        for name in trains
        if not _is_trained(program.trains[name], program, folder)
    ]
    if faults:
        raise CompileError(faults)


def _is_trained(train: Train, program: Program, folder: Path) -> bool:
    """Whether a build has finished a train, and it and those that it starts from are still the
    same."""
    cache = Cache(folder, identify_weft())
    stage = f"train {train.name}"
    key = cache.get_metadata(stage).get("trained")
    if key != fingerprint_trained(train, program) or cache.find_changed(stage):
        return False
    others = (name for net in train.nets for name in find_learned(net.net))
    return all(_is_trained(program.trains[name], program, folder) for name in others)


def fingerprint_trained(train: Train, program: Program) -> str:
    """What tells whether a training that has ended is still one of this spec and its data."""
    loads = (load for part in train.nets for load in part.net.loads if load.train is None)
    folder = program.source.folder
    files = [path for load in loads for path in find_files(load, folder).all_paths]
    return fingerprint(read_settings(ScriptSpec(train)), *files, *find_data(train, folder))


def _be_silent(text: str) -> None:
    """Takes the place of printing."""
