"""L-BFGS: steps by an estimate of the inverse Hessian, from the last gradients."""

from __future__ import annotations

from typing import ClassVar, Literal, final

from compiler.records import dataclass
from compiler.training.base import OPTIMIZERS, Optimizer, Schedule
from compiler.training.schedules import CONSTANT
from compiler.training.settings import refuse, require_at_least_zero, require_positive


@OPTIMIZERS.register
@final
@dataclass(frozen=True)
class Lbfgs(Optimizer):
    """Limited-memory BFGS (Liu and Nocedal 1989): `torch.optim.LBFGS`.

        p = p - lr * H g
        H = (I - ρ s yᵀ) H (I - ρ y sᵀ) + ρ s sᵀ,   ρ = 1 / yᵀ s

    p are the parameters as one vector, g their gradient, H an estimate of the inverse Hessian. H is
    made anew for each move from the last `history_size` changes s of p and y of g: the second line
    is taken for each of them in order, from `I * yᵀ s / yᵀ y` of the last. Changes with `yᵀ s <=
    1e-10` are left out. The first move of all is `p = p - lr * min(1, 1 / Σ |g|) * g`.

    Each step makes up to `max_iter` moves and evaluates the loss of its batch anew for each. It is
    meant for losses without noise: let `batch` be the whole split, or large, and leave out dropout.
    It takes all parameters, in full precision.

    - `lr`: length of a move; the schedule multiplies it.
    - `max_iter`: moves in a step.
    - `max_eval`: evaluations of the loss in a step; none is 5/4 of `max_iter`.
    - `tolerance_grad`: a step ends where no entry of the gradient is larger.
    - `tolerance_change`: a step ends where loss and parameters change by less.
    - `history_size`: how many changes of the gradient are kept.
    - `line_search_fn`: "strong_wolfe" looks for the length of each move; none takes `lr`.
    - `schedule`: how the learning rate changes, e.g. `cosine(warmup=5%)`.

    Example:

        minimize mse(prediction, target) with lbfgs(line_search_fn="strong_wolfe")
        batch 1437

    Source: Liu and Nocedal 1989;
    https://docs.pytorch.org/docs/stable/generated/torch.optim.LBFGS.html
    """

    name: ClassVar[str] = "lbfgs"
    torch_name: ClassVar[str] = "LBFGS"
    evaluates: ClassVar[bool] = True
    usual: ClassVar[tuple[float, float] | None] = (1e-2, 1.0)
    lr: float = 1.0
    max_iter: int = 20
    max_eval: int | None = None
    tolerance_grad: float = 1e-7
    tolerance_change: float = 1e-9
    history_size: int = 100
    line_search_fn: Literal["strong_wolfe"] | None = None
    schedule: Schedule = CONSTANT

    def check(self) -> None:
        require_positive(self.name, "lr", self.lr)
        for name in ("max_iter", "max_eval", "history_size"):
            value = getattr(self, name)
            if value is not None and value < 1:
                refuse(self.name, name, value, "1 or above")
        require_at_least_zero(self.name, "tolerance_grad", self.tolerance_grad)
        require_at_least_zero(self.name, "tolerance_change", self.tolerance_change)
