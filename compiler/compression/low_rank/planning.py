"""Chooses how each layer is factored: by rank, by energy, and only where it pays."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from compiler.compression.devices import BLOCKS
from compiler.compression.low_rank.convolutions import (
    ChannelFactoring,
    Seen,
    SpatialFactoring,
    TuckerFactoring,
)
from compiler.compression.low_rank.costs import Costs
from compiler.compression.low_rank.factoring import Factoring, Setting
from compiler.compression.low_rank.layers import Layer
from compiler.compression.low_rank.matrices import DenseFactoring, EmbeddingFactoring
from compiler.compression.low_rank.moments import Moments
from compiler.ops.convolution import Conv, ConvTranspose
from compiler.ops.linear import Dense, Embedding
from compiler.ops.windows import spread

Array = NDArray[Any]

GAIN = 0.95
"""Factors are taken where they need at most this part of the time: the meter errs, the best of
several ways by more, and layers alone gain more than within a net."""


@dataclass(frozen=True)
class Choice:
    """A way to factor a layer and its setting; `work` are multiply-adds of a call."""

    factoring: Factoring
    setting: Setting
    work: float


@dataclass(frozen=True)
class Verdict:
    """What becomes of a layer: a choice, or None and the reason why it stays whole. `figures`
    are for the report."""

    layer: Layer
    choice: Choice | None
    reason: str = ""
    figures: tuple[tuple[str, float], ...] = ()


def find_factorings(
    layer: Layer,
    weights: Mapping[str, Array],
    moments: Moments | None,
    method: str,
    most: int | None = None,
) -> list[Factoring]:
    """Every way to factor a layer that the method allows; none where it has no such form.
    `most` is the largest rank that will be asked for, if it is known."""
    weight = weights[layer.weight]
    match layer.op:
        case Embedding():
            return [EmbeddingFactoring(layer.op, weight, most)]
        case Dense():
            bias = weights[layer.bias] if layer.bias is not None else None
            return [DenseFactoring(layer.op, weight, bias, moments, most)]
        case ConvTranspose():
            # Its weight is [in, out, …]: the factors are those of the kernel turned round.
            seen = Seen(weight.swapaxes(0, 1), moments)
            return [ChannelFactoring(layer.op, seen)] if method in ("auto", "channel") else []
        case Conv():
            seen = Seen(weight, moments)
            forms = list_forms(layer)
            # A kernel of one tap is a matrix, whatever the way to factor kernels.
            every = method == "auto" or is_point(layer)
            return [
                _CONVOLUTIONS[form](layer.op, seen) for form in forms if every or form == method
            ]
    return []


_Way = type[ChannelFactoring] | type[SpatialFactoring] | type[TuckerFactoring]
_CONVOLUTIONS: Mapping[str, _Way] = {
    way.method: way for way in (ChannelFactoring, SpatialFactoring, TuckerFactoring)
}


def list_forms(layer: Layer) -> tuple[str, ...]:
    """The methods by which a convolution can be factored; none for other layers."""
    match layer.op:
        case ConvTranspose():
            return ("channel",)
        case Conv(kernel=kernel):
            axes = layer.source.rank - 2
            upright = axes == 2 and min(spread("kernel", kernel, axes)) > 1
            if is_point(layer):
                return ("channel",)
            return ("channel", "spatial", "tucker") if upright else ("channel", "tucker")
    return ()


def count_at_rank(layer: Layer, method: str, rank: int) -> tuple[int, int, int]:
    """The rank of a layer's factors where such a one is asked for, the numbers in these, by the way
    that the method allows which has the fewest, and the numbers in its weight."""
    weight = layer.calls[0].inputs[1]
    shape = (weight.type.known_shape if weight is not None else None) or (0, 0)
    whole = math.prod(shape)
    full = min(rank, shape[0], whole // max(1, shape[0]))
    if isinstance(layer.op, ConvTranspose):
        return full, ChannelFactoring.count((shape[1], shape[0], *shape[2:]), rank), whole
    if not isinstance(layer.op, Conv):
        return full, sum(shape) * full, whole
    every = method == "auto" or is_point(layer)
    forms = [form for form in list_forms(layer) if every or form == method]
    return full, min(_CONVOLUTIONS[form].count(shape, rank) for form in forms), whole


def is_point(layer: Layer) -> bool:
    """Whether a layer is a convolution with a kernel of one tap."""
    if not isinstance(layer.op, Conv):
        return False
    return all(size == 1 for size in spread("kernel", layer.op.kernel, layer.source.rank - 2))


def choose_by_energy(
    layer: Layer, factorings: Sequence[Factoring], energy: float, costs: Costs
) -> Verdict:
    """Of the ways that keep that share of the energy and pay, the fastest on the meter; without a
    clock that with the fewest multiply-adds, then parameters. Where none pays, the one that
    comes nearest says why."""
    offered = [
        (f, setting) for f in factorings for setting in _list_settings(layer, f, energy, costs)
    ]
    choices = [_price(layer, f, setting, costs) for f, setting in offered]
    choices.sort(key=lambda c: (c.work, c.setting.parameters))
    counted = [count(layer, choice, costs) for choice in choices]
    paying = [verdict.choice for verdict in counted if verdict.choice is not None]
    seconds = costs.seconds(layer, [(c.factoring, c.setting) for c in paying]) if paying else None
    if seconds is None:
        return next((verdict for verdict in counted if verdict.choice is not None), counted[0])
    before, *after = seconds
    timed = [settle(layer, c, before, s) for c, s in zip(paying, after, strict=True)]
    return min(timed, key=lambda v: (v.choice is None, dict(v.figures)["seconds"]))


def _list_settings(
    layer: Layer, factoring: Factoring, energy: float, costs: Costs
) -> list[Setting]:
    """The least ranks that keep the energy, and for a convolution on a meter also the next that
    fill its kernels' blocks."""
    least = factoring.smallest(1.0 - energy)
    if costs.latency_meter is None or not isinstance(layer.op, Conv):
        return [least]
    aligned = factoring.align(least, max(BLOCKS))
    return [least] if aligned.ranks == least.ranks else [least, aligned]


def choose_by_rank(
    layer: Layer, factorings: Sequence[Factoring], rank: int, costs: Costs
) -> Verdict:
    """The way that loses least at that rank, of those that pay."""
    choices = [_price(layer, way, way.at_rank(rank), costs) for way in factorings]
    counted = [count(layer, choice, costs) for choice in choices]
    paying = [verdict.choice for verdict in counted if verdict.choice is not None]
    if not paying:
        return counted[0]
    best = min(paying, key=lambda choice: (choice.setting.lost, choice.setting.parameters))
    seconds = costs.seconds(layer, [(best.factoring, best.setting)])
    if seconds is None:
        return Verdict(layer, best, "", describe_setting(best.setting))
    return settle(layer, best, *seconds)


def _price(layer: Layer, factoring: Factoring, setting: Setting, costs: Costs) -> Choice:
    return Choice(factoring, setting, costs.work(layer, factoring, setting))


def count(layer: Layer, choice: Choice, costs: Costs) -> Verdict:
    """Whether a choice pays in parameters, and in multiply-adds where these count."""
    setting, whole = choice.setting, costs.weights[layer.weight].size
    figures, ranks = describe_setting(setting), describe_ranks(setting)
    if setting.parameters >= whole:
        reason = f"{ranks} would take {setting.parameters:,} weights, it has {whole:,}"
        return Verdict(layer, None, reason, figures)
    work = costs.whole_work(layer)
    if costs.counts_work and choice.work >= work > 0:
        reason = f"{ranks} would take {choice.work:,.0f} multiply-adds, it takes {work:,.0f}"
        return Verdict(layer, None, reason, figures)
    return Verdict(layer, choice, "", figures)


def settle(layer: Layer, choice: Choice, before: float, after: float) -> Verdict:
    """Whether a choice pays on the meter: seconds of the whole layer, and of its factors. Factors
    lose some of the layer, so they must be faster by more than a meter may err."""
    timed = (("seconds", after), ("seconds_before", before))
    figures = (*describe_setting(choice.setting), *timed)
    if after > GAIN * before:
        ranks = describe_ranks(choice.setting)
        reason = f"{ranks} takes {after * 1e6:.1f} µs, it takes {before * 1e6:.1f} µs whole"
        return Verdict(layer, None, reason, figures)
    return Verdict(layer, choice, "", figures)


def describe_setting(setting: Setting) -> tuple[tuple[str, float], ...]:
    """A setting as figures of a note."""
    inner = (("rank_in", float(setting.ranks[0])),) if len(setting.ranks) > 1 else ()
    lost, parameters = ("lost", setting.lost), ("parameters", float(setting.parameters))
    return (*inner, ("rank", float(setting.ranks[-1])), lost, parameters)


def describe_ranks(setting: Setting) -> str:
    """`rank 12`, or `ranks 8 and 12`."""
    if len(setting.ranks) == 1:
        return f"rank {setting.ranks[0]}"
    return f"ranks {' and '.join(map(str, setting.ranks))}"
