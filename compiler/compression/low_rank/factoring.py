"""What a factorisation is: parts that a layer is replaced by, at every rank it may have."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from compiler.ir.graph import Op

Array = NDArray[Any]


@dataclass(frozen=True)
class Part:
    """One factor: an op and its weight; where `op.bias` is set it takes the layer's bias. `rank`
    is the op's field that holds a rank, and what an argument made of it would be called.
    `slides`: its windows are the layer's own."""

    op: Op
    weight: Array
    rank: tuple[str, str] | None = None
    slides: bool = False


@dataclass(frozen=True)
class Setting:
    """Ranks, the elements of the weights that they leave, and the share of energy they lose."""

    ranks: tuple[int, ...]
    parameters: int
    lost: float


@dataclass(frozen=True)
class Factors:
    """What replaces a layer: its parts, in order, and what is added to its bias."""

    parts: tuple[Part, ...]
    shift: Array | None = None


class Factoring(ABC):
    """One way to factor one layer. Losses are shares of the energy of its weight, as seen by its
    inputs where their second moment is known."""

    method: ClassVar[str]
    rank_fields: ClassVar[tuple[tuple[str, str], ...]] = (("out", "rank"),)
    """For each part but the last: its op's field that is a rank, and what to call it."""
    sliding: ClassVar[int | None] = None
    """The part whose windows are those of the layer."""

    @abstractmethod
    def at_rank(self, rank: int) -> Setting:
        """The setting of a rank, at most the full one."""

    @abstractmethod
    def align(self, setting: Setting, multiple: int) -> Setting:
        """The setting with ranks that are multiples of a number: the next ones, at most full."""

    @abstractmethod
    def smallest(self, lost: float) -> Setting:
        """The fewest parameters that lose no more than that share of the energy."""

    @abstractmethod
    def within(self, parameters: float) -> Setting | None:
        """The least loss with no more parameters than that; None where not even rank 1 fits."""

    @abstractmethod
    def ops(self, setting: Setting) -> tuple[Op, ...]:
        """The ops of the parts."""

    @abstractmethod
    def weights(self, setting: Setting) -> tuple[Array, ...]:
        """The weights of the parts."""

    def shift(self, setting: Setting) -> Array | None:
        """What is added to the bias of the layer."""
        return None

    def make(self, setting: Setting) -> Factors:
        """The parts of a setting, with their numbers."""
        names = (*self.rank_fields, None)
        rows = zip(self.ops(setting), self.weights(setting), names, strict=True)
        parts = (Part(*row, slides=k == self.sliding) for k, row in enumerate(rows))
        return Factors(tuple(parts), self.shift(setting))


class SingleRank(Factoring):
    """A factorisation with one rank, which costs `each` parameters more for every step."""

    each: int
    shares: Array
    """Share of the energy that is lost at rank 0, 1, …, full."""

    def at_rank(self, rank: int) -> Setting:
        rank = max(1, min(rank, len(self.shares) - 1))
        return Setting((rank,), rank * self.each, float(self.shares[rank]))

    def align(self, setting: Setting, multiple: int) -> Setting:
        return self.at_rank(round_up(setting.ranks[0], multiple))

    def smallest(self, lost: float) -> Setting:
        return self.at_rank(count_kept(self.shares, lost))

    def within(self, parameters: float) -> Setting | None:
        rank = int(parameters // self.each)
        return self.at_rank(rank) if rank >= 1 else None


def round_up(rank: int, multiple: int) -> int:
    """The next multiple of a number."""
    return -(-rank // multiple) * multiple


def count_kept(lost: Array, most: float) -> int:
    """The least k for which no more than `most` is lost, after rounding errors; `lost` decreases
    with k."""
    return int(np.argmax(lost <= most + 1e-10))


def balance(left: Array, right: Array) -> tuple[Array, Array]:
    """Factors `left @ right` whose k-th column and row have one length, so that gradients of both
    are of one size when the net is trained on."""
    lengths = np.linalg.norm(left, axis=0), np.linalg.norm(right, axis=1)
    whole = (lengths[0] > 0) & (lengths[1] > 0)
    scale = np.ones_like(lengths[0])
    np.sqrt(lengths[1], out=scale, where=whole)
    np.divide(scale, np.sqrt(lengths[0]), out=scale, where=whole)
    return left * scale, right / scale[:, None]
