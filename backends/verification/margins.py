"""How far a backend may lie from the meaning on one case: what the rounding of numbers explains.

Nothing is known beforehand of how rounding in one place shows in another: a norm over an image of
one colour, a difference of nearly equal numbers or the index of a maximum make much of it. So it is
tried: the network is computed again with every number that goes in, and every one that an op puts
out, moved by some rounding steps of the magnitude that the op promises. How far each entry of each
output then lies from its meaning is what is allowed there, and nowhere else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from backends.verification.cases import Case
from backends.verification.rounding import Levels, Reference, draw_noise, has_rounding
from backends.verification.tolerance import FACTOR, ROUNDINGS, STEP, Difference, Spread, compare
from compiler.ir.evaluate import evaluate
from compiler.ir.graph import Graph, Node, Op
from compiler.ops.scan import Scan
from compiler.types.dims import Dim
from compiler.types.tensor import DType

Array = NDArray[Any]

DRAWS = 48
"""How many moves are tried before a difference is a fault: an entry may be near its meaning in one
by chance, and where one element of a whole layer lies on an edge, many pass it by."""
SOME = 0.25
"""The share of numbers that may be 0 and are, but for the first move, in which all are."""
FIRST_DRAWS = 3
"""How many are made at once, so that what is allowed says something beside the difference."""
PART = 1 << 16
"""Numbers that are moved together: they stay in the processor's cache."""
DEAR_DRAWS = 12
"""The same where an evaluation takes its time."""


@dataclass(eq=False)
class Margin:
    """What is allowed on one case; `meaning` are the outputs of the graph by name. Every move
    takes an evaluation of the network, so there are only as many as the differences ask for, and
    they serve all backends."""

    reference: Reference
    case: Case
    meaning: Mapping[str, Array]
    draws: int = DRAWS
    spreads: dict[str, Spread] = field(default_factory=dict)
    done: int = 0

    @property
    def graph(self) -> Graph:
        """The graph whose outputs are judged."""
        return self.reference.graph

    def judge(self, found: Mapping[str, Array]) -> tuple[str, Difference]:
        """The output that lies furthest from its meaning in proportion to what is allowed, and
        where; a fault once no further move explains it."""
        names = [name for name in self.meaning if name in found]
        differences = {name: self._compare(name, found[name]) for name in names}
        while True:
            worst = max(names, key=lambda name: differences[name].share)
            if differences[worst].share <= 1 or differences[worst].reason:
                return worst, differences[worst]
            if self.done >= self.draws:
                return worst, differences[worst]
            for _ in range(1 if self.done else FIRST_DRAWS):
                self._move()
            for name in names:
                if differences[name].share > 1:
                    differences[name] = self._compare(name, found[name])

    def _compare(self, name: str, found: Array) -> Difference:
        return compare(self.meaning[name], found, self._dtypes[name], self.spreads.get(name))

    @cached_property
    def _dtypes(self) -> dict[str, DType]:
        return {o.name: o.value.type.dtype for o in self.graph.outputs}

    @cached_property
    def _levels(self) -> Levels | None:
        if not has_rounding(self.graph):
            return None
        return Levels(self.reference, self.case.inputs, self.meaning)

    def _move(self) -> None:
        """One more computation of the network with its numbers moved."""
        draw = np.random.default_rng(self.done)
        zeros = SOME if self.done else 1.0
        moved = compute_moved(*self.reference.decoded, self.case.inputs, draw, zeros)
        for name, array in moved.items():
            spread = self.spreads.setdefault(name, Spread.of(self.meaning[name]))
            if array.shape == self.meaning[name].shape:  # `until` may end a loop elsewhere
                spread.add(self.meaning[name], array)
        if self._levels is not None:
            for name, levels in self._levels.move(self.done).items():
                spread = self.spreads[name]
                spread.levels = np.maximum(spread.levels, levels)
        self.done += 1


def compute_moved(
    graph: Graph,
    weights: Mapping[str, Array],
    inputs: Mapping[str, Array],
    draw: np.random.Generator,
    zeros: float = 0.0,
) -> dict[str, Array]:
    """The outputs when every number moves by some rounding steps; of those that may be 0 by that,
    a share `zeros` are."""
    kinds = {p.path: p.value.type.dtype for p in graph.parameters}
    moved = {path: _move(np.asarray(weights[path]), kind, draw) for path, kind in kinds.items()}
    given = {i.name: _move(inputs[i.name], i.value.type.dtype, draw) for i in graph.inputs}
    with np.errstate(all="ignore"):
        return evaluate(_disturb_graph(graph, draw, zeros), moved, given)


def _disturb_graph(graph: Graph, draw: np.random.Generator, zeros: float) -> Graph:
    def disturb(node: Node) -> _Disturbed:
        op = node.op
        if isinstance(op, Scan):
            op = replace(op, body=_disturb_graph(op.body, draw, zeros))
        domains = node.op.place_domains(node.types)
        bounds = {p: d.most for p, d in domains.items() if d.most is not None}
        return _Disturbed(op, tuple(v.type.dtype for v in node.outputs), draw, zeros, bounds)

    return replace_ops(graph, disturb)


def replace_ops(graph: Graph, change: Callable[[Node], Any]) -> Graph:
    """A graph to be evaluated only, with something that evaluates in place of each op."""
    return replace(graph, nodes=tuple(replace(node, op=change(node)) for node in graph.nodes))


@dataclass(frozen=True)
class _Disturbed:
    """An op whose results move by some rounding steps of the magnitude that it promises."""

    of_graph = of_mode = False
    bodies = ()

    op: Op
    dtypes: tuple[DType, ...]
    draw: np.random.Generator
    zeros: float
    bounds: Mapping[int, float] = field(default_factory=dict)
    varies: ClassVar[bool] = False

    def substitute(self, sizes: Mapping[str, int | Dim]) -> _Disturbed:
        return replace(self, op=self.op.substitute(sizes))

    def evaluate(self, *operands: Array | None) -> tuple[Array, ...]:
        inside = list(operands)
        for position, most in self.bounds.items():  # a probability of 1 does not move above it
            inside[position] = np.clip(np.asarray(operands[position]), 0, most)
        results = [np.asarray(a) for a in self.op.evaluate(*inside)]
        sizes = self.op.magnitudes(operands, results)
        return tuple(
            _move(array, dtype, self.draw, size, self.zeros)
            for array, dtype, size in zip(results, self.dtypes, sizes, strict=True)
        )


def _move(
    array: Array,
    dtype: DType,
    draw: np.random.Generator,
    magnitude: Array | float | None = None,
    zeros: float = 0.0,
) -> Array:
    """Floating-point numbers moved by up to half the steps that an op may lose. Of those that are
    nearer to 0 a share `zeros` become 0, which a logarithm tells from all others; so it does of
    those that are too small for all their digits, which a backend may flush."""
    if not dtype.is_float or array.dtype.kind != "f":
        return array
    wide = array if array.itemsize > 2 else array.astype(np.float32)
    least = np.finfo(wide.dtype).tiny
    made, reach = np.empty(wide.shape, wide.dtype), STEP[dtype] * ROUNDINGS[dtype] / FACTOR
    sizes = None if magnitude is None else np.broadcast_to(magnitude, wide.shape).reshape(-1)
    source, target = wide.reshape(-1), made.reshape(-1)
    for start in range(0, wide.size, PART):
        part = slice(start, start + PART)
        numbers, own = source[part], target[part]
        noise = draw_noise(draw, numbers.shape, wide.dtype)
        size = np.abs(numbers)
        near = np.maximum(reach * sizes[part], least) if sizes is not None else least
        vanish = (size <= near) & np.isfinite(near) & (noise < 2 * zeros - 1)
        noise *= reach
        noise *= size if sizes is None else sizes[part]
        np.add(numbers, noise, out=own)
        np.copyto(own, numbers, where=~np.isfinite(numbers))
        own[vanish] = 0
    return made.astype(array.dtype, copy=False)
