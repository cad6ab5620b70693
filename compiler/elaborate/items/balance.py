"""The clause `balance`: the classes that are to have as many training rows, and how."""

from __future__ import annotations

from collections.abc import Sequence

from compiler.data.balancing import METHODS, Balance
from compiler.data.base import Column
from compiler.elaborate.bodies.code_clauses import read_operands
from compiler.elaborate.items.operands import describe_given
from compiler.elaborate.items.order_columns import read_order_column
from compiler.elaborate.scopes.context import Body, malformed
from compiler.elaborate.values.arithmetic import whole
from compiler.elaborate.values.values import Known, Poison, Val
from compiler.report.messages.arguments import unknown_argument, wrong_argument
from compiler.report.suggestions import did_you_mean
from compiler.text.tree.syntax import Clause, Declare
from compiler.vocabulary.clauses import Choice

OPTIONS = ("method", "seed")


def read_balance(body: Body, clause: Clause, schema: Sequence[Column]) -> Balance | None:
    """What a clause asks for; None where it was refused, which is reported."""
    operands = read_operands(body, clause)
    if not operands:
        return None
    first, *rest = operands
    if first.name is not None or isinstance(first.value, Declare):
        malformed(body, clause, first.span, "first comes the column of the classes")
        return None
    column = read_order_column(body, "balance", first.value, schema)
    found: dict[str, Val] = {}
    for operand in rest:
        name = operand.name
        if name is None or isinstance(operand.value, Declare):
            malformed(body, clause, operand.span, "what follows has a name: `seed=1`")
            return None
        if name.text not in OPTIONS:
            near = did_you_mean(name.text, OPTIONS)
            body.report(unknown_argument(name.span, "balance", name.text, OPTIONS, near))
            return None
        value = found[name.text] = body.evaluate(operand.value)
        expected = _find_fault(name.text, value)
        if expected:
            if not isinstance(value, Poison):
                span, shown = operand.value.span, describe_given(value)
                body.report(wrong_argument(span, "balance", name.text, expected, shown))
            return None
    if column is None:
        return None
    method, seed = found.get("method", Known(METHODS[0])), found.get("seed", Known(0))
    assert isinstance(method, Known), "it is one of the words"
    number = whole(seed) if isinstance(seed, Known) else None
    assert isinstance(number, int), "it is a number"
    return Balance(column, str(method.value), number, clause.word.span)


def _find_fault(option: str, value: Val) -> str:
    """What an option has to be, where it is another thing; empty where it fits."""
    if option == "method":
        fits = isinstance(value, Known) and value.value in METHODS
        return "" if fits else Choice(METHODS).text
    number = whole(value) if isinstance(value, Known) and value.unit is None else None
    return "" if isinstance(number, int) and number >= 0 else "a whole number, 0 or above"
