"""Expressions of a spec's author as algebra: folded, counted, compared, as polynomials."""

from __future__ import annotations

import operator
from collections import Counter
from collections.abc import Callable, Iterator

from compiler.ir.hint import (
    Hint,
    HintBinary,
    HintChoose,
    HintConst,
    HintItem,
    HintList,
    HintName,
    HintUnary,
    evaluate_hint,
    hint_names,
    hint_size,
    rename_hint,
    whole_hint,
)
from compiler.types.dims import Dim, Quotient, Symbol


def simplify(hint: Hint, *, whole: bool) -> Hint:
    """The hint with constants folded, without factors 1 and terms 0; of `whole` expressions code
    needs an int."""
    hint = whole_hint(hint) if whole else hint
    match hint:
        case HintUnary(symbol, operand):
            hint = HintUnary(symbol, simplify(operand, whole=False))
        case HintChoose(condition, then, otherwise):
            condition = simplify(condition, whole=False)
            if isinstance(condition, HintConst):
                return simplify(then if condition.value else otherwise, whole=False)
            if isinstance(condition, HintList):
                return simplify(then if condition.items else otherwise, whole=False)
            then, otherwise = (simplify(h, whole=False) for h in (then, otherwise))
            return _drop_choice(HintChoose(condition, then, otherwise))
        case HintItem(items, index):
            hint = _take_item(simplify(items, whole=False), simplify(index, whole=False))
        case HintBinary(symbol, left, right):
            left, right = simplify(left, whole=False), simplify(right, whole=False)
            if symbol in ("==", "!=") and left == right:
                return HintConst(symbol == "==")
            hint = _drop_neutral(HintBinary(symbol, left, right))
    if not isinstance(hint, HintConst) and not any(True for _ in hint_names(hint)):
        value = evaluate_hint(hint, {})
        if isinstance(value, (int, float, str)) or value is None:
            return HintConst(value)
    return hint


def _take_item(items: Hint, index: Hint) -> Hint:
    """`[a, b][-1]` is b."""
    match items, index:
        case HintList(parts), HintConst(int() as place) if -len(parts) <= place < len(parts):
            return parts[place]
    return HintItem(items, index)


def _drop_choice(hint: HintChoose) -> Hint:
    """`8 if width != 8 else width` is 8."""
    match hint.condition:
        case _ if hint.then == hint.otherwise:
            return hint.then
        case HintBinary("==" | "!=" as symbol, left, right):
            if {left, right} == {hint.then, hint.otherwise}:
                return hint.then if symbol == "!=" else hint.otherwise
    return hint


def _drop_neutral(hint: HintBinary) -> Hint:
    """An expression without a side that does not change it, or the side that alone decides it."""
    match hint:
        case HintBinary("*" | "//" | "**", left, HintConst(1)):
            return left
        case HintBinary("+" | "-", left, HintConst(0)):
            return left
        case HintBinary("*", HintConst(1), right) | HintBinary("+", HintConst(0), right):
            return right
        case HintBinary("and" | "or" as word, HintConst(known), other):
            return other if bool(known) == (word == "and") else HintConst(bool(known))
        case HintBinary("and" | "or" as word, other, HintConst(known)):
            return other if bool(known) == (word == "and") else HintConst(bool(known))
    return hint


def count_choices(hint: Hint) -> int:
    """How many choices stand in an expression."""
    match hint:
        case HintChoose(condition, then, otherwise):
            return 1 + sum(map(count_choices, (condition, then, otherwise)))
        case HintBinary(_, left, right):
            return count_choices(left) + count_choices(right)
        case HintUnary(_, operand):
            return count_choices(operand)
    return 0


def join_powers(factors: list[Hint]) -> Iterator[Hint]:
    """Factors, where a sum or quotient that stands there twice is its square."""
    for factor, count in Counter(factors).items():
        compound = isinstance(factor, HintBinary) and factor.operator != "*"
        if compound and count > 1:
            yield HintBinary("**", factor, HintConst(count))
        else:
            yield from [factor] * count


def read_symbols(hint: Hint, symbols: dict[str, Hint]) -> Dim:
    """An expression as a polynomial; what is no arithmetic in it is a symbol, which is noted."""
    dim = to_dim(hint)
    if dim is None:
        dim = Dim.of(f"symbol {len(symbols)}")
        symbols[str(dim)] = hint
    return dim


def agree_outside(test: Hint, inside: Hint, outside: Hint) -> bool:
    """Whether a size inside a branch is that outside of it wherever the branch is not taken:
    `expand * c` is `c` where `expand != 1` is false."""
    match test:
        case HintBinary("or", left, right):
            return any(agree_outside(part, inside, outside) for part in (left, right))
        case HintBinary("!=", left, right) if {left, right} == {inside, outside}:
            return True
        case HintBinary("!=", HintName(label), HintConst() as value):
            known = {label: value}
            one, other = (to_dim(rename_hint(hint, known)) for hint in (inside, outside))
            return one is not None and one == other
    return False


# --- polynomials ----------------------------------------------------------------------------------


def write_dim(
    dim: Dim,
    places: dict[Symbol | Quotient, tuple[int, int]],
    used: dict[Symbol | Quotient, tuple[int, int]],
) -> Hint | None:
    """A size as an expression in atoms that stand in `places` (as names of their text); notes
    the ones it needs. None where an atom is nowhere."""
    total: Hint | None = None
    for monomial, coefficient in sorted(dim.terms, key=lambda term: term[1] < 0):
        product: Hint | None = None
        for atom, power in monomial:
            factor = _write_atom(atom, places, used)
            if factor is None:
                return None
            factor = HintBinary("**", factor, HintConst(power)) if power > 1 else factor
            product = factor if product is None else HintBinary("*", product, factor)
        size = abs(coefficient)
        if product is None:
            product = HintConst(size)
        elif size != 1:
            product = HintBinary("*", HintConst(size), product)
        sign = "-" if coefficient < 0 else "+"
        if total is None:
            total = product if coefficient > 0 else HintUnary("-", product)
        else:
            total = HintBinary(sign, total, product)
    return total if total is not None else HintConst(0)


def write_symbols(dim: Dim) -> Hint:
    """A size as an expression in its symbols."""
    places: dict[Symbol | Quotient, tuple[int, int]] = {Symbol(s): (0, 0) for s in dim.symbols}
    hint = write_dim(dim, places, {})
    assert hint is not None, "every symbol has a place"
    return hint


def _write_atom(
    atom: Symbol | Quotient,
    places: dict[Symbol | Quotient, tuple[int, int]],
    used: dict[Symbol | Quotient, tuple[int, int]],
) -> Hint | None:
    if atom in places:
        used[atom] = places[atom]
        return HintName(str(atom))
    if isinstance(atom, Symbol):
        return None
    above = write_dim(atom.numerator, places, used)
    below = write_dim(atom.denominator, places, used)
    if above is None or below is None:
        return None
    return HintBinary("//", above, below)


def shorten(hint: Hint) -> Hint:
    """Arithmetic on whole numbers in its shortest form: `2 * width + width` is `3 * width`."""
    dim = to_dim(hint)
    if dim is None:
        return hint
    short = write_symbols(dim)
    product = isinstance(hint, HintBinary) and hint.operator == "*"
    if hint_size(short) + product > hint_size(hint):
        return hint  # factors stay in the order of the author
    return short


def to_dim(hint: Hint) -> Dim | None:
    """Arithmetic on whole numbers and names as a polynomial in the names."""
    match hint:
        case HintConst(int() as value):
            return Dim.of(value)
        case HintName(label):
            return Dim.of(label)
        case HintBinary("+" | "-" | "*" | "//" as sign, left, right):
            first, second = to_dim(left), to_dim(right)
            if first is None or second is None or (sign == "//" and second == 0):
                return None
            return _ARITHMETIC[sign](first, second)
    return None


_ARITHMETIC: dict[str, Callable[[Dim, Dim], Dim]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "//": operator.floordiv,
}
