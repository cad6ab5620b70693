"""Breaks lines of Python that are too long, where `ruff format` would break them."""

from __future__ import annotations

import re
from collections.abc import Iterable

from compiler.writing.layout import code_places, nesting, split_words
from compiler.writing.python import WIDTH


def break_line(line: str, ending: str = "") -> list[str]:
    """One logical line as the lines a formatter makes of it; `ending` will follow it.

    A line with brackets is split at its last outermost pair (a definition at its parameters):
    with all of the content on one line where it is no literal of several items and there is room,
    else with one item a line and a trailing comma.
    Lines without brackets stay as they are.
    """
    pair = _find_pair(line) if len(line + ending) > WIDTH else None
    if pair is None:
        return [line]
    start, end = pair
    indent = " " * (len(line) - len(line.lstrip()))
    head, body, tail = line[: start + 1], line[start + 1 : end].strip(), line[end:]
    inner = f"{indent}    "
    clauses = _split_clauses(body)
    items = split_items(body) if len(clauses) == 1 else []
    literal = re.search(r"[\w\])]$", head[:-1]) is None and len(items) > 1
    if len(inner) + len(body) <= WIDTH and not literal:
        return [head, inner + body, indent + tail]
    if len(items) > 1:
        parts = [part for item in items for part in _add_comma(_break_item(inner + item))]
    else:
        parts = [part for clause in clauses for part in _break_clause(inner + clause)]
    return [head, *parts, indent + tail]


def join_lines(lines: Iterable[str]) -> str:
    """A broken line of code as one: what `break_line` is given."""
    joined = ""
    for line in map(str.strip, lines):
        if line[:1] in ")]}":
            joined = joined.removesuffix(",")
        elif joined and joined[-1] not in "([{":
            joined += " "
        joined += line
    return joined


def _break_item(line: str) -> list[str]:
    """An item inside brackets, which a comma follows; a choice (`a if b else c`) is broken at its
    words."""
    return _break_choice(line, WIDTH - 1) or break_line(line, ",")


def _break_choice(line: str, width: int) -> list[str]:
    """A choice that is too long with one line for each of its parts; nothing of anything else."""
    found = split_words(line.strip(), (" if ", " else ")) if len(line) > width else []
    indent = " " * (len(line) - len(line.lstrip()))
    parts = (break_line(indent + part) for part in found)
    return [made for part in parts for made in part] if len(found) == 3 else []


def _break_clause(line: str) -> list[str]:
    """A clause of a comprehension; a condition is broken before its words, a choice at them."""
    if len(line) <= WIDTH or not line.lstrip().startswith("if "):
        return _break_choice(line, WIDTH) or break_line(line)
    indent = " " * (len(line) - len(line.lstrip()))
    return [indent + part for part in split_words(line.strip(), (" and ", " or "))]


def _add_comma(lines: list[str]) -> list[str]:
    return [*lines[:-1], lines[-1] + ","]


def _find_pair(line: str) -> tuple[int, int] | None:
    """The outermost pair of brackets to split: the parameters of a definition, else the last one
    with content before which the line is short enough."""
    pairs = [(a, b) for a, b in find_pairs(line) if line[a + 1 : b].strip()]
    if not pairs:
        return None
    if line.lstrip().startswith("def "):
        return pairs[0]
    short = [pair for pair in pairs if pair[0] < WIDTH]
    return short[-1] if short else pairs[-1]


def find_pairs(text: str) -> list[tuple[int, int]]:
    """Positions of the outermost pairs of brackets."""
    pairs, stack = [], []
    for place in code_places(text):
        if nesting(text[place]) > 0:
            stack.append(place)
        elif nesting(text[place]) < 0 and stack:
            start = stack.pop()
            if not stack:
                pairs.append((start, place))
    return pairs


def split_items(text: str) -> list[str]:
    """The parts between commas outside brackets and strings."""
    items, depth, begin = [], 0, 0
    for place in code_places(text):
        depth += nesting(text[place])
        if text[place] == "," and depth == 0:
            items.append(text[begin:place].strip())
            begin = place + 1
    return [item for item in (*items, text[begin:].strip()) if item]


def _split_clauses(text: str) -> list[str]:
    """A comprehension as its element and its clauses."""
    clauses = split_words(text, (" for ", " if "))
    return clauses if any(clause.startswith("for ") for clause in clauses) else [text]
