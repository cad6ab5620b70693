"""What the elaboration of every item shares: its clauses by word, which may repeat, which lack."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, partial
from importlib import import_module
from typing import Any, ClassVar

from compiler.elaborate.api import GraphContext
from compiler.elaborate.items.settings import read_setting
from compiler.elaborate.scopes.context import Body, ClauseHandler, ClauseTable, FileScope
from compiler.report.habits import translate
from compiler.report.messages.item_clauses import clause_missing, clause_twice
from compiler.report.source import Span
from compiler.text.tree.syntax import Clause, Name, Statement
from compiler.vocabulary.clauses import ClauseHome, ClauseWord, Setting


@cache
def load_clauses() -> None:
    """Fills the registry: what declares a clause is what an elaboration needs."""
    import_module("compiler.elaborate.items.program")


class ItemElaborator:
    """The elaboration of one item. A clause that is a setting is read here, any other by the
    method `take_WORD`, or by what runs it in bodies of code."""

    home: ClassVar[ClauseHome]

    def __init__(self, scope: FileScope) -> None:
        self.scope = scope
        self.seen: dict[str, Span] = {}  # clauses that may stand once: where each stood first
        self.settings: dict[str, Any] = {}  # by the field of the typed item that each fills
        self.table = ClauseTable.of(self.home, self.find_handler)

    def find_handler(self, word: ClauseWord) -> ClauseHandler:
        """What runs a clause."""
        run = word.run or getattr(self, f"take_{word.word}", None)
        if run is None:
            assert word.setting is not None, f"nothing runs `{word.word}`"
            run = partial(self.take_setting, word.field, word.setting)
        return run if word.repeats else partial(self.run_once, run)

    def run_once(self, run: ClauseHandler, body: Body, clause: Clause) -> None:
        """Runs a clause that may stand once; a second one is reported."""
        word = clause.word
        first = self.seen.setdefault(word.text, word.span)
        if first is word.span:
            run(body, clause)
        else:
            body.report(clause_twice(word.span, word.text, first))

    def take_setting(self, field: str, setting: Setting, body: Body, clause: Clause) -> None:
        """A clause of one value."""
        value = read_setting(body, clause, setting)
        if value is not None:
            self.settings[field] = value

    @property
    def lacks_settings(self) -> bool:
        """Whether a setting that the item needs is missing, or was refused."""
        needed = [w for w in self.home.clauses.values() if w.setting is not None and w.required]
        return any(w.field not in self.settings for w in needed)

    def report_unknown_clauses(
        self, context: GraphContext, statements: Sequence[Statement]
    ) -> None:
        """Lets the clauses be refused whose words mean nothing in the item, or nothing yet: where
        the item itself cannot be elaborated, they are still worth a message."""
        clauses = [s for s in statements if isinstance(s, Clause)]
        context.execute([s for s in clauses if s.word.text not in self.table.handlers])

    def report_missing(self, body: Body, name: Name, *words: str) -> None:
        """Reports the clauses that the item needs and does not have, of these or of all."""
        taken = {*self.seen, *body.names[-1]}
        asked = [w for w in self.home.clauses.values() if not words or w.word in words]
        missing = [w for w in asked if w.required and w.word not in taken]
        if missing:
            found = tuple(w.word for w in missing)
            forms = tuple(w.form for w in missing)
            item = f"the {self.home.place.removeprefix('a ')} `{name.text}`"
            bound = next((n for n in body.names[-1] if translate(n, found) is not None), None)
            body.report(clause_missing(name.span, item, found, forms, bound))
