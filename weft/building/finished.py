"""Variants that a build has finished, for commands that compile, show or verify them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from backends.onnx_runtime.session import Device
from backends.pytorch.train.facts import Facts
from backends.pytorch.train.settings import read_settings
from compiler.ir.weighted_net import WeightedNet
from compiler.program.program import Program
from compiler.program.train import Train
from compiler.program.variant import Variant
from compiler.report.diagnostics import CompileError
from compiler.report.messages.contracts import VariantNotBuilt
from weft.building.artifacts import Workshop
from weft.building.forms import make_form
from weft.building.variants import VariantBuild
from weft.building.version import identify_weft
from weft.deployed.compiling import Target
from weft.results.cache import Cache, hash_array, hash_file, hash_text
from weft.results.generated import GeneratedFiles


def open_variant(
    program: Program, variant: Variant, folder: Path, workshop: Workshop
) -> VariantBuild:
    """The passes of a variant in a build folder. The first deployment of a variant says what its
    file is like: that is the one contracts speak of."""
    train = program.trains.get(variant.train or "")
    deploy = next((d for d in program.deploys if d.variant == variant.name), None)
    return VariantBuild(
        program,
        variant,
        deploy,
        folder,
        workshop.cache,
        workshop.device,
        workshop.echo,
        hash_text(*hash_data(train, program)) if train is not None else "",
        files=workshop.files,
    )


def hash_data(train: Train, program: Program) -> Iterator[str]:
    """Hashes of the files that a train's data is read from, and of arrays that are in none."""
    source, folder = train.data.source, program.source.folder
    yield from (hash_file(path) for path in source.files(folder) if path.is_file())
    yield from (hash_array(name, array) for name, array in source.held(folder).items())


def recall_variant(
    program: Program, variant: Variant, folder: Path
) -> tuple[WeightedNet, VariantBuild]:
    """The net of a variant as a build has left it in its folder, and its build.

    Raises:
        CompileError: no build has finished it, or it has changed since.
    """
    files = GeneratedFiles(folder, _be_silent)
    workshop = Workshop(Cache(folder, identify_weft()), Device.AUTO, _be_silent, files)
    build = open_variant(program, variant, folder, workshop)
    trained = folder / str(variant.train) / "best.safetensors"
    if variant.train is not None and not trained.is_file():
        raise CompileError([VariantNotBuilt(variant.span, variant.name, str(folder))])
    net = build.recall()
    if net is None:
        raise CompileError([VariantNotBuilt(variant.span, variant.name, str(folder))])
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
    wrapped = make_form(build.variant, target.deploy, program.source).wrap(net)
    return replace(target, graph=wrapped.graph, weights=wrapped.weights)


def find_trained(program: Program, folder: Path, target: Target) -> Path | None:
    """The weights of the train that a target is deployed from, as a build has left them in its
    folder; None where no build has finished it, or the spec or the data has changed since."""
    train = program.trains.get(target.deploy.train or "") if target.deploy is not None else None
    if train is None:
        return None
    path = folder / train.name / "best.safetensors"
    cache = Cache(folder, identify_weft())
    stage = f"train {train.name}"
    key = cache.get_facts(stage).get("trained")
    fresh = key == hash_trained(train, program) and not cache.find_changed(stage)
    return path if fresh else None


def hash_trained(train: Train, program: Program) -> str:
    """What tells whether a training that has ended is still one of this spec and its data."""
    settings = json.dumps(read_settings(Facts(train)), sort_keys=True)
    loads = (load for part in train.nets for load in part.net.loads)
    files = (program.source.folder / load.file for load in loads)
    begun = map(hash_file, filter(Path.is_file, files))
    return hash_text(settings, *begun, *hash_data(train, program))


def _be_silent(text: str) -> None:
    """Takes the place of printing."""
