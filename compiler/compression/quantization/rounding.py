"""Rounds weights to few levels: to the nearest, or with errors passed on to other columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, final

import numpy as np
from numpy.typing import NDArray

from compiler.ir.evaluate import evaluate
from compiler.ir.graph import Node
from compiler.ir.weighted_net import WeightedNet
from compiler.ops.layers import LinearLayer

Array = NDArray[Any]
Rounding = Literal["nearest", "gptq"]

DAMPING = 0.01
"""Share of the mean of the diagonal that is added to it (Frantar et al. 2022, section 3.3)."""
SHARES = np.linspace(1.0, 0.5, 16)
"""Steps that are tried, as parts of the one that clips nothing."""
SAMPLE = 512
"""Entries of a row that choose its step."""
COLUMNS = 128
"""Columns that are rounded before their errors reach the rest of the weight."""


class Levels(Protocol):
    """The numbers that the entries of a weight `[rows, columns]` may have."""

    def round(self, weight: Array, first: int) -> Array:
        """The nearest codes of some columns, `first` being the place of the first."""

    def value(self, codes: Array, first: int) -> Array:
        """What codes of these columns stand for."""


@final
@dataclass(frozen=True, eq=False)
class Steps:
    """Evenly spaced levels: `(code - zero) * scale`, with scales and zeros `[rows, groups]`, each
    for `block` columns, and codes from `low` to `high`."""

    scale: Array
    zero: Array
    low: int
    high: int
    block: int

    def round(self, weight: Array, first: int) -> Array:
        """The nearest codes."""
        scale, zero = self._spread(weight.shape[1], first)
        return np.clip(np.round(weight / scale) + zero, self.low, self.high)

    def value(self, codes: Array, first: int) -> Array:
        """What codes stand for."""
        scale, zero = self._spread(codes.shape[1], first)
        return np.asarray((codes - zero) * scale)

    def _spread(self, count: int, first: int) -> tuple[Array, Array]:
        groups = np.arange(first, first + count) // self.block
        return self.scale[:, groups], self.zero[:, groups]


@final
@dataclass(frozen=True, eq=False)
class Book:
    """Any levels: the entries of a list, the same for the whole weight."""

    entries: Array

    def round(self, weight: Array, first: int) -> Array:
        """The places of the nearest entries."""
        order = np.argsort(self.entries, kind="stable")
        ordered = self.entries[order]
        return order[np.searchsorted((ordered[1:] + ordered[:-1]) / 2, weight)]

    def value(self, codes: Array, first: int) -> Array:
        """The entries."""
        return self.entries[codes.astype(np.intp)]


def space_symmetric(weight: Array, bits: int, *, per_row: bool) -> Steps:
    """Levels around 0 for a weight `[rows, columns]`, one step for each row or for all, with the
    least squared error."""
    half = 2 ** (bits - 1)
    rows = weight if per_row else weight.reshape(1, -1)
    bounds = np.abs(rows).max(axis=1, keepdims=True) / (half - 1)
    bounds = np.where(bounds > np.finfo(np.float32).tiny, bounds, 1).astype(np.float32)
    # Some hundred entries of a row say which step is best as well as thousands do.
    sample = rows[:, :: max(1, rows.shape[1] // (SAMPLE if per_row else SAMPLE * 32))]
    best, least = bounds, np.full(bounds.shape, np.inf, np.float32)
    for share in SHARES:
        scale = bounds * np.float32(share)
        errors = np.clip(np.round(sample / scale), -half, half - 1) * scale - sample
        error = np.square(errors).sum(axis=1, keepdims=True)
        best, least = np.where(error < least, scale, best), np.minimum(error, least)
    spread = np.broadcast_to(best, (len(weight), 1))
    return Steps(spread, np.zeros_like(spread), -half, half - 1, max(1, weight.shape[1]))


def space_blocks(weight: Array, bits: int, block: int, *, symmetric: bool) -> Steps:
    """Levels for each `block` columns of a row, with codes from 0."""
    rows, columns = weight.shape
    count = -(-columns // block)
    filled = np.zeros((rows, count * block), np.float32)
    filled[:, :columns] = weight
    parts = filled.reshape(rows, count, block)
    greatest = 2**bits - 1
    middle = 2 ** (bits - 1)
    if symmetric:
        # The end of largest magnitude gets the code 0, which is one step further from the middle.
        ends = np.take_along_axis(parts, np.abs(parts).argmax(axis=2)[..., None], axis=2)[..., 0]
        scale = ends / np.float32(-middle)
        zero = np.full(scale.shape, middle, np.float32)
    else:
        low, high = np.minimum(parts.min(axis=2), 0), np.maximum(parts.max(axis=2), 0)
        scale = (high - low) / np.float32(greatest)
        zero = np.round(-low / np.where(scale == 0, 1, scale))
    scale = np.where(scale == 0, np.float32(1), scale).astype(np.float32)
    return Steps(scale, np.clip(zero, 0, greatest), 0, greatest, block)


def learn_book(weight: Array, count: int, turns: int = 30) -> Book:
    """The entries with the least squared error for a weight (k-means in one dimension). Where
    the weight has zeros, the first entry is 0 and stays it, so that they need no place in the
    file; the others start evenly spaced (Han et al. 2016, section 3.2)."""
    kept = np.sort(weight[weight != 0].astype(np.float64))
    sparse = kept.size < weight.size
    free = count - 1 if sparse else count
    different = np.unique(kept)
    if different.size <= free:
        zero = [0.0] if sparse else []
        return Book(np.concatenate([zero, different]).astype(np.float32))
    centers = np.linspace(kept[0], kept[-1], free)
    sums = np.concatenate([[0.0], np.cumsum(kept)])
    for _ in range(turns):
        borders = np.searchsorted(kept, (centers[1:] + centers[:-1]) / 2)
        ends = np.concatenate([[0], borders, [kept.size]])
        sizes = np.diff(ends)
        means = np.diff(sums[ends]) / np.maximum(sizes, 1)
        moved = np.sort(np.where(sizes > 0, means, centers))
        if np.allclose(moved, centers, rtol=1e-6, atol=0):
            break
        centers = moved
    entries = np.concatenate([[0.0], centers]) if sparse else centers
    return Book(entries.astype(np.float32))


def round_weight(weight: Array, levels: Levels, moments: Array | None) -> Array:
    """Codes of a weight `[rows, columns]`. Entries that are 0 stay it.

    Args:
        weight: what to round.
        levels: to what.
        moments: sum of the outer products of inputs, `[columns, columns]`: errors are then
            passed on to the columns that are not rounded yet, so that the layer's result moves
            least (GPTQ, https://arxiv.org/abs/2210.17323). None: each entry for itself.
    """
    if moments is None:
        return levels.round(weight, 0)
    # The columns that matter most come first, while most others can still take their errors.
    order = np.argsort(-np.diagonal(moments), kind="stable")
    rest = weight[:, order].astype(np.float64)
    columns = weight.shape[1]
    factor = _factor(moments[np.ix_(order, order)])
    codes = np.zeros(weight.shape, np.int64)
    for start in range(0, columns, COLUMNS):
        end = min(start + COLUMNS, columns)
        errors = np.zeros((len(weight), end - start))
        for i in range(start, end):
            place = int(order[i])
            column = np.where(weight[:, place] == 0, 0.0, rest[:, i])[:, None]
            code = levels.round(column, place)
            codes[:, place] = code[:, 0]
            error = (rest[:, i] - levels.value(code, place)[:, 0]) / factor[i, i]
            rest[:, i:end] -= np.outer(error, factor[i, i:end])
            errors[:, i - start] = error
        rest[:, end:] -= errors @ factor[start:end, end:]
    return codes


def _factor(moments: Array) -> Array:
    """The upper Cholesky factor of the inverse of the damped moments."""
    damped = moments.astype(np.float64).copy()
    diagonal = np.einsum("ii->i", damped)
    diagonal += DAMPING * max(float(diagonal.mean()), 1e-12)
    inverse = np.linalg.inv(damped)
    upper: Array = np.linalg.cholesky((inverse + inverse.T) / 2).T
    return upper


def collect_moments(
    net: WeightedNet, nodes: Sequence[Node], batches: Sequence[Mapping[str, Array]]
) -> dict[str, Array]:
    """Sums of the outer products of what dense layers and convolutions read, by the path of the
    weight; those of layers that share a weight are added up. Convolutions in groups have none."""
    readers: dict[str, list[tuple[LinearLayer, Node]]] = {}
    for node in nodes:
        source = node.inputs[0]
        if source is not None and isinstance(node.op, LinearLayer):
            readers.setdefault(source.name, []).append((node.op, node))
    found: dict[str, Array] = {}

    def see(name: str, array: Array) -> None:
        for op, node in readers.get(name, ()):
            weight = node.inputs[1]
            assert weight is not None, "a layer has a weight"
            rows = op.list_rows(array)
            if rows is None:
                continue
            sums = rows.T @ rows
            found[weight.name] = found[weight.name] + sums if weight.name in found else sums

    def watch(node: Node, results: tuple[Array, ...]) -> None:
        for value, array in zip(node.outputs, results, strict=True):
            see(value.name, array)

    for batch in batches:
        for item in net.graph.inputs:
            see(item.name, np.asarray(batch[item.name]))
        evaluate(net.graph, net.weights, batch, watch=watch)
    return found
