"""Bases of what a sweep is made of: a class is options, manual and what Optuna is asked for."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Protocol

from compiler.records import dataclass
from compiler.vocabulary.signature import Described, Registry
from compiler.vocabulary.signature import write_value as write_plain


@dataclass(frozen=True)
class Written:
    """A value that is no number, text or boolean, as the spec writes it: `relu`, `[8, 16]`."""

    text: str


Value = int | float | bool | str | Written
"""What a parameter may be given: something that is known when compiling."""
Label = int | float | bool | str
"""What stands for a value in storages and results."""


def label(value: Value) -> Label:
    """What stands for a value in storages and results."""
    return value.text if isinstance(value, Written) else value


def write_value(value: Value) -> str:
    """A value as the language writes it."""
    return value.text if isinstance(value, Written) else write_plain(value)


class Draws(Protocol):
    """A trial of Optuna, as far as spaces ask it for values."""

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float:
        """A number from `low` to `high`."""

    def suggest_int(
        self, name: str, low: int, high: int, *, step: int = 1, log: bool = False
    ) -> int:
        """A whole number from `low` to `high`, both included."""

    def suggest_categorical(self, name: str, choices: Sequence[Label]) -> Label:
        """One of a few."""


class Space(Described):
    """Values that a parameter may take. None is made that holds no value."""

    def __post_init__(self) -> None:
        self.check()

    def check(self) -> None:
        """Refuses bounds that mean nothing.

        Raises:
            Fault: which bound, and why.
        """

    @abstractmethod
    def draw(self, trial: Draws, name: str) -> Value:
        """The value of the parameter of that name in a trial."""

    def recall(self, found: Label) -> Value | None:
        """The value that a label stands for; None where there is none."""
        numeric = isinstance(found, int | float) and not isinstance(found, bool)
        low, high = self.ends[0], self.ends[-1]
        fits = numeric and low <= found <= high  # type: ignore[operator]
        return found if fits else None

    @property
    @abstractmethod
    def ends(self) -> tuple[Value, ...]:
        """The values that a check tries: the lowest and the highest, or all of a few."""

    @property
    def grid(self) -> tuple[Value, ...] | None:
        """Every value, in order; None where there is no end of them."""
        return None

    @property
    def is_numeric(self) -> bool:
        """Whether values are numbers with an order."""
        return True


class Sampler(Described):
    """How trials draw their values."""

    optuna_name: ClassVar[str] = ""
    """Its class under `optuna.samplers`."""
    package: ClassVar[str] = "optuna"
    """The package that it needs."""
    enumerates: ClassVar[bool] = False
    """Whether it goes through every combination, so that spaces must be finite."""
    numeric: ClassVar[bool] = False
    """Whether it takes numbers only, and every parameter in every trial."""

    def __post_init__(self) -> None:
        self.check()

    def check(self) -> None:
        """Refuses options that mean nothing.

        Raises:
            Fault: which option, and why.
        """

    @property
    def arguments(self) -> Mapping[str, Any]:
        """The arguments of its class besides the seed."""
        return {}


class Pruner(Described):
    """When a trial is given up before its training ends."""

    optuna_name: ClassVar[str] = "NopPruner"
    """Its class under `optuna.pruners`."""
    watches: ClassVar[bool] = True
    """Whether it looks at the goal after every epoch."""

    def __post_init__(self) -> None:
        self.check()

    def check(self) -> None:
        """Refuses options that mean nothing.

        Raises:
            Fault: which option, and why.
        """

    def find_arguments(self, epochs: int) -> Mapping[str, Any]:
        """The arguments of its class for trainings of so many epochs."""
        return {}


SPACES: Registry[Space] = Registry("space")
"""Every space by name."""
SAMPLERS: Registry[Sampler] = Registry("sampler")
"""Every sampler by name."""
PRUNERS: Registry[Pruner] = Registry("pruner")
"""Every pruner by name."""
