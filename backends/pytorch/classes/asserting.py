"""Which `assert`s of a block its class can keep: those on arguments that it offers."""

from __future__ import annotations

from collections.abc import Iterator

from backends.pytorch.classes.merged import Class
from backends.pytorch.fold.turns import find_owner
from compiler.ir.frame import Argument
from compiler.ir.graph import Assertion
from compiler.ir.hint import Hint, HintConst, hint_names, hint_sizes, rename_hint


def find_asserts(target: Class) -> Iterator[tuple[Hint, str]]:
    """The condition of each assertion in names of the class, and what its author says of it. An
    argument that the class does not offer has one value in it, which stands for it."""
    assert target.explained is not None
    settings = target.explained.settings
    offered = {s.name for s in target.settings if not s.runtime}
    fixed = _find_fixed(target, offered)
    wanted = dict.fromkeys(sorted(target.everyone), True)
    seen = set()
    for assertion in _list_assertions(target):
        if assertion.place in seen:
            continue
        seen.add(assertion.place)
        hint = rename_hint(assertion.hint, fixed)
        if any(True for _ in hint_sizes(hint)):
            continue
        test = settings.decides(hint, wanted)
        names = set() if test is None else set(hint_names(test))
        if test is not None and names and names <= offered:
            yield test, assertion.text


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
