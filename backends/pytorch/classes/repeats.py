"""Loops of a spec as items of the body around them: what goes round, what stays, what comes out."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise

from backends.pytorch.classes.calls import TurnCall
from backends.pytorch.classes.explained import ExplainedClass, Repeat, TurnClass, find_loop
from backends.pytorch.classes.merged import (
    Choice,
    Diverge,
    Formal,
    Merged,
    MergedClass,
    MergedRef,
    OutputRef,
    spread,
)
from backends.pytorch.fold.index import Index
from backends.pytorch.fold.items import Item
from backends.pytorch.fold.turns import (
    LoopFrame,
    TurnFrame,
    Unfoldable,
    find_loops,
    find_owner,
)
from backends.pytorch.terms.naming import MARK
from backends.pytorch.terms.setting import Setting
from backends.pytorch.terms.terms import Form, Hole, Many, Operand, Tree, same_value
from compiler.ir.frame import Frame, Turn
from compiler.ir.hint import Hint, HintCall, HintName, count_items, hint_names
from compiler.report.source import Span


def _reads_better_written_out(target: TurnClass, turn: TurnFrame) -> bool:
    """Whether a loop goes through numbers that are written out and makes attributes: nobody
    gains by `getattr`."""
    over = _turn(turn).over
    fixed = over is None or not any(True for _ in hint_names(over))
    return fixed and any("{" in slot.partition(".")[0] for slot in loop_slots(target))


LOOP = f"{MARK}loop "
"""What the slot of a loop that fills no container of its own begins with."""


def make_loop_item(
    index: Index, frame: Frame, loop: LoopFrame, calls: Mapping[Frame, TurnCall]
) -> Item:
    """The item of a loop in the body that it stands in.

    Raises:
        Unfoldable: one loop cannot say what its turns do.
    """
    turns = [child for child in index.children[loop] if isinstance(child, TurnFrame)]
    turns.sort(key=_number)
    targets = {id(calls[turn].target) for turn in turns}
    if len(turns) < len(index.children[loop]) or len(targets) > 1:
        raise Unfoldable({loop.loop})
    if [_number(turn) for turn in turns] != list(range(len(turns))):
        raise Unfoldable({loop.loop})
    target = calls[turns[0]].target
    repeat = target.repeat
    instances = [calls[turn].instance for turn in turns]
    last = [target.value(ref, instances[-1]) for ref in target.outputs]
    if not set(index.leaving[loop]) <= set(last):
        raise Unfoldable({loop.loop})
    reads = tuple(target.formal_value(p, instances[0]) for p in range(len(target.places)))
    if _reads_better_written_out(target, turns[0]):
        raise Unfoldable({loop.loop})
    label = f"{LOOP}{loop.loop.start}"
    holes = [_over(target, turns, instances), *_holes(target, instances)]
    keys = (*repeat.arguments, *repeat.sizes)
    return Item(
        label,
        Tree(Form.FOR, label, tuple(holes), keys, target),
        Tree(Form.RUN, label, tuple(map(Operand, range(len(reads)))), (), target),
        reads,
        tuple(last),
        op="loop of the spec",
    )


def find_loop_slots(item: Item) -> Iterator[str]:
    """Paths of the modules that a loop makes, in the names of its turns."""
    match item.constructor:
        case Tree(Form.FOR, target=TurnClass() as target):
            yield from loop_slots(target)


def list_asked(inside: Iterable[Merged]) -> list[str]:
    """The attributes of the modules of a branch, which say whether it is there."""
    return [m.slot for m in inside if m.slot and m.variants and not m.slot.startswith(LOOP)]


def loop_slots(target: TurnClass, *, joined: bool = False) -> Iterator[str]:
    """Paths of the modules that the turns of a loop make, those of inner loops too; `joined`:
    and of the containers that inner loops fill."""
    for item in target.items:
        inner = find_loop(item)
        if inner is not None:
            yield from loop_slots(inner, joined=joined)
        elif item.variants:
            yield item.slot
        if inner is not None and joined and not item.slot.startswith(LOOP):
            yield item.slot


def join_container(items: list[Item]) -> list[Item]:
    """Items, where a loop that fills a container of its own stands at the container's path."""
    made = []
    for item in items:
        prefix = _find_container(item)
        others = (
            s for other in items if other is not item for s in (other.slot, *find_loop_slots(other))
        )
        if prefix is None or any(s == prefix or s.startswith(prefix + ".") for s in others):
            made.append(item)
            continue
        made.append(_chain(replace(item, slot=prefix)))
    return made


def _chain(item: Item) -> Item:
    """A loop that only hands a tensor from one module to the next is an `nn.Sequential`."""
    match item.constructor:
        case Tree(target=TurnClass() as target) if is_chain_loop(target, item.slot):
            expression = Tree(Form.CALL, "", (Tree(Form.OWN, item.slot), Operand(0)))
            return replace(item, expression=expression)
    return item


def is_chain_loop(target: TurnClass, prefix: str) -> bool:
    """Whether the turns of a loop are the stages of an `nn.Sequential`."""
    single = len(target.items) == 1 and len(target.places) == len(target.outputs) == 1
    single = single and not target.repeat.first
    if not single or target.repeat.carried != {0: 0} or target.choices:
        return False
    (item,) = target.items
    plain = Tree(Form.CALL, "", (Tree(Form.OWN, item.slot), Operand(0)))
    return item.slot == f"{prefix}.{target.repeat.numbered}" and item.expression == plain


def _find_container(item: Item) -> str | None:
    """The path of the container that a loop fills: all its modules are members right below."""
    match item.constructor:
        case Tree(Form.FOR, target=TurnClass() as target):
            slots = list(_list_members(target))
            if len(set(slots)) != 1:
                return None
            prefix, _, last = slots[0].rpartition(".")
            above = any(_is_own(target, part) for part in prefix.split("."))
            return prefix if prefix and not above and _is_own(target, last) else None
    return None


def _list_members(target: TurnClass) -> Iterator[str]:
    """Paths of the modules that the turns of a loop make, containers of inner loops as one."""
    for item in target.items:
        inner = find_loop(item)
        if inner is not None and item.slot.startswith(LOOP):
            yield from loop_slots(inner)
        elif item.variants:
            yield item.slot


def _is_own(target: TurnClass, last: str) -> bool:
    """Whether the name of a member changes with each turn."""
    inner = " ".join(part.partition("}")[0] for part in last.split("{")[1:])
    return not set(re.findall(r"\w+", inner)).isdisjoint(target.repeat.spelled)


# --- what goes round ----------------------------------------------------------------------------


def make_turns(target: ExplainedClass) -> TurnClass:
    """The class of the turns of a loop.

    Raises:
        Unfoldable: one loop cannot say what its turns do.
    """
    (loop,) = find_loops([target.bodies[0].frame])
    return TurnClass(**spread(target), repeat=_find_repeat(target, loop))


def _find_repeat(target: ExplainedClass, loop: Span) -> Repeat:
    runs = _runs(target)
    carried = find_carried(target)
    if carried is None:
        raise Unfoldable({loop})
    frame = target.bodies[0].frame
    assert isinstance(frame, TurnFrame)
    names = tuple(bound.name for bound in frame.turn.names)
    sizes: dict[str, tuple[int, int]] = {}
    arguments: list[str] = []
    for setting in target.settings:
        if setting.runtime or setting.name in names:
            continue
        if setting.dim is not None:
            sizes[setting.name] = setting.dim
        elif setting.fresh or not _is_constant(setting, runs):
            raise Unfoldable({loop})
        else:
            arguments.append(setting.name)
    counter, first = _find_counter(target, runs)
    updates = _find_updates(target, loop, carried, sizes)
    return Repeat(
        loop, names, tuple(arguments), sizes, carried, counter, updates, first, frame.whole
    )


def check_order(target: ExplainedClass) -> None:
    """Sizes that change are kept in variables: each must be read before it changes.

    Raises:
        Unfoldable: one is needed later.
        Diverge: the same, inside a turn.
    """
    loops = {i.repeat.loop for m in target.items if (i := find_loop(m))}
    if not loops and not target.is_turn:
        return
    try:
        _check_order(target)
    except Diverge:
        if target.is_turn:
            raise
        raise Unfoldable(loops) from None


def _check_order(target: ExplainedClass) -> None:
    variables_of = {s.name: s.name for s in target.settings if s.dim is not None}
    current = dict(variables_of)
    waiting = dict(target.locals)
    for item in target.items:
        inner = find_loop(item)
        for leaf in item.leaves():
            if leaf.solution is not None and not isinstance(leaf.solution, Tree):
                _check_names(hint_names(leaf.solution), variables_of, current)
        if inner is not None:
            _step_loop(item, inner, target, variables_of, current)
        for name, local in list(waiting.items()):
            if isinstance(local.source, Choice) and is_last(target, local.source, item):
                del waiting[name]
                if local.after is not None:
                    _check_names([local.before, *hint_names(local.after)], variables_of, current)
                variables_of[name] = variables_of[local.before]
                current[variables_of[name]] = name
    for hint in target.widths.values() if target.is_turn else ():
        _check_names(hint_names(hint), variables_of, current)


def is_last(target: ExplainedClass, choice: Choice, item: Merged) -> bool:
    """Whether an item is the last of a branch."""
    inside = [m for m in target.items if m.instances == choice.instances]
    return bool(inside) and inside[-1] is item


def _step_loop(
    item: Merged,
    inner: TurnClass,
    target: ExplainedClass,
    variables_of: dict[str, str],
    current: dict[str, str],
) -> None:
    tree = item.variants[0].constructor
    assert isinstance(tree, Tree)
    given = dict(zip(tree.keys, tree.parts[1:], strict=True))
    for size in inner.repeat.updates:
        name = f"{tree.label}:{size}"
        part = given[size]
        start = part.solution if isinstance(part, Many) else None
        known = isinstance(start, HintName) and start.name in variables_of
        if known and isinstance(start, HintName) and _is_variable(target, start.name):
            variables_of[name] = variables_of[start.name]
        else:
            variables_of[name] = name
        current[variables_of[name]] = name


def _is_variable(target: ExplainedClass, name: str) -> bool:
    """Whether a size is kept in a variable of the constructor: not where it is an argument."""
    return target.is_turn or name in target.locals


def _check_names(
    names: Iterable[str], variables_of: Mapping[str, str], current: Mapping[str, str]
) -> None:
    for name in names:
        if name in variables_of and current[variables_of[name]] != name:
            raise Diverge("a size that is needed after it has changed")


def find_carried(target: MergedClass) -> dict[int, int] | None:
    """Which output each formal takes in the next turn; None where one neither does nor stays."""
    runs = _runs(target)
    carried: dict[int, int] = {}
    for place in range(len(target.places)):
        found = _find_source(target, place, runs)
        if found is None:
            return None
        if found >= 0:
            carried[place] = found
    sure = all(_is_sure(target, place, output, runs) for place, output in carried.items())
    return carried if sure and len(set(carried.values())) == len(carried) else None


def _is_sure(target: MergedClass, place: int, output: int, runs: Sequence[Sequence[int]]) -> bool:
    """Whether what first turns alone read is what goes round: not where the value that they begin
    with has a name that no turn binds again."""
    first = {run[0] for run in runs}
    alone = [item for item in target.items if item.instances <= first]
    if not any(ref == Formal(place) for item in alone for ref in item.refs):
        return True
    body = target.bodies[min(first)]
    owner, names = find_owner(body.frame), body.index.call_names
    begun = names(owner, target.formal_value(place, min(first)))
    made = [names(owner, target.value(target.outputs[output], n)) for n in target.everyone]
    return begun <= frozenset().union(*made)


def _find_updates(
    target: ExplainedClass,
    loop: Span,
    carried: Mapping[int, int],
    sizes: Mapping[str, tuple[int, int]],
) -> dict[str, Hint]:
    updates: dict[str, Hint] = {}
    for name, (place, axis) in sizes.items():
        if place not in carried:
            continue
        after = target.widths.get((carried[place], axis))
        if after is None:
            raise Unfoldable({loop})
        if after != HintName(name):
            updates[name] = after
    return updates


def _runs(target: MergedClass) -> list[list[int]]:
    """The instances of a class of turns, those of one loop together and in order."""
    runs: dict[Frame | None, list[int]] = {}
    for number, body in enumerate(target.bodies):
        runs.setdefault(body.frame.parent, []).append(number)
    for run in runs.values():
        run.sort(key=lambda n: _number(target.bodies[n].frame))
    return list(runs.values())


def _find_source(target: MergedClass, place: int, runs: Sequence[Sequence[int]]) -> int | None:
    """The output that a formal takes in the next turn; -1 where it stays what it is; None where
    it does neither."""
    pairs = [pair for run in runs for pair in pairwise(run)]
    if not pairs:
        return _guess_source(target, place)
    for output, ref in enumerate(target.outputs):
        if all(target.formal_value(place, b) == target.value(ref, a) for a, b in pairs):
            return output
    stays = all(target.formal_value(place, b) == target.formal_value(place, a) for a, b in pairs)
    return -1 if stays else None


def _guess_source(target: MergedClass, place: int) -> int | None:
    """The same where no loop has a second turn: the list that goes on from it, else by the
    author's names."""
    if target.is_list(Formal(place)):
        key, rows = target.list_key(Formal(place)), list(enumerate(target.outputs))
        longer = [n for n, ref in rows if Formal(place) in _bases(ref)]
        if not longer and any(target.list_key(ref) == key for _, ref in rows):
            return None  # it goes on from it inside of a call
        return longer[0] if longer else -1
    body = target.bodies[0]
    owner, names = find_owner(body.frame), body.index.call_names
    wanted = names(owner, target.formal_value(place, 0))
    outputs = enumerate(target.outputs)
    found = [n for n, ref in outputs if names(owner, target.value(ref, 0)) & wanted]
    if len(found) > 1 or (found and len(wanted) > 1):
        return None  # which of its names the turn reads it by, nobody says
    return found[0] if found else -1


def _bases(ref: MergedRef) -> Iterator[MergedRef]:
    """What a list in a turn goes on from."""
    match ref:
        case Choice(base, other):
            yield from _bases(base)
            yield from _bases(other)
        case OutputRef(item, _) if item.sample.op == "append":
            yield from _bases(item.refs[0])
        case OutputRef(item, output) if inner := find_loop(item):
            places = (p for p, q in inner.repeat.carried.items() if q == output)
            for place in places:
                yield from _bases(item.refs[place])
        case _:
            yield ref


def _is_constant(setting: Setting, runs: Sequence[Sequence[int]]) -> bool:
    return all(same_value(setting.values[n], setting.values[r[0]]) for r in runs for n in r)


def _find_counter(target: MergedClass, runs: Sequence[Sequence[int]]) -> tuple[str, int]:
    """The name that counts the turns, and from which number on; "" where none does."""
    for bound in _turn(target.bodies[0].frame).names:
        rows = [[_bound(target.bodies[n].frame, bound.name) for n in run] for run in runs]
        first = rows[0][0]
        if not isinstance(first, int) or first < 0:
            continue
        if all(row == list(range(first, first + len(row))) for row in rows):
            return bound.name, first
    return "", 0


def _bound(frame: Frame, name: str) -> object:
    return next(a.value for a in frame.arguments if a.name == name)


def _over(target: TurnClass, turns: Sequence[TurnFrame], instances: Sequence[int]) -> Hole:
    """What a loop goes through, as it is now that passes may have changed widths; where it names
    nothing of that, the numbers of its turns."""
    over = _turn(turns[0]).over
    if not _turn(turns[0]).names:
        count = count_items(over) if over is not None else None
        numbers = HintCall("range", (count,)) if count is not None else None
        return Hole(tuple(range(len(turns))), "over", hint=numbers)
    rows = []
    settings = {setting.name: setting.values for setting in target.settings}
    for turn, instance in zip(turns, instances, strict=True):
        row = tuple(
            settings[n.name][instance] if n.name in settings else n.value for n in _turn(turn).names
        )
        rows.append(row[0] if len(row) == 1 else row)
    return Hole(tuple(rows), "over", hint=over)


def _holes(target: TurnClass, instances: Sequence[int]) -> Iterator[Hole]:
    """What the turns of a loop take from around it: arguments, and sizes of tensors before the
    first turn."""
    settings = {s.name: s for s in target.settings}
    for name in target.repeat.arguments:
        yield Hole(settings[name].values[instances[0]], name, hint=HintName(name))
    for name, (place, axis) in target.repeat.sizes.items():
        yield Hole(settings[name].values[instances[0]], name, dim=("in", place, axis))


def _number(frame: Frame) -> int:
    return _turn(frame).number


def _turn(frame: Frame) -> Turn:
    """Which turn of its loop a frame is."""
    assert isinstance(frame, TurnFrame)
    return frame.turn
