"""Weights that a pass multiplies by a scale: computed when they are read, not before.

A file is written from the first weight to the last. Computing each product on the way, in the
same memory, spares a second copy of all weights, which costs more than the products: 30 ms
against 2 ms for the 45 MB of ResNet-18, most of it the system's handing out of fresh pages.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class ScaledArray:
    """`array * scale`, with the dtype of `array`. `np.asarray` makes it an array."""

    array: Array
    scale: Array  # broadcasts to the shape of `array`

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the product."""
        return self.array.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """The element type of the product."""
        return self.array.dtype

    @property
    def size(self) -> int:
        """The number of elements."""
        return self.array.size

    @property
    def nbytes(self) -> int:
        """The bytes of the product."""
        return self.array.nbytes

    def write(self, out: Array) -> None:
        """Computes the product into an array of its shape and dtype."""
        np.multiply(self.array, self.scale, out=out)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        if copy is False:
            raise ValueError("the product has no memory of its own yet")
        product: Array = np.multiply(self.array, self.scale).astype(self.dtype, copy=False)
        return product if dtype is None else product.astype(dtype, copy=False)
