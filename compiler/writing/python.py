"""Python source: literals, docstrings and comments, whatever the text in them."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence

from compiler.types.tensor import DType

WIDTH = 88
"""Columns of generated code."""


class CodeName(str):
    """A value that is a dotted name in code, e.g. the function `F.relu`."""

    __slots__ = ()


class ClassName(CodeName):
    """A class of modules, or a call of one, that takes no arguments, e.g. `nn.ReLU`."""

    __slots__ = ()


def show(text: str) -> str:
    """The text with an escape for every character that is no visible one: line breaks, controls,
    marks that turn the direction of writing round."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else _escape(char) for char in text)


def _escape(char: str) -> str:
    return repr(char)[1:-1]


def write_string(text: str) -> str:
    """A string literal in double quotes, unless it holds more of them than single ones."""
    body = show(text.replace("\\", "\\\\"))
    if '"' in body and "'" not in body:
        return f"'{body}'"
    return '"' + body.replace('"', '\\"') + '"'


def write_literal(value: object) -> str:
    """A value as a formatter writes it."""
    match value:
        case CodeName():
            return str(value)
        case str():
            return write_string(value)
        case float() if math.isinf(value) or math.isnan(value):
            return f'float("{value}")'
        case float():
            return re.sub(r"e([+-])0*(\d)", lambda m: f"e{m[1].strip('+')}{m[2]}", repr(value))
        case tuple():
            items = ", ".join(map(write_literal, value))
            return f"({items}{',' if len(value) == 1 else ''})"
        case list():
            return f"[{', '.join(map(write_literal, value))}]"
    return repr(value)


def write_path(path: str) -> str:
    """The expression of a path relative to the folder of the data."""
    return f"folder / {write_string(path)}"


def write_dtype(dtype: DType) -> str:
    """A dtype of NumPy: `np.float32`, `bool`."""
    name = dtype.numpy.name
    return name if name == "bool" else f"np.{name}"


def write_formatted(text: str) -> str:
    """A text as part of an f-string in double quotes."""
    return _escape_quotes(text.replace("{", "{{").replace("}", "}}"))


def _escape_quotes(text: str) -> str:
    return show(text.replace("\\", "\\\\")).replace('"', '\\"')


# --- docstrings and comments ------------------------------------------------------------------


def write_comment(text: str) -> str:
    """A comment of one line."""
    return f"# {show(text)}"


def quote_docstring(text: str) -> str:
    """A text of one line as part of a docstring that goes on behind it."""
    return show(text.replace("\\", "\\\\")).replace('"""', '\\"\\"\\"')


def write_docstring(text: str, indent: int) -> list[str]:
    """A docstring, its paragraphs filled to the width; what is indented stays as it is."""
    margin = " " * indent
    first, *others = re.split(r"\n\s*\n", text.strip("\n")) or [""]
    words = _split_words(first)
    if not words:
        return []
    lines = _fill(words, margin)
    if others:
        rest = (line for other in others for line in ("", *_write_paragraph(other, margin)))
        return [*lines, *rest, f'{margin}"""']
    if len(lines[-1]) + 3 <= WIDTH:
        return [*lines[:-1], f'{lines[-1]}"""']
    if len(lines) > 1:
        return [*lines, f'{margin}"""']
    head, _, last = lines[-1].rpartition(" ")  # ruff keeps the quotes behind a single line
    return [head, f'{margin}{last}"""']


def _write_paragraph(text: str, margin: str) -> list[str]:
    if text.startswith("    "):
        return [f"{margin}{quote_docstring(line)}".rstrip() for line in text.split("\n")]
    filled = _fill([quote_docstring(word) for word in text.split()], margin)
    return [f"{margin}{filled[0].strip()[3:].lstrip()}", *filled[1:]]


def write_long_docstring(text: str, rest: Iterable[str]) -> list[str]:
    """A docstring of a filled paragraph, an empty line, and lines of code as they are."""
    return [*_fill(_split_words(text), ""), "", *rest, '"""']


def _split_words(text: str) -> list[str]:
    """Words of a docstring. One that ends in a quote hides it: three more may follow."""
    words = [quote_docstring(word) for word in text.split()]
    if words and text.rstrip().endswith('"') and not words[-1].endswith('\\"\\"\\"'):
        words[-1] = words[-1][:-1] + '\\"'
    return words


def _fill(words: Sequence[str], margin: str) -> list[str]:
    """Lines from the quotes of a docstring on."""
    lines, line = [], f'{margin}"""' + (" " if words[0].startswith('"') else "")
    start = True
    for word in words:
        if not start and len(line) + 1 + len(word) > WIDTH:
            lines.append(line)
            line, start = margin, True
        line += word if start else f" {word}"
        start = False
    return [*lines, line]
