"""Text to tokens: one scan that keeps comments and line starts and mends foreign characters."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import field

from compiler.records import dataclass
from compiler.report.diagnostics import Message, MessageKind
from compiler.report.messages.syntax import nested_too_deep
from compiler.report.messages.syntax_symbols import backslash, foreign_operator, semicolon
from compiler.report.messages.syntax_text import (
    single_quotes,
    source_too_long,
    stray_character,
    triple_quotes,
    unterminated_name,
    unterminated_string,
)
from compiler.report.source import Source, Span
from grammar.sources import END
from grammar.table import load_table

MAX_BRACKETS = 100
"""Brackets inside one another that are read; the deepest published network here needs twelve."""

MAX_CHARACTERS = 500_000
"""Characters of a file that are read."""

MAX_TOKENS = 50_000
"""Tokens of a file that are read; a spec with two hundred lines has three thousand."""

FOREIGN_SYMBOLS = {
    "&&": "and",
    "||": "or",
    "|>": "->",
    "&": "and",
    "|": "or",
    "!": "not",
    "~": "not",
    "^": "**",
    "→": "->",
    "⇒": "->",
    "×": "*",
    "·": "*",
    "÷": "/",
    "−": "-",
    "–": "-",
    "≤": "<=",
    "≥": ">=",
    "≠": "!=",
    "…": "...",
}
"""Symbols that are none in Weft, and the one that says the same."""

QUOTES = {"'": "'", "“": "”", "”": "”", "„": "“", "‘": "’", "’": "’", "«": "»"}
"""Quotation marks that open a string elsewhere, and what closes them."""


@dataclass
class Tokens:
    """The tokens of a text, column by column; the last is the end of the text.

    `fresh` says which are the first on their line, `docs` holds the `##` text before a token by its
    offset, `comments` every comment in order, `flawed` the lines on which a character was refused.
    """

    source: Source
    kinds: list[int] = field(default_factory=list)
    starts: list[int] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)
    fresh: list[bool] = field(default_factory=list)
    docs: dict[int, str] = field(default_factory=dict)
    comments: list[tuple[int, int]] = field(default_factory=list)

    def text(self, index: int) -> str:
        """Text of a token."""
        return self.source.text[self.starts[index] : self.ends[index]]

    def span(self, index: int) -> Span:
        """Where a token stands."""
        return Span(self.source, self.starts[index], self.ends[index])

    def place(self, index: int) -> Span:
        """Where to point for a token that fits ill: the end of the line above if it begins one."""
        if index and (self.fresh[index] or index == len(self.kinds) - 1):
            return Span(self.source, self.ends[index - 1], self.ends[index - 1])
        return self.span(index)

    def column(self, index: int) -> int:
        """Column of a token, counted from 1."""
        return self.source.position(self.starts[index])[1]

    def first_on_line(self, index: int) -> int:
        """The first token of the line that a token stands on."""
        while index and not self.fresh[index]:
            index -= 1
        return index


class Lexer:
    """Scans one stretch of a source; what it cannot read it reports, mends and passes."""

    def __init__(
        self, source: Source, start: int, end: int, report: Callable[[Message], None]
    ) -> None:
        self.table = load_table()
        self.tokens = Tokens(source)
        self.text = source.text
        self.at = start
        self.end = end
        self.report = report
        self.fresh = True
        self.doc: list[str] = []
        self.depth = 0

    def run(self) -> Tokens:
        """Every token up to the end."""
        names = self.table.kinds
        words = self.table.words
        scan = self.table.scanner.match
        if self.text.startswith("\ufeff", self.at, self.end):
            self.at += 1
        self.check_length(self.end - self.at, MAX_CHARACTERS, "characters")
        while self.at < self.end:
            match = scan(self.text, self.at, self.end)
            if match is None:
                self.mend()
                continue
            name = match.lastgroup or ""
            stop = match.end()
            if name == "SPACE":
                self.fresh = self.fresh or "\n" in match[0]
                self.at = stop
            elif name in ("COMMENT", "DOC"):
                self.keep_comment(stop, is_doc=name == "DOC" and self.fresh)
            elif name == "NAME":
                self.add(words.get(match[0], names["NAME"]), stop)
            elif name == "STRING" and match[0] == '""' and self.text.startswith('"', stop):
                self.mend_triple_quotes()
            elif not self.add(names[name], stop):
                break
        self.at = self.end
        self.add(names[END], self.end)
        return self.tokens

    def add(self, kind: int, stop: int) -> bool:
        """Add a token that ends at `stop`; False where brackets are nested too deeply to go on."""
        tokens = self.tokens
        tokens.kinds.append(kind)
        tokens.starts.append(self.at)
        tokens.ends.append(stop)
        tokens.fresh.append(self.fresh)
        self.check_length(len(tokens.kinds), MAX_TOKENS, "tokens")
        if self.doc:
            tokens.docs[self.at] = "\n".join(self.doc)
            self.doc = []
        char = self.text[self.at : stop]
        if char in ("(", "[", "{"):
            self.depth += 1
            if self.depth > MAX_BRACKETS:
                self.report(nested_too_deep(self.span(stop), MAX_BRACKETS))
                return False
        elif char in (")", "]", "}"):
            self.depth -= 1
        self.fresh = False
        self.at = stop
        return True

    def check_length(self, length: int, limit: int, unit: str) -> None:
        """Leaves out the rest of a text that is too long."""
        if length > limit and self.end > self.at:
            self.report(source_too_long(self.span(self.at), limit, unit))
            self.end = self.at

    def span(self, stop: int) -> Span:
        """From here to `stop`."""
        return Span(self.tokens.source, self.at, stop)

    def keep_comment(self, stop: int, *, is_doc: bool) -> None:
        """Note a comment; a `##` line of its own documents the next token."""
        text = self.text[self.at : stop].rstrip()
        self.tokens.comments.append((self.at, self.at + len(text)))
        if is_doc:
            self.doc.append(text[2:].removeprefix(" "))
        self.at = stop

    # --- what no token of Weft begins with ------------------------------------------------------

    def mend(self) -> None:
        """Report what stands here, add the token that was meant if there is one, and pass on."""
        char = self.text[self.at]
        if char == '"':
            self.mend_string(self.line_end(), unterminated_string)
        elif char in QUOTES:
            self.mend_quotes(QUOTES[char])
        elif char == "`":
            self.mend_name()
        elif char == ";":
            self.report(semicolon(self.span(self.at + 1)))
            self.at += 1
        elif char == "\\":
            self.report(backslash(self.span(self.at + 1)))
            self.at += 1
        else:
            self.mend_symbol()

    def mend_symbol(self) -> None:
        """Put the symbol that was meant in place of a foreign one; leave out other characters."""
        for length in (2, 1):
            found = self.text[self.at : min(self.at + length, self.end)]
            meant = FOREIGN_SYMBOLS.get(found)
            if meant is not None:
                self.report(foreign_operator(self.span(self.at + len(found)), found, meant))
                self.add(self.kind_of(meant), self.at + len(found))
                return
        stop = self.at + 1
        while stop < self.end and self.text[stop] == self.text[self.at]:
            stop += 1
        self.report(stray_character(self.span(stop), self.text[self.at]))
        self.at = stop

    def kind_of(self, text: str) -> int:
        """The kind of token that `text` is."""
        match = self.table.scanner.match(text)
        if match is None or match.lastgroup is None:
            raise ValueError(f"no token: {text!r}")
        return self.table.words.get(text, self.table.kinds[match.lastgroup])

    def line_end(self) -> int:
        """Where this line ends."""
        found = self.text.find("\n", self.at, self.end)
        stop = self.end if found < 0 else found
        return stop - 1 if self.text[stop - 1 : stop] == "\r" else stop

    def mend_string(self, stop: int, message: MessageKind[...]) -> None:
        """Report a string with the wrong quotation marks and go on as if it were one."""
        self.report(message(self.span(stop)))
        self.add(self.table.kinds["STRING"], stop)

    def mend_quotes(self, closing: str) -> None:
        """A string in quotation marks that Weft does not know."""
        stop = self.line_end()
        closed = self.text.find(closing, self.at + 1, stop)
        if closed >= 0:
            self.mend_string(closed + 1, single_quotes)
            return
        self.report(stray_character(self.span(self.at + 1), self.text[self.at]))
        self.at += 1

    def mend_triple_quotes(self) -> None:
        """A string over several lines, as Python has it."""
        closed = self.text.find('"""', self.at + 3, self.end)
        stop = closed + 3 if closed >= 0 else self.line_end()
        self.report(triple_quotes(self.span(min(self.at + 3, self.end))))
        self.add(self.table.kinds["STRING"], stop)

    def mend_name(self) -> None:
        """A backquote without its second on the line, or with nothing between the two."""
        stop = self.at + 2 if self.text.startswith("``", self.at) else self.line_end()
        self.report(unterminated_name(self.span(stop)))
        self.add(self.table.kinds["NAME"], stop)


def tokenize(source: Source, start: int, end: int, report: Callable[[Message], None]) -> Tokens:
    """The tokens of a stretch of a source; what is no token is reported and mended."""
    return Lexer(source, start, end, report).run()
