"""Contracts as bounds on single figures, for passes that choose their settings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from compiler.compression.base import CompressionContext
from compiler.compression.context import Goal
from compiler.compression.contracts import evaluate_bound
from compiler.compression.requirements import isolate
from compiler.compression.sizes import choose_sizes
from compiler.ir.weighted_net import WeightedNet
from compiler.program.requirement import Figure
from weft.building.figures import COUNTED, count_figure

if TYPE_CHECKING:
    from weft.building.outcomes import Outcome
    from weft.building.variants import VariantBuild


def find_goals(build: VariantBuild, done: Mapping[str, tuple[object, Outcome]]) -> tuple[Goal, ...]:
    """The requirements of a variant with all figures of others put in.

    A metric is carried over to the rows that the evaluator reads: what the contract leaves below
    the net before any pass there, it leaves here. A requirement in which the variant's own figure
    stands in a product or twice becomes no goal: it is checked at the end like every other.
    """
    context = build.make_context(None)
    values = _Values(build, context, done)
    return tuple(_find(build, values))


def _find(build: VariantBuild, values: _Values) -> Iterator[Goal]:
    for requirement in build.variant.requires:
        isolated = isolate(requirement)
        if isolated is None:
            continue
        figure, relation, bound = isolated
        if figure.split is not None and values.context.evaluator is None:
            continue  # a single row, which calibration has
        number = evaluate_bound(bound, values)
        least = ">=" if relation in (">=", ">") else "<="
        yield Goal(figure.name, least, float(number), requirement.span)


class _Values:
    """Figures of others as passes can know them: of the net before any pass, or of a variant
    that was made before."""

    def __init__(
        self,
        build: VariantBuild,
        context: CompressionContext,
        done: Mapping[str, tuple[object, Outcome]],
    ) -> None:
        self.build = build
        self.context = context
        self.done = done
        self.scores: Mapping[str, float] | None = None

    def __getitem__(self, figure: Figure) -> float:
        if figure.owner is not None and figure.owner in self.done:
            measured = self.done[figure.owner][1].own.find(figure)
            assert measured is not None, "elaboration knows every figure"
            return measured.value
        return self.measure(figure, self.build.base)

    def measure(self, figure: Figure, net: WeightedNet) -> float:
        """A figure of a net before any pass."""
        context = self.context
        if figure.split is not None:
            if self.scores is None:
                assert context.evaluator is not None, "a metric needs data"
                self.scores = context.evaluator.score(net)
            return self.scores[figure.name]
        if figure.name == "latency" and context.latency_meter is not None:
            return context.latency_meter.compare([net])[0]
        if figure.name == "size" and context.size_meter is not None:
            return float(context.size_meter.weigh(net))
        if figure.name in COUNTED:
            return count_figure(figure.name, net.graph, choose_sizes(net.graph, self.build.target))
        return 0.0  # the error of the net before any pass against itself
