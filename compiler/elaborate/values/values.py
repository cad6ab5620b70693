"""What an expression can be while compiling: known numbers, lists, tensors, records, layers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import field
from enum import Enum
from functools import cached_property
from typing import TYPE_CHECKING

from compiler.ir.graph import Frame, Listing, Pick, Value
from compiler.ir.hint import Hint, HintConst
from compiler.ops.base import Op
from compiler.program import AddAdapters, LoadWeights
from compiler.records import dataclass
from compiler.report.diagnostics import Message
from compiler.report.source import Span
from compiler.text.tree.syntax import Item, Model
from compiler.types.dims import Dim
from compiler.types.tensor import DType, TensorType

if TYPE_CHECKING:
    from compiler.elaborate.scopes.files import FileScope
    from compiler.elaborate.scopes.graphs import GraphState
    from compiler.elaborate.values.functions import Function

MAX_ITEMS = 1_000_000
"""Items of the longest range that is written out as a list."""


class Poison(Enum):
    """Stands for the value of something that was refused; silences what follows from it."""

    POISON = "poison"


POISON = Poison.POISON


@dataclass(frozen=True)
class Known:
    """A compile-time scalar and how it was written, in the names of the block around it.

    `unit` is the unit of a literal that has one (`3epochs`, `5%`); arithmetic drops it.
    """

    value: int | float | bool | str | Dim | None
    hint: Hint | None = None
    unit: str | None = None

    @property
    def is_number(self) -> bool:
        """Whether it is an int, a float or a dim (a bool is none)."""
        return isinstance(self.value, int | float | Dim) and not isinstance(self.value, bool)


@dataclass(frozen=True)
class Undecided:
    """A comparison of sizes that only a run decides: all of these hold."""

    relations: tuple[tuple[Dim, str, Dim], ...]
    text: str


class Several(ABC):
    """A value of values."""

    @property
    @abstractmethod
    def values(self) -> tuple[Val, ...]:
        """The values in order."""

    @cached_property
    def size(self) -> int:
        """How many values there are in it, and in those."""
        inner = sum([v.size for v in self.values if isinstance(v, Several)])
        return len(self.values) + inner

    @cached_property
    def depth(self) -> int:
        """How deeply they stand inside one another."""
        return 1 + max([v.depth for v in self.values if isinstance(v, Several)], default=0)


@dataclass(frozen=True)
class ListValue(Several):
    """`[a, b]`; `spans` are the places of its items where it is written out, `hint` is how it
    was written, where that is known, `source` how a list of tensors was made."""

    items: tuple[Val, ...]
    spans: tuple[Span, ...] = ()
    hint: Hint | None = None
    source: Listing | None = None

    @property
    def values(self) -> tuple[Val, ...]:
        """The items."""
        return self.items

    def span_of(self, index: int, default: Span) -> Span:
        """The place of an item; `default` where it is not known."""
        return self.spans[index] if index < len(self.spans) else default


@dataclass(frozen=True)
class Rest:
    """`...` inside a list: the dims that are not named."""


@dataclass(frozen=True)
class Range:
    """`a..b`: whole numbers from `start` up to and without `stop`; backwards when reversed."""

    start: int | Dim
    stop: int | Dim
    step: int = 1
    backwards: bool = False
    hint: Hint | None = None

    @property
    def values(self) -> range | None:
        """The numbers, where both ends are known."""
        if isinstance(self.start, Dim) or isinstance(self.stop, Dim):
            return None
        numbers = range(self.start, self.stop, self.step)
        return numbers[::-1] if self.backwards else numbers

    @property
    def length(self) -> int | Dim:
        """How many numbers there are (for a symbolic end: if the range is not empty)."""
        count = (self.stop - self.start + self.step - (1 if self.step > 0 else -1)) // self.step
        return max(count, 0) if isinstance(count, int) else count


@dataclass(frozen=True)
class DTypeValue:
    """`f32` as an argument."""

    dtype: DType


@dataclass(frozen=True, eq=False)
class Tensor:
    """A run-time value. `made` is where, for messages; `result` the name it has as the only
    result of a call (`encoder(x).mu`); `picked` says how it was read off a list."""

    value: Value
    home: GraphState
    made: Span
    result: str = ""
    picked: Pick | None = None

    @property
    def type(self) -> TensorType:
        """Its element type and shape."""
        return self.value.type


@dataclass(frozen=True)
class Record(Several):
    """Several results, by name or in order; a tuple `(a, b)` has empty names."""

    items: tuple[tuple[str, Val], ...]

    @property
    def values(self) -> tuple[Val, ...]:
        """The items in order."""
        return tuple(value for _, value in self.items)


@dataclass(frozen=True)
class Given:
    """An argument: its value and where it stands."""

    value: Val
    span: Span


# --- layers -----------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class OpLayer:
    """A primitive op, with the arguments given so far. `frame` is where they were written: what
    their hints are named after."""

    op: type[Op]
    given: Mapping[str, Given]
    span: Span
    frame: Frame | None = None


@dataclass(frozen=True, eq=False)
class BlockLayer:
    """A block or a model, with the arguments given so far. `frame` is where they were written."""

    item: Item
    file: FileScope
    given: Mapping[str, Given]
    span: Span
    frame: Frame | None = None

    @property
    def kind(self) -> str:
        """The word that declares it."""
        return "model" if isinstance(self.item, Model) else "block"


@dataclass(frozen=True, eq=False)
class FunctionLayer:
    """A function on compile-time values, such as `len`."""

    function: Function
    span: Span


@dataclass(frozen=True, eq=False)
class Compose(Several):
    """`f -> g`: applied in order."""

    stages: tuple[Layer, ...]
    span: Span

    @property
    def values(self) -> tuple[Val, ...]:
        """The layers."""
        return self.stages


@dataclass(frozen=True, eq=False)
class Repeat(Several):
    """`n * layer`: independent copies in sequence; `hint` is how n was written."""

    count: int
    layer: Layer
    span: Span
    hint: Hint | None = None

    @property
    def values(self) -> tuple[Val, ...]:
        """What is copied."""
        return (self.layer,)


@dataclass(frozen=True, eq=False)
class Labelled(Several):
    """`layer as label`."""

    layer: Layer
    label: str
    span: Span
    hint: Hint | None = None

    @property
    def values(self) -> tuple[Val, ...]:
        """What is labelled."""
        return (self.layer,)


@dataclass(frozen=True, eq=False)
class Loaded:
    """`layer -> load("file") -> lora(rank=8)`: a net whose weights come from files, in that
    order, and what is added to it."""

    layer: Layer
    loads: tuple[LoadWeights | AddAdapters, ...]
    span: Span


@dataclass(frozen=True, eq=False)
class LoadFunction:
    """`load("file")` or `lora(rank=8)` before it is applied to a net."""

    load: LoadWeights | AddAdapters
    span: Span

    @property
    def name(self) -> str:
        """The word that was called."""
        return self.load.lora.name if isinstance(self.load, AddAdapters) else "load"


@dataclass(eq=False)
class NetValue:
    """What `net e = …` declares: one set of weights for every use.

    `path` is where the weights live in the graph of `home`; `home` is None for a net at file
    level, which gets a place in each graph that uses it. `frame` is the frame that declares it.
    `made` says whether its weights exist: after its first use, or inside a later use of a net
    around it. `nets` are the nets that its body declares, known after its first use.
    """

    name: str
    layer: Layer
    path: str
    home: GraphState | None
    frame: Frame | None
    span: Span
    loads: tuple[LoadWeights | AddAdapters, ...] = ()
    made: bool = False
    nets: dict[str, Val] = field(default_factory=dict)


Layer = (
    OpLayer
    | BlockLayer
    | FunctionLayer
    | Compose
    | Repeat
    | Labelled
    | Loaded
    | LoadFunction
    | NetValue
)


@dataclass(frozen=True, eq=False)
class Namespace:
    """`t` of `use std.transformer as t`."""

    file: FileScope
    name: str


@dataclass(frozen=True, eq=False)
class ItemValue:
    """An item that is no value by itself: a data set, a train, a variant, a sweep."""

    kind: str
    name: str
    span: Span


@dataclass(frozen=True, eq=False)
class Refused:
    """A name that is known and may not be used: why, in a message that still lacks its place."""

    message: Message


Val = (
    Poison
    | Known
    | Undecided
    | ListValue
    | Rest
    | Range
    | DTypeValue
    | Tensor
    | Record
    | Layer
    | Namespace
    | ItemValue
    | Refused
)
"""Whatever an expression can be."""

NONE = Known(None, HintConst(None))


def is_none(value: Val) -> bool:
    """Whether it is `none`."""
    return isinstance(value, Known) and value.value is None


def is_layer(value: Val) -> bool:
    """Whether it can be applied with `->` or called."""
    return isinstance(
        value,
        OpLayer
        | BlockLayer
        | FunctionLayer
        | Compose
        | Repeat
        | Labelled
        | Loaded
        | LoadFunction
        | NetValue,
    )


def strip_hints(value: Val) -> Val:
    """The value without what its parts looked like: for lists that enter another block."""
    match value:
        case Known(scalar, _, unit):
            return Known(scalar, None, unit)
        case ListValue(items):
            return ListValue(tuple(map(strip_hints, items)))
    return value


def plain_items(value: Val) -> Sequence[Val] | None:
    """The items of something that can be gone through when compiling."""
    match value:
        case ListValue(items):
            return items
        case Record():
            return value.values
        case Range():
            numbers, length = value.values, value.length
            if numbers is not None and isinstance(length, int) and length <= MAX_ITEMS:
                return tuple(Known(number, HintConst(number)) for number in numbers)
    return None


def find_hint(value: Val) -> Hint | None:
    """How a number or a list was written, where that is known."""
    return value.hint if isinstance(value, Known | ListValue | Range) else None
