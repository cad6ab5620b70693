"""What the arguments of a class must hold: `assert`s of its block, and branches that it has."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from functools import partial, reduce
from itertools import chain
from typing import NamedTuple

from backends.pytorch.classes.explained import ExplainedClass
from backends.pytorch.classes.said import find_decisions
from backends.pytorch.classes.settings import FUNCTION, MODULE
from backends.pytorch.fold.turns import find_owner
from compiler.ir.frame import Argument, ForLoop
from compiler.ir.graph import Assertion, Decision
from compiler.ir.hint import (
    Hint,
    HintBinary,
    HintConst,
    HintError,
    evaluate_hint,
    find_readable,
    hint_names,
    hint_sizes,
    opposite,
    rename_hint,
)
from compiler.report.source import Span


class Lack(NamedTuple):
    """A condition that holds in no call, or in no turn of loops, outermost first: the class has
    nothing of its branch."""

    test: Hint
    loops: tuple[tuple[tuple[str, ...], Hint], ...] = ()


def find_asserts(target: ExplainedClass) -> Iterator[tuple[Hint, str]]:
    """The condition of each assertion in names of the class, and what its author says of it. An
    argument that the class does not offer has one value in it, which stands for it."""
    fixed = _find_fixed(target, _find_offered(target))
    first = {a.place: a for a in reversed(list(_list_assertions(target)))}
    for assertion in reversed(first.values()):
        test = _keep(target, rename_hint(assertion.hint, fixed))
        if test is not None:
            yield test, assertion.text


def find_lacks(target: ExplainedClass) -> Iterator[Lack]:
    """The conditions whose branch no call takes: of `if norm == "layer"` the class has nothing
    where all calls have other norms, and must not be given that one."""
    fixed = _find_fixed(target, _find_offered(target))
    rows: dict[Span, list[Decision]] = {}
    for decision in find_decisions(target):
        if decision.place not in target.said and find_readable(decision.hint) is not None:
            rows.setdefault(decision.place, []).append(decision)
    found: dict[Lack, None] = {}
    for _, decisions in sorted(rows.items(), key=lambda row: row[0].start):
        one = decisions[0]
        if any(d.outcome is not one.outcome or d.hint != one.hint for d in decisions):
            continue
        bound = {name for loop in one.loops for name in loop.names}
        known = {name: value for name, value in fixed.items() if name not in bound}
        guards = {d.guard for d in decisions}
        around = _split(guards.pop()) if len(guards) == 1 else []
        lack = _find_lack(target, one, [rename_hint(part, known) for part in around], known)
        if lack is not None:
            found[lack] = None
    yield from found


def _find_lack(
    target: ExplainedClass, decision: Decision, around: list[Hint], known: Mapping[str, Hint]
) -> Lack | None:
    """What no call has, of a condition that came out alike wherever it was asked."""
    assert decision.hint is not None
    hint = rename_hint(decision.hint, known)
    missing = opposite(hint) if decision.outcome else hint
    whole = _join(target, around, missing)
    bound = {name for loop in decision.loops for name in loop.names}
    if bound.isdisjoint(hint_names(whole)):
        for test in (whole, missing):
            kept = _keep(target, opposite(test))
            if kept is not None:
                return Lack(opposite(kept))
    return _find_in_turns(target, decision.loops, whole, known)


def _find_in_turns(
    target: ExplainedClass, loops: tuple[ForLoop, ...], test: Hint, known: Mapping[str, Hint]
) -> Lack | None:
    """A condition that holds in no turn of the loops around it, if these say what they go
    through in arguments that the class offers."""
    read: list[tuple[tuple[str, ...], Hint]] = []
    needed = set(hint_names(test))
    plain = needed.isdisjoint(chain.from_iterable(loop.names for loop in loops))
    for loop in reversed(loops):
        if not plain and needed.isdisjoint(loop.names):
            continue  # its turns are alike
        if loop.over is None or find_readable(loop.over) is None:
            return None
        over = rename_hint(loop.over, known)
        read.insert(0, (loop.names, over))
        needed |= set(hint_names(over))
    needed -= {name for names, _ in read for name in names}
    parts = [test, *(over for _, over in read)]
    hard = find_readable(test) is None or any(True for part in parts for _ in hint_sizes(part))
    if not read or hard or not needed or not needed <= _find_offered(target):
        return None
    envs = target.names.envs
    try:
        taken = any(_is_taken(test, read, envs[i]) for i in sorted(target.everyone))
    except HintError:
        return None
    return None if taken else Lack(test, tuple(read))


def _is_taken(
    test: Hint, loops: list[tuple[tuple[str, ...], Hint]], env: Mapping[str, object]
) -> bool:
    """Whether a condition holds in some turn of loops.

    Raises:
        HintError: it cannot be said.
    """
    if not loops:
        return bool(evaluate_hint(test, env))
    (names, over), *inner = loops
    items = evaluate_hint(over, env)
    if not isinstance(items, tuple | list):
        raise HintError("no list")
    for item in items:
        row = item if len(names) > 1 else (item,)
        if not isinstance(row, tuple | list) or len(row) != len(names):
            raise HintError("not so many names")
        if _is_taken(test, inner, {**env, **dict(zip(names, row, strict=True))}):
            return True
    return False


def _split(guard: Hint | None) -> list[Hint]:
    """The conditions of the branches that something stands in, outermost first."""
    match guard:
        case None:
            return []
        case HintBinary("and", left, right):
            return [*_split(left), *_split(right)]
    return [guard]


def _join(target: ExplainedClass, around: list[Hint], missing: Hint) -> Hint:
    """A condition with those around it, but for what holds in all calls or follows from it."""
    always = dict.fromkeys(sorted(target.everyone), True)
    kept = [
        guard
        for guard in around
        if target.names.decides(guard, always) is None
        if not _follows(guard, missing)
    ]
    return reduce(partial(HintBinary, "and"), [*kept, missing])


def _follows(guard: Hint, condition: Hint) -> bool:
    """Whether one condition holds wherever another does: an `else if` of the same argument."""
    match guard, condition:
        case HintBinary("!=", left, HintConst()), HintBinary("==", other, HintConst()):
            return left == other and guard != opposite(condition)
    return guard == condition


def _find_offered(target: ExplainedClass) -> set[str]:
    """The arguments of a class that are what they are in the block: not a function for a word."""
    functions = (FUNCTION, MODULE)
    return {s.name for s in target.settings if not (s.runtime or s.annotation in functions)}


def _keep(target: ExplainedClass, hint: Hint) -> Hint | None:
    """A condition that holds in all calls, if it is one on arguments that the class offers."""
    if any(True for _ in hint_sizes(hint)):
        return None
    test = target.names.decides(hint, dict.fromkeys(sorted(target.everyone), True))
    names = set() if test is None else set(hint_names(test))
    return test if names and names <= _find_offered(target) else None


def _list_assertions(target: ExplainedClass) -> Iterator[Assertion]:
    """The assertions of the calls of a class."""
    frames = {find_owner(body.frame) for body in target.bodies}
    for graph in {id(b.index.graph): b.index.graph for b in target.bodies}.values():
        yield from (one for one in graph.assertions if one.frame in frames)


def _find_fixed(target: ExplainedClass, offered: Collection[str]) -> dict[str, Hint]:
    """The arguments that are not offered and have the same value in all calls."""
    rows: dict[str, list[Argument]] = {}
    for body in target.bodies:
        for argument in body.frame.arguments:
            rows.setdefault(argument.name, []).append(argument)
    return {
        name: HintConst(row[0].value)
        for name, row in rows.items()
        if name not in offered and isinstance(row[0].value, int | float | str)
        if all(one.value == row[0].value for one in row)
    }
