"""What goes wrong between the shapes of tensors: broadcasting, axes, reshaping, joining."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, final

from compiler.records import dataclass
from compiler.report.diagnostics import Label, Message
from compiler.types.tensor import TensorType


@final
@dataclass(frozen=True)
class ShapesDoNotBroadcast(Message):
    """Two tensors meet element by element, and their shapes do not fit.

    Shapes are compared from the last axis to the first. Two sizes fit when they are equal or
    one of them is 1; a missing axis counts as 1. `x[:, none]` adds an axis of size 1, `reshape`
    and `transpose` bring axes into place.
    """

    code: ClassVar[str] = "W0375"
    bad: ClassVar[str] = (
        "model M() {\n    input x: f32[batch, 3, 8]\n    input gain: f32[batch, 3]\n"
        "    output y = x * gain\n}\n"
    )
    good: ClassVar[str] = (
        "model M() {\n    input x: f32[batch, 3, 8]\n    input gain: f32[batch, 3]\n"
        "    output y = x * gain[:, :, none]\n}\n"
    )

    left: TensorType
    right: TensorType
    axis: int  # from the end, below 0
    places: tuple[Label, ...] = ()

    def title(self) -> str:
        return "shapes do not broadcast"

    def label(self) -> str:
        left, right = self.left.shape[self.axis], self.right.shape[self.axis]
        where = "the last axis" if self.axis == -1 else f"axis {self.axis}"
        return f"{where} is {left} in {self.left} and {right} in {self.right}"

    def labels(self) -> Sequence[Label]:
        return self.places

    def help(self) -> str | None:
        short, long = sorted((self.left, self.right), key=lambda t: t.rank)
        if short.rank < long.rank and short.shape == long.shape[: short.rank]:
            items = [":"] * short.rank + ["none"] * (long.rank - short.rank)
            return f"`[{', '.join(items)}]` after the shorter one lines up its axes"
        return None


@final
@dataclass(frozen=True)
class NoSuchAxis(Message):
    """An axis is named that the tensor does not have.

    Axes count from 0; below 0 they count from the end, so -1 is the last.
    """

    code: ClassVar[str] = "W0376"
    bad: ClassVar[str] = (
        "model M() {\n    input x: f32[batch, 3]\n    output y = mean(x, axis=2)\n}\n"
    )
    good: ClassVar[str] = (
        "model M() {\n    input x: f32[batch, 3]\n    output y = mean(x, axis=1)\n}\n"
    )

    op: str
    axis: int
    type: TensorType
    added: int = 0  # axes that the result has beyond the operand's
    places: tuple[Label, ...] = ()

    def title(self) -> str:
        return f"`{self.op}` has no axis {self.axis} to act on"

    def label(self) -> str:
        rank = self.type.rank + self.added
        if rank == 0:
            return f"{self.type} has no axes"
        axes = "axis 0, or -1" if rank == 1 else f"axes 0 to {rank - 1}, or {-rank} to -1"
        owner = "the result" if self.added else str(self.type)
        return f"{owner} has {axes}"

    def labels(self) -> Sequence[Label]:
        return self.places


@final
@dataclass(frozen=True)
class RepeatedAxis(Message):
    """One axis is named twice, perhaps once from the front and once from the end."""

    code: ClassVar[str] = "W0377"
    bad: ClassVar[str] = (
        "model M() {\n    input x: f32[batch, 3, 4]\n    output y = sum(x, axis=[2, -1])\n}\n"
    )
    good: ClassVar[str] = (
        "model M() {\n    input x: f32[batch, 3, 4]\n    output y = sum(x, axis=[1, -1])\n}\n"
    )

    op: str
    axis: int
    type: TensorType

    def title(self) -> str:
        return f"`{self.op}` is given axis {self.axis} twice"

    def label(self) -> str:
        return f"in {self.type}, axis {self.axis} is also {self.axis - self.type.rank}"


@final
@dataclass(frozen=True)
class ElementsDiffer(Message):
    """A tensor is reshaped to a shape that holds more or fewer elements than it has.

    The product of the sizes must be provably the same. One `...` in the shape keeps leading
    axes, one `-1` is computed from the rest.
    """

    code: ClassVar[str] = "W0378"
    bad: ClassVar[str] = (
        "model M() {\n    input x: f32[batch, 12]\n    output y = x -> reshape([batch, 5, 2])\n}\n"
    )
    good: ClassVar[str] = (
        "model M() {\n    input x: f32[batch, 12]\n    output y = x -> reshape([batch, 6, 2])\n}\n"
    )

    type: TensorType
    target: str
    elements: str  # of the target
    places: tuple[Label, ...] = ()

    def title(self) -> str:
        return "the new shape holds another number of elements"

    def label(self) -> str:
        return f"{self.target} holds {self.elements}, {self.type} has {self.type.size}"

    def labels(self) -> Sequence[Label]:
        return self.places


@final
@dataclass(frozen=True)
class NoWholeRest(Message):
    """`...` or `-1` in a shape stands for what is left, and what is left is not whole.

    `-1` is the number of elements divided by the other sizes. `...` keeps as many leading axes
    as it can so that the sizes after it share out the axes that are left.
    """

    code: ClassVar[str] = "W0379"
    bad: ClassVar[str] = (
        "model M() {\n    input x: f32[batch, 10]\n    output y = x -> reshape([..., 4, 3])\n}\n"
    )
    good: ClassVar[str] = (
        "model M() {\n    input x: f32[batch, 12]\n    output y = x -> reshape([..., 4, 3])\n}\n"
    )

    type: TensorType
    target: str
    reason: str
    places: tuple[Label, ...] = ()

    def title(self) -> str:
        return f"{self.type} cannot be reshaped to {self.target}"

    def label(self) -> str:
        return self.reason

    def labels(self) -> Sequence[Label]:
        return self.places


@final
@dataclass(frozen=True)
class WrongRank(Message):
    """An operation needs a tensor with another number of axes."""

    code: ClassVar[str] = "W0380"
    bad: ClassVar[str] = (
        "model M() {\n    input x: f32[batch, 8]\n    output y = x -> resize(scale=2)\n}\n"
    )
    good: ClassVar[str] = (
        "model M() {\n    input x: f32[batch, 3, 8, 8]\n    output y = x -> resize(scale=2)\n}\n"
    )

    op: str
    needed: str  # "a tensor of at least two axes"
    type: TensorType
    places: tuple[Label, ...] = ()

    def title(self) -> str:
        return f"`{self.op}` needs {self.needed}"

    def label(self) -> str:
        return f"this is {self.type}"

    def labels(self) -> Sequence[Label]:
        return self.places


@final
@dataclass(frozen=True)
class CannotJoin(Message):
    """Tensors are joined whose shapes differ where they must be equal.

    `concat` needs equal sizes on every axis but the one it joins along; `stack` needs equal
    shapes.
    """

    code: ClassVar[str] = "W0381"
    bad: ClassVar[str] = (
        "model M() {\n    input x: f32[batch, 3, 8]\n    input y: f32[batch, 4, 9]\n"
        "    output z = concat([x, y], axis=1)\n}\n"
    )
    good: ClassVar[str] = (
        "model M() {\n    input x: f32[batch, 3, 8]\n    input y: f32[batch, 4, 8]\n"
        "    output z = concat([x, y], axis=1)\n}\n"
    )

    op: str
    first: TensorType
    other: TensorType
    axis: int | None  # None: the ranks differ
    places: tuple[Label, ...] = ()

    def title(self) -> str:
        return f"`{self.op}` cannot join these tensors"

    def label(self) -> str:
        if self.axis is None:
            return f"{self.first} has {self.first.rank} axes, {self.other} has {self.other.rank}"
        left, right = self.first.shape[self.axis], self.other.shape[self.axis]
        return f"axis {self.axis} is {left} in {self.first} and {right} in {self.other}"

    def labels(self) -> Sequence[Label]:
        return self.places


@final
@dataclass(frozen=True)
class NotSizeOne(Message):
    """`squeeze` drops an axis, and only an axis of size 1 can go."""

    code: ClassVar[str] = "W0389"
    bad: ClassVar[str] = (
        "model M() {\n    input x: f32[batch, 3]\n    output y = x -> squeeze(1)\n}\n"
    )
    good: ClassVar[str] = (
        "model M() {\n    input x: f32[batch, 1]\n    output y = x -> squeeze(1)\n}\n"
    )

    axis: int
    type: TensorType
    places: tuple[Label, ...] = ()

    def title(self) -> str:
        return f"axis {self.axis} is not of size 1"

    def label(self) -> str:
        return f"it is {self.type.shape[self.axis]} in {self.type}"

    def labels(self) -> Sequence[Label]:
        return self.places

    def help(self) -> str:
        return f"to take one of its entries, write `[{':, ' * (self.axis % self.type.rank)}0]`"


@final
@dataclass(frozen=True)
class CannotExpand(Message):
    """`expand` repeats axes of size 1, and leaves every other axis as it is."""

    code: ClassVar[str] = "W0390"
    bad: ClassVar[str] = (
        "model M() {\n    input x: f32[batch, 3]\n    output y = x -> expand([batch, 6])\n}\n"
    )
    good: ClassVar[str] = (
        "model M() {\n    input x: f32[batch, 1]\n    output y = x -> expand([batch, 6])\n}\n"
    )

    type: TensorType
    target: str
    reason: str
    places: tuple[Label, ...] = ()

    def title(self) -> str:
        return f"{self.type} cannot be expanded to {self.target}"

    def label(self) -> str:
        return self.reason

    def labels(self) -> Sequence[Label]:
        return self.places
