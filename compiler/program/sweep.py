"""Sweeps: which parameters of a train or variant are searched, what for, and how."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field

from compiler.program.requirement import Figure
from compiler.program.train import LARGEST_SEED
from compiler.records import dataclass
from compiler.report.source import Span
from compiler.sweeping.base import Draws, Pruner, Sampler, Space, Value
from compiler.sweeping.conditions import ALWAYS, Condition
from compiler.sweeping.pruners import NoPruner
from compiler.sweeping.samplers import Tpe
from compiler.sweeping.spaces import MOST_COMBINATIONS
from compiler.vocabulary.clauses import SWEEP, Whole, clause

MARK = "#"
"""What stands between a parameter and a number in its key; no name has it."""
MOST_TRIALS = 1_000_000
"""Trials that a sweep may ask for."""


@dataclass(frozen=True)
class Searched:
    """`lr in log_uniform(1e-4, 1e-1)`: a parameter of the item, and the values that it may take in
    trials that fulfil the condition; in others it keeps its default. `number` counts its spaces:
    the branches of an `if` may have some each."""

    parameter: str
    space: Space
    condition: Condition = ALWAYS
    number: int = 1
    span: Span | None = None

    @property
    def key(self) -> str:
        """What a storage calls it: one name there has one space."""
        return self.parameter if self.number == 1 else f"{self.parameter}{MARK}{self.number}"


@dataclass(frozen=True)
class Goal:
    """`maximize val.accuracy`, `minimize latency`."""

    figure: Figure
    higher: bool

    @property
    def name(self) -> str:
        """The figure as it is written."""
        return write_figure(self.figure)

    @property
    def is_epochal(self) -> bool:
        """Whether it is known after every epoch of a training."""
        return self.figure.split == "val"


def write_figure(figure: Figure) -> str:
    """A figure of a trial as it is written."""
    return f"{figure.split}.{figure.name}" if figure.split is not None else figure.name


@SWEEP.fills
@dataclass(frozen=True)
class Sweep:
    """A sweep item, which stands for the train or variant that its best trial has made.

    `of` is the train or variant whose parameters are searched, `item` the one in whose text these
    stand: another one where `of` is a sweep itself, whose best `values` hold for the others then.
    `values` are those that `name` stands for in this program: of the best trial where that is
    `settled`, else the first of every space. `variant` says that trials are variants.
    """

    name: str
    of: str
    item: str
    variant: bool
    searched: tuple[Searched, ...]
    values: Mapping[str, Value]
    settled: bool = False
    digest: str = ""
    """What tells apart what the item is at the ends of all spaces."""
    doc: str = ""
    span: Span | None = None
    maximize: tuple[Figure, ...] = clause(
        "maximize val.accuracy", "a figure that is to be high", default=(), repeats=True
    )
    minimize: tuple[Figure, ...] = clause(
        "minimize params", "a figure that is to be low", default=(), repeats=True
    )
    trials: int | None = clause(
        "trials 40", "how many trials there are", Whole(1, MOST_TRIALS), default=None
    )
    sampler: Sampler = clause("sampler tpe", "how trials draw their values", default_factory=Tpe)
    pruner: Pruner = clause(
        "pruner hyperband", "when a trial is given up early", default_factory=NoPruner
    )
    seed: int = clause("seed 0", "what all draws follow from", Whole(0, LARGEST_SEED), default=0)
    choose: Figure | None = clause(
        "choose val.accuracy",
        "which of several goals decides among the trials that none other is better than in all",
        default=None,
    )
    goals: tuple[Goal, ...] = field(default=(), kw_only=True)
    """What is searched for, in the order of the spec."""

    @property
    def deciding(self) -> Goal | None:
        """The goal in which the best trial is the best; None where several have equal right."""
        if len(self.goals) == 1:
            return self.goals[0]
        named = write_figure(self.choose) if self.choose is not None else ""
        return next((goal for goal in self.goals if goal.name == named), None)

    @property
    def count(self) -> int:
        """How many trials there are to be."""
        found = self.trials or MOST_COMBINATIONS
        if not self.sampler.enumerates:
            return found
        return min(found, len(list_combinations(self, found)))

    @property
    def identity(self) -> tuple[object, ...]:
        """All that trials follow from: another number of them does not change those that there
        are, and neither does which one is chosen."""
        how = (self.searched, self.goals, self.sampler, self.pruner, self.seed)
        return (self.item, self.variant, self.digest, *how)

    def draw(self, trial: Draws) -> dict[str, Value]:
        """The values of a trial."""
        values: dict[str, Value] = {}
        for searched in self.searched:
            if searched.condition.holds(values):
                values[searched.parameter] = searched.space.draw(trial, searched.key)
        return values

    def name_keys(self, values: Mapping[str, Value]) -> dict[str, Value]:
        """The values of a trial by what a storage calls them."""
        known: dict[str, Value] = {}
        for searched in self.searched:
            if searched.condition.holds(values):
                known[searched.key] = values[searched.parameter]
        return known


def list_combinations(sweep: Sweep, most: int) -> list[dict[str, Value]]:
    """The first combinations of values, in the order of the spec: the last parameter changes the
    fastest. All spaces are finite."""
    found: list[dict[str, Value]] = [{}]
    for searched in sweep.searched:
        grid = searched.space.grid
        assert grid is not None, "a grid has finite spaces"
        longer: list[dict[str, Value]] = []
        for values in found:
            if searched.condition.holds(values):
                longer += ({**values, searched.parameter: value} for value in grid)
            else:
                longer.append(values)
        found = longer
    return found[:most]
