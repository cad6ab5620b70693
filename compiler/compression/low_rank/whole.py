"""Holds factored layers to the meter together: what each gains alone, a net may lose."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from compiler.compression.context import LatencyMeter
from compiler.compression.low_rank.factoring import Factors
from compiler.compression.low_rank.planning import Verdict
from compiler.compression.low_rank.replacing import replace_layers
from compiler.ir.cost import summarize
from compiler.ir.weighted_net import WeightedNet

NOISE = 0.02
"""The part of a time that a meter errs by. So much longer a net with factors may seem to take, but
by no larger part than it is smaller: else nothing is gained."""


def replace_what_pays(
    net: WeightedNet, verdicts: Sequence[Verdict], latency_meter: LatencyMeter | None
) -> tuple[WeightedNet, list[Verdict]]:
    """The net with factored layers, and what became of each.

    Alone, a layer's factors hide what their ranks do to the layout of tensors in a net. Where the
    whole net is slower with all factors, only the half that gained most is kept, and so on.
    """
    factors = {
        verdict.layer.path: verdict.choice.factoring.make(verdict.choice.setting)
        for verdict in verdicts
        if verdict.choice is not None
    }
    kept = sorted(factors, key={v.layer.path: -_find_gain(v) for v in verdicts}.__getitem__)
    reasons: dict[str, str] = {}
    while kept:
        made = _replace(net, verdicts, {path: factors[path] for path in kept})
        if latency_meter is None:
            break
        before, after = latency_meter.compare([net, made])
        if after <= (1 + min(NOISE, _find_saving(net, made))) * before:
            break
        dropped, kept = kept[len(kept) // 2 :], kept[: len(kept) // 2]
        count = len(dropped) + len(kept)
        layers = f"all {count} layers" if count > 1 else "this layer"
        reason = f"with {layers} factored a call takes {after / before:.2f} of the time"
        reasons.update(dict.fromkeys(dropped, reason))
    else:
        made = net
    left = [
        replace(v, choice=None, reason=reasons[v.layer.path]) if v.layer.path in reasons else v
        for v in verdicts
    ]
    return made, left


def _replace(
    net: WeightedNet, verdicts: Sequence[Verdict], factors: Mapping[str, Factors]
) -> WeightedNet:
    layers = {verdict.layer.path: verdict.layer for verdict in verdicts}
    return replace_layers(net, [(layers[path], made) for path, made in factors.items()])


def _find_saving(net: WeightedNet, made: WeightedNet) -> float:
    """The share of the parameters that are gone."""
    return 1 - summarize(made.graph).parameters / summarize(net.graph).parameters


def _find_gain(verdict: Verdict) -> float:
    """Seconds that the factors of a layer save by themselves."""
    figures = dict(verdict.figures)
    return figures.get("seconds_before", 0.0) - figures.get("seconds", 0.0)
