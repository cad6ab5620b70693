"""LAMB, which PyTorch lacks: Adam whose step is as long as its layer's weights ask for."""

from __future__ import annotations

from typing import ClassVar, final

from compiler.records import dataclass
from compiler.training.adam import Moments
from compiler.training.base import OPTIMIZERS, Schedule
from compiler.training.schedules import CONSTANT
from compiler.vocabulary.ramps import Ramp

_DEFINITION = '''
class Lamb(torch.optim.Optimizer):
    """Adam whose step, layer by layer, is as long as the weights are (You et al. 2019)."""

    def __init__(
        self,
        params: Iterable[Tensor],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-6,
        weight_decay: float = 0.01,
    ) -> None:
        defaults = {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay}
        super().__init__(params, defaults)

    @torch.no_grad()
    def step(self) -> None:
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self.update(parameter, parameter.grad, group)

    def update(
        self, parameter: Tensor, gradient: Tensor, group: dict[str, Any]
    ) -> None:
        state = self.state[parameter]
        if not state:
            state["step"] = torch.zeros(())
            state["mean"] = torch.zeros_like(parameter)
            state["square"] = torch.zeros_like(parameter)
        state["step"] += 1
        beta1, beta2 = group["betas"]
        mean = state["mean"].lerp_(gradient, 1 - beta1)
        square = state["square"].lerp_(gradient.square(), 1 - beta2)
        mean = mean / (1 - beta1 ** state["step"].item())
        square = square / (1 - beta2 ** state["step"].item())
        update = mean / (square.sqrt() + group["eps"])
        update = update + group["weight_decay"] * parameter
        length, wanted = update.norm(), parameter.norm()
        trust = torch.where((length > 0) & (wanted > 0), wanted / length, 1.0)
        parameter.sub_(group["lr"] * trust * update)
'''


@OPTIMIZERS.register
@final
@dataclass(frozen=True)
class Lamb(Moments):
    """Adam whose step, layer by layer, is as long as the weights are, for large batches (You et al.
    2019).

        m = beta1 * m + (1 - beta1) * g,   m̂ = m / (1 - beta1^t)
        v = beta2 * v + (1 - beta2) * g²,   v̂ = v / (1 - beta2^t)
        r = m̂ / (sqrt(v̂) + eps) + weight_decay * p
        p = p - lr * ‖p‖ / ‖r‖ * r

    p is a parameter, g its gradient, t counts the steps from 1; m and v start from 0. The norms are
    over all entries of a parameter; their quotient is 1 where one of them is 0.

    - `lr`: learning rate; the schedule multiplies it.
    - `betas`: how slowly the means of the gradient and of its square forget.
    - `eps`: keeps the step finite where gradients vanish.
    - `weight_decay`: share of a parameter that its step takes along. It may be a ramp:
      `weight_decay=cosine(0.04, 0.4)`.
    - `schedule`: how the learning rate changes, e.g. `cosine(warmup=5%)`.

    Example: `minimize cross_entropy(logits, label) with lamb(lr=2e-3)`
    Source: You et al. 2019, https://arxiv.org/abs/1904.00962
    """

    name: ClassVar[str] = "lamb"
    torch_name: ClassVar[str] = "Lamb"
    usual: ClassVar[tuple[float, float] | None] = (1e-4, 0.1)
    eps: float = 1e-6
    weight_decay: float | Ramp = 0.01
    schedule: Schedule = CONSTANT

    @property
    def definition(self) -> str:
        return _DEFINITION.strip()
