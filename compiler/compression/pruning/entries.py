"""An analysis: which entries along all axes are one channel, by union-find over single entries."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product

import numpy as np

from compiler.compression.pruning.axes import AxisTable
from compiler.ir.evaluate import Array


class EntryTable:
    """Entries of every axis whose size is known. Entry j of the axis with root r has the number
    `starts[r] + j`; entries with one root are cut together or not at all."""

    def __init__(self, axes: AxisTable) -> None:
        self._axes = axes
        self.starts: dict[int, int] = {}
        total = 0
        for axis, size in self._list_sizes(axes):
            self.starts[axis] = total
            total += size
        self._parents = list(range(total))
        self._reasons: dict[int, str] = {}
        self._join_all()

    @classmethod
    def count(cls, axes: AxisTable) -> int:
        """How many entries a table of these axes has."""
        return sum(size for _, size in cls._list_sizes(axes))

    @staticmethod
    def _list_sizes(axes: AxisTable) -> Iterator[tuple[int, int]]:
        for axis, size in enumerate(axes.sizes):
            if axes.root(axis) == axis and size is not None:
                yield axis, size

    def entries(self, axis: int) -> range:
        """The numbers of the entries along an axis; empty where its size is not known."""
        root = self._axes.root(axis)
        size = self._axes.sizes[root]
        start = self.starts.get(root, 0)
        return range(start, start + size) if size is not None else range(0)

    def root(self, entry: int) -> int:
        """The entry that stands for all joined to this one."""
        parents = self._parents
        while parents[entry] != entry:
            parents[entry] = parents[parents[entry]]
            entry = parents[entry]
        return entry

    def why_kept(self, entry: int) -> str:
        """Why an entry stays; empty where it can go."""
        return self._reasons.get(self.root(entry), "")

    def find_channels(self) -> tuple[Array, Array]:
        """For each entry the one that stands for its channel, and whether it can be cut."""
        roots = np.array(self._parents, np.int64)
        while not np.array_equal(above := roots[roots], roots):
            roots = above
        kept = np.zeros(len(roots), bool)
        kept[list(self._reasons)] = True
        return roots, ~kept[roots]

    def _join(self, left: int, right: int) -> None:
        left, right = self.root(left), self.root(right)
        if left != right:
            self._parents[right] = left
            reason = self._reasons.pop(right, "")
            if reason:
                self._reasons.setdefault(left, reason)

    def _pin(self, entries: Sequence[int], reason: str) -> None:
        for entry in entries:
            self._reasons.setdefault(self.root(entry), reason)

    def _join_all(self) -> None:
        axes = self._axes
        for cause in axes.causes:
            self._pin(self.entries(cause.axis), cause.reason)
        for whole, part, start in axes.parts:
            self._join_part(whole, part, start)
        for whole, factors, kept in axes.factors:
            if kept is not None:
                self._join_factor(whole, factors, kept)
        for whole, factors, kept in axes.factors:
            if kept is None:
                self._choose_factor(whole, factors)

    def _join_part(self, whole: int, part: int, start: int) -> None:
        all_of_it, piece = self.entries(whole), self.entries(part)
        if not all_of_it or not piece:
            self._pin(all_of_it or piece, "a piece of it has no known size")
            return
        for offset, entry in enumerate(piece):
            self._join(all_of_it[start + offset], entry)

    def _join_factor(self, whole: int, factors: Sequence[int], kept: int) -> None:
        entries = self.entries(whole)
        if not entries:
            for factor in factors:
                self._pin(self.entries(factor), "the axis that it is a factor of has no known size")
            return
        for place, factor in enumerate(factors):
            if place != kept:
                self._pin(self.entries(factor), "it is laid out with other axes as one")
        own = self.entries(factors[kept])
        for entry, digits in zip(entries, self._digits(factors), strict=True):
            self._join(entry, own[digits[kept]])

    def _choose_factor(self, whole: int, factors: Sequence[int]) -> None:
        """Joins with the first factor that leaves something to cut: heads are laid out before
        what is in each, channels of an image before its space."""
        if all(self.why_kept(e) for e in self.entries(whole)):
            reason = next((self.why_kept(e) for e in self.entries(whole)), "")
            for factor in factors:
                self._pin(self.entries(factor), reason or "its size is not known")
            return
        for place, factor in enumerate(factors):
            free = any(not self.why_kept(e) for e in self.entries(factor))
            if free and self._count_joined(whole, factors, place) > 1:
                self._join_factor(whole, factors, place)
                return
        for axis in (whole, *factors):
            self._pin(self.entries(axis), "it is laid out with axes that stay")

    def _count_joined(self, whole: int, factors: Sequence[int], kept: int) -> int:
        """How many channels would be left apart if entries went with one factor."""
        parents: dict[int, int] = {}

        def find(item: int) -> int:
            while parents.setdefault(item, item) != item:
                item = parents[item]
            return item

        own = self.entries(factors[kept])
        for entry, digits in zip(self.entries(whole), self._digits(factors), strict=True):
            parents[find(self.root(entry))] = find(self.root(own[digits[kept]]))
        return len({find(item) for item in list(parents)})

    def _digits(self, factors: Sequence[int]) -> Iterator[tuple[int, ...]]:
        return product(*(range(len(self.entries(f))) for f in factors))
