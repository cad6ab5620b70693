"""How much a channel or a weight matters: `importance=l2` and its like."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import ClassVar, final

import numpy as np

from compiler.compression.base import CompressionContext
from compiler.compression.pruning.axes import Place
from compiler.compression.pruning.groups import Channels, Member
from compiler.ir.evaluate import Array, evaluate
from compiler.ir.graph import Graph, Node
from compiler.ir.weighted_net import WeightedNet
from compiler.ops.normalization import BatchNorm
from compiler.records import dataclass
from compiler.report.diagnostics import CompileError
from compiler.report.messages.pruning import no_rows_to_judge_by
from compiler.report.messages.tuning import nothing_to_train_on
from compiler.training.settings import refuse
from compiler.vocabulary.signature import Described, Registry

Figures = Callable[[str], Array | None]
"""The figures of a parameter by path, made when they are asked for: those of all parameters
together would take as much memory as the net."""


class Importance(Described):
    """Base of measures of importance. Subclasses register with `@IMPORTANCES.register`; their
    fields are options (`importance=taylor(rows=256)`)."""

    of_readers: ClassVar[bool] = False
    """Whether only the weights that read a channel tell what it is worth."""
    of_gradients: ClassVar[bool] = False
    """Whether it asks for gradients of the loss of the net's train."""
    of_weights: ClassVar[bool] = True
    """Whether it tells what single weights are worth."""

    def __post_init__(self) -> None:
        self.check()

    def check(self) -> None:
        """Refuses settings that mean nothing.

        Raises:
            Fault: which setting, and why.
        """

    def find_scored(self, graph: Graph) -> Collection[str] | None:
        """The parameters that alone tell what a channel is worth; None where all may."""
        return None

    @abstractmethod
    def measure(self, net: WeightedNet, channels: Channels, context: CompressionContext) -> Figures:
        """A figure for each number of a parameter, by its path; None where it does not count.

        Raises:
            CompileError: the context lacks what it is measured by.
        """

    def combine(self, sums: Sequence[Array]) -> Array:
        """The importance of each channel from the sums of its figures in each of the parameters
        that it stands in, `[channels]` each."""
        total: Array = np.sum(sums, axis=0)
        return total


IMPORTANCES: Registry[Importance] = Registry("importance")
"""Every measure of importance by name."""


def score_channels(
    importance: Importance, net: WeightedNet, channels: Channels, context: CompressionContext
) -> list[Array | None]:
    """The importance of each channel of each group, relative to the mean of its group; None for
    a group that the measure says nothing about."""
    figures = importance.measure(net, channels, context)
    readers = {weight[1:] for _, weight in channels.readings if weight is not None}
    found: list[Array | None] = []
    for group in channels.groups:
        members = [
            m for m in group.members if not importance.of_readers or (m.path, m.axis) in readers
        ]
        sums = [_sum_by_channel(m, a) for m in members if (a := figures(m.path)) is not None]
        if not sums:
            found.append(None)
            continue
        scores = importance.combine(sums)
        mean = float(scores.mean())
        found.append(scores / mean if mean > 0 else scores)
    return found


def _sum_by_channel(member: Member, figures: Array) -> Array:
    """The sum of the figures of a parameter that belong to each channel."""
    others = tuple(a for a in range(figures.ndim) if a != member.axis)
    lines = figures.sum(axis=others, dtype=np.float64)
    total: Array = lines[member.entries].sum(axis=1)
    return total


def _measure_trained(net: WeightedNet, function: Callable[[Array], Array]) -> Figures:
    """A function of the numbers of every parameter that is trained."""
    trained = {p.path for p in net.graph.parameters if p.trainable and p.value.type.dtype.is_float}
    return lambda path: function(_numbers(net, path)) if path in trained else None


def _numbers(net: WeightedNet, path: str) -> Array:
    return np.asarray(net.weights[path], np.float32)


@IMPORTANCES.register
@final
@dataclass(frozen=True)
class L1(Importance):
    """The sum of the absolute values of all weights of a channel, those that make it and those
    that read it; of a weight, its own.

    Example: `apply prune(channels=50%, importance=l1)`
    Source: Li et al. 2017, https://arxiv.org/abs/1608.08710
    """

    name = "l1"

    def measure(self, net: WeightedNet, channels: Channels, context: CompressionContext) -> Figures:
        return _measure_trained(net, np.abs)


@IMPORTANCES.register
@final
@dataclass(frozen=True)
class L2(Importance):
    """The Euclidean length of all weights of a channel, those that make it and those that read
    it; of a weight, its size.

    Example: `apply prune(channels=50%, importance=l2)`
    Source: Fang et al. 2023, https://arxiv.org/abs/2301.12900
    """

    name = "l2"

    def measure(self, net: WeightedNet, channels: Channels, context: CompressionContext) -> Figures:
        return _measure_trained(net, np.square)

    def combine(self, sums: Sequence[Array]) -> Array:
        total: Array = np.sqrt(super().combine(sums))
        return total


@IMPORTANCES.register
@final
@dataclass(frozen=True)
class Taylor(Importance):
    """How much the loss would change without the channel, to first order: `(Σ gradient * weight)²`,
    summed over the parameters it stands in.

    - `rows`: training rows over which gradients are averaged.

    Example: `apply prune(channels=50%, importance=taylor(rows=256))`
    Source: Molchanov et al. 2019, https://arxiv.org/abs/1906.10771
    """

    name = "taylor"
    of_gradients = True
    rows: int = 512

    def check(self) -> None:
        if self.rows < 1:
            refuse(self.name, "rows", self.rows, "at least 1")

    def measure(self, net: WeightedNet, channels: Channels, context: CompressionContext) -> Figures:
        if context.trainer is None:
            raise CompileError([nothing_to_train_on(context.span, "prune(importance=taylor)")])
        found = context.trainer.gradients(net, self.rows)
        return lambda path: _numbers(net, path) * found[path] if path in found else None

    def combine(self, sums: Sequence[Array]) -> Array:
        return super().combine([np.square(each) for each in sums])


@IMPORTANCES.register
@final
@dataclass(frozen=True)
class BatchNormScale(Importance):
    """The scale that a batch norm gives the channel. Groups of channels without a batch norm are
    left alone.

    Example: `apply prune(channels=50%, importance=batch_norm)`
    Source: Liu et al. 2017, https://arxiv.org/abs/1708.06519
    """

    name = "batch_norm"
    of_weights = False

    def find_scored(self, graph: Graph) -> Collection[str]:
        """The scales of batch norms."""
        return {
            node.inputs[1].name
            for node in graph.nodes
            if isinstance(node.op, BatchNorm) and node.op.affine and node.inputs[1] is not None
        }

    def measure(self, net: WeightedNet, channels: Channels, context: CompressionContext) -> Figures:
        scales = self.find_scored(net.graph)
        return lambda path: np.abs(_numbers(net, path)) if path in scales else None


@IMPORTANCES.register
@final
@dataclass(frozen=True)
class Activation(Importance):
    """The length of the weights that read a channel, times the root mean square of what they
    read. Inside a `scan`, and in a convolution in groups, the weights count alone.

    - `rows`: training rows over which the mean is taken.

    Example: `apply prune(channels=50%, importance=activation)`
    Source: Sun et al. 2024, https://arxiv.org/abs/2306.11695
    """

    name = "activation"
    of_readers = True
    rows: int = 256

    def check(self) -> None:
        if self.rows < 1:
            refuse(self.name, "rows", self.rows, "at least 1")

    def measure(self, net: WeightedNet, channels: Channels, context: CompressionContext) -> Figures:
        if context.samples is None:
            raise CompileError([no_rows_to_judge_by(context.span, "importance=activation")])
        reads = [(a, b) for a, b in channels.readings if b is not None and b[1] in net.weights]
        squares = _mean_squares(net, {a for a, _ in reads if not a[0]}, context, self.rows)
        factors: dict[str, list[Array]] = {}
        for operand, (_, path, axis) in reads:
            shape = net.weights[path].shape
            factors.setdefault(path, []).append(_spread(squares.get(operand), shape, axis))

        def figure(path: str) -> Array:
            if path not in factors:
                return np.square(_numbers(net, path))
            found: Array = np.square(_numbers(net, path)) * np.sum(factors[path], axis=0)
            return found

        return figure

    def combine(self, sums: Sequence[Array]) -> Array:
        total: Array = np.sqrt(super().combine(sums))
        return total


def _spread(squares: Array | None, shape: Sequence[int], axis: int) -> Array:
    """Mean squares along an axis of a weight, of shape `[1, …, size, …, 1]`. Where every group
    of channels meets the same axis of the weight, it is their mean."""
    lined = [-1 if a == axis else 1 for a in range(len(shape))]
    if squares is None:
        return np.ones([*lined[:axis], 1, *lined[axis + 1 :]])
    grouped: Array = squares.reshape(-1, shape[axis]).mean(axis=0).reshape(lined)
    return grouped


def _mean_squares(
    net: WeightedNet, places: set[Place], context: CompressionContext, rows: int
) -> Mapping[Place, Array]:
    """The mean square of a value over everything but one axis, over calibration rows."""
    assert context.samples is not None, "callers look whether there are rows"
    wanted: dict[str, list[int]] = {}
    for _, name, axis in places:
        wanted.setdefault(name, []).append(axis)
    sums: dict[Place, Array] = {}
    counts: dict[Place, int] = {}

    def add(name: str, array: Array) -> None:
        for axis in wanted.get(name, ()):
            others = tuple(a for a in range(array.ndim) if a != axis)
            total = np.square(array, dtype=np.float64).sum(axis=others)
            sums["", name, axis] = sums.get(("", name, axis), 0) + total
            counts["", name, axis] = counts.get(("", name, axis), 0) + array.size // len(total)

    def watch(node: Node, results: tuple[Array, ...]) -> None:
        for value, array in zip(node.outputs, results, strict=True):
            add(value.name, array)

    for batch in context.samples.batches(rows):
        for name, array in batch.items():
            add(name, np.asarray(array))
        evaluate(net.graph, net.weights, batch, watch=watch)
    return {place: total / counts[place] for place, total in sums.items()}
