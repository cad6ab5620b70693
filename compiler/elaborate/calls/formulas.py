"""Formulas of schedules: expressions of the step and the epoch, which no value has yet."""

from __future__ import annotations

from compiler.elaborate.scopes.context import Body
from compiler.elaborate.scopes.lookup import find_value
from compiler.elaborate.scopes.resolve import find_entry
from compiler.elaborate.values.arithmetic import simplify
from compiler.elaborate.values.describing import describe
from compiler.elaborate.values.parts import is_layer
from compiler.elaborate.values.values import ItemValue, Known, Namespace, Poison, Tensor, Val
from compiler.ir.hint import (
    Hint,
    HintBinary,
    HintCall,
    HintChoose,
    HintConst,
    HintName,
    HintUnary,
)
from compiler.report.diagnostics import Label
from compiler.report.messages.training import not_in_a_formula, two_meanings_in_a_formula
from compiler.report.source import Span
from compiler.text.tree.syntax import (
    Binary,
    Binding,
    Call,
    Conditional,
    Expr,
    Group,
    Let,
    Name,
    Parameter,
    Unary,
)
from compiler.training.expression import FORMULA_NAMES, Formula
from compiler.types.dims import Dim

OPERATORS = frozenset(
    ("+", "-", "*", "/", "//", "%", "**", "==", "!=", "<", "<=", ">", ">=", "and", "or")
)
OF_ONE = frozenset(("abs", "ceil", "cos", "exp", "floor", "log", "log2", "round", "sin", "sqrt"))
OF_SEVERAL = frozenset(("max", "min"))
"""What a formula may call."""


def reads_step(expression: Expr) -> bool:
    """Whether an expression names the step or the epoch: then it is a formula."""
    match expression:
        case Name(text=text):
            return text in FORMULA_NAMES
        case Group(inner=inner):
            return reads_step(inner)
        case Unary(operand=operand):
            return reads_step(operand)
        case Binary(left=left, right=right):
            return reads_step(left) or reads_step(right)
        case Conditional(condition=condition, then=then, otherwise=otherwise):
            return any(map(reads_step, (condition, then, otherwise)))
        case Call(arguments=arguments):
            return any(reads_step(argument.value) for argument in arguments)
    return False


def read_formula(body: Body, expression: Expr) -> Formula | None:
    """The formula that an expression is; None where it is none, which is reported."""
    tree = _read(body, expression)
    return None if tree is None else Formula(tree)


def _read(body: Body, expression: Expr) -> Hint | None:
    if not reads_step(expression):
        return _read_number(body, expression)
    match expression:
        case Group(inner=inner):
            return _read(body, inner)
        case Name(text=text):
            return None if _refuse_other_meaning(body, expression) else HintName(text)
        case Unary(operator=sign, operand=operand):
            tree = _read(body, operand)
            return tree if tree is None or sign == "+" else HintUnary(sign, tree)
        case Binary(operator=sign, left=left, right=right) if sign in OPERATORS:
            trees = _read_all(body, (left, right))
            return HintBinary(sign, *trees) if trees is not None else None
        case Conditional(condition=condition, then=then, otherwise=otherwise):
            trees = _read_all(body, (condition, then, otherwise))
            return HintChoose(*trees) if trees is not None else None
        case Call(function=Name(text=name), arguments=arguments) if _fits(name, expression):
            trees = _read_all(body, [argument.value for argument in arguments])
            return HintCall(name, tuple(trees)) if trees is not None else None
    body.report(not_in_a_formula(expression.span, f"`{expression.span.text}`"))
    return None


def _refuse_other_meaning(body: Body, name: Name) -> bool:
    """Whether a parameter, a `let` or a column has a name of the training too, which is reported.
    What is no value, such as a block, cannot be meant."""
    other = find_value(body, name)
    if other is None or is_layer(other) or isinstance(other, ItemValue | Namespace):
        return False
    place = _find_declaration(body, name, other)
    label = None if place is None else Label(place, "this one has the same name")
    body.report(two_meanings_in_a_formula(name.span, name.text, FORMULA_NAMES[name.text], label))
    return True


def _find_declaration(body: Body, name: Name, value: Val) -> Span | None:
    """Where what a name means was declared, as far as that is known."""
    word = name.text
    if any(word in layer for layer in body.names):
        if isinstance(value, Tensor):
            return value.made
        item = body.item
        own = () if item is None else (*item.parameters, *item.body)
        names = (part.name for part in own if isinstance(part, Parameter | Binding))
        return next((found.span for found in names if found.text == word), None)
    match find_entry(body.file, word, name.span):
        case _, Let(binding=binding):
            return binding.name.span
    return None


def _fits(name: str, call: Call) -> bool:
    """Whether a formula may call a function so."""
    named = any(argument.name is not None for argument in call.arguments)
    count = len(call.arguments)
    return not named and (name in OF_ONE if count == 1 else name in OF_SEVERAL and count > 1)


def _read_all(body: Body, expressions: list[Expr] | tuple[Expr, ...]) -> list[Hint] | None:
    """The parts of a formula; None where one was refused. All of them are looked at."""
    trees = [_read(body, expression) for expression in expressions]
    known = [tree for tree in trees if tree is not None]
    return known if len(known) == len(trees) else None


def _read_number(body: Body, expression: Expr) -> Hint | None:
    """A part that is known already."""
    value = body.evaluate(expression)
    if isinstance(value, Poison):
        return None
    if isinstance(value, Known) and value.unit in (None, "%"):
        scalar = value.value
        number = simplify(scalar) if isinstance(scalar, Dim) else scalar
        if isinstance(number, bool | int | float):
            return HintConst(number)
    body.report(not_in_a_formula(expression.span, describe(value)))
    return None
