"""Syntax tree: frozen nodes that say what was written and where, and nothing about its meaning."""

from __future__ import annotations

from dataclasses import field

from compiler.records import dataclass
from compiler.report.source import Source, Span
from compiler.text.tree.expressions import (
    Argument,
    Attribute,
    Binary,
    Bool,
    Call,
    Comprehension,
    Conditional,
    Expr,
    Generator,
    Group,
    ListExpr,
    Name,
    Named,
    Node,
    NoneLiteral,
    Number,
    Rest,
    Slice,
    StageLabel,
    String,
    Subscript,
    Then,
    TupleExpr,
    Unary,
)

__all__ = [
    "Argument",
    "Attribute",
    "Binary",
    "Binding",
    "Block",
    "Bool",
    "Call",
    "Choice",
    "Clause",
    "Comprehension",
    "Conditional",
    "Data",
    "Declare",
    "Deploy",
    "Expr",
    "File",
    "For",
    "Generator",
    "Group",
    "If",
    "Item",
    "Let",
    "ListExpr",
    "Model",
    "Name",
    "Named",
    "Node",
    "NoneLiteral",
    "Number",
    "Operand",
    "Parameter",
    "Reference",
    "Rest",
    "Return",
    "Scan",
    "ScanOver",
    "Slice",
    "StageLabel",
    "Statement",
    "String",
    "Subscript",
    "Sweep",
    "Tail",
    "Then",
    "TopLevel",
    "Train",
    "TupleExpr",
    "TypeExpr",
    "Unary",
    "Unpack",
    "Use",
    "Variant",
]


# --- types ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class TypeExpr(Node):
    """`int`, `f32[batch, 3, h, w]`, `f32[..., d]`; `dims` is None without brackets."""

    name: Name
    dims: tuple[Expr, ...] | None


# --- statements -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Binding(Node):
    """`name: type = value`."""

    name: Name
    type: TypeExpr | None
    value: Expr
    doc: str = ""


@dataclass(frozen=True)
class Unpack(Node):
    """`a, b = value`."""

    names: tuple[Name, ...]
    value: Expr


@dataclass(frozen=True)
class Declare(Node):
    """`name: type = value` as an operand: `input image: f32[…]`, `param p: f32[d] = zeros`."""

    name: Name
    type: TypeExpr
    value: Expr | None


@dataclass(frozen=True)
class Operand(Node):
    """One operand of a clause: positional (`name` None), keyword, or a declaration."""

    name: Name | None
    value: Expr | Declare


@dataclass(frozen=True)
class Tail(Node):
    """`with operands` or `over operands` after a clause's own operands."""

    word: str
    operands: tuple[Operand, ...]


@dataclass(frozen=True)
class Clause(Node):
    """`word operands tail* body`: a statement whose first word is not followed by `=`."""

    word: Name
    operands: tuple[Operand, ...]
    tails: tuple[Tail, ...]
    body: tuple[Statement, ...] | None
    doc: str = ""


@dataclass(frozen=True)
class Choice(Node):
    """`width in [8, 16]` of a sweep."""

    name: Name
    values: Expr


@dataclass(frozen=True)
class If(Node):
    """`if condition { … } else { … }`; `else if` nests an If in `otherwise`."""

    condition: Expr
    then: tuple[Statement, ...]
    otherwise: tuple[Statement, ...] | None


@dataclass(frozen=True)
class For(Node):
    """`for a, b in list { … }`, at compile time."""

    names: tuple[Name, ...]
    iterable: Expr
    body: tuple[Statement, ...]


@dataclass(frozen=True)
class ScanOver(Node):
    """`x_t in x` of a scan."""

    name: Name
    sequence: Expr


@dataclass(frozen=True)
class Scan(Node):
    """`scan x_t in x, axis=1 { … }`, the run-time loop."""

    over: tuple[ScanOver, ...]
    options: tuple[Argument, ...]
    body: tuple[Statement, ...]


@dataclass(frozen=True)
class Return(Node):
    """`return a` or `return a, last=h`."""

    operands: tuple[Operand, ...]


Statement = Binding | Unpack | Clause | Choice | If | For | Scan | Return


# --- items ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Parameter(Node):
    """`name: type = default` in a signature; an untyped parameter without default is a tensor."""

    name: Name
    type: TypeExpr | None
    default: Expr | None
    doc: str = ""


@dataclass(frozen=True)
class Reference(Node):
    """`gan.G`, `DigitNet(width=8)`: a path, and arguments where it is called. The last `inside` of
    its names stand behind the arguments: `vae(beta=2).decoder`."""

    path: tuple[Name, ...]
    arguments: tuple[Argument, ...] | None
    inside: int = 0


@dataclass(frozen=True)
class Use(Node):
    """`use std.vision as v` (`path`) or `use "other.weft"` (`file`)."""

    path: tuple[Name, ...]
    file: String | None
    alias: Name | None


@dataclass(frozen=True)
class Let(Node):
    """`let name = value` at file level."""

    binding: Binding


@dataclass(frozen=True)
class Item(Node):
    """What all items with a body share; `doc` is the text of the `##` lines before it."""

    name: Name
    parameters: tuple[Parameter, ...]
    body: tuple[Statement, ...]
    doc: str


@dataclass(frozen=True)
class Block(Item):
    """`block name(parameters) { … }`."""


@dataclass(frozen=True)
class Model(Item):
    """`model Name(parameters) { input …  output … }`."""


@dataclass(frozen=True)
class Data(Item):
    """`data name { source … split … }`."""


@dataclass(frozen=True)
class Train(Item):
    """`train name(parameters) of Model on data { … }`."""

    of: Reference | None
    on: tuple[Reference, ...]


@dataclass(frozen=True)
class Variant(Item):
    """`variant name of train { apply … require … }`."""

    of: Reference


@dataclass(frozen=True)
class Sweep(Item):
    """`sweep name of train { lr in … }`."""

    of: Reference


@dataclass(frozen=True)
class Deploy(Node):
    """`deploy subject as target { … }`."""

    subject: Reference
    target: Reference
    body: tuple[Statement, ...]
    doc: str


TopLevel = Use | Let | Block | Model | Data | Train | Variant | Sweep | Deploy | Clause


@dataclass(frozen=True)
class File:
    """A parsed file."""

    source: Source = field(compare=False)
    items: tuple[TopLevel, ...]
    faulty: tuple[Span, ...] = field(default=(), compare=False)
    """Where mistakes were found, and stretches of text that are not in the tree because of them."""
    directives: tuple[Span, ...] = field(default=(), compare=False)
    """Comments that say something to Weft: `# weft: …`."""
