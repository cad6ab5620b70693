"""The stages of a variant: its passes in order, each remembered, then its file."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backends.onnx_runtime.session import Device
from backends.pytorch.run.tuning import make_trainer
from backends.pytorch.train.write import PLAIN, FileWriter
from compiler.compression.base import CompressionPass, World, pass_of
from compiler.compression.effects import find_idleness
from compiler.compression.low_rank.merging import merge_adapters
from compiler.compression.wording import describe_requirement
from compiler.compression.world import Goal, LayerNote
from compiler.ir.printer import print_graph
from compiler.ir.verify import verify_graph
from compiler.ir.weighted_net import WeightedNet
from compiler.loading import find_weights, read_trained, refuse_numbers
from compiler.program.deploy import Deploy
from compiler.program.identity import identify
from compiler.program.program import Program
from compiler.program.train import Train
from compiler.program.variant import Step, Target, Variant
from compiler.report.diagnostics import CompileError
from compiler.vocabulary.signature import write_call
from weft.building.forms import Form, make_form
from weft.building.version import identify_weft
from weft.building.world import (
    DataSamples,
    OnnxClock,
    OnnxScale,
    RowPlan,
    SplitJudge,
    SyntheticSamples,
    TrialMemory,
)
from weft.deployed.measuring import NetOfTrain
from weft.deployed.sizing import KnownSizes, find_known
from weft.results.cache import Cache, hash_text
from weft.results.nets import read_net, write_net
from weft.results.progress import follow_steps

Array = NDArray[Any]
Echo = Callable[[str], None]


@dataclass(frozen=True)
class PassStage:
    """One pass in a build: the passes behind it, its name among the stages, what it follows from,
    and the path of the files that it leaves, without their endings."""

    step: Step
    following: tuple[CompressionPass, ...]
    name: str
    key: str
    path: Path


@dataclass
class VariantBuild:
    """One variant in a build folder. `goals` are asked for by passes that choose settings."""

    program: Program
    variant: Variant
    deploy: Deploy | None
    folder: Path
    cache: Cache
    device: Device = Device.AUTO
    echo: Echo = print
    data_key: str = ""
    files: FileWriter = PLAIN
    find_goals: Callable[[], tuple[Goal, ...]] = tuple
    journal: list[LayerNote] = field(default_factory=list)

    @property
    def name(self) -> str:
        """Of the variant."""
        return self.variant.name

    @property
    def steps_folder(self) -> Path:
        """Where what each pass made is kept."""
        return self.folder / ".weft" / self.name

    @cached_property
    def train(self) -> Train | None:
        """The train whose net this is."""
        return self.program.trains[self.variant.train] if self.variant.train is not None else None

    @cached_property
    def form(self) -> Form:
        """What stands around the net in its file."""
        return make_form(self.variant, self.deploy, self.program.source)

    @cached_property
    def known(self) -> KnownSizes:
        """What is known of the sizes of the net's open dims."""
        return find_known(self.deploy, self.variant.target, self.train, self.variant.net)

    @cached_property
    def target(self) -> Target:
        """The target, with all sizes that are known."""
        return self.known.aim(self.variant.target)

    @cached_property
    def base(self) -> WeightedNet:
        """The net before any pass.

        Raises:
            CompileError: weights cannot be read, or are not finite.
        """
        variant = self.variant
        if variant.source is not None:
            weights = find_weights(variant.source, self.program.source.folder)
        else:
            weights = {p: self.trained[variant.prefix + p] for p in variant.graph.parameter}
        types = {p.path: p.value.type.dtype.numpy for p in variant.graph.parameters}
        numbers = {p: np.array(weights[p], dtype=types[p]) for p in types}
        refuse_numbers(variant.graph, numbers, "", variant.span)
        return merge_adapters(variant.graph, numbers)

    @cached_property
    def base_key(self) -> str:
        """What all passes start from."""
        text = self.train_text if self.train is not None else ""
        return hash_text(print_graph(self.base.graph), _hash_weights(self.base), text)

    @cached_property
    def train_text(self) -> str:
        """What the train says that passes read: rows, objective, metrics, settings."""
        return hash_text(self.data_key, identify(self.train))

    @property
    def trial_key(self) -> str:
        """What figures of trials follow from besides the net, the passes and the target: the form
        of the file, the data and what is done with them. The script says that without the lines
        of the spec, so that trials are recalled when only these have moved."""
        script = self.folder / str(self.variant.train) / "train.py"
        text = script.read_text(encoding="utf-8") if script.is_file() else ""
        return hash_text(self.form.describe(), self.data_key, text)

    @property
    def measure_key(self) -> str:
        """What figures follow from besides the files and the target."""
        return self.train_text if self.train is not None else ""

    @cached_property
    def trained(self) -> dict[str, Array]:
        """All trained weights of the train, by its paths."""
        train = self.train
        assert train is not None
        return read_trained(train, self.folder / train.name / "best.safetensors", train.span)

    @cached_property
    def place(self) -> NetOfTrain | None:
        """Where the net stands in its train."""
        if self.train is None:
            return None
        root = self.program.source.folder
        return NetOfTrain(self.train, self.variant.net, root, None, self.trained)

    # --- passes -----------------------------------------------------------------------------

    def run(self) -> WeightedNet:
        """The net after all passes; those whose results are known are not run again.

        Raises:
            CompileError: a pass cannot do what is asked of it.
        """
        net = self.base
        for stage in self.plan():
            fresh = self.cache.is_fresh(stage.name, stage.key)
            known = read_net(stage.path, self.base.graph) if fresh else None
            if known is not None:
                self.echo(f"{stage.name}: up to date")
                net, notes = known
            else:
                self.echo(stage.name)
                goals = self.find_goals() if pass_of(stage.step).reads_goals else ()
                notes = []
                net = self.run_step(stage, net, goals, notes)
                facts = {"pass": write_call(stage.step.compression)}
                self.cache.record(stage.name, stage.key, write_net(net, notes, stage.path), facts)
            self.journal += notes
        return net

    def recall(self) -> WeightedNet | None:
        """The net after all passes, if a build has made it and nothing has changed since."""
        stages = list(self.plan())
        if not all(self.cache.is_fresh(stage.name, stage.key) for stage in stages):
            return None
        if not stages:
            return self.base
        known = read_net(stages[-1].path, self.base.graph)
        return known[0] if known is not None else None

    @property
    def key(self) -> str:
        """What the net after all passes follows from."""
        return [self.base_key, *(stage.key for stage in self.plan())][-1]

    def plan(self) -> Iterator[PassStage]:
        """A stage for each pass. A pass that reads the contract follows from its words: what is
        measured for them differs from run to run."""
        key = self.base_key
        contract = [describe_requirement(r) for r in self.variant.requires]
        target = replace(self.target, span=None)
        for number, step in enumerate(self.variant.steps, 1):
            compression = pass_of(step)
            following = tuple(pass_of(later) for later in self.variant.steps[number:])
            read: list[object] = []
            if compression.reads_goals:
                # Sizes that are searched for are those of the file as it is deployed, and nets
                # are judged as the passes behind leave them.
                read = [*contract, self.form.describe(), *following]
            key = hash_text(key, repr(compression), repr(target), repr(read))
            name = name_stage(self.variant, number)
            path = self.steps_folder / f"{number}_{compression.name}"
            yield PassStage(step, following, name, key, path)

    def run_step(
        self, stage: PassStage, net: WeightedNet, goals: tuple[Goal, ...], notes: list[LayerNote]
    ) -> WeightedNet:
        """The net after one pass, whose notes are added.

        Raises:
            CompileError: the pass cannot do what is asked of it.
        """
        step = stage.step
        with follow_steps() as progress:
            world = self.make_world(progress, goals)
            journal = [*self.journal]
            world = replace(world, span=step.span, following=stage.following, journal=journal)
            made = pass_of(step).run(net, world)
        verify_graph(made.graph)
        said = world.journal[len(self.journal) :]
        fault = find_idleness(pass_of(step), net, made, said, step.span)
        if fault is not None:
            raise CompileError([fault])
        notes += said
        return made

    def make_world(
        self, progress: Callable[[str, int, int], None] | None, goals: tuple[Goal, ...] = ()
    ) -> World:
        """What passes see."""
        variant, train = self.variant, self.train
        graph, target = self.base.graph, self.target
        plain = Form(self.form.opset)
        world = World(
            target=target,
            samples=SyntheticSamples(graph, target),
            clock=OnnxClock(graph, target, plain),
            scale=OnnxScale(self.form),
            memory=TrialMemory.open(self.steps_folder / "trials.jsonl", self.trial_key),
            goals=goals,
            original=self.base,
            progress=progress,
        )
        if train is None or self.place is None:
            return world
        plan = RowPlan(self.place, train.seed)
        trainer = make_trainer(
            train,
            variant.net,
            self.folder / self.name,
            data_root=self.program.source.folder,
            weights=self.trained,
            device=self.device.value,
            files=self.files,
        )
        return replace(
            world,
            samples=DataSamples(plan),
            judge=SplitJudge(plan, self.form.opset) if len(plan.judgement) else None,
            trainer=trainer,
            seed=train.seed,
        )


def name_stage(variant: Variant, number: int) -> str:
    """The name of the stage of a pass, counted from 1."""
    return f"variant {variant.name}: {number} {variant.steps[number - 1].compression.name}"


def find_other_passes(variant: Variant, folder: Path) -> Iterator[str]:
    """How the passes of a variant differ from those that the build in a folder has run for it; as
    far as that is recorded there."""
    cache = Cache(folder, identify_weft())
    if not any(name.startswith(f"variant {variant.name}: ") for name in cache.stages):
        return
    for number, step in enumerate(variant.steps, 1):
        wanted = write_call(step.compression)
        found = cache.get_facts(name_stage(variant, number)).get("pass")
        if found != wanted:
            was = f"was `{found}`" if found is not None else "was another one"
            yield f"pass {number} {was} there and is `{wanted}` here"


def _hash_weights(net: WeightedNet) -> str:
    digest = hashlib.sha256()
    for path in sorted(net.weights):
        digest.update(path.encode())
        digest.update(np.ascontiguousarray(net.weights[path]).tobytes())
    return digest.hexdigest()
