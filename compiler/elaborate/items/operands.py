"""Operands of clauses as the items read them: one number, names, patterns, keyword operands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from compiler.elaborate.bodies.code_clauses import read_operands
from compiler.elaborate.scopes.context import Body, malformed
from compiler.elaborate.values.arithmetic import whole
from compiler.elaborate.values.describing import describe
from compiler.elaborate.values.parts import plain_items
from compiler.elaborate.values.values import Known, Poison, Val
from compiler.records import dataclass
from compiler.report.diagnostics import Label
from compiler.report.messages.items import setting_range
from compiler.report.messages.training import unknown_word
from compiler.report.source import Span
from compiler.report.suggestions import did_you_mean
from compiler.text.tree.syntax import (
    Argument,
    Call,
    Clause,
    Declare,
    Expr,
    Group,
    Name,
)
from compiler.types.units import spell_quantity


def read_single(body: Body, clause: Clause) -> Expr | None:
    """The only operand, without a name; None where it is written otherwise, which is reported."""
    operands = read_operands(body, clause)
    if not operands:
        return None
    first = operands[0]
    if first.name is not None:
        malformed(body, clause, first.span, "it takes a value without a name")
        return None
    if isinstance(first.value, Declare):
        malformed(body, clause, first.span, "it takes a value, no type")
        return None
    if len(operands) > 1:
        malformed(body, clause, operands[1].span, "one value is enough")
        return None
    return first.value


def read_whole(
    body: Body, clause: Clause, least: int, units: Sequence[str] = (), *, bare: bool = True
) -> int | None:
    """The whole number of `batch 64`, or of `epoch 500steps`, which cannot be `bare`; None where
    it is none, which is reported."""
    expression = read_single(body, clause)
    if expression is None:
        return None
    value = body.evaluate(expression)
    number = whole(value) if isinstance(value, Known) else None
    if isinstance(value, Poison):
        return None
    word = clause.word.text
    unit = value.unit if isinstance(value, Known) else None
    fits = unit in units if unit is not None else bare
    if not isinstance(number, int) or not fits:
        wanted = "a whole number" if bare else f"a number of {units[-1]}"
        form = "" if bare else f": `{clause.word.text} 500{units[-1]}`"
        found = f"{wanted} belongs here{form}, not {describe_given(value)}"
        malformed(body, clause, expression.span, found)
        return None
    if number < least:
        expected = f"{least} or above"
        body.report(setting_range(expression.span, word, "", str(number), expected))
        return None
    return number


def read_every(body: Body, clause: Clause, expression: Expr, unit: str) -> int | None:
    """The number of `every=5steps` or `every=2epochs`, whose unit is given; None where it is
    refused, which is reported."""
    value = body.evaluate(expression)
    if isinstance(value, Poison):
        return None
    number = whole(value) if isinstance(value, Known) else None
    found = value.unit if isinstance(value, Known) else None
    if not isinstance(number, int) or found not in (None, unit, f"{unit}s"):
        expected = f"a number of {unit}s belongs here, not {describe_given(value)}"
        malformed(body, clause, expression.span, expected)
        return None
    if number < 1:
        owner = clause.word.text
        body.report(setting_range(expression.span, owner, "every", str(number), "1 or above"))
        return None
    return number


def describe_given(value: Val) -> str:
    """What a value is, a number with its unit as it is written."""
    if isinstance(value, Known) and value.unit is not None and value.is_number:
        return spell_quantity(value.value, value.unit)  # type: ignore[arg-type]
    return describe(value)


def read_word(expression: Expr) -> Name | None:
    """The word that `random` or `random(seed=0)` begins with."""
    match expression:
        case Group(inner=inner):
            return read_word(inner)
        case Name():
            return expression
        case Call(function=Name() as name):
            return name
    return None


def read_arguments(expression: Expr) -> tuple[Argument, ...]:
    """The arguments of `random(seed=0)`; none for a bare word."""
    while isinstance(expression, Group):
        expression = expression.inner
    return expression.arguments if isinstance(expression, Call) else ()


def refuse_word(body: Body, name: Name, kind: str, known: Sequence[str]) -> None:
    """Reports a word of a fixed vocabulary that does not exist."""
    words = tuple(known)
    body.report(unknown_word(name.span, kind, name.text, words, did_you_mean(name.text, words)))


def read_texts(value: Val) -> tuple[str, ...] | None:
    """A string or a list of strings; None for anything else."""
    items = plain_items(value) if not isinstance(value, Known) else (value,)
    texts = [i.value for i in items or () if isinstance(i, Known) and isinstance(i.value, str)]
    return tuple(texts) if items is not None and len(texts) == len(items) else None


@dataclass(frozen=True)
class ClausePlace:
    """Where the arguments of a described thing (`csv("a.csv", separator=";")`) stand, for faults
    that are found after it was made."""

    call: Span
    arguments: Mapping[str, Span]

    @staticmethod
    def of(expression: Expr, options: Sequence[str]) -> ClausePlace:
        """The place of a call whose positional arguments are these options, in order."""
        word = read_word(expression)
        spans = {}
        for index, argument in enumerate(read_arguments(expression)):
            name = argument.name.text if argument.name is not None else None
            name = name or (options[index] if index < len(options) else None)
            if name is not None:
                spans[name] = argument.value.span
        return ClausePlace(word.span if word is not None else expression.span, spans)

    def argument(self, name: str) -> Span:
        """The argument given for an option; the word where its default stands."""
        return self.arguments.get(name, self.call)

    def operand(self, index: int) -> Label:
        """The word itself: it takes no tensors."""
        return Label(self.call, "here")
