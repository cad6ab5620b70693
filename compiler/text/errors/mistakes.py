"""Mistakes by example: finds the entry of mistakes.toml that speaks of a syntax error."""

from __future__ import annotations

from functools import cache
from typing import Any

from compiler.records import dataclass
from compiler.report.diagnostics import MESSAGES, Message
from compiler.report.source import Source, Span
from compiler.text.errors.recover import Edit, Trouble
from compiler.text.tree.automaton import Automaton
from compiler.text.tree.parse_tree import TreeBuilder
from compiler.text.tree.syntax import Clause
from compiler.text.tree.tokens import tokenize
from grammar.sources import MISTAKES
from grammar.table import load_table

OPERATORS = ("EQUAL", "COMPARE", "PLUS", "MINUS", "STAR", "TIMES", "POWER", "ARROW", "COLON")
CLASSES = ("NAME", "NUMBER", "STRING")
"""Kinds of tokens that are looked up by their kind; all others by their text."""


@dataclass(frozen=True)
class Example:
    """An entry of mistakes.toml; the file says what its fields mean."""

    code: str
    places: frozenset[tuple[int, str]]
    found: tuple[str, ...]
    expects: tuple[str, ...]
    head: tuple[str, ...]
    fresh: bool | None
    body: bool | None
    bracket: bool | None
    at_head: bool
    write: str | None

    def fits(self, trouble: Trouble, run: str) -> bool:
        """Whether the entry speaks of this place; `run` is the text found with what touches it."""
        if (trouble.state, name_found(trouble)) not in self.places and run not in self.found:
            return False
        if self.fresh is not None and trouble.tokens.fresh[trouble.index] is not self.fresh:
            return False
        if self.body is not None and trouble.in_body is not self.body:
            return False
        if self.bracket is not None and trouble.in_bracket is not self.bracket:
            return False
        if self.head and trouble.tokens.text(trouble.head) not in self.head:
            return False
        return not self.expects or any(trouble.accepts(kind_of(text)) for text in self.expects)


def find_example(trouble: Trouble) -> tuple[Message, Edit | None] | None:
    """The message of the first entry that fits a syntax error, and the edit it proposes."""
    first, last = operator_run(trouble)
    run = "".join(trouble.tokens.text(index) for index in range(first, last + 1))
    for example in load_examples():
        if not example.fits(trouble, run):
            continue
        is_run = run in example.found
        place = trouble.tokens.span(first).to(trouble.tokens.span(last))
        if example.at_head:
            place = trouble.tokens.span(trouble.head)
        elif not is_run:
            place = trouble.tokens.span(trouble.index)
        found = run if is_run else trouble.found
        return make(example.code, trouble, place, found), mend(example, trouble, first, last)
    return None


def make(code: str, trouble: Trouble, place: Span, found: str) -> Message:
    """A message of mistakes.toml. All of them take the text found, which is empty at the end of
    the file, and the first word of the statement or item that it belongs to."""
    return MESSAGES[code](place, found, trouble.tokens.text(trouble.head))


def mend(example: Example, trouble: Trouble, first: int, last: int) -> Edit | None:
    """What the entry writes in place of the text found, where that can be read on."""
    if example.write is None or first < trouble.index:
        return None
    length = last - first + 1 if first == trouble.index else 1
    insert = (kind_of(example.write),) if example.write else ()
    return Edit(length, insert) if trouble.reads(*insert, drop=length) else None


def operator_run(trouble: Trouble) -> tuple[int, int]:
    """First and last token of the operators that touch the one found, itself if it is none."""
    tokens = trouble.tokens
    first = last = trouble.index
    if not trouble.is_kind(first, *OPERATORS):
        return first, last
    while (
        first
        and tokens.ends[first - 1] == tokens.starts[first]
        and trouble.is_kind(first - 1, *OPERATORS)
    ):
        first -= 1
    while tokens.ends[last] == tokens.starts[last + 1] and trouble.is_kind(last + 1, *OPERATORS):
        last += 1
    return first, last


def name_found(trouble: Trouble) -> str:
    """The token found, as examples are looked up by it: a class of tokens or its text."""
    name = trouble.table.symbols[trouble.kind]
    return name if name in CLASSES else trouble.found


@cache
def load_examples() -> tuple[Example, ...]:
    """The entries of mistakes.toml; read when the first syntax error is met."""
    import tomllib  # compiles its patterns when imported: a text without mistakes does without

    entries = tomllib.loads(MISTAKES.read_text(encoding="utf-8"))["mistake"]
    return tuple(read_entry(entry) for entry in entries if "word" not in entry)


def read_entry(entry: dict[str, Any]) -> Example:
    """An entry with its examples parsed."""
    return Example(
        code=entry["code"],
        places=frozenset(find_place(text) for text in entry.get("examples", ())),
        found=tuple(entry.get("found", ())),
        expects=tuple(entry.get("expects", ())),
        head=tuple(entry.get("head", ())),
        fresh=entry.get("fresh"),
        body=entry.get("body"),
        bracket=entry.get("bracket"),
        at_head=entry.get("at") == "head",
        write=entry.get("write"),
    )


def find_place(example: str) -> tuple[int, str]:
    """The state and token at which parsing an example stops.

    Raises ValueError for an example that is no mistake.
    """
    text = f"block f(x) {{ {example[1:]} }}" if example.startswith("~") else example
    source = Source("mistakes.toml", text)
    tokens = tokenize(source, 0, len(text), ignore)
    builder = TreeBuilder(tokens, ignore, ignore, lambda span: ("",))
    automaton = Automaton(load_table(), tokens, builder, "start")
    if automaton.advance(careful=True):
        raise ValueError(f"mistakes.toml: no mistake in {example!r}")
    trouble = Trouble(automaton)
    return trouble.state, name_found(trouble)


def ignore(message: Message) -> None:
    """Takes no notice of a message: examples are bad on purpose."""


@cache
def kind_of(text: str) -> int:
    """The kind of token that a text is."""
    table = load_table()
    match = table.scanner.fullmatch(text)
    if match is None or match.lastgroup is None:
        raise ValueError(f"no token: {text!r}")
    return table.words.get(text, table.kinds[match.lastgroup])


# --- words of other languages -------------------------------------------------------------------


def find_foreign_word(trouble: Trouble) -> tuple[Message, Edit | None] | None:
    """The message for a statement that begins with a word of another language."""
    head = trouble.head
    code = load_table().foreign.get(trouble.tokens.text(head))
    if code is None or head == trouble.index:
        return None
    place = trouble.tokens.span(head)
    return make(code, trouble, place, trouble.found), None


def find_foreign_clause(clause: Clause) -> Message | None:
    """The message for a clause that can be read but begins with a word of another language."""
    word = clause.word
    code = load_table().foreign.get(word.span.text)
    if code is None:
        return None
    return MESSAGES[code](word.span, word.text, word.text)
