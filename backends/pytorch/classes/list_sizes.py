"""Sizes of the tensors in a list: of one that is read off it, of all of them joined."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple, Protocol

from backends.pytorch.classes.explained import Names, SizeNames, TurnClass, Width, is_loop
from backends.pytorch.classes.merged import Formal, Merged, MergedClass, MergedRef, OutputRef
from backends.pytorch.classes.repeats import find_carried
from backends.pytorch.fold.turns import Unfoldable, own_names
from backends.pytorch.terms.terms import Form, Many, Part, Tree
from compiler.ir.hint import (
    Hint,
    HintBinary,
    HintCall,
    HintConst,
    HintItem,
    HintList,
    HintName,
    count_items,
    hint_names,
    read_size_name,
    rename_hint,
    size_name,
)
from compiler.report.source import Span


class Wanted(Exception):
    """Sizes of lists that loops must keep in lists of their own: by the list and the axis."""

    def __init__(self, sizes: frozenset[tuple[Span, int]]) -> None:
        super().__init__(", ".join(f"{span.location}: axis {axis}" for span, axis in sizes))
        self.sizes = sizes


class Growth(NamedTuple):
    """The sizes of the items of a list, those that a loop adds once for all turns; how many stand
    there one by one, and how many loops add."""

    sizes: tuple[Hint, ...]
    single: int = 0
    looped: Hint | None = None

    @property
    def number(self) -> Hint:
        """How many items there are."""
        return _add(self.looped, self.single)


class Sizing(SizeNames, Protocol):
    """What finds the names of all sizes, of which those of lists are a part."""

    @property
    def target(self) -> MergedClass:
        """The class."""

    @property
    def settings(self) -> Names:
        """Its names."""

    def sizes(self, ref: MergedRef, axis: int) -> dict[int, object]:
        """The size in every instance that has the tensor."""

    def accept(self, hint: Hint, wanted: Mapping[int, object]) -> Width | None:
        """A derived expression in its shortest form, if it holds."""

    def describe(self, ref: MergedRef, axis: int, depth: int) -> Hint | None:
        """What a size is called, or its number where no argument changes that."""


class ListSizes:
    """Writes the sizes of lists of one class, and of what is read off them."""

    def __init__(self, widths: Sizing) -> None:
        self.widths = widths
        self.target = widths.target

    def holds(self, item: Merged) -> bool:
        """Whether an item makes a list, or reads nothing but one."""
        if item.sample.op in ("list", "append"):
            return True
        return len(item.refs) == 1 and self.target.is_list(item.refs[0])

    def of(self, made: OutputRef, axis: int, depth: int) -> Width | None:
        """What a size of a list, or of a tensor that is made from one, is called; None where
        nobody says."""
        item = made.item
        if item.sample.op in ("list", "append"):
            hint = self._write(item, axis, depth)
            return None if hint is None else Width(hint)
        hint = self._read(item, made, axis, depth)
        wanted = self.widths.sizes(made, axis)
        return None if hint is None else self.widths.accept(hint, wanted)

    # --- lists --------------------------------------------------------------------------------

    def _write(self, item: Merged, axis: int, depth: int) -> Hint | None:
        """`skip_channels + [channels]`."""
        tree = item.expression
        assert isinstance(tree, Tree)
        total: Hint | None = None
        run: list[Hint] = []
        for place, (ref, part) in enumerate(zip(item.refs, tree.parts, strict=True)):
            size = self._size(ref, axis, depth)
            if size is None:
                return None
            whole = tree.form is Form.APPEND and not place
            if not whole and not (isinstance(part, Tree) and part.form is Form.STAR):
                run.append(size)
                continue
            total, run = _join(_join(total, run), size), []
        return _join(total, run) or HintList(())

    def _size(self, ref: MergedRef, axis: int, depth: int) -> Hint | None:
        width = self.widths.of(ref, axis, depth + 1)
        if width is None or width.hint is not None:
            return None if width is None else width.hint
        instance = min(ref.item.instances) if isinstance(ref, OutputRef) else 0
        size = self.target.axis(ref, axis, instance)
        return HintConst(size) if isinstance(size, int) else None

    # --- what is read -------------------------------------------------------------------------

    def _read(self, item: Merged, made: OutputRef, axis: int, depth: int) -> Hint | None:
        """A size of something that is made from one list alone."""
        (source,) = item.refs
        match [node.op for node in item.sample.nodes]:
            case []:
                return self._pick(item, source, axis, depth)
            case [op] if (along := op.join_axis(self._rank(made))) is not None:
                if axis != along:
                    return self._one(source, axis, HintConst(0), depth)
                growth = self.grow(source, axis, depth)
                if growth is not None and len(set(growth.sizes)) == 1:
                    return HintBinary("*", growth.sizes[0], growth.number)
                whole = self._size(source, axis, depth)
                return None if whole is None else HintCall("sum", (whole,))
            case [op] if (along := op.stack_axis(self._rank(made))) is not None:
                if axis == along:
                    growth = self.grow(source, None, depth)
                    return growth.number if growth is not None else None
                return self._one(source, axis - int(axis > along), HintConst(0), depth)
        return None

    def _rank(self, made: OutputRef) -> int:
        return self.target.type_of(made, min(made.item.instances)).rank

    def _pick(self, item: Merged, source: MergedRef, axis: int, depth: int) -> Hint | None:
        match item.expression:
            case Tree(Form.INDEX, "", (_, Many() as place)):
                index = _written(place)
                return None if index is None else self._one(source, axis, index, depth)
            case Tree(Form.CALL):  # a sum has the sizes of what is added
                return self._one(source, axis, HintConst(0), depth)
        return None

    def _one(self, source: MergedRef, axis: int, index: Hint, depth: int) -> Hint | None:
        """The size of one item of a list."""
        growth = self.grow(source, axis, depth)
        if growth is not None and len(set(growth.sizes)) == 1:
            return growth.sizes[0]
        whole = self._size(source, axis, depth)
        return None if whole is None else HintItem(whole, index)

    def count(self, ref: MergedRef) -> Hint | None:
        """How many tensors a list holds; None where nobody says."""
        growth = self.grow(ref, None, 0)
        return None if growth is None else growth.number

    # --- how lists grow -----------------------------------------------------------------------

    def grow(self, ref: MergedRef, axis: int | None, depth: int) -> Growth | None:
        """The sizes of the items of a list, where each is the same in all turns that make it; in
        a turn, of those that it adds. Without an axis, only how many there are."""
        match ref:
            case Formal() if self.target.is_turn:
                return Growth(())
            case OutputRef(item, output):
                tree = item.variants[0].constructor if item.variants else item.expression
                if isinstance(tree, Tree) and tree.form is Form.FOR:
                    return self._grow_in_loop(item, tree, output, axis, depth)
                if item.sample.op in ("list", "append"):
                    return self._grow_here(item, axis, depth)
        return None

    def _grow_here(self, item: Merged, axis: int | None, depth: int) -> Growth | None:
        tree = item.expression
        assert isinstance(tree, Tree)
        sizes: list[Hint] = []
        single, looped = 0, None
        for ref in item.refs:
            if self.target.is_list(ref):
                inner = self.grow(ref, axis, depth)
                if inner is None:
                    return None
                sizes += inner.sizes
                single += inner.single
                looped = inner.looped if looped is None else _add(inner.looped, looped)
                continue
            size = HintConst(1) if axis is None else self._size(ref, axis, depth)
            if size is None:
                return None
            sizes.append(size)
            single += 1
        return Growth(tuple(sizes), single, looped)

    def _grow_in_loop(
        self, item: Merged, tree: Tree, output: int, axis: int | None, depth: int
    ) -> Growth | None:
        turns = tree.target
        assert isinstance(turns, TurnClass)
        place = next((p for p, q in turns.repeat.carried.items() if q == output), None)
        added = turns.growth.get((output, axis))
        before = self.grow(item.refs[place], axis, depth) if place is not None else None
        count = _count_turns(tree.parts[0])
        if added is None or before is None or count is None:
            return None
        names: dict[str, Hint] = {}
        for label in {n for size in added for n in hint_names(size)}:
            known = self._find(label, item, tree, depth)
            if known is None:
                return None
            names[label] = known
        sizes = (rename_hint(size, names) for size in added)
        more = count if len(added) == 1 else HintBinary("*", HintConst(len(added)), count)
        looped = more if before.looped is None else _add(before.looped, more)
        return Growth((*before.sizes, *sizes), before.single, looped)

    def _find(self, label: str, item: Merged, tree: Tree, depth: int) -> Hint | None:
        """What a name of a turn is around the loop."""
        size = read_size_name(label)
        if size is not None:
            place, axis = size
            return self._size(item.refs[place], axis, depth)
        given = dict(zip(tree.keys, tree.parts[1:], strict=True))
        part = given.get(label)
        return _written(part) if isinstance(part, Many) else HintName(label)

    def find_growth(self) -> Iterator[tuple[tuple[int, int | None], tuple[Hint, ...]]]:
        """Of a turn: the sizes of the items that it adds to a list, by output and axis, in names
        that are the same in all turns."""
        carried = find_carried(self.target) or {}
        for output, ref in enumerate(self.target.outputs):
            rank = self.target.type_of(ref, 0).rank if self.target.is_list(ref) else -1
            for along in (None, *range(rank)) if rank >= 0 else ():
                growth = self.grow(ref, along, 0)
                used = {n for h in growth.sizes for n in hint_names(h)} if growth else set()
                known = {n: hint for n in used if (hint := self._name_outside(n, carried))}
                if growth is not None and len(known) == len(used):
                    yield (output, along), tuple(rename_hint(h, known) for h in growth.sizes)

    def _name_outside(self, label: str, carried: Mapping[int, int]) -> Hint | None:
        """What a name of a turn is called around the loop; None where turns change it."""
        if label in own_names(self.target.bodies[0].frame):
            return None
        dim = self.widths.settings.found[label].dim
        if dim is None:
            return HintName(label)
        return None if dim[0] in carried else HintName(size_name(*dim))

    # --- sizes that loops must keep -------------------------------------------------------------

    def need(self, ref: MergedRef, axis: int) -> None:
        """Asks the loops in which lists grow, that a size may come from, to keep it.

        Raises:
            Wanted: they do not yet.
            Unfoldable: they are those of a call, which hands on no list of sizes.
        """
        found: set[tuple[Span, int]] = set()
        seen: set[tuple[MergedRef, int]] = set()
        waiting = [(ref, axis)]
        while waiting:
            here, along, _ = self.widths.trace(*waiting.pop())
            if (here, along) in seen or not isinstance(here, OutputRef):
                continue
            seen.add((here, along))
            if here.item.sample.op == "call" and self.target.is_list(here):
                value = self.target.value(here, min(here.item.instances))
                raise Unfoldable(self.target.bodies[0].index.list_loops[value])
            looped = is_loop(here.item) and self.target.is_list(here)
            if looped or here.item.sample.op in _LISTS or here.item.sample.traits.joins:
                waiting += [(source, along) for source in here.item.refs]
            key = self.target.list_key(here) if looped else None
            if key is not None and (key, along) not in self.target.bodies[0].index.wanted:
                found.add((key, along))
        if found:
            raise Wanted(frozenset(found))


_LISTS = ("list", "append", "pick", "total")
"""What is done with lists of tensors, whose sizes are those of the tensors."""


def _join(total: Hint | None, more: Hint | list[Hint]) -> Hint | None:
    if isinstance(more, list):
        if not more:
            return total
        more = HintList(tuple(more))
    return more if total is None else HintBinary("+", total, more)


def _add(left: Hint | None, right: Hint | int | None) -> Hint:
    more = HintConst(right) if isinstance(right, int) else right
    if left is None or more is None:
        return left or more or HintConst(0)
    return left if more == HintConst(0) else HintBinary("+", left, more)


def _written(part: Many) -> Hint | None:
    """A number as an expression; None where it changes and nobody says how."""
    if isinstance(part.solution, Tree):
        return None
    if part.solution is not None:
        return part.solution
    plain = isinstance(part.literal, int) and not part.varies
    return HintConst(part.literal) if plain else None  # type: ignore[arg-type]


def _count_turns(over: Part) -> Hint | None:
    """How many turns a loop has."""
    if not isinstance(over, Many) or isinstance(over.solution, Tree):
        return None
    if over.solution is None:
        rows = over.literal
        return HintConst(len(rows)) if isinstance(rows, tuple) and not over.varies else None
    return count_items(over.solution)
