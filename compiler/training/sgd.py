"""Stochastic gradient descent, with momentum in either of its two definitions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal, final

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

_DEFINITION = '''
class VelocitySGD(torch.optim.Optimizer):
    """Stochastic gradient descent whose momentum keeps the steps, learning rate and all."""

    def __init__(
        self,
        params: Iterable[Tensor],
        lr: float = 1e-3,
        momentum: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
    ) -> None:
        defaults = {"lr": lr, "momentum": momentum, "weight_decay": weight_decay}
        super().__init__(params, {**defaults, "nesterov": nesterov})

    @torch.no_grad()
    def step(self) -> None:
        for group in self.param_groups:
            rate, momentum = group["lr"], group["momentum"]
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                state = self.state[parameter]
                if not state:
                    state["velocity"] = torch.zeros_like(parameter)
                gradient = parameter.grad.add(parameter, alpha=group["weight_decay"])
                velocity = state["velocity"].mul_(momentum).sub_(gradient, alpha=rate)
                if group["nesterov"]:
                    parameter.add_(velocity, alpha=momentum).sub_(gradient, alpha=rate)
                else:
                    parameter.add_(velocity)
'''


@OPTIMIZERS.register
@final
@dataclass(frozen=True)
class Sgd(Optimizer):
    """Stochastic gradient descent, with momentum where it is given: `torch.optim.SGD`.

        g = g + weight_decay * p
        v = momentum * v + (1 - dampening) * g
        p = p - lr * v

    p is a parameter, g its gradient; v starts as the first g. With `nesterov` the last line is `p =
    p - lr * (g + momentum * v)`.

    - `lr`: learning rate; the schedule multiplies it.
    - `momentum`: share of the last step that is taken again; 0.9 is usual.
    - `nesterov`: looks ahead along the momentum (Sutskever et al. 2013).
    - `weight_decay`: added to the gradient as `weight_decay * parameter`.
    - `dampening`: share of the gradient that the momentum leaves out.
    - `velocity`: what the momentum keeps. "gradients": `v = momentum * v + g`, `p = p - lr * v`,
      as PyTorch. "steps": `v = momentum * v - lr * g`, `p = p + v`, as Sutskever et al. 2013 and
      Keras: after a cut of the rate, the steps before it count in full. A constant rate makes them
      equal.
    - `schedule`: how the learning rate changes, e.g. `cosine(warmup=5%)`.

    Example:

        minimize cross_entropy(logits, label) with sgd(lr=0.1, momentum=0.9, weight_decay=1e-4)

    Source: Polyak 1964; https://docs.pytorch.org/docs/stable/generated/torch.optim.SGD.html
    """

    name: ClassVar[str] = "sgd"
    torch_name: ClassVar[str] = "SGD"
    usual: ClassVar[tuple[float, float] | None] = (1e-4, 10.0)
    fused: ClassVar[bool] = True
    lr: float = 1e-3
    momentum: float = 0.0
    nesterov: bool = False
    weight_decay: float = 0.0
    dampening: float = 0.0
    velocity: Literal["gradients", "steps"] = "gradients"
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
        if self.velocity == "steps" and self.dampening != 0:
            advice = "leave out one of them"
            refuse_together(self.name, "dampening", "steps are kept without dampening", advice)

    @classmethod
    def order(cls) -> Sequence[str]:
        return "momentum", "dampening", "weight_decay", "nesterov"

    @property
    def definition(self) -> str:
        return _DEFINITION.strip() if self.velocity == "steps" else ""

    @property
    def constructor(self) -> str:
        return "VelocitySGD" if self.velocity == "steps" else super().constructor
