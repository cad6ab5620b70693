"""What an expression can be while compiling: known numbers, lists, tensors, records, layers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import field
from enum import Enum
from functools import cached_property
from typing import Protocol

from compiler.elaborate.values.territory import Territory
from compiler.ir.builder import Builder
from compiler.ir.frame import Frame, Listing, Pick
from compiler.ir.graph import Op, Value
from compiler.ir.hint import Hint, HintConst
from compiler.program.net import AddAdapters, LoadWeights, TakeAverage
from compiler.records import dataclass
from compiler.report.diagnostics import Message
from compiler.report.source import Span
from compiler.text.tree.syntax import Item, Model
from compiler.types.dims import Dim
from compiler.types.tensor import DType, TensorType
from compiler.vocabulary.initializers import Initializer

MAX_ITEMS = 1_000_000
"""Items of the longest range that is written out as a list."""


class Scope(Protocol):
    """The file that a block is written in, as far as values know it: `scope_of` tells more."""

    def names(self) -> Iterator[str]:
        """Every name that can be used there."""


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
class SymbolicCondition:
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


@dataclass(frozen=True)
class InitialValue:
    """`kaiming_normal(nonlinearity="relu")` as an argument: how weights start, and how its fields
    were written."""

    initializer: Initializer
    hints: tuple[tuple[str, Hint], ...] = ()


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
    """Several results, by name or in order; a tuple `(a, b)` has empty names. `called` is what
    messages call it, if it is not the result of a call."""

    items: tuple[tuple[str, Val], ...]
    called: str = ""

    @property
    def values(self) -> tuple[Val, ...]:
        """The items in order."""
        return tuple(value for _, value in self.items)


@dataclass(frozen=True)
class ArgumentValue:
    """An argument: its value and where it stands."""

    value: Val
    span: Span


# --- graphs ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class CellTexts:
    """What texts mean that are compared with a raw column: words, the codes of its categories, or
    dates, which have an order. `read` gives the number that stands for a text; None where no cell
    can hold it."""

    column: str
    read: Callable[[str], int | None]
    words: tuple[str, ...] = ()

    @property
    def ordered(self) -> bool:
        """Whether there are smaller and larger ones."""
        return not self.words


@dataclass(eq=False)
class GraphState:
    """A graph that is being built; the body of a `scan` is one inside another.

    `captured` are the tensors of the graph around it that the body reads, by the name of their
    value outside. `nets` places each net of file level that is used here, `loads` is what the
    nets load. `lets` holds tensors that file-level `let`s made here. `makers` are the names of
    the ops that made each value. `faults` is how many errors there were before it, `abandoned`
    says that its elaboration was given up. `of_rows` says that it computes columns of data, row
    by row, and `texts` what texts mean beside raw columns, by name. `stages` are the frames, and
    names in them, under which weights were made. `territory` says whose weights lie where.
    """

    builder: Builder
    outer: GraphState | None = None
    captured: dict[str, tuple[Tensor, Value]] = field(default_factory=dict)
    nets: dict[int, NetValue] = field(default_factory=dict)
    lets: dict[tuple[Scope, str], Val] = field(default_factory=dict)
    calls: int = 0
    loads: list[LoadWeights | AddAdapters] = field(default_factory=list)
    faults: int = 0
    abandoned: bool = False
    of_rows: bool = False
    texts: dict[str, CellTexts] = field(default_factory=dict)
    makers: dict[str, str] = field(default_factory=dict)
    territory: Territory = field(default_factory=Territory)
    stages: dict[str, tuple[Frame, str]] = field(default_factory=dict)
    replays: dict[object, object] = field(default_factory=dict)
    """What calls of blocks have made, by what they were given."""
    touched: list[set[str]] = field(default_factory=lambda: [set()])
    """The paths of weights that are made or found: in both modes, then in the version that is
    being elaborated, in the version around whose `if` it stands, and so on."""
    single: list[tuple[str, Message]] = field(default_factory=list)
    """Weights that one version of an `if training` has, and what is wrong with that if nothing
    else reads them."""

    @property
    def root(self) -> GraphState:
        """The outermost graph: where parameters are declared."""
        return self if self.outer is None else self.outer.root

    @property
    def frame(self) -> Frame:
        """The frame that the outermost graph's nodes stand under."""
        return self.root.builder.frame

    def count_call(self) -> int:
        """A fresh number for a frame."""
        self.root.calls += 1
        return self.root.calls

    def value_of(self, tensor: Tensor) -> Value:
        """The tensor as a value of this graph; a tensor of a graph around it is captured."""
        if tensor.home is self:
            return tensor.value
        known = self.captured.get(tensor.value.name)
        if known is not None:
            return known[1]
        assert self.outer is not None, f"{tensor.value.name} belongs to another graph"
        outside = self.outer.value_of(tensor)
        inside = self.builder.input(outside.name, outside.type)
        self.captured[tensor.value.name] = (tensor, inside)
        return inside


# --- layers -----------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class OpLayer:
    """A primitive op, with the arguments given so far. `frame` is where they were written: what
    their hints are named after."""

    op: type[Op]
    given: Mapping[str, ArgumentValue]
    span: Span
    frame: Frame | None = None


@dataclass(frozen=True, eq=False)
class BlockLayer:
    """A block or a model, with the arguments given so far. `frame` is where they were written."""

    item: Item
    file: Scope
    given: Mapping[str, ArgumentValue]
    span: Span
    frame: Frame | None = None

    @property
    def kind(self) -> str:
        """The word that declares it."""
        return "model" if isinstance(self.item, Model) else "block"


def _count(number: int) -> str:
    return "one argument" if number == 1 else f"{number} arguments"


@dataclass(frozen=True)
class Function:
    """A function on known values. `least` and `most` bound the number of arguments; `elementwise`
    ones share their name with an op and stand back where a tensor is among the arguments."""

    name: str
    least: int
    most: int | None
    summary: str
    call: Callable[[Sequence[Val]], Val]

    @property
    def expects(self) -> str:
        """The number of arguments, in words."""
        if self.most is None:
            return f"at least {_count(self.least)}"
        if self.least == self.most:
            return _count(self.least)
        return f"{self.least} to {_count(self.most)}"


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
    order, and what is added to it; `layer -> ema(decay=0.999)`, which follows it."""

    layer: Layer
    loads: tuple[LoadWeights | AddAdapters | TakeAverage, ...]
    span: Span


@dataclass(frozen=True, eq=False)
class LoadFunction:
    """`load("file")` or `lora(rank=8)` before it is applied to a net."""

    load: LoadWeights | AddAdapters | TakeAverage
    span: Span

    @property
    def name(self) -> str:
        """The word that was called."""
        match self.load:
            case AddAdapters(lora):
                return lora.name
            case TakeAverage(ema):
                return ema.name
        return "load"


@dataclass(eq=False)
class NetValue:
    """What `net e = …` declares: one set of weights for every use.

    `path` is where the weights live in the graph of `home`; `home` is None for a net at file
    level, which gets a place in each graph that uses it. `frame` is the frame that declares it.
    `made` says whether its weights exist: after its first use, or inside a later use of a net
    around it. `nets` are the nets that its body declares, known after its first use. `average`
    says that it follows `source`, another net of a train. `called` is what the train calls it
    whose only net it is.
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
    average: TakeAverage | None = None
    source: NetValue | None = None
    called: str = ""


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

    file: Scope
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
    | SymbolicCondition
    | ListValue
    | Rest
    | Range
    | DTypeValue
    | InitialValue
    | Tensor
    | Record
    | Layer
    | Namespace
    | ItemValue
    | Refused
)
"""Whatever an expression can be."""

NONE = Known(None, HintConst(None))
