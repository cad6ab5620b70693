"""Training rows drawn so that all classes have as many."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from compiler.records import dataclass
from compiler.report.source import Span

Array = NDArray[Any]
METHODS = ("repeat", "leave_out")
"""Rows of rare classes stand there several times, or some of the frequent ones are left out."""


@dataclass(frozen=True)
class Balance:
    """How classes of a raw column come to have the same number of training rows: as many as the
    largest has, by `repeat`, or as many as the smallest, by `leave_out`; which rows stand there
    once more, or not at all, is drawn."""

    column: str
    method: str = "repeat"
    seed: int = 0
    span: Span | None = None

    def draw(self, rows: Array, labels: Array) -> Array:
        """The rows of the training, of those of its split and the labels of all rows."""
        draws = np.random.default_rng(self.seed)
        found = labels[rows]
        classes = [rows[found == label] for label in np.unique(found)]
        sizes = [len(part) for part in classes]
        size = max(sizes) if self.method == "repeat" else min(sizes)
        return np.concatenate([np.resize(draws.permutation(part), size) for part in classes])
