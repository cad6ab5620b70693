"""Factorisations of matrices: dense layers and embeddings by singular value decomposition."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from compiler.compression.low_rank.factoring import Setting, SingleRank, balance
from compiler.compression.low_rank.moments import Moments
from compiler.compression.low_rank.spectra import Spectrum, multiply_self, take_root
from compiler.ir.graph import Op
from compiler.ops.linear import Dense, Embedding

Array = NDArray[Any]

RIDGE = 1e-2
"""Share of the energy that is added evenly to all directions (the ε of G + εI), so that those
which the rows do not show are not given away for nothing."""


def add_ridge(moment: Array, even: Array) -> Array:
    """`moment + ε even`, with ε such that what is added is `RIDGE` of the trace."""
    weight = RIDGE * np.trace(moment) / max(float(np.trace(even)), 1e-30)
    ridged: Array = moment + weight * even
    return ridged


@dataclass(frozen=True, eq=False)
class Product:
    """`left @ right`, most energy first: its first k columns and rows are the best product of
    rank k. `shares` of the energy are lost at rank 0, 1, …; `find` makes the two of a rank, which
    takes longer than to know the shares."""

    shares: Array
    find: Callable[[int], tuple[Array, Array]]
    _found: dict[int, tuple[Array, Array]] = field(default_factory=dict)

    def cut(self, rank: int) -> tuple[Array, Array]:
        """The first columns of the left and rows of the right."""
        if rank not in self._found:
            self._found[rank] = self.find(rank)
        return self._found[rank]


def split_matrix(weight: Array, most: int | None = None) -> Product:
    """The singular value decomposition of a matrix, by the Gram matrix of its shorter side; its
    first `most` terms, if that is all that is needed."""
    weight = weight.astype(np.float32, copy=False)
    wide = weight.shape[0] <= weight.shape[1]
    spectrum = Spectrum(multiply_self(weight if wide else weight.T), most)

    def find(rank: int) -> tuple[Array, Array]:
        kept = spectrum.directions[:, :rank].astype(np.float32)
        return (kept, kept.T @ weight) if wide else (weight @ kept, kept.T)

    return Product(_share(spectrum.lost()), find)


def split_for_outputs(
    weight: Array, second: Array, energy: float, most: int | None = None
) -> Product:
    """The product that changes outputs least, by their second moment `W G Wᵀ` (wide matrices).

    With left singular vectors U of `W S`, `S Sᵀ = G`, the best product is `U Uᵀ W`, and U are
    eigenvectors of `W G Wᵀ`: neither G nor S is needed.
    """
    spectrum = Spectrum(second, most)

    def find(rank: int) -> tuple[Array, Array]:
        kept = spectrum.directions[:, :rank].astype(np.float32)
        return kept, kept.T @ weight.astype(np.float32, copy=False)

    return Product(spectrum.lost() / max(energy, 1e-30), find)


def split_for_inputs(weight: Array, second: Array, energy: float) -> Product:
    """The same by the second moment of inputs (tall matrices): `W S V Vᵀ S⁻¹` with the right
    singular vectors V of `W S`."""
    root, inverse = take_root(second)
    seen = weight.astype(np.float64) @ root
    spectrum = Spectrum(seen.T @ seen)

    def find(rank: int) -> tuple[Array, Array]:
        kept = spectrum.directions[:, :rank]
        return (seen @ kept).astype(np.float32), (kept.T @ inverse).astype(np.float32)

    return Product(spectrum.lost() / max(energy, 1e-30), find)


def _share(lost: Array) -> Array:
    shares: Array = lost / max(float(lost[0]), 1e-30)
    return shares


@final
class DenseFactoring(SingleRank):
    """`W (M×N) ≈ A (M×K) B (K×N)`, the best for inputs of a second moment G (Eckart and Young
    1936 for `W S` with `S Sᵀ = G + εI`), or for white inputs where none is known.

    With a bias, moments are taken about the mean, and the bias makes up for the mean of what is
    cut off. `moments` are those of the outputs where M ≤ N, else of the inputs. `most` is the
    largest rank that will be asked for, if it is known.
    """

    method = "svd"

    def __init__(
        self,
        op: Dense,
        weight: Array,
        bias: Array | None = None,
        moments: Moments | None = None,
        most: int | None = None,
    ) -> None:
        self.op = op
        self.each = sum(weight.shape)
        self.most = most
        self.weight = weight
        self.mean: Array | None = None
        """Of the outputs without bias (wide matrices), or of the inputs; for layers with one."""
        self.product = self._split(weight, bias, moments)
        self.shares = self.product.shares

    @property
    def wide(self) -> bool:
        """Whether there are at least as many inputs as outputs."""
        outputs, inputs = self.weight.shape
        return bool(outputs <= inputs)

    def _split(self, weight: Array, bias: Array | None, moments: Moments | None) -> Product:
        if moments is None:
            return split_matrix(weight, self.most)
        centred, wide = moments.covariance, self.wide
        even = multiply_self(weight) if wide else np.eye(len(centred))
        mean = moments.mean - (bias if bias is not None and wide else 0.0)
        seen = centred if self.op.bias else centred + np.outer(mean, mean)
        seen, known = add_ridge(seen, even), add_ridge(centred, even)
        if self.op.bias:
            self.mean = mean
        if wide:
            return split_for_outputs(weight, seen, float(np.trace(known)), self.most)
        return split_for_inputs(weight, seen, float(np.sum((weight @ known) * weight)))

    def ops(self, setting: Setting) -> tuple[Op, ...]:
        (rank,) = setting.ranks
        return replace(self.op, out=rank, bias=False), self.op

    def weights(self, setting: Setting) -> tuple[Array, ...]:
        (rank,) = setting.ranks
        left, right = balance(*self.product.cut(rank))
        return right, left

    def shift(self, setting: Setting) -> Array | None:
        if self.mean is None:
            return None
        (rank,) = setting.ranks
        left, right = self.product.cut(rank)
        if self.wide:  # the left factor is orthonormal
            return np.asarray(self.mean - left @ (left.T @ self.mean))
        return np.asarray(self.weight @ self.mean - left @ (right @ self.mean))


@final
class EmbeddingFactoring(SingleRank):
    """`W (count×size) ≈ A (count×K) B (K×size)`: vectors of K numbers, then a dense layer."""

    method = "svd"
    rank_fields = (("size", "rank"),)

    def __init__(self, op: Embedding, weight: Array, most: int | None = None) -> None:
        self.op = op
        self.each = sum(weight.shape)
        self.product = split_matrix(weight, most)
        self.shares = self.product.shares

    def ops(self, setting: Setting) -> tuple[Op, ...]:
        (rank,) = setting.ranks
        return replace(self.op, size=rank), Dense(self.op.size, bias=False)

    def weights(self, setting: Setting) -> tuple[Array, ...]:
        (rank,) = setting.ranks
        left, right = balance(*self.product.cut(rank))
        return left, right.T
