"""Pruners: when a trial is given up. They see the goal after every epoch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, final

from compiler.records import dataclass
from compiler.sweeping.base import PRUNERS, Pruner
from compiler.training.settings import refuse


@PRUNERS.register
@final
@dataclass(frozen=True)
class NoPruner(Pruner):
    """Every training goes to its end.

    Example: `pruner none`
    Source: https://optuna.readthedocs.io/en/stable/reference/pruners.html
    """

    name = "none"
    watches = False


@PRUNERS.register
@final
@dataclass(frozen=True)
class Median(Pruner):
    """Gives up a trial whose best figure so far is worse than the median of the earlier trials at
    the same epoch.

    - `startup`: trials that go to their end first.
    - `warmup`: epochs of a trial before it may be given up.

    Example: `pruner median(warmup=3)`
    Source: https://optuna.readthedocs.io/en/stable/reference/pruners.html
    """

    name = "median"
    optuna_name = "MedianPruner"
    startup: int = 5
    warmup: int = 0

    def check(self) -> None:
        """Refuses options that mean nothing."""
        if self.startup < 0:
            refuse(self.name, "startup", self.startup, "0 or above")
        if self.warmup < 0:
            refuse(self.name, "warmup", self.warmup, "0 or above")

    def find_arguments(self, epochs: int) -> Mapping[str, Any]:
        """The arguments of its class for trainings of so many epochs."""
        return {"n_startup_trials": self.startup, "n_warmup_steps": self.warmup}


@PRUNERS.register
@final
@dataclass(frozen=True)
class Hyperband(Pruner):
    """Successive halving in several brackets: at each rung only the best share of the trials goes
    on, and brackets differ in how early they begin to choose.

    - `least`: epochs of every trial.
    - `factor`: one of so many goes on at a rung.

    Example: `pruner hyperband`
    Source: Li et al. 2018, https://jmlr.org/papers/v18/16-558.html
    """

    name = "hyperband"
    optuna_name = "HyperbandPruner"
    least: int = 1
    factor: int = 3

    def check(self) -> None:
        """Refuses options that mean nothing."""
        if self.least < 1:
            refuse(self.name, "least", self.least, "1 or above")
        if self.factor < 2:
            refuse(self.name, "factor", self.factor, "2 or above")

    def find_arguments(self, epochs: int) -> Mapping[str, Any]:
        """The arguments of its class for trainings of so many epochs."""
        least = min(self.least, epochs)
        return {"min_resource": least, "max_resource": epochs, "reduction_factor": self.factor}
