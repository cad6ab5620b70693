"""Trains: nets on data, an objective, and who follows which optimizer."""

from __future__ import annotations

from collections.abc import Mapping

from compiler.ir.graph import Graph, Parameter
from compiler.ir.weights import match_paths
from compiler.program.data import DataSet
from compiler.program.net import Net
from compiler.records import dataclass
from compiler.report.source import Span
from compiler.training.base import Metric, Optimizer, Regularizer
from compiler.types.tensor import DType
from compiler.vocabulary.clauses import TRAIN, Choice, DTypeChoice, Whole, WordChoice, clause
from compiler.vocabulary.signature import Direction

LARGEST_SEED = 2**63 - 1
"""PyTorch takes no larger one."""


@dataclass(frozen=True)
class TrainedNet:
    """A net inside a train. `prefix` is where its parameters live in the train's graph
    (`"m."`; empty for `train f of M`); `frozen` are path patterns without gradient."""

    name: str
    net: Net
    prefix: str = ""


@dataclass(frozen=True)
class ParameterGroup:
    """`with OPT over "patterns"`; no patterns: all parameters that no other group claims."""

    optimizer: Optimizer
    patterns: tuple[str, ...] = ()
    span: Span | None = None


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


@TRAIN.fills
@dataclass(frozen=True)
class Train:
    """A train item: nets, data, objective and settings. Its clauses fill its fields.

    `step` is one graph from the data's columns (leading dim `batch`) through the nets (frames)
    to its outputs: `loss` (a scalar), and what metrics read. The nets' frames are children of
    its root frame, so the objective prints as a function that calls the nets.
    """

    name: str
    nets: tuple[TrainedNet, ...]
    data: DataSet
    step: Graph
    doc: str = ""
    span: Span | None = None
    groups: tuple[ParameterGroup, ...] = clause(
        "minimize cross_entropy(logits, label) with adamw(lr=1e-3)",
        "the objective, and the optimizers of groups of parameters",
    )
    metrics: tuple[MetricUse, ...] = clause(
        "metric accuracy = accuracy(logits, label)",
        "a figure of every split",
        default=(),
        repeats=True,
    )
    batch: int = clause("batch 64", "rows per step", Whole(1))
    epochs: int = clause(
        "epochs 30",
        "how often every training row is seen",
        Whole(1, units=("epoch", "epochs")),
    )
    seed: int = clause(
        "seed 0", "what all random numbers follow from", Whole(0, LARGEST_SEED), default=0
    )
    precision: str = clause(
        "precision bf16",
        "mixed precision: bf16 or f16",
        DTypeChoice((DType.BF16, DType.F16, DType.F32)),
        default="f32",
    )
    clip: Clip | None = clause(
        "clip norm=1.0",
        "the longest gradient, as the norm over all parameters, or `value=`, its largest entry",
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
        "parameters or nets that stay as they are",
        default=(),
        repeats=True,
    )

    @property
    def trainable(self) -> Mapping[str, Parameter]:
        """The parameters of the nets, frozen ones too, by the train's paths."""
        return {
            net.prefix + parameter.path: parameter
            for net in self.nets
            for parameter in net.net.graph.parameters
            if parameter.trainable
        }

    def find_held(self, group: ParameterGroup) -> Mapping[str, Parameter]:
        """The parameters that follow a group's optimizer."""
        others = [p for g in self.groups for p in g.patterns]
        frozen = match_paths(self.trainable, self.freeze)
        held = match_paths(self.trainable, group.patterns or ["*"])
        left_out = {*frozen, *(() if group.patterns else match_paths(held, others))}
        return {path: self.trainable[path] for path in held if path not in left_out}
