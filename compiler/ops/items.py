"""What stands in shapes and subscripts beside numbers: `...`, slices, new axes and tensors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import final

from compiler.records import dataclass
from compiler.types.dims import Dim


@final
@dataclass(frozen=True)
class Rest:
    """`...`: the axes that are not named."""

    def __str__(self) -> str:
        return "..."


@final
@dataclass(frozen=True)
class SliceItem:
    """`start:stop:step` along one axis; bounds as in Python, below zero from the end."""

    start: int | Dim | None = None
    stop: int | Dim | None = None
    step: int = 1

    def substitute(self, sizes: Mapping[str, int | Dim]) -> SliceItem:
        """The slice with symbols replaced in its bounds."""
        return SliceItem(_replace(self.start, sizes), _replace(self.stop, sizes), self.step)

    def __str__(self) -> str:
        bounds = f"{_text(self.start)}:{_text(self.stop)}"
        return bounds if self.step == 1 else f"{bounds}:{self.step}"


@final
@dataclass(frozen=True)
class NewAxis:
    """`none` in a subscript: an axis of size 1."""

    def __str__(self) -> str:
        return "none"


@final
@dataclass(frozen=True)
class TensorIndex:
    """Positions given by a tensor: the node's input of that index (1 is the first after x)."""

    operand: int

    def __str__(self) -> str:
        return "tensor"


IndexItem = int | Dim | SliceItem | NewAxis | Rest | TensorIndex
ShapeItem = int | Dim | Rest


def _replace(bound: int | Dim | None, sizes: Mapping[str, int | Dim]) -> int | Dim | None:
    return bound.substitute(sizes) if isinstance(bound, Dim) else bound


def _text(bound: int | Dim | None) -> str:
    return "" if bound is None else str(bound)
