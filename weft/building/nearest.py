"""Why a contract failed, and the nearest settings that hold it, as far as a few tries show."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from compiler.compression.base import CompressionContext, CompressionPass, pass_of
from compiler.compression.contracts import Judgement, is_kept
from compiler.compression.figures import Kind
from compiler.compression.requirements import isolate
from compiler.compression.search.trials import measure_error
from compiler.compression.sizes import choose_sizes
from compiler.compression.wording import (
    describe_bound,
    describe_requirement,
    find_kind,
    format_value,
)
from compiler.ir.weighted_net import WeightedNet
from compiler.program.requirement import Figure, Quantity
from compiler.report.diagnostics import CompileError, Message
from compiler.report.messages.contracts import contract_failed
from compiler.vocabulary.signature import Direction
from weft.building.figures import COUNTED, count_figure

if TYPE_CHECKING:
    from weft.building.outcomes import Outcome
    from weft.building.variants import VariantBuild

STRONGER = {"channels": 1, "weights": 1, "energy": -1, "budget": -1}
"""Settings that are shares: whether more of one makes the net smaller."""
STEPS = tuple(step / 20 for step in range(1, 10))
"""How far a setting is moved, the nearest first."""
PATIENCE = 20.0
"""Seconds after which no further setting is tried."""
HOW = {"error": "tried without training, on calibration rows"}
"""How a figure was tried, where it is not counted or timed."""
ON_VALIDATION = "tried without training, on validation rows"
"""How metrics are tried: no other split is read for a choice."""


def explain_failure(
    build: VariantBuild, net: WeightedNet, outcome: Outcome, judgement: Judgement
) -> Message:
    """The message about a requirement that does not hold."""
    requirement = judgement.requirement
    measured = f"{describe_bound(requirement.left)} is {_show(judgement, judgement.left)}"
    metrics = build.train.metrics if build.train is not None else ()
    missed = _describe_miss(judgement, {u.name for u in metrics if u.metric.counts_rows})
    if judgement.undecided:
        missed += f"; undecidable at n = {judgement.rows:,}, {judgement.needed:,} rows would decide"
    failing = [j for j in outcome.judgements if j.verdict == judgement.verdict]
    binding = ""
    if len(failing) > 1:
        worst = max(failing, key=_miss)
        binding = f"the binding constraint is `{describe_requirement(worst.requirement)}`"
    return contract_failed(
        requirement.span,
        outcome.variant.name,
        measured,
        missed,
        binding,
        tuple(find_sensitive(outcome)),
        find_nearest(build, net, judgement),
    )


def _describe_miss(judgement: Judgement, shares: Collection[str]) -> str:
    """`2.6 KiB above 9.0 KiB (= fit.size)`; `shares` are metrics whose differences are points."""
    requirement = judgement.requirement
    bound = _show(judgement, judgement.right)
    if not isinstance(requirement.right, Quantity):
        bound += f" (= {describe_bound(requirement.right)})"
    if judgement.gap == 0:
        return f"not {'below' if requirement.relation == '<' else 'above'} {bound}"
    word = "above" if judgement.gap > 0 else "below"
    return f"{_show_gap(judgement, shares)} {word} {bound}"


def _miss(judgement: Judgement) -> float:
    """By what share of the bound a requirement is missed."""
    return abs(judgement.gap) / max(abs(judgement.right), 1e-12)


def _show(judgement: Judgement, value: float) -> str:
    return format_value(value, judgement.requirement.left)


def _show_gap(judgement: Judgement, shares: Collection[str]) -> str:
    left = judgement.requirement.left
    if isinstance(left, Figure) and left.name in shares and abs(judgement.gap) < 1:
        return f"{abs(judgement.gap) * 100:.2f} points"
    if find_kind(left) is Kind.PLAIN and abs(judgement.gap) < 1:
        return f"{abs(judgement.gap):.4g}"
    return format_value(abs(judgement.gap), left)


def find_sensitive(outcome: Outcome, count: int = 3) -> Iterator[str]:
    """The layers with the most noise at their outputs."""
    known = [row for row in outcome.layers if row.sqnr is not None]
    for row in sorted(known, key=lambda row: row.sqnr or 0.0)[:count]:
        yield f"{row.path} (SQNR {row.sqnr:.1f} dB)"


# --- nearest settings ---------------------------------------------------------------------------


def find_nearest(build: VariantBuild, net: WeightedNet, judgement: Judgement) -> str:
    """The nearest setting of one pass at which a figure holds, tried without any training, or why
    none was tried; empty where none was found. `net` is what the spec's settings
    have made: latencies are taken in turns with it, so that they compare with the judged one."""
    isolated = isolate(judgement.requirement)
    if isolated is None:
        return "no setting was tried, because the figure is not alone on its side"
    figure, relation, _ = isolated
    if figure.name == "error" and any(pass_of(s).trains for s in build.variant.steps):
        return "no setting was tried, because training moves the outputs as well"
    own, bound = judgement.left, judgement.right
    if figure is not judgement.requirement.left:
        own, bound = bound, own
    better = _find_better(build, figure)
    if better is None:
        unknown = f"it is not known whether a higher `{figure.name}` is better"
        return f"no setting was tried, because {unknown}: `better=` says it"
    context = build.make_context(None)
    if figure.split is not None and context.evaluator is None:
        return ""
    quality = figure.split is not None or figure.name == "error"
    shrink = asks_for_less(relation, better, quality=quality)
    known = Measurement(net, own, judge_quality(build, net, context, figure) if quality else 0.0)
    start = time.monotonic()
    for index, name, value, changed in _find_settings(build, shrink):
        if time.monotonic() - start > PATIENCE:
            break
        try:
            made = _try(build, index, changed, context)
            found = take_figure(build, made, context, figure, known)
        except CompileError:
            continue  # a setting that the net does not allow
        if is_kept(relation, found - bound):
            step = pass_of(build.variant.steps[index]).name
            shown = describe_found(figure, found)
            return f"`{step}({name}={value:.0%})` {shown}"
    return ""


def asks_for_less(relation: str, better: Direction, *, quality: bool) -> bool:
    """Whether a requirement is nearer with more taken away from a net. Costs improve with that;
    quality gets worse, and comes back with what was taken away."""
    improves = (relation in (">=", ">")) == (better == "higher")
    return improves is not quality


def _find_better(build: VariantBuild, figure: Figure) -> Direction | None:
    """Which value of a figure is better; None where it is not known of a metric."""
    if figure.split is None or build.train is None or figure.name in build.train.losses:
        return "lower"
    return next(use.better for use in build.train.metrics if use.name == figure.name)


def describe_found(figure: Figure, found: float) -> str:
    """`holds it: size 4.9 KiB (tried)`; what was carried over from other rows only should."""
    what, shown = describe_bound(figure), format_value(found, figure)
    how = ON_VALIDATION if figure.split is not None else HOW.get(figure.name)
    if how is None:
        return f"holds it: {what} {shown} (tried)"
    return f"should hold it: {what} about {shown} ({how})"


def _find_settings(
    build: VariantBuild,
    shrink: bool,
) -> Iterator[tuple[int, str, float, CompressionPass]]:
    """Settings beside the spec's, the nearest first."""
    for distance in STEPS:
        for index, step in enumerate(build.variant.steps):
            for name, sign in STRONGER.items():
                value = getattr(pass_of(step), name, None)
                if not isinstance(value, float):
                    continue
                moved = value + (sign if shrink else -sign) * distance
                if 0.02 < moved < 0.98:
                    changed: Any = replace(pass_of(step), **{name: round(moved, 2)})  # type: ignore[type-var]
                    yield index, name, round(moved, 2), changed


def _try(
    build: VariantBuild, index: int, changed: CompressionPass, context: CompressionContext
) -> WeightedNet:
    """The variant's net with another setting, without its trainings."""
    net = build.base
    for number, step in enumerate(build.variant.steps):
        compression = changed if number == index else pass_of(step)
        if not compression.trains:  # that takes too long
            net = compression.run(net, replace(context, span=step.span, journal=[]))
    return net


@dataclass(frozen=True)
class Measurement:
    """A figure of a net that was measured before; `tried` is the same figure of the same net on the
    rows that tries are made on, where it is a metric or the error."""

    net: WeightedNet
    value: float
    tried: float = 0.0


def take_figure(
    build: VariantBuild,
    net: WeightedNet,
    context: CompressionContext,
    figure: Figure,
    known: Measurement,
) -> float:
    """A figure of a net that has no file yet. Its latency is the known one's times the ratio of
    the two in turns: what slows the machine down slows both. A metric is the known one plus what
    the tried net has more on the same rows, which other rows have about as well; the error likewise
    in proportion."""
    assert context.size_meter is not None
    assert context.latency_meter is not None
    if figure.split is not None:
        return known.value + judge_quality(build, net, context, figure) - known.tried
    match figure.name:
        case "size":
            return float(context.size_meter.weigh(net))
        case "latency":
            before, after = context.latency_meter.compare([known.net, net])
            return known.value * after / before
        case counted if counted in COUNTED:
            return count_figure(counted, net.graph, choose_sizes(net.graph, build.target))
    error = judge_quality(build, net, context, figure)
    return known.value * error / known.tried if known.tried else error


def judge_quality(
    build: VariantBuild, net: WeightedNet, context: CompressionContext, figure: Figure
) -> float:
    """A metric on the rows held out for decisions, or the error on calibration rows."""
    if figure.split is None:
        return measure_error(net, build.base, context)
    assert context.evaluator is not None
    scores: Mapping[str, float] = context.evaluator.score(net)
    return scores[figure.name]
