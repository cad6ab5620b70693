"""A learning rate schedule that the spec writes out, as an expression of the step and the epoch."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import ClassVar, final

from compiler.ir.hint import Hint, HintError, evaluate_hint, hint_names, hint_text, python_function
from compiler.records import dataclass
from compiler.training.base import SCHEDULES, Schedule
from compiler.training.duration import NO_TIME, Duration
from compiler.training.schedules import warmup_code
from compiler.training.settings import refuse, require_duration

FORMULA_NAMES = {
    "step": "the step of the training, from 0",
    "epoch": "the epoch of the training, from 0",
    "steps": "the number of steps of the whole training",
}
"""What a formula computes with."""


@final
@dataclass(frozen=True)
class Formula:
    """A number that follows from the step of a training."""

    tree: Hint

    @property
    def names(self) -> frozenset[str]:
        """Which of `FORMULA_NAMES` it reads."""
        return frozenset(hint_names(self.tree))

    def evaluate(self, step: int, epoch: int, steps: int) -> float:
        """Its value; NaN where it has none, such as a quotient of 0."""
        try:
            found = evaluate_hint(self.tree, {"step": step, "epoch": epoch, "steps": steps})
        except HintError:
            return math.nan
        return float(found) if isinstance(found, int | float) else math.nan

    def __str__(self) -> str:
        """The Python expression."""
        text = hint_text(self.tree, -1)
        return re.sub(r"\b[a-z]\w*(?=\()", lambda found: python_function(found[0]), text)


@SCHEDULES.register
@final
@dataclass(frozen=True)
class Expression(Schedule):
    """The factor of the learning rate as a formula of the spec.

        r = factor(step, epoch, steps) * min(1, (s + 1) / (w + 1))

    r is the part of the learning rate at step s, w the steps of the warm-up.

    - `factor`: an expression of `step` and `epoch`, which count from 0, and of `steps`, those of
      the whole training, three names that nothing else may have where it stands; of numbers and
      parameters of the train; of `+ - * / // % **`, comparisons, `if … then … else`, and `abs ceil
      cos exp floor log log2 max min round sin sqrt`. Without a warm-up it may stand for the whole
      schedule: `schedule=0.99 ** epoch`.
    - `warmup`: a share of all steps (`5%`), `2epochs` or `500steps`.

    A training ends with an error at a step at which the factor is below 0 or not finite.

    Example:

        minimize cross_entropy(logits, label)
            with sgd(lr=0.1, schedule=expression(0.99 ** epoch, warmup=500steps))

    Source: https://docs.pytorch.org/docs/stable/generated/torch.optim.lr_scheduler.LambdaLR.html
    """

    name: ClassVar[str] = "expression"
    factor: Formula
    warmup: Duration = NO_TIME

    def check(self) -> None:
        require_duration(self.name, "warmup", self.warmup)
        first = self.factor.evaluate(0, 0, 1000)
        if not 0 <= first < math.inf:
            refuse(self.name, "factor", first, "a finite number, 0 or above, at step 0")

    def multiplier(self, step: int, steps: int, steps_per_epoch: int) -> float:
        warmup = self.warmup.steps(steps, steps_per_epoch)
        factor = self.factor.evaluate(step, step // steps_per_epoch, steps)
        return factor * min(1.0, (step + 1) / (warmup + 1))

    def code(self, steps: str, steps_per_epoch: str) -> Sequence[str]:
        lines = [f"epoch = step // {steps_per_epoch}"] if "epoch" in self.factor.names else []
        lines += [f"steps = {steps}"] if "steps" in self.factor.names and steps != "steps" else []
        lines.append(f"factor = {self.factor}")
        lines += ["if not 0 <= factor < math.inf:"]
        lines += ['    sys.exit(f"the schedule gives the factor {factor} at step {step}")']
        lines += warmup_code(self.warmup, steps, steps_per_epoch, "factor * ")
        return [*lines, "return factor"]
