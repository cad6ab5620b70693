"""Bases of the vocabulary of training: one class is signature, meaning and spelling."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar, Literal, Self

from numpy.typing import NDArray

from compiler.ir.target_range import TargetRange
from compiler.records import dataclass
from compiler.training.figure import Figure
from compiler.training.settings import require_positive
from compiler.types.tensor import TensorType
from compiler.vocabulary.duration import Duration
from compiler.vocabulary.ramps import Ramp
from compiler.vocabulary.signature import Described, Direction, Registry

Batches = Sequence[tuple[int, Sequence[NDArray[Any] | None]]]
"""The batches of a split: the rows of each, and the operands of a metric."""


@dataclass(frozen=True)
class BadFactor:
    """A factor of a schedule that is below 0 or not finite, and where: `step 7`, `epoch 2`, which
    count from 0."""

    factor: float
    place: str


class Schedule(Described):
    """Learning rate over time, as a factor of the optimizer's `lr`. None is made with settings
    that mean nothing."""

    def __post_init__(self) -> None:
        self.check()

    def check(self) -> None:
        """Refuses settings that mean nothing.

        Raises:
            Fault: which setting, and why.
        """

    @property
    def watches(self) -> Figure | None:
        """The figure that it follows beside the step; None where there is none."""
        return None

    may_fail: ClassVar[bool] = False
    """Whether a factor may be below 0 or not finite, which `find_fault` looks for."""

    def find_fault(self, epochs: int, steps_per_epoch: int | None) -> BadFactor | None:
        """The first factor that is no factor in a training of so many epochs, as far as that is
        certain where their length is not known."""
        return None

    @abstractmethod
    def multiplier(self, step: int, steps: int, steps_per_epoch: int) -> float:
        """The factor at a step (from 0) of a training of `steps` steps in all."""

    @abstractmethod
    def code(self, steps: str, steps_per_epoch: str) -> Sequence[str]:
        """Body lines of the generated `learning_rate(step) -> float`, equal to `multiplier`. They
        may use `math`; `steps` and `steps_per_epoch` are expressions."""


class Optimizer(Described):
    """An optimizer; its fields are its options, `schedule` among them, with PyTorch's names and
    defaults. None is made with settings that mean nothing."""

    torch_name: ClassVar[str]
    """Its class under `torch.optim`; of an optimizer that PyTorch lacks, the class that
    `definition` defines."""
    fused: ClassVar[bool] = False
    """Whether that class has a fused step, on the CPU too."""
    usual: ClassVar[tuple[float, float] | None] = None
    """The learning rates that are usual, from the lowest to the highest; None of one of which
    nobody knows."""
    rank: ClassVar[int | None] = None
    """The axes that a parameter must have; None where it may have any number."""
    evaluates: ClassVar[bool] = False
    """Whether a step evaluates the loss of its batch several times, of all parameters."""
    solves: ClassVar[bool] = False
    """Whether a step solves for the parameters over all rows, so that the loss must be a square of
    what is linear in them."""
    ridge: float = 0.0
    """The strength of the penalty on squares that comes with it."""
    lr: float
    schedule: Schedule

    def __post_init__(self) -> None:
        self.check()

    def check(self) -> None:
        """Refuses settings that mean nothing.

        Raises:
            Fault: which setting, and why.
        """

    @property
    def base(self) -> Optimizer:
        """The optimizer that takes the steps: itself, but of one that is around another."""
        return self

    @property
    def kind(self) -> Hashable:
        """What groups of parameters must have alike to be groups of one optimizer."""
        return type(self), self.definition

    def change(self, **settings: object) -> Self:
        """The optimizer with other settings; of one around another, that of the other."""
        return replace(self, **settings)  # type: ignore[type-var]  # every one is a dataclass

    @classmethod
    def order(cls) -> Sequence[str]:
        """The keyword arguments of its class behind `lr`, in order."""
        return [o.field for o in cls.options() if o.name not in ("lr", "schedule")]

    @property
    def definition(self) -> str:
        """The Python text of its class, a `torch.optim.Optimizer`, where PyTorch has none; it may
        use `torch` and `Tensor`. What its state holds by parameter are tensors."""
        return ""

    @property
    def constructor(self) -> str:
        """The class in the generated script."""
        return self.torch_name if self.definition else f"torch.optim.{self.torch_name}"

    @property
    def ramps(self) -> Mapping[str, Ramp]:
        """The settings that change with the steps, by the name that groups of parameters have."""
        given = ((name, getattr(self, name)) for name in self.order())
        return {name: value for name, value in given if isinstance(value, Ramp)}

    def begin(self, name: str) -> object:
        """A setting as it is at the first step."""
        value = getattr(self, name)
        return value.start if isinstance(value, Ramp) else value

    @property
    def arguments(self) -> tuple[tuple[str, object], ...]:
        """The keyword arguments of its class: `lr`, those that are no defaults, and `fused`; of
        what changes, its first number."""
        defaults = {option.field: option.default for option in self.options()}
        given = ((name, self.begin(name)) for name in self.order())
        kept = ((name, value) for name, value in given if value != defaults[name])
        fused = (("fused", True),) if self.fused and not self.definition else ()
        return (("lr", self.lr), *kept, *fused)


class Regularizer(Described):
    """What acts on weights beside the objective, by `regularize`. None is made with settings that
    mean nothing."""

    def __post_init__(self) -> None:
        self.check()

    @abstractmethod
    def check(self) -> None:
        """Refuses settings that mean nothing.

        Raises:
            Fault: which setting, and why.
        """

    is_square: ClassVar[bool] = False
    """Whether it adds squares of weights to the loss, and nothing else."""

    @property
    def axis(self) -> int | None:
        """The axis of a weight whose entries are groups; None where each number is for itself."""
        return None


class Penalty(Regularizer):
    """A term of the loss of a training step, added up over weights."""

    @property
    @abstractmethod
    def strengths(self) -> tuple[tuple[str, float], ...]:
        """How strong it is, by what a training script calls that."""

    @abstractmethod
    def measure(self, weight: NDArray[Any]) -> float:
        """Its value for one weight, in NumPy: the meaning of the generated code."""

    @abstractmethod
    def code(self, weight: str, strengths: Sequence[str]) -> str:
        """The value as an expression of a tensor and of the names of its strengths."""


class ProximalStep(Regularizer):
    """What happens to weights after every step of the optimizer."""

    function: ClassVar[str]
    """The function of a training script that it is."""
    constant: ClassVar[str]
    """What its strength is called there."""
    title: ClassVar[str]
    """What its strength is the strength of."""
    strength: float

    def check(self) -> None:
        require_positive(self.name, "strength", self.strength)

    @abstractmethod
    def shrink(self, parts: Sequence[NDArray[Any]], rate: float) -> Sequence[NDArray[Any]]:
        """The arrays of one layer after a step at a learning rate, in NumPy: the meaning of the
        generated code."""

    @classmethod
    @abstractmethod
    def code(cls, used: Sequence[Self]) -> Sequence[str]:
        """Lines of the function, for those that a script uses. Its parameters are the tensors of
        one layer, `parts`; strength times learning rate, `amount`; and `arguments`."""

    def arguments(self, used: Sequence[Self]) -> Sequence[str]:
        """What else the function is called with, in Python."""
        return ()


@dataclass(frozen=True)
class Table:
    """An array of sums of a split, by its name: its shape, and what a batch adds to it, as a Python
    expression."""

    name: str
    shape: tuple[int, ...]
    expression: str


@dataclass(frozen=True)
class Kept:
    """Numbers of every row of a split, by their name: as a Python expression over a batch, one
    number for each row, or `width` of them."""

    name: str
    expression: str
    width: int | None = None


@dataclass(frozen=True)
class MetricCode:
    """Generated lines of a metric.

    `sums` are (name, Python expression) over the names of the arguments, which are tensors of
    one batch; each gives a tensor without axes, or a number, to be added over the batches of a
    split. `rows` in such an expression is the number of rows of the batch. `result` combines the
    sums, as Python floats by name, and `rows`, which is now the number of rows of the split; it
    may use `math`. `steps` are values of a batch that sums read, in order, as (name, expression).

    `tables` are sums that are arrays. What no sums over batches give exactly reads the rows of the
    whole split: `kept` are numbers of every row. `finals` are values of tables and of what was
    kept, now of the whole split, in order; the last of these is read by `result`. That is a
    float, or lists of them where the metric has a chart.
    `functions` are the texts of functions that finals and sums call.
    """

    sums: tuple[tuple[str, str], ...]
    result: str
    steps: tuple[tuple[str, str], ...] = ()
    tables: tuple[Table, ...] = ()
    kept: tuple[Kept, ...] = ()
    finals: tuple[tuple[str, str], ...] = ()
    functions: tuple[str, ...] = ()


@dataclass(frozen=True)
class Chart:
    """How a figure of rows and columns is drawn: a matrix of numbers, or a curve through points,
    of which the first row has the places across and the second those up."""

    kind: Literal["matrix", "curve"]
    across: str
    """What its columns, or its places across, are."""
    up: str
    """What its rows, or its places up, are."""
    number: str
    """The metric that says as one number what it shows."""
    diagonal: str = ""
    """What a curve on the diagonal would mean; empty where that is nothing."""


Measured = float | NDArray[Any]
"""A figure: a number, NaN where none can be said; or, where a metric has a chart, rows and columns
of numbers, which are empty there."""


class Metric(Described):
    """A figure of a split. Accumulates sums over batches, so that batches do not change it. An
    optional operand that is left out is None among arguments."""

    better: ClassVar[Direction | None]
    """Which figure is better; every class says it. None: that depends on what is measured, and
    the spec says it, or nobody knows."""
    best: ClassVar[float | None] = None  # what a perfect net has; None where there is no limit
    counts_rows: ClassVar[bool] = False  # a share of labels, whose differences are in points
    of_logits: ClassVar[tuple[str, str] | None] = None
    """Why its first operand is logits and no probabilities, and the logits of probabilities `p`;
    None where it may be either."""
    chart: ClassVar[Chart | None] = None
    """How it is drawn, where it is no number: then it chooses nothing, is measured at the end, and
    is a picture in the report."""

    @abstractmethod
    def check(self, types: Sequence[TensorType]) -> None:
        """Refuses argument types that do not fit.

        Raises:
            Fault: what does not fit.
        """

    def check_weights(self, types: Sequence[TensorType | None]) -> None:
        """Refuses optional operands that do not fit, among the types of all operands.

        Raises:
            Fault: what does not fit.
        """

    def target_range(self, types: Sequence[TensorType]) -> TargetRange | None:
        """What the second operand may hold beyond its type; None where that is anything."""
        return None

    def resolve(self, types: Sequence[TensorType]) -> Metric:
        """The metric that is meant for arguments of these types (`accuracy` of two classes is
        `binary_accuracy`); what a checked train holds."""
        return self

    @abstractmethod
    def evaluate(self, *arrays: NDArray[Any] | None) -> Measured:
        """The figure of a whole split, in NumPy: the meaning of the generated code."""

    def combine(self, batches: Batches) -> float:
        """The figure of a split where an operand is one number for a batch: the mean of the
        batches' figures by their rows, in NumPy."""
        rows = sum(size for size, _ in batches)
        return sum(size * float(self.evaluate(*arrays)) for size, arrays in batches) / rows

    @abstractmethod
    def code(self, arguments: Sequence[str | None]) -> MetricCode:
        """The generated lines, for arguments of these names."""


OPTIMIZERS: Registry[Optimizer] = Registry("optimizer")
SCHEDULES: Registry[Schedule] = Registry("schedule")
METRICS: Registry[Metric] = Registry("metric")
REGULARIZERS: Registry[Regularizer] = Registry("regularizer")

__all__ = [
    "METRICS",
    "OPTIMIZERS",
    "REGULARIZERS",
    "SCHEDULES",
    "Chart",
    "Direction",
    "Duration",
    "Kept",
    "Measured",
    "Metric",
    "MetricCode",
    "Optimizer",
    "Penalty",
    "ProximalStep",
    "Regularizer",
    "Schedule",
    "Table",
]
