"""Syntax tree, expressions: what has a value or a name; `syntax` beside it brings it all."""

from __future__ import annotations

from dataclasses import field

from compiler.records import dataclass
from compiler.report.source import Span


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
    operator_span: Span = field(compare=False, repr=False)


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
