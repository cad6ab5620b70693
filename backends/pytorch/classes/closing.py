"""What a size is after a loop of the spec, written in what is around the loop.

Inside its class such a size is a variable that the turns change; others, who see the class only
from outside, need an expression: `widths[-1]`, `channels + depth * growth`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from backends.pytorch.classes.algebra import to_dim, write_symbols
from backends.pytorch.classes.explained import Repeat
from compiler.ir.hint import (
    Hint,
    HintBinary,
    HintCall,
    HintChoose,
    HintConst,
    HintItem,
    HintList,
    HintName,
    hint_names,
    rename_hint,
)
from compiler.types.dims import Dim, Quotient, Symbol

ONE = HintConst(1)


class _Turns(NamedTuple):
    """How often a loop turns, whether it turns at all, and what its names are in its last turn."""

    number: Hint
    test: Hint
    last: dict[str, Hint]


def close_size(
    repeat: Repeat, over: Hint | None, size: str, given: Mapping[str, Hint]
) -> Hint | None:
    """The size after all turns; `given` is what the loop takes from around it, `over` what it
    goes through. None where no short expression says it."""
    after, start = repeat.updates[size], given.get(size)
    fixed = {name: given[name] for name in repeat.arguments if name in given}
    names = set(hint_names(after))
    if start is None:
        return None
    if names <= fixed.keys() and rename_hint(after, fixed) == start:
        return start
    turns = None if over is None else _read_turns(repeat.names, over)
    if turns is None:
        return None
    known = {**fixed, **turns.last}
    if names <= known.keys():
        return HintChoose(turns.test, rename_hint(after, known), start)
    return _accumulate(after, size, start, turns.number, fixed)


def _accumulate(
    after: Hint, size: str, start: Hint, count: Hint, fixed: Mapping[str, Hint]
) -> Hint | None:
    """`start + count * growth`, `start * 2 ** count` or `start // 2 ** count`."""
    dim = to_dim(after)
    if dim is None or not _counts(count):
        return None
    own = (((Symbol(size), 1),), 1)
    match dim.terms:
        case ((((Symbol(name), 1),), factor),) if name == size:
            return HintBinary("*", start, HintBinary("**", HintConst(factor), count))
        case ((((Quotient(numerator, denominator), 1),), 1),) if numerator == Dim.of(size):
            if denominator.known is None:
                return None
            power = HintBinary("**", HintConst(denominator.known), count)
            return HintBinary("//", start, power)
    if own not in dim.terms:
        return None
    growth = dim - Dim.of(size)
    if not growth.symbols <= fixed.keys():
        return None
    step = rename_hint(write_symbols(growth), fixed)
    return HintBinary("+", start, HintBinary("*", count, step))


def _counts(count: Hint) -> bool:
    """Whether an expression is the number of turns for every value: a range up to something
    below 0 has none."""
    match count:
        case HintName() | HintCall("len"):
            return True
        case HintConst(int() as value):
            return value >= 0
    return False


def _read_turns(names: tuple[str, ...], over: Hint) -> _Turns | None:
    match over:
        case HintCall("enumerate", (items,)) if len(names) == 2:
            inner = _read_turns(names[1:], items)
            if inner is None:
                return None
            place = HintBinary("-", inner.number, ONE)
            return inner._replace(last={names[0]: place, **inner.last})
        case HintCall("range", (stop,)):
            return _read_range(names, HintConst(0), stop)
        case HintCall("range", (start, stop)):
            return _read_range(names, start, stop)
        case HintCall("reversed", (items,)):
            return _read_items(names, items, 0)
        case HintCall():
            return None
    return _read_items(names, over, -1)


def _read_range(names: tuple[str, ...], start: Hint, stop: Hint) -> _Turns:
    count = stop if start == HintConst(0) else HintBinary("-", stop, start)
    last = dict.fromkeys(names[:1], HintBinary("-", stop, ONE))
    return _Turns(count, HintBinary(">", stop, start), dict(last))


def _read_items(names: tuple[str, ...], items: Hint, place: int) -> _Turns:
    """A loop over a list, whose last turn has the item at a place."""
    item = HintItem(items, HintConst(place))
    last: dict[str, Hint] = dict.fromkeys(names, item)
    if len(names) > 1:
        last = {name: HintItem(item, HintConst(k)) for k, name in enumerate(names)}
    count: Hint = HintCall("len", (items,))
    if isinstance(items, HintList):
        count = HintConst(len(items.items))
    return _Turns(count, items, last)
