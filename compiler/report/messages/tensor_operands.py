"""What goes wrong with the operands of tensor functions: indices, dtypes, sizes and options."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, final

from compiler.records import dataclass
from compiler.report.diagnostics import Label, Message
from compiler.types.tensor import DType, TensorType


@final
@dataclass(frozen=True)
class WrongDtype(Message):
    """An operation is applied to elements of a kind that it has no meaning for.

    `cast(x, f32)` makes fractions of whole numbers, `x != 0` makes truth values.
    """

    code: ClassVar[str] = "W0382"
    bad: ClassVar[str] = (
        "model M() {\n    input x: i64[batch, 3]\n    output y = mean(x, axis=1)\n}\n"
    )
    good: ClassVar[str] = (
        "model M() {\n    input x: i64[batch, 3]\n    output y = mean(cast(x, f32), axis=1)\n}\n"
    )

    op: str
    needed: str  # "a tensor of fractions"
    type: TensorType
    places: tuple[Label, ...] = ()
    hint: str | None = None

    def title(self) -> str:
        return f"`{self.op}` needs {self.needed}"

    def label(self) -> str:
        return f"this is {self.type}"

    def labels(self) -> Sequence[Label]:
        return self.places

    def help(self) -> str | None:
        return self.hint


@final
@dataclass(frozen=True)
class UnevenSplit(Message):
    """An axis is cut into pieces that do not add up to it."""

    code: ClassVar[str] = "W0383"
    bad: ClassVar[str] = (
        "model M() {\n    input x: f32[batch, 10]\n    a, b = split(x, [4, 5], axis=1)\n"
        "    output y = a\n}\n"
    )
    good: ClassVar[str] = (
        "model M() {\n    input x: f32[batch, 10]\n    a, b = split(x, [4, 6], axis=1)\n"
        "    output y = a\n}\n"
    )

    op: str
    axis: int
    type: TensorType
    reason: str
    places: tuple[Label, ...] = ()

    def title(self) -> str:
        return f"`{self.op}` cannot cut axis {self.axis} of {self.type} like this"

    def label(self) -> str:
        return self.reason

    def labels(self) -> Sequence[Label]:
        return self.places


@final
@dataclass(frozen=True)
class IndexOutside(Message):
    """An index points beyond the end of an axis.

    The first entry is 0; below 0, indices count from the end.
    """

    code: ClassVar[str] = "W0384"
    bad: ClassVar[str] = "model M() {\n    input x: f32[batch, 3]\n    output y = x[:, 3]\n}\n"
    good: ClassVar[str] = "model M() {\n    input x: f32[batch, 3]\n    output y = x[:, 2]\n}\n"

    index: str
    axis: int
    type: TensorType
    places: tuple[Label, ...] = ()

    def title(self) -> str:
        return f"index {self.index} is outside axis {self.axis}"

    def label(self) -> str:
        return f"{self.type} has {self.type.shape[self.axis]} entries there"

    def labels(self) -> Sequence[Label]:
        return self.places


@final
@dataclass(frozen=True)
class TooManyIndices(Message):
    """A subscript has more items than the tensor has axes."""

    code: ClassVar[str] = "W0385"
    bad: ClassVar[str] = "model M() {\n    input x: f32[batch, 3]\n    output y = x[:, 0, 0]\n}\n"
    good: ClassVar[str] = "model M() {\n    input x: f32[batch, 3]\n    output y = x[:, 0]\n}\n"

    count: int
    type: TensorType
    places: tuple[Label, ...] = ()

    def title(self) -> str:
        return f"{self.count} indices for {self.type.rank} axes"

    def label(self) -> str:
        return f"this is {self.type}"

    def labels(self) -> Sequence[Label]:
        return self.places


@final
@dataclass(frozen=True)
class EmptySlice(Message):
    """A slice holds nothing: it ends before it begins, or begins behind the end of the axis."""

    code: ClassVar[str] = "W0386"
    bad: ClassVar[str] = "model M() {\n    input x: f32[batch, 8]\n    output y = x[:, 5:5]\n}\n"
    good: ClassVar[str] = "model M() {\n    input x: f32[batch, 8]\n    output y = x[:, 5:6]\n}\n"

    text: str
    axis: int
    type: TensorType
    places: tuple[Label, ...] = ()

    def title(self) -> str:
        return f"`{self.text}` takes nothing from axis {self.axis}"

    def label(self) -> str:
        return f"axis {self.axis} is {self.type.shape[self.axis]} in {self.type}"

    def labels(self) -> Sequence[Label]:
        return self.places


@final
@dataclass(frozen=True)
class SizesDisagree(Message):
    """Two sizes that an operation pairs are not the same: the inner axes of a matrix product,
    the axes that share a letter in `einsum`, an update and the place it is put."""

    code: ClassVar[str] = "W0387"
    bad: ClassVar[str] = (
        "model M() {\n    input a: f32[batch, 3, 4]\n    input b: f32[batch, 5, 6]\n"
        "    output y = a @ b\n}\n"
    )
    good: ClassVar[str] = (
        "model M() {\n    input a: f32[batch, 3, 4]\n    input b: f32[batch, 4, 6]\n"
        "    output y = a @ b\n}\n"
    )

    op: str
    reason: str
    places: tuple[Label, ...] = ()
    hint: str | None = None

    def title(self) -> str:
        return f"the sizes in `{self.op}` do not match"

    def label(self) -> str:
        return self.reason

    def labels(self) -> Sequence[Label]:
        return self.places

    def help(self) -> str | None:
        return self.hint


@final
@dataclass(frozen=True)
class BadEquation(Message):
    """An `einsum` equation that does not describe its operands.

    One group of letters per operand, one letter per axis, separated by commas; after `->` the
    axes of the result. Letters that the result leaves out are summed over; `...` stands for
    the axes that are not named.
    """

    code: ClassVar[str] = "W0388"
    bad: ClassVar[str] = (
        "model M() {\n    input a: f32[n, 3]\n    input b: f32[n, 4]\n"
        '    output y = einsum([a, b], "ni,nj->nik")\n}\n'
    )
    good: ClassVar[str] = (
        "model M() {\n    input a: f32[n, 3]\n    input b: f32[n, 4]\n"
        '    output y = einsum([a, b], "ni,nj->nij")\n}\n'
    )

    equation: str
    reason: str
    places: tuple[Label, ...] = ()

    def title(self) -> str:
        return f'"{self.equation}" does not describe these operands'

    def label(self) -> str:
        return self.reason

    def labels(self) -> Sequence[Label]:
        return self.places


@final
@dataclass(frozen=True)
class SizeUnknown(Message):
    """A size decides how many tensors there are or what they hold, so it must be a number that
    is known when compiling."""

    code: ClassVar[str] = "W0391"
    bad: ClassVar[str] = (
        "model M() {\n    input x: f32[batch, t]\n    parts = unbind(x, axis=1)\n"
        "    output y = parts[0]\n}\n"
    )
    good: ClassVar[str] = (
        "model M() {\n    input x: f32[batch, 3]\n    parts = unbind(x, axis=1)\n"
        "    output y = parts[0]\n}\n"
    )

    op: str
    what: str  # "the size of axis 1"
    found: str
    places: tuple[Label, ...] = ()

    def title(self) -> str:
        return f"`{self.op}` needs a known number for {self.what}"

    def label(self) -> str:
        return f"`{self.found}` is known only when the network runs"

    def labels(self) -> Sequence[Label]:
        return self.places


@final
@dataclass(frozen=True)
class BadOption(Message):
    """An option of a tensor function has a value that the function cannot work with."""

    code: ClassVar[str] = "W0392"
    bad: ClassVar[str] = (
        "model M() {\n    input x: f32[batch, 1, 4, 4]\n"
        '    output y = x -> pad([4, 4, 0, 0], mode="reflect")\n}\n'
    )
    good: ClassVar[str] = (
        "model M() {\n    input x: f32[batch, 1, 4, 4]\n"
        '    output y = x -> pad([3, 3, 0, 0], mode="reflect")\n}\n'
    )

    op: str
    option: str
    reason: str
    hint: str | None = None

    def title(self) -> str:
        return f"`{self.option}` does not suit `{self.op}`"

    def label(self) -> str:
        return self.reason

    def help(self) -> str | None:
        return self.hint


@final
@dataclass(frozen=True)
class IndicesApart(Message):
    """Two tensors index a third, and a slice stands between them.

    Tensors that index neighbouring axes pick entries together. With a slice between them the
    field's libraries move axes to the front, which few people mean: transpose first, or index
    in two steps.
    """

    code: ClassVar[str] = "W0396"
    bad: ClassVar[str] = (
        "model M() {\n    input x: f32[8, 9, 10]\n    input i: i64[n]\n"
        "    output y = x[i, :, i]\n}\n"
    )
    good: ClassVar[str] = (
        "model M() {\n    input x: f32[8, 9, 10]\n    input i: i64[n]\n"
        "    output y = transpose(x, 1, 2)[i, i]\n}\n"
    )

    type: TensorType
    places: tuple[Label, ...] = ()

    def title(self) -> str:
        return "tensors index axes that are not neighbours"

    def label(self) -> str:
        return f"between them stands another axis of {self.type}"

    def labels(self) -> Sequence[Label]:
        return self.places


@final
@dataclass(frozen=True)
class DtypesDiffer(Message):
    """An operation takes tensors of one dtype only; nothing is converted silently."""

    code: ClassVar[str] = "W0397"
    bad: ClassVar[str] = (
        "model M() {\n    input a: f32[batch, 4]\n    input b: f16[4, 5]\n    output y = a @ b\n}\n"
    )
    good: ClassVar[str] = (
        "model M() {\n    input a: f32[batch, 4]\n    input b: f16[4, 5]\n"
        "    output y = a @ cast(b, f32)\n}\n"
    )

    op: str
    left: TensorType
    right: TensorType
    places: tuple[Label, ...] = ()

    def title(self) -> str:
        return f"`{self.op}` needs one dtype"

    def label(self) -> str:
        return f"{self.left} meets {self.right}"

    def labels(self) -> Sequence[Label]:
        return self.places

    def help(self) -> str:
        return f"convert one of them: `cast(…, {self.left.dtype})`"


@final
@dataclass(frozen=True)
class NumberNotHeld(Message):
    """A number meets a tensor whose type cannot hold it.

    Beside a tensor a number takes the tensor's type: `i + 300` of `i: u8[n]` would add 44. Convert
    the tensor to a type that holds both.
    """

    code: ClassVar[str] = "W1375"
    bad: ClassVar[str] = (
        "model M() {\n    input pixel: u8[batch, 8]\n    output y = pixel + 300\n}\n"
    )
    good: ClassVar[str] = (
        "model M() {\n    input pixel: u8[batch, 8]\n    output y = cast(pixel, i32) + 300\n}\n"
    )

    value: float
    dtype: str
    low: float
    high: float

    def title(self) -> str:
        return f"this number does not fit into {self.dtype}"

    def label(self) -> str:
        value, low, high = (_shorten(n) for n in (self.value, self.low, self.high))
        return f"is {value}; {self.dtype} holds {low} to {high}"

    def help(self) -> str | None:
        wider = ("i32", "i64") if isinstance(self.value, int) else ("f32", "f64")
        fitting = (name for name in wider if DType(name).holds(self.value))
        found = next(fitting, "f32" if DType.F32.holds(self.value) else None)
        return None if found is None else f"convert the tensor first: `cast(x, {found})`"


def _shorten(number: float) -> str:
    if isinstance(number, float):
        return f"{number:g}"
    return f"{number:,}" if abs(number) < 10**20 else f"{number:.3g}"


@final
@dataclass(frozen=True)
class ZeroDivisor(Message):
    """Whole numbers are divided by 0, which has no result in any runtime.

    Fractions may be divided by 0: `x / 0` is infinite or NaN.
    """

    code: ClassVar[str] = "W1376"
    bad: ClassVar[str] = "model M() {\n    input i: i64[batch]\n    output y = i // 0\n}\n"
    good: ClassVar[str] = "model M() {\n    input i: i64[batch]\n    output y = i // 2\n}\n"

    op: str
    type: str

    def title(self) -> str:
        return "whole numbers are divided by 0"

    def label(self) -> str:
        return f"`{self.op}` of {self.type} has no result here"


@final
@dataclass(frozen=True)
class NumberOutside(Message):
    """A number that is known when compiling lies outside of what an operand may hold: a negative
    power of whole numbers, whose result is none, or a probability above 1."""

    code: ClassVar[str] = "W1390"
    bad: ClassVar[str] = "model M() {\n    input i: i64[batch]\n    output y = i ** -1\n}\n"
    good: ClassVar[str] = (
        "model M() {\n    input i: i64[batch]\n    output y = cast(i, f32) ** -1\n}\n"
    )

    op: str
    type: str
    value: float
    expected: str

    def title(self) -> str:
        return f"`{self.op}` of {self.type} does not take this number"

    def label(self) -> str:
        return f"is {self.value:g}, and must be {self.expected}"

    def help(self) -> str | None:
        whole = self.type.startswith(("i", "u"))
        return "convert the tensor first: `cast(x, f32)`" if whole else None
