"""Optimizers that divide by what gradients were, and have no betas: Adagrad, RMSprop, Adadelta."""

from __future__ import annotations

from typing import ClassVar, final

from compiler.records import dataclass
from compiler.training.base import OPTIMIZERS, Optimizer, Schedule
from compiler.training.schedules import CONSTANT
from compiler.training.settings import require_at_least_zero, require_positive, require_share


@OPTIMIZERS.register
@final
@dataclass(frozen=True)
class Adagrad(Optimizer):
    """Divides the gradient by the root of the sum of all its squares (Duchi et al. 2011):
    `torch.optim.Adagrad`.

        g = g + weight_decay * p
        s = s + g²
        p = p - lr / (1 + (t - 1) * lr_decay) * g / (sqrt(s) + eps)

    p is a parameter, g its gradient, t counts the steps from 1; s starts from
    `initial_accumulator_value`.

    - `lr`: learning rate; the schedule multiplies it.
    - `lr_decay`: how fast the learning rate falls with the steps.
    - `weight_decay`: added to the gradient as `weight_decay * parameter`.
    - `initial_accumulator_value`: what the sums of squares start from.
    - `eps`: keeps the step finite where gradients vanish.
    - `schedule`: how the learning rate changes, e.g. `cosine(warmup=5%)`.

    Example: `minimize cross_entropy(logits, label) with adagrad(lr=1e-2)`
    Source: Duchi et al. 2011, https://jmlr.org/papers/v12/duchi11a.html
    """

    name: ClassVar[str] = "adagrad"
    torch_name: ClassVar[str] = "Adagrad"
    usual: ClassVar[tuple[float, float] | None] = (1e-4, 1.0)
    fused: ClassVar[bool] = True
    lr: float = 1e-2
    lr_decay: float = 0.0
    weight_decay: float = 0.0
    initial_accumulator_value: float = 0.0
    eps: float = 1e-10
    schedule: Schedule = CONSTANT

    def check(self) -> None:
        require_positive(self.name, "lr", self.lr)
        for setting in self.order():
            require_at_least_zero(self.name, setting, getattr(self, setting))


@OPTIMIZERS.register
@final
@dataclass(frozen=True)
class RmsProp(Optimizer):
    """Divides the gradient by the root of a moving mean of its square (Tieleman and Hinton 2012):
    `torch.optim.RMSprop`.

        g = g + weight_decay * p
        s = alpha * s + (1 - alpha) * g²
        v = momentum * v + g / (sqrt(s) + eps)
        p = p - lr * v

    p is a parameter, g its gradient; s and v start from 0. With `centered` the divisor is `sqrt(s -
    m²) + eps`, with `m = alpha * m + (1 - alpha) * g`.

    - `lr`: learning rate; the schedule multiplies it.
    - `alpha`: how slowly the mean of the square forgets.
    - `eps`: keeps the step finite where gradients vanish.
    - `weight_decay`: added to the gradient as `weight_decay * parameter`.
    - `momentum`: share of the last step that is taken again.
    - `centered`: divides by the root of the variance of the gradient instead (Graves 2013).
    - `schedule`: how the learning rate changes, e.g. `cosine(warmup=5%)`.

    Example: `minimize cross_entropy(logits, label) with rmsprop(lr=1e-3, momentum=0.9)`
    Source: Tieleman and Hinton 2012;
    https://docs.pytorch.org/docs/stable/generated/torch.optim.RMSprop.html
    """

    name: ClassVar[str] = "rmsprop"
    torch_name: ClassVar[str] = "RMSprop"
    usual: ClassVar[tuple[float, float] | None] = (1e-6, 1e-2)
    lr: float = 1e-2
    alpha: float = 0.99
    eps: float = 1e-8
    weight_decay: float = 0.0
    momentum: float = 0.0
    centered: bool = False
    schedule: Schedule = CONSTANT

    def check(self) -> None:
        require_positive(self.name, "lr", self.lr)
        require_share(self.name, "alpha", self.alpha)
        require_at_least_zero(self.name, "eps", self.eps)
        require_at_least_zero(self.name, "weight_decay", self.weight_decay)
        require_share(self.name, "momentum", self.momentum)


@OPTIMIZERS.register
@final
@dataclass(frozen=True)
class Adadelta(Optimizer):
    """Steps as long as earlier steps were, by the gradient over its size (Zeiler 2012):
    `torch.optim.Adadelta`.

        g = g + weight_decay * p
        s = rho * s + (1 - rho) * g²
        d = sqrt(u + eps) / sqrt(s + eps) * g
        u = rho * u + (1 - rho) * d²
        p = p - lr * d

    p is a parameter, g its gradient; s and u start from 0.

    - `lr`: learning rate; the schedule multiplies it.
    - `rho`: how slowly the means of squares forget.
    - `eps`: keeps the first steps from being zero.
    - `weight_decay`: added to the gradient as `weight_decay * parameter`.
    - `schedule`: how the learning rate changes, e.g. `cosine(warmup=5%)`.

    Example: `minimize cross_entropy(logits, label) with adadelta(lr=1.0)`
    Source: Zeiler 2012, https://arxiv.org/abs/1212.5701
    """

    name: ClassVar[str] = "adadelta"
    torch_name: ClassVar[str] = "Adadelta"
    usual: ClassVar[tuple[float, float] | None] = (1e-3, 10.0)
    lr: float = 1.0
    rho: float = 0.9
    eps: float = 1e-6
    weight_decay: float = 0.0
    schedule: Schedule = CONSTANT

    def check(self) -> None:
        require_positive(self.name, "lr", self.lr)
        require_share(self.name, "rho", self.rho)
        require_at_least_zero(self.name, "eps", self.eps)
        require_at_least_zero(self.name, "weight_decay", self.weight_decay)
