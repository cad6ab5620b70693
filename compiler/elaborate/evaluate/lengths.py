"""How many tensors a list holds, in the words of the spec, for code that follows it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from functools import reduce

from compiler.elaborate.scopes.context import Body
from compiler.elaborate.values.values import ListValue, Tensor
from compiler.ir.frame import Frame, Listing, Turn
from compiler.ir.hint import (
    FOLLOWS,
    Hint,
    HintBinary,
    HintCall,
    HintConst,
    HintList,
    HintName,
    count_items,
    mark_outer,
)
from compiler.report.source import Span


def measure_list(body: Body, value: ListValue) -> Hint | None:
    """How the number of items of a list follows from what is around: as its author would write
    it, else only the names that it may follow. None for a list without tensors."""
    frame = body.frame
    tensors = value.source is not None or any(isinstance(item, Tensor) for item in value.items)
    if frame is None or not tensors:
        return None
    parts = [] if value.source is None else list(_find_parts(value.source))
    if not parts or any(part.scope not in frame.chain for part in parts):
        return _mark(_arguments(frame), *map(_arguments, frame.chain[:-1]))
    if any(part.scope is not frame for part in parts):
        rows = [(part.scope, _read_names(part, ())) for part in parts]
        own = [hint for scope, found in rows if scope is frame for hint in found]
        return _mark(own, [hint for scope, found in rows if scope is not frame for hint in found])
    written = _write(parts, body.turns)
    return written or _mark([hint for part in parts for hint in _read_names(part, body.turns)])


def _find_parts(source: Listing) -> Iterator[Listing]:
    """A list, and all that it goes on from."""
    waiting = [source]
    while waiting:
        found = waiting.pop()
        yield found
        waiting += [part for part in found.parts if isinstance(part, Listing)]


def _arguments(frame: Frame) -> list[Hint]:
    return [HintName(argument.name) for argument in frame.arguments]


def _read_names(part: Listing, inside: Sequence[Turn]) -> list[Hint]:
    """What decides whether, and how often, items are added where a list grows: the loops and
    conditions around; of loops that are around the reader too, their names."""
    found = [] if part.origin.guard is None else [part.origin.guard]
    for turn in part.origin.turns:
        if turn in inside:
            found += [HintName(bound.name) for bound in turn.names]
        if turn.over is not None:
            found.append(turn.over)
        else:
            found += _arguments(part.scope)
    return found


def _mark(own: Sequence[Hint], *around: Sequence[Hint]) -> Hint:
    """The names in some hints: those of the block, and those of the blocks around it."""
    outer = mark_outer(HintList(tuple(hint for found in around for hint in found)))
    if not own:
        return outer or HintConst(None)
    return HintCall(FOLLOWS, (*dict.fromkeys(own), *([] if outer is None else [outer])))


def _write(parts: Sequence[Listing], inside: Sequence[Turn]) -> Hint | None:
    """`depth + 1`: a list that grows by as much in every turn of its loops, which are done."""
    single = 0
    loops: dict[Span | None, Counter[int]] = {}
    overs: dict[Span | None, Hint | None] = {}
    for part in parts:
        added = sum(not isinstance(piece, Listing) for piece in part.parts)
        turns = part.origin.turns
        if part.origin.guard is not None or len(turns) > 1:
            return None
        if not turns:
            single += added
            continue
        loop = turns[0].loop
        if any(turn.loop == loop for turn in inside):
            return None
        loops.setdefault(loop, Counter())[turns[0].number] += added
        overs[loop] = turns[0].over
    terms: list[Hint] = []
    for loop, turns_of in loops.items():
        over, (each, *others) = overs[loop], dict.fromkeys(turns_of.values())
        count = None if over is None else count_items(over)
        if count is None or others:
            return None
        terms.append(count if each == 1 else HintBinary("*", HintConst(each), count))
    if single or not terms:
        terms.append(HintConst(single))
    return reduce(lambda left, right: HintBinary("+", left, right), terms)
