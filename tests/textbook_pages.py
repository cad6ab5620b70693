"""Chapters of the textbook: their specs, and the numbers that are printed below each."""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "docs" / "textbook"
INDEX = FOLDER / "index.md"
CHAPTERS = sorted(set(FOLDER.glob("*.md")) - {INDEX})
FENCE = re.compile(r"^```weft(?P<rest>[^\n]*)\n(?P<text>.*?)^```$", re.M | re.S)
TITLE = re.compile(r' title="(\w+)"')
NEXT = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```$", re.M | re.S)
GIVES = "# gives\n"
ROUNDED = 4
"""Numbers with that many decimals are rounded to the last of them; others are exact."""


@dataclass(frozen=True)
class Printed:
    """Numbers as a page prints them, and how far from them what they round may be."""

    numbers: Array
    slack: Array


@dataclass(frozen=True)
class Example:
    """A spec of a chapter, what goes into it, and what it gives, by name."""

    chapter: str
    name: str
    text: str
    given: Mapping[str, Array]
    gives: Mapping[str, Printed]


def read_chapter(path: Path) -> list[Example]:
    """The specs of a chapter in order."""
    return list(_read(path.stem, path.read_text(encoding="utf-8")))


def _read(chapter: str, page: str) -> Iterator[Example]:
    for fence in FENCE.finditer(page):
        title = TITLE.fullmatch(fence["rest"])
        assert title, f"{chapter}: a spec without a title:\n{fence['text']}"
        numbers = NEXT.search(page, fence.end())
        assert numbers and numbers[1] == "python", f"{chapter}: no numbers below {title[1]}"  # noqa: PT018
        given, found, gives = numbers[2].partition(GIVES)
        assert found, f"{chapter}: no line {GIVES!r} in the numbers of {title[1]}"
        yield Example(
            chapter,
            title[1],
            fence["text"],
            {name: _evaluate(value) for name, value in _read_lines(given)},
            {name: _read_printed(value, gives) for name, value in _read_lines(gives)},
        )


def _read_lines(text: str) -> Iterator[tuple[str, ast.expr]]:
    for line in ast.parse(text).body:
        assert isinstance(line, ast.Assign), ast.unparse(line)
        yield ast.unparse(line.targets[0]), line.value


def _evaluate(value: ast.expr) -> Array:
    """An array of floats in single precision, whole numbers or truth values."""
    array = np.asarray(eval(ast.unparse(value), {"np": np}))
    return array.astype(np.float32) if array.dtype.kind == "f" else array


def _read_printed(value: ast.expr, text: str) -> Printed:
    if isinstance(value, ast.List):
        parts = [_read_printed(part, text) for part in value.elts]
        return Printed(np.stack([p.numbers for p in parts]), np.stack([p.slack for p in parts]))
    number = ast.literal_eval(value)
    digits, _, power = (ast.get_source_segment(text, value) or "").lower().partition("e")
    decimals = len(digits.partition(".")[2])
    unit = 10.0 ** (int(power or 0) - decimals) if decimals >= ROUNDED else 0.0
    size = abs(number) if math.isfinite(number) else 0.0
    rounding = 1e-6 * max(size, 1e-3)  # of single precision; counts are exact
    if isinstance(number, int):
        rounding = min(rounding, 0.1)
    return Printed(np.asarray(number), np.asarray(0.5 * unit + rounding))
