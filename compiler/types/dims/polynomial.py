"""Dims as polynomials: exact arithmetic over named sizes and quotients rounded down."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache, reduce
from math import gcd

from compiler.records import dataclass

Monomial = tuple[tuple["Symbol | Quotient", int], ...]
"""Atoms with their powers, ordered by their text; the empty monomial is the constant term."""


MAX_WEIGHT = 512
"""Symbols and numbers in the largest dim; what a size takes in a network is some ten."""

MAX_PRODUCT = 4096
"""Pairs of terms that a product may have."""

MAX_BITS = 1023
"""Bits of the largest whole number: every one of them has a 64-bit float next to it."""


class DimError(ArithmeticError):
    """Arithmetic on dimensions that has no exact integer result."""


class DimTooLarge(ArithmeticError):
    """Arithmetic on dimensions whose result no person could read: it is not computed."""


@dataclass(frozen=True)
class Symbol:
    """A size that is not known when compiling, e.g. `batch`."""

    name: str

    @property
    def weight(self) -> int:
        """Symbols and numbers in it."""
        return 1

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True)
class Quotient:
    """`numerator // denominator`, rounded down, where it does not simplify."""

    numerator: Dim
    denominator: Dim

    @property
    def weight(self) -> int:
        """Symbols and numbers in it."""
        return 1 + self.numerator.weight + self.denominator.weight

    def __str__(self) -> str:
        return _quotient_text(self.numerator, self.denominator)


class Dim:
    """A size: an int or a polynomial in symbols. Immutable; hashes and compares like an int
    when it is constant.

    Raises `DimTooLarge` where it would have more than `MAX_WEIGHT` parts or `MAX_BITS` bits: that
    keeps the cost of everything that is done with one within bounds.
    """

    __slots__ = ("_hash", "known", "terms", "weight")
    terms: tuple[tuple[Monomial, int], ...]
    """Monomials with their coefficients, none of them 0, highest degree first."""
    known: int | None
    """The number, if this is one."""
    weight: int
    """Symbols and numbers in it, those of quotients too."""
    _hash: int

    def __init__(self, terms: Mapping[Monomial, int]) -> None:
        kept = [(m, c) for m, c in terms.items() if c]
        if len(kept) > 1:
            kept.sort(key=_rank_term)
        known = 0 if not kept else kept[0][1] if len(kept) == 1 and not kept[0][0] else None
        object.__setattr__(self, "weight", _weigh(kept))
        object.__setattr__(self, "terms", tuple(kept))
        object.__setattr__(self, "known", known)
        object.__setattr__(self, "_hash", hash(self.terms if known is None else known))

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError("a Dim is immutable")

    # --- making ---------------------------------------------------------------------------

    @staticmethod
    def of(value: int | str | Dim) -> Dim:
        """A dim from an int, a symbol's name, or a dim.

        Raises:
            TypeError: it is none of them, such as a number with a fraction.
        """
        match value:
            case Dim():
                return value
            case int():
                return _constant(value)
            case str():
                return _symbol(value)
        raise TypeError(f"{value!r} is no size")

    # --- asking ---------------------------------------------------------------------------

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
        return self if other == 0 else _add(self, Dim.of(other))

    def __mul__(self, other: int | Dim) -> Dim:
        return self if other == 1 else _times(self, Dim.of(other))

    __radd__ = __add__
    __rmul__ = __mul__

    def __neg__(self) -> Dim:
        return self * -1

    def __sub__(self, other: int | Dim) -> Dim:
        return self + Dim.of(other) * -1

    def __rsub__(self, other: int | Dim) -> Dim:
        return Dim.of(other) - self

    def __pow__(self, power: int) -> Dim:
        if power < 0:
            raise DimError(f"{self} ** {power} is not whole")
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
        if self is other:
            return True
        if isinstance(other, Dim):
            return self._hash == other._hash and self.terms == other.terms
        if isinstance(other, int):
            return self.known == other
        return NotImplemented

    def __hash__(self) -> int:
        return self._hash

    def __repr__(self) -> str:
        return f"Dim({self})"

    def __str__(self) -> str:
        return _text(self)

    def __reduce__(self) -> tuple[object, ...]:
        return Dim, (dict(self.terms),)


def product(dims: Iterable[int | Dim]) -> Dim:
    """The product of dims; 1 for none."""
    return reduce(lambda total, dim: total * dim, dims, Dim.of(1))


# --- canonical form ---------------------------------------------------------------------------


def _weigh(terms: Sequence[tuple[Monomial, int]]) -> int:
    """The weight of a dim of these terms."""
    weight = 0
    for monomial, coefficient in terms:
        weight += 1 + sum(atom.weight for atom, _ in monomial)
        if coefficient.bit_length() > MAX_BITS:
            raise DimTooLarge(f"a number has more than {MAX_BITS} bits")
    if weight > MAX_WEIGHT:
        raise DimTooLarge(f"the size has more than {MAX_WEIGHT} symbols and numbers")
    return weight


@lru_cache(maxsize=4096)
def _constant(value: int) -> Dim:
    return Dim({(): int(value)})


@lru_cache(maxsize=1024)
def _symbol(name: str) -> Dim:
    return Dim({((Symbol(name), 1),): 1})


@lru_cache(maxsize=4096)
def _add(left: Dim, right: Dim) -> Dim:
    terms = dict(left.terms)
    for monomial, coefficient in right.terms:
        terms[monomial] = terms.get(monomial, 0) + coefficient
    return Dim(terms)


@lru_cache(maxsize=4096)
def _times(left: Dim, right: Dim) -> Dim:
    if len(left.terms) * len(right.terms) > MAX_PRODUCT:
        raise DimTooLarge(f"the product has more than {MAX_PRODUCT} terms")
    terms: dict[Monomial, int] = {}
    for first, a in left.terms:
        for second, b in right.terms:
            monomial = _multiply(first, second)
            terms[monomial] = terms.get(monomial, 0) + a * b
    return Dim(terms)


def _rank_term(term: tuple[Monomial, int]) -> tuple[int, tuple[tuple[str, int], ...]]:
    """Orders terms by degree, then by atom: an order that products keep, which is what exact
    division needs (graded lexicographic; Cox, Little and O'Shea, chapter 2)."""
    monomial = term[0]
    return -sum(p for _, p in monomial), tuple((str(a), -p) for a, p in monomial)


def _multiply(left: Monomial, right: Monomial) -> Monomial:
    powers: dict[Symbol | Quotient, int] = dict(left)
    for atom, power in right:
        powers[atom] = powers.get(atom, 0) + power
    return tuple(sorted(powers.items(), key=lambda item: str(item[0])))


@lru_cache(maxsize=4096)
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


@lru_cache(maxsize=4096)
def _floor_divide(dividend: Dim, divisor: Dim) -> Dim:
    if not divisor.terms:
        raise DimError(f"{dividend} // 0")
    exact = _exact_divide(dividend, divisor)
    if exact is not None:
        return exact
    known = divisor.known
    if known is None:
        nested = _nested_quotient(dividend)
        if nested is not None and _is_product(divisor):  # (n // d) // k is n // (d * k)
            return _floor_divide(nested.numerator, nested.denominator * divisor)
        common = _find_shared(dividend, divisor)
        if common is not None:
            return _floor_divide(dividend / common, divisor / common)
        count = _count_divisors(dividend, divisor)
        left = dividend - divisor * count
        return Dim({((Quotient(left, divisor), 1),): 1}) + count
    if known < 0:
        return _floor_divide(-dividend, Dim.of(-known))
    whole, rest = _split_by_divisor(dividend, known)
    inner = _single_quotient(rest)
    if inner is not None:  # (n // d + p) // k == (n + d * p) // (d * k), for positive d and k
        quotient, others = inner
        factor = quotient.denominator.known or 1
        return whole + _floor_divide(quotient.numerator + others * factor, Dim.of(factor * known))
    if rest.known is not None:
        return whole + rest.known // known
    shared = gcd(known, *(c for m, c in rest.terms if m))  # g p + c over g k: c counts by c // g
    if shared > 1:
        return whole + _floor_divide(
            Dim({m: c // shared for m, c in rest.terms}), Dim.of(known // shared)
        )
    return whole + Dim({((Quotient(rest, divisor), 1),): 1})


def _is_product(dim: Dim) -> bool:
    """Whether a dim is a product of sizes, and so above 0."""
    return len(dim.terms) == 1 and dim.terms[0][1] > 0


def _nested_quotient(dim: Dim) -> Quotient | None:
    """A dim that is one quotient by a product of sizes."""
    match dim.terms:
        case ((((Quotient() as atom, 1),), 1),) if _is_product(atom.denominator):
            return atom
    return None


def _find_shared(dividend: Dim, divisor: Dim) -> Dim | None:
    """A size that both sides of a quotient have as a factor."""
    if not _is_product(divisor):
        return None
    for atom, _ in divisor.terms[0][0]:
        monomials = (dict(monomial) for monomial, _ in dividend.terms)
        if isinstance(atom, Symbol) and all(atom in monomial for monomial in monomials):
            return Dim.of(atom.name)
    return None


def _count_divisors(dividend: Dim, divisor: Dim) -> int:
    """How often a divisor without known size stands in a sum: `(n - p) // p` is `n // p - 1`."""
    lead, factor = divisor.terms[0]
    coefficient = dict(dividend.terms).get(lead, 0)
    return 0 if coefficient % factor else coefficient // factor


def _split_by_divisor(dividend: Dim, divisor: int) -> tuple[Dim, Dim]:
    """`dividend == whole * divisor + rest`, with every coefficient of rest in [0, divisor)."""
    whole = Dim({m: c // divisor for m, c in dividend.terms})
    return whole, dividend - whole * divisor


def _single_quotient(dim: Dim) -> tuple[Quotient, Dim] | None:
    """`dim` as one quotient by a known number plus what has no quotient, if it is that."""
    found: Quotient | None = None
    for monomial, coefficient in dim.terms:
        match monomial:
            case ((Quotient() as atom, 1),) if coefficient == 1 and found is None:
                found = atom
            case _ if any(isinstance(atom, Quotient) for atom, _ in monomial):
                return None
    if found is None or found.denominator.known is None:
        return None
    return found, dim - Dim({((found, 1),): 1})


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
    first = next((place for place, (_, c) in enumerate(dim.terms) if c > 0), 0)
    terms = (dim.terms[first], *dim.terms[:first], *dim.terms[first + 1 :])  # `24 - p`
    for monomial, coefficient in terms:
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


@lru_cache(maxsize=4096)
def _quotient_text(numerator: Dim, denominator: Dim) -> str:
    return f"{_enclosed(numerator)} // {_enclosed(denominator)}"


def _enclosed(dim: Dim) -> str:
    text = _text(dim)
    return f"({text})" if any(char in text for char in "+-*/ ") else text
