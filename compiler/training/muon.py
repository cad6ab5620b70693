"""Muon: momentum whose matrices are made orthogonal."""

from __future__ import annotations

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


@OPTIMIZERS.register
@final
@dataclass(frozen=True)
class Muon(Optimizer):
    """Momentum whose matrices are made orthogonal by a Newton-Schulz iteration, with decoupled
    weight decay (Jordan et al. 2024): `torch.optim.Muon`.

        m = momentum * m + (1 - momentum) * g
        X = momentum * m + (1 - momentum) * g,   X = X / max(‖X‖, eps)
        A = X Xᵀ,   X = 3.4445 * X + (-4.775 * A + 2.0315 * A A) X
        p = p - lr * weight_decay * p - lr * c * X

    p is a matrix of parameters, g its gradient; m starts from 0. The third line is taken `ns_steps`
    times, in bfloat16, of Xᵀ where X has more rows than columns. It moves the singular values of X
    close to 1: of `X = U S Vᵀ` about `U Vᵀ` is left. Without `nesterov` X starts from m alone; c is
    what `adjust_lr_fn` says.

    It takes matrices only: `minimize … with muon(lr=0.02) over "blocks.*.weight" with
    adamw(lr=3e-4)` gives embeddings, biases, norms and kernels of convolutions to AdamW.

    - `lr`: learning rate; the schedule multiplies it.
    - `weight_decay`: each step shrinks parameters by `lr * weight_decay`.
    - `momentum`: share of the last step that is taken again.
    - `nesterov`: looks ahead along the momentum.
    - `eps`: keeps the iteration finite where gradients vanish.
    - `ns_steps`: Newton-Schulz iterations.
    - `adjust_lr_fn`: how the rate follows the shape `[rows, columns]`: "original" multiplies it by
      `sqrt(max(1, rows / columns))`, "match_rms_adamw" by `0.2 * sqrt(max(rows, columns))`, so
      that a rate of AdamW's fits; none is "original".
    - `schedule`: how the learning rate changes, e.g. `cosine(warmup=5%)`.

    Example:

        minimize cross_entropy(logits, label) with muon(lr=0.02) over "*.weight" with adamw(lr=1e-3)

    Source: Jordan et al. 2024, https://kellerjordan.github.io/posts/muon/
    """

    name: ClassVar[str] = "muon"
    torch_name: ClassVar[str] = "Muon"
    usual: ClassVar[tuple[float, float] | None] = (1e-4, 0.1)
    rank: ClassVar[int | None] = 2
    lr: float = 1e-3
    weight_decay: float = 0.1
    momentum: float = 0.95
    nesterov: bool = True
    eps: float = 1e-7
    ns_steps: int = 5
    adjust_lr_fn: Literal["original", "match_rms_adamw"] | None = None
    schedule: Schedule = CONSTANT

    def check(self) -> None:
        require_positive(self.name, "lr", self.lr)
        require_at_least_zero(self.name, "weight_decay", self.weight_decay)
        require_share(self.name, "momentum", self.momentum)
        if self.nesterov and self.momentum == 0:
            advice = "give `momentum=0.95`, or `nesterov=false`"
            refuse_together(self.name, "nesterov", "Nesterov needs momentum", advice)
        require_at_least_zero(self.name, "eps", self.eps)
        if not 1 <= self.ns_steps < 100:
            refuse(self.name, "ns_steps", self.ns_steps, "from 1 to 99")
