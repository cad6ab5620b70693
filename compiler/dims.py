"""Symbolic dimensions: exact integer polynomials over named sizes and floor quotients.

A `Dim` is kept in canonical form, so that structural equality is equality of polynomials. Every
symbol stands for a size of at least 1; that is what lets signs and inequalities be decided.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import reduce
from math import gcd

Monomial = tuple[tuple["Symbol | Quotient", int], ...]
"""Atoms with their powers, ordered by their text; the empty monomial is the constant term."""


class DimError(ArithmeticError):
    """Arithmetic on dimensions that has no exact integer result."""


@dataclass(frozen=True, slots=True)
class Symbol:
    """A size that is not known when compiling, e.g. `batch`."""

    name: str

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True)
class Quotient:
    """`numerator // denominator`, rounded down, where it does not simplify."""

    numerator: Dim
    denominator: Dim

    def __str__(self) -> str:
        return f"{_enclosed(self.numerator)} // {_enclosed(self.denominator)}"


class Dim:
    """A size: an int or a polynomial in symbols. Immutable; hashes and compares like an int
    when it is constant."""

    __slots__ = ("_hash", "terms")
    terms: tuple[tuple[Monomial, int], ...]

    def __init__(self, terms: Mapping[Monomial, int]) -> None:
        kept = [(m, c) for m, c in terms.items() if c]
        kept.sort(key=lambda term: (-sum(p for _, p in term[0]), _monomial_text(term[0])))
        object.__setattr__(self, "terms", tuple(kept))
        known = self.known
        object.__setattr__(self, "_hash", hash(known if known is not None else self.terms))

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError("a Dim is immutable")

    # --- making ---------------------------------------------------------------------------

    @staticmethod
    def of(value: int | str | Dim) -> Dim:
        """A dim from an int, a symbol's name, or a dim."""
        match value:
            case Dim():
                return value
            case int():
                return Dim({(): value})
            case str():
                return Dim({((Symbol(value), 1),): 1})

    # --- asking ---------------------------------------------------------------------------

    @property
    def known(self) -> int | None:
        """The number, if this is one."""
        if not self.terms:
            return 0
        if len(self.terms) == 1 and not self.terms[0][0]:
            return self.terms[0][1]
        return None

    @property
    def symbols(self) -> frozenset[str]:
        """Names of all symbols in it."""
        return frozenset(_symbols(self))

    def evaluate(self, sizes: Mapping[str, int]) -> int:
        """The number for given sizes of the symbols.

        Raises:
            KeyError: a symbol has no size.
        """
        total = 0
        for monomial, coefficient in self.terms:
            value = coefficient
            for atom, power in monomial:
                value *= _evaluate_atom(atom, sizes) ** power
            total += value
        return total

    def substitute(self, sizes: Mapping[str, int | Dim]) -> Dim:
        """This dim with symbols replaced; symbols that are not named stay."""
        if self.known is not None or not (self.symbols & sizes.keys()):
            return self
        total = Dim({})
        for monomial, coefficient in self.terms:
            product = Dim.of(coefficient)
            for atom, power in monomial:
                product = product * _substitute_atom(atom, sizes) ** power
            total = total + product
        return total

    # --- arithmetic -----------------------------------------------------------------------

    def __add__(self, other: int | Dim) -> Dim:
        terms = dict(self.terms)
        for monomial, coefficient in Dim.of(other).terms:
            terms[monomial] = terms.get(monomial, 0) + coefficient
        return Dim(terms)

    def __mul__(self, other: int | Dim) -> Dim:
        terms: dict[Monomial, int] = {}
        for left, a in self.terms:
            for right, b in Dim.of(other).terms:
                monomial = _multiply(left, right)
                terms[monomial] = terms.get(monomial, 0) + a * b
        return Dim(terms)

    __radd__ = __add__
    __rmul__ = __mul__

    def __neg__(self) -> Dim:
        return self * -1

    def __sub__(self, other: int | Dim) -> Dim:
        return self + Dim.of(other) * -1

    def __rsub__(self, other: int | Dim) -> Dim:
        return Dim.of(other) - self

    def __pow__(self, power: int) -> Dim:
        return reduce(lambda product, _: product * self, range(power), Dim.of(1))

    def __floordiv__(self, other: int | Dim) -> Dim:
        return _floor_divide(self, Dim.of(other))

    def __rfloordiv__(self, other: int | Dim) -> Dim:
        return _floor_divide(Dim.of(other), self)

    def __mod__(self, other: int | Dim) -> Dim:
        return self - (self // other) * other

    def __rmod__(self, other: int | Dim) -> Dim:
        return Dim.of(other) % self

    def __truediv__(self, other: int | Dim) -> Dim:
        """The exact quotient.

        Raises:
            DimError: it cannot be proved to be whole, or the divisor is zero.
        """
        quotient = _exact_divide(self, Dim.of(other))
        if quotient is None:
            raise DimError(f"{self} / {other} is not provably whole")
        return quotient

    def __rtruediv__(self, other: int | Dim) -> Dim:
        return Dim.of(other) / self

    # --- comparing ------------------------------------------------------------------------

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Dim):
            return self.terms == other.terms
        if isinstance(other, int):
            return self.known == other
        return NotImplemented

    def __hash__(self) -> int:
        return self._hash  # type: ignore[no-any-return, attr-defined]

    def __repr__(self) -> str:
        return f"Dim({self})"

    def __str__(self) -> str:
        return _text(self)

    def __reduce__(self) -> tuple[object, ...]:
        return Dim, (dict(self.terms),)


def equal(left: int | Dim, right: int | Dim) -> bool | None:
    """Whether two dims are equal: True or False where that is certain, None where it is not."""
    difference = Dim.of(left) - right
    if difference.known is not None:
        return difference.known == 0
    low, high = bounds(difference)
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


def bounds(dim: Dim) -> tuple[int | None, int | None]:
    """A lower and an upper bound that hold for all sizes >= 1; None where there is none."""
    low: int | None = 0
    high: int | None = 0
    for monomial, coefficient in dim.terms:
        least, most = _monomial_bounds(monomial)
        if coefficient < 0:
            least, most = most, least
        low = None if low is None or least is None else low + coefficient * least
        high = None if high is None or most is None else high + coefficient * most
    return low, high


def product(dims: Iterable[int | Dim]) -> Dim:
    """The product of dims; 1 for none."""
    return reduce(lambda total, dim: total * dim, dims, Dim.of(1))


# --- canonical form ---------------------------------------------------------------------------


def _multiply(left: Monomial, right: Monomial) -> Monomial:
    powers: dict[Symbol | Quotient, int] = dict(left)
    for atom, power in right:
        powers[atom] = powers.get(atom, 0) + power
    return tuple(sorted(powers.items(), key=lambda item: str(item[0])))


def _exact_divide(dividend: Dim, divisor: Dim) -> Dim | None:
    """Polynomial division that leaves no remainder, or None."""
    if not divisor.terms:
        return None
    if dividend == divisor:
        return Dim.of(1)
    lead, lead_coefficient = divisor.terms[0]
    quotient, rest = Dim({}), dividend
    for _ in range(len(dividend.terms) * 4 + 4):
        if not rest.terms:
            return quotient
        monomial, coefficient = rest.terms[0]
        shared = _divide_monomial(monomial, lead)
        if shared is None or coefficient % lead_coefficient:
            return None
        step = Dim({shared: coefficient // lead_coefficient})
        quotient, rest = quotient + step, rest - step * divisor
    return None


def _divide_monomial(dividend: Monomial, divisor: Monomial) -> Monomial | None:
    powers = dict(dividend)
    for atom, power in divisor:
        left = powers.get(atom, 0) - power
        if left < 0:
            return None
        powers[atom] = left
    return tuple((atom, power) for atom, power in powers.items() if power)


def _floor_divide(dividend: Dim, divisor: Dim) -> Dim:
    if not divisor.terms:
        raise DimError(f"{dividend} // 0")
    exact = _exact_divide(dividend, divisor)
    if exact is not None:
        return exact
    known = divisor.known
    if known is None:
        return Dim({((Quotient(dividend, divisor), 1),): 1})
    if known < 0:
        return _floor_divide(-dividend, Dim.of(-known))
    whole, rest = _split_by_divisor(dividend, known)
    inner = _single_quotient(rest)
    if inner is not None:  # (x // a + c) // b == (x + a * c) // (a * b), for positive a and b
        quotient, constant = inner
        factor = quotient.denominator.known or 1
        return whole + _floor_divide(quotient.numerator + factor * constant, Dim.of(factor * known))
    if rest.known is not None:
        return whole + rest.known // known
    shared = gcd(known, *(c for _, c in rest.terms))
    if shared > 1:
        return whole + _floor_divide(
            Dim({m: c // shared for m, c in rest.terms}), Dim.of(known // shared)
        )
    return whole + Dim({((Quotient(rest, divisor), 1),): 1})


def _split_by_divisor(dividend: Dim, divisor: int) -> tuple[Dim, Dim]:
    """`dividend == whole * divisor + rest`, with every coefficient of rest in [0, divisor)."""
    whole = Dim({m: c // divisor for m, c in dividend.terms})
    return whole, dividend - whole * divisor


def _single_quotient(dim: Dim) -> tuple[Quotient, int] | None:
    """`dim` as one quotient by a known number plus a constant, if it is that."""
    constant = 0
    quotient: Quotient | None = None
    for monomial, coefficient in dim.terms:
        match monomial:
            case ():
                constant = coefficient
            case ((Quotient() as atom, 1),) if coefficient == 1 and quotient is None:
                quotient = atom
            case _:
                return None
    if quotient is None or quotient.denominator.known is None:
        return None
    return quotient, constant


# --- atoms ------------------------------------------------------------------------------------


def _symbols(dim: Dim) -> Iterator[str]:
    for monomial, _ in dim.terms:
        for atom, _ in monomial:
            if isinstance(atom, Symbol):
                yield atom.name
            else:
                yield from _symbols(atom.numerator)
                yield from _symbols(atom.denominator)


def _evaluate_atom(atom: Symbol | Quotient, sizes: Mapping[str, int]) -> int:
    if isinstance(atom, Symbol):
        return sizes[atom.name]
    return atom.numerator.evaluate(sizes) // atom.denominator.evaluate(sizes)


def _substitute_atom(atom: Symbol | Quotient, sizes: Mapping[str, int | Dim]) -> Dim:
    if isinstance(atom, Symbol):
        return Dim.of(sizes.get(atom.name, atom.name))
    return atom.numerator.substitute(sizes) // atom.denominator.substitute(sizes)


def _monomial_bounds(monomial: Monomial) -> tuple[int | None, int | None]:
    """Bounds of a product of atoms; only products of atoms >= 0 are bounded."""
    low, high = 1, True
    for atom, power in monomial:
        least = 1
        if isinstance(atom, Quotient):
            numerator, _ = bounds(atom.numerator)
            divisor = atom.denominator.known
            if numerator is None or divisor is None:
                positive = numerator is not None and numerator >= 0
                least_divisor, _ = bounds(atom.denominator)
                if not (positive and least_divisor is not None and least_divisor > 0):
                    return None, None
                least = 0
            else:
                least = numerator // divisor
        if least < 0 and (len(monomial) > 1 or power > 1):
            return None, None
        low *= least**power
        high = False
    return low, (1 if high else None)


# --- text -------------------------------------------------------------------------------------


def _monomial_text(monomial: Monomial) -> str:
    parts = []
    for atom, power in monomial:
        text = str(atom)
        if isinstance(atom, Quotient) and (len(monomial) > 1 or power > 1):
            text = f"({text})"
        parts.append(text if power == 1 else f"{text} ** {power}")
    return " * ".join(parts)


def _text(dim: Dim) -> str:
    if not dim.terms:
        return "0"
    text = ""
    for monomial, coefficient in dim.terms:
        size = abs(coefficient)
        body = _monomial_text(monomial)
        if not body:
            body = str(size)
        elif size != 1:
            quotient = len(monomial) == 1 and isinstance(monomial[0][0], Quotient)
            body = f"{size} * ({body})" if quotient else f"{size} * {body}"
        if not text:
            text = f"-{body}" if coefficient < 0 else body
        else:
            text += f" - {body}" if coefficient < 0 else f" + {body}"
    return text


def _enclosed(dim: Dim) -> str:
    text = _text(dim)
    return f"({text})" if any(char in text for char in "+-*/ ") else text
