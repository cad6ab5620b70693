"""How far a backend may lie from the meaning on one case: what the rounding of numbers explains."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backends.onnx_runtime.cases import Case
from backends.onnx_runtime.rounding import DRAWS, MOST_DRAWS, has_rounding, measure_rounding
from backends.onnx_runtime.tolerance import compare_all
from compiler.dims import Dim
from compiler.ir.evaluate import evaluate
from compiler.ir.graph import Graph
from compiler.ops.base import Op

Array = NDArray[Any]

LEVEL = 1.5 / 127
"""One level of an 8-bit value, relative to its largest magnitude, and half a one for rounding."""
NOISE_FACTOR = 16.0
"""How many times the effect of rounding every number once a difference may be: the sums within a
layer round again."""


@dataclass(frozen=True, eq=False)
class Margin:
    """What is allowed on one case; `meaning` are its outputs by name. It takes several evaluations
    of the network, so each part is found once, when a difference asks for it, and serves all
    backends."""

    graph: Graph
    weights: Mapping[str, Array]
    case: Case
    meaning: Mapping[str, Array]

    def allow(self, error: float, tolerance: float) -> float:
        """The largest error allowed, as far as it has to be known to judge this one: rounding of
        values explains what it does first, then rounding of numbers that go in, then rounding of
        values that only few draws hit upon."""
        allowed = max(tolerance, self.rounding)
        if error > allowed:
            allowed = max(allowed, self.noise)
        for seed in range(DRAWS, MOST_DRAWS if has_rounding(self.graph) else DRAWS):
            if error <= allowed:
                break
            allowed = max(allowed, self.measure_rounding([seed]))
        return allowed

    def loosen(self, allowed: float) -> float:
        """What is allowed on the way to the outputs: a level decided otherwise is no fault of
        the node that rounds."""
        return max(allowed, LEVEL) if has_rounding(self.graph) else allowed

    @cached_property
    def rounding(self) -> float:
        """The error that values rounded to another level explain."""
        return self.measure_rounding(range(DRAWS))

    def measure_rounding(self, draws: Sequence[int]) -> float:
        """The same for moves with these seeds."""
        inputs = self.case.inputs
        return measure_rounding(self.graph, self.weights, inputs, self.meaning, draws)

    @cached_property
    def noise(self) -> float:
        """The error that rounding explains: how much the outputs move when every number that goes
        in, and every one that a node puts out, moves by one step. Networks that subtract nearly
        equal numbers (a norm over an image of one colour), and jumps (a comparison, an index of
        a maximum), are known by it."""
        draw = np.random.default_rng(0)
        weights = {path: _disturb(np.asarray(a), draw) for path, a in self.weights.items()}
        inputs = {name: _disturb(a, draw) for name, a in self.case.inputs.items()}
        nodes = tuple(
            replace(node, op=_Disturbed(node.op, draw))  # type: ignore[arg-type]
            for node in self.graph.nodes
        )
        _, moved = compare_all(
            self.meaning, evaluate(replace(self.graph, nodes=nodes), weights, inputs)
        )
        return NOISE_FACTOR * moved.error


@dataclass(frozen=True)
class _Disturbed:
    """An op whose results move by one step."""

    op: Op
    draw: np.random.Generator

    def substitute(self, sizes: Mapping[str, int | Dim]) -> _Disturbed:
        return replace(self, op=self.op.substitute(sizes))

    def evaluate(self, *operands: Array) -> tuple[Array, ...]:
        return tuple(_disturb(np.asarray(a), self.draw) for a in self.op.evaluate(*operands))


def _disturb(array: Array, draw: np.random.Generator) -> Array:
    """Fractions moved by up to one rounding step."""
    if array.dtype.kind != "f":
        return array
    step = np.finfo(array.dtype).eps * draw.uniform(-1.0, 1.0, array.shape)
    moved: Array = (array * (1.0 + step)).astype(array.dtype)
    return moved
