"""Bases of optimizers, schedules and metrics: one class is signature, meaning and spelling."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from numpy.typing import NDArray

from compiler.signature import Described, Registry


class Schedule(Described):
    """Learning rate over time, as a factor of the optimizer's `lr`."""

    @abstractmethod
    def factor(self, step: int, steps: int, steps_per_epoch: int) -> float:
        """The factor at a step (from 0) of a training of `steps` steps in all."""

    @abstractmethod
    def code(self, steps: str, steps_per_epoch: str) -> Sequence[str]:
        """Body lines of the generated `learning_rate(step) -> float`, equal to `factor`."""


class Optimizer(Described):
    """An optimizer; its fields are its options, `schedule` among them."""

    @abstractmethod
    def torch(self) -> tuple[str, tuple[tuple[str, object], ...]]:
        """The class under `torch.optim` and its keyword arguments that differ from PyTorch's."""


@dataclass(frozen=True)
class MetricCode:
    """Generated lines of a metric: each is a Python expression over the names of its arguments
    (tensors of one batch). `sums` are added over the batches of a split, `result` combines the
    sums (by name) and `rows` (the number of rows) into a float."""

    sums: tuple[tuple[str, str], ...]
    result: str


class Metric(Described):
    """A figure of a split. Accumulates sums over batches, so that batches do not change it."""

    higher_is_better: ClassVar[bool] = True

    @abstractmethod
    def check(self, types: Sequence[Any]) -> None:
        """Refuses argument types that do not fit.

        Raises:
            Fault: what does not fit.
        """

    @abstractmethod
    def evaluate(self, *arrays: NDArray[Any]) -> float:
        """The figure of a whole split, in NumPy: the meaning of the generated code."""

    @abstractmethod
    def code(self, arguments: Sequence[str]) -> MetricCode:
        """The generated lines, for arguments of these names."""


OPTIMIZERS: Registry[Optimizer] = Registry("optimizer")
SCHEDULES: Registry[Schedule] = Registry("schedule")
METRICS: Registry[Metric] = Registry("metric")

__all__ = [
    "METRICS",
    "OPTIMIZERS",
    "SCHEDULES",
    "Metric",
    "MetricCode",
    "Optimizer",
    "Schedule",
]
