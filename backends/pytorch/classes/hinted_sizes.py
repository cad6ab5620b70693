"""Sizes that the author of a spec wrote by their tensor: `u.shape[1]`, where `u` is made inside."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property

from backends.pytorch.classes.merged import Formal, MergedClass, OutputRef
from backends.pytorch.classes.settings import Settings
from backends.pytorch.classes.widths import Widths
from backends.pytorch.fold.spelled import unmark
from compiler.ir.hint import Hint, HintConst, HintSize, change_hint, hint_names, hint_sizes


class HintedSizes:
    """Writes such sizes as what the class calls them, and says which arguments they follow."""

    def __init__(self, target: MergedClass, settings: Settings, widths: Widths) -> None:
        self.target = target
        self.settings = settings
        self.widths = widths

    def write(self, hint: Hint) -> Hint:
        """A hint with such sizes in the names of the class, as far as it has names for them."""
        return change_hint(hint, self._write_size) if any(hint_sizes(hint)) else hint

    def knows(self, size: HintSize) -> bool:
        """Whether it is a size of a tensor of the class."""
        return size.value in self._refs

    def names(self, hint: Hint) -> Iterator[str]:
        """All arguments that a hint with such sizes may follow."""
        yield from hint_names(hint)
        for size in hint_sizes(hint):
            refs = self._refs.get(size.value)
            if refs is None:  # a tensor of the code around the class
                yield from self.settings.found
                return
            for ref in refs:
                yield from self.widths.dependence.of(ref, size.axis)

    def _write_size(self, part: Hint) -> Hint:
        if not isinstance(part, HintSize):
            return part
        # a state has one name before a loop and in it: whichever is meant, its size is the same
        refs = filter(self._is_explained, self._refs.get(part.value, {}))
        rows = {self._find_size(ref, part.axis) for ref in refs}
        return rows.pop() or part if len(rows) == 1 else part

    def _is_explained(self, ref: Formal | OutputRef) -> bool:
        return isinstance(ref, Formal) or ref.item in self.widths.explained

    def _find_size(self, ref: Formal | OutputRef, axis: int) -> Hint | None:
        """What a size of a tensor is called."""
        width = self.widths.of(ref, axis)
        if width is None or width.hint is not None:
            return None if width is None else width.hint
        instance = 0 if isinstance(ref, Formal) else min(ref.item.instances)
        known = self.target.axis(ref, axis, instance)
        return HintConst(known) if isinstance(known, int) else None

    @cached_property
    def _refs(self) -> dict[str, dict[Formal | OutputRef, None]]:
        """What the values of the instances are in the class, by name."""
        refs: dict[str, dict[Formal | OutputRef, None]] = {}
        for item in self.target.items:
            for member in item.members.values():
                for output, value in enumerate(member.outputs):
                    refs.setdefault(unmark(value), {})[OutputRef(item, output)] = None
        for place in range(len(self.target.places)):
            for instance in sorted(self.target.everyone):
                value = self.target.formal_value(place, instance)
                refs.setdefault(unmark(value), {})[Formal(place)] = None
        return refs
