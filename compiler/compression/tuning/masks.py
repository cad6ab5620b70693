"""Zeros that stay: which numbers of a net unstructured pruning took out for good."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compiler.ir.weighted_net import WeightedNet

Array = NDArray[Any]
LEAST_SPARSITY = 0.01
"""From which share of zeros on a weight counts as pruned. Numbers that were trained or drawn are
hardly ever zero; a ranking of all weights together may take few from one of them; a weight of
nothing but zeros is one that starts there (the second factor of an adapter)."""


def find_zero_masks(net: WeightedNet) -> Mapping[str, Array]:
    """Truth values of the shape of each pruned weight: where it is not zero."""
    masks = {}
    for parameter in net.graph.parameters:
        kept = np.asarray(net.weights[parameter.path]) != 0
        if not parameter.trainable or kept.ndim < 2 or not kept.any():
            continue
        if 1 - kept.mean() >= LEAST_SPARSITY:
            masks[parameter.path] = kept
    return masks
