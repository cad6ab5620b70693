"""Trains: nets on data, an objective, and who follows which optimizer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from compiler.ir.graph import Graph, Parameter
from compiler.ir.weights import match_paths
from compiler.program.data import DataSet
from compiler.program.net import Net
from compiler.records import dataclass
from compiler.report.source import Span
from compiler.training.base import Metric, Optimizer, Regularizer
from compiler.types.tensor import DType
from compiler.vocabulary.clauses import (
    STEP,
    TRAIN,
    Choice,
    ClauseWord,
    DTypeChoice,
    Flag,
    Whole,
    WordChoice,
    clause,
)
from compiler.vocabulary.net_functions import Average
from compiler.vocabulary.signature import Direction

TF32 = "tf32"
"""f32 whose matrix products take factors of 10 bits behind the point, on GPUs that have it."""
LARGEST_SEED = 2**63 - 1
"""PyTorch takes no larger one."""
EVALUATED = 256
"""Rows at once of a train that trains nothing, where it does not say how many."""


@dataclass(frozen=True)
class TrainedNet:
    """A net inside a train. `prefix` is where its parameters live in the train's graph
    (`"m."`; empty for `train f of M`). With `average` it follows the net under the prefix
    `source`, and is frozen."""

    name: str
    net: Net
    prefix: str = ""
    average: Average | None = None
    source: str = ""


@dataclass(frozen=True)
class ParameterGroup:
    """`with OPT over "patterns"`; no patterns: all parameters that no other group claims. With
    `layer_decay` below 1 each layer becomes a group of its own, whose rate is that share of the
    next one's: a finished train has none such."""

    optimizer: Optimizer
    patterns: tuple[str, ...] = ()
    span: Span | None = None
    layer_decay: float = 1.0


@dataclass(frozen=True)
class TrainStep:
    """An objective, and which parameters follow which optimizer for it.

    A train has one without a name, or several with names: `step critic, every=5steps { … }` is
    taken in every fifth step. `over` are patterns of what it may change; none: all.
    """

    groups: tuple[ParameterGroup, ...]
    name: str = ""
    every: int = 1
    over: tuple[str, ...] = ()
    span: Span | None = None

    @property
    def loss(self) -> str:
        """The output of the train's graph that it lowers, and the figure of a split."""
        return f"{self.name}.loss" if self.name else "loss"


STEP.add(
    ClauseWord(
        "minimize",
        "minimize mean(softplus(-C(fake))) over G with adam(lr=2e-4)",
        "the objective, and the optimizers of groups of parameters",
        required=True,
    )
)
STEP.add(
    ClauseWord(
        "metric",
        "metric distance = mean(C(image)) - mean(C(fake))",
        "a figure of every split",
        repeats=True,
    )
)
TRAIN.add(
    ClauseWord(
        "step",
        "step critic, every=5steps { minimize mean(C(fake)) over C with adam(lr=1e-4) }",
        "one of several objectives that take turns, in the order written",
        repeats=True,
    )
)


STEP.add(
    ClauseWord(
        "update",
        "update gap = 0.9 * gap + 0.1 * mean(C(fake))",
        "what a buffer of the train is behind the step, without gradient",
        repeats=True,
    )
)


@dataclass(frozen=True)
class Thaw:
    """`freeze "stem.*", until=3epochs`: parameters that stay as they are in the first epochs."""

    patterns: tuple[str, ...]
    epochs: int
    span: Span | None = None


@dataclass(frozen=True)
class Update:
    """`update center = 0.9 * center + 0.1 * mean(t, axis=0)`: what a buffer of the train is behind
    the optimizer. `step` is the step around it; empty where it stands in the train itself."""

    buffer: str
    step: str = ""
    span: Span | None = None

    @property
    def output(self) -> str:
        """The output of the train's graph that the buffer becomes."""
        return f"{self.step}.update.{self.buffer}" if self.step else f"update.{self.buffer}"


START_OUTPUT = "start."
"""What the outputs of a train's graph begin with that buffers start as; behind it their names."""


@dataclass(frozen=True)
class Sample:
    """`sample grid = sigmoid(decoder(normal([64, 20]))), every=1epoch`: what is written while
    training. `low` and `high` are the numbers that are black and white; None for what is written
    as numbers."""

    name: str
    every: int = 1
    low: float | None = None
    high: float | None = None
    span: Span | None = None

    @property
    def output(self) -> str:
        """The output of the train's graph that is written."""
        return f"sample.{self.name}"


@dataclass(frozen=True)
class Regularization:
    """`regularize group_lasso(1e-3) over "hidden"`. `layers` are the parameters that it acts on:
    a weight, and its bias where that belongs to its groups."""

    regularizer: Regularizer
    layers: tuple[tuple[str, ...], ...]
    span: Span | None = None


@dataclass(frozen=True)
class MetricUse:
    """`metric name = metric(a, b)`: `arguments` are names of outputs of the train's graph, None
    for an optional operand that is left out. `better` is None where nobody has said which figure
    is: then it chooses nothing."""

    name: str
    metric: Metric
    arguments: tuple[str | None, ...]
    span: Span | None = None
    better: Direction | None = None

    @property
    def reads(self) -> tuple[str, ...]:
        """The outputs that it reads."""
        return tuple(name for name in self.arguments if name is not None)


@dataclass(frozen=True)
class EarlyStop:
    """`until stalled(val.accuracy, epochs=8)`; `metric` may be `loss`."""

    split: str
    metric: str
    epochs: int
    span: Span | None = None


@dataclass(frozen=True)
class Clip:
    """`clip norm=1.0` or `clip value=0.5`: what is bounded, and by what."""

    by: str
    limit: float


STEPS, SECONDS = "steps", "seconds"


@dataclass(frozen=True)
class Checkpoint:
    """`checkpoint every=500steps` or `every=10min`: how often a state is kept within an epoch. What
    `every` counts is its `unit`, steps or seconds."""

    every: float
    unit: str
    span: Span | None = None


@TRAIN.fills
@dataclass(frozen=True)
class Train:
    """A train item: nets, data, objective and settings. Its clauses fill its fields.

    `graph` goes from the data's columns (leading dim `batch`) through the nets (frames)
    to its outputs: the loss of each step (a scalar), and what metrics read. The nets' frames are
    children of its root frame, so the objective prints as a function that calls the nets.
    `arguments` are those of `member(k=0)`, for people: such a train has a name of its own,
    `member_k0`. `thaws` are the parameters that are frozen at first, `buffers` what belongs
    to the train and to no net of it. With `epochs 0` there are no steps: it evaluates.
    """

    name: str
    nets: tuple[TrainedNet, ...]
    data: DataSet
    graph: Graph
    doc: str = ""
    span: Span | None = None
    arguments: str = ""
    thaws: tuple[Thaw, ...] = ()
    steps: tuple[TrainStep, ...] = clause(
        "minimize cross_entropy(logits, label) with adamw(lr=1e-3)",
        "the objective, and the optimizers of groups of parameters",
    )
    buffers: tuple[Parameter, ...] = clause(
        "buffer center: f32[1, 64] = zeros",
        "state of the training, which `update` changes and no optimizer",
        default=(),
        repeats=True,
    )
    updates: tuple[Update, ...] = clause(
        "update center = 0.9 * center + 0.1 * mean(logits, axis=0)",
        "what a buffer of the train is behind every step of the optimizer, without gradient",
        default=(),
        repeats=True,
    )
    metrics: tuple[MetricUse, ...] = clause(
        "metric accuracy = accuracy(logits, label)",
        "a figure of every split",
        default=(),
        repeats=True,
    )
    samples: tuple[Sample, ...] = clause(
        "sample grid = sigmoid(decoder(normal([64, 20]))), every=1epoch",
        "what is written as a picture, or as numbers, while training",
        default=(),
        repeats=True,
    )
    batch: int = clause("batch 64", "rows per step", Whole(1))
    epochs: int = clause(
        "epochs 30",
        "how often every training row is seen; `epochs 0`, without `minimize`, only evaluates",
        Whole(0, units=("epoch", "epochs")),
    )
    seed: int = clause(
        "seed 0", "what all random numbers follow from", Whole(0, LARGEST_SEED), default=0
    )
    epoch_steps: int | None = clause(
        "epoch 500steps",
        "an epoch is so many steps, whatever the rows; these begin again in another order",
        Whole(1, units=("step", "steps"), bare=False),
        default=None,
    )
    accumulate: int = clause(
        "accumulate 4",
        "parts of a batch whose gradients are added up for a step",
        Whole(1),
        default=1,
    )
    precision: str = clause(
        "precision bf16",
        "mixed precision: bf16 or f16; tf32 rounds the factors of matrix products on a GPU",
        DTypeChoice((DType.BF16, DType.F16, DType.F32), (TF32,)),
        default="f32",
    )
    clip: Clip | None = clause(
        "clip norm=1.0",
        "the longest gradient, as the norm over all parameters, or `value=`, its largest entry",
        default=None,
    )
    checkpoint: Checkpoint | None = clause(
        "checkpoint every=500steps",
        "how often a state is kept within an epoch, too, in steps or in time (`every=10min`): an "
        "interrupted training goes on from there",
        default=None,
    )
    layout: str = clause(
        'layout "channels_last"',
        "how images lie in memory; faster for some networks",
        Choice(("channels_last", "contiguous")),
        default="contiguous",
    )
    processes: str = clause(
        "processes ddp",
        "`ddp`: the script shares every batch among the processes of torchrun",
        WordChoice(("one", "ddp")),
        default="one",
    )
    compiled: bool = clause(
        "compile true",
        "the nets are compiled for the training (`torch.compile`): a slow first step, then faster "
        "ones",
        Flag(),
        default=False,
    )
    recomputed: tuple[str, ...] = clause(
        'checkpoint_activations "blocks.*"',
        "blocks and layers that keep no results for the backward pass, which computes them again: "
        "less memory for more time",
        default=(),
        repeats=True,
    )
    loggers: tuple[str, ...] = clause(
        "log tensorboard",
        "what else is told of every epoch: tensorboard, mlflow, trackio, wandb",
        default=(),
        repeats=True,
    )
    until: EarlyStop | None = clause(
        "until stalled(val.loss, epochs=8)",
        "stops early, and keeps the best weights",
        default=None,
    )
    regularizers: tuple[Regularization, ...] = clause(
        'regularize l2(1e-4) over "hidden"',
        "penalizes large weights, or drives whole neurons to zero (`group_lasso`)",
        default=(),
        repeats=True,
    )
    freeze: tuple[str, ...] = clause(
        'freeze "stem.*"',
        "parameters or nets that stay as they are; with `until=3epochs`, in the first epochs",
        default=(),
        repeats=True,
    )

    @property
    def learns(self) -> bool:
        """Whether anything is trained; `epochs 0` only evaluates: there is no loss."""
        return bool(self.steps)

    @property
    def rows(self) -> int:
        """The rows that the objective is computed of at once."""
        return self.batch // self.accumulate

    def count_steps(self, rows: int | None) -> int | None:
        """The steps of an epoch, of so many training rows; None where they follow from these, and
        these are not known."""
        if self.epoch_steps is not None or rows is None:
            return self.epoch_steps
        return max(1, rows // self.batch)

    @property
    def trainable(self) -> Mapping[str, Parameter]:
        """The parameters of the nets, frozen ones too, by the train's paths."""
        return {
            net.prefix + parameter.path: parameter
            for net in self.nets
            for parameter in net.net.graph.parameters
            if parameter.trainable
        }

    def find_alike(self, net: TrainedNet) -> tuple[TrainedNet, ...]:
        """The nets that have the layers of a net because they follow one another: the one that
        learns, and its averages."""
        learner = self.find_learner(net)
        return tuple(other for other in self.nets if self.find_learner(other) is learner)

    def find_learner(self, net: TrainedNet) -> TrainedNet:
        """The net that is trained: the one that an average follows, by way of others too; any
        other net itself."""
        while net.average is not None:
            net = next(other for other in self.nets if other.prefix == net.source)
        return net

    @property
    def groups(self) -> tuple[ParameterGroup, ...]:
        """The groups of parameters of all steps."""
        return tuple(group for step in self.steps for group in step.groups)

    @property
    def losses(self) -> tuple[str, ...]:
        """The outputs of the graph that the steps lower."""
        return tuple(step.loss for step in self.steps)

    def change_groups(
        self, change: Callable[[tuple[ParameterGroup, ...]], tuple[ParameterGroup, ...]]
    ) -> Train:
        """The train with other groups of parameters in each step."""
        steps = tuple(replace(step, groups=change(step.groups)) for step in self.steps)
        return replace(self, steps=steps)

    def find_updated(self, step: TrainStep) -> Mapping[str, Parameter]:
        """The parameters that a step changes."""
        allowed = match_paths(self.trainable, step.over or ["*"])
        frozen = set(match_paths(self.trainable, self.freeze))
        return {path: self.trainable[path] for path in allowed if path not in frozen}

    def find_held(self, step: TrainStep, group: ParameterGroup) -> Mapping[str, Parameter]:
        """The parameters that follow the optimizer of a group of a step."""
        updated = self.find_updated(step)
        others = [p for g in step.groups for p in g.patterns]
        held = match_paths(updated, group.patterns or ["*"])
        left_out = set() if group.patterns else set(match_paths(held, others))
        return {path: updated[path] for path in held if path not in left_out}
