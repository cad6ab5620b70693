"""Optimizers with PyTorch's names, meanings and defaults: sgd, adam and adamw."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, final

from compiler.records import dataclass
from compiler.training.base import OPTIMIZERS, Optimizer, Schedule
from compiler.training.schedules import CONSTANT
from compiler.training.settings import (
    refuse,
    refuse_together,
    require_at_least_zero,
    require_positive,
    require_share,
)


@OPTIMIZERS.register
@final
@dataclass(frozen=True)
class Sgd(Optimizer):
    """Stochastic gradient descent, with momentum where it is given: `torch.optim.SGD`.

    - `lr`: learning rate; the schedule multiplies it.
    - `momentum`: share of the last step that is taken again; 0.9 is usual.
    - `nesterov`: looks ahead along the momentum (Sutskever et al. 2013).
    - `weight_decay`: added to the gradient as `weight_decay * parameter`.
    - `dampening`: share of the gradient that the momentum leaves out.
    - `schedule`: how the learning rate changes, e.g. `cosine(warmup=5%)`.
    """

    name: ClassVar[str] = "sgd"
    torch_name: ClassVar[str] = "SGD"
    fused: ClassVar[bool] = True
    lr: float = 1e-3
    momentum: float = 0.0
    nesterov: bool = False
    weight_decay: float = 0.0
    dampening: float = 0.0
    schedule: Schedule = CONSTANT

    def check(self) -> None:
        require_positive(self.name, "lr", self.lr)
        require_share(self.name, "momentum", self.momentum)
        require_at_least_zero(self.name, "weight_decay", self.weight_decay)
        if not 0 <= self.dampening <= 1:
            refuse(self.name, "dampening", self.dampening, "from 0 to 1")
        if self.nesterov and self.momentum == 0:
            advice = "give `momentum=0.9`, or leave out `nesterov`"
            refuse_together(self.name, "nesterov", "Nesterov needs momentum", advice)
        if self.nesterov and self.dampening != 0:
            advice = "leave out one of them"
            refuse_together(self.name, "dampening", "Nesterov takes no dampening", advice)

    @classmethod
    def order(cls) -> Sequence[str]:
        return "momentum", "dampening", "weight_decay", "nesterov"


@dataclass(frozen=True)
class AdaptiveMoments(Optimizer):
    """Base of Adam and its kin: their options, and what these may be."""

    fused: ClassVar[bool] = True
    lr: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    weight_decay: float = 0.0
    amsgrad: bool = False
    schedule: Schedule = CONSTANT

    def check(self) -> None:
        require_positive(self.name, "lr", self.lr)
        if len(self.betas) != 2:
            refuse(self.name, "betas", list(self.betas), "two numbers, such as [0.9, 0.999]")
        for beta in self.betas:
            require_share(self.name, "betas", beta)
        require_at_least_zero(self.name, "eps", self.eps)
        require_at_least_zero(self.name, "weight_decay", self.weight_decay)


@OPTIMIZERS.register
@final
@dataclass(frozen=True)
class Adam(AdaptiveMoments):
    """Adam (Kingma & Ba 2014): `torch.optim.Adam`. Weight decay is added to the gradient; use
    `adamw` for decay that the step size does not touch.

    - `lr`: learning rate; the schedule multiplies it.
    - `betas`: how slowly the means of the gradient and of its square forget.
    - `eps`: keeps the step finite where gradients vanish.
    - `weight_decay`: added to the gradient as `weight_decay * parameter`.
    - `amsgrad`: divides by the largest mean square so far (Reddi et al. 2018).
    - `schedule`: how the learning rate changes, e.g. `cosine(warmup=5%)`.
    """

    name: ClassVar[str] = "adam"
    torch_name: ClassVar[str] = "Adam"


@OPTIMIZERS.register
@final
@dataclass(frozen=True)
class AdamW(AdaptiveMoments):
    """Adam with decoupled weight decay (Loshchilov & Hutter 2017): `torch.optim.AdamW`.

    - `lr`: learning rate; the schedule multiplies it.
    - `betas`: how slowly the means of the gradient and of its square forget.
    - `eps`: keeps the step finite where gradients vanish.
    - `weight_decay`: each step shrinks parameters by `lr * weight_decay`.
    - `amsgrad`: divides by the largest mean square so far (Reddi et al. 2018).
    - `schedule`: how the learning rate changes, e.g. `cosine(warmup=5%)`.
    """

    name: ClassVar[str] = "adamw"
    torch_name: ClassVar[str] = "AdamW"
    weight_decay: float = 0.01
