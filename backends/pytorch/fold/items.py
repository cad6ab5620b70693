"""One call of a block as a list of items: statements of its class before instances are merged."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import NamedTuple

from backends.pytorch.fold.index import Index
from backends.pytorch.terms.terms import Part, skeleton
from compiler.ir.frame import Frame
from compiler.ir.graph import Node, Op
from compiler.ir.hint import Hint
from compiler.ir.traits import Traits
from compiler.ops.scan import Scan
from compiler.types.tensor import TensorType


class FromFormal(NamedTuple):
    """A value that comes in from outside."""

    formal: int


class FromItem(NamedTuple):
    """An output of an item."""

    item: int
    output: int


class FromOwn(NamedTuple):
    """A parameter below the frame."""

    path: str


Ref = FromFormal | FromItem | FromOwn


@dataclass(eq=False)
class Item:
    """A module that is made and called, an expression, or a declaration (without outputs).

    `slot` is the path of the module below the frame, "" for an expression. Operands of the
    expression index `reads`, names of values. `guards` are the conditions that parts of it stand
    under, where it is a chain. `starts` are statements that draw its weights.
    `module` is how an expression is written inside `nn.Sequential`. `scan` is the loop that it
    opens or closes. `nodes` are what it stands for, where that is known. `general` is a longer
    expression that more instances may share. `ignored` is what a call gives for arguments that
    the class does not have, though it depends on them.
    """

    slot: str
    constructor: Part | None
    expression: Part | None
    reads: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    guard: Hint | None = None
    module: Part | None = None
    starts: tuple[Part, ...] = ()
    op: str = ""
    scan: Scan | None = None
    nodes: tuple[Node, ...] = ()
    general: Part | None = None
    ignored: tuple[Hint, ...] = ()
    guards: tuple[Hint, ...] = ()
    refs: list[Ref] = field(default_factory=list)

    @property
    def primitive(self) -> Op | None:
        """The op of which it is one application."""
        match self.nodes:
            case [Node(op=op)] if op.name == self.op:
                return op
        return None

    @property
    def traits(self) -> type[Traits]:
        """What its op says of itself; nothing, where it is no application of one."""
        return Traits if self.primitive is None else type(self.primitive)


@dataclass(eq=False)
class Body:
    """All items of one call, in order, with the values that come in and go out."""

    index: Index
    frame: Frame
    items: list[Item]
    formals: list[str]
    results: list[str]
    outputs: list[Ref] = field(default_factory=list)

    @property
    def is_root(self) -> bool:
        """Whether it is a whole graph."""
        return self.frame is self.index.root

    def type_of(self, name: str) -> TensorType:
        """The type of a value."""
        return self.index.types[name]

    def generalize(self) -> Body:
        """The same body with longer expressions that more instances may share."""
        items = [
            item
            if item.general is None
            else replace(item, expression=item.general, module=None, general=None)
            for item in self.items
        ]
        return replace(self, items=items)

    def structure(self) -> object:
        """What two bodies share that differ in literals only."""
        items = tuple(_structure(item) for item in self.items)
        return items, tuple(self.outputs), len(self.formals)


def _structure(item: Item) -> object:
    trees = (item.constructor, item.expression, *item.starts)
    return item.slot, tuple(map(skeleton, trees)), tuple(item.refs), len(item.outputs)
