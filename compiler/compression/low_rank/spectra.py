"""Principal directions of matrices, and square roots of second moments, in NumPy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

LARGE = 2048
"""From this size on, eigenvectors are computed in f32: half the time, and the error of 1e-6 is
far below what is cut off. Directions are orthonormal to that precision."""
FEW = 0.25
"""If no larger share of the directions of a large matrix is asked for, only these are found."""
SPARE = 16
"""Directions that are carried along while the leading ones are found."""
ROUNDS = 6
"""Multiplications that turn random directions into the leading ones."""


@dataclass(frozen=True)
class Spectrum:
    """Orthonormal directions (columns), most energy first, the energy along each, and the energy
    of all directions together, of which these may be the first few."""

    directions: Array
    energies: Array
    total: float

    def lost(self) -> Array:
        """Energy that is lost where the first k directions are kept, for k = 0, 1, …, all."""
        kept = np.append(0.0, np.cumsum(self.energies))
        if len(self.energies) < len(self.directions):
            return np.maximum(self.total - kept, 0.0)
        tail = np.cumsum(self.energies[::-1])[::-1]  # the smallest first: nothing cancels
        return np.append(tail, 0.0)


def find_spectrum(moment: Array, most: int | None = None) -> Spectrum:
    """Eigenvectors of a symmetric matrix of second moments. For `w @ w.T` they are the left
    singular vectors of `w`, and the energies its squared singular values.

    Args:
        moment: the matrix.
        most: how many are needed; all if None. Few of a large matrix are found by subspace
            iteration from random directions (Halko et al. 2011), which is nearly as good.
    """
    total = float(np.trace(moment, dtype=np.float64))
    if most is not None and len(moment) >= LARGE and most <= FEW * len(moment):
        return _find_leading(moment, most, total)
    exact = np.float64 if len(moment) < LARGE else np.float32
    energies, directions = np.linalg.eigh(moment.astype(exact, copy=False))
    order = np.argsort(energies)[::-1]
    return Spectrum(
        directions[:, order], np.maximum(energies[order].astype(np.float64), 0.0), total
    )


def _find_leading(moment: Array, most: int, total: float) -> Spectrum:
    generator = np.random.default_rng(0)
    basis = generator.standard_normal((len(moment), most + SPARE)).astype(moment.dtype)
    for _ in range(ROUNDS):
        basis, _ = np.linalg.qr(moment @ basis)
    energies, inner = np.linalg.eigh(basis.T @ (moment @ basis))
    order = np.argsort(energies)[::-1][:most]
    return Spectrum(
        basis @ inner[:, order], np.maximum(energies[order].astype(np.float64), 0.0), total
    )


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
