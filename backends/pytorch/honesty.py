"""Arguments that a class would honour only in part: other widths depend on them and are literals.

`features -> flatten -> dense(10)` after `conv(width)`: if the width that comes out of `flatten`
could not be written in terms of `width`, a class that took `width` would work for one value only.
"""

from __future__ import annotations

from collections.abc import Iterator

from backends.pytorch.merged import Choice, Class, Made, Merged, MergedRef
from backends.pytorch.settings import Settings
from backends.pytorch.terms import Part, Tree, variables
from backends.pytorch.widths import Widths, find_stages, pass_on
from compiler.ir.hint import hint_names

Names = frozenset[str]


def find_lying(target: Class, settings: Settings, widths: Widths) -> set[str]:
    """Arguments that are the same in all instances and reach only some of the widths that
    depend on them: they must not be offered."""
    candidates = {
        setting.name
        for setting in target.settings
        if setting.dim is None and setting.constant and setting.annotation == "int"
    }
    if not candidates:
        return set()
    dependence = _Dependence(target, widths)
    found: set[str] = set()
    for item in target.items:
        for leaf in item.leaves():
            if leaf.solution is None and leaf.dim is not None and leaf.dim[0] == "in":
                _, index, axis = leaf.dim
                if index < len(item.refs):
                    found |= dependence.of(item.refs[index], axis) & candidates
        for variant in item.variants:
            found |= dependence.inside(variant.constructor) & candidates
        dependence.note(item)
    return found


class _Dependence:
    """Which arguments the sizes of tensors may depend on; noted item by item, in order."""

    def __init__(self, target: Class, widths: Widths) -> None:
        self.target = target
        self.widths = widths
        self.known: dict[tuple[MergedRef, int], Names] = {}

    def note(self, item: Merged) -> None:
        """Finds what the sizes of an item's outputs depend on, its inputs being known."""
        for output in range(item.outputs):
            ref = Made(item, output)
            for axis in range(self._rank(ref)):
                self.known[ref, axis] = self._find(item, ref, axis)

    def of(self, ref: MergedRef, axis: int) -> Names:
        """Arguments that a size of a tensor may depend on."""
        if isinstance(ref, Choice):
            return self.of(ref.base, axis) | self.of(ref.other, axis)
        if (ref, axis) in self.known:
            return self.known[ref, axis]
        return self._named(ref, axis) or frozenset()

    def inside(self, constructor: Part) -> Names:
        """Arguments that literals between the stages of a chain depend on."""
        found: set[str] = set()
        stages = find_stages(constructor)
        for place, stage in enumerate(stages):
            for leaf in variables(stage):
                if leaf.solution is None and leaf.dim is not None and leaf.dim[0] == "inner in":
                    before = stages[:place]
                    if self.widths.of_stages(before, leaf.dim[2], leaf.values) is None:
                        found.update(n for tree in before for n in _names(tree))
        return frozenset(found)

    def _named(self, ref: MergedRef, axis: int) -> Names | None:
        width = self.widths.of(ref, axis)
        if width is None:
            return None
        return frozenset() if width.hint is None else frozenset(hint_names(width.hint))

    def _find(self, item: Merged, ref: Made, axis: int) -> Names:
        named = self._named(ref, axis)
        if named is not None:
            return named
        sources = pass_on(self.target, ref, axis)
        if sources:
            return self.of(*sources[0])
        return frozenset(self._all(item))

    def _all(self, item: Merged) -> Iterator[str]:
        """Everything that an operation could compute a size from."""
        for variant in item.variants:
            yield from _names(variant.constructor)
        yield from _names(item.expression)
        for ref in item.refs:
            for axis in range(self._rank(ref)):
                yield from self.of(ref, axis)

    def _rank(self, ref: MergedRef) -> int:
        instances = ref.item.instances if isinstance(ref, Made) else self.target.everyone
        return self.target.type_of(ref, min(instances)).rank


def _names(tree: Part | None) -> Iterator[str]:
    """Arguments that stand in a tree."""
    for leaf in variables(tree):
        if leaf.solution is not None and not isinstance(leaf.solution, Tree):
            yield from hint_names(leaf.solution)
