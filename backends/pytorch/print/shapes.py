"""Shapes in comments: `[batch, channels, h / stride, w / stride]`."""

from __future__ import annotations

from backends.pytorch.classes.explained import ExplainedClass
from backends.pytorch.classes.merged import Formal, MergedRef
from backends.pytorch.fold.turns import own_names
from backends.pytorch.terms.naming import AXIS_NAMES
from compiler.ir.hint import Hint, HintName, hint_names, hint_text, rename_hint
from compiler.types.dims import Dim, DimError
from compiler.writing.names import free_name, safe_name
from compiler.writing.python import show

FACTORS = (2, 3, 4, 5, 6, 7, 8, 16, 32)
"""Multiples of an input's size that a comment names."""


class Shapes:
    """Writes the shapes of a class's tensors in the names that its reader knows."""

    def __init__(self, target: ExplainedClass) -> None:
        self.target = target
        self.settings = target.names
        self.widths = target.tensors
        self.shown = {s.name for s in target.settings}
        if target.is_turn:  # what changes from turn to turn has no name that a reader sees
            self.shown -= own_names(target.bodies[0].frame)
            self.shown -= {s.name for s in target.settings if s.dim is not None}
        self.labels: dict[tuple[int, int], str] = {}
        for place in range(len(target.places)):
            for axis in range(self._rank(Formal(place))):
                self.labels[place, axis] = self._label(place, axis)

    def text(self, ref: MergedRef) -> str | None:
        """The shape of a tensor; None for a number, and where a size has no short description."""
        rank = self._rank(ref)
        if self.target.is_list(ref):
            return None
        if not rank or any(self.target.type_of(ref, i).rank != rank for i in self._instances()):
            return None
        sizes = [self._axis(ref, axis) for axis in range(rank)]
        return None if None in sizes else show(f"[{', '.join(s for s in sizes if s is not None)}]")

    def _instances(self) -> range:
        return range(len(self.target.bodies))

    def _rank(self, ref: MergedRef) -> int:
        return self.target.type_of(ref, 0).rank

    def _column(self, ref: MergedRef, axis: int) -> list[object]:
        return [self.target.axis(ref, axis, i) for i in self._instances()]

    def _label(self, place: int, axis: int) -> str:
        """What a size of an input is called: by the signature, else its number, its symbol, or
        the usual letter."""
        target, column = self.target, self._column(Formal(place), axis)
        first, bound = column[0], (target.formals[place], axis)
        for body in target.bodies:
            for argument in body.frame.arguments:
                places = ((safe_name(formal), axis) for formal, axis in argument.dims)
                if bound in places:
                    others = {s.label for s in target.settings if s.name != argument.name}
                    return free_name(safe_name(argument.name), others)
        setting = self.settings.find_size(place, axis)
        if setting is not None and setting.name in self.shown:
            return setting.label
        if target.is_root:
            width = self.widths.of(Formal(place), axis)
            hint = width.hint if width is not None else None
            return self._write(hint) or str(first)
        same = all(size == first for size in column)
        if same and isinstance(first, int):
            return str(first)
        known = self._relate(place, axis, column)
        if known is None and same and _is_plain(first):
            return str(first)
        return known or self._letter(place, axis)

    def _relate(self, place: int, axis: int, column: list[object]) -> str | None:
        """A size of a further input in terms of what is named already."""
        if not place:
            return None
        for setting in self.target.settings:
            if setting.values == column:
                return setting.label
        return self._find_equal(axis, column) or self._find_scaled(axis, column)

    def _letter(self, place: int, axis: int) -> str:
        rank = self._rank(Formal(place))
        letter = AXIS_NAMES.get(rank, "")[axis : axis + 1] or f"size{axis}"
        taken = set(self.labels.values()) | self.shown
        return letter if letter not in taken else f"{self.target.formals[place]}_{letter}"

    def _write(self, hint: Hint | None) -> str | None:
        """An expression in names that the class has; None where it needs others."""
        names: dict[str, Hint] = {}
        for label in hint_names(hint) if hint is not None else ():
            setting = self.settings.found.get(label)
            if setting is not None and setting.dim in self.labels and not self.target.is_turn:
                names[label] = HintName(self.labels[setting.dim])
            elif setting is not None and label in self.shown:
                names[label] = HintName(setting.label)
            else:
                return None
        return None if hint is None else hint_text(rename_hint(hint, names))

    def _axis(self, ref: MergedRef, axis: int) -> str | None:
        origin = self.widths.trace(ref, axis)
        width = origin.width
        column = self._column(ref, axis)
        first = column[0]
        known = self._write(width.hint) if width is not None else None
        if self.target.is_turn:
            settled = isinstance(first, Dim) or (width is not None and width.hint is None)
            return known or (str(first) if settled and len(set(column)) == 1 else None)
        if isinstance(origin.ref, Formal):
            return self.labels[origin.ref.place, origin.axis]
        if known is not None:
            return known
        same = all(size == first for size in column)
        if same and (isinstance(first, int) or self.target.is_root):
            return None if self.widths.may_change(ref, axis) else str(first)
        return (
            self._find_equal(axis, column)
            or self._find_scaled(axis, column)
            or self._find_equal(None, column)
        )

    def _find_equal(self, axis: int | None, column: list[object]) -> str | None:
        """The label of an input's size with the same values (of any axis: None), where they are
        not plain numbers."""
        if all(isinstance(size, int) for size in column) and len(set(column)) == 1:
            return None
        for (place, other), label in self.labels.items():
            same = axis is None or axis == other
            if same and self._column(Formal(place), other) == column:
                return label
        return None

    def _find_scaled(self, axis: int, column: list[object]) -> str | None:
        """`h / stride` where every instance divides its input by its own stride; `2 * h`."""
        for (place, other), label in self.labels.items():
            base = self._column(Formal(place), other)
            if other != axis or base == column:
                continue
            for factor in FACTORS:
                if _is_multiple(column, base, factor):
                    return f"{factor} * {label}"
                if _is_multiple(base, column, factor):
                    return f"{label} / {factor}"
            for setting in self.target.settings:
                if setting.dim is None and _is_quotient(column, base, setting.values):
                    return f"{label} / {setting.label}"
        return None


def _is_plain(size: object) -> bool:
    """A number or one symbol."""
    if isinstance(size, Dim):
        return bool(size.symbols) and size == Dim.of(min(size.symbols))
    return isinstance(size, int)


def _is_multiple(column: list[object], base: list[object], factor: int) -> bool:
    pairs = zip(column, base, strict=True)
    return all(
        isinstance(b, (int, Dim)) and isinstance(v, (int, Dim)) and b * factor == v
        for v, b in pairs
    )


def _is_quotient(column: list[object], base: list[object], by: list[object]) -> bool:
    """Whether every size is its base divided by its number, rounded up."""
    for size, whole, divisor in zip(column, base, by, strict=True):
        if type(divisor) is not int or not isinstance(whole, (int, Dim)):
            return False
        try:
            if (whole - 1) // divisor + 1 != size:
                return False
        except (DimError, ZeroDivisionError):
            return False
    return len(set(by)) > 1
