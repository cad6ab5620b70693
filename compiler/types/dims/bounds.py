"""What is certain about dims whatever the sizes: bounds, equality and order."""

from __future__ import annotations

from functools import lru_cache
from math import lcm

from compiler.types.dims.polynomial import Dim, DimTooLarge, Monomial, Quotient, Symbol

Bounds = tuple[int | None, int | None]


def equal(left: int | Dim, right: int | Dim) -> bool | None:
    """Whether two dims are equal: True or False where that is certain, None where it is not."""
    if left == right:
        return True
    low, high = bounds(Dim.of(left) - right)
    if (low is not None and low > 0) or (high is not None and high < 0):
        return False
    return None


def at_most(left: int | Dim, right: int | Dim) -> bool | None:
    """Whether `left <= right`: True or False where that is certain, None where it is not."""
    low, high = bounds(Dim.of(right) - left)
    if low is not None and low >= 0:
        return True
    if high is not None and high < 0:
        return False
    return None


@lru_cache(maxsize=8192)
def bounds(dim: Dim) -> Bounds:
    """A lower and an upper bound that hold for all sizes >= 1; None where none is found."""
    if dim.known is not None:
        return dim.known, dim.known
    try:
        return _bound_terms(dim)
    except DimTooLarge:  # what stands between the dim and its bound, not the dim
        return None, None


def _bound_terms(dim: Dim) -> Bounds:
    low, high = _bound_shifted(dim)
    if low is None:
        low = _bound_relaxed(dim, 1)
    if high is None:
        other = _bound_relaxed(dim, -1)
        high = None if other is None else -other
    return low, high


def _bound_shifted(dim: Dim) -> Bounds:
    """Every atom is written as its least value and what exceeds that. Where all coefficients
    are then on one side of 0, the constant term is a bound."""
    total = Dim.of(0)
    for monomial, coefficient in dim.terms:
        term = Dim.of(coefficient)
        for atom, power in monomial:
            least = _least(atom)
            if least is None:
                return None, None
            term = term * (Dim({((atom, 1),): 1}) + least) ** power
        total = total + term
    signs = {c > 0 for m, c in total.terms if m}
    constant = next((c for m, c in total.terms if not m), 0)
    return (None if False in signs else constant), (None if True in signs else constant)


@lru_cache(maxsize=4096)
def _least(atom: Symbol | Quotient) -> int | None:
    """A lower bound of an atom."""
    if isinstance(atom, Symbol):
        return 1
    low, _ = bounds(atom.numerator)
    if low is None:
        return None
    if atom.denominator.known is not None:
        return low // atom.denominator.known
    least, _ = bounds(atom.denominator)
    return 0 if low >= 0 and least is not None and least > 0 else None


def _bound_relaxed(dim: Dim, sign: int) -> int | None:
    """A lower bound of `sign * dim`, with every quotient `n // d` by a number replaced by
    `n / d` where it counts against the bound, and by `(n - d + 1) / d` where it counts for it."""
    scale = 1
    for monomial, _ in dim.terms:
        scale = lcm(scale, *(q.denominator.known or 1 for q in _simple_quotients(monomial)))
    if scale == 1:
        return None
    total = Dim.of(0)
    for monomial, coefficient in dim.terms:
        total = total + _relax(monomial, sign * coefficient, scale)
    low, _ = bounds(total)
    return None if low is None else -(-low // scale)


def _relax(monomial: Monomial, coefficient: int, scale: int) -> Dim:
    """`scale` times a lower bound of the term."""
    quotients = _simple_quotients(monomial)
    if not quotients:
        return Dim({monomial: coefficient * scale})
    quotient = quotients[0]
    divisor = quotient.denominator.known or 1
    rest = Dim({tuple(item for item in monomial if item[0] != quotient): 1})
    near = quotient.numerator if coefficient < 0 else quotient.numerator - (divisor - 1)
    return rest * near * (coefficient * (scale // divisor))


def _simple_quotients(monomial: Monomial) -> list[Quotient]:
    """The quotient of a monomial that may be replaced: by a number, the only quotient, and of
    power 1, so that what it is multiplied with is above 0."""
    found = [(a, p) for a, p in monomial if isinstance(a, Quotient)]
    if len(found) == 1 and found[0][1] == 1 and found[0][0].denominator.known is not None:
        return [found[0][0]]
    return []
