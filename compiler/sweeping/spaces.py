"""Spaces: the values that a sweep searches among."""

from __future__ import annotations

import math
from typing import final

from compiler.records import dataclass
from compiler.sweeping.base import SPACES, Draws, Label, Space, Value, label
from compiler.training.settings import refuse

MOST_TRIED = 16
"""Of a longer list a check tries the first and the last values only: each costs an elaboration."""
LARGEST = 2**53
"""Whole numbers up to here are exact in every storage."""


@SPACES.register
@final
@dataclass(frozen=True)
class Uniform(Space):
    """Numbers from `low` to `high`, both included, every stretch as likely as any other of its
    length.

    - `low`, `high`: the ends.
    - `step`: draws `low`, `low + step`, … only; without it any number between.

    Example: `decay in uniform(0, 0.2)`
    Source: https://optuna.readthedocs.io/en/stable/reference/generated/optuna.trial.Trial.html
    """

    name = "uniform"
    low: float
    high: float
    step: float | None = None

    def check(self) -> None:
        """Refuses bounds that mean nothing."""
        _check_ends(self.name, self.low, self.high)
        if self.step is not None and not 0 < self.step <= self.high - self.low:
            refuse(self.name, "step", self.step, f"above 0, at most {self.high - self.low:g}")

    def draw(self, trial: Draws, name: str) -> Value:
        """The value of the parameter of that name in a trial."""
        return trial.suggest_float(name, self.low, self.high, step=self.step)

    @property
    def ends(self) -> tuple[Value, ...]:
        """The values that a check tries."""
        return self.low, self.high

    @property
    def grid(self) -> tuple[Value, ...] | None:
        """Every value, where there is an end of them."""
        if self.step is None:
            return None
        count = math.floor((self.high - self.low) / self.step * (1 + 1e-12)) + 1
        return tuple(self.low + index * self.step for index in range(count))


@SPACES.register
@final
@dataclass(frozen=True)
class LogUniform(Space):
    """Numbers from `low` to `high`, both included, whose logarithm is uniform: as many from 1e-4 to
    1e-3 as from 1e-2 to 1e-1.

    - `low`, `high`: the ends, above 0.

    Example: `lr in log_uniform(1e-4, 1e-1)`
    Source: https://optuna.readthedocs.io/en/stable/reference/generated/optuna.trial.Trial.html
    """

    name = "log_uniform"
    low: float
    high: float

    def check(self) -> None:
        """Refuses bounds that mean nothing."""
        if not self.low > 0:
            refuse(self.name, "low", self.low, "above 0")
        _check_ends(self.name, self.low, self.high)

    def draw(self, trial: Draws, name: str) -> Value:
        """The value of the parameter of that name in a trial."""
        return trial.suggest_float(name, self.low, self.high, log=True)

    @property
    def ends(self) -> tuple[Value, ...]:
        """The values that a check tries."""
        return self.low, self.high


@SPACES.register
@final
@dataclass(frozen=True)
class RandInt(Space):
    """Whole numbers from `low` to below `high`, as those of `low..high`.

    - `low`, `high`: the least number, and the first that is too large.
    - `step`: draws `low`, `low + step`, … only.
    - `log`: whether the logarithm is uniform, for numbers over several orders of magnitude; then
      `low` is above 0 and `step` 1.

    Example: `rows in randint(16, 129, step=16)`
    Source: https://optuna.readthedocs.io/en/stable/reference/generated/optuna.trial.Trial.html
    """

    name = "randint"
    low: int
    high: int
    step: int = 1
    log: bool = False

    def check(self) -> None:
        """Refuses bounds that mean nothing."""
        if not -LARGEST <= self.low < self.high <= LARGEST:
            refuse(self.name, "high", self.high, f"above `low`, which is {self.low}")
        if self.step < 1:
            refuse(self.name, "step", self.step, "1 or above")
        if self.log and self.low < 1:
            refuse(self.name, "low", self.low, "1 or above with `log`")
        if self.log and self.step != 1:
            refuse(self.name, "step", self.step, "1 with `log`")

    def draw(self, trial: Draws, name: str) -> Value:
        """The value of the parameter of that name in a trial."""
        step = 1 if self.log else self.step
        return trial.suggest_int(name, self.low, self.last, step=step, log=self.log)

    @property
    def last(self) -> int:
        """The largest number that is drawn."""
        return self.low + (self.high - 1 - self.low) // self.step * self.step

    @property
    def ends(self) -> tuple[Value, ...]:
        """The values that a check tries."""
        return tuple(dict.fromkeys((self.low, self.last)))

    @property
    def grid(self) -> tuple[Value, ...] | None:
        """Every value, where there is an end of them."""
        numbers = range(self.low, self.high, self.step)
        return tuple(numbers) if len(numbers) <= MOST_COMBINATIONS else None


MOST_COMBINATIONS = 1_000_000
"""Trials that a grid may have."""


@SPACES.register
@final
@dataclass(frozen=True)
class Listed(Space):
    """The values of a list, in no order: `width in [8, 16, 32]`."""

    name = "list"
    written = False
    values: tuple[Value, ...]

    def draw(self, trial: Draws, name: str) -> Value:
        """The value of the parameter of that name in a trial."""
        labels = tuple(map(label, self.values))
        found = self.recall(trial.suggest_categorical(name, labels))
        assert found is not None, "one of the labels is drawn"
        return found

    def recall(self, found: Label) -> Value | None:
        """The value that a label stands for."""
        kind = type(found)
        pairs = ((label(value), value) for value in self.values)
        return next((v for known, v in pairs if type(known) is kind and known == found), None)

    @property
    def ends(self) -> tuple[Value, ...]:
        """The values that a check tries."""
        if len(self.values) <= MOST_TRIED:
            return self.values
        half = MOST_TRIED // 2
        return (*self.values[:half], *self.values[-half:])

    @property
    def grid(self) -> tuple[Value, ...] | None:
        """Every value, where there is an end of them."""
        return self.values

    @property
    def is_numeric(self) -> bool:
        """Whether values are numbers with an order."""
        return False


def _check_ends(owner: str, low: float, high: float) -> None:
    if not math.isfinite(low):
        refuse(owner, "low", low, "a finite number")
    if not math.isfinite(high) or not high > low:
        refuse(owner, "high", high, f"a finite number above `low`, which is {low:g}")
