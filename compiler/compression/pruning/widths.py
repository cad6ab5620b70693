"""How many channels each group keeps: the same share of all, one ranking of all, or by trial."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from compiler.compression.pruning.groups import ChannelGroup
from compiler.ir.evaluate import Array

LEVELS = 4
"""Shares at which a group is tried by itself, evenly up to the most it may lose."""


def choose_uniform(sizes: Sequence[int], share: float) -> list[int]:
    """How many channels of each group go, if all lose the same share."""
    return [size - max(1, math.floor(size * (1 - share) + 0.5)) for size in sizes]


def choose_global(scores: Sequence[Array], share: float, most: float) -> list[int]:
    """How many channels of each group go, if the least important of all go, wherever they are,
    but no more than the share `most` of a group."""
    sizes = [len(s) for s in scores]
    limits = [min(size - 1, math.floor(size * most)) for size in sizes]
    wanted = round(share * sum(sizes))
    gone = [0] * len(sizes)
    owners = np.repeat(np.arange(len(sizes)), sizes)
    for place in np.argsort(np.concatenate(scores), kind="stable").tolist():
        if sum(gone) == wanted:
            break
        owner = int(owners[place])
        gone[owner] += gone[owner] < limits[owner]
    return gone


def choose_by_trial(
    sizes: Sequence[int], share: float, most: float, judge: Callable[[int, int], float]
) -> list[int]:
    """How many channels of each group go, if each loses more only while that costs least.

    Args:
        sizes: of the groups.
        share: how many of all channels go in the end.
        most: the share of a group that may go.
        judge: the loss once so many channels of the group of that index are gone, alone.
    """
    steps = [
        sorted({math.floor(size * most * level / LEVELS) for level in range(LEVELS + 1)})
        for size in sizes
    ]
    whole = judge(0, 0)  # the same net, whichever group it is that loses nothing
    losses = [[whole, *(judge(i, n) for n in counts[1:])] for i, counts in enumerate(steps)]
    levels = [0] * len(sizes)
    wanted = round(share * sum(sizes))

    def price(group: int) -> float:
        level = levels[group]
        if level + 1 == len(steps[group]):
            return math.inf
        added = steps[group][level + 1] - steps[group][level]
        return (losses[group][level + 1] - losses[group][level]) / added

    while (left := wanted - sum(steps[i][n] for i, n in enumerate(levels))) > 0:
        cheapest = min(range(len(sizes)), key=price)
        if price(cheapest) == math.inf:
            break
        levels[cheapest] += 1
        counts = steps[cheapest]
        if counts[levels[cheapest]] - counts[levels[cheapest] - 1] > left:
            counts[levels[cheapest]] = counts[levels[cheapest] - 1] + left  # the last, in part
    return [steps[i][n] for i, n in enumerate(levels)]


def round_widths(groups: Sequence[ChannelGroup], gone: Sequence[int], multiple: int) -> list[int]:
    """How many channels go once what stays of each cut group is rounded so that its axes of
    weights are multiples of a number; a group that loses none, or is too small, keeps all."""
    rounded = []
    for group, count in zip(groups, gone, strict=True):
        each = math.lcm(*(multiple // math.gcd(multiple, _width(m.entries)) for m in group.members))
        kept = max(each, each * math.floor((group.size - count) / each + 0.5))
        rounded.append(0 if count == 0 or kept > group.size else group.size - kept)
    return rounded


def _width(entries: Array) -> int:
    return int(entries.shape[1])


def mark_least(scores: Array, count: int) -> Array:
    """Truth values: the `count` least important channels."""
    gone = np.zeros(len(scores), bool)
    gone[np.argsort(scores, kind="stable")[:count]] = True
    return gone
