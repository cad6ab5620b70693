"""Words of the language whose meaning a later version brings: refused, never left out."""

from __future__ import annotations

from compiler.compression.base import COMPRESSION
from compiler.compression.registry import load_compression
from compiler.report.diagnostics import Message
from compiler.report.messages.names import not_available
from compiler.text.tree.syntax import Name

OUTSIDE = "change a net outside of the `apply` of a variant"
"""What a compression pass will do where an expression calls it."""


def names_pass(word: str) -> bool:
    """Whether a word is a compression pass."""
    load_compression()
    return COMPRESSION.get(word) is not None


def find_purpose(word: str) -> str | None:
    """What a name will do in a later version; None where it is no such name."""
    return OUTSIDE if names_pass(word) else None


def refuse_later(name: Name) -> Message | None:
    """The message about a name that a later version gives a meaning; None for any other."""
    purpose = find_purpose(name.text)
    return None if purpose is None else not_available(name.span, name.text, purpose)
