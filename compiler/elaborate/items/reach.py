"""What the figures of a contract can be at all: bounds that no net can hold, that every net holds,
and that a better net would not hold."""

from __future__ import annotations

from math import inf

from compiler.compression.feasibility import find_number
from compiler.compression.requirements import isolate
from compiler.ir.limits import find_limits
from compiler.program.requirement import Bound, Figure, Quantity, Requirement
from compiler.program.train import Train
from compiler.records import dataclass
from compiler.report.diagnostics import Message
from compiler.report.messages.variants import beyond_best, held_by_all, worse_required
from compiler.training.batch_mean import BatchMean
from compiler.vocabulary.signature import Direction


@dataclass(frozen=True)
class Reach:
    """The least and the greatest that a figure can be, and which of two is better."""

    least: float
    most: float
    better: Direction | None
    counts_rows: bool = False


def find_reach_fault(requirement: Requirement, train: Train | None) -> Message | None:
    """What is wrong with a bound on a single figure of the variant itself. That a cost is bounded
    below what passes can leave is told with the passes (`compiler.compression.feasibility`)."""
    isolated = isolate(requirement)
    if isolated is None or (isolated[0].split is not None and train is None):
        return None
    figure, relation, bound = isolated
    name = f"{figure.split}.{figure.name}" if figure.split is not None else figure.name
    reach, number = find_reach(figure, train), find_number(bound)
    above, strict = relation in ("<", "<="), relation in ("<", ">")
    side = "below" if above else "above"
    if number is not None:
        nearest, farthest = (reach.least, reach.most) if above else (reach.most, reach.least)
        sign = 1 if above else -1
        if sign * (number - nearest) < 0 or (number == nearest and strict):
            if figure.split is None:
                return None
            at_best = reach.better is not None and (reach.better == "lower") == above
            told = f"is {nearest:g} at best" if at_best else f"is never {side} {nearest:g}"
            advice = advise_percent(name, relation, bound, reach)
            return beyond_best(requirement.span, name, told, advice)
        if sign * (number - farthest) > 0 or (number == farthest and not strict):
            other = "above" if above else "below"
            told = f"is never {other} {farthest:g}"
            turned = advise_percent(name, _turn(relation), bound, reach)
            return held_by_all(requirement.span, name, told, turned)
    if reach.better is not None and (reach.better == "higher") == above:
        return worse_required(requirement.span, name, reach.better, _turn(relation))
    return None


def _turn(relation: str) -> str:
    """The same bound from the other side."""
    return relation.translate(str.maketrans("<>", "><"))


def find_reach(figure: Figure, train: Train | None) -> Reach:
    """What a figure can be."""
    if figure.split is None:
        return Reach(0.0, inf, "lower")
    assert train is not None, "metrics belong to trains"
    outputs = {output.name: output.value for output in train.graph.outputs}
    use = next((use for use in train.metrics if use.name == figure.name), None)
    if use is None:  # the loss of a step
        return Reach(*find_limits(train.graph, outputs[figure.name]), "lower")
    metric = use.metric
    if metric.counts_rows:
        return Reach(0.0, 1.0, use.better, counts_rows=True)
    if isinstance(metric, BatchMean):
        parts = metric.pair([find_limits(train.graph, outputs[name]) for name in use.reads])
        bounds = [sorted((part.factor * low, part.factor * high)) for part, (low, high), _ in parts]
        return Reach(sum(low for low, _ in bounds), sum(high for _, high in bounds), use.better)
    if metric.better is None:  # a mean of what is computed
        return Reach(*find_limits(train.graph, outputs[use.reads[0]]), use.better)
    best = metric.best
    least = best if best is not None and metric.better == "lower" else -inf
    return Reach(least, best if best is not None and metric.better == "higher" else inf, use.better)


def advise_percent(name: str, relation: str, bound: Bound, reach: Reach) -> str:
    """How to write a share of rows that was written as a number of percent."""
    if not isinstance(bound, Quantity) or not reach.counts_rows:
        return ""
    percent = 1 < bound.value <= 100 and not bound.text.endswith("%")
    return f"write `{name} {relation} {bound.text}%`" if percent else ""
