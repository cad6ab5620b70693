"""Regularizers: what penalties add to the loss, and weights after a proximal step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.formulas.quoted import Formulas

Array = NDArray[Any]
FORMULAS = Formulas("regularizer")


@FORMULAS.of("l1", "loss + strength * Σ |w|")
def l1(o: Any, w: Array) -> float:
    return sum(o.strength * abs(number) for number in w.ravel().tolist())


@FORMULAS.of("l2", "loss + strength * Σ w²")
def l2(o: Any, w: Array) -> float:
    return sum(o.strength * number**2 for number in w.ravel().tolist())


@FORMULAS.of("elastic_net", "loss + l1 * Σ |w| + l2 * Σ w²")
def elastic_net(o: Any, w: Array) -> float:
    return sum(o.l1 * abs(number) + o.l2 * number**2 for number in w.ravel().tolist())


@FORMULAS.of("group_lasso", "strength * Σ √n * ‖w‖", "w = w * max(0, 1 - lr * strength * √n / ‖w‖)")
def group_lasso(o: Any, weight: Array, bias: Array | None, lr: float) -> Sequence[Array]:
    """Group by group: a row of the weight with its number of the bias, or a column."""
    weight, bias = weight.copy(), None if bias is None else bias.copy()
    for number in range(weight.shape[0 if o.groups == "outputs" else 1]):
        place = (number,) if o.groups == "outputs" else (slice(None), number)
        numbers = weight[place].ravel().tolist()
        if bias is not None:
            numbers.append(bias[number])
        length = np.sqrt(sum(entry**2 for entry in numbers))
        left = 1 - lr * o.strength * np.sqrt(len(numbers)) / length if length else 0.0
        weight[place] *= max(0.0, left)
        if bias is not None:
            bias[number] *= max(0.0, left)
    return [weight] if bias is None else [weight, bias]
