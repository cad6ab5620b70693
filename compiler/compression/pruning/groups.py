"""An analysis: the channels of a net, in groups that are cut alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from compiler.compression.pruning.axes import AxisTable, Place, collect_axes
from compiler.compression.pruning.entries import EntryTable
from compiler.ir.evaluate import Array
from compiler.ir.graph import Graph


@dataclass(frozen=True)
class Member:
    """An axis of a parameter in a group. `entries[i]` are the positions along the axis that
    belong to channel i of the group."""

    path: str
    axis: int
    entries: Array


@dataclass(frozen=True)
class ChannelGroup:
    """Channels that stand in the same tensors, so that they can be compared and are cut alike.

    `makers` are the paths of the layers whose outputs they are, `members` the axes of parameters
    that they stand in, `spans` the numbers of their entries by axis, `[channels, entries each]`.
    """

    makers: tuple[str, ...]
    members: tuple[Member, ...]
    spans: Mapping[int, Array]
    mixed: bool

    @property
    def size(self) -> int:
        """How many channels there are."""
        return len(next(iter(self.spans.values())))

    @property
    def widths(self) -> tuple[int, ...]:
        """For each axis, how many of its entries one channel has."""
        return tuple(span.shape[1] for span in self.spans.values())


@dataclass(frozen=True)
class Channels:
    """The channels of a net that can be cut, and why the others cannot."""

    groups: tuple[ChannelGroup, ...]
    obstacles: Mapping[str, str]
    """By the path of a layer whose outputs all stay, why."""
    _axes: AxisTable
    _entries: EntryTable
    _roots: Array

    def kept(self, place: Place, cut: Array) -> Array | None:
        """The positions along an axis that stay; None for all. `cut` says of each entry whether
        it goes, as `mark` makes it."""
        number = self._axes.ids.get(place)
        found = self._entries.entries(number) if number is not None else range(0)
        gone = cut[found.start : found.stop]
        return np.flatnonzero(~gone) if gone.any() else None

    def mark(self, choices: Sequence[Array]) -> Array:
        """For each entry whether it goes; `choices` says of each group which channels do."""
        cut = np.zeros(len(self._roots), bool)
        for group, gone in zip(self.groups, choices, strict=True):
            for span in group.spans.values():
                cut[span[gone]] = True
        return cut

    def channel_of(self, place: Place) -> Array:
        """The number of the channel that each entry along an axis belongs to, as in
        `channel_numbers`."""
        number = self._axes.ids[place]
        found = self._entries.entries(number)
        numbers: Array = self._roots[found.start : found.stop]
        return numbers

    def channel_numbers(self, group: ChannelGroup) -> Array:
        """A number for each channel of a group, the same wherever it stands."""
        numbers: Array = self._roots[next(iter(group.spans.values()))[:, 0]]
        return numbers

    @property
    def readings(self) -> Sequence[tuple[Place, Place | None]]:
        """The axes of operands that are summed over, and those of the weights that do it."""
        return self._axes.readings


def find_channels(graph: Graph) -> Channels:
    """The channels of a graph: the coupling rules of its ops, joined."""
    axes = collect_axes(graph)
    entries = EntryTable(axes)
    roots, free = entries.find_channels()
    makers = _find_makers(axes, entries, roots)
    mixed = _find_mixed(axes, entries, roots)
    groups = tuple(
        ChannelGroup(
            tuple(dict.fromkeys(p for root in members for p in makers[root])),
            _find_members(graph, axes, entries, spans),
            spans,
            any(root in mixed for root in members),
        )
        for members, spans in _split_groups(axes, entries, roots, free, makers)
        if len(members) > 1
    )
    return Channels(groups, _find_obstacles(axes, entries, groups), axes, entries, roots)


def _find_makers(axes: AxisTable, entries: EntryTable, roots: Array) -> dict[int, list[str]]:
    """The layers that make each channel."""
    makers: dict[int, list[str]] = {}
    for axis, path in axes.makers:
        found = entries.entries(axis)
        for root in np.unique(roots[found.start : found.stop]).tolist():
            makers.setdefault(root, []).append(path)
    return makers


def _find_mixed(axes: AxisTable, entries: EntryTable, roots: Array) -> set[int]:
    mixed: set[int] = set()
    for axis in axes.mixed:
        found = entries.entries(axis)
        mixed.update(roots[found.start : found.stop].tolist())
    return mixed


def _split_groups(
    axes: AxisTable,
    entries: EntryTable,
    roots: Array,
    free: Array,
    makers: Mapping[int, Sequence[str]],
) -> list[tuple[list[int], dict[int, Array]]]:
    """Channels with entries on the same axes, as many on each: their roots, and their entries by
    axis."""
    places: dict[int, dict[int, list[int]]] = {}
    for axis in entries.starts:
        for entry in entries.entries(axis):
            root = int(roots[entry])
            if free[entry] and root in makers:
                places.setdefault(root, {}).setdefault(axis, []).append(entry)
    alike: dict[tuple[tuple[int, int], ...], list[int]] = {}
    for root, found in places.items():
        signature = tuple((axis, len(numbers)) for axis, numbers in found.items())
        alike.setdefault(signature, []).append(root)
    return [
        (members, {axis: np.array([places[r][axis] for r in members]) for axis, _ in signature})
        for signature, members in alike.items()
    ]


def _find_members(
    graph: Graph, axes: AxisTable, entries: EntryTable, spans: Mapping[int, Array]
) -> tuple[Member, ...]:
    members = []
    for parameter in graph.parameters:
        for axis in range(parameter.value.type.rank):
            number = axes.ids.get(("", parameter.path, axis))
            root = axes.root(number) if number is not None else -1
            if root in spans:
                members.append(Member(parameter.path, axis, spans[root] - entries.starts[root]))
    return tuple(members)


def _find_obstacles(
    axes: AxisTable, entries: EntryTable, groups: Sequence[ChannelGroup]
) -> dict[str, str]:
    """Why the layers that no group names keep all their outputs."""
    cut = {path for group in groups for path in group.makers}
    obstacles = {}
    for axis, path in axes.makers:
        found = entries.entries(axis)
        if path not in cut and found:
            obstacles[path] = entries.why_kept(found[0]) or "all its channels hang together"
    return obstacles
