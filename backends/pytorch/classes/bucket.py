"""Bodies of one block -> one class: equal structures together, one anti-unified for each."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import pairwise

from backends.pytorch.classes.anti_unify import AntiUnifier
from backends.pytorch.classes.callables import find_function, find_given, open_modules
from backends.pytorch.classes.explained import find_loop, is_loop
from backends.pytorch.classes.merged import (
    Choice,
    Diverge,
    Formal,
    Merged,
    MergedClass,
    MergedRef,
    OutputRef,
    Variant,
)
from backends.pytorch.classes.paths import makes
from backends.pytorch.classes.repeats import loop_slots
from backends.pytorch.fold.index import sort_topologically
from backends.pytorch.fold.items import Body, FromFormal, FromItem
from backends.pytorch.fold.spelled import unmark
from backends.pytorch.fold.turns import TurnFrame, Unfoldable, find_owner
from backends.pytorch.terms.setting import Instances
from backends.pytorch.terms.terms import (
    IDENTITY,
    Form,
    Hole,
    Many,
    Operand,
    Part,
    Tree,
    holes,
    is_scalar,
    rebuild,
    skeleton,
)
from compiler.ir.frame import Frame

Groups = list[list[int]]


def merge_bodies(bodies: list[Body], *, by_place: bool = False) -> MergedClass:
    """One class for all bodies, its leaves not yet explained. `by_place`: only operations from
    one place in the spec are the same in two bodies of different structure.

    Raises:
        Diverge: one class cannot serve them.
    """
    groups = group_by_structure(bodies)
    differ = _functions_differ(bodies)
    merged = _copy(bodies) if len(groups) == 1 else _anti_unify(bodies, groups, by_place)
    merged = _order_formals(_add_formals(merged))
    _check_formals(merged, groups)
    for item in merged.items:
        _merge_trees(item, len(bodies), functions_differ=differ)
    _share_modules(merged)
    if not merged.is_turn:
        merged = _absorb_optional_modules(merged)
    _check_branches(merged)
    items = _order_items(merged, [group[0] for group in groups])
    return replace(merged, items=items, outputs=_order_outputs(merged))


def group_by_structure(bodies: list[Body]) -> Groups:
    """Instances with equal structures together."""
    groups: dict[object, list[int]] = {}
    for number, body in enumerate(bodies):
        groups.setdefault(body.structure(), []).append(number)
    return list(groups.values())


# --- making ---------------------------------------------------------------------------------


def _copy(bodies: list[Body]) -> MergedClass:
    """The class of bodies that all have one structure."""
    everyone = frozenset(range(len(bodies)))
    model = bodies[0]
    items = [
        Merged(item.slot, {n: b.items[place] for n, b in enumerate(bodies)}, [], everyone)
        for place, item in enumerate(model.items)
    ]

    def read(ref: object) -> MergedRef:
        match ref:
            case FromFormal(place):
                return Formal(place)
            case FromItem(place, output):
                return OutputRef(items[place], output)
        return ref  # type: ignore[return-value]

    for item, source in zip(items, model.items, strict=True):
        item.refs = [read(ref) for ref in source.refs]
    places = [dict.fromkeys(everyone, place) for place in range(len(model.formals))]
    outputs = [read(ref) for ref in model.outputs]
    return MergedClass(model.frame.block, model.frame.doc, bodies, items, [], outputs, places)


def _anti_unify(bodies: list[Body], groups: Groups, by_place: bool) -> MergedClass:
    differ = _functions_differ(bodies)
    models = [bodies[g[0]] for g in groups]
    found = AntiUnifier(models, functions_differ=differ, by_place=by_place)
    for formal in found.formals:
        _complete_formal(formal, bodies, groups)
    if any(len(formal) != len(groups) for formal in found.formals):
        raise Diverge("an input that only some instances have")

    def spread(numbers: Iterable[int]) -> Instances:
        return frozenset(i for number in numbers for i in groups[number])

    position = {id(m): p for g in groups for p, m in enumerate(bodies[g[0]].items)}
    for item in found.items:
        ends = {n: position[id(m)] for n, m in item.members.items()}
        item.members = {i: bodies[i].items[p] for n, p in ends.items() for i in groups[n]}
        item.instances = spread(item.instances)
    for choice in found.choices:
        choice.instances = spread(choice.instances)
    places = [{i: p for n, p in formal.items() for i in groups[n]} for formal in found.formals]
    model = bodies[0].frame
    return MergedClass(
        model.block, model.doc, bodies, found.items, found.choices, found.outputs, places
    )


def _functions_differ(bodies: list[Body]) -> bool:
    """Whether the calls of a block were given different layers."""
    rows = [[a.value for a in b.frame.arguments if not is_scalar(a.value)] for b in bodies]
    return any(row != rows[0] for row in rows)


def _complete_formal(formal: dict[int, int], bodies: list[Body], groups: Groups) -> None:
    """Gives turns of a loop a value from before it that only some of them read, as long as no
    turn binds its name again."""
    given: dict[Frame | None, set[str]] = {}
    first = False
    for number, place in formal.items():
        for body in (bodies[i] for i in groups[number]):
            given.setdefault(body.frame.parent, set()).add(body.formals[place])
            turn = body.frame.turn if isinstance(body.frame, TurnFrame) else None
            first = first or (turn is not None and not turn.number)
    for number in set(range(len(groups))) - formal.keys():
        members = [bodies[i] for i in groups[number]]
        names = [given.get(body.frame.parent, set()) for body in members]
        if not all(_stays(b, row, first=first) for b, row in zip(members, names, strict=True)):
            return
        formal[number] = len(members[0].formals)
        for body, name in zip(members, (min(row) for row in names), strict=True):
            body.formals.append(name)


def _stays(body: Body, names: set[str], *, first: bool) -> bool:
    """Whether a value is what it was before the loop in every turn: it has a name that no turn
    binds again, and no other where the `first` turn is among those that read it."""
    loop, index = body.frame.parent, body.index
    if not isinstance(body.frame, TurnFrame) or len(names) != 1 or loop is None:
        return False
    (name,) = names
    owner = find_owner(body.frame)
    known = index.call_names(owner, name)
    made = (v for item in index.nodes if loop in index.chain_of(item) for v in item.outputs)
    again = known & frozenset().union(*(index.call_names(owner, value) for value in made))
    return name in index.entering[loop] and bool(known - again) and not (first and again)


def _check_formals(merged: MergedClass, groups: Groups) -> None:
    """Every input of every body must be a formal."""
    for group in groups:
        body = merged.bodies[group[0]]
        if len({places[group[0]] for places in merged.places}) != len(body.formals):
            raise Diverge("an input that only some instances have")
        if body.is_root and not merged.is_root and body.index.graph.conditions:
            raise Diverge("conditions that only a whole graph checks")
    if merged.is_root and len({_conditions(body) for body in merged.bodies}) > 1:
        raise Diverge("conditions differ")


def _conditions(body: Body) -> tuple[object, ...]:
    return tuple((c.left, c.relation, c.right) for c in body.index.graph.conditions)


def _add_formals(merged: MergedClass) -> MergedClass:
    """The class with formals that no item reads."""
    added = _find_unused_inputs(merged) if merged.is_root else _find_shown_inputs(merged)
    return replace(merged, places=[*merged.places, *added])


def _order_formals(merged: MergedClass) -> MergedClass:
    """The class with its formals in the order of the first signature."""
    order = sorted(range(len(merged.places)), key=lambda place: merged.places[place][0])
    new = {old: place for place, old in enumerate(order)}
    ordered = replace(merged, places=[merged.places[old] for old in order])
    return _replace_refs(ordered, lambda r: Formal(new[r.place]) if isinstance(r, Formal) else r)


def _find_unused_inputs(merged: MergedClass) -> Iterator[dict[int, int]]:
    """The inputs of a whole graph are arguments of `forward` whether they are read or not."""
    used = {places[0] for places in merged.places}
    for place in range(len(merged.bodies[0].formals)):
        if place not in used:
            yield dict.fromkeys(range(len(merged.bodies)), place)


def _find_shown_inputs(merged: MergedClass) -> Iterator[dict[int, int]]:
    """Tensors of which only the size is read: the same formal in every instance."""
    unread: list[dict[str, int]] = []
    for number, body in enumerate(merged.bodies):
        used = {places[number] for places in merged.places}
        names = {value: formal for formal, value in body.frame.tensors}
        left = (p for p in range(len(body.formals)) if p not in used)
        unread.append({names.get(unmark(body.formals[p]), ""): p for p in left})
    for formal in unread[0]:
        if formal and all(formal in row for row in unread):
            yield {number: row[formal] for number, row in enumerate(unread)}


def _replace_refs(merged: MergedClass, change: Callable[[MergedRef], MergedRef]) -> MergedClass:
    for item in merged.items:
        item.refs = [change(ref) for ref in item.refs]
    for choice in merged.choices:
        choice.base, choice.other = change(choice.base), change(choice.other)
    return replace(merged, outputs=[change(ref) for ref in merged.outputs])


# --- trees over all instances ---------------------------------------------------------------


def _merge_trees(item: Merged, count: int, *, functions_differ: bool) -> None:
    members = item.members.items()
    made = {n: m.constructor for n, m in members if m.constructor is not None}
    if functions_differ:
        made = open_modules(made)
    forms: dict[object, list[int]] = {}
    for number, constructor in made.items():
        key = (skeleton(constructor), *map(skeleton, item.members[number].starts))
        forms.setdefault(key, []).append(number)
    item.variants = [_merge_variant(item, numbers, made) for numbers in forms.values()]
    expressions = {n: m.expression for n, m in item.members.items() if m.expression is not None}
    if not expressions:
        return
    partly = functions_differ and len(expressions) < count
    given = partly and all(find_function(m) and find_given(m) for m in item.members.values())
    if given or len({skeleton(e) for e in expressions.values()}) > 1:
        functions = {n: find_function(m) for n, m in item.members.items()}
        if None in functions.values():
            raise Diverge(f"the expression of {item.slot or 'a node'}")
        expressions = {
            n: Tree(Form.CALL, "", (Hole(function, "act"), Operand(0)))
            for n, function in functions.items()
        }
    item.expression = zip_trees(expressions, item.slot)


def _merge_variant(item: Merged, numbers: list[int], made: Mapping[int, Part]) -> Variant:
    starts = tuple(
        zip_trees({n: item.members[n].starts[place] for n in numbers}, item.slot)
        for place in range(len(item.members[numbers[0]].starts))
    )
    constructor = zip_trees({n: made[n] for n in numbers}, item.slot)
    return Variant(frozenset(numbers), constructor, starts)


def zip_trees(trees: Mapping[int, Part], slot: str) -> Part:
    """Trees of one skeleton as one tree whose holes are variables over the instances."""
    rows = {number: list(holes(tree)) for number, tree in trees.items()}
    columns = iter(range(len(next(iter(rows.values())))))

    def open_hole(part: Part) -> Part:
        if not isinstance(part, Hole):
            return part
        column = next(columns)
        found = {number: row[column] for number, row in rows.items()}
        hints = tuple(dict.fromkeys(h.hint for h in found.values() if h.hint is not None))
        dims = {h.dim for h in found.values()}
        dim = dims.pop() if len(dims) == 1 else None
        values = {number: hole.value for number, hole in found.items()}
        return Many(values, part.role, part.default, hints, dim, slot, field=part.field)

    return rebuild(next(iter(trees.values())), open_hole)


def _share_modules(merged: MergedClass) -> None:
    """A module that is called twice is made once; one inside a module, by that one."""
    first: dict[str, Merged] = {}
    for item in merged.items:
        if _is_inside(item, first):
            item.variants, item.declares = item.variants if is_loop(item) else [], False
            continue
        owner = first.setdefault(item.slot, item) if item.slot else item
        if owner is not item:
            if owner.instances != item.instances or len(owner.variants) != len(item.variants):
                raise Diverge("a shared module that only some instances call again")
            item.variants, item.declares = owner.variants, False


def _is_inside(item: Merged, first: Mapping[str, Merged]) -> bool:
    """Whether modules that are there already make what an item calls.

    Raises:
        Unfoldable: they make some of what a loop goes through.
    """
    inner = find_loop(item)
    slots = [item.slot] if inner is None else list(loop_slots(inner))
    inside = [any(_makes(first[path], path, item, slot) for path in first) for slot in slots]
    if inner is not None and any(inside) and not all(inside):
        raise Unfoldable({inner.repeat.loop})
    return bool(inside) and all(inside)


def _makes(owner: Merged, path: str, item: Merged, slot: str) -> bool:
    """Whether a module at a path makes the one of an item, which lies inside of it."""
    if not slot.startswith(f"{path}.") or owner.instances != item.instances or is_loop(owner):
        return False
    rest = slot.removeprefix(f"{path}.")
    return bool(owner.variants) and all(makes(v.constructor, rest) for v in owner.variants)


# --- branches -------------------------------------------------------------------------------


def _absorb_optional_modules(merged: MergedClass) -> MergedClass:
    """An optional branch that is one module is `nn.Identity` where it is absent."""
    uses: dict[MergedRef, int] = {}
    for ref in _all_refs(merged):
        uses[ref] = uses.get(ref, 0) + 1
    gone: dict[MergedRef, MergedRef] = {}
    for choice in merged.choices:
        match choice.other:
            case OutputRef(item, _) if (
                item.slot
                and item.variants
                and item.instances == choice.instances
                and item.refs == [choice.base]
                and uses[choice.other] == 1
            ):
                rest = merged.everyone - choice.instances
                item.variants.append(Variant(rest, IDENTITY))
                item.instances = merged.everyone
                gone[choice] = OutputRef(item, 0)
    left = replace(merged, choices=[choice for choice in merged.choices if choice not in gone])
    return _replace_refs(left, lambda ref: gone.get(ref, ref))


def _all_refs(merged: MergedClass) -> Iterator[MergedRef]:
    for item in merged.items:
        yield from item.refs
    for choice in merged.choices:
        yield choice.base
        yield choice.other
    yield from merged.outputs


def _check_branches(merged: MergedClass) -> None:
    """What only some instances do must sit in one branch with one result."""

    def reach(ref: MergedRef) -> Instances:
        return ref.item.instances if isinstance(ref, OutputRef) else merged.everyone

    for item in merged.items:
        for ref in item.refs:
            if reach(ref) not in (merged.everyone, item.instances):
                raise Diverge("a value of one branch is used outside it")
    for choice in merged.choices:
        if reach(choice.base) != merged.everyone or reach(choice.other) != choice.instances:
            raise Diverge("a branch whose ends do not match")
        if isinstance(choice.other, Choice):
            raise Diverge("a branch inside a branch")
    if any(reach(ref) != merged.everyone for ref in merged.outputs):
        raise Diverge("an output that only some instances have")


# --- order ----------------------------------------------------------------------------------


def _order_items(merged: MergedClass, models: list[int]) -> list[Merged]:
    """Data dependences first; then the order on which one body of each structure agrees."""
    owner = {id(m): item for item in merged.items for m in item.members.values()}
    rows = [[owner[id(i)] for i in merged.bodies[n].items if id(i) in owner] for n in models]
    shares: dict[Merged, list[float]] = {}
    for row in rows:
        for place, item in enumerate(row):
            shares.setdefault(item, []).append(place / len(row))
    items = sorted(merged.items, key=lambda item: sum(shares[item]) / len(shares[item]))
    rank = {item: number for number, item in enumerate(items)}
    hard = [{rank[s] for ref in item.refs for s in _makers(ref)} for item in items]
    soft = [set(one) for one in hard]
    for row in rows:
        for before, after in pairwise(row):
            soft[rank[after]].add(rank[before])
    order = sort_topologically(soft)
    if len(order) < len(items):
        order = sort_topologically(hard)
    return [items[number] for number in order]


def _order_outputs(merged: MergedClass) -> list[MergedRef]:
    """Several outputs in the order in which the first caller names them, where it names them all
    (`q, k, v = heads(x)`), else in that in which it uses them."""
    body = merged.bodies[0]
    if body.is_root:
        return merged.outputs
    caller = find_owner(body.frame.parent) if body.frame.parent is not None else None
    names = (a.value for a in body.index.graph.aliases if a.frame is caller)
    order = {name: place for place, name in enumerate(dict.fromkeys(names))}
    values = [merged.value(ref, 0) for ref in merged.outputs]
    if not order.keys() >= set(values):
        order = {name: place for place, name in enumerate(body.index.leaving[body.frame])}
    return sorted(merged.outputs, key=lambda ref: order.get(merged.value(ref, 0), len(order)))


def _makers(ref: MergedRef) -> Iterator[Merged]:
    match ref:
        case OutputRef(item, _):
            yield item
        case Choice(base, other):
            yield from _makers(base)
            yield from _makers(other)
