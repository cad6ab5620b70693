"""Principal directions of matrices, and square roots of second moments, in NumPy."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

LARGE = 2048
"""From this size on, eigenvectors are computed in f32: half the time, and the error of 1e-6 is
far below what is cut off. Directions are orthonormal to that precision."""
SMALL = 256
"""Below this size energies and directions are found together: it takes no time."""
FEW = 0.25
"""If no larger share of the directions of a large matrix is asked for, only these are found."""
SPARE = 16
"""Directions that are carried along while the leading ones are found."""
ROUNDS = 6
"""Multiplications that turn random directions into the leading ones."""


@dataclass(frozen=True, eq=False)
class Spectrum:
    """Orthonormal directions of a symmetric matrix of second moments, most energy first, and the
    energy along each. For `w @ w.T` they are the left singular vectors of `w`, and the energies
    its squared singular values.

    Energies alone take a third of the time (a tridiagonal form, without its vectors: Golub and
    Van Loan 2013, 8.3), so directions are found only when they are asked for.

    - `moment`: the matrix.
    - `most`: how many are needed; all if None. Few of a large matrix are found by subspace
      iteration from random directions (Halko et al. 2011), which is nearly as good.
    """

    moment: Array
    most: int | None = None

    @property
    def energies(self) -> Array:
        """Along each direction, `[k]` in f64."""
        apart = self._count is None and len(self.moment) >= SMALL and "_pairs" not in vars(self)
        return self._alone if apart else self._pairs[0]

    @property
    def directions(self) -> Array:
        """Columns `[n, k]`."""
        return self._pairs[1]

    @cached_property
    def total(self) -> float:
        """The energy of all directions together, of which these may be the first few."""
        return float(np.trace(self.moment, dtype=np.float64))

    def lost(self) -> Array:
        """Energy that is lost where the first k directions are kept, for k = 0, 1, …, all."""
        energies = self.energies
        kept = np.append(0.0, np.cumsum(energies))
        if len(energies) < len(self.moment):
            return np.maximum(self.total - kept, 0.0)
        tail = np.cumsum(energies[::-1])[::-1]  # the smallest first: nothing cancels
        return np.append(tail, 0.0)

    @property
    def _count(self) -> int | None:
        """How many directions are looked for, where these are few."""
        size, most = len(self.moment), self.most
        few = most is not None and size >= LARGE and most <= FEW * size
        return most if few else None

    @property
    def _exact(self) -> Array:
        """The matrix in the precision in which it is decomposed."""
        kind = np.float64 if len(self.moment) < LARGE else np.float32
        return self.moment.astype(kind, copy=False)

    @cached_property
    def _alone(self) -> Array:
        return _sort(np.linalg.eigvalsh(self._exact))[1]

    @cached_property
    def _pairs(self) -> tuple[Array, Array]:
        if self._count is not None:
            return _find_leading(self.moment, self._count)
        energies, directions = np.linalg.eigh(self._exact)
        order, energies = _sort(energies)
        return energies, directions[:, order]


def _sort(energies: Array) -> tuple[Array, Array]:
    """The order of energies from the largest, and they in it; rounding makes none negative."""
    order = np.argsort(energies)[::-1]
    return order, np.maximum(energies[order].astype(np.float64), 0.0)


def _find_leading(moment: Array, most: int) -> tuple[Array, Array]:
    """Energies and directions of the first few."""
    generator = np.random.default_rng(0)
    basis = generator.standard_normal((len(moment), most + SPARE)).astype(moment.dtype)
    for _ in range(ROUNDS):
        basis, _ = np.linalg.qr(moment @ basis)
    energies, inner = np.linalg.eigh(basis.T @ (moment @ basis))
    order, energies = _sort(energies)
    return energies[:most], basis @ inner[:, order[:most]]


def multiply_self(matrix: Array) -> Array:
    """`matrix @ matrix.T` for a matrix of f32; in f64 unless it is large."""
    wide = matrix.astype(np.float64) if len(matrix) < LARGE else matrix
    product: Array = wide @ wide.T
    return product


def take_root(moment: Array) -> tuple[Array, Array]:
    """The symmetric square root of a positive definite matrix, and its inverse."""
    energies, directions = np.linalg.eigh(moment)
    scale = np.sqrt(np.maximum(energies, energies[-1] * 1e-12))
    return (directions * scale) @ directions.T, (directions / scale) @ directions.T
