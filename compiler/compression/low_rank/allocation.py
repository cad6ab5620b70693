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


@dataclass(frozen=True)
class Ladder:
    """What a layer can become: all settings that are cheaper than the whole layer, which comes
    first, and those of them on the convex hull of cost and loss, dear to cheap."""

    offered: Sequence[Rung]
    hull: Sequence[Rung]


def climb_down(ladders: Mapping[str, Ladder], fixed: int, most: int) -> Mapping[str, Choice] | None:
    """Choices by path with which the parameters of the net come to `most` or fewer; None where
    that cannot be reached.

    Greedy on the convex hull of (cost, loss) of each layer: at every turn the layer gives way
    that loses least for the seconds (without a meter, multiply-adds) it saves. On a meter that
    errs a hull has few rungs far apart, so what the last one saved beyond the budget is given
    back where it loses most.

    Args:
        ladders: by path, what each layer can become.
        fixed: parameters of all else.
        most: the budget.
    """
    hulls = {path: ladder.hull for path, ladder in ladders.items()}
    places = dict.fromkeys(hulls, 0)
    total = fixed + sum(hull[0].parameters for hull in hulls.values())
    while total > most:
        best = min(hulls, key=lambda path: _find_price(hulls[path], places[path]), default="")
        if not best or _find_price(hulls[best], places[best]) == np.inf:
            return None
        hull, place = hulls[best], places[best]
        total += hull[place + 1].parameters - hull[place].parameters
        places[best] = place + 1
    rungs = {path: hulls[path][place] for path, place in places.items()}
    rungs = _give_back(ladders, rungs, most - total)
    return {path: rung.choice for path, rung in rungs.items() if rung.choice is not None}


def count_least(ladders: Mapping[str, Ladder], fixed: int) -> int:
    """The fewest parameters that the layers can come to."""
    return fixed + sum(ladder.hull[-1].parameters for ladder in ladders.values())


def _give_back(
    ladders: Mapping[str, Ladder], rungs: Mapping[str, Rung], spare: int
) -> dict[str, Rung]:
    """The rungs with as many parameters more as may be spent, each time where most loss goes."""
    settled = dict(rungs)
    while True:
        better = [
            (here.lost - rung.lost, path, rung)
            for path, here in settled.items()
            for rung in ladders[path].offered
            if rung.lost < here.lost and rung.parameters - here.parameters <= spare
        ]
        if not better:
            return settled
        _, path, rung = max(better, key=lambda one: one[0])
        spare -= rung.parameters - settled[path].parameters
        settled[path] = rung


def _find_price(hull: Sequence[Rung], place: int) -> float:
    """Loss for each unit of cost that the next rung saves."""
    if place + 1 >= len(hull):
        return float(np.inf)
    here, next_ = hull[place], hull[place + 1]
    return (next_.lost - here.lost) / max(here.cost - next_.cost, 1e-30)


def make_ladder(layer: Layer, ways: Sequence[Factoring], costs: Costs) -> Ladder:
    """What a layer can become, at shares of its weights from nearly all to a fiftieth."""
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
    return Ladder([start, *rungs], _keep_hull([start, *rungs]))


def _price(
    layer: Layer, choices: Sequence[Choice], costs: Costs
) -> tuple[float, list[tuple[Choice, float]]]:
    """Cost of the whole layer, and of every choice."""
    if costs.latency_meter is None:
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
    assert seconds is not None, "there is a meter"
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
