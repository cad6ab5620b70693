"""Lion, which PyTorch lacks: steps of one size, by the sign of a momentum."""

from __future__ import annotations

from typing import ClassVar, final

from compiler.records import dataclass
from compiler.training.base import OPTIMIZERS, Optimizer, Schedule
from compiler.training.schedules import CONSTANT
from compiler.training.settings import require_at_least_zero, require_positive, require_share

_DEFINITION = '''
class Lion(torch.optim.Optimizer):
    """Steps by the sign of a momentum, with decoupled weight decay (Chen et al. 2023)."""

    def __init__(
        self,
        params: Iterable[Tensor],
        lr: float = 1e-4,
        betas: tuple[float, float] = (0.9, 0.99),
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(
            params, {"lr": lr, "betas": betas, "weight_decay": weight_decay}
        )

    @torch.no_grad()
    def step(self) -> None:
        for group in self.param_groups:
            beta1, beta2 = group["betas"]
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                state = self.state[parameter]
                if not state:
                    state["momentum"] = torch.zeros_like(parameter)
                direction = state["momentum"].lerp(parameter.grad, 1 - beta1).sign_()
                parameter.mul_(1 - group["lr"] * group["weight_decay"])
                parameter.add_(direction, alpha=-group["lr"])
                state["momentum"].lerp_(parameter.grad, 1 - beta2)
'''


@OPTIMIZERS.register
@final
@dataclass(frozen=True)
class Lion(Optimizer):
    """Steps of one size, by the sign of a momentum, with decoupled weight decay (Chen et al. 2023).

        p = p - lr * (sign(beta1 * m + (1 - beta1) * g) + weight_decay * p)
        m = beta2 * m + (1 - beta2) * g

    p is a parameter, g its gradient; m starts from 0. Its rate is three to ten times lower than
    AdamW's.

    - `lr`: learning rate, the size of every step; the schedule multiplies it.
    - `betas`: how much of the momentum a step takes, and how slowly it forgets.
    - `weight_decay`: each step shrinks parameters by `lr * weight_decay`.
    - `schedule`: how the learning rate changes, e.g. `cosine(warmup=5%)`.

    Example: `minimize cross_entropy(logits, label) with lion(lr=1e-4, weight_decay=0.1)`
    Source: Chen et al. 2023, https://arxiv.org/abs/2302.06675
    """

    name: ClassVar[str] = "lion"
    torch_name: ClassVar[str] = "Lion"
    usual: ClassVar[tuple[float, float] | None] = (1e-6, 1e-3)
    lr: float = 1e-4
    betas: tuple[float, float] = (0.9, 0.99)
    weight_decay: float = 0.0
    schedule: Schedule = CONSTANT

    def check(self) -> None:
        require_positive(self.name, "lr", self.lr)
        for beta in self.betas:
            require_share(self.name, "betas", beta)
        require_at_least_zero(self.name, "weight_decay", self.weight_decay)

    @property
    def definition(self) -> str:
        return _DEFINITION.strip()
