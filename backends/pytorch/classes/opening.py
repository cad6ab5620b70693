"""Loops whose first turn prints before the others: where that says what the loop says.

A first turn may begin with nothing and make what all others take over: `bias = none` before
layers that share one bias. Written out it is what the spec is for every argument of the class, as
long as no argument but the number of turns decides what it does.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

from backends.pytorch.fold.items import Body
from backends.pytorch.fold.turns import LoopFrame, TurnFrame, drop_first, find_first
from compiler.ir.authored import Decision
from compiler.ir.hint import Hint, HintConst, hint_names, hint_sizes, rename_hint
from compiler.report.source import Span

LEAST_BEHIND = 2
"""Fewer turns than this behind a first one that differs are written out, not looped over."""


def list_behind(bodies: list[Body]) -> list[Body]:
    """Turns of loops but for the first of each."""
    later = (body for body in bodies if _turn(body).turn.number)
    return [replace(body, formals=[*body.formals]) for body in later]


def may_open(bodies: list[Body]) -> bool:
    """Whether the first turn of a loop may be written before the others, by all that is said of
    it: which path its modules have, and which branches of its own it takes."""
    counts = Counter(body.frame.parent for body in bodies)
    if min(counts.values()) <= LEAST_BEHIND or not all(map(_stands_alone, bodies)):
        return False
    firsts = [body for body in bodies if not _turn(body).turn.number]
    return not any(map(_is_placed_by_argument, firsts)) and not any(map(_is_decided, firsts))


def _stands_alone(body: Body) -> bool:
    """Whether a loop is turned through once in a call, has no others inside, and has words for
    what it goes through behind its first turn."""
    frame = _turn(body)
    over, loop = frame.turn.over, frame.parent
    outermost = loop is not None and loop.parent is frame.owner and frame.whole is None
    inner = any(isinstance(child, LoopFrame) for child in body.index.children[frame])
    return outermost and not inner and over is not None and drop_first(over) is not None


def _is_placed_by_argument(body: Body) -> bool:
    """Whether the path of a module of a first turn follows an argument: `"width{width}"`."""
    first = find_first(_turn(body).turn)
    names = {bound.name for bound in _turn(body).turn.names}
    moving = {name for name in names if not isinstance(first.get(name), HintConst)}
    inside = (place for item in body.items for place in re.findall("{(.*?)}", item.slot))
    return any(not moving.isdisjoint(re.findall(r"\w+", place)) for place in inside)


def _is_decided(body: Body) -> bool:
    """Whether an argument says which branch a first turn takes, where others take another:
    `i < layers - 1`."""
    frame = _turn(body)
    first = find_first(frame.turn)
    arguments = {a.name for a in frame.owner.arguments} | {b.name for b in frame.turn.names}
    rows: dict[Span, list[Decision]] = {}
    for decision in _list_decisions(body):
        rows.setdefault(decision.place, []).append(decision)
    for decisions in rows.values():
        hints = [rename_hint(d.hint, first) for d in decisions if d.hint is not None]
        differ = len({decision.outcome for decision in decisions}) > 1
        if differ and any(_reads(hint, arguments) for hint in hints):
            return True
    return False


def _list_decisions(body: Body) -> Iterator[Decision]:
    """How conditions in a loop came out, in all of its turns."""
    frame = _turn(body)
    loop = frame.turn.loop
    for decision in body.index.graph.decisions:
        here = decision.frame is frame.owner and loop is not None
        if here and loop is not None and loop.start <= decision.place.start < loop.end:
            yield decision


def _reads(hint: Hint, names: set[str]) -> bool:
    return any(hint_sizes(hint)) or not names.isdisjoint(hint_names(hint))


def _turn(body: Body) -> TurnFrame:
    assert isinstance(body.frame, TurnFrame)
    return body.frame
