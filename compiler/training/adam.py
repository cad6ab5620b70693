"""Adam and its kin, with PyTorch's names, meanings and defaults.

With g the gradient and t the step, all of them follow `m = beta1 * m + (1 - beta1) * g` and most
`v = beta2 * v + (1 - beta2) * g²`; `m̂ = m / (1 - beta1^t)` and `v̂ = v / (1 - beta2^t)`.
"""

from __future__ import annotations

from typing import ClassVar, final

from compiler.records import dataclass
from compiler.training.base import OPTIMIZERS, Optimizer, Schedule
from compiler.training.schedules import CONSTANT
from compiler.training.settings import require_at_least_zero, require_positive, require_share
from compiler.vocabulary.ramps import Ramp


@dataclass(frozen=True)
class Moments(Optimizer):
    """Base of what follows moving means of the gradient and of its size."""

    usual: ClassVar[tuple[float, float] | None] = (1e-6, 1e-2)
    lr: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    weight_decay: float | Ramp = 0.0

    def check(self) -> None:
        require_positive(self.name, "lr", self.lr)
        for beta in self.betas:
            require_share(self.name, "betas", beta)
        require_at_least_zero(self.name, "eps", self.eps)
        require_at_least_zero(self.name, "weight_decay", self.weight_decay)


@OPTIMIZERS.register
@final
@dataclass(frozen=True)
class Adam(Moments):
    """Adam (Kingma & Ba 2014): `torch.optim.Adam`. Weight decay is added to the gradient; use
    `adamw` for decay that the step size does not touch.

        g = g + weight_decay * p
        m = beta1 * m + (1 - beta1) * g,   m̂ = m / (1 - beta1^t)
        v = beta2 * v + (1 - beta2) * g²,   v̂ = v / (1 - beta2^t)
        p = p - lr * m̂ / (sqrt(v̂) + eps)

    p is a parameter, g its gradient, t counts the steps from 1; m and v start from 0, for which m̂
    and v̂ make up. With `amsgrad` `v̂ = u / (1 - beta2^t)`, with `u = max(u, v)`.

    - `lr`: learning rate; the schedule multiplies it.
    - `betas`: how slowly the means of the gradient and of its square forget.
    - `eps`: keeps the step finite where gradients vanish.
    - `weight_decay`: added to the gradient as `weight_decay * parameter`.
    - `amsgrad`: divides by the largest mean square so far (Reddi et al. 2018).
    - `schedule`: how the learning rate changes, e.g. `cosine(warmup=5%)`.

    Example: `minimize cross_entropy(logits, label) with adam(lr=1e-3)`
    Source: Kingma and Ba 2014, https://arxiv.org/abs/1412.6980
    """

    name: ClassVar[str] = "adam"
    torch_name: ClassVar[str] = "Adam"
    fused: ClassVar[bool] = True
    amsgrad: bool = False
    schedule: Schedule = CONSTANT


@OPTIMIZERS.register
@final
@dataclass(frozen=True)
class AdamW(Moments):
    """Adam with decoupled weight decay (Loshchilov & Hutter 2017): `torch.optim.AdamW`.

        m = beta1 * m + (1 - beta1) * g,   m̂ = m / (1 - beta1^t)
        v = beta2 * v + (1 - beta2) * g²,   v̂ = v / (1 - beta2^t)
        p = p - lr * weight_decay * p - lr * m̂ / (sqrt(v̂) + eps)

    p is a parameter, g its gradient, t counts the steps from 1; m and v start from 0, for which m̂
    and v̂ make up. With `amsgrad` `v̂ = u / (1 - beta2^t)`, with `u = max(u, v)`.

    - `lr`: learning rate; the schedule multiplies it.
    - `betas`: how slowly the means of the gradient and of its square forget.
    - `eps`: keeps the step finite where gradients vanish.
    - `weight_decay`: each step shrinks parameters by `lr * weight_decay`. It may be a ramp:
      `cosine(0.04, 0.4)`.
    - `amsgrad`: divides by the largest mean square so far (Reddi et al. 2018).
    - `schedule`: how the learning rate changes, e.g. `cosine(warmup=5%)`.

    Example: `minimize cross_entropy(logits, label) with adamw(lr=1e-3, weight_decay=0.05)`
    Source: Loshchilov and Hutter 2017, https://arxiv.org/abs/1711.05101
    """

    name: ClassVar[str] = "adamw"
    torch_name: ClassVar[str] = "AdamW"
    fused: ClassVar[bool] = True
    weight_decay: float | Ramp = 0.01
    amsgrad: bool = False
    schedule: Schedule = CONSTANT


@OPTIMIZERS.register
@final
@dataclass(frozen=True)
class NAdam(Moments):
    """Adam with Nesterov's momentum (Dozat 2016): `torch.optim.NAdam`.

        g = g + weight_decay * p
        μ_t = beta1 * (1 - 0.96^(t * momentum_decay) / 2)
        m = beta1 * m + (1 - beta1) * g
        m̂ = μ_{t+1} m / (1 - ∏_{i <= t+1} μ_i) + (1 - μ_t) g / (1 - ∏_{i <= t} μ_i)
        v = beta2 * v + (1 - beta2) * g²,   v̂ = v / (1 - beta2^t)
        p = p - lr * m̂ / (sqrt(v̂) + eps)

    p is a parameter, g its gradient, t counts the steps from 1; m and v start from 0. With
    `decoupled_weight_decay` the first line is `p = p - lr * weight_decay * p`.

    - `lr`: learning rate; the schedule multiplies it.
    - `betas`: how slowly the means of the gradient and of its square forget.
    - `eps`: keeps the step finite where gradients vanish.
    - `weight_decay`: added to the gradient as `weight_decay * parameter`.
    - `momentum_decay`: how fast the share of the momentum rises to `betas[0]`.
    - `decoupled_weight_decay`: shrinks parameters by `lr * weight_decay` instead, as `adamw`.
    - `schedule`: how the learning rate changes, e.g. `cosine(warmup=5%)`.

    Example: `minimize cross_entropy(logits, label) with nadam(lr=2e-3)`
    Source: Dozat 2016, https://openreview.net/forum?id=OM0jvwB8jIp57ZJjtNEZ
    """

    name: ClassVar[str] = "nadam"
    torch_name: ClassVar[str] = "NAdam"
    lr: float = 2e-3
    momentum_decay: float = 4e-3
    decoupled_weight_decay: bool = False
    schedule: Schedule = CONSTANT

    def check(self) -> None:
        super().check()
        require_at_least_zero(self.name, "momentum_decay", self.momentum_decay)


@OPTIMIZERS.register
@final
@dataclass(frozen=True)
class RAdam(Moments):
    """Adam that takes plain momentum steps until `v` is known well enough (Liu et al. 2019):
    `torch.optim.RAdam`.

        g = g + weight_decay * p
        m = beta1 * m + (1 - beta1) * g,   m̂ = m / (1 - beta1^t)
        v = beta2 * v + (1 - beta2) * g²
        a = 2 / (1 - beta2) - 1,   ρ = a - 2 * t * beta2^t / (1 - beta2^t)
        r = √((ρ - 4) * (ρ - 2) * a / ((a - 4) * (a - 2) * ρ))
        p = p - lr * r * m̂ * √(1 - beta2^t) / (sqrt(v) + eps) where ρ > 5, else p - lr * m̂

    p is a parameter, g its gradient, t counts the steps from 1; m and v start from 0. With
    `decoupled_weight_decay` the first line is `p = p - lr * weight_decay * p`.

    - `lr`: learning rate; the schedule multiplies it.
    - `betas`: how slowly the means of the gradient and of its square forget.
    - `eps`: keeps the step finite where gradients vanish.
    - `weight_decay`: added to the gradient as `weight_decay * parameter`.
    - `decoupled_weight_decay`: shrinks parameters by `lr * weight_decay` instead, as `adamw`.
    - `schedule`: how the learning rate changes, e.g. `cosine(warmup=5%)`.

    Example: `minimize cross_entropy(logits, label) with radam(lr=1e-3)`
    Source: Liu et al. 2019, https://arxiv.org/abs/1908.03265
    """

    name: ClassVar[str] = "radam"
    torch_name: ClassVar[str] = "RAdam"
    decoupled_weight_decay: bool = False
    schedule: Schedule = CONSTANT


@OPTIMIZERS.register
@final
@dataclass(frozen=True)
class Adamax(Moments):
    """Adam by the largest gradient (Kingma & Ba 2014): `torch.optim.Adamax`.

        g = g + weight_decay * p
        m = beta1 * m + (1 - beta1) * g,   m̂ = m / (1 - beta1^t)
        u = max(beta2 * u, |g| + eps)
        p = p - lr * m̂ / u

    p is a parameter, g its gradient, t counts the steps from 1; m and u start from 0.

    - `lr`: learning rate; the schedule multiplies it.
    - `betas`: how slowly the mean and the maximum forget.
    - `eps`: keeps the step finite where gradients vanish.
    - `weight_decay`: added to the gradient as `weight_decay * parameter`.
    - `schedule`: how the learning rate changes, e.g. `cosine(warmup=5%)`.

    Example: `minimize cross_entropy(logits, label) with adamax(lr=2e-3)`
    Source: Kingma and Ba 2014, https://arxiv.org/abs/1412.6980
    """

    name: ClassVar[str] = "adamax"
    torch_name: ClassVar[str] = "Adamax"
    lr: float = 2e-3
    schedule: Schedule = CONSTANT
