"""Arguments that a class would honour only in part: other widths depend on them and are literals.

`features -> flatten -> dense(10)` after `conv(width)`: if the width that comes out of `flatten`
could not be written in terms of `width`, a class that took `width` would work for one value only.
The same holds of what the class is given: a class around it must not change that either.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from backends.pytorch.classes.dependence import find_guards, names_in
from backends.pytorch.classes.explained import (
    ExplainedClass,
    Limits,
    Promise,
    TurnClass,
    find_called,
)
from backends.pytorch.classes.hinted_sizes import HintedSizes
from backends.pytorch.classes.merged import Merged, MergedClass
from backends.pytorch.classes.moved_hints import lift_hint
from backends.pytorch.classes.options import find_counted, find_reforming, find_unspelled, option_of
from backends.pytorch.classes.promises import find_promised
from backends.pytorch.classes.propagation import find_stages
from backends.pytorch.classes.said import find_decisions
from backends.pytorch.classes.widths import Widths, is_left_open
from backends.pytorch.terms.terms import UNREAD, Form, Many, Part, Tree, subtrees, variables
from compiler.ir.hint import (
    Hint,
    HintName,
    HintSize,
    find_readable,
    hint_names,
    hint_sizes,
    outer_names,
    read_size_name,
)
from compiler.report.source import Span
from compiler.writing.python import CodeName

RATES = ("float", "float | None", "str", "str | None")
"""Arguments that mostly make no sizes, though the layers that take them may stand before one."""


def find_partial_parameters(
    widths: Widths, hinted: HintedSizes, said: frozenset[Span], known: Limits
) -> tuple[set[str], Limits]:
    """Arguments that are the same in all instances and reach only some of the widths that
    depend on them: they must not be offered. The limits hold, beside those that were known with
    more arguments, all that is fixed by them."""
    target = widths.target
    outer = {name for item in target.items for name in _find_outer(item)}
    outer |= {name for hint in _find_unsaid(target, said) for name in outer_names(hint)}
    outside = {size for item in target.items for size in _find_outside(item)}
    sizing = {name for item in target.items for name in _find_sizing(widths, item)}
    promised = find_promised(widths, joined=False)
    written = (
        outer
        | (_list_names(promised) if target.is_root else set())
        | {name for size in outside for name in hinted.names(size)}
        | set(_find_undecided(widths, hinted, said))
        | {name for item in target.items for name in _find_dropped(widths, hinted, item)}
    )
    sized = widths.pinned | {name for item in target.items for name in _find_fixed(widths, item)}
    partial_ones, fixed = _find_unfollowing(widths, written, sized, sizing)
    if (
        not partial_ones
    ):  # with fewer arguments a literal behind a variable may be written in terms of it
        written, sized = (_open_locals(widths, names) for names in (written, sized))
        partial_ones, more = _find_unfollowing(widths, written, sized, sizing)
        fixed |= more
    limits = Limits(
        known.fixed | fixed,
        frozenset(sizing),
        known.outer | outer,
        frozenset(size for size in outside if not hinted.knows(size)),
        promised,
        find_promised(widths, joined=True),
    )
    return partial_ones, limits


def _list_names(promised: Mapping[Promise, set[str | tuple[int, int]]]) -> set[str]:
    """The arguments that the checks of a model, in which they are numbers, do not follow."""
    return {one for names in promised.values() for one in names if isinstance(one, str)}


def _find_unfollowing(
    widths: Widths, written: set[str], sized: set[str], sizing: set[str]
) -> tuple[set[str], set[str | tuple[int, int]]]:
    """The arguments that the class offers and does not follow, and all that is fixed by such."""
    target, found = widths.target, widths.settings.found
    settings = [found[name] for name in written | sized if name in found]
    settings = [s for s in settings if s.name in written | sizing or s.annotation not in RATES]
    settings = [s for s in settings if not (s.runtime or s.local)]
    fixed = {setting.dim or setting.name for setting in settings}
    fixed |= {size for name in written | sized if (size := read_size_name(name)) is not None}
    own = not (target.is_root or target.is_turn)
    offered = (s for s in settings if s.constant and not (s.hidden or s.fresh))
    return {s.name for s in offered if own or s.dim is None}, fixed


def _open_locals(widths: Widths, names: set[str]) -> set[str]:
    """Names with those that sizes follow which the constructor keeps in variables."""
    opened, waiting = set(names), list(names)
    while waiting:
        local = widths.locals.get(waiting.pop())
        if local is None:
            continue
        found = {local.before, *(() if local.after is None else hint_names(local.after))}
        if isinstance(local.source, Merged):
            found.update(n for v in local.source.variants for n in names_in(v.constructor))
        waiting += found - opened
        opened |= found
    return opened


def _find_outer(item: Merged) -> Iterator[str]:
    """Names of blocks around that something follows: layers written there, and applied here."""
    for leaf in item.leaves():
        for hint in leaf.hints:
            yield from outer_names(hint)
    for part in (*(variant.constructor for variant in item.variants), item.expression):
        for tree in subtrees(part):
            if isinstance(tree.target, ExplainedClass):
                yield from tree.target.limits.outer


def _find_outside(item: Merged) -> Iterator[HintSize]:
    """Sizes of tensors that a class is not given which it calls, or its own numbers."""
    for leaf in item.leaves():
        if leaf.solution is None:
            yield from (size for hint in leaf.hints for size in hint_sizes(hint))
    for part in (*(variant.constructor for variant in item.variants), item.expression):
        for _, inner in find_called(part):
            yield from inner.limits.outside


def _find_sizing(widths: Widths, item: Merged) -> Iterator[str]:
    """Arguments that sizes may follow: those in conditions and in all numbers of the item but
    fractions and words that its operations make no size from."""
    sizing = {option for node in item.sample.nodes for option in node.op.sizing}
    conditions = widths.dependence.conditions
    tests = (conditions[v].test for v in item.variants if v in conditions)
    yield from (name for test in (*tests, *find_guards(item)) for name in hint_names(test))
    for part in (*(variant.constructor for variant in item.variants), item.expression):
        for leaf in variables(part):
            plain = all(isinstance(value, float | str) for value in leaf.values.values())
            if not plain or option_of(leaf) in sizing:
                yield from names_in(leaf)
        for tree, inner in find_called(part):
            given = _find_arguments(tree)
            for name in inner.limits.sizing:
                if name in given:
                    yield from names_in(given[name])
                elif tree.form is Form.FOR:
                    yield from names_in(tree.parts[0])


def _find_undecided(widths: Widths, hinted: HintedSizes, said: frozenset[Span]) -> Iterator[str]:
    """Arguments that a condition or a loop of the spec reads where the class does not say it."""
    target, settings = widths.target, widths.settings
    for body in target.bodies if not target.is_turn else ():
        for argument in body.frame.arguments:
            if any(place not in said for place in argument.untraced):
                yield argument.name
    for hint in _find_unsaid(target, said) if not target.is_turn else ():
        yield from hinted.names(hint)
    for item in target.items:
        if any(isinstance(v.literal, CodeName) and v.solution is None for v in item.leaves()):
            yield from (name for guard in find_guards(item) for name in hinted.names(guard))
        guards = dict.fromkeys(m.guard for m in item.members.values() if m.guard is not None)
        printed = any(variant in widths.dependence.conditions for variant in item.variants)
        for guard in guards if printed else ():
            if not settings.knows(hinted.write(guard), target.everyone):
                yield from hinted.names(guard)


def _find_unsaid(target: MergedClass, said: frozenset[Span]) -> Iterator[Hint]:
    """Conditions that the class does not say and that no `untraced` tells of: on sizes that are
    written by their tensors, and those of calls that stand in it without a class of their own."""
    owners = {body.frame: body.index for body in target.bodies}
    for decision in find_decisions(target):
        hint = None if decision.place in said else decision.hint
        if hint is not None and _is_told_here(hint):
            yield hint
    for index in dict.fromkeys(owners.values()):
        for decision in index.graph.decisions:
            owner = index.find_printed(decision.frame)
            if owner is not decision.frame and owner in owners and decision.hint is not None:
                lifted = lift_hint(decision.hint, decision.frame, owner)
                yield from () if lifted is None else (lifted,)


def _is_told_here(hint: Hint) -> bool:
    """Whether it follows more than the names of arguments of its block."""
    return any(hint_sizes(hint)) or bool(outer_names(hint)) or find_readable(hint) is None


def _find_dropped(widths: Widths, hinted: HintedSizes, item: Merged) -> Iterator[str]:
    """Arguments in what the author wrote for a number of the item, or for an argument of a class
    that it calls, where the class has other names for it or none."""
    reforming = find_reforming(item)
    for leaf in item.leaves():
        yield from _find_unfollowed(widths, hinted, leaf)
        if option_of(leaf) in reforming:
            yield from names_in(leaf)
    for hint in find_unspelled(item):
        yield from hinted.names(hint)
    for member in item.members.values():
        yield from (name for hint in member.ignored for name in hinted.names(hint))
    for part in (*(variant.constructor for variant in item.variants), item.expression):
        yield from _find_given(part)


def _find_fixed(widths: Widths, item: Merged) -> Iterator[str]:
    """Arguments that something is made from which does not follow them."""
    for leaf in item.leaves():
        if leaf.dim is not None and leaf.dim[0] == UNREAD:
            yield from widths.settings.found
        if leaf.dim is not None and leaf.dim[0].endswith("along") and leaf.solution is None:
            first = item.refs[0]
            for axis in range(leaf.dim[2], widths.target.type_of(first, min(item.instances)).rank):
                yield from widths.dependence.of(first, axis)
        if leaf.dim is not None and leaf.dim[0] == "in" and leaf.dim[1] < len(item.refs):
            where = (item.refs[leaf.dim[1]], leaf.dim[2])
            width = widths.of(*where)
            by_chance = leaf.varies and not leaf.hints
            by_chance = by_chance and (width is None or width.hint != leaf.solution)
            if by_chance or _is_given(widths, leaf):
                yield from widths.dependence.of(*where)
    for place, axis in find_counted(item):
        yield from widths.dependence.of(item.refs[place], axis)
    if not item.variants:
        yield from _find_left_open(widths, item)
    for variant in item.variants:
        yield from _find_inside(widths, variant.constructor)
        stages = find_stages(variant.constructor)
        for place, stage in enumerate(stages):
            yield from _find_in_call(widths, item, stage, stages[:place])
    yield from _find_in_call(widths, item, item.expression, [])


def _find_unfollowed(widths: Widths, hinted: HintedSizes, leaf: Many) -> Iterator[str]:
    """Arguments in what the author wrote for a number, where the class lacks another name in it:
    `width * 2 ** (depth - i)` without `depth`. Where it has all names, a pass has chosen another
    number, which is what it is for all arguments."""
    solution, settings = leaf.solution, widths.settings
    if isinstance(solution, Tree):
        return
    whole = {settings.holds(hinted.write(hint), leaf.values) for hint in leaf.hints}
    said = set(hint_names(solution)) if solution is not None and solution in whole else set()
    for hint in leaf.hints:
        if find_readable(hint) is None and said.issuperset(hinted.names(hint)):
            continue  # of one instance only, and another says it in full
        written = hinted.write(hint)
        if written == hint:
            follows = settings.knows(hint, leaf.values)
        else:  # a size of a tensor that has a name here
            found = settings.holds(written, leaf.values)
            follows = found is not None and found == solution
        if not follows:
            yield from hinted.names(hint)


def _find_left_open(widths: Widths, item: Merged) -> Iterator[str]:
    """Arguments that the shape of an operation depends on where a size in it is a number, and the
    author left it open or wrote nothing: `x.reshape(-1, 36, size)`."""
    if any(is_left_open(leaf) for leaf in variables(item.expression)):
        for ref in item.refs:
            for axis in range(widths.target.type_of(ref, min(item.instances)).rank):
                yield from widths.dependence.of(ref, axis)


def _is_given(widths: Widths, leaf: Many) -> bool:
    """Whether a width is a literal, or an argument that the spec does not have."""
    match leaf.solution:
        case None:
            return True
        case HintName(label) if label in widths.settings.found:
            return widths.settings.found[label].fresh
    return False


def _find_inside(widths: Widths, constructor: Part) -> Iterator[str]:
    """Arguments that literals between the stages of a chain depend on."""
    stages = find_stages(constructor)
    for place, stage in enumerate(stages):
        for leaf in variables(stage):
            if leaf.solution is None and leaf.dim is not None and leaf.dim[0] == "inner in":
                before = stages[:place]
                if widths.of_stages(before, leaf.dim[2], leaf.values) is None:
                    yield from (n for tree in before for n in names_in(tree))


def _find_given(part: Part | None) -> Iterator[str]:
    """Arguments that a class or loop inside is given for one that it is made for one value of."""
    for tree, inner in find_called(part):
        given = _find_arguments(tree)
        for fixed in inner.limits.fixed:
            if isinstance(fixed, tuple):
                continue
            if fixed in given:
                yield from names_in(given[fixed])
            elif isinstance(inner, TurnClass) and fixed in inner.repeat.names:
                yield from names_in(tree.parts[0])
            elif tree.form is Form.FOR:
                yield fixed


def _find_in_call(
    widths: Widths, item: Merged, part: Part | None, before: list[Part]
) -> Iterator[str]:
    """Arguments that the sizes of tensors depend on where a class or loop inside is made for one
    value of them only; a loop hands its turns what the turns before make of them, too."""
    for tree, inner in find_called(part):
        for place, axis in (fixed for fixed in inner.limits.fixed if isinstance(fixed, tuple)):
            yield from widths.dependence.of(item.refs[place], axis)
            yield from (n for stage in before for n in names_in(stage))
            if tree.form is Form.FOR:
                given = _find_arguments(tree)
                for name in (n for width in inner.widths.values() for n in hint_names(width)):
                    yield from names_in(given[name]) if name in given else (name,)


def _find_arguments(tree: Tree) -> dict[str, Part]:
    """What is given for the arguments of a class, by their names in it."""
    return dict(zip(tree.keys, tree.parts[len(tree.parts) - len(tree.keys) :], strict=True))
