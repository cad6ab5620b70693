"""Numbers in cells: how they are written, and the numbers that they mean."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import lru_cache
from itertools import product

import numpy as np

from compiler.records import dataclass
from compiler.types.tensor import DType

_WHOLE = re.compile(r"[+-]?\d+", re.ASCII)
_SHORT = 18
"""Digits of which i64 holds any."""
LARGEST_SINGLE = float(np.finfo(np.float32).max)
"""The largest number of f32."""
MARKS = (",", ".", "'", "\u2019", " ", "\u00a0", "\u202f", "\u2009", "_")
"""What stands between thousands, somewhere."""
_PARTS = re.compile(
    rf"[+-]?([^\d.,+-]*)[+-]?\d[\d\s{''.join(MARKS)}]*(?:[eE][+-]?\d+)?(\D*(?:(?<=m)[23])?)",
    re.ASCII,
)
"""What stands before and behind a number that is written in any way."""
_BARE = re.compile(r"[+-]?\d[\d.,]*", re.ASCII)
_SIGNS = {"\u2212": "-", "\u066b": ".", "\u066c": ","}
"""Signs of numbers that are written otherwise."""
_BEFORE = re.compile(r"[^\w\s]|[A-Z]{3}|[A-Z]{0,3}\$|(?:Rs|kr|Fr)\.?", re.ASCII)
"""A sign or code of a currency, before the number."""


@dataclass(frozen=True)
class Numerals:
    """A way of writing numbers: what stands before the fraction, between thousands, and beside
    the number."""

    decimal: str = "."
    thousands: str = ""
    unit: str = ""

    def are_whole(self, cells: Collection[str]) -> bool:
        """Whether all cells hold numbers without a fraction."""
        plain = not self.unit and not self.thousands
        return (plain or len(self.read(cells)) == len(cells)) and all(map(self._is_whole, cells))

    def read(self, cells: Collection[str]) -> dict[str, float]:
        """The numbers of those cells (without spaces around them) that hold one."""
        shape = _find_shape(self)
        return {cell: float(self.plain(cell)) for cell in cells if shape.fullmatch(cell)}

    def plain(self, cell: str) -> str:
        """A number as Python writes it."""
        text = cell
        if self.unit:
            text = "".join(text.replace(self.unit, "", 1).split())
        if self.thousands:
            text = text.replace(self.thousands, "")
        return text if self.decimal == "." else text.replace(self.decimal, ".")

    def find_large_whole(self, cells: Collection[str]) -> set[str]:
        """Those of some whole numbers that do not fit into i64."""
        long = {cell for cell in cells if len(cell) > _SHORT}
        return {cell for cell in long if not _fits(self.plain(cell))}

    def _is_whole(self, cell: str) -> bool:
        return _WHOLE.fullmatch(self.plain(cell)) is not None

    def options(self, known: Numerals) -> str:
        """The options of a source that make the difference to a way that is known."""
        pairs = [
            (name, getattr(self, name))
            for name in ("decimal", "thousands", "unit")
            if getattr(self, name) != getattr(known, name)
        ]
        return ", ".join(f'{name}="{_show(value)}"' for name, value in pairs)


def _show(text: str) -> str:
    """A mark or a unit as a string of a spec: only a plain space looks like one."""
    text = text.replace("\\", "\\\\").replace('"', '\\"')
    return "".join(c if c == " " or not c.isspace() else f"\\u{ord(c):04x}" for c in text)


def find_large(numbers: Mapping[str, float]) -> set[str]:
    """Cells, each with its number, that f32 does not hold; `inf` is infinite by itself."""
    large = {cell for cell, number in numbers.items() if abs(number) > LARGEST_SINGLE}
    return {cell for cell in large if any(character.isdigit() for character in cell)}


def _fits(number: str) -> bool:
    """Whether i64 holds a whole number, however many digits it has."""
    digits = number.lstrip("+-").lstrip("0")
    return len(digits) <= _SHORT + 1 and DType.I64.holds(int(number))


@lru_cache(maxsize=256)
def _find_shape(way: Numerals) -> re.Pattern[str]:
    decimal, between, unit = map(re.escape, (way.decimal, way.thousands, way.unit))
    whole = r"[0-9]+"
    if between:  # in groups of three, or as in India: 12,34,567
        groups = rf"[1-9][0-9]{{0,2}}(?:{between}[0-9]{{3}})+"
        whole = rf"{groups}|[1-9][0-9]?(?:{between}[0-9]{{2}})+{between}[0-9]{{3}}|[0-9]+"
    number = rf"(?:(?:{whole})(?:{decimal}[0-9]*)?|{decimal}[0-9]+)(?:[eE][+-]?[0-9]+)?"
    if not unit:
        return re.compile(rf"[+-]?(?:{number}|inf|infinity)", re.ASCII | re.IGNORECASE)
    before = rf"(?:[+-]?{unit}\s*|{unit}\s*[+-]?){number}"
    return re.compile(rf"{before}|[+-]?{number}\s*{unit}")  # any space, also one without a break


def find_disguised(cells: Iterable[str]) -> set[str]:
    """Cells with a number in other digits than 0 to 9, or in the brackets of what is owed
    (`(1,200)`)."""
    found = set()
    for cell in cells:
        text = "".join(_plain_digit(c) for c in unicodedata.normalize("NFKC", cell))
        if text.startswith("(") and text.endswith(")"):
            text = f"-{text[1:-1]}"
        if text != cell and _BARE.fullmatch(text):
            found.add(cell)
    return found


def _plain_digit(character: str) -> str:
    if character in _SIGNS:
        return _SIGNS[character]
    return str(unicodedata.decimal(character, character))


def find_unit(cells: Mapping[str, int]) -> str:
    """What stands beside the number in most of the cells (each with its number of rows), always
    the same; empty where there is no such thing."""
    rows: dict[str, int] = {}
    for cell, count in cells.items():
        parts = _PARTS.fullmatch(cell)
        if parts is not None:
            before, behind = (part.strip() for part in parts.groups())
            if not (before and behind) and (not before or _BEFORE.fullmatch(before)):
                rows[before or behind] = rows.get(before or behind, 0) + count
    best = max(rows, key=lambda unit: rows[unit], default="")
    return best if 2 * rows.get(best, 0) > sum(cells.values()) and len(best) <= 12 else ""


MULTIPLES = frozenset("kKMGT")
"""Thousands, millions and so on, behind a number: `5k`."""
PREFIXES = ("", "k", "M", "G", "T", "h", "d", "c", "m", "µ", "μ", "u", "n")
"""What stands before a unit for a multiple of it."""


def find_units(cells: Iterable[str]) -> dict[str, list[str]]:
    """The cells by what stands beside their numbers, where all of them hold numbers and these
    differ in their units, or have one in part; else none."""
    found: dict[str, list[str]] = {}
    for cell in cells:
        parts = _PARTS.fullmatch(cell)
        if parts is None:
            return {}
        before, behind = (part.strip() for part in parts.groups())
        if (before and behind) or (before and not _BEFORE.fullmatch(before)):
            return {}
        found.setdefault(before or behind, []).append(cell)
    return found if len(found) > 1 else {}


def measure_alike(units: Collection[str]) -> bool:
    """Whether units are multiples of one (`kg` and `g`, or `k` and `M` alone), or all of them signs
    of currencies."""
    if MULTIPLES.issuperset(units) or all(_BEFORE.fullmatch(unit) for unit in units):
        return True
    bases = [
        {unit.removeprefix(prefix) for prefix in PREFIXES if unit.startswith(prefix)} - {""}
        for unit in units
    ]
    return bool(set.intersection(*bases))


def find_ways(cells: Mapping[str, int], known: Numerals) -> list[tuple[Numerals, dict[str, float]]]:
    """The ways of writing that read most of the cells (each with its number of rows), with what
    they read; those that differ from the known one in fewest options come first."""
    loose = {cell for cell in cells if _PARTS.fullmatch(cell)}
    found: list[tuple[int, int, Numerals, dict[str, float]]] = []
    for way in _candidates(known, find_unit(cells)):
        numbers = way.read(loose)
        rows = sum(cells[cell] for cell in numbers)
        others = sum(cells.values()) - rows
        if rows > others or len(numbers) > len(cells) - len(numbers):
            changes = way.options(known).count("=")
            found.append((-rows, changes, way, numbers))
    found.sort(key=lambda entry: entry[:2])
    best: list[tuple[Numerals, dict[str, float]]] = []
    for rows, n, way, numbers in found:
        # Ways that mean the same numbers are one: `thousands` matters where it occurs.
        if (rows, n) == found[0][:2] and all(numbers != other for _, other in best):
            best.append((way, numbers))
    return best


def find_mixed(cells: Mapping[str, int], known: Numerals) -> set[str]:
    """The cells that are numbers in one way or another, where most are so and no way reads most of
    them: a decimal comma here and a point there."""
    loose = {cell for cell in cells if _PARTS.fullmatch(cell)}
    found: set[str] = set()
    for way in _candidates(known, known.unit) if loose else ():
        found |= way.read(loose).keys()
    return found if 2 * sum(cells[cell] for cell in found) > sum(cells.values()) else set()


def _candidates(known: Numerals, unit: str) -> Iterator[Numerals]:
    for own in dict.fromkeys((known.unit, unit)):
        yield Numerals(known.decimal, known.thousands, own)
        for decimal, thousands in product(".,", ("", *MARKS)):
            if decimal != thousands:
                yield Numerals(decimal, thousands, own)
