"""The units a number may carry, and what a number with one is worth."""

from __future__ import annotations

import re
from fractions import Fraction

from compiler.records import dataclass


@dataclass(frozen=True)
class Unit:
    """What one of a unit is worth, and whether it counts things that come whole."""

    worth: Fraction
    counts: bool


UNITS: dict[str, Unit] = {
    "%": Unit(Fraction(1, 100), counts=False),
    "B": Unit(Fraction(1), counts=True),
    "KB": Unit(Fraction(10**3), counts=True),
    "MB": Unit(Fraction(10**6), counts=True),
    "GB": Unit(Fraction(10**9), counts=True),
    "TB": Unit(Fraction(10**12), counts=True),
    "KiB": Unit(Fraction(2**10), counts=True),
    "MiB": Unit(Fraction(2**20), counts=True),
    "GiB": Unit(Fraction(2**30), counts=True),
    "TiB": Unit(Fraction(2**40), counts=True),
    "ns": Unit(Fraction(1, 10**9), counts=False),
    "us": Unit(Fraction(1, 10**6), counts=False),
    "ms": Unit(Fraction(1, 10**3), counts=False),
    "s": Unit(Fraction(1), counts=False),
    "min": Unit(Fraction(60), counts=False),
    "h": Unit(Fraction(3600), counts=False),
    "epoch": Unit(Fraction(1), counts=True),
    "epochs": Unit(Fraction(1), counts=True),
    "step": Unit(Fraction(1), counts=True),
    "steps": Unit(Fraction(1), counts=True),
}
"""Sizes are in bytes, times in seconds; `epochs` and `steps` say what is counted."""

DIGITS = 40
"""More digits than any quantity of a network has; Python refuses to read thousands of them."""

_NUMBER = re.compile(r"([\d_]+(?:\.[\d_]+)?(?:[eE][+-]?\d+)?)(.*)", re.DOTALL)


NOT_PLAIN = frozenset(("ns", "us", "ms", "s", "min", "h", "epoch", "epochs", "step", "steps"))
"""Units that make a number something else than a plain number."""


def spell_quantity(value: float, unit: str) -> str:
    """A number as it is written with its unit: 300 seconds with the unit min are `5min`."""
    return f"{value / float(UNITS[unit].worth):g}{unit}"


def split_number(text: str) -> tuple[str, str | None]:
    """The digits of a number as written, and the unit behind them."""
    match = _NUMBER.fullmatch(text)
    if match is None:
        raise ValueError(f"not a number: {text!r}")
    return match[1].replace("_", ""), match[2] or None


def read_quantity(digits: str, unit: Unit | None) -> int | float:
    """The value of a number: whole without point, exponent or fractional unit, nearest otherwise.

    Raises OverflowError for a number beyond the reach of a 64-bit float or of `DIGITS` digits.
    """
    mantissa, _, exponent = digits.lower().partition("e")
    if len(mantissa) > DIGITS or len(exponent) > 4:
        raise OverflowError(digits)
    if unit is None:
        return int(digits) if digits.isdecimal() else float(Fraction(digits))
    value = Fraction(digits) * unit.worth
    float(value)  # a whole number is as large as a float may be, so that each has one next to it
    return int(value) if unit.counts and value.denominator == 1 else float(value)


SIZES = (("B", 0), ("KiB", 1), ("MiB", 1), ("GiB", 2), ("TiB", 2), ("PiB", 2), ("EiB", 2))
"""Units of bytes in texts, each 1024 of the one before, and the digits behind the point."""


def format_size(size: float) -> str:
    """A number of bytes as people read it: 1536 is 1.5 KiB."""
    for unit, digits in SIZES[:-1]:
        if abs(size) < 1024:
            return f"{size:.{digits}f} {unit}"
        size /= 1024
    unit, digits = SIZES[-1]
    return f"{size:.{digits}f} {unit}"
