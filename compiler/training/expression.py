"""A learning rate schedule that the spec writes out, as an expression of the step and the epoch."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import ClassVar, final

from compiler.ir.hint import (
    Hint,
    HintError,
    evaluate_hint,
    hint_names,
    hint_size,
    hint_text,
    python_function,
)
from compiler.records import dataclass
from compiler.training.base import SCHEDULES, BadFactor, Schedule
from compiler.training.schedules import warmup_code
from compiler.training.settings import refuse, require_duration
from compiler.vocabulary.duration import NO_TIME, Duration

FORMULA_NAMES = {
    "step": "the step of the training, from 0",
    "epoch": "the epoch of the training, from 0",
    "steps": "the number of steps of the whole training",
}
"""What a formula computes with."""
MOST_STEPS = 20_000
"""How many steps of a training a formula is computed for before it begins, at most."""
MOST_TERMS = 100_000
"""How many parts of formulas are computed for that: a long formula for fewer steps."""


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

    A factor below 0, or one that is not finite, is an error: of a formula of the epoch alone when
    the spec is checked, of others before the training, once the rows are counted.

    Example:

        minimize cross_entropy(logits, label)
            with sgd(lr=0.1, schedule=expression(0.99 ** epoch, warmup=500steps))

    Source: https://docs.pytorch.org/docs/stable/generated/torch.optim.lr_scheduler.LambdaLR.html
    """

    name: ClassVar[str] = "expression"
    may_fail: ClassVar[bool] = True
    factor: Formula
    warmup: Duration = NO_TIME

    def check(self) -> None:
        require_duration(self.name, "warmup", self.warmup)
        first = self.factor.evaluate(0, 0, 1000)
        if not _is_factor(first):
            refuse(self.name, "factor", first, "a finite number, 0 or above, at step 0")

    def find_fault(self, epochs: int, steps_per_epoch: int | None) -> BadFactor | None:
        if self.factor.names <= {"epoch"}:
            return self._find_bad("epoch", epochs, 1, 1)
        if steps_per_epoch is None:
            # Every epoch has a step at least; how many are in all is not known.
            known = self.factor.names <= {"step"}
            return self._find_bad("step", epochs, 1, 1) if known else None
        steps = epochs * steps_per_epoch
        return self._find_bad("step", steps, steps_per_epoch, steps)

    def _find_bad(self, unit: str, count: int, per_epoch: int, steps: int) -> BadFactor | None:
        """The first of `count` steps, of each of which an epoch has so many, with a bad factor;
        of many steps, some that are equally far apart, and the last one, are tried."""
        most = max(2, min(MOST_STEPS, MOST_TERMS // hint_size(self.factor.tree)))
        for place in (*range(0, count, -(-count // most)), count - 1):
            factor = self.factor.evaluate(place, place // per_epoch, steps)
            if not _is_factor(factor):
                return BadFactor(factor, f"{unit} {place:,}")
        return None

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


def _is_factor(number: float) -> bool:
    return 0 <= number < math.inf
