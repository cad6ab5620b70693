"""Sizes of tensors that are joined, cut into pieces, or reshaped: sums, quotients and products."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial, reduce

from backends.pytorch.classes.algebra import join_powers, shorten
from backends.pytorch.classes.explained import Width
from backends.pytorch.classes.list_sizes import Sizing
from backends.pytorch.classes.merged import Merged, MergedRef, OutputRef
from backends.pytorch.classes.propagation import find_split_axes
from compiler.ir.hint import Hint, HintBinary, HintConst


class JoinedSizes:
    """Writes such sizes of one class."""

    def __init__(self, widths: Sizing) -> None:
        self.widths = widths
        self.target = widths.target
        self.splitting: set[tuple[OutputRef, int]] = set()
        """Axes that are split, of which one of the parts is asked for."""

    def cut(self, made: OutputRef, count: int, axis: int, depth: int) -> Width | None:
        """The size of one of the pieces that an axis is cut into: all but the last are rounded
        up. The second half is `c // 2`."""
        width = self.widths.of(made.item.refs[0], axis, depth + 1)
        if width is None or width.hint is None:
            return width
        parts = HintConst(count)
        rounded = HintBinary("+", width.hint, HintConst(count - 1))
        piece: Hint = HintBinary("//", rounded, parts)
        if made.output == count - 1:
            others = HintBinary("*", HintConst(count - 1), shorten(piece))
            half = HintBinary("//", width.hint, parts)
            piece = half if count == 2 else HintBinary("-", width.hint, others)
        return self.widths.accept(piece, self.widths.sizes(made, axis))

    def combine(
        self,
        sign: str,
        places: list[tuple[MergedRef, int]],
        wanted: Mapping[int, object],
        depth: int,
    ) -> Width | None:
        """The sum or product of sizes."""
        parts = [self.widths.describe(ref, axis, depth) for ref, axis in places]
        known = [part for part in parts if part is not None]
        if len(known) < len(parts):
            return None
        if sign == "*":
            known = list(join_powers(known))
        return self.widths.accept(reduce(partial(HintBinary, sign), known), wanted)

    def split(self, source: MergedRef, made: OutputRef, axis: int, depth: int) -> Hint | None:
        """One of the axes that an axis is split into: what the others leave of it."""
        for old in range(self.target.type_of(source, min(made.item.instances)).rank):
            axes = find_split_axes(self.target, source, made, old)
            if axis not in axes:
                continue
            if (made, old) in self.splitting:
                return None  # of this axis another is asked for, which would ask for this one
            self.splitting.add((made, old))
            others = [self.widths.describe(made, k, depth) for k in axes if k != axis]
            self.splitting.remove((made, old))
            whole = self.widths.describe(source, old, depth)
            known = [other for other in others if other is not None]
            if whole is None or len(known) < len(others):
                return None
            return HintBinary("/", whole, reduce(partial(HintBinary, "*"), known))
        return None

    def rejoin(self, places: list[tuple[MergedRef, int]], depth: int) -> Width | None:
        """The size of an axis that was split before, and is put together again: heads, or groups
        of channels in another order."""
        origins = [self.widths.trace(ref, axis, depth + 1) for ref, axis in places]
        *before, last = origins
        match last.ref:
            case OutputRef(Merged(refs=[source]) as item) if item.sample.traits.reshapes:
                for axis in range(self.target.type_of(source, min(item.instances)).rank):
                    split = find_split_axes(self.target, source, last.ref, axis)
                    pieces = {(last.ref, k) for k in split}
                    if len(split) != len(origins) or last.axis not in split:
                        continue
                    shuffled = {(one.ref, one.axis) for one in origins} == pieces
                    alike = split[-1] == last.axis and all(
                        one.width is not None and one.width == self.widths.of(last.ref, k)
                        for k, one in zip(split, before, strict=False)
                    )
                    if shuffled or alike:
                        return self.widths.of(source, axis, depth + 1)
        return None
