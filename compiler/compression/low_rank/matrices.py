"""Factorisations of matrices: dense layers and embeddings by singular value decomposition."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from compiler.compression.low_rank.factoring import Setting, SingleRank, balance
from compiler.compression.low_rank.moments import Moments
from compiler.compression.low_rank.spectra import find_spectrum, multiply_self, take_root
from compiler.ops.base import Op
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


@dataclass(frozen=True)
class Product:
    """`left @ right` at full rank, most energy first: its first k columns and rows are the best
    product of rank k. `shares` of the energy are lost at rank 0, 1, …"""

    left: Array
    right: Array
    shares: Array

    def cut(self, rank: int) -> tuple[Array, Array]:
        """The factors of a rank, balanced."""
        return balance(self.left[:, :rank], self.right[:rank])


def split_matrix(weight: Array, most: int | None = None) -> Product:
    """The singular value decomposition of a matrix, by the Gram matrix of its shorter side; its
    first `most` terms, if that is all that is needed."""
    weight = weight.astype(np.float32, copy=False)
    if weight.shape[0] <= weight.shape[1]:
        spectrum = find_spectrum(multiply_self(weight), most)
        kept = spectrum.directions.astype(np.float32)
        return Product(kept, kept.T @ weight, _share(spectrum.lost()))
    spectrum = find_spectrum(multiply_self(weight.T), most)
    kept = spectrum.directions.astype(np.float32)
    return Product(weight @ kept, kept.T, _share(spectrum.lost()))


def split_for_outputs(
    weight: Array, second: Array, energy: float, most: int | None = None
) -> Product:
    """The product that changes outputs least, by their second moment `W G Wᵀ` (wide matrices).

    With left singular vectors U of `W S`, `S Sᵀ = G`, the best product is `U Uᵀ W`, and U are
    eigenvectors of `W G Wᵀ`: neither G nor S is needed.
    """
    spectrum = find_spectrum(second, most)
    kept = spectrum.directions.astype(np.float32)
    shares = spectrum.lost() / max(energy, 1e-30)
    return Product(kept, kept.T @ weight.astype(np.float32, copy=False), shares)


def split_for_inputs(weight: Array, second: Array, energy: float) -> Product:
    """The same by the second moment of inputs (tall matrices): `W S V Vᵀ S⁻¹` with the right
    singular vectors V of `W S`."""
    root, inverse = take_root(second)
    seen = weight.astype(np.float64) @ root
    spectrum = find_spectrum(seen.T @ seen)
    kept = spectrum.directions
    shares = spectrum.lost() / max(energy, 1e-30)
    left, right = seen @ kept, kept.T @ inverse
    return Product(left.astype(np.float32), right.astype(np.float32), shares)


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
        self.means: tuple[Array, Array] | None = None
        """The mean output without bias, and what the inner layer makes of the mean input."""
        self.product = self._split(weight, bias, moments)
        self.shares = self.product.shares

    def _split(self, weight: Array, bias: Array | None, moments: Moments | None) -> Product:
        if moments is None:
            return split_matrix(weight, self.most)
        centred, wide = moments.covariance, weight.shape[0] <= weight.shape[1]
        even = multiply_self(weight) if wide else np.eye(len(centred))
        mean = moments.mean - (bias if bias is not None and wide else 0.0)
        seen = centred if self.op.bias else centred + np.outer(mean, mean)
        seen, known = add_ridge(seen, even), add_ridge(centred, even)
        if wide:
            product = split_for_outputs(weight, seen, float(np.trace(known)), self.most)
            outer, inner = mean, product.left.T @ mean
        else:
            energy = float(np.sum((weight @ known) * weight))
            product = split_for_inputs(weight, seen, energy)
            outer, inner = weight @ mean, product.right @ mean
        if self.op.bias:
            self.means = outer, inner
        return product

    def ops(self, setting: Setting) -> tuple[Op, ...]:
        (rank,) = setting.ranks
        return replace(self.op, out=rank, bias=False), self.op

    def weights(self, setting: Setting) -> tuple[Array, ...]:
        (rank,) = setting.ranks
        left, right = self.product.cut(rank)
        return right, left

    def shift(self, setting: Setting) -> Array | None:
        if self.means is None:
            return None
        (rank,) = setting.ranks
        outer, inner = self.means
        off: Array = outer - self.product.left[:, :rank] @ inner[:rank]
        return off


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
        left, right = self.product.cut(rank)
        return left, right.T
