"""Regularizers: penalties of large weights, and what a train does to weights after every step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Literal, Self, final

import numpy as np
from numpy.typing import NDArray

from compiler.records import dataclass
from compiler.training.base import REGULARIZERS, Penalty, ProximalStep
from compiler.training.settings import require_positive

Array = NDArray[Any]


@REGULARIZERS.register
@final
@dataclass(frozen=True)
class L1(Penalty):
    """Adds the sizes of weights to the loss, which drives many of them close to zero:
    `loss + strength * Σ |w|` (Tibshirani 1996; Keras' L1).

    The sum is over all entries of all weights that it acts on. It is part of `train.loss`, and not
    of `val.loss`, which measures the objective.

    - `strength`: how strong the penalty is.

    Example: `regularize l1(1e-5) over "head"`
    Source: Tibshirani 1996, https://doi.org/10.1111/j.2517-6161.1996.tb02080.x
    """

    name: ClassVar[str] = "l1"
    strength: float = 1e-2

    def check(self) -> None:
        require_positive(self.name, "strength", self.strength)

    @property
    def strengths(self) -> tuple[tuple[str, float], ...]:
        return (("L1", self.strength),)

    def measure(self, weight: Array) -> float:
        return float(self.strength * np.abs(weight).sum())

    def code(self, weight: str, strengths: Sequence[str]) -> str:
        return f"{strengths[0]} * {weight}.abs().sum()"


@REGULARIZERS.register
@final
@dataclass(frozen=True)
class L2(Penalty):
    """Adds the squares of weights to the loss, which keeps them small: `loss + strength * Σ w²`
    (ridge; Keras' L2).

    The sum is over all entries of all weights that it acts on. With `sgd` it is a weight decay of
    twice the strength; with Adam it is not, see `weight_decay` of `adamw`. It is part of
    `train.loss` and not of `val.loss`, which measures the objective.

    - `strength`: how strong the penalty is.

    Example: `regularize l2(1e-4) over "head"`
    Source: Hoerl and Kennard 1970, https://doi.org/10.1080/00401706.1970.10488634
    """

    name: ClassVar[str] = "l2"
    is_square: ClassVar[bool] = True
    strength: float = 1e-2

    def check(self) -> None:
        require_positive(self.name, "strength", self.strength)

    @property
    def strengths(self) -> tuple[tuple[str, float], ...]:
        return (("L2", self.strength),)

    def measure(self, weight: Array) -> float:
        return float(self.strength * np.square(weight).sum())

    def code(self, weight: str, strengths: Sequence[str]) -> str:
        return f"{strengths[0]} * {weight}.square().sum()"


@REGULARIZERS.register
@final
@dataclass(frozen=True)
class ElasticNet(Penalty):
    """Adds the sizes and the squares of weights to the loss: `loss + l1 * Σ |w| + l2 * Σ w²`
    (Zou and Hastie 2005; Keras' L1L2).

    The sums are over all entries of all weights that it acts on. They are part of `train.loss` and
    not of `val.loss`, which measures the objective.

    - `l1`: how strong the penalty of sizes is.
    - `l2`: how strong the penalty of squares is.

    Example: `regularize elastic_net(1e-5, 1e-4) over "head"`
    Source: Zou and Hastie 2005, https://doi.org/10.1111/j.1467-9868.2005.00503.x
    """

    name: ClassVar[str] = "elastic_net"
    aliases: ClassVar[tuple[str, ...]] = ("l1_l2",)
    l1: float
    l2: float

    def check(self) -> None:
        require_positive(self.name, "l1", self.l1)
        require_positive(self.name, "l2", self.l2)

    @property
    def strengths(self) -> tuple[tuple[str, float], ...]:
        return (("L1", self.l1), ("L2", self.l2))

    def measure(self, weight: Array) -> float:
        return float(self.l1 * np.abs(weight).sum() + self.l2 * np.square(weight).sum())

    def code(self, weight: str, strengths: Sequence[str]) -> str:
        l1, l2 = strengths
        return f"{l1} * {weight}.abs().sum() + {l2} * {weight}.square().sum()"


@REGULARIZERS.register
@final
@dataclass(frozen=True)
class GroupLasso(ProximalStep):
    """Drives whole neurons to zero while training, so that `prune(zeros=true)` can remove them.

    The weights of a layer fall into groups w of n numbers each, and the penalty `strength * Σ √n *
    ‖w‖` (Yuan and Lin 2006, https://doi.org/10.1111/j.1467-9868.2005.00532.x; for networks Wen et
    al. 2016, https://arxiv.org/abs/1608.03665) is taken into account by its proximal step: after
    each step of the optimizer, at learning rate lr,

        w = w * max(0, 1 - lr * strength * √n / ‖w‖)

    so that groups reach zero exactly. The loss that is reported is without the penalty.

    - `strength`: how strong the penalty is. With `sgd` compare it with the gradients; `adam` and
      `adamw` scale these to about 1, and need a strength of 0.1 and more.
    - `groups`: "outputs" makes a group of all weights into a neuron or filter, with its bias;
      "inputs" of all weights that read one of a layer's inputs.

    Example: `regularize group_lasso(1e-3) over "head"`
    Source: Yuan and Lin 2006, https://doi.org/10.1111/j.1467-9868.2005.00532.x
    """

    name: ClassVar[str] = "group_lasso"
    function: ClassVar[str] = "shrink_groups"
    constant: ClassVar[str] = "LASSO"
    title: ClassVar[str] = "group lasso"
    strength: float = 1e-3
    groups: Literal["outputs", "inputs"] = "outputs"

    @property
    def axis(self) -> int:
        return 0 if self.groups == "outputs" else 1

    def shrink(self, parts: Sequence[Array], rate: float) -> list[Array]:
        """The arrays of one layer after a step of this learning rate; entries along `axis` of
        all of them together are a group."""
        moved = [np.moveaxis(part, self.axis if part.ndim > 1 else 0, 0) for part in parts]
        rows = np.concatenate([part.reshape(len(part), -1) for part in moved], axis=1)
        length = np.sqrt(np.square(rows.astype(np.float64)).sum(axis=1))
        amount = rate * self.strength * rows.shape[1] ** 0.5
        factor = np.maximum(0, 1 - amount / np.maximum(length, 1e-12))
        return [_scale(part, factor, self.axis) for part in parts]

    @classmethod
    def code(cls, used: Sequence[Self]) -> Sequence[str]:
        axes = {item.axis for item in used}
        what = "entries along an axis of weights"
        if axes == {0}:
            what = "rows of weights, each with its bias,"
        elif axes == {1}:
            what = "columns of weights"
        several = len(axes) > 1
        axis = "axis" if several else str(min(axes))
        moved = "part" if axis == "0" else f"part.movedim({axis}, 0)"
        parameters = "parts: list[Tensor], amount: float" + (", axis: int" if several else "")
        return [
            f"def {cls.function}({parameters}) -> None:",
            f'    """The proximal step of a group lasso: {what}',
            "    become shorter by the amount times the root of their size, or zero.",
            '    """',
            *([] if axis == "0" else [f"    parts = [{moved} for part in parts]"]),
            "    rows = torch.cat([part.reshape(len(part), -1) for part in parts], 1)",
            "    factor = 1 - amount * rows.shape[1] ** 0.5 / rows.norm(dim=1).clamp(min=1e-12)",
            "    for part in parts:",
            "        part.mul_(factor.clamp(min=0).view(-1, *[1] * (part.ndim - 1)))",
        ]

    def arguments(self, used: Sequence[Self]) -> Sequence[str]:
        return (str(self.axis),) if len({item.axis for item in used}) > 1 else ()


def _scale(part: Array, factor: Array, axis: int) -> Array:
    """An array times a factor for each entry along an axis; of a bias, along its only one."""
    shape = [-1 if a == (axis if part.ndim > 1 else 0) else 1 for a in range(part.ndim)]
    scaled: Array = part * factor.reshape(shape).astype(part.dtype)
    return scaled
