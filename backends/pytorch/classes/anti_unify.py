"""Anti-unification: one term graph for several bodies, differences as variables and choices.

Bodies are walked from their outputs; a pair of references that disagree becomes a choice when one
side is an ancestor of the other (an optional branch), and otherwise the bodies need two classes.
Memoised on tuples of references, so that shared values stay shared. Where operations of one form
were taken for each other (`y + x` for `a + b`), `by_place` holds them to one place in the spec.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Iterator
from typing import NamedTuple

from backends.pytorch.classes.callables import find_function
from backends.pytorch.classes.merged import Choice, Diverge, Formal, Merged, MergedRef, OutputRef
from backends.pytorch.fold.items import Body, FromFormal, FromItem, FromOwn, Item, Ref
from backends.pytorch.fold.turns import LoopFrame
from backends.pytorch.terms.terms import skeleton

Pairs = tuple[tuple[int, Ref], ...]
"""A reference in each of some bodies, ordered by body."""

MOST_FORMS = 4
"""Forms of one value that are still told apart by branches one after the other."""
UNSET = FromOwn("")
"""Stands in a reference until the walk has reached it."""


class AntiUnifier:
    """Merges bodies, of which no two have the same structure.

    Raises:
        Diverge: one class cannot serve them.
    """

    def __init__(
        self, bodies: list[Body], *, functions_differ: bool, by_place: bool = False
    ) -> None:
        self.bodies = bodies
        self.functions_differ = functions_differ
        self.by_place = by_place
        self.items: list[Merged] = []
        self.formals: list[dict[int, int]] = []
        self.choices: list[Choice] = []
        self._memo: dict[Pairs, MergedRef] = {}
        self._merged: dict[tuple[int, Ref], list[MergedRef]] = {}
        self._postponed: deque[tuple[Choice, Pairs]] = deque()
        self._open: deque[tuple[Merged, int, Pairs]] = deque()
        self._kinds: dict[tuple[int, int], Hashable] = {}
        rows = self._match_outputs()
        self.outputs = [self._merge(tuple(enumerate(row))) for row in rows]
        self._merge_all()
        for row in self._match_unread():
            self._merge(row)
        self._merge_all()
        self._merge_declarations()

    def _merge_all(self) -> None:
        """Merges what is still open: a list of it, because deep networks exceed the stack."""
        while self._open or self._postponed:
            if self._open:
                merged, column, pairs = self._open.popleft()
                merged.refs[column] = self._merge(pairs)
            else:
                choice, pairs = self._postponed.popleft()
                choice.other = self._merge(pairs, is_branch=True)

    # --- outputs and declarations -------------------------------------------------------------

    def _match_outputs(self) -> list[tuple[Ref, ...]]:
        rows = [b.outputs for b in self.bodies]
        longest = max(rows, key=len)
        if all(len(row) == len(longest) for row in rows):
            return list(zip(*rows, strict=True))
        model = next(b for b in self.bodies if b.outputs is longest)
        return [tuple(self._find_like(b, model, ref) for b in self.bodies) for ref in longest]

    def _find_like(self, body: Body, model: Body, ref: Ref) -> Ref:
        """The counterpart of an output that only some instances pass out."""
        if body is model:
            return ref
        if not isinstance(ref, FromItem):
            raise Diverge("outputs")
        wanted = find_kind(model.items[ref.item], functions_differ=False)
        found = [
            place
            for place, item in enumerate(body.items)
            if item.outputs and find_kind(item, functions_differ=False) == wanted
        ]
        if len(found) != 1:
            raise Diverge("outputs")
        return FromItem(found[0], ref.output)

    def _match_unread(self) -> Iterator[Pairs]:
        """Modules that no output is made from, in all bodies."""
        rows: dict[str, dict[int, Ref]] = {}
        for number, body in enumerate(self.bodies):
            for place, item in enumerate(body.items):
                ref = FromItem(place, 0)
                made = item.constructor is not None and item.outputs
                if made and item.slot and (number, ref) not in self._merged:
                    rows.setdefault(item.slot, {}).setdefault(number, ref)
        for row in rows.values():
            if len(row) < len(self.bodies):
                raise Diverge("a module that nothing reads, in some instances only")
            yield tuple(sorted(row.items()))

    def _merge_declarations(self) -> None:
        declared: dict[str, dict[int, Item]] = {}
        for number, body in enumerate(self.bodies):
            for item in body.items:
                if not item.outputs:
                    declared.setdefault(item.slot, {})[number] = item
        for slot, members in declared.items():
            if len({tuple(map(skeleton, item.starts)) for item in members.values()}) > 1:
                raise Diverge(f"how {slot} starts")
            self.items.append(Merged(slot, members, [], frozenset(members)))

    # --- references -----------------------------------------------------------------------------

    def _kind(self, number: int, ref: Ref) -> Hashable:
        match ref:
            case FromItem(place, output):
                key = (number, place)
                if key not in self._kinds:
                    item = self.bodies[number].items[place]
                    kind = find_kind(item, functions_differ=self.functions_differ)
                    place_in_spec = [node.origin.span for node in item.nodes if not item.slot]
                    self._kinds[key] = (kind, *place_in_spec) if self.by_place else kind
                return self._kinds[key], output
            case FromOwn(path):
                return "own", path
            case FromFormal():
                return "formal"

    def _note(self, pairs: Pairs, ref: MergedRef) -> None:
        self._memo[pairs] = ref
        for pair in pairs:
            self._merged.setdefault(pair, []).append(ref)

    def _merge(self, pairs: Pairs, *, is_branch: bool = False) -> MergedRef:
        known: list[MergedRef] = [self._memo[pairs]] if pairs in self._memo else []
        known += self._merged.get(pairs[0], [])
        for ref in known:
            # What was merged for more bodies serves these too; but what is inside of a branch
            # must not be the choice that the branch is part of.
            inside = is_branch and isinstance(ref, Choice)
            if not inside and all(ref in self._merged.get(pair, ()) for pair in pairs[1:]):
                return ref
        kinds = {self._kind(number, ref) for number, ref in pairs}
        if len(kinds) > 1:
            return self._choose(pairs)
        match pairs[0][1]:
            case FromOwn() as own:
                return own
            case FromFormal():
                self.formals.append({n: r.formal for n, r in pairs if isinstance(r, FromFormal)})
                formal = Formal(len(self.formals) - 1)
                self._note(pairs, formal)
                return formal
            case FromItem():
                return self._merge_items(pairs)

    def _merge_items(self, pairs: Pairs) -> MergedRef:
        places = {n: r.item for n, r in pairs if isinstance(r, FromItem)}
        members = {n: self.bodies[n].items[place] for n, place in places.items()}
        sample = next(iter(members.values()))
        merged = Merged(sample.slot, members, [], frozenset(members))
        for output in range(len(sample.outputs)):
            note: Pairs = tuple((n, FromItem(place, output)) for n, place in places.items())
            self._note(note, OutputRef(merged, output))
        for column in range(len(sample.refs)):
            row = tuple((n, member.refs[column]) for n, member in members.items())
            merged.refs.append(UNSET)
            self._open.append((merged, column, row))
        self.items.append(merged)
        return self._memo[pairs]

    # --- choices --------------------------------------------------------------------------------

    def _choose(self, pairs: Pairs) -> Choice:
        groups: dict[Hashable, list[tuple[int, Ref]]] = {}
        for number, ref in pairs:
            groups.setdefault(self._kind(number, ref), []).append((number, ref))
        if len(groups) > MOST_FORMS:
            raise Diverge(f"{len(groups)} alternatives for one value")
        for in_step in (True, False):
            found: list[tuple[int, list[tuple[int, Ref]], Pairs]] = []
            for kind in groups:
                for other, longer in groups.items():
                    bases = self._find_bases(longer, kind, in_step=in_step)
                    if other != kind and bases is not None:
                        found.append((bases.distance, longer, bases.pairs))
            if found:  # the nearest base: other optional parts may stand before it
                _, longer, base = min(found, key=lambda one: one[0])
                same = [pair for group in groups.values() if group is not longer for pair in group]
                return self._make_choice(pairs, tuple(sorted([*same, *base])), tuple(longer))
        raise Diverge("forms of a value without a common base")

    def _make_choice(self, pairs: Pairs, base: Pairs, longer: Pairs) -> Choice:
        choice = Choice(UNSET, UNSET, frozenset(number for number, _ in longer))
        self._note(pairs, choice)
        choice.base = self._merge(base)
        self.choices.append(choice)
        self._postponed.append((choice, longer))
        return choice

    def _find_bases(
        self, pairs: list[tuple[int, Ref]], kind: Hashable, *, in_step: bool
    ) -> _Bases | None:
        """Ancestors of the given kind: at one place for all bodies, or for each by itself."""
        if in_step:
            return self._climb(tuple(pairs), kind)
        found = [self._climb((pair,), kind) for pair in pairs]
        known = [one for one in found if one is not None]
        if len(known) < len(found):
            return None
        return _Bases(
            max(one.distance for one in known), tuple(pair for one in known for pair in one.pairs)
        )

    def _climb(self, pairs: Pairs, kind: Hashable) -> _Bases | None:
        """Walks up from `pairs` in step until every body shows a reference of `kind`."""
        frontier, seen = deque([_Bases(0, pairs)]), {pairs}
        found: _Bases | None = None
        while frontier:
            distance, here = frontier.popleft()
            if found is not None and distance > found.distance:
                break
            if distance and all(self._kind(n, r) == kind for n, r in here):
                if all(not self._is_from_outside(n, r) for n, r in here):
                    return _Bases(distance, here)
                found = found or _Bases(distance, here)
                continue
            items = [self.bodies[n].items[r.item] for n, r in here if isinstance(r, FromItem)]
            if len(items) < len(here) or len({len(item.refs) for item in items}) > 1:
                continue
            for column in range(len(items[0].refs)):
                above = tuple(
                    (n, item.refs[column]) for (n, _), item in zip(here, items, strict=True)
                )
                if above not in seen:
                    seen.add(above)
                    frontier.append(_Bases(distance + 1, above))
        return found

    def _is_from_outside(self, number: int, ref: Ref) -> bool:
        """Whether a value comes into a turn of a loop from before the loop: what the turn before
        hands on is what it changes."""
        body = self.bodies[number]
        loop = body.frame.parent
        if not isinstance(ref, FromFormal) or not isinstance(loop, LoopFrame):
            return False
        return body.formals[ref.formal] in body.index.entering[loop]


class _Bases(NamedTuple):
    """References that some others were made from, and how many items lie between."""

    distance: int
    pairs: Pairs


def find_kind(item: Item, *, functions_differ: bool) -> Hashable:
    """What must agree for two items to be one: the slot of a module and the statements that draw
    its weights, the shape of an expression; where an argument chooses functions, only that both
    are functions of one tensor."""
    size = (len(item.refs), len(item.outputs))
    if item.slot:
        return ("slot", item.slot, tuple(map(skeleton, item.starts)), *size)
    if functions_differ and find_function(item) is not None:
        return ("unary",)
    return (skeleton(item.expression), *size)
