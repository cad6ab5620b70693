"""One trial of a sweep: an ordinary training, or an ordinary variant, in a folder of its own."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from backends.onnx_runtime.session import Device
from backends.pytorch.run.running import read_metrics, read_results
from compiler.compression.contracts import Verdict
from compiler.compression.requirements import find_all
from compiler.compression.wording import describe_requirement
from compiler.ir.memory import need_weights
from compiler.program.program import Program
from compiler.program.sweep import Goal
from compiler.program.train import Train
from compiler.program.variant import Variant
from compiler.report.diagnostics import CompileError
from compiler.report.messages.item_names import folder_in_use
from weft.building.build_outputs import open_context
from weft.building.figures import count_numbers
from weft.building.plan import order_trains
from weft.building.stage import BuildContext, fingerprint
from weft.building.train_stages import TrainStages
from weft.building.variant_stages import VariantStages
from weft.deployed.trained_data import find_data
from weft.results.chosen import TRIALS
from weft.results.lock import hold_folder
from weft.results.progress import Follow

PAUSE = 0.5
"""Seconds between two looks at a folder that another process holds."""


class GivenUp(Exception):
    """Ends a training that the pruner thinks nothing of."""


@dataclass(frozen=True)
class Reached:
    """What a trial has come to: its figures by name (`val.accuracy`, `latency`), the seconds that
    its making took, now or before, its folder, and the requirements that do not hold."""

    figures: Mapping[str, float]
    seconds: float
    place: Path
    broken: tuple[str, ...] = ()

    def find(self, goals: tuple[Goal, ...]) -> tuple[float, ...]:
        """The figures of the goals; not a number where one was not measured."""
        return tuple(self.figures.get(goal.name, math.nan) for goal in goals)


@dataclass(frozen=True)
class Trial:
    """A trial of the sweep `name`, which stands for its values in the program. `folder` is the
    build's."""

    program: Program
    name: str
    folder: Path
    device: Device
    follow: Follow

    @property
    def place(self) -> Path:
        """The folder of this trial and of all that are equal to it."""
        return self.folder / self.name / TRIALS / self.key

    @property
    def key(self) -> str:
        """What tells it apart: what is made, and the data."""
        made: list[object] = []
        if self.name in self.program.variants:
            made += [self.program.variants[self.name]]
        for train in self.trains:
            made += [train, *find_data(train, self.program.source.folder)]
        return fingerprint(*made)[:16]

    @property
    def trains(self) -> tuple[Train, ...]:
        """The trains that are needed, each behind those that it starts from."""
        return order_trains(self.program, find_trains(self.program, self.name))

    def run(self) -> Reached:
        """Makes it, or finds it made.

        Raises:
            CompileError: a training or a pass failed.
            GivenUp: `follow` has ended it.
        """
        with wait_for(self.place):
            context = open_context(self.place, self.device, be_silent, be_silent)
            for train in self.trains:
                need_weights(train.graph)
                follow = self.follow if train.name == self.name else be_deaf
                self.open(train, context, follow).run()
            if self.name in self.program.variants:
                return self.make_variant(context)
            return self.measure_training(context)

    def open(self, train: Train, context: BuildContext, follow: Follow) -> TrainStages:
        """A training in the folder of the trial; those that the build has are taken from there."""
        folder = self.place / train.name
        return TrainStages(train, self.program, folder, context, self.folder, follow)

    def measure_training(self, context: BuildContext) -> Reached:
        """The figures of a training, and of its net where a goal asks for them."""
        train, sweep = self.program.trains[self.name], self.program.sweeps[self.name]
        results = read_results(self.place / train.name)
        figures = {f"{s}.{n}": v for s, found in results.figures.items() for n, v in found.items()}
        costs = {goal.figure.name for goal in sweep.goals if goal.figure.split is None}
        if costs == {"params"}:
            figures["params"] = float(sum(count_numbers(net.net.graph) for net in train.nets))
        elif costs:
            figures |= measure_net(self.program, train, context)
        return Reached(figures, results.seconds, self.place)

    def make_variant(self, context: BuildContext) -> Reached:
        """A variant, and those that its contract speaks of."""
        begun = time.perf_counter()
        sweep = self.program.sweeps[self.name]
        splits = tuple(g.figure.split for g in sweep.goals if g.figure.split is not None)
        stages = VariantStages(self.program, context, splits=splits)
        for variant in list_variants(self.program, self.program.variants[self.name]):
            outcome = stages.run(variant)
        own = outcome.own
        figures = {name: found.value for name, found in own.plain.items()}
        figures |= {
            f"{s}.{n}": m.value for s, found in own.splits.items() for n, m in found.items()
        }
        failed = (j for j in outcome.judgements if j.verdict is Verdict.FAIL)
        broken = tuple(describe_requirement(judgement.requirement) for judgement in failed)
        return Reached(figures, time.perf_counter() - begun, self.place, broken)


def find_trains(program: Program, name: str) -> set[str | None]:
    """The trains that something of a sweep's name needs to be there."""
    variant = program.variants.get(name)
    if variant is None:
        return {name}
    known = list_variants(program, variant)
    owners = {f.owner for v in known for r in v.requires for f in find_all(r)}
    return {*(v.train for v in known), *(owner for owner in owners if owner in program.trains)}


def list_variants(program: Program, variant: Variant) -> list[Variant]:
    """A variant behind those that its contract is held against."""
    found: dict[str, Variant] = {}

    def add(one: Variant) -> None:
        for requirement in one.requires:
            for figure in find_all(requirement):
                other = program.variants.get(figure.owner or "")
                if other is not None and other.name not in found:
                    add(other)
        found[one.name] = one

    add(variant)
    return list(found.values())


def measure_net(program: Program, train: Train, context: BuildContext) -> dict[str, float]:
    """Size, parameters, operations, memory and latency of the net of a training, as a contract
    counts them: its ONNX file is written, verified and measured."""
    (net,) = train.nets
    name = f"{train.name}_net"
    alone = Variant(name, train.name, net.name, net.net.graph, prefix=net.prefix, span=train.span)
    program = replace(program, variants={name: alone}, deploys=())
    plain = VariantStages(program, context).run(alone).own.plain
    return {word: measured.value for word, measured in plain.items()}


@contextmanager
def wait_for(folder: Path) -> Iterator[None]:
    """Holds a folder; waits where another process does: an equal trial of its own.

    Raises:
        CompileError: there is a link in it.
    """
    while True:
        held = hold_folder(folder)
        try:
            held.__enter__()
        except CompileError as error:
            if any(message.kind is not folder_in_use for message in error.messages):
                raise
            time.sleep(PAUSE)
            continue
        break
    try:
        yield
    finally:
        held.__exit__(None, None, None)


def watch(
    goal: Goal, metrics: Path, report: Callable[[float, int], None], judge: Callable[[], bool]
) -> Follow:
    """Tells a pruner the goal after every epoch, those before an interruption too, and ends the
    training where it says so."""
    told: set[int] = set()

    def follow(record: Mapping[str, float]) -> None:
        for known in (*read_metrics(metrics), record):
            epoch, value = int(known["epoch"]), known.get(goal.name)
            if epoch in told or epoch > record["epoch"] or value is None:
                continue
            told.add(epoch)
            if math.isfinite(value):
                report(value, epoch)
        if judge():
            raise GivenUp

    return follow


def be_deaf(record: Mapping[str, float]) -> None:
    """Takes the place of a bar."""


def be_silent(text: str) -> None:
    """Takes the place of printing."""
