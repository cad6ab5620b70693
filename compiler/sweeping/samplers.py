"""Samplers: how trials draw their values. What Optuna names them stands in the classes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, final

from compiler.records import dataclass
from compiler.sweeping.base import SAMPLERS, Sampler
from compiler.training.settings import refuse


@SAMPLERS.register
@final
@dataclass(frozen=True)
class Tpe(Sampler):
    """Tree-structured Parzen estimator: draws values that are likely among the better trials so far
    and unlikely among the others. The first trials are drawn at random.

    - `startup`: trials that are drawn at random first.

    Example: `sampler tpe`
    Source: Bergstra et al. 2011, https://papers.nips.cc/paper/4443
    """

    name = "tpe"
    optuna_name = "TPESampler"
    startup: int = 10

    def check(self) -> None:
        """Refuses options that mean nothing."""
        if self.startup < 1:
            refuse(self.name, "startup", self.startup, "1 or above")

    @property
    def arguments(self) -> Mapping[str, Any]:
        """The arguments of its class besides the seed."""
        return {"n_startup_trials": self.startup}


@SAMPLERS.register
@final
@dataclass(frozen=True)
class Random(Sampler):
    """Every trial by itself, at random.

    Example: `sampler random`
    Source: Bergstra and Bengio 2012, https://jmlr.org/papers/v13/bergstra12a.html
    """

    name = "random"
    optuna_name = "RandomSampler"


@SAMPLERS.register
@final
@dataclass(frozen=True)
class Grid(Sampler):
    """Every combination of values once, in the order of the spec. `trials` may be left out: it is
    their number. With fewer, those that come first are tried.

    Example: `lr in [1e-3, 3e-3, 1e-2]`, `sampler grid`
    Source: https://optuna.readthedocs.io/en/stable/reference/samplers/
    """

    name = "grid"
    optuna_name = "RandomSampler"  # it has nothing to draw: every value is given
    enumerates = True


@SAMPLERS.register
@final
@dataclass(frozen=True)
class CmaEs(Sampler):
    """Covariance matrix adaptation: a normal distribution over the numbers, moved and shaped by the
    better trials. It takes parameters that are numbers with an order and stand in every trial, and
    needs the package `cmaes`.

    Example: `sampler cmaes`
    Source: Hansen 2016, https://arxiv.org/abs/1604.00772
    """

    name = "cmaes"
    optuna_name = "CmaEsSampler"
    package = "cmaes"
    numeric = True

    @property
    def arguments(self) -> Mapping[str, Any]:
        """The arguments of its class besides the seed."""
        return {"warn_independent_sampling": False}


@SAMPLERS.register
@final
@dataclass(frozen=True)
class Nsga2(Sampler):
    """NSGA-II, an evolutionary search, for several goals.

    - `population`: trials of a generation.

    Example: `sampler nsga2(population=20)`
    Source: Deb et al. 2002, https://doi.org/10.1109/4235.996017
    """

    name = "nsga2"
    optuna_name = "NSGAIISampler"
    population: int = 50

    def check(self) -> None:
        """Refuses options that mean nothing."""
        if self.population < 2:
            refuse(self.name, "population", self.population, "2 or above")

    @property
    def arguments(self) -> Mapping[str, Any]:
        """The arguments of its class besides the seed."""
        return {"population_size": self.population}
