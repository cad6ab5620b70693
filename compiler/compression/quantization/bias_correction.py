"""Bias correction: what rounding a weight adds to a layer's mean is taken from its bias.

    b' = b + (W - Ŵ) · E[x]

The error of a rounded weight is not zero on average, and inputs behind a ReLU are not either, so
that every channel is shifted (Nagel et al. 2019). E[x] are the means of calibration rows.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from compiler.compression.quantization.placement import Layer

Array = NDArray[Any]


def find_shift(layer: Layer, weight: Array, rounded: Array, means: Array) -> Array:
    """By how much the mean of each output of a layer falls when its weight is rounded, `[out]`.

    Args:
        layer: the layer.
        weight: its weight, `[out, c / groups, kernel…]` or `[out, d]`.
        rounded: what the weight is worth in integers.
        means: of the layer's input, for each channel `[c]`; zeros that pad the border are left
            out of the mean, so a convolution is corrected as if it had none.
    """
    error = (weight.astype(np.float64) - rounded).reshape(*weight.shape[:2], -1).sum(axis=2)
    groups = layer.op.groups
    inputs = means.reshape(groups, -1)
    outputs = error.reshape(groups, -1, error.shape[1])
    shift: Array = np.einsum("goc,gc->go", outputs, inputs).reshape(-1)
    return shift
