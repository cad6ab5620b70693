"""Markdown and HTML: a text of a user stays text there, whatever characters it has."""

from __future__ import annotations

import html
import re

from compiler.writing.python import show

_SIGNS = re.compile(r"([\\`*_\[\]<>|~&$])")
_BLOCK = re.compile(r"^(\s*)([#+=-])")
_LINK = re.compile(r":(?=//)|@|\.(?<=www\.)", re.IGNORECASE)
"""The sign without which no reader takes a text for an address: `https://x`, `a@b.c`, `www.x`."""
_NUMBERED = re.compile(r"^(\s*\d+)([.)])(?=\s|$)")


def escape_html(text: str) -> str:
    """The text inside an element or a quoted attribute of HTML, SVG included."""
    return html.escape(show(text))


def escape_markdown(text: str) -> str:
    """The text inside a line or the cell of a table of Markdown."""
    escaped = _BLOCK.sub(r"\1\\\2", _SIGNS.sub(r"\\\1", show(text)))
    escaped = _NUMBERED.sub(r"\1\\\2", escaped)
    return _LINK.sub(lambda found: f"&#{ord(found[0])};", escaped)


def write_code(text: str) -> str:
    """The text as code of Markdown, between as many backticks as it needs."""
    text = show(text)
    longest = max(map(len, re.findall("`+", text)), default=0)
    space = " " if text.startswith("`") or text.endswith("`") else ""
    return f"{'`' * (longest + 1)}{space}{text}{space}{'`' * (longest + 1)}"
