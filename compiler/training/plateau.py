"""Learning rate schedule that falls where a figure no longer gets better."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal, final

from compiler.records import dataclass
from compiler.training.base import SCHEDULES, Schedule
from compiler.training.figure import VALIDATION_LOSS, Figure
from compiler.training.schedules import warmup_code
from compiler.training.settings import (
    refuse,
    require_at_least_zero,
    require_duration,
    require_part,
    require_share,
)
from compiler.vocabulary.duration import NO_TIME, Duration


@SCHEDULES.register
@final
@dataclass(frozen=True)
class Plateau(Schedule):
    """The learning rate is multiplied by `factor` where a figure has not got better for more than
    `patience` epochs.

        r = (s + 1) / (w + 1) where s < w
        r = max(minimum, factor^k) where s >= w

    r is the part of the learning rate at step s, w the steps of the warm-up, k the falls since it.
    A figure is better than the best b so far where it is below `b * (1 - threshold)`, or above `b *
    (1 + threshold)` where higher is better; in mode `"abs"` the bounds are `b - threshold` and `b +
    threshold`. Epochs without a better figure are counted anew from one that has it, from a fall,
    and from the end of `cooldown`.

    It is `torch.optim.lr_scheduler.ReduceLROnPlateau`, stepped after every epoch (Keras'
    ReduceLROnPlateau waits for one epoch less). Its metric says whether a higher or a lower figure
    is better; of `loss` the lower one is. A checkpoint holds its count.

    - `figure`: a split and a metric of the train, or `loss`.
    - `factor`: what is left of the learning rate after each fall.
    - `patience`: how many epochs without a better figure are let pass.
    - `threshold`: by how much a figure must be better to count.
    - `threshold_mode`: `"rel"`: by that share of the best one; `"abs"`: by that much.
    - `cooldown`: epochs after a fall in which none is counted.
    - `minimum`: share of the learning rate below which it never falls.
    - `eps`: a fall by no more than this is left out.
    - `warmup`: a share of all steps (`5%`), `2epochs` or `500steps`; a fall in it has no effect.

    Example: `minimize cross_entropy(logits, label) with sgd(lr=0.1, schedule=plateau(patience=3))`
    Source:
    https://docs.pytorch.org/docs/stable/generated/torch.optim.lr_scheduler.ReduceLROnPlateau.html
    """

    name: ClassVar[str] = "plateau"
    figure: Figure = VALIDATION_LOSS
    factor: float = 0.1
    patience: int = 10
    threshold: float = 1e-4
    threshold_mode: Literal["rel", "abs"] = "rel"
    cooldown: int = 0
    minimum: float = 0.0
    eps: float = 1e-8
    warmup: Duration = NO_TIME

    @property
    def watches(self) -> Figure:
        return self.figure

    def check(self) -> None:
        require_part(self.name, "factor", self.factor)
        for name in ("patience", "cooldown"):
            if getattr(self, name) < 0:
                refuse(self.name, name, getattr(self, name), "0 or above")
        require_at_least_zero(self.name, "threshold", self.threshold)
        require_at_least_zero(self.name, "eps", self.eps)
        require_share(self.name, "minimum", self.minimum)
        require_duration(self.name, "warmup", self.warmup)

    def multiplier(self, step: int, steps: int, steps_per_epoch: int) -> float:
        """The factor of the warm-up: what falls comes from figures."""
        warmup = self.warmup.steps(steps, steps_per_epoch)
        return (step + 1) / (warmup + 1) if step < warmup else 1.0

    def code(self, steps: str, steps_per_epoch: str) -> Sequence[str]:
        return [*warmup_code(self.warmup, steps, steps_per_epoch), "return 1.0"]

    def settings(self, better: str) -> tuple[tuple[str, object], ...]:
        """The keyword arguments of PyTorch's class that are no defaults, but for `min_lr`."""
        mode = (("mode", "max"),) if better == "higher" else ()
        defaults = {option.field: option.default for option in self.options()}
        names = ("factor", "patience", "threshold", "threshold_mode", "cooldown", "eps")
        given = ((name, getattr(self, name)) for name in names)
        return (*mode, *((name, value) for name, value in given if value != defaults[name]))
