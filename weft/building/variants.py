"""The stages of a variant: its passes in order, each remembered, then its file."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backends.pytorch.run.tuning import make_trainer
from compiler.compression.base import CompressionContext, CompressionPass, pass_of
from compiler.compression.context import Goal, LayerNote
from compiler.compression.effects import find_idleness
from compiler.compression.low_rank.merging import merge_adapters
from compiler.ir.verify import verify_graph
from compiler.ir.weighted_net import WeightedNet
from compiler.loading import find_weights, read_trained, refuse_numbers
from compiler.program.deploy import Deploy
from compiler.program.program import Program
from compiler.program.train import Train
from compiler.program.variant import Step, Target, Variant
from compiler.report.diagnostics import CompileError
from compiler.vocabulary.signature import write_call
from weft.building.compression_context import (
    DataSamples,
    OnnxLatencyMeter,
    OnnxSizeMeter,
    RowPlan,
    SplitEvaluator,
    SyntheticSamples,
    TrialFile,
)
from weft.building.stage import BuildContext, Metadata, Stage, fingerprint
from weft.deployed.exporting import ExportSpec, make_export_spec, open_preprocessing
from weft.deployed.measuring import BoundNet
from weft.deployed.sizing import KnownSizes, find_known
from weft.deployed.trained_data import BEST, find_data
from weft.results.nets import Passed, list_net, read_net, write_net
from weft.results.progress import follow_steps

Array = NDArray[Any]


@dataclass
class VariantBuild:
    """The passes of a variant in a build. `goals` are asked for by passes that choose settings;
    `passed` is what each pass so far has made."""

    program: Program
    variant: Variant
    context: BuildContext
    find_goals: Callable[[], tuple[Goal, ...]] = tuple
    passed: list[Passed] = field(default_factory=list)

    @property
    def journal(self) -> list[LayerNote]:
        """What the passes so far have said."""
        return [note for _, notes in self.passed for note in notes]

    @property
    def folder(self) -> Path:
        """Of the build."""
        return self.context.cache.folder

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
    def deploy(self) -> Deploy | None:
        """The first deployment of a variant says what its file is like: that is the one contracts
        speak of."""
        return next((d for d in self.program.deploys if d.variant == self.name), None)

    @cached_property
    def spec(self) -> ExportSpec:
        """What is around the net in its file."""
        return self.make_spec(self.deploy)

    def make_spec(self, deploy: Deploy | None) -> ExportSpec:
        """What a deployment of the variant asks of its file; the defaults without one."""
        source = self.program.source
        spec = make_export_spec(deploy, source, self.variant.span)
        if deploy is None:
            return spec
        opened = open_preprocessing(deploy, source.folder)
        return replace(
            spec,
            outputs=deploy.outputs,
            preprocess=deploy.preprocess,
            columns=deploy.columns,
            fitted=opened.fitted,
            rows=opened.rows,
        )

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
            root = self.program.source.folder
            weights = find_weights(variant.source, root, results=self.folder)
        else:
            weights = {p: self.trained[variant.prefix + p] for p in variant.graph.parameter}
        types = {p.path: p.value.type.dtype.numpy for p in variant.graph.parameters}
        numbers = {p: np.array(weights[p], dtype=types[p]) for p in types}
        refuse_numbers(variant.graph, numbers, "", variant.span)
        return merge_adapters(variant.graph, numbers)

    @cached_property
    def base_key(self) -> str:
        """What all passes start from."""
        return fingerprint(self.base, self.train_text if self.train is not None else "")

    @cached_property
    def data_key(self) -> str:
        """What tells whether the data of the train is still the same."""
        assert self.train is not None
        return fingerprint(*find_data(self.train, self.program.source.folder))

    @cached_property
    def train_text(self) -> str:
        """What the train says that passes read: rows, objective, metrics, settings."""
        return fingerprint(self.train, self.data_key)

    @property
    def trial_key(self) -> str:
        """What figures of trials follow from besides the net, the passes and the target: the form
        of the file, the data and what is done with them. The script says that without the lines
        of the spec, so that trials are recalled when only these have moved."""
        if self.train is None:
            return fingerprint(self.spec.asked)
        script = self.folder / self.train.name / "train.py"
        return fingerprint(self.spec.asked, self.data_key, script)

    @property
    def figure_reads(self) -> tuple[object, ...]:
        """What figures follow from besides the files and the target."""
        return (self.train_text, self.trained) if self.train is not None else ()

    @cached_property
    def trained(self) -> dict[str, Array]:
        """All trained weights of the train, by its paths."""
        train = self.train
        assert train is not None
        return read_trained(train, self.folder / train.name / BEST, train.span)

    @cached_property
    def place(self) -> BoundNet | None:
        """Where the net stands in its train."""
        if self.train is None:
            return None
        root = self.program.source.folder
        return BoundNet(self.train, self.variant.net, root, None, self.trained)

    # --- passes -----------------------------------------------------------------------------

    def run(self) -> WeightedNet:
        """The net after all passes; those whose results are known are not run again.

        Raises:
            CompileError: a pass cannot do what is asked of it.
        """
        for stage in self.plan():
            self.passed.append(self.context.make(stage))
        return self.net

    def recall(self) -> WeightedNet | None:
        """The net after all passes, if a build has made it and nothing has changed since."""
        stages = list(self.plan())
        if not all(map(self.context.is_fresh, stages)):
            return None
        known = self.context.recall(stages[-1]) if stages else (self.base, ())
        return known[0] if known is not None else None

    @property
    def net(self) -> WeightedNet:
        """The net after the passes so far."""
        return self.passed[-1][0] if self.passed else self.base

    @property
    def key(self) -> str:
        """What the net after all passes follows from."""
        return [self.base_key, *(stage.key for stage in self.plan())][-1]

    def plan(self) -> Iterator[Stage[Passed]]:
        """A stage for each pass. A pass that reads the contract follows from its words: what is
        measured for them differs from run to run."""
        key = self.base_key
        for number, step in enumerate(self.variant.steps, 1):
            compression = pass_of(step)
            following = tuple(pass_of(later) for later in self.variant.steps[number:])
            reads: tuple[object, ...] = (key, compression, self.target)
            if compression.reads_goals:
                # Sizes that are searched for are those of the file as it is deployed, and nets
                # are judged as the passes behind leave them.
                reads += (self.variant.requires, self.spec.asked, following)
            path = self.steps_folder / f"{number}_{compression.name}"
            stage = Stage(
                name_stage(self.variant, number),
                reads,
                partial(self.apply, step, following, path),
                list_net(path),
                partial(self.read, path),
                notes={"pass": write_call(step.compression)},
                begins="",
            )
            key = stage.key
            yield stage

    def read(self, path: Path, _: Metadata) -> Passed | None:
        """What a pass has left."""
        return read_net(path, self.base.graph)

    def apply(self, step: Step, following: tuple[CompressionPass, ...], path: Path) -> Passed:
        """Runs one pass on the net that those before it have made, and writes what it makes.

        Raises:
            CompileError: the pass cannot do what is asked of it.
        """
        compression = pass_of(step)
        goals = self.find_goals() if compression.reads_goals else ()
        with follow_steps() as progress:
            context = self.make_context(progress, goals)
            context = replace(context, span=step.span, following=following, journal=self.journal)
            made = compression.run(self.net, context)
        verify_graph(made.graph)
        notes = context.journal[len(self.journal) :]
        fault = find_idleness(compression, self.net, made, notes, step.span)
        if fault is not None:
            raise CompileError([fault])
        write_net(made, notes, path)
        return made, notes

    def make_context(
        self, progress: Callable[[str, int, int], None] | None, goals: tuple[Goal, ...] = ()
    ) -> CompressionContext:
        """What passes see."""
        variant, train = self.variant, self.train
        graph, target = self.base.graph, self.target
        plain = ExportSpec(self.spec.opset)
        context = CompressionContext(
            target=target,
            samples=SyntheticSamples(graph, target),
            latency_meter=OnnxLatencyMeter(graph, target, plain),
            size_meter=OnnxSizeMeter(self.spec),
            trial_store=TrialFile.open(self.steps_folder / "trials.jsonl", self.trial_key),
            goals=goals,
            original=self.base,
            progress=progress,
        )
        if train is None or self.place is None:
            return context
        plan = RowPlan(self.place, train.seed)
        trainer = make_trainer(
            train,
            variant.net,
            self.folder / self.name,
            data_root=self.program.source.folder,
            weights=self.trained,
            device=self.context.device.value,
            files=self.context.files,
        )
        evaluator = SplitEvaluator(plan, self.spec.opset)  # by the loss, if there is one
        return replace(
            context,
            samples=DataSamples(plan),
            evaluator=evaluator if len(plan.judgement) and train.learns else None,
            trainer=trainer,
            seed=train.seed,
        )


def name_stage(variant: Variant, number: int) -> str:
    """The name of the stage of a pass, counted from 1."""
    return f"variant {variant.name}: {number} {variant.steps[number - 1].compression.name}"
