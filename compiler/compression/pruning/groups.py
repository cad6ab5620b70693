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


MOST_ENTRIES = 2_000_000
"""Entries of axes among which a check of a spec looks for channels: it takes some seconds."""


def is_vast(graph: Graph) -> bool:
    """Whether finding the channels of a graph takes longer than a check may."""
    return EntryTable.count(collect_axes(graph)) > MOST_ENTRIES


def find_channels(graph: Graph) -> Channels:
    """The channels of a graph: the coupling rules of its ops, joined."""
    axes = collect_axes(graph)
    entries = EntryTable(axes)
    roots, free = entries.find_channels()
    mixed = set(map(axes.root, axes.mixed))
    groups = tuple(
        ChannelGroup(
            tuple(dict.fromkeys(path for axis, path in axes.makers if axes.root(axis) in spans)),
            _find_members(graph, axes, entries, spans),
            spans,
            not mixed.isdisjoint(spans),
        )
        for spans in _split_groups(entries, roots, free & _find_made(axes, entries, roots))
    )
    return Channels(groups, _find_obstacles(axes, entries, groups), axes, entries, roots)


def _find_made(axes: AxisTable, entries: EntryTable, roots: Array) -> Array:
    """For each entry whether a layer makes its channel."""
    made = np.zeros(len(roots), bool)
    for axis, _ in axes.makers:
        found = entries.entries(axis)
        made[roots[found.start : found.stop]] = True
    result: Array = made[roots]
    return result


def _split_groups(entries: EntryTable, roots: Array, chosen: Array) -> list[dict[int, Array]]:
    """Channels with entries on the same axes, as many on each: their entries by axis, in the order
    of the first of each. What has only one channel is no group."""
    numbers = np.flatnonzero(chosen)
    numbers = numbers[np.argsort(roots[numbers], kind="stable")]
    starts = np.array(list(entries.starts.values()), np.int64)
    axes = np.array(list(entries.starts), np.int64)
    first = np.flatnonzero(np.diff(roots[numbers], prepend=-1))  # of each channel
    counts = np.diff(first, append=len(numbers))
    found: list[Array] = []
    for count in np.unique(counts).tolist():
        channels = numbers[first[counts == count][:, None] + np.arange(count)]
        channels = channels[np.argsort(channels[:, 0])]
        places = axes[np.searchsorted(starts, channels, side="right") - 1]
        _, kinds = np.unique(places, axis=0, return_inverse=True)
        kinds = kinds.reshape(-1)
        order = np.argsort(kinds, kind="stable")
        found += np.split(channels[order], np.flatnonzero(np.diff(kinds[order])) + 1)
    groups = sorted((group for group in found if len(group) > 1), key=lambda group: group[0, 0])
    return [
        _name_axes(group, axes[np.searchsorted(starts, group[0], "right") - 1]) for group in groups
    ]


def _name_axes(channels: Array, axes: Array) -> dict[int, Array]:
    """Entries of channels by axis, each of which has its entries side by side."""
    cuts = np.flatnonzero(np.diff(axes)) + 1
    parts = np.split(channels, cuts, axis=1)
    return {int(axis): part for axis, part in zip(axes[[0, *cuts]], parts, strict=True)}


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
