"""Columns of files that are decoded when their rows are asked for."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compiler.records import dataclass

Pixels = NDArray[np.uint8]
MOST_THREADS = 8


@dataclass(frozen=True, eq=False)
class DecodedRows:
    """Rows of bytes, each of a file: `read` decodes one. Several threads do: decoders of Pillow
    let others run."""

    shape: tuple[int, ...]
    read: Callable[[int], Pixels]

    @property
    def dtype(self) -> np.dtype[np.uint8]:
        """Bytes."""
        return np.dtype(np.uint8)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: Any, /) -> Pixels:
        """Those rows.

        Raises:
            Fault: a file is cut short, or was taken away.
        """
        numbers = np.arange(len(self))[rows]
        if not numbers.ndim:
            return self.read(int(numbers))
        found = np.empty((len(numbers), *self.shape[1:]), np.uint8)

        def fill(place: int) -> None:
            found[place] = self.read(int(numbers[place]))

        with ThreadPoolExecutor(min(MOST_THREADS, os.cpu_count() or 1)) as pool:
            for _ in pool.map(fill, range(len(numbers))):
                pass
        return found
