"""Learning rate schedules that rise again: warm restarts and the one-cycle policy."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar, Literal, final

from compiler.records import dataclass
from compiler.training.base import SCHEDULES, Schedule
from compiler.training.schedules import since, warmup_code
from compiler.training.settings import (
    refuse,
    require_duration,
    require_part,
    require_share,
)
from compiler.vocabulary.duration import NO_TIME, Duration


@SCHEDULES.register
@final
@dataclass(frozen=True)
class CosineRestarts(Schedule):
    """Half a cosine from the full learning rate down to `minimum` of it, again and again, after a
    warm-up (Loshchilov & Hutter 2016).

        r = (s + 1) / (w + 1) where s < w
        r = minimum + (1 - minimum) * (1 + cos(π * (s - b_i) / n_i)) / 2 where s >= w
        n_i = first * growth^i,   b_i = w + Σ_{j < i} n_j

    r is the part of the learning rate at step s, w the steps of the warm-up; cycle i, counted from
    0, begins at step b_i and has n_i steps.

    After the warm-up it is `torch.optim.lr_scheduler.CosineAnnealingWarmRestarts(T_0=first,
    T_mult=growth)` stepped once a step.

    - `first`: the length of the first cycle: `10epochs`, `1000steps`, or a share of all steps.
    - `growth`: how much longer each cycle is than the one before.
    - `minimum`: share of the learning rate at the end of a cycle.
    - `warmup`: a share of all steps (`5%`), `2epochs` or `500steps`.

    Example:

        minimize cross_entropy(logits, label) with sgd(lr=0.1, schedule=cosine_restarts(2epochs))

    Source: Loshchilov and Hutter 2016, https://arxiv.org/abs/1608.03983
    """

    name: ClassVar[str] = "cosine_restarts"
    first: Duration
    growth: int = 1
    minimum: float = 0.0
    warmup: Duration = NO_TIME

    def check(self) -> None:
        require_duration(self.name, "first", self.first, least=1e-9)
        if not 1 <= self.growth <= 1000:
            refuse(self.name, "growth", self.growth, "from 1 to 1000")
        require_share(self.name, "minimum", self.minimum)
        require_duration(self.name, "warmup", self.warmup)

    def multiplier(self, step: int, steps: int, steps_per_epoch: int) -> float:
        warmup = self.warmup.steps(steps, steps_per_epoch)
        if step < warmup:
            return (step + 1) / (warmup + 1)
        length, position = max(1, self.first.steps(steps, steps_per_epoch)), step - warmup
        while self.growth > 1 and position >= length:
            position, length = position - length, length * self.growth
        progress = position % length / length
        return self.minimum + (1 - self.minimum) * 0.5 * (1 + math.cos(math.pi * progress))

    def code(self, steps: str, steps_per_epoch: str) -> Sequence[str]:
        first = self.first.code(steps, steps_per_epoch)
        if self.first.unit != "steps":
            first = f"max(1, {first})"
        lines = warmup_code(self.warmup, steps, steps_per_epoch)
        if self.growth == 1:
            lines += [f"length = {first}", f"progress = {since(self.warmup)} % length / length"]
        else:
            lines += [
                f"position, length = {since(self.warmup).strip('()')}, {first}",
                "while position >= length:",
                f"    position, length = position - length, {self.growth} * length",
                "progress = position / length",
            ]
        wave = "0.5 * (1 + math.cos(math.pi * progress))"
        if self.minimum:
            wave = f"{self.minimum!r} + {1 - self.minimum!r} * {wave}"
        return [*lines, f"return {wave}"]


@SCHEDULES.register
@final
@dataclass(frozen=True)
class OneCycle(Schedule):
    """The learning rate rises from `start` of it to all of it, and falls to `end` of it, in one
    cycle over the whole training (Smith and Topin 2017).

        r = start + (1 - start) * (1 - cos(π * s / m)) / 2 where s <= m
        r = end + (1 - end) * (1 + cos(π * (s - m) / (T - 1 - m))) / 2 where s > m

    r is the part of the learning rate at step s of T, `m = peak * T - 1` where it is highest. With
    `shape="linear"` `start + (1 - start) * s / m` goes up and `1 - (1 - end) * (s - m) / (T - 1 -
    m)` down.

    It is the rate of `torch.optim.lr_scheduler.OneCycleLR(max_lr=lr, div_factor=1 / start,
    final_div_factor=start / end, cycle_momentum=False)`; momentum stays as the optimizer has it.

    - `peak`: where the highest rate lies, as a share of all steps; PyTorch's pct_start.
    - `start`: share of the learning rate at the first step.
    - `end`: share of the learning rate at the last step.
    - `shape`: halves of a cosine, or straight lines; PyTorch's anneal_strategy.

    Example: `minimize cross_entropy(logits, label) with sgd(lr=0.1, schedule=one_cycle(peak=30%))`
    Source: Smith and Topin 2017, https://arxiv.org/abs/1708.07120
    """

    name: ClassVar[str] = "one_cycle"
    peak: float = 0.3
    start: float = 0.04
    end: float = 4e-6
    shape: Literal["cosine", "linear"] = "cosine"

    def check(self) -> None:
        require_part(self.name, "peak", self.peak)
        require_part(self.name, "start", self.start)
        require_share(self.name, "end", self.end)

    def multiplier(self, step: int, steps: int, steps_per_epoch: int) -> float:
        peak = self.peak * steps - 1
        if step <= peak:
            low, progress = self.start, step / (peak or 1.0)
            return self._between(low, 1.0, progress)
        return self._between(1.0, self.end, (step - peak) / ((steps - 1 - peak) or 1.0))

    def _between(self, begin: float, end: float, progress: float) -> float:
        if self.shape == "linear":
            return begin + (end - begin) * progress
        return end + (begin - end) * 0.5 * (1 + math.cos(math.pi * progress))

    def code(self, steps: str, steps_per_epoch: str) -> Sequence[str]:
        lines = [
            f"peak = {self.peak!r} * {steps} - 1",
            "if step <= peak:",
            f"    begin, end, progress = {self.start!r}, 1.0, step / (peak or 1.0)",
            "else:",
            f"    begin, end = 1.0, {self.end!r}",
            f"    progress = (step - peak) / (({steps} - 1 - peak) or 1.0)",
        ]
        if self.shape == "linear":
            return [*lines, "return begin + (end - begin) * progress"]
        return [
            *lines,
            "return end + (begin - end) * 0.5 * (1 + math.cos(math.pi * progress))",
        ]
