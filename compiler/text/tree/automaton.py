"""The LALR(1) automaton: runs the tables over tokens, builds the tree, and can be pushed aside."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from compiler.report.source import Span
from compiler.text.tree.tokens import Tokens
from grammar.sources import END, NONE, SPLICE
from grammar.table import Rule, Table

MAX_DEPTH = 200
"""Levels of nodes inside one another; code that walks the tree may recurse this deep."""

STATEMENTS = ("item", "binding", "unpack", "clause", "choice", "if_", "for_", "scan", "return_")
"""The rules that make a statement or an item."""


class DepthExceeded(Exception):
    """A node is nested more deeply than `MAX_DEPTH`."""

    def __init__(self, span: Span) -> None:
        super().__init__(span.location)
        self.span = span


class Automaton:
    """The stacks of a parse; entry i of `values`, `marks` and `depths` belongs to `states[i + 1]`.

    A value is a node, a list of nodes, or the index of a token. `marks` holds where the text of an
    entry starts, `depths` how deep its nodes are nested. A chain of `->` counts as one level,
    however long: whoever walks it goes along its left side in a loop.

    `beginnings` collects where statements and items start, `skipped` the stretches of text that
    were given up after mistakes.
    """

    def __init__(self, table: Table, tokens: Tokens, builder: object, start: str) -> None:
        self.table = table
        self.tokens = tokens
        self.actions: list[Callable[..., Any]] = [
            getattr(builder, rule.action) if rule.action else shape for rule in table.rules
        ]
        self.accept = table.accepts[start]
        self.states = [table.starts[start]]
        self.values: list[Any] = []
        self.marks: list[int] = []
        self.depths: list[int] = []
        self.index = 0
        self.beginnings: set[int] = set()
        self.skipped: list[tuple[int, int]] = []
        self.begins = {table.kinds[name] for name in STATEMENTS}

    def advance(self, *, careful: bool = False) -> bool:
        """Read tokens until the text is accepted (True) or cannot go on at `index` (False).

        LALR(1) may reduce a few times before it sees that a token does not fit. If careful, every
        token is tried on a copy of the states first, so that nothing is reduced in vain and what
        could have stood there is known; that takes twice as long.

        Raises DepthExceeded.
        """
        rows, rules, tokens = self.table.rows, self.table.rules, self.tokens
        states, kinds = self.states, tokens.kinds
        tried = -1
        while True:
            kind = kinds[self.index]
            if careful and self.index != tried:
                tried = self.index
                if not self.accepted([kind]):
                    return False
            action = rows[states[-1]].get(kind)
            if action is None:
                return states[-1] == self.accept
            if action >= 0:
                self.marks.append(tokens.starts[self.index])
                self.values.append(self.index)
                self.depths.append(0)
                states.append(action)
                self.index += 1
            elif rules[~action].renames:
                states[-1] = self.rename(states[-2], states[-1], kind)
            else:
                self.reduce(~action)

    def rename(self, below: int, state: int, kind: int) -> int:
        """The state after all reductions in which a value only gets the name of a wider rule.

        An atom passes a dozen of them on its way to an operand, so where they lead is remembered.
        """
        key = (below, state, kind)
        found = self.table.shortcuts.get(key)
        if found is None:
            rows, rules = self.table.rows, self.table.rules
            action: int | None = rows[state][kind]
            while action is not None and action < 0 and rules[~action].renames:
                state = rows[below][rules[~action].symbol]
                action = rows[state].get(kind)
            self.table.shortcuts[key] = found = state
        return found

    def reduce(self, number: int) -> None:
        """Replace the right side of a rule, on top of the stacks, by its left side."""
        rule, tokens = self.table.rules[number], self.tokens
        size = rule.size
        at = len(self.values) - size
        begin = self.marks[at] if size else tokens.starts[self.index]
        depth = max(self.depths[at:], default=0)
        children = shape(rule, self.values[at:])
        value: Any = children
        if rule.lifts and len(children) == 1:
            value = children[0]
        elif rule.action:
            end = tokens.ends[self.index - 1] if size else begin
            span = Span(tokens.source, begin, end)
            value = self.actions[number](span, *children)
            if rule.symbol in self.begins:
                self.beginnings.add(begin)
            depth = max(depth, self.depths[-1] + 1) if rule.action == "then" else depth + 1
            if depth > MAX_DEPTH:
                raise DepthExceeded(span)
        del self.states[at + 1 :]
        self.states.append(self.table.rows[self.states[-1]][rule.symbol])
        self.values[at:] = [value]
        self.marks[at:] = [begin]
        self.depths[at:] = [depth]

    @property
    def result(self) -> Any:
        """What was accepted; None if nothing was."""
        return self.values[-1] if self.states[-1] == self.accept else None

    # --- looking ahead and stepping aside, for mistakes -------------------------------------------

    def accepted(self, kinds: Sequence[int]) -> int:
        """How many of these tokens could be read from here."""
        rows, rules = self.table.rows, self.table.rules
        states = list(self.states)
        for count, kind in enumerate(kinds):
            while True:
                action = rows[states[-1]].get(kind)
                if action is None:
                    reached_end = kind == self.table.kinds[END] and states[-1] == self.accept
                    return count + 1 if reached_end else count
                if action >= 0:
                    states.append(action)
                    break
                rule = rules[~action]
                del states[len(states) - rule.size :]
                states.append(rows[states[-1]][rule.symbol])
        return len(kinds)

    def stuck_state(self, kind: int) -> int:
        """The state in which the automaton stops when it is given a token that does not fit."""
        rows, rules = self.table.rows, self.table.rules
        states = list(self.states)
        while True:
            action = rows[states[-1]].get(kind)
            if action is None or action >= 0:
                return states[-1]
            rule = rules[~action]
            del states[len(states) - rule.size :]
            states.append(rows[states[-1]][rule.symbol])

    def reduce_before(self, kind: int) -> None:
        """Make the reductions that come before a token of this kind, without reading it."""
        while (action := self.table.rows[self.states[-1]][kind]) < 0:
            self.reduce(~action)

    def drop(self, keep: int) -> None:
        """Forget what was begun after the first `keep` states."""
        del self.states[keep:]
        del self.values[keep - 1 :]
        del self.marks[keep - 1 :]
        del self.depths[keep - 1 :]


def shape(rule: Rule, values: list[Any]) -> list[Any]:
    """The children that a rule keeps of its right side."""
    children: list[Any] = []
    opens = False
    for entry in rule.recipe:
        if entry == SPLICE:
            opens = True
        elif entry == NONE:
            children.append(None)
        elif not opens:
            children.append(values[entry])
        elif children:
            children += values[entry]
            opens = False
        else:
            children = values[entry]  # the list of a repetition is only ever on the stack: no copy
            opens = False
    return children
