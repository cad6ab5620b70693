"""Getting on after a mistake: mend a token where that is surely meant, else skip on."""

from __future__ import annotations

from bisect import bisect_left
from functools import cached_property

from compiler.records import dataclass
from compiler.report.source import Span
from compiler.text.tree.automaton import Automaton
from compiler.text.tree.tokens import Tokens
from grammar.table import load_table

LOOKAHEAD = 2
"""Tokens that have to be readable after a mend before it is believed."""


@dataclass(frozen=True)
class Edit:
    """A change of the tokens at a mistake: drop `drop` of them and put others in their place.

    With `rewind`, the unfinished statement is forgotten first, and the change is made there.
    """

    drop: int
    insert: tuple[int, ...]
    rewind: int | None = None


class Trouble:
    """A place where the automaton cannot go on: the token, and what it is part of."""

    def __init__(self, automaton: Automaton) -> None:
        self.automaton = automaton
        self.tokens: Tokens = automaton.tokens
        self.table = automaton.table
        self.kinds = automaton.table.kinds
        self.index = automaton.index
        self.finish_statement()

    def finish_statement(self) -> None:
        """Where a word or value begins a line and the statement above is whole, it ends there."""
        if not self.tokens.fresh[self.index]:
            return
        is_word = self.kind in self.table.words.values()
        if is_word or self.is_kind(
            self.index, "NAME", "NUMBER", "STRING", "LPAR", "LSQB", "LBRACE"
        ):
            for name in ("RETURN", "USE"):
                if self.accepts(self.kinds[name]):
                    self.automaton.reduce_before(self.kinds[name])

    @property
    def state(self) -> int:
        """The state in which the automaton stops at the token."""
        return self.automaton.stuck_state(self.kind)

    @property
    def kind(self) -> int:
        """The kind of the token that cannot be read."""
        return self.tokens.kinds[self.index]

    @property
    def found(self) -> str:
        """Its text."""
        return self.tokens.text(self.index)

    @cached_property
    def level(self) -> int:
        """How many states stay when the unfinished statement or item is forgotten."""
        rows = self.table.rows
        for keep in range(len(self.automaton.states), 0, -1):
            row = rows[self.automaton.states[keep - 1]]
            if self.kinds["stmt"] in row or self.kinds["item"] in row:
                return keep
        return 1

    @property
    def in_body(self) -> bool:
        """Whether the unfinished part is a statement in a body, not an item or clause of a file."""
        return self.kinds["stmt"] in self.table.rows[self.automaton.states[self.level - 1]]

    @cached_property
    def head(self) -> int:
        """The first token of the unfinished statement or item."""
        marks = self.automaton.marks
        if self.level - 1 >= len(marks):
            return self.index
        return bisect_left(self.tokens.starts, marks[self.level - 1])

    @cached_property
    def openers(self) -> list[int]:
        """Brackets that are open here, the outermost first."""
        found: list[int] = []
        for value in self.automaton.values:
            if not isinstance(value, int):
                continue
            if self.is_kind(value, "LPAR", "LSQB", "LBRACE"):
                found.append(value)
            elif self.is_kind(value, "RPAR", "RSQB", "RBRACE"):
                found.pop()
        return found

    @property
    def closers(self) -> tuple[int, ...]:
        """The kinds that close the brackets of the unfinished statement, the innermost first."""
        found = []
        for opener in reversed(self.openers):
            if self.is_kind(opener, "LBRACE"):
                break
            found.append(self.closer(opener))
        return tuple(found)

    @property
    def in_bracket(self) -> bool:
        """Whether `(` or `[` is open."""
        return bool(self.openers) and not self.in_braces

    @property
    def in_braces(self) -> bool:
        """Whether the innermost bracket that is open is a brace."""
        return bool(self.openers) and self.is_kind(self.openers[-1], "LBRACE")

    @property
    def place(self) -> Span:
        """Where to point: at the token, or at the end of the line above if it goes on with it."""
        if self.head == self.index and not self.at_end:
            return self.tokens.span(self.index)
        return self.tokens.place(self.index)

    @property
    def margin(self) -> int:
        """The column at which the line of the unfinished statement begins."""
        return self.tokens.column(self.tokens.first_on_line(self.head))

    def starts_line(self, index: int) -> bool:
        """Whether a token begins a line that is no further to the right than the statement's."""
        return self.tokens.fresh[index] and self.tokens.column(index) <= self.margin

    @property
    def at_end(self) -> bool:
        """Whether it is the text that is at its end."""
        return self.index == len(self.tokens.kinds) - 1

    def is_kind(self, index: int, *names: str) -> bool:
        """Whether a token is of one of these kinds."""
        return self.tokens.kinds[index] in [self.kinds[name] for name in names]

    def name(self, index: int) -> str:
        """What a token of fixed text says, even where it was put in and has no text."""
        return self.table.texts[self.tokens.kinds[index]]

    def closer(self, opener: int) -> int:
        """The kind of bracket that closes the one at `opener`."""
        pairs = {"LPAR": "RPAR", "LSQB": "RSQB", "LBRACE": "RBRACE"}
        return self.kinds[pairs[self.table.symbols[self.tokens.kinds[opener]]]]

    def reads(self, *inserted: int, drop: int = 0) -> bool:
        """Whether the text could go on for a while with these tokens put in and some dropped."""
        begin = self.index + drop
        if begin == len(self.tokens.kinds):
            return False
        kinds = [*inserted, *self.tokens.kinds[begin : begin + LOOKAHEAD]]
        return self.automaton.accepted(kinds) == len(kinds)

    def accepts(self, kind: int) -> bool:
        """Whether a token of this kind could stand here."""
        return self.automaton.accepted([kind]) == 1


def apply_edit(automaton: Automaton, edit: Edit) -> None:
    """Change the tokens at the automaton's index."""
    if edit.rewind is not None:
        give_up(Trouble(automaton), edit.rewind)
    tokens, index = automaton.tokens, automaton.index
    end = tokens.ends[index - 1] if index else 0
    replaced = slice(index, index + edit.drop)
    fresh = any(tokens.fresh[replaced])
    if edit.drop and edit.insert:
        place = (tokens.starts[index], tokens.ends[index + edit.drop - 1])
    else:
        place = (end, end)
    tokens.kinds[replaced] = edit.insert
    tokens.starts[replaced] = [place[0]] * len(edit.insert)
    tokens.ends[replaced] = [place[1]] * len(edit.insert)
    tokens.fresh[replaced] = [fresh] * len(edit.insert)
    if fresh and not edit.insert:
        tokens.fresh[index] = True


def skip(trouble: Trouble, *, past: bool) -> None:
    """Forget the unfinished statement and go on where the next surely begins.

    That is a brace that closes the body, or a word that is first on its line and stands no further
    to the right than the line of the unfinished statement. With `past`, at least one token is left
    out, because it was tried before. Where an item begins, or the text ends, bodies that are still
    open are closed.
    """
    automaton, tokens = trouble.automaton, trouble.tokens
    margin = trouble.margin
    header = replace_header(trouble)
    if header is not None and not past:
        apply_edit(automaton, header)
        return
    index = trouble.index + past
    opened = 0
    while index < len(tokens.kinds) - 1:
        if trouble.is_kind(index, "LBRACE"):
            opened += 1
        elif trouble.is_kind(index, "RBRACE"):
            if not opened and trouble.in_body:
                break
            opened = max(0, opened - 1)
        elif tokens.fresh[index] and is_landmark(trouble, index, margin, opened):
            break
        index += 1
    give_up(trouble, index)
    at_end = index == len(tokens.kinds) - 1
    if at_end or (tokens.column(index) < margin and starts_item(trouble, index)):
        close_bodies(automaton)


def replace_header(trouble: Trouble) -> Edit | None:
    """An edit that puts a sound header before the body of what began unsoundly."""
    tokens, kinds = trouble.tokens, trouble.kinds
    sound: tuple[str, ...]
    if trouble.is_kind(trouble.head, *BODY_WORDS) and not trouble.in_body:
        sound = ("BLOCK", "NAME", "LPAR", "RPAR")
    elif trouble.is_kind(trouble.head, "IF", "FOR", "SCAN") and trouble.in_body:
        sound = ("IF", "TRUE")
    else:
        return None
    for index in range(trouble.head + 1, len(tokens.kinds) - 1):
        if tokens.fresh[index] and tokens.column(index) <= trouble.margin:
            return None
        if trouble.is_kind(index, "LBRACE"):
            header = tuple(kinds[name] for name in sound)
            return (
                Edit(index - trouble.head, header, trouble.head) if index > trouble.index else None
            )
    return None


def give_up(trouble: Trouble, index: int) -> None:
    """Forget the unfinished statement and go on at another token."""
    automaton, starts = trouble.automaton, trouble.tokens.starts
    automaton.skipped.append((starts[trouble.head], starts[index]))
    automaton.drop(trouble.level)
    automaton.index = index


def is_landmark(trouble: Trouble, index: int, margin: int, opened: int) -> bool:
    """Whether a token that is first on its line begins an item, or a statement where one may be."""
    column = trouble.tokens.column(index)
    if starts_item(trouble, index) and (column == 1 or column < margin):
        return True
    return not opened and column <= margin and trouble.is_kind(index, *STATEMENT_WORDS)


def starts_item(trouble: Trouble, index: int) -> bool:
    """Whether a token is the first word of an item: such a word, and a name or file behind it."""
    return trouble.is_kind(index, *ITEM_WORDS) and trouble.is_kind(index + 1, *NAMES, "STRING")


def close_bodies(automaton: Automaton) -> None:
    """Put in the braces that are missing before the next token."""
    trouble = Trouble(automaton)
    apply_edit(automaton, Edit(0, (trouble.kinds["RBRACE"],) * len(trouble.openers)))


def _find_item_words() -> tuple[str, ...]:
    """The words that the grammar begins an item with."""
    table = load_table()
    row = table.rows[table.starts["start"]]
    return tuple(word for word, kind in table.words.items() if kind in row)


FILE_WORDS = (*_find_item_words(), "net")
"""What a statement at file level begins with."""
ITEM_WORDS = tuple(word.upper() for word in _find_item_words())
BODY_WORDS = tuple(word for word in ITEM_WORDS if word not in ("USE", "LET"))
"""What begins an item that has a body."""

NAMES = ("NAME", *ITEM_WORDS, "OF", "ON", "SCAN")
STATEMENT_WORDS = (*NAMES, "IF", "FOR", "RETURN")
