"""Syntax tree: frozen nodes that say what was written and where, and nothing about its meaning."""

from __future__ import annotations

from dataclasses import dataclass, field

from compiler.source import Source, Span


@dataclass(frozen=True)
class Node:
    """Anything that stands in the text. Two nodes are equal when they say the same elsewhere."""

    span: Span = field(compare=False, repr=False)


# --- expressions ------------------------------------------------------------------------------


@dataclass(frozen=True)
class Name(Node):
    """A word; `text` is without backquotes."""

    text: str


@dataclass(frozen=True)
class Number(Node):
    """`3`, `0.5`, `50%` (0.5, unit "%"), `40KiB` (40960, unit "KiB"), `3epochs` (3, "epochs")."""

    value: int | float
    unit: str | None = None


@dataclass(frozen=True)
class String(Node):
    """`"layer{i + 1}"`: text and compile-time expressions in turn; a plain string has one part."""

    parts: tuple[str | Expr, ...]


@dataclass(frozen=True)
class Bool(Node):
    """`true` or `false`."""

    value: bool


@dataclass(frozen=True)
class NoneLiteral(Node):
    """`none`."""


@dataclass(frozen=True)
class Rest(Node):
    """`...` in a list, an index or a type."""


@dataclass(frozen=True)
class ListExpr(Node):
    """`[a, b]`."""

    items: tuple[Expr, ...]


@dataclass(frozen=True)
class TupleExpr(Node):
    """`(a, b)`, with at least one comma."""

    items: tuple[Expr, ...]


@dataclass(frozen=True)
class Group(Node):
    """`(a)`: kept, because `(a + b) -> f` is allowed and `a + b -> f` is not."""

    inner: Expr


@dataclass(frozen=True)
class Generator(Node):
    """`for a, b in list if condition` of a comprehension."""

    names: tuple[Name, ...]
    iterable: Expr
    condition: Expr | None


@dataclass(frozen=True)
class Comprehension(Node):
    """`[element for …]`."""

    element: Expr
    generators: tuple[Generator, ...]


@dataclass(frozen=True)
class Attribute(Node):
    """`base.name`."""

    base: Expr
    name: Name


@dataclass(frozen=True)
class Argument(Node):
    """One argument of a call; `name` is None when positional."""

    name: Name | None
    value: Expr


@dataclass(frozen=True)
class Call(Node):
    """`function(arguments)`."""

    function: Expr
    arguments: tuple[Argument, ...]


@dataclass(frozen=True)
class Slice(Node):
    """`start:stop:step` in a subscript."""

    start: Expr | None
    stop: Expr | None
    step: Expr | None


@dataclass(frozen=True)
class Subscript(Node):
    """`base[indices]`."""

    base: Expr
    indices: tuple[Expr | Slice | Rest, ...]


@dataclass(frozen=True)
class Unary(Node):
    """`-a`, `+a`, `not a`; `operator` is "-", "+" or "not"."""

    operator: str
    operand: Expr


@dataclass(frozen=True)
class Binary(Node):
    """`a + b` and its kin: + - * / // % @ ** == != < <= > >= in "not in" and or .. (range)."""

    operator: str
    left: Expr
    right: Expr
    operator_span: Span = field(compare=False, repr=False)


@dataclass(frozen=True)
class Conditional(Node):
    """`if condition then value else other`."""

    condition: Expr
    then: Expr
    otherwise: Expr


@dataclass(frozen=True)
class Then(Node):
    """`left -> right`."""

    left: Expr
    right: Expr


@dataclass(frozen=True)
class StageLabel(Node):
    """What follows `as`: a word or a string, then indices: `"layer{i + 1}"[j]`."""

    base: Name | String
    indices: tuple[Expr, ...]


@dataclass(frozen=True)
class Named(Node):
    """`expression as label`."""

    expression: Expr
    label: StageLabel


Expr = (
    Name
    | Number
    | String
    | Bool
    | NoneLiteral
    | Rest
    | ListExpr
    | TupleExpr
    | Group
    | Comprehension
    | Attribute
    | Call
    | Subscript
    | Unary
    | Binary
    | Conditional
    | Then
    | Named
)


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
    """`gan.G`, `DigitNet(width=8)`: a path, and arguments where it is called."""

    path: tuple[Name, ...]
    arguments: tuple[Argument, ...] | None


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
