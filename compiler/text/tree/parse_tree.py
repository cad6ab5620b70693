"""Builds the syntax tree: one method per production, named as the grammar names it."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

from compiler.report.diagnostics import Message
from compiler.report.messages.syntax import bare_arithmetic
from compiler.report.messages.syntax_habits import foreign_literal, lambda_function, self_habit
from compiler.report.messages.syntax_text import unknown_unit, unreadable_number
from compiler.report.source import Source, Span
from compiler.text.tree import syntax
from compiler.text.tree.syntax import Argument, Expr, Name, Operand, Reference, Statement, TypeExpr
from compiler.text.tree.tokens import Tokens
from compiler.types.units import UNITS, read_quantity, split_number

FOREIGN_LITERALS = {
    "True": "true",
    "False": "false",
    "TRUE": "true",
    "FALSE": "false",
    "None": "none",
    "null": "none",
    "nil": "none",
}

LAMBDA = re.compile(r"lambda(\s+\w+\s*[:,]|\s*:)")
"""`lambda x:` of Python; `lambda` by itself is a name like any other."""

Body = tuple[Statement, ...]


class TreeBuilder:
    """Makes nodes from the tokens of one text; a token is given by its index."""

    def __init__(
        self,
        tokens: Tokens,
        report: Callable[[Message], None],
        report_mistake: Callable[[Message], None],
        read_string: Callable[[Span], tuple[str | Expr, ...]],
    ) -> None:
        self.tokens = tokens
        self.source: Source = tokens.source
        self.report = report
        self.report_mistake = report_mistake
        self.read_string = read_string
        self.clauses: list[syntax.Clause] = []

    def doc(self, span: Span) -> str:
        """The text of the `##` lines before a node."""
        return self.tokens.docs.get(span.start, "")

    def word(self, index: int) -> Name:
        """A name from its token."""
        return Name(self.tokens.span(index), self.tokens.text(index).strip("`"))

    # --- items ----------------------------------------------------------------------------------

    def start(self, span: Span, *items: syntax.TopLevel) -> tuple[syntax.TopLevel, ...]:
        return items

    def inside(self, span: Span, value: Expr) -> Expr:
        return value

    def use(self, span: Span, path: tuple[Name, ...], alias: Name | None) -> syntax.Use:
        return syntax.Use(span, path, None, alias)

    def use_file(self, span: Span, file: int, alias: Name | None) -> syntax.Use:
        return syntax.Use(span, (), self.string(self.tokens.span(file), file), alias)

    def let(self, span: Span, binding: syntax.Binding) -> syntax.Let:
        return syntax.Let(span, replace(binding, doc=self.doc(span)))

    def block(
        self, span: Span, name: Name, parameters: tuple[syntax.Parameter, ...], body: Body
    ) -> syntax.Block:
        return syntax.Block(span, name, parameters, body, self.doc(span))

    def model(
        self, span: Span, name: Name, parameters: tuple[syntax.Parameter, ...] | None, body: Body
    ) -> syntax.Model:
        return syntax.Model(span, name, parameters or (), body, self.doc(span))

    def data(
        self, span: Span, name: Name, parameters: tuple[syntax.Parameter, ...] | None, body: Body
    ) -> syntax.Data:
        return syntax.Data(span, name, parameters or (), body, self.doc(span))

    def train(
        self,
        span: Span,
        name: Name,
        parameters: tuple[syntax.Parameter, ...] | None,
        of: Reference | None,
        on: tuple[Reference, ...] | None,
        body: Body,
    ) -> syntax.Train:
        return syntax.Train(span, name, parameters or (), body, self.doc(span), of, on or ())

    def variant(
        self,
        span: Span,
        name: Name,
        parameters: tuple[syntax.Parameter, ...] | None,
        of: Reference,
        body: Body,
    ) -> syntax.Variant:
        return syntax.Variant(span, name, parameters or (), body, self.doc(span), of)

    def sweep(self, span: Span, name: Name, of: Reference, body: Body) -> syntax.Sweep:
        return syntax.Sweep(span, name, (), body, self.doc(span), of)

    def deploy(
        self, span: Span, subject: Reference, target: Reference, body: Body | None
    ) -> syntax.Deploy:
        return syntax.Deploy(span, subject, target, body or (), self.doc(span))

    def path(self, span: Span, *names: Name) -> tuple[Name, ...]:
        return names

    def ref(self, span: Span, path: tuple[Name, ...]) -> Reference:
        return Reference(span, path, None)

    def called_ref(
        self,
        span: Span,
        path: tuple[Name, ...],
        arguments: tuple[Argument, ...] | None,
        *inside: Name,
    ) -> Reference:
        return Reference(span, (*path, *inside), arguments or (), len(inside))

    def refs(self, span: Span, *references: Reference) -> tuple[Reference, ...]:
        return references

    def params(
        self, span: Span, *parameters: syntax.Parameter | None
    ) -> tuple[syntax.Parameter, ...]:
        return tuple(parameter for parameter in parameters if parameter is not None)

    def param(
        self, span: Span, name: Name, type: TypeExpr | None, default: Expr | None
    ) -> syntax.Parameter:
        if name.text == "self":
            self.report_mistake(self_habit(name.span, "self", "self"))
        return syntax.Parameter(span, name, type, default, self.doc(span))

    def plain_type(self, span: Span, name: Name) -> TypeExpr:
        return TypeExpr(span, name, None)

    def tensor_type(self, span: Span, name: Name, *dims: Expr | None) -> TypeExpr:
        return TypeExpr(span, name, tuple(dim for dim in dims if dim is not None))

    # --- statements -----------------------------------------------------------------------------

    def body(self, span: Span, *statements: Statement) -> Body:
        return statements

    def binding(self, span: Span, name: Name, type: TypeExpr | None, value: Expr) -> syntax.Binding:
        return syntax.Binding(span, name, type, value, self.doc(span))

    def unpack(self, span: Span, *parts: Name | Expr) -> syntax.Unpack:
        *names, value = parts
        return syntax.Unpack(span, tuple(n for n in names if isinstance(n, Name)), value)

    def clause(
        self,
        span: Span,
        word: int,
        operands: tuple[Operand, ...],
        *rest: syntax.Tail | Body | None,
    ) -> syntax.Clause:
        tails = tuple(tail for tail in rest if isinstance(tail, syntax.Tail))
        body = rest[-1] if isinstance(rest[-1], tuple) else None
        clause = syntax.Clause(span, self.word(word), operands, tails, body, self.doc(span))
        self.clauses.append(clause)
        return clause

    def bare_clause(self, span: Span, word: int, body: Body) -> syntax.Clause:
        return self.clause(span, word, (), body)

    def tail(self, span: Span, word: int, operands: tuple[Operand, ...]) -> syntax.Tail:
        return syntax.Tail(span, self.tokens.text(word), operands)

    def operands(self, span: Span, *operands: Operand) -> tuple[Operand, ...]:
        return operands

    def operand(self, span: Span, value: Expr) -> Operand:
        return Operand(span, None, value)

    def keyword_operand(self, span: Span, name: Name, value: Expr) -> Operand:
        return Operand(span, name, value)

    def declare(self, span: Span, name: Name, type: TypeExpr, value: Expr | None) -> Operand:
        return Operand(span, None, syntax.Declare(span, name, type, value))

    def choice(self, span: Span, name: Name, values: Expr) -> syntax.Choice:
        return syntax.Choice(span, name, values)

    def if_(
        self, span: Span, condition: Expr, then: Body, otherwise: Body | syntax.If | None
    ) -> syntax.If:
        if isinstance(otherwise, syntax.If):
            otherwise = (otherwise,)
        return syntax.If(span, condition, then, otherwise)

    def for_(self, span: Span, names: tuple[Name, ...], iterable: Expr, body: Body) -> syntax.For:
        return syntax.For(span, names, iterable, body)

    def scan(self, span: Span, *parts: syntax.ScanOver | Argument | Body) -> syntax.Scan:
        over = tuple(part for part in parts if isinstance(part, syntax.ScanOver))
        options = tuple(part for part in parts if isinstance(part, Argument))
        body = parts[-1] if isinstance(parts[-1], tuple) else ()
        return syntax.Scan(span, over, options, body)

    def over_(self, span: Span, name: Name, sequence: Expr) -> syntax.ScanOver:
        return syntax.ScanOver(span, name, sequence)

    def return_(self, span: Span, operands: tuple[Operand, ...]) -> syntax.Return:
        return syntax.Return(span, operands)

    def names(self, span: Span, *names: Name) -> tuple[Name, ...]:
        return names

    # --- expressions ----------------------------------------------------------------------------

    def then(self, span: Span, left: Expr, arrow: int, right: Expr) -> syntax.Then:
        before = left.right if isinstance(left, syntax.Then) else left
        self.refuse_arithmetic(before, arrow, is_last=False)
        self.refuse_arithmetic(right, arrow, is_last=True)
        return syntax.Then(span, left, right, self.tokens.span(arrow))

    def refuse_arithmetic(self, stage: Expr, arrow: int, *, is_last: bool) -> None:
        """Report an operator beside an arrow, except in what may be `n * layer`, which values tell.

        A conditional may only end a pipe: else its last branch would reach for the arrow.
        """
        inner = stage.expression if isinstance(stage, syntax.Named) else stage
        place = self.tokens.span(arrow)
        match inner:
            case syntax.Binary(
                operator="*", right=syntax.Name() | syntax.Call() | syntax.Attribute()
            ):
                return
            case syntax.Binary():
                self.report_mistake(bare_arithmetic(inner.operator_span, inner.operator, 2, place))
            case syntax.Unary():
                at = Span(self.source, inner.span.start, inner.span.start + len(inner.operator))
                self.report_mistake(bare_arithmetic(at, inner.operator, 1, place))
            case syntax.Conditional() if not is_last:
                at = Span(self.source, inner.span.start, inner.span.start + 2)
                self.report_mistake(bare_arithmetic(at, "if", 3, place))

    def named(self, span: Span, expression: Expr, label: syntax.StageLabel) -> syntax.Named:
        return syntax.Named(span, expression, label)

    def label(self, span: Span, base: Name | syntax.String, *indices: Expr) -> syntax.StageLabel:
        return syntax.StageLabel(span, base, indices)

    def conditional(
        self, span: Span, condition: Expr, then: Expr, otherwise: Expr
    ) -> syntax.Conditional:
        return syntax.Conditional(span, condition, then, otherwise)

    def binary(self, span: Span, left: Expr, operator: int, right: Expr) -> syntax.Binary:
        tokens = self.tokens
        return syntax.Binary(span, tokens.text(operator), left, right, tokens.span(operator))

    def not_in(self, span: Span, left: Expr, word: int, last: int, right: Expr) -> syntax.Binary:
        place = self.tokens.span(word).to(self.tokens.span(last))
        return syntax.Binary(span, "not in", left, right, place)

    def unary(self, span: Span, operator: int, operand: Expr) -> syntax.Unary:
        return syntax.Unary(span, self.tokens.text(operator), operand)

    def attribute(self, span: Span, base: Expr, name: Name) -> syntax.Attribute:
        return syntax.Attribute(span, base, name)

    def call(
        self, span: Span, function: Expr, arguments: tuple[Argument, ...] | None
    ) -> syntax.Call:
        return syntax.Call(span, function, arguments or ())

    def args(self, span: Span, *arguments: Argument) -> tuple[Argument, ...]:
        return arguments

    def argument(self, span: Span, value: Expr) -> Argument:
        return Argument(span, None, value)

    def keyword(self, span: Span, name: Name, value: Expr) -> Argument:
        return Argument(span, name, value)

    def subscript(self, span: Span, base: Expr, *indices: Expr | syntax.Slice) -> syntax.Subscript:
        return syntax.Subscript(span, base, indices)

    def slice(self, span: Span, *parts: Expr | int | None) -> syntax.Slice:
        start, stop, step = (None if isinstance(part, int) else part for part in parts[::2])
        return syntax.Slice(span, start, stop, step)

    def rest(self, span: Span, token: int) -> syntax.Rest:
        return syntax.Rest(span)

    def group(self, span: Span, inner: Expr) -> syntax.Group:
        return syntax.Group(span, inner)

    def tuple_expr(self, span: Span, *items: Expr | None) -> syntax.TupleExpr:
        return syntax.TupleExpr(span, tuple(item for item in items if item is not None))

    def list_expr(self, span: Span, *items: Expr | None) -> syntax.ListExpr:
        return syntax.ListExpr(span, tuple(item for item in items if item is not None))

    def comprehension(
        self, span: Span, element: Expr, *generators: syntax.Generator
    ) -> syntax.Comprehension:
        return syntax.Comprehension(span, element, generators)

    def generator(
        self, span: Span, names: tuple[Name, ...], iterable: Expr, condition: Expr | None
    ) -> syntax.Generator:
        return syntax.Generator(span, names, iterable, condition)

    def name(self, span: Span, token: int) -> Name:
        return self.word(token)

    def variable(self, span: Span, name: Name) -> Expr:
        if span.text in FOREIGN_LITERALS:
            meant = FOREIGN_LITERALS[span.text]
            self.report(foreign_literal(span, span.text, meant))
            return (
                syntax.NoneLiteral(span) if meant == "none" else syntax.Bool(span, meant == "true")
            )
        if span.text == "lambda" and LAMBDA.match(self.source.text, span.start):
            self.report_mistake(lambda_function(span, "lambda", "lambda"))
        elif span.text == "self":
            self.report_mistake(self_habit(span, "self", "self"))
        return name

    def number(self, span: Span, token: int) -> syntax.Number:
        digits, unit = split_number(span.text)
        if unit is not None and unit not in UNITS:
            at = Span(self.source, span.end - len(unit), span.end)
            is_code = digits == "0" and unit[0] in "xXbBoO"
            decimal = unreadable_number(span, "numbers are decimal: write `255`, not `0xFF`")
            self.report(decimal if is_code else unknown_unit(at, unit))
            return syntax.Number(span, 0, unit)
        try:
            value = read_quantity(digits, UNITS[unit] if unit else None)
        except OverflowError:
            self.report(unreadable_number(span, "this is more than a 64-bit float can hold"))
            value = 0
        return syntax.Number(span, value, unit)

    def string(self, span: Span, token: int) -> syntax.String:
        return syntax.String(span, self.read_string(span))

    def true(self, span: Span) -> syntax.Bool:
        return syntax.Bool(span, True)

    def false(self, span: Span) -> syntax.Bool:
        return syntax.Bool(span, False)

    def none(self, span: Span) -> syntax.NoneLiteral:
        return syntax.NoneLiteral(span)
