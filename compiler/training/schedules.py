"""Learning rate schedules that fall once or in steps, each with a warm-up.

The warm-up is linear and never starts at zero: its factor at step s of w is (s + 1) / (w + 1),
which is `torch.optim.lr_scheduler.LinearLR(start_factor=1 / (w + 1), total_iters=w)`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar, final

from compiler.records import dataclass
from compiler.training.base import SCHEDULES, Schedule
from compiler.training.settings import (
    refuse,
    require_duration,
    require_positive,
    require_share,
)
from compiler.vocabulary.duration import NO_TIME, ONE_EPOCH, Duration


def warmup_code(warmup: Duration, steps: str, steps_per_epoch: str, factor: str = "") -> list[str]:
    """Lines that set `warmup` and return during it, `factor` times the part that it has reached;
    none where there is no warm-up."""
    if warmup.value == 0:
        return []
    return [
        f"warmup = {warmup.code(steps, steps_per_epoch)}",
        "if step < warmup:",
        f"    return {factor}(step + 1) / (warmup + 1)",
    ]


def since(warmup: Duration) -> str:
    """The steps since the warm-up, as an expression."""
    return "step" if warmup.value == 0 else "(step - warmup)"


@SCHEDULES.register
@final
@dataclass(frozen=True)
class Constant(Schedule):
    """The learning rate stays as it is, after a linear warm-up.

        r = min(1, (s + 1) / (w + 1))

    r is the part of the learning rate at step s, w the steps of the warm-up.

    - `warmup`: a share of all steps (`5%`), `2epochs` or `500steps`.

    Example:

        minimize cross_entropy(logits, label) with sgd(lr=0.1, schedule=constant(warmup=500steps))

    Source: https://docs.pytorch.org/docs/stable/generated/torch.optim.lr_scheduler.LinearLR.html
    """

    name: ClassVar[str] = "constant"
    warmup: Duration = NO_TIME

    def check(self) -> None:
        require_duration(self.name, "warmup", self.warmup)

    def multiplier(self, step: int, steps: int, steps_per_epoch: int) -> float:
        warmup = self.warmup.steps(steps, steps_per_epoch)
        return (step + 1) / (warmup + 1) if step < warmup else 1.0

    def code(self, steps: str, steps_per_epoch: str) -> Sequence[str]:
        return [*warmup_code(self.warmup, steps, steps_per_epoch), "return 1.0"]


@SCHEDULES.register
@final
@dataclass(frozen=True)
class Step(Schedule):
    """Multiplies the learning rate by `factor` after every stretch of `every`.

        r = factor^⌊s / e⌋ * min(1, (s + 1) / (w + 1))

    r is the part of the learning rate at step s, e the steps of `every`, one at least, w those of
    the warm-up.

    Stretches are counted from the first step of the training, warm-up included, so that
    `every=30epochs` cuts at epochs 30, 60 and 90 whatever the warm-up; during the warm-up both
    factors are multiplied. Without warm-up it is `torch.optim.lr_scheduler.StepLR`.

    - `every`: `30epochs`, `10_000steps`, or a share of all steps.
    - `factor`: what is left of the learning rate at each cut; PyTorch's gamma.
    - `warmup`: a share of all steps (`5%`), `2epochs` or `500steps`.

    Example:

        minimize cross_entropy(logits, label) with sgd(lr=0.1, schedule=step(every=30%, factor=0.1))

    Source: https://docs.pytorch.org/docs/stable/generated/torch.optim.lr_scheduler.StepLR.html
    """

    name: ClassVar[str] = "step"
    every: Duration
    factor: float = 0.1
    warmup: Duration = NO_TIME

    def check(self) -> None:
        require_duration(self.name, "every", self.every, least=1e-9)
        require_positive(self.name, "factor", self.factor)
        require_duration(self.name, "warmup", self.warmup)

    def multiplier(self, step: int, steps: int, steps_per_epoch: int) -> float:
        every = max(1, self.every.steps(steps, steps_per_epoch))
        warmup = self.warmup.steps(steps, steps_per_epoch)
        ramp = (step + 1) / (warmup + 1) if step < warmup else 1.0
        return ramp * self.factor ** (step // every)

    def code(self, steps: str, steps_per_epoch: str) -> Sequence[str]:
        every = self.every.code(steps, steps_per_epoch)
        if self.every.unit == "steps":
            lines = [f"factor = {self.factor!r} ** (step // {every})"]
        else:
            lines = [f"every = max(1, {every})", f"factor = {self.factor!r} ** (step // every)"]
        if self.warmup.value == 0:
            lines[-1] = lines[-1].replace("factor =", "return", 1)
            return lines
        ramp = warmup_code(self.warmup, steps, steps_per_epoch)
        ramp[-1] += " * factor"
        return [*lines, *ramp, "return factor"]


@SCHEDULES.register
@final
@dataclass(frozen=True)
class MultiStep(Schedule):
    """Multiplies the learning rate by `factor` at each of the times `at`, counted from the first
    step of the training; during the warm-up both factors are multiplied. Without warm-up it is
    `torch.optim.lr_scheduler.MultiStepLR`.

        r = factor^k * min(1, (s + 1) / (w + 1))

    r is the part of the learning rate at step s, k how many of the times are at most s, w the steps
    of the warm-up.

    - `at`: when: `[30epochs, 60epochs]`, `[50%, 75%]` or `[20_000steps]`.
    - `factor`: what is left of the learning rate at each cut; PyTorch's gamma.
    - `warmup`: a share of all steps (`5%`), `2epochs` or `500steps`.

    Example:

        minimize cross_entropy(logits, label) with sgd(lr=0.1, schedule=multi_step(at=[50%, 75%]))

    Source: https://docs.pytorch.org/docs/stable/generated/torch.optim.lr_scheduler.MultiStepLR.html
    """

    name: ClassVar[str] = "multi_step"
    at: tuple[Duration, ...]
    factor: float = 0.1
    warmup: Duration = NO_TIME

    def check(self) -> None:
        if not self.at:
            refuse(self.name, "at", "an empty list", "the times of the cuts")
        for time in self.at:
            require_duration(self.name, "at", time)
        require_positive(self.name, "factor", self.factor)
        require_duration(self.name, "warmup", self.warmup)

    def multiplier(self, step: int, steps: int, steps_per_epoch: int) -> float:
        warmup = self.warmup.steps(steps, steps_per_epoch)
        ramp = (step + 1) / (warmup + 1) if step < warmup else 1.0
        cuts = sum(step >= time.steps(steps, steps_per_epoch) for time in self.at)
        return float(ramp * self.factor**cuts)

    def code(self, steps: str, steps_per_epoch: str) -> Sequence[str]:
        times = ", ".join(time.code(steps, steps_per_epoch) for time in self.at)
        lines = [f"cuts = sum(step >= time for time in [{times}])"]
        if self.warmup.value == 0:
            return [*lines, f"return {self.factor!r}**cuts"]
        ramp = warmup_code(self.warmup, steps, steps_per_epoch)
        ramp[-1] += f" * {self.factor!r}**cuts"
        return [*lines, *ramp, f"return {self.factor!r}**cuts"]


@SCHEDULES.register
@final
@dataclass(frozen=True)
class InverseTime(Schedule):
    """The learning rate falls as the inverse of the time since the warm-up (Robbins and Monro 1951;
    Keras' InverseTimeDecay).

        r = (s + 1) / (w + 1) where s < w
        r = 1 / (1 + rate * (s - w) / e) where s >= w

    r is the part of the learning rate at step s, w the steps of the warm-up, e those of `every`,
    one at least.

    - `rate`: how fast; 1 halves the learning rate in the first stretch.
    - `every`: `1epoch`, `1000steps`, or a share of all steps.
    - `warmup`: a share of all steps (`5%`), `2epochs` or `500steps`.

    Example:

        minimize cross_entropy(logits, label) with sgd(lr=0.1, schedule=inverse_time(rate=0.5))

    Source: Robbins and Monro 1951;
    https://keras.io/api/optimizers/learning_rate_schedules/inverse_time_decay/
    """

    name: ClassVar[str] = "inverse_time"
    rate: float = 1.0
    every: Duration = ONE_EPOCH
    warmup: Duration = NO_TIME

    def check(self) -> None:
        require_positive(self.name, "rate", self.rate)
        require_duration(self.name, "every", self.every, least=1e-9)
        require_duration(self.name, "warmup", self.warmup)

    def multiplier(self, step: int, steps: int, steps_per_epoch: int) -> float:
        warmup = self.warmup.steps(steps, steps_per_epoch)
        if step < warmup:
            return (step + 1) / (warmup + 1)
        every = max(1, self.every.steps(steps, steps_per_epoch))
        return 1 / (1 + self.rate * (step - warmup) / every)

    def code(self, steps: str, steps_per_epoch: str) -> Sequence[str]:
        every = self.every.code(steps, steps_per_epoch)
        lines = warmup_code(self.warmup, steps, steps_per_epoch)
        if self.every.unit != "steps":
            lines.append(f"every = max(1, {every})")
            every = "every"
        return [*lines, f"return 1 / (1 + {self.rate!r} * {since(self.warmup)} / {every})"]


@SCHEDULES.register
@final
@dataclass(frozen=True)
class InverseSquareRoot(Schedule):
    """The learning rate rises during the warm-up, and then falls as the inverse square root of the
    step (Vaswani et al. 2017; fairseq's inverse_sqrt).

        r = (s + 1) / (w + 1) where s < w
        r = √(w / s) where s >= w

    r is the part of the learning rate at step s, w the steps of the warm-up, one at least.

    - `warmup`: a share of all steps (`5%`), `2epochs` or `4000steps`; from its end the fall is
      counted.

    Example:

        minimize cross_entropy(logits, label) with adam(schedule=inverse_square_root(warmup=10%))

    Source: Vaswani et al. 2017, https://arxiv.org/abs/1706.03762
    """

    name: ClassVar[str] = "inverse_square_root"
    warmup: Duration

    def check(self) -> None:
        require_duration(self.name, "warmup", self.warmup, least=1e-9)

    def multiplier(self, step: int, steps: int, steps_per_epoch: int) -> float:
        warmup = max(1, self.warmup.steps(steps, steps_per_epoch))
        return (step + 1) / (warmup + 1) if step < warmup else math.sqrt(warmup / step)

    def code(self, steps: str, steps_per_epoch: str) -> Sequence[str]:
        return [
            f"warmup = max(1, {self.warmup.code(steps, steps_per_epoch)})",
            "if step < warmup:",
            "    return (step + 1) / (warmup + 1)",
            "return math.sqrt(warmup / step)",
        ]


@SCHEDULES.register
@final
@dataclass(frozen=True)
class Polynomial(Schedule):
    """The learning rate falls from its full value down to `minimum` of it, as a power of what is
    left of the training, after a warm-up.

        r = (s + 1) / (w + 1) where s < w
        r = minimum + (1 - minimum) * (1 - (s - w) / (T - w))^power where s >= w

    r is the part of the learning rate at step s of T, of which w are the warm-up.

    After the warm-up it is `torch.optim.lr_scheduler.PolynomialLR(total_iters=remaining steps)`
    where `minimum` is 0, and Keras' PolynomialDecay; `power=1` is a straight line.

    - `power`: the exponent.
    - `minimum`: share of the learning rate at the end.
    - `warmup`: a share of all steps (`5%`), `2epochs` or `500steps`.

    Example:

        minimize cross_entropy(logits, label) with sgd(lr=0.1, schedule=polynomial(power=2.0))

    Source:
    https://docs.pytorch.org/docs/stable/generated/torch.optim.lr_scheduler.PolynomialLR.html
    """

    name: ClassVar[str] = "polynomial"
    power: float = 1.0
    minimum: float = 0.0
    warmup: Duration = NO_TIME

    def check(self) -> None:
        require_positive(self.name, "power", self.power)
        require_share(self.name, "minimum", self.minimum)
        require_duration(self.name, "warmup", self.warmup)

    def multiplier(self, step: int, steps: int, steps_per_epoch: int) -> float:
        warmup = self.warmup.steps(steps, steps_per_epoch)
        if step < warmup:
            return (step + 1) / (warmup + 1)
        left = 1 - (step - warmup) / max(1, steps - warmup)
        return float(self.minimum + (1 - self.minimum) * left**self.power)

    def code(self, steps: str, steps_per_epoch: str) -> Sequence[str]:
        lines = warmup_code(self.warmup, steps, steps_per_epoch)
        rest = steps if self.warmup.value == 0 else f"max(1, {steps} - warmup)"
        fall = "left" if self.power == 1 else f"left**{self.power!r}"
        if self.minimum:
            fall = f"{self.minimum!r} + {1 - self.minimum!r} * {fall}"
        return [*lines, f"left = 1 - {since(self.warmup)} / {rest}", f"return {fall}"]


@SCHEDULES.register
@final
@dataclass(frozen=True)
class Exponential(Schedule):
    """The learning rate falls smoothly by `factor` in every stretch of `every`, after a warm-up.

        r = (s + 1) / (w + 1) where s < w
        r = factor^((s - w) / e) where s >= w

    r is the part of the learning rate at step s, w the steps of the warm-up, e those of `every`,
    one at least.

    At the borders of epochs it is `torch.optim.lr_scheduler.ExponentialLR(gamma=factor)` stepped
    once an epoch.

    - `factor`: what is left of the learning rate after each stretch; PyTorch's gamma.
    - `every`: `1epoch`, `1000steps`, or a share of all steps.
    - `warmup`: a share of all steps (`5%`), `2epochs` or `500steps`.

    Example: `minimize cross_entropy(logits, label) with sgd(lr=0.1, schedule=exponential(0.9))`
    Source:
    https://docs.pytorch.org/docs/stable/generated/torch.optim.lr_scheduler.ExponentialLR.html
    """

    name: ClassVar[str] = "exponential"
    factor: float
    every: Duration = ONE_EPOCH
    warmup: Duration = NO_TIME

    def check(self) -> None:
        require_positive(self.name, "factor", self.factor)
        require_duration(self.name, "every", self.every, least=1e-9)
        require_duration(self.name, "warmup", self.warmup)

    def multiplier(self, step: int, steps: int, steps_per_epoch: int) -> float:
        warmup = self.warmup.steps(steps, steps_per_epoch)
        if step < warmup:
            return (step + 1) / (warmup + 1)
        every = max(1, self.every.steps(steps, steps_per_epoch))
        return float(self.factor ** ((step - warmup) / every))

    def code(self, steps: str, steps_per_epoch: str) -> Sequence[str]:
        every = self.every.code(steps, steps_per_epoch)
        lines = warmup_code(self.warmup, steps, steps_per_epoch)
        if self.every.unit != "steps":
            lines.append(f"every = max(1, {every})")
            every = "every"
        return [*lines, f"return {self.factor!r} ** ({since(self.warmup)} / {every})"]


@SCHEDULES.register
@final
@dataclass(frozen=True)
class Cosine(Schedule):
    """Half a cosine from the full learning rate down to `minimum` of it, after a warm-up
    (Loshchilov & Hutter 2016, without restarts).

        r = (s + 1) / (w + 1) where s < w
        r = minimum + (1 - minimum) * (1 + cos(π * (s - w) / (T - w))) / 2 where s >= w

    r is the part of the learning rate at step s of T, of which w are the warm-up.

    After the warm-up it is `torch.optim.lr_scheduler.CosineAnnealingLR(T_max=remaining steps)`.

    - `warmup`: a share of all steps (`5%`), `2epochs` or `500steps`.
    - `minimum`: share of the learning rate at the end.

    Example: `minimize cross_entropy(logits, label) with adamw(lr=1e-3, schedule=cosine(warmup=5%))`
    Source: Loshchilov and Hutter 2016, https://arxiv.org/abs/1608.03983
    """

    name: ClassVar[str] = "cosine"
    warmup: Duration = NO_TIME
    minimum: float = 0.0

    def check(self) -> None:
        require_duration(self.name, "warmup", self.warmup)
        require_share(self.name, "minimum", self.minimum)

    def multiplier(self, step: int, steps: int, steps_per_epoch: int) -> float:
        warmup = self.warmup.steps(steps, steps_per_epoch)
        if step < warmup:
            return (step + 1) / (warmup + 1)
        progress = (step - warmup) / max(1, steps - warmup)
        return self.minimum + (1 - self.minimum) * 0.5 * (1 + math.cos(math.pi * progress))

    def code(self, steps: str, steps_per_epoch: str) -> Sequence[str]:
        lines = warmup_code(self.warmup, steps, steps_per_epoch)
        rest = steps if self.warmup.value == 0 else f"max(1, {steps} - warmup)"
        lines.append(f"progress = {since(self.warmup)} / {rest}")
        wave = "0.5 * (1 + math.cos(math.pi * progress))"
        if self.minimum:
            wave = f"{self.minimum!r} + {1 - self.minimum!r} * {wave}"
        return [*lines, f"return {wave}"]


CONSTANT = Constant()
"""The schedule of an optimizer that is given none."""
