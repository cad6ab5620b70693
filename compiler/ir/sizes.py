"""Chooses sizes of symbolic dimensions: small and different ones to verify a graph at, typical ones
to take figures at."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from compiler.ir.graph import Graph
from compiler.types.dims import Dim, Symbol

LARGEST = 1024
"""No size beyond this is tried."""
TRIES = 20_000
"""Random assignments tried where equal sizes are not possible."""
ROWS = "batch"
"""What trains call the number of rows."""
TYPICAL = 32
"""The size of a dim that nobody gave one, where figures are taken; of rows it is 1."""


@dataclass(frozen=True)
class SizeSearch:
    """The sizes that a graph can have. `pinned` are sizes that are not free."""

    graph: Graph
    pinned: Mapping[str, int]

    @cached_property
    def batch(self) -> str | None:
        """The symbol that is the first axis of every input and output, if there is one."""
        types = [i.value.type for i in self.graph.inputs]
        types += [o.value.type for o in self.graph.outputs]
        firsts = {t.shape[0] for t in types if t.shape}
        if len(firsts) != 1 or any(not t.shape for t in types):
            return None
        name = _plain_symbol(firsts.pop())
        return None if name in self.pinned else name

    @cached_property
    def free(self) -> tuple[str, ...]:
        """The symbols to choose sizes for, without the batch."""
        return tuple(s for s in self.graph.symbols if s not in self.pinned and s != self.batch)

    @cached_property
    def rows(self) -> frozenset[str]:
        """The symbols that count rows: the first axis of an input and of an output, and no other
        axis of either. Where all axes are open, as of an image `[height, width]`, nothing tells
        rows from entries of one, but for the name that a train gives them."""
        inputs = [i.value.type.shape for i in self.graph.inputs]
        outputs = [o.value.type.shape for o in self.graph.outputs]
        inner = {s for shape in (*inputs, *outputs) for dim in shape[1:] for s in dim.symbols}
        firsts = [{_plain_symbol(s[0]) for s in shapes if s} for shapes in (inputs, outputs)]
        sized = {_plain_symbol(s[0]) for s in inputs if any(dim.known is not None for dim in s[1:])}
        found = firsts[0] & firsts[1] - inner
        return frozenset(name for name in found & {ROWS, *sized} if name is not None)

    def is_possible(self, sizes: Mapping[str, int]) -> bool:
        """Whether every axis of every value has at least one element and every condition of
        the graph holds."""
        # Of what a run decides nothing is promised: the least that it can be.
        sizes = {**dict.fromkeys(self.graph.run_sizes, 1), **sizes}
        try:
            if any(dim.evaluate(sizes) < 1 for dim in self._dims):
                return False
            for condition in self.graph.conditions:
                left, right = condition.left.evaluate(sizes), condition.right.evaluate(sizes)
                if not (left == right if condition.relation == "==" else left <= right):
                    return False
        except ZeroDivisionError:
            return False
        return True

    def choose(self) -> list[dict[str, int]]:
        """Assignments for all symbols but the batch: the smallest, and larger ones in which no
        two symbols are equal where that is possible. Empty if none was found."""
        smallest = self._find_smallest()
        if smallest is None:
            return []
        if not self.free:
            return [smallest]
        least = min(smallest[name] for name in self.free)
        found = [smallest]
        for start in (least + 2, max(least + 2, 33)):
            larger = self._spread(smallest, start)
            if larger not in found:
                found.append(larger)
        return found

    def choose_typical(self) -> dict[str, int] | None:
        """One row, and of every other symbol the possible size nearest to `TYPICAL`, for all
        symbols of the graph; None if no possible sizes were found."""
        open_ = [name for name in self.graph.symbols if name not in self.pinned]
        found = self._find_typical(open_)
        if found is None:
            return None
        for name in open_:
            for size in _list_nearest(self._aim(name)):
                if size == found[name] or self.is_possible({**found, name: size}):
                    found[name] = size
                    break
        return found

    def _find_typical(self, names: Sequence[str]) -> dict[str, int] | None:
        """Possible sizes to start from: equal ones but for rows, else the smallest."""
        rows = {name: 1 for name in names if name in self.rows}
        for size in _list_nearest(TYPICAL):
            sizes = {**self.pinned, **dict.fromkeys(names, size), **rows}
            if self.is_possible(sizes):
                return sizes
            if len(rows) == len(names):
                break
        return self._find_smallest()

    def _aim(self, name: str) -> int:
        return 1 if name in self.rows else TYPICAL

    def count_multiply_adds(self, sizes: Mapping[str, int]) -> int:
        """The work of one evaluation at these sizes."""
        total = 0
        for node in self.graph.nodes:
            inputs = node.types
            count = node.op.multiply_adds(inputs, [v.type for v in node.outputs])
            total += count.evaluate(sizes)
        return total

    @cached_property
    def _dims(self) -> tuple[Dim, ...]:
        values = [i.value for i in self.graph.inputs]
        values += [v for node in self.graph.nodes for v in node.outputs]
        return tuple({d: None for v in values for d in v.type.shape if d.known is None})

    def _complete(self, sizes: Mapping[str, int]) -> dict[str, int]:
        batch = {self.batch: 1} if self.batch else {}
        return {**self.pinned, **batch, **sizes}

    def _find_smallest(self) -> dict[str, int] | None:
        for sizes in self._candidates():
            complete = self._complete(sizes)
            if self.is_possible(complete):
                return complete
        return None

    def _candidates(self) -> Iterator[dict[str, int]]:
        for size in range(1, LARGEST + 1):
            yield dict.fromkeys(self.free, size)
            if not self.free:
                return
        draw = random.Random(0)  # noqa: S311 - sizes to try, no secret
        for attempt in range(TRIES):
            limit = min(LARGEST, 8 + attempt // 20)
            yield {name: draw.randint(1, limit) for name in self.free}

    def _spread(self, sizes: Mapping[str, int], start: int) -> dict[str, int]:
        """Each free symbol raised in turn to the next possible size that no other has."""
        spread = dict(sizes)
        for name in self.free:
            taken = {spread[other] for other in self.free if other != name}
            # What another size bounds from above takes a smaller one.
            for size in (*range(start, start + 65), *range(start - 1, sizes[name], -1)):
                if size not in taken and self.is_possible({**spread, name: size}):
                    spread[name] = size
                    break
        return spread


def _list_nearest(size: int) -> Iterator[int]:
    """All sizes that are tried, the nearest to one first, of two as near the larger."""
    return iter(sorted(range(1, LARGEST + 1), key=lambda one: (abs(one - size), -one)))


def _plain_symbol(dim: Dim) -> str | None:
    match dim.terms:
        case ((((Symbol(name), 1),), 1),):
            return name
    return None


def pin_sizes(graph: Graph, shapes: Mapping[str, Sequence[int | None]]) -> dict[str, int]:
    """Sizes of symbols that a compiled model has fixed, from the shapes of its inputs."""
    pinned: dict[str, int] = {}
    for item in graph.inputs:
        for dim, size in zip(item.value.type.shape, shapes.get(item.name, ()), strict=False):
            name = _plain_symbol(dim)
            if name is not None and size is not None:
                pinned[name] = size
    return pinned
