"""Promises about sizes that only a run can keep: tests at the top of `forward`."""

from __future__ import annotations

from backends.pytorch.document import STEP, Group, lay_out
from backends.pytorch.expressions import Expressions, hint_tree
from backends.pytorch.merged import Class
from backends.pytorch.reading import Reading
from backends.pytorch.sizes import write_dim
from backends.pytorch.terms import name
from compiler.dims import Dim, Quotient, Symbol
from compiler.ir.graph import Condition
from compiler.ir.hint import Hint


def write_checks(
    target: Class, reading: Reading, expressions: Expressions, indent: int
) -> list[str]:
    """`if h % 32 != 0: raise ValueError(…)` for every condition of a graph."""
    if not target.is_root:
        return []
    return [
        line
        for condition in target.bodies[0].index.graph.conditions
        for line in _write_check(condition, reading, expressions, indent)
    ]


def _write_check(
    condition: Condition, reading: Reading, expressions: Expressions, indent: int
) -> list[str]:
    whole = find_divisor(condition)
    if whole is not None:
        size, divisor = whole
        text = _text(size, reading, expressions)
        plain = text.isidentifier()
        test = f"{text} % {divisor} != 0" if plain else f"({text}) % {divisor} != 0"
        message = f"{size} must be a multiple of {divisor}, not {{{text}}}"
    else:
        left = _text(condition.left, reading, expressions)
        right = _text(condition.right, reading, expressions)
        sign = "!=" if condition.relation == "==" else ">"
        test = f"{left} {sign} {right}"
        relation = "equal" if condition.relation == "==" else "be at most"
        message = f"{condition.left} must {relation} {condition.right}"
        shown = ", ".join(
            f"{s} is {{{reading.bound[s]}}}"
            for s in sorted(condition.left.symbols | condition.right.symbols)
        )
        message += f"; {shown}"
    margin = " " * indent
    error = ("raise ValueError", Group("(", (f'f"{message}"',), ")"))
    return [f"{margin}if {test}:", *lay_out("", error, indent + STEP)]


def find_divisor(condition: Condition) -> tuple[Dim, int] | None:
    """`(h, 32)` for `32 * (h // 32) == h`: how exact division is promised."""
    if condition.relation != "==":
        return None
    difference = condition.left - condition.right
    for monomial, coefficient in difference.terms:
        match monomial:
            case ((Quotient(numerator, denominator), 1),):
                divisor = denominator.known
                if divisor is None or abs(coefficient) % divisor:
                    continue
                sign = 1 if coefficient > 0 else -1
                whole = Dim({monomial: divisor}) - numerator
                if difference == whole * (abs(coefficient) // divisor) * sign:
                    return numerator, divisor
    return None


def _text(dim: Dim, reading: Reading, expressions: Expressions) -> str:
    places: dict[Symbol | Quotient, tuple[int, int]] = {Symbol(s): (0, 0) for s in dim.symbols}
    hint: Hint | None = write_dim(dim, places, {})
    assert hint is not None
    return expressions.text(hint_tree(hint, lambda label: name(reading.bound[label])))
