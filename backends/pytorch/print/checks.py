"""Promises about sizes that only a run can keep: tests at the top of `forward`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import lcm

import numpy as np

from backends.pytorch.classes.algebra import write_dim
from backends.pytorch.classes.bounds import Bound, find_bounds
from backends.pytorch.classes.explained import ExplainedClass
from backends.pytorch.print.reading import Reading
from backends.pytorch.terms.document import STEP, Group, lay_out
from backends.pytorch.terms.expressions import Expressions, hint_tree
from backends.pytorch.terms.terms import Part, name
from compiler.ir.graph import Condition
from compiler.ir.hint import Hint
from compiler.types.dims import Dim, Quotient, Symbol
from compiler.writing.python import WIDTH, show, write_formatted

LARGEST_TRIED = 4096
"""Sizes up to this are tried when many conditions are replaced by one bound."""


def write_checks(
    target: ExplainedClass, reading: Reading, expressions: Expressions, indent: int
) -> list[str]:
    """`if h % 32 != 0: raise ValueError(…)` for every condition of a graph."""
    if not target.is_root:
        return []
    writer = _Checks(reading, expressions, indent)
    bounds = find_bounds(target)
    lines = []
    for symbol, least, rest in _join_bounds([b.condition for b in bounds if not b.names]):
        if symbol is not None:
            lines += writer.bound(symbol, least)
        for condition in rest:
            lines += writer.condition(Bound(condition))
    for bound in bounds:
        lines += writer.condition(bound) if bound.names else []
    return lines


def _join_bounds(
    conditions: Sequence[Condition],
) -> Iterator[tuple[str | None, int, list[Condition]]]:
    """Conditions on one size that together say that it is at least some number, by symbol; the
    others as they are."""
    groups: dict[str, list[Condition]] = {}
    others: list[Condition] = []
    for condition in conditions:
        symbols = condition.left.symbols | condition.right.symbols
        if len(symbols) == 1 and condition.relation == "<=":
            groups.setdefault(min(symbols), []).append(condition)
        else:
            others.append(condition)
    for symbol, group in groups.items():
        least = find_least(symbol, group)
        yield (symbol, least, []) if least is not None else (None, 0, group)
    yield None, 0, others


def find_least(symbol: str, conditions: Sequence[Condition]) -> int | None:
    """The number from which on a size keeps all conditions, if it breaks one everywhere below.

    Sums of multiples and floor quotients of one size repeat themselves with a fixed step: when
    the difference of both sides does not fall over a period and all hold for a whole period,
    they hold from there on.
    """
    differences = [c.right - c.left for c in conditions]
    periods = [_find_period(d) for d in differences]
    period = lcm(*(p for p in periods if p is not None))
    if None in periods or 2 * period > LARGEST_TRIED:
        return None
    sizes = np.arange(1, LARGEST_TRIED + 1)
    kept = np.ones(len(sizes), bool)
    for difference in differences:
        values = np.broadcast_to(difference.evaluate({symbol: sizes}), sizes.shape)  # type: ignore[dict-item]
        if values[period] < values[0]:
            return None
        kept &= values >= 0
    least = len(sizes) - int(np.argmin(kept[::-1])) if not kept.all() else 0
    if least + period > len(sizes) or kept[:least].any():
        return None
    return least + 1


def _find_period(dim: Dim) -> int | None:
    """After how many steps a size's expression repeats its steps; None where it is no sum of
    multiples and floor quotients."""
    period = 1
    for monomial, _ in dim.terms:
        match monomial:
            case () | ((Symbol(), 1),):
                continue
            case ((Quotient(numerator, denominator), 1),) if denominator.known:
                inner = _find_period(numerator)
                if inner is None:
                    return None
                period = lcm(period, inner * denominator.known)
            case _:
                return None
    return period


class _Checks:
    """Writes single tests."""

    def __init__(self, reading: Reading, expressions: Expressions, indent: int) -> None:
        self.reading = reading
        self.expressions = expressions
        self.indent = indent
        self.names: Mapping[str, Hint] = {}

    def bound(self, symbol: str, least: int) -> list[str]:
        """`if h < 32:`."""
        if least <= 1:
            return []
        size = self.reading.bound[symbol]
        return self._raise(
            f"{size} < {least}",
            f"{_write_shown(symbol)} must be at least {least}, not {{{size}}}",
        )

    def condition(self, bound: Bound) -> list[str]:
        """The test of one condition, as a person would say it."""
        condition, self.names = bound.condition, bound.names
        whole = find_divisor(condition)
        if whole is not None:
            size, divisor = whole
            text = self._text(size)
            tested = text if text.isidentifier() else f"({text})"
            message = f"{_write_shown(str(size))} must be a multiple of {divisor}, not {{{text}}}"
            return self._raise(f"{tested} % {divisor} != 0", message)
        left, right = condition.left, condition.right
        if condition.relation == "==":
            test, relation = f"{self._text(left)} != {self._text(right)}", "equal"
        elif left.symbols <= bound.names.keys():
            left, right = right, left
            test, relation = f"{self._text(left)} < {self._text(right)}", "be at least"
        else:
            test, relation = f"{self._text(left)} > {self._text(right)}", "be at most"
        symbols = sorted((left.symbols | right.symbols) - bound.names.keys())
        shown = ", ".join(f"{_write_shown(s)} is {{{self.reading.bound[s]}}}" for s in symbols)
        sides = [self._show(side) for side in (left, right)]
        return self._raise(test, f"{sides[0]} must {relation} {sides[1]}; {shown}")

    def _raise(self, test: str, message: str) -> list[str]:
        lines = [f"{' ' * self.indent}if {test}:"]
        error = ("raise ValueError", Group("(", (f'f"{message}"',), ")"))
        made = lay_out("", error, self.indent + STEP)
        first, sign, rest = message.partition("; ")
        if max(map(len, made)) <= WIDTH or not sign:
            return lines + made
        inner = " " * (self.indent + 2 * STEP)
        return [*lines, made[0], f'{inner}f"{first}; "', f'{inner}f"{rest}"', made[-1]]

    def _show(self, dim: Dim) -> str:
        """A side of a condition in a message: its number, where arguments make that."""
        if dim.symbols & self.names.keys():
            return f"{{{self._text(dim)}}}"
        return _write_shown(str(dim))

    def _read(self, label: str) -> Part:
        if label in self.names:
            return hint_tree(self.names[label], self.reading.argument)
        return name(self.reading.bound[label])

    def _text(self, dim: Dim) -> str:
        places: dict[Symbol | Quotient, tuple[int, int]] = {Symbol(s): (0, 0) for s in dim.symbols}
        hint = write_dim(dim, places, {})
        assert hint is not None
        return self.expressions.text(hint_tree(hint, self._read))


def _write_shown(text: str) -> str:
    """A text in the f-string of an error: what a terminal would obey is escaped there too."""
    return write_formatted(show(text))


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
