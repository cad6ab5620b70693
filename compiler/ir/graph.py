"""Values, nodes, frames and graphs: the flat SSA form between elaboration and the backends."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from enum import Enum
from functools import cached_property
from typing import TYPE_CHECKING

from compiler.ir.hint import Hint
from compiler.records import dataclass
from compiler.report.source import Span
from compiler.types.dims import Dim
from compiler.types.tensor import TensorType

if TYPE_CHECKING:
    from compiler.ops.base import Op
    from compiler.vocabulary.initializers import Initializer


class NoDefault(Enum):
    """Marks a parameter that has no default value."""

    NO_DEFAULT = "no default"


NO_DEFAULT = NoDefault.NO_DEFAULT


@dataclass(frozen=True)
class Value:
    """One tensor. `name` is unique in its graph: the user's name where there is one
    (`features`, then `features.2` when shadowed), the parameter's path, or `%12`."""

    name: str
    type: TensorType


@dataclass(frozen=True)
class Parameter:
    """A weight or buffer: its value is named by its path (`layer1.0.conv1.weight`)."""

    value: Value
    initializer: Initializer
    trainable: bool  # False for a buffer, which no optimizer touches
    origin: Span | None = None
    hints: tuple[tuple[str, Hint], ...] = ()
    """How its author wrote a size of its shape (`"2"` -> `width`) or a number of its initializer
    (`std` -> `1 / sqrt(width)`), in the owner's names."""

    @property
    def path(self) -> str:
        """Where it lives in checkpoints."""
        return self.value.name


@dataclass(frozen=True)
class Argument:
    """One compile-time argument of the call of a block: what it was, and how it was written.

    `hint` is in the caller's names; of a whole model, which nobody calls, it is the default that
    took effect, in the model's own. `dims` are the places, (formal, axis), of a name that the
    signature binds to a dimension: it is no constructor argument by itself. `untraced` are the
    places where the body uses it and no hint follows (loops, conditions, functions of numbers):
    generated code that took it as an argument and did not say there what the spec says would
    honour only part of it, so where it is constant it is then printed as literals.
    """

    name: str
    value: object
    hint: Hint | None = None
    default: object = NO_DEFAULT
    dims: tuple[tuple[str, int], ...] = ()
    untraced: tuple[Span, ...] = ()


@dataclass(frozen=True)
class TurnName:
    """A name that a loop binds: its value in one turn, and how the item of the list was
    written."""

    name: str
    value: object
    hint: Hint | None = None


@dataclass(frozen=True)
class Turn:
    """One turn of a compile-time loop: which loop, which turn, what its names are there, and
    what it goes through, in the names around it."""

    loop: Span | None
    number: int
    names: tuple[TurnName, ...] = ()
    over: Hint | None = None


@dataclass(frozen=True, eq=False)
class Frame:
    """One call of a block, model or net. Nodes point at it; nothing else holds it.

    Two calls of one net share `path` and differ in `call`. `tensors` maps the block's tensor
    parameters to value names at the call; `guard` is the compile-time `if` around the call, in
    the caller's names; `label` is how its path below the caller's was written, where that has
    names in it; `turns` are those of the caller's loops. Frames are compared by identity.
    """

    block: str
    path: str
    call: int
    parent: Frame | None = None
    arguments: tuple[Argument, ...] = ()
    tensors: tuple[tuple[str, str], ...] = ()
    guard: Hint | None = None
    doc: str = ""
    origin: Span | None = None
    label: Hint | None = None
    turns: tuple[Turn, ...] = ()

    @cached_property
    def chain(self) -> tuple[Frame, ...]:
        """This frame and all around it, outermost first."""
        frames = [self]
        while frames[-1].parent is not None:
            frames.append(frames[-1].parent)
        return tuple(reversed(frames))


@dataclass(frozen=True)
class Site:
    """Where a node comes from; a pass copies it whole from the node it replaces.

    `name` is the path of its parameters inside the frame (`downsample.0`), empty where it has
    none. `hints` maps a field of the op to the expression it came from, in the frame's names
    (`out` -> `2 * width`; an element of a tuple field is `kernel.0`). `guard` is the
    compile-time `if` around the node; `label` is how its name was written, where that has names
    in it; `turns` are those of the loops around it, outermost first.
    """

    span: Span | None = None
    name: str = ""
    hints: tuple[tuple[str, Hint], ...] = ()
    guard: Hint | None = None
    label: Hint | None = None
    turns: tuple[Turn, ...] = ()
    picks: tuple[tuple[str, Pick | None], ...] = ()
    listed: Listing | None = None

    @cached_property
    def hint(self) -> Mapping[str, Hint]:
        """The hints by field."""
        return dict(self.hints)


class Reading(Enum):
    """How a tensor is read off a list."""

    ITEM = "item"  # one of them: `index` of its site is how its place was written
    SUM = "sum"  # all of them added up
    LOST = "some"  # in a way that nobody wrote down


@dataclass(frozen=True, eq=False)
class Listed:
    """An item of a list of tensors: its value, and how it was read off another list."""

    value: str
    pick: Pick | None = None


@dataclass(frozen=True, eq=False)
class Listing:
    """A list of tensors as a body makes it: its items, and lists that it goes on from.

    `scope` and `origin` are the call and the turns of its loops that make it; the name of the
    origin is what the author calls it. No node reads a list: what is read off it is a `Pick`.
    """

    parts: tuple[Listed | Listing, ...]
    scope: Frame
    origin: Site

    @property
    def grows(self) -> bool:
        """Whether it goes on from a list that another turn, or another call, has made."""
        return any(isinstance(part, Listing) for part in self.parts)

    def is_here(self, scope: Frame | None, turns: tuple[Turn, ...]) -> bool:
        """Whether it was written out in the same turns of a call."""
        return not self.grows and self.scope is scope and self.origin.turns == turns


@dataclass(frozen=True, eq=False)
class Pick:
    """What a body reads off a list of tensors, and the value that this is; the name of the origin
    is what the author calls it."""

    reading: Reading
    source: Listing
    value: str
    scope: Frame
    origin: Site
    place: int = 0

    @property
    def index(self) -> Hint | None:
        """How the place of the item was written."""
        return self.origin.hint.get("index")


@dataclass(frozen=True)
class Node:
    """One application of a primitive op. Inputs are the op's operands in order (left-out
    optional ones are None) and then its weights."""

    op: Op
    inputs: tuple[Value | None, ...]
    outputs: tuple[Value, ...]
    scope: Frame
    origin: Site

    @property
    def output(self) -> Value:
        """The only output."""
        (value,) = self.outputs
        return value


@dataclass(frozen=True)
class Condition:
    """A promise that could not be decided when compiling: `left == right` (or `left <= right`),
    to be checked at run time."""

    left: Dim
    relation: str  # "==" or "<="
    right: Dim
    origin: Span | None = None


@dataclass(frozen=True)
class Input:
    """An input of a graph: its value and its documentation."""

    value: Value
    doc: str = ""
    origin: Span | None = None
    hints: tuple[tuple[str, Hint], ...] = ()
    """How its author wrote a known size of its shape (`"2"` -> `size`)."""

    @property
    def name(self) -> str:
        """The name a caller gives it by."""
        return self.value.name


@dataclass(frozen=True)
class Output:
    """An output: the name a caller knows it by, and its value; `pick` says how that was read
    off a list."""

    name: str
    value: Value
    doc: str = ""
    origin: Span | None = None
    pick: Pick | None = None


@dataclass(frozen=True)
class Alias:
    """What a frame calls a value that a call inside it made: `skip = x -> block` binds a value
    that the block's own author named otherwise. For readers of generated code only."""

    frame: Frame
    value: str
    name: str


@dataclass(frozen=True)
class Decision:
    """How a compile-time `if` came out in a call of a block, and how its condition was written;
    of a loop, how what it goes through was written, where code cannot say that."""

    frame: Frame
    place: Span
    outcome: bool
    hint: Hint | None = None


@dataclass(frozen=True)
class Assertion:
    """An `assert` on the arguments of a call of a block, which held: how its condition was
    written, and what it says where that is false (empty: nothing)."""

    frame: Frame
    place: Span
    hint: Hint
    text: str = ""


@dataclass(frozen=True)
class Graph:
    """A network: flat, ordered, immutable. `frame` is the root frame (the model's own call)."""

    name: str
    inputs: tuple[Input, ...]
    outputs: tuple[Output, ...]
    parameters: tuple[Parameter, ...]
    nodes: tuple[Node, ...]
    frame: Frame
    conditions: tuple[Condition, ...] = ()
    doc: str = ""
    constants: Mapping[str, object] = field(default_factory=dict)
    """Weights whose numbers a pass computed (`numpy.ndarray` by parameter path)."""
    aliases: tuple[Alias, ...] = ()
    decisions: tuple[Decision, ...] = ()
    assertions: tuple[Assertion, ...] = ()

    @cached_property
    def producers(self) -> Mapping[str, Node]:
        """The node that makes each value, by the value's name."""
        return {value.name: node for node in self.nodes for value in node.outputs}

    @cached_property
    def users(self) -> Mapping[str, tuple[Node, ...]]:
        """The nodes that read each value, by the value's name, in order."""
        users: dict[str, list[Node]] = {}
        for node in self.nodes:
            for name in dict.fromkeys(v.name for v in node.inputs if v is not None):
                users.setdefault(name, []).append(node)
        return {name: tuple(nodes) for name, nodes in users.items()}

    @cached_property
    def parameter(self) -> Mapping[str, Parameter]:
        """Parameters by path."""
        return {p.path: p for p in self.parameters}

    @cached_property
    def symbols(self) -> tuple[str, ...]:
        """Symbolic dimensions of the inputs, in order of appearance."""
        names: dict[str, None] = {}
        for item in self.inputs:
            for dim in item.value.type.shape:
                names.update(dict.fromkeys(sorted(dim.symbols)))
        return tuple(names)
