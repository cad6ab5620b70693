"""The formula of the example of docs/textbook/index.md."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

Array = NDArray[Any]


def line(x: Array, dense_weight: Array, dense_bias: Array) -> Array:
    return x @ dense_weight.T + dense_bias
