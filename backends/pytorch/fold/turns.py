"""Compile-time loops of a spec as frames: what one turn holds, and what a loop of turns is."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import field, replace

from compiler.ir.frame import Argument, Frame, Turn
from compiler.ir.hint import (
    HINT_FUNCTIONS,
    Hint,
    HintBinary,
    HintCall,
    HintChoose,
    HintConst,
    HintError,
    HintItem,
    HintList,
    HintName,
    HintText,
    HintUnary,
    evaluate_hint,
    hint_names,
    python_function,
    rename_hint,
    text_inside,
)
from compiler.records import dataclass
from compiler.report.source import Span
from compiler.writing.names import is_key, safe_name


class Unfoldable(Exception):
    """Loops that cannot be printed as loops: their turns print one after the other. `but_first`:
    only the first one, and the others as a loop."""

    def __init__(self, loops: Collection[Span], *, but_first: bool = False) -> None:
        super().__init__(", ".join(loop.location for loop in loops))
        self.loops = frozenset(loops)
        self.but_first = but_first


@dataclass(frozen=True, eq=False)
class LoopFrame(Frame):
    """All turns of one loop in one call of a block."""

    loop: Span = field(kw_only=True)


@dataclass(frozen=True, eq=False)
class TurnFrame(Frame):
    """One turn of a loop: its paths are those of the call around, its arguments the names of the
    call and of its loops. Where the first turn prints before the loop, `turn` is counted from the
    one behind it, and `whole` is what the loop of the spec goes through."""

    turn: Turn = field(kw_only=True)
    owner: Frame = field(kw_only=True)
    whole: Hint | None = field(default=None, kw_only=True)


def find_owner(frame: Frame) -> Frame:
    """The call whose body a frame stands in: itself, but for turns of loops."""
    return frame.owner if isinstance(frame, TurnFrame) else frame


def find_loops(frames: Iterable[Frame]) -> set[Span]:
    """The loops that some turns are of."""
    turns = (frame.turn for frame in frames if isinstance(frame, TurnFrame))
    return {turn.loop for turn in turns if turn.loop is not None}


def turn_names(frame: Frame) -> frozenset[str]:
    """Names that the loops around a turn bind."""
    names: set[str] = set()
    here: Frame | None = frame
    while here is not None and isinstance(here, TurnFrame | LoopFrame):
        if isinstance(here, TurnFrame):
            names.update(n.name for n in here.turn.names)
        here = here.parent
    return frozenset(names)


def own_names(frame: Frame) -> frozenset[str]:
    """Names that the loop of a turn binds itself, as code says them."""
    turn = frame.turn if isinstance(frame, TurnFrame) else None
    return frozenset(safe_name(n.name) for n in turn.names) if turn is not None else frozenset()


class Turns:
    """Makes the frames of loops, once each. Loops in `unrolled`, and those whose names hide
    others, have none; of those in `opened`, the first turn stands before the loop."""

    def __init__(self, unrolled: Collection[Span], opened: Collection[Span] = ()) -> None:
        self.unrolled = unrolled
        self.opened = opened
        self.made: dict[tuple[Frame, Span, object], Frame] = {}

    def keeps(self, turn: Turn) -> bool:
        """Whether a turn is printed as one of a loop."""
        loops = turn.loop is not None and turn.over is not None and turn.loop not in self.unrolled
        return loops and self.count(turn) >= 0

    def opens(self, turn: Turn) -> bool:
        """Whether a turn stands before a loop of all the others."""
        return turn.loop in self.opened and turn.loop not in self.unrolled

    def count(self, turn: Turn) -> int:
        """Which turn of the printed loop it is; -1 for one that stands before it."""
        return turn.number - self.opens(turn)

    def frames(self, owner: Frame, turns: Sequence[Turn]) -> Iterator[Frame]:
        """The frames between a call and what stands in turns of its loops, outermost first."""
        outer = owner
        around: tuple[tuple[Span | None, int], ...] = ()
        for turn in turns:
            if not self.keeps(turn):
                around = (*around, (turn.loop, turn.number))
                continue
            assert turn.loop is not None
            loop = self._loop(outer, turn.loop, around)
            key = (loop, turn.loop, turn.number)
            if key not in self.made:
                self.made[key] = self._make(owner, loop, turn)
            yield loop
            outer = self.made[key]
            yield outer

    def _make(self, owner: Frame, loop: Frame, turn: Turn) -> TurnFrame:
        assert loop.parent is not None
        assert turn.loop is not None
        bound = {safe_name(n.name) for n in turn.names}
        around = loop.parent.arguments
        if len(bound) < len(turn.names) or any(safe_name(a.name) in bound for a in around):
            raise Unfoldable({turn.loop})
        kept = tuple(Argument(a.name, a.value, untraced=a.untraced) for a in around)
        own = tuple(Argument(n.name, n.value) for n in turn.names)
        block, whole = f"{owner.block} loop at {turn.loop.start}", None
        if self.opens(turn) and turn.over is not None:
            whole = turn.over
            turn = replace(turn, number=self.count(turn), over=drop_first(whole))
        return TurnFrame(
            block,
            owner.path,
            owner.call,
            loop,
            (*own, *kept),
            origin=turn.loop,
            turn=turn,
            owner=owner,
            whole=whole,
        )

    def _loop(self, outer: Frame, loop: Span, around: tuple[tuple[Span | None, int], ...]) -> Frame:
        key = (outer, loop, around)
        if key not in self.made:
            self.made[key] = LoopFrame(
                f"{find_owner(outer).block} loop", outer.path, outer.call, outer, loop=loop
            )
        return self.made[key]

    def values(self, turns: Sequence[Turn]) -> dict[str, Hint]:
        """What the names of unrolled loops are written as where they stand."""
        known: dict[str, Hint] = {}
        for turn in turns:
            if self.keeps(turn):
                continue
            first = find_first(turn) if self.opens(turn) else {}
            for bound in turn.names:
                written = bound.hint or first.get(bound.name) or _literal(bound.value)
                known[bound.name] = rename_hint(written, known)
        return known


def drop_first(over: Hint) -> Hint | None:
    """What a loop goes through behind its first turn: `range(1, layers)`, `widths[1:]`,
    `enumerate(widths[1:], 1)`. None where nobody writes it so."""
    match over:
        case HintCall("range", (stop,)):
            return HintCall("range", (HintConst(1), stop))
        case HintCall("range", (HintConst(int() as start), stop)):
            return HintCall("range", (HintConst(start + 1), stop))
        case HintCall("enumerate", (items,)):
            behind = drop_first(items)
            return None if behind is None else HintCall("enumerate", (behind, HintConst(1)))
        case HintList(parts):
            return HintList(parts[1:])
        case HintName() | HintItem():
            return HintItem(over, HintCall("slice", (HintConst(1), HintConst(None))))
    return None


def find_first(turn: Turn) -> dict[str, Hint]:
    """What the names of a loop are in its first turn, in terms of what it goes through; those of
    which nobody writes that are left out."""
    names = [bound.name for bound in turn.names]
    match turn.over:
        case HintCall("range", (_,)):
            return dict.fromkeys(names, HintConst(0))
        case HintCall("range", (start, _)):
            return dict.fromkeys(names, start)
        case HintCall("enumerate", (items,)) if len(names) == 2:
            inner = find_first(replace(turn, names=turn.names[1:], over=items))
            return {names[0]: HintConst(0), **inner}
        case HintList((first, *_)):
            return _read_row(names, first)
        case HintName() | HintItem() as items:
            return _read_row(names, HintItem(items, HintConst(0)))
    return {}


def _read_row(names: Sequence[str], item: Hint) -> dict[str, Hint]:
    """The names of a loop for one item of what it goes through."""
    if len(names) == 1:
        return {names[0]: item}
    return {name: HintItem(item, HintConst(k)) for k, name in enumerate(names)}


def _literal(value: object) -> Hint:
    return HintConst(value)  # type: ignore[arg-type]


_WORD = re.compile(r"\w+")


def _fits_path(hint: Hint) -> bool:
    """Whether an expression may stand between the dots and braces of a path: it holds neither,
    and no quotation mark but around words. What nobody reads (`["...", "a"][1]`) counts too."""
    match hint:
        case HintName():
            return True
        case HintConst(str() as text):
            return _WORD.fullmatch(text) is not None
        case HintConst(value):
            return isinstance(value, int)
        case HintUnary(_, operand):
            return _fits_path(operand)
        case HintBinary(_, left, right):
            return _fits_path(left) and _fits_path(right)
        case HintChoose(condition, then, otherwise):
            return all(map(_fits_path, (condition, then, otherwise)))
        case HintItem(items, HintConst() | HintName() | HintBinary() as index):
            return _fits_path(items) and _fits_path(index)
        case HintCall(function, arguments) if function in HINT_FUNCTIONS:
            return python_function(function) == function and all(map(_fits_path, arguments))
        case HintList(parts):
            return all(map(_fits_path, parts))
    return False


def write_slot(
    frame: Frame, parts: Sequence[tuple[str, Hint | None]], values: Mapping[str, object]
) -> str | None:
    """A path below a call as all turns of its loops say it: `layers.{i}`. `parts` are its pieces
    with how they were written; None where no name of a loop is in them, or where what is in them
    cannot stand in a path: there the turns print one by one."""
    pieces: list[Hint] = []
    for text, hint in parts:
        pieces += [HintConst(".")] if pieces else []
        pieces += hint.parts if isinstance(hint, HintText) else [hint or HintConst(text)]
    whole = HintText(tuple(pieces))
    names = set(hint_names(whole))
    if not names or not names <= turn_names(frame):
        return None
    written = [piece for piece in pieces if not isinstance(piece, HintConst)]
    try:
        found = evaluate_hint(whole, values)
        known = [str(evaluate_hint(piece, values)) for piece in written]
    except HintError:
        return None
    if found != ".".join(text for text, _ in parts):
        return None
    if not all(map(_fits_path, written)) or not all(map(_WORD.fullmatch, known)):
        return None
    if not all(map(is_key, found.split("."))):
        return None  # a ModuleDict refuses such a name, and a module reads it as its own
    # names are code from here on, which a name of the spec need not be
    spelled = rename_hint(whole, {n: HintName(safe_name(n)) for n in names})
    assert isinstance(spelled, HintText)
    return text_inside(spelled.parts)
