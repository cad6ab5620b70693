"""Which nodes code is written for: all that an output is made from, and what stands for them in
other turns of their loops."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from typing import NamedTuple

from backends.pytorch.fold.spelled import Spelled
from backends.pytorch.fold.turns import Turns
from compiler.ir.frame import Frame, Turn
from compiler.report.source import Span


class Place(NamedTuple):
    """Where a node stands: what its counterparts in other turns of its loops share with it, and
    the numbers of its own turns."""

    alike: tuple[Hashable, ...]
    turns: tuple[int, ...]


def keep_live(
    spelled: Sequence[Spelled], outputs: Iterable[str], turns: Turns, *, modules: bool
) -> list[Spelled]:
    """The nodes that outputs are made from, in order. A turn of a loop computes what the others
    compute, whether somebody reads that or not; with `modules`, layers that nothing reads are
    kept too: a class makes them, because they have weights."""
    needed = set(outputs)
    live: set[int] = set()
    if modules:
        live = {number for number, item in enumerate(spelled) if item.owned}
        needed.update(name for number in live for name in spelled[number].reads)
    live = _follow(spelled, needed, live)
    alike: dict[Hashable, set[int]] = {}
    for number, key in enumerate(find_keys(spelled, turns)):
        if key is not None:
            alike.setdefault(key, set()).add(number)
    while True:
        rows = (row for row in alike.values() if not row.isdisjoint(live))
        more = {number for row in rows for number in row} - live
        if not more:
            return [item for number, item in enumerate(spelled) if number in live]
        for number in more:
            needed.update(spelled[number].reads)
        live = _follow(spelled, needed, live | more)


def _follow(spelled: Sequence[Spelled], needed: set[str], live: set[int]) -> set[int]:
    """All that is live where some values are needed."""
    for number in range(len(spelled) - 1, -1, -1):
        item = spelled[number]
        if number not in live and not needed.isdisjoint(item.outputs):
            live.add(number)
            needed.update(item.reads)
    return live


def find_keys(spelled: Iterable[Spelled], turns: Turns) -> list[Hashable]:
    """What each node shares with its counterparts in other turns; None outside of loops."""
    keys: list[Hashable] = []
    counts: dict[Hashable, int] = {}
    known: dict[tuple[Frame, tuple[Turn, ...]], Place | None] = {}
    for item in spelled:
        where = (item.scope, item.origin.turns)
        if where not in known:
            known[where] = _find_place(*where, turns)
        place = known[where]
        if place is None:
            keys.append(None)
            continue
        key = (place.alike, item.origin.span, item.op)
        number = counts[key, place.turns] = counts.get((key, place.turns), 0) + 1
        keys.append((key, number))
    return keys


def _find_place(scope: Frame, own: tuple[Turn, ...], turns: Turns) -> Place | None:
    alike: list[Hashable] = []
    numbers: list[int] = []
    rows = [(frame.turns, frame) for frame in scope.chain]
    for around, frame in (*rows, (own, None)):
        for turn in around:
            if turns.keeps(turn):
                alike.append(turn.loop)
                numbers.append(turns.count(turn))
            else:
                alike.append((turn.loop, turn.number))
        if frame is not None:  # calls in turns are others in each
            alike.append((frame.block, frame.origin) if numbers else frame)
    return Place(tuple(alike), tuple(numbers)) if numbers else None


class Single(NamedTuple):
    """A value that the only turn of a loop makes under the name of one that it reads: what the
    next turn would read in its place."""

    owner: Frame
    loop: Span | None
    value: str


Names = Callable[[Frame, str], frozenset[str]]
"""What a call calls a value."""


def find_rebound(spelled: Iterable[Spelled], turns: Turns, names: Names) -> list[Single]:
    """The values that loops of one turn make for a turn that is not there."""
    inside: dict[_Loop, dict[int, list[Spelled]]] = {}
    for item in spelled:
        for loop, number in _loops_around(item, turns):
            inside.setdefault(loop, {}).setdefault(number, []).append(item)
    found: list[Single] = []
    for loop, rows in inside.items():
        if list(rows) == [0]:
            found += _find_in_turn(loop, rows[0], names)
    return found


class _Loop(NamedTuple):
    owner: Frame
    span: Span | None
    around: tuple[tuple[Frame, Span | None, int], ...]


def _loops_around(item: Spelled, turns: Turns) -> Iterator[tuple[_Loop, int]]:
    around: tuple[tuple[Frame, Span | None, int], ...] = ()
    rows = [(frame.parent, frame.turns) for frame in item.scope.chain]
    for owner, own in (*rows, (item.scope, item.origin.turns)):
        for turn in own if owner is not None else ():
            assert owner is not None
            if turns.keeps(turn):
                yield _Loop(owner, turn.loop, around), turns.count(turn)
            around = (*around, (owner, turn.loop, turn.number))


def _find_in_turn(loop: _Loop, items: Sequence[Spelled], names: Names) -> Iterator[Single]:
    made = [value for item in items for value in item.outputs]
    entering = {value for item in items for value in item.reads}.difference(made)
    wanted = {name for value in entering for name in names(loop.owner, value)}
    for value in reversed(made):
        again = names(loop.owner, value) & wanted
        if again:
            wanted -= again
            yield Single(loop.owner, loop.span, value)
