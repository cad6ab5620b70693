"""What the arguments of a class must hold: `assert`s of its block, and branches that it has."""

from __future__ import annotations

from collections.abc import Iterator

from backends.pytorch.classes.merged import Class
from backends.pytorch.classes.said import find_decisions
from backends.pytorch.fold.turns import find_owner
from compiler.ir.frame import Argument
from compiler.ir.graph import Assertion, Decision
from compiler.ir.hint import Hint, HintConst, hint_names, hint_sizes, opposite, rename_hint
from compiler.report.source import Span


def find_asserts(target: Class) -> Iterator[tuple[Hint, str]]:
    """The condition of each assertion in names of the class, and what its author says of it. An
    argument that the class does not offer has one value in it, which stands for it."""
    fixed = _find_fixed(target, _find_offered(target))
    first = {a.place: a for a in reversed(list(_list_assertions(target)))}
    for assertion in reversed(first.values()):
        test = _keep(target, rename_hint(assertion.hint, fixed))
        if test is not None:
            yield test, assertion.text


def find_guards(target: Class) -> Iterator[Hint]:
    """What must hold because no call takes the other branch of a condition: of `if norm == "layer"`
    the class has nothing where all calls have other norms, and must not be given that one."""
    fixed = _find_fixed(target, _find_offered(target))
    rows: dict[Span, list[Decision]] = {}
    for decision in find_decisions(target):
        if decision.place not in target.said and decision.hint is not None:
            rows.setdefault(decision.place, []).append(decision)
    found: dict[Hint, None] = {}
    for decisions in rows.values():
        hint, outcome = decisions[0].hint, decisions[0].outcome
        if hint is None or any(d.outcome is not outcome or d.hint != hint for d in decisions):
            continue
        named = rename_hint(hint if outcome else opposite(hint), fixed)
        test = _keep(target, named)
        if test is not None:
            found[test] = None
    yield from found


def _find_offered(target: Class) -> set[str]:
    return {s.name for s in target.settings if not s.runtime}


def _keep(target: Class, hint: Hint) -> Hint | None:
    """A condition that holds in all calls, if it is one on arguments that the class offers."""
    assert target.explained is not None
    if any(True for _ in hint_sizes(hint)):
        return None
    test = target.explained.settings.decides(hint, dict.fromkeys(sorted(target.everyone), True))
    names = set() if test is None else set(hint_names(test))
    return test if names and names <= _find_offered(target) else None


def _list_assertions(target: Class) -> Iterator[Assertion]:
    """The assertions of the calls of a class."""
    frames = {find_owner(body.frame) for body in target.bodies}
    for graph in {id(b.index.graph): b.index.graph for b in target.bodies}.values():
        yield from (one for one in graph.assertions if one.frame in frames)


def _find_fixed(target: Class, offered: set[str]) -> dict[str, Hint]:
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
