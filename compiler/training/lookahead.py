"""Lookahead, which PyTorch lacks: an optimizer around another, whose weights go back every few
steps."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import replace
from typing import ClassVar, Self, final

from compiler.records import dataclass
from compiler.training.base import OPTIMIZERS, Optimizer, Schedule
from compiler.training.settings import refuse
from compiler.vocabulary.ramps import Ramp

_DEFINITION = '''
class Lookahead(torch.optim.Optimizer):
    """Lets an optimizer take `k` steps, then goes only the part `alpha` of their way
    (Zhang et al. 2019)."""

    def __init__(
        self, optimizer: torch.optim.Optimizer, k: int = 5, alpha: float = 0.5
    ) -> None:
        super().__init__(optimizer.param_groups, {})
        self.param_groups = optimizer.param_groups
        self.optimizer, self.k, self.alpha, self.steps = optimizer, k, alpha, 0
        self.slow = [parameter.detach().clone() for parameter in self.parameters()]

    def parameters(self) -> list[Tensor]:
        return [p for group in self.param_groups for p in group["params"]]

    @torch.no_grad()
    def step(self) -> None:
        self.optimizer.step()
        self.steps += 1
        if self.steps % self.k == 0:
            for slow, parameter in zip(self.slow, self.parameters(), strict=True):
                slow.lerp_(parameter, self.alpha)
                parameter.copy_(slow)

    def state_dict(self) -> dict[str, Any]:
        inner = self.optimizer.state_dict()
        return {"optimizer": inner, "steps": self.steps, "slow": self.slow}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.optimizer.load_state_dict(state_dict["optimizer"])
        self.param_groups = self.optimizer.param_groups
        self.steps = state_dict["steps"]
        for own, saved in zip(self.slow, state_dict["slow"], strict=True):
            own.copy_(saved)
'''


@OPTIMIZERS.register
@final
@dataclass(frozen=True)
class Lookahead(Optimizer):
    """Another optimizer whose weights, every few steps, go back to a point on the way that they
    came (Zhang et al. 2019). That averages the noise of its steps, so that it bears larger ones.

        s = s + alpha * (p - s),   p = s

    after every k steps of the optimizer around p, a parameter; s, the slow weights, starts as p
    does. What the optimizer remembers of gradients stays. Validation, averages and files have p as
    it is after the last step.

    - `optimizer`: the optimizer that takes the steps, with its learning rate and schedule; any but
      `lbfgs` and `least_squares`, which do not step by one gradient.
    - `k`: how many steps it takes before weights go back.
    - `alpha`: which part of the way is kept: 1 is all of it, as without.

    Example: `minimize cross_entropy(logits, label) with lookahead(adamw(lr=1e-3), k=6)`
    Source: Zhang et al. 2019, https://arxiv.org/abs/1907.08610
    """

    name: ClassVar[str] = "lookahead"
    torch_name: ClassVar[str] = "Lookahead"
    optimizer: Optimizer
    k: int = 5
    alpha: float = 0.5

    def check(self) -> None:
        inner = self.optimizer
        if inner.evaluates or inner.solves:
            refuse(self.name, "optimizer", inner.name, "one that takes a step for each gradient")
        if inner.base is not inner:
            refuse(self.name, "optimizer", inner.name, "one that is around no other")
        if self.k < 1:
            refuse(self.name, "k", self.k, "1 or above")
        if not 0 < self.alpha <= 1:
            refuse(self.name, "alpha", self.alpha, "above 0 and at most 1")

    @property
    def base(self) -> Optimizer:
        return self.optimizer

    @property
    def kind(self) -> Hashable:
        return type(self), self.k, self.alpha, self.optimizer.kind

    def change(self, **settings: object) -> Self:
        return replace(self, optimizer=self.optimizer.change(**settings))

    @property
    def lr(self) -> float:  # type: ignore[override]  # it is read off the optimizer
        return self.optimizer.lr

    @property
    def schedule(self) -> Schedule:  # type: ignore[override]
        return self.optimizer.schedule

    @property
    def ramps(self) -> Mapping[str, Ramp]:
        return self.optimizer.ramps

    @property
    def arguments(self) -> tuple[tuple[str, object], ...]:
        own = ((o.field, getattr(self, o.field), o.default) for o in self.options()[1:])
        return tuple((name, value) for name, value, default in own if value != default)

    @property
    def definition(self) -> str:
        return _DEFINITION.strip()
