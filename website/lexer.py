"""Colours for Weft in pages: the tokens of the grammar, as a lexer for Pygments."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

from pygments.lexer import Lexer
from pygments.lexers import LEXERS
from pygments.token import Comment, Keyword, Name, Number, Operator, Punctuation, String, Text

from compiler.elaborate.items.item_elaborator import load_clauses
from compiler.elaborate.shapes.types import KNOWN_TYPES
from compiler.text.errors.recover import ITEM_WORDS
from compiler.types.tensor import DType
from compiler.vocabulary.clauses import ClauseHome
from grammar.table import load_table

__all__ = ["WeftLexer"]  # Pygments loads what stands here

NAME = "weft"
KINDS = {
    "COMMENT": Comment.Single,
    "DOC": Comment.Special,
    "STRING": String,
    "NUMBER": Number,
    "SPACE": Text,
    "ARROW": Operator.Word,
}
BRACKETS = frozenset("(){}[],:.")


class WeftLexer(Lexer):  # type: ignore[misc]  # Pygments has no types
    """Colours of a spec."""

    name = "Weft"
    aliases = (NAME,)
    filenames = ("*.weft",)

    def get_tokens_unprocessed(self, text: str) -> Iterator[tuple[int, object, str]]:
        """Every token with its place and colour; what is no token is text."""
        scanner = load_table().scanner
        position, before = 0, ""
        while position < len(text):
            match = scanner.match(text, position)
            found = match[0] if match is not None else text[position]
            kind = match.lastgroup if match is not None else None
            yield position, _color(text, position, kind or "SPACE", found, before), found
            position += len(found)
            if kind != "SPACE":
                before = found


def _color(text: str, position: int, kind: str, found: str, before: str) -> object:
    if kind != "NAME":
        plain = Punctuation if found in BRACKETS else Operator
        return KINDS.get(kind, plain)
    starts = not text[text.rfind("\n", 0, position) + 1 : position].strip(" {")
    behind = text[position + len(found) :].lstrip(" ")
    bound = behind.startswith("=") and not behind.startswith("==")
    if found.upper() in ITEM_WORDS and not bound and (starts or before in ("", "}")):
        return Keyword.Declaration
    if found in load_table().words and found.upper() not in ITEM_WORDS:
        return Keyword.Constant if found in ("true", "false", "none") else Keyword.Reserved
    if starts and not bound and found in _list_clauses() and behind[:1] not in (",", ":", ")"):
        return Keyword
    if found in _list_types() and before in (":", "[", ",", "=", "("):
        return Keyword.Type
    if text.startswith("(", position + len(found)) or before == "->":
        return Name.Function
    return Name


@cache
def _list_clauses() -> frozenset[str]:
    load_clauses()
    homes = ClauseHome.every.values()
    return frozenset(word for home in homes for word in (*home.clauses, *home.later_clauses))


@cache
def _list_types() -> frozenset[str]:
    return frozenset([*(dtype.value for dtype in DType), *KNOWN_TYPES])


def register() -> None:
    """Makes Pygments know the lexer under the name of the fences."""
    LEXERS[WeftLexer.__name__] = (
        WeftLexer.__module__,
        WeftLexer.name,
        WeftLexer.aliases,
        WeftLexer.filenames,
        (),
    )
