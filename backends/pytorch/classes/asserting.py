"""What the arguments of a class must hold: `assert`s of its block, and branches that it has."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from functools import partial, reduce
from itertools import chain
from typing import NamedTuple

from backends.pytorch.classes.algebra import simplify
from backends.pytorch.classes.explained import ExplainedClass, find_loop
from backends.pytorch.classes.said import find_decisions
from backends.pytorch.classes.settings import FUNCTION, MODULE
from backends.pytorch.fold.turns import find_owner
from compiler.ir.authored import Assertion, Decision
from compiler.ir.frame import Argument, ForLoop
from compiler.ir.hint import (
    Hint,
    HintBinary,
    HintConst,
    HintError,
    HintUnary,
    count_items,
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

    @property
    def names(self) -> set[str]:
        """The arguments that it reads."""
        names = {name for _, over in self.loops for name in hint_names(over)}
        bound = {name for names, _ in self.loops for name in names}
        return (names | set(hint_names(self.test))) - bound


def find_asserts(target: ExplainedClass) -> Iterator[tuple[Hint, str]]:
    """The condition of each assertion in names of the class, and what its author says of it. An
    argument that the class does not offer has one value in it, which stands for it."""
    offered = _find_offered(target)
    fixed = _find_fixed(target, offered)
    first = {a.place: a for a in reversed(list(_list_assertions(target)))}
    for assertion in reversed(first.values()):
        test = _keep(target, rename_hint(assertion.hint, fixed), offered)
        if test is not None:
            yield test, assertion.text


def find_lacks(target: ExplainedClass) -> list[Lack]:
    """The conditions whose branch no call takes: of `if norm == "layer"` the class has nothing
    where all calls have other norms, and must not be given that one."""
    offered = _find_offered(target)
    turnless = (lack for lack in _find_turnless(target) if lack.names <= offered)
    return list(dict.fromkeys([*turnless, *_Lacks(target, offered).find().values()]))


def _find_turnless(target: ExplainedClass) -> Iterator[Lack]:
    """Loops without a turn, where the first one is written before the others."""
    for item in target.items:
        inner = find_loop(item)
        if inner is not None and inner.repeat.whole is not None:
            count = count_items(inner.repeat.whole)
            if count is not None and any(True for _ in hint_names(count)):
                yield Lack(HintBinary("<", count, HintConst(1)))


def find_needed(target: ExplainedClass) -> set[str]:
    """Arguments that a class needs only to say for which values of others it has nothing: calls
    differ in them."""
    offered = _find_offered(target)
    others = {
        setting.name
        for setting in target.names.found.values()
        if setting.dim is None and not (setting.runtime or setting.hidden or setting.local)
        if not setting.constant and setting.annotation not in (FUNCTION, MODULE)
    }
    said = _Lacks(target, offered).find() if others - offered else {}
    more = _Lacks(target, offered | others).find() if others - offered else {}
    found = (lack.names for place, lack in more.items() if place not in said)
    needed = {name for names in found if names & offered for name in names - offered}
    return {name for name in needed if _list_places(target, name) <= target.said | more.keys()}


def _list_places(target: ExplainedClass, name: str) -> set[Span]:
    """Where the block reads an argument and no number says so: loops and conditions."""
    arguments = (a for body in target.bodies for a in body.frame.arguments if a.name == name)
    return {place for argument in arguments for place in argument.untraced}


class _Lacks:
    """Finds what no call has, in terms of some arguments."""

    def __init__(self, target: ExplainedClass, offered: set[str]) -> None:
        self.target = target
        self.offered = offered
        self.fixed = _find_fixed(target, offered)

    def find(self) -> dict[Span, Lack]:
        """What no call has of each condition that came out alike wherever it was asked."""
        rows: dict[Span, list[Decision]] = {}
        for decision in find_decisions(self.target):
            readable = find_readable(decision.hint) is not None
            if readable and decision.place not in self.target.said:
                rows.setdefault(decision.place, []).append(decision)
        found: dict[Span, Lack] = {}
        for place, decisions in sorted(rows.items(), key=lambda row: row[0].start):
            one = decisions[0]
            if any(d.outcome is not one.outcome or d.hint != one.hint for d in decisions):
                continue
            if one.hint is None or any(True for _ in hint_sizes(one.hint)):
                continue  # sizes of tensors are known to no constructor
            guards = {d.guard for d in decisions}
            around = split_guard(guards.pop()) if len(guards) == 1 else []
            known = [guard for guard in around if not any(True for _ in hint_sizes(guard))]
            lack = self._find_one(one, known)
            if lack is not None:
                found[place] = lack
        return found

    def _find_one(self, decision: Decision, around: list[Hint]) -> Lack | None:
        assert decision.hint is not None
        bound = {name for loop in decision.loops for name in loop.names}
        known = {name: value for name, value in self.fixed.items() if name not in bound}
        hint = rename_hint(decision.hint, known)
        missing = simplify(_negate(hint) if decision.outcome else hint, whole=False)
        whole = _join(self.target, [rename_hint(part, known) for part in around], missing)
        if isinstance(whole, HintConst):
            return None  # arguments that the class does not offer decide it
        if bound.isdisjoint(hint_names(whole)):
            for test in (whole, missing):
                kept = _keep(self.target, opposite(test), self.offered)
                if kept is not None:
                    return Lack(opposite(kept))
        return self._find_in_turns(decision.loops, whole, known)

    def _find_in_turns(
        self, loops: tuple[ForLoop, ...], test: Hint, known: Mapping[str, Hint]
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
        if not read or hard or not needed or not needed <= self.offered:
            return None
        envs = self.target.names.envs
        try:
            taken = any(_is_taken(test, read, envs[i]) for i in sorted(self.target.everyone))
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


def _negate(condition: Hint) -> Hint:
    """The opposite of a condition, without a `not` around several."""
    match condition:
        case HintBinary("and" | "or" as word, left, right):
            return HintBinary("or" if word == "and" else "and", _negate(left), _negate(right))
    return opposite(condition)


def split_guard(guard: Hint | None) -> list[Hint]:
    """The conditions of the branches that something stands in, outermost first."""
    match guard:
        case None:
            return []
        case HintBinary("and", left, right):
            return [*split_guard(left), *split_guard(right)]
        case HintUnary("not", HintBinary("or") as inner):
            return split_guard(_negate(inner))
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
    return simplify(reduce(partial(HintBinary, "and"), [*kept, missing]), whole=False)


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


def _keep(target: ExplainedClass, hint: Hint, offered: set[str]) -> Hint | None:
    """A condition that holds in all calls, if it is one on arguments that the class offers."""
    if any(True for _ in hint_sizes(hint)):
        return None
    test = target.names.decides(hint, dict.fromkeys(sorted(target.everyone), True))
    names = set() if test is None else set(hint_names(test))
    return test if names and names <= offered else None


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
        if name not in offered and isinstance(row[0].value, int | float | str | tuple)
        if all(one.value == row[0].value for one in row)
    }
