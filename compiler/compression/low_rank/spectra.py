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


@dataclass(frozen=True)
class Spectrum:
    """Orthonormal directions (columns), most energy first, and the energy along each."""

    directions: Array
    energies: Array

    def lost(self) -> Array:
        """Energy that is lost where the first k directions are kept, for k = 0, 1, …, all."""
        tail = np.cumsum(self.energies[::-1])[::-1]
        return np.append(tail, 0.0)


def find_spectrum(moment: Array) -> Spectrum:
    """Eigenvectors of a symmetric matrix of second moments. For `w @ w.T` they are the left
    singular vectors of `w`, and the energies its squared singular values."""
    exact = np.float64 if len(moment) < LARGE else np.float32
    energies, directions = np.linalg.eigh(moment.astype(exact, copy=False))
    order = np.argsort(energies)[::-1]
    return Spectrum(directions[:, order], np.maximum(energies[order].astype(np.float64), 0.0))


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
