"""Spreads a budget of parameters over the layers of a net: least loss for the time saved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from compiler.compression.low_rank.costs import Costs
from compiler.compression.low_rank.factoring import Factoring, Setting
from compiler.compression.low_rank.layers import Layer
from compiler.compression.low_rank.planning import Choice

RUNGS = 24
"""Settings of a layer that compete, from nearly whole to a fiftieth."""
MEASURED = 4
"""Of them, how many are timed; the others lie between."""


@dataclass(frozen=True)
class Rung:
    """A setting of a layer, with its cost: seconds of a call, or multiply-adds."""

    choice: Choice | None  # None: whole
    parameters: int
    cost: float
    lost: float


def climb_down(
    layers: Sequence[tuple[Layer, Sequence[Factoring]]], costs: Costs, fixed: int, most: int
) -> Mapping[str, Choice] | None:
    """Choices by path with which the parameters of the net come to `most` or fewer; None where
    that cannot be reached.

    Greedy on the convex hull of (cost, loss) of each layer: at every turn the layer gives way
    that loses least for the seconds (without a clock, multiply-adds) it saves.

    Args:
        layers: layers that may be factored, with the ways to do it.
        costs: the prices.
        fixed: parameters of all else.
        most: the budget.
    """
    ladders = {layer.path: find_rungs(layer, ways, costs) for layer, ways in layers}
    places = dict.fromkeys(ladders, 0)
    total = fixed + sum(ladder[0].parameters for ladder in ladders.values())
    while total > most:
        best = min(ladders, key=lambda path: _find_price(ladders[path], places[path]), default="")
        if not best or _find_price(ladders[best], places[best]) == np.inf:
            return None
        ladder, place = ladders[best], places[best]
        total += ladder[place + 1].parameters - ladder[place].parameters
        places[best] = place + 1
    chosen = {path: ladders[path][place].choice for path, place in places.items()}
    return {path: choice for path, choice in chosen.items() if choice is not None}


def _find_price(ladder: Sequence[Rung], place: int) -> float:
    """Loss for each unit of cost that the next rung saves."""
    if place + 1 >= len(ladder):
        return float(np.inf)
    here, next_ = ladder[place], ladder[place + 1]
    return (next_.lost - here.lost) / max(here.cost - next_.cost, 1e-30)


def find_rungs(layer: Layer, ways: Sequence[Factoring], costs: Costs) -> list[Rung]:
    """The whole layer, then settings on the convex hull of cost and loss, dear to cheap."""
    whole = costs.weights[layer.weight].size
    choices: dict[tuple[str, tuple[int, ...]], Choice] = {}
    for share in np.geomspace(0.98, 0.02, RUNGS):
        found = [(way, s) for way in ways if (s := way.within(whole * share)) is not None]
        if found:
            way, setting = min(found, key=lambda one: one[1].lost)
            work = costs.work(layer, way, setting)
            choices.setdefault((way.method, setting.ranks), Choice(way, setting, work))
    before, priced = _price(layer, list(choices.values()), costs)
    start = Rung(None, whole, before, 0.0)
    rungs = [
        Rung(choice, choice.setting.parameters, cost, choice.setting.lost)
        for choice, cost in priced
        if cost < before or before == 0
    ]
    return _keep_hull([start, *rungs])


def _price(
    layer: Layer, choices: Sequence[Choice], costs: Costs
) -> tuple[float, list[tuple[Choice, float]]]:
    """Cost of the whole layer, and of every choice."""
    if costs.clock is None:
        return costs.whole_work(layer), [(c, c.work) for c in choices]
    before, priced = 0.0, []
    for method in dict.fromkeys(c.factoring.method for c in choices):
        ways = [c for c in choices if c.factoring.method == method]
        before, seconds = _time(layer, ways, costs)
        priced += list(zip(ways, seconds, strict=True))
    return before, priced


def _time(layer: Layer, ways: Sequence[Choice], costs: Costs) -> tuple[float, Sequence[float]]:
    """Seconds of the whole layer and of settings of one method: some measured, the others
    between them by their parameters."""
    picked = sorted({int(i) for i in np.linspace(0, len(ways) - 1, MEASURED)})
    settings: list[Setting] = [ways[i].setting for i in picked]
    seconds = costs.seconds(layer, [(ways[0].factoring, setting) for setting in settings])
    assert seconds is not None, "there is a clock"
    order = np.argsort([s.parameters for s in settings])
    known = np.array([settings[i].parameters for i in order])
    times = np.array(seconds[1:])[order]
    between = np.interp([w.setting.parameters for w in ways], known, times)
    return seconds[0], [float(t) for t in between]


def _keep_hull(rungs: Sequence[Rung]) -> list[Rung]:
    """Rungs of which each saves at a higher price than the one before."""
    hull: list[Rung] = []
    for rung in sorted(rungs, key=lambda r: (-r.cost, -r.parameters, r.lost)):
        if hull and rung.parameters >= hull[-1].parameters:
            continue
        while len(hull) > 1 and _slope(hull[-2], rung) <= _slope(hull[-2], hull[-1]):
            hull.pop()
        hull.append(rung)
    return hull


def _slope(left: Rung, right: Rung) -> float:
    return (right.lost - left.lost) / max(left.cost - right.cost, 1e-30)
