"""What ops are told of their operands and promise of their results: types, weights, limits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import inf
from typing import Any, Protocol, runtime_checkable

from numpy.typing import NDArray

from compiler.records import dataclass
from compiler.types.dims import Dim
from compiler.types.tensor import TensorType
from compiler.vocabulary.initializers import Initializer

Array = NDArray[Any]
Arrays = Sequence[Array | None]
"""A node's inputs as arrays: operands (None where an optional one is left out), then weights."""
Types = Sequence[TensorType | None]
"""Types of a node's inputs: operands (None where an optional one is left out), then weights."""
Results = Sequence[TensorType]
"""Types of a node's outputs."""


INIT = "init"
"""The argument that says how the weight of a layer starts; `bias_init` says it of the bias."""


def names_start(argument: str) -> bool:
    """Whether an argument of an op says how a weight of it starts."""
    return argument == INIT or argument.endswith(f"_{INIT}")


@dataclass(frozen=True)
class Weight:
    """A weight that an application of an op makes; its path is `<slot>.<name>`. `starts_by` is the
    argument of a call that says how it starts, where that is no other word for its name."""

    name: str
    type: TensorType
    initializer: Initializer
    trainable: bool = True
    starts_by: str = ""

    @property
    def start(self) -> str:
        """The argument of a call that says how it starts: `init` of a `weight`, `bias_init`."""
        if self.starts_by:
            return self.starts_by
        return INIT if self.name == "weight" else f"{self.name}_{INIT}"


class Assume(Protocol):
    """Records a promise that a type rule could not decide; raises `Fault` itself where it is
    certainly broken is the rule's business, not this one's."""

    def __call__(self, left: Dim, relation: str, right: Dim) -> None:
        """`relation` is "==" or "<="."""


@runtime_checkable
class Substitutable(Protocol):
    """A part of a field that holds dims: one index of a subscript, the body of a loop."""

    def substitute(self, sizes: Mapping[str, int | Dim]) -> object:
        """The same with symbols replaced."""


Limits = tuple[float, float]
"""The least and the greatest that an entry can be."""
UNLIMITED: Limits = (-inf, inf)
NOT_NEGATIVE: Limits = (0.0, inf)
NOT_POSITIVE: Limits = (-inf, 0.0)


def describe_limits(limits: Limits) -> str:
    """`0 or above`, as messages have it."""
    low, high = limits
    return f"{low:g} or above" if high == inf else f"from {low:g} to {high:g}"


def substitute_sizes(value: object, sizes: Mapping[str, int | Dim]) -> object:
    """A field of an op with symbols replaced; the same object where it has none of them."""
    if value is None or isinstance(value, (int, float, str)):
        return value  # nearly all are; whether one has the method takes long to find out
    if isinstance(value, Dim):
        return value.substitute(sizes) if value.symbols & sizes.keys() else value
    if isinstance(value, tuple):
        new = tuple(substitute_sizes(item, sizes) for item in value)
        return new if any(a is not b for a, b in zip(new, value, strict=True)) else value
    if isinstance(value, Substitutable):
        return value.substitute(sizes)
    return value
