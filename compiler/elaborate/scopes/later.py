"""Words of the language whose meaning a later version brings: refused, never left out."""

from __future__ import annotations

from compiler.compression.base import COMPRESSION
from compiler.compression.registry import load_compression
from compiler.report.diagnostics import Message
from compiler.report.messages.names import not_available
from compiler.text.tree.syntax import Name

LATER: dict[str, str] = {
    "training": "tell training from evaluation when compiling",
    "step": "be the number of the training step at run time",
    "epoch": "be the number of the epoch at run time",
    "linear": "change a number over the course of a training",
    "lookahead": "wrap an optimizer that looks ahead",
}
"""Names in expressions, and what each will do; compression passes are such names too."""

OUTSIDE = "change a net outside of the `apply` of a variant"
"""What a compression pass will do where an expression calls it."""

OTHER_WORDS: dict[str, str] = {"linear": "for the layer, write `dense(n)`"}
"""What to write where another meaning of such a word was meant."""


def find_purpose(word: str) -> str | None:
    """What a name will do in a later version; None where it is no such name."""
    if word in LATER:
        return LATER[word]
    load_compression()
    return OUTSIDE if COMPRESSION.get(word) is not None else None


def refuse_later(name: Name) -> Message | None:
    """The message about a name that a later version gives a meaning; None for any other."""
    purpose, other = find_purpose(name.text), OTHER_WORDS.get(name.text)
    if purpose is None:
        return None
    if other is not None:
        return not_available(name.span, name.text, purpose, other)
    return not_available(name.span, name.text, purpose)
