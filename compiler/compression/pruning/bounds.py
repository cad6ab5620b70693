"""Bounds on what `prune(channels=…)` leaves of every parameter, before any number is known."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from math import prod

from compiler.compression.pruning.groups import ChannelGroup, find_channels, is_vast
from compiler.compression.pruning.widths import choose_uniform, round_widths
from compiler.ir.graph import Graph

ROUNDED = 2 / 3
"""Of a width that is rounded to the nearest number or multiple, but not to 0, at least this share
stays: the worst is 1.5 that becomes 1."""


def count_channels_left(
    graph: Graph,
    share: float,
    most: float | None,
    multiples: Sequence[int],
    allows: Callable[[str], bool],
) -> Mapping[str, int]:
    """The fewest numbers that channel pruning leaves of every parameter.

    Args:
        graph: the net that is pruned.
        share: of the channels of each group that go, where all lose the same.
        most: the share of a group that may go, where a ranking decides; None where none does.
        multiples: what widths may be multiples of; which one is not known yet.
        allows: whether the layer at a path may be touched.
    """
    if is_vast(graph):
        return dict.fromkeys(graph.parameter, 0)
    groups = [g for g in find_channels(graph).groups if all(map(allows, g.makers))]
    gone = count_most_gone(groups, share, most)
    bounds = [_count_left(graph, groups, round_widths(groups, gone, m)) for m in multiples]
    return {path: min(bound[path] for bound in bounds) for path in bounds[0]}


def count_most_gone(
    groups: Sequence[ChannelGroup], share: float, most: float | None
) -> Sequence[int]:
    """How many channels of each group go at most, before widths are rounded; the options are
    those of `count_channels_left`."""
    sizes = [group.size for group in groups]
    if most is None:
        return choose_uniform(sizes, share)
    return [min(size - 1, math.floor(size * most)) for size in sizes]


def _count_left(
    graph: Graph, groups: Sequence[ChannelGroup], gone: Sequence[int]
) -> dict[str, int]:
    """The numbers of every parameter once so many channels of each group are gone."""
    shapes = {p.path: list(p.value.type.known_shape or ()) for p in graph.parameters}
    for group, count in zip(groups, gone, strict=True):
        for member in group.members:
            shapes[member.path][member.axis] -= count * member.entries.shape[1]
    return {path: prod(shape) for path, shape in shapes.items()}


def count_sides_left(shape: tuple[int, ...], share: float, *, roundings: int) -> int:
    """The fewest numbers of a weight if both of its sides may lose a share of their channels, and
    what stays is rounded so often; whatever groups the channels form."""
    kept = (1 - share) * ROUNDED**roundings
    sides = [max(1, math.floor(kept * size)) for size in shape[:2]]
    return prod((*sides, *shape[2:]))
