"""Numbers that change over a training: `cosine(0.996, 1.0)`, `linear(0.04, 0.07)`."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar, final

from compiler.records import dataclass
from compiler.report.diagnostics import Fault
from compiler.report.messages.layers import option_out_of_range
from compiler.vocabulary.duration import Duration
from compiler.vocabulary.signature import Described, Registry

WHOLE = Duration(1, "share")
"""All steps of a training."""
LONGEST = 6
"""Characters of a difference that is written as one number."""


class Ramp(Described, ABC):
    """Base of numbers that go from `start` to `end` over a stretch of training, and stay there."""

    start: float
    end: float
    over_first: Duration

    def __post_init__(self) -> None:
        if not self.over_first.value > 0:
            raise Fault(
                lambda where: option_out_of_range(
                    where.argument("over_first"),
                    self.name,
                    "over_first",
                    self.over_first.value,
                    "more than no time",
                    None,
                )
            )

    def value(self, step: int, steps: int, steps_per_epoch: int) -> float:
        """The number at a step, counted from 0, of a training of so many."""
        length = max(1, self.over_first.steps(steps, steps_per_epoch))
        return self._mix(min(1.0, step / length))

    def code(self, steps: str, steps_per_epoch: str, step: str = "step") -> Sequence[str]:
        """Python statements that return the number at a step, counted from 0."""
        length = self.over_first.code(steps, steps_per_epoch)
        return [f"progress = min(1, {step} / max(1, {length}))", f"return {self._mix_code()}"]

    @property
    def bounds(self) -> tuple[float, float]:
        """Its least and its greatest number."""
        return min(self.start, self.end), max(self.start, self.end)

    @abstractmethod
    def _mix(self, progress: float) -> float:
        """The number where that share of the stretch has gone."""

    @abstractmethod
    def _mix_code(self) -> str:
        """The same as a Python expression."""


RAMPS: Registry[Ramp] = Registry("ramp")
"""Numbers that change over a training, by name."""


@RAMPS.register
@final
@dataclass(frozen=True)
class LinearRamp(Ramp):
    """A number that goes from `start` to `end` in a straight line, and stays there.

        x = start + (end - start) * min(1, s / n)

    x is the number at step s, counted from 0, n the steps of `over_first`.

    - `start`: the number at the first step.
    - `end`: the number behind the stretch.
    - `over_first`: the stretch: a share of all steps (`30%`), `3epochs` or `500steps`.

    Example:

        model Net { input x: f32[n, 4]  output y = x -> dense(8) -> relu -> dense(3) }
        data iris { source sklearn("iris")  split random(seed=0), train=80%, val=20% }
        train fit on iris {
            net student = Net()
            net teacher = ema(student, decay=linear(0.9, 0.999, over_first=50%))
            minimize cross_entropy(student(features), label) with adam(lr=1e-3)
            batch 16  epochs 3
        }

    Source: Caron et al. (2021), https://arxiv.org/abs/2104.14294 (its warm-up of a temperature).
    """

    name: ClassVar[str] = "linear"
    start: float
    end: float
    over_first: Duration = WHOLE

    def _mix(self, progress: float) -> float:
        return self.start + (self.end - self.start) * progress

    def _mix_code(self) -> str:
        rise = self.end - self.start
        text, sign = repr(abs(rise)), "-" if rise < 0 else "+"
        if len(text) > LONGEST:
            text, sign = f"({self.end!r} - {self.start!r})", "+"
        return f"{self.start!r} {sign} {text} * progress"


@RAMPS.register
@final
@dataclass(frozen=True)
class CosineRamp(Ramp):
    """A number that goes from `start` to `end` along half a cosine, and stays there.

        x = end + (start - end) * (1 + cos(π * min(1, s / n))) / 2

    x is the number at step s, counted from 0, n the steps of `over_first`.

    - `start`: the number at the first step.
    - `end`: the number behind the stretch.
    - `over_first`: the stretch: a share of all steps (`30%`), `3epochs` or `500steps`.

    Example:

        model Net { input x: f32[n, 4]  output y = x -> dense(8) -> relu -> dense(3) }
        data iris { source sklearn("iris")  split random(seed=0), train=80%, val=20% }
        train fit on iris {
            net student = Net()
            net teacher = ema(student, decay=cosine(0.996, 1.0))
            minimize cross_entropy(student(features), label) with adam(lr=1e-3)
            batch 16  epochs 3
        }

    Source: Grill et al. (2020), https://arxiv.org/abs/2006.07733, section 3.2 (the decay of BYOL).
    """

    name: ClassVar[str] = "cosine"
    start: float
    end: float
    over_first: Duration = WHOLE

    def _mix(self, progress: float) -> float:
        return self.end + (self.start - self.end) * 0.5 * (1 + math.cos(math.pi * progress))

    def _mix_code(self) -> str:
        fall = f"({self.start!r} - {self.end!r}) * 0.5"
        return f"{self.end!r} + {fall} * (1 + math.cos(math.pi * progress))"
