"""What goes wrong with the types of tensors: ranks, sizes and dtypes that were declared."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, final

from compiler.records import dataclass
from compiler.report.diagnostics import Label, Message
from compiler.report.source import Span
from compiler.types.tensor import TensorType


@dataclass(frozen=True)
class DeclaredType(Message):
    """A tensor does not have the type that was declared for it.

    `subject` is what was declared ("argument `x` of `f`"), `declared` the type as it is written,
    `places` where the tensor and the sizes came from.
    """

    subject: str
    declared: str
    found: TensorType
    places: tuple[Label, ...]

    def labels(self) -> Sequence[Label]:
        return self.places


@final
@dataclass(frozen=True)
class WrongRankDeclared(DeclaredType):
    """A tensor has another number of axes than its declared type.

    `...` in a type stands for any leading axes: `f32[..., d]`.
    """

    code: ClassVar[str] = "W0301"
    bad: ClassVar[str] = (
        "block f(x: f32[n, c, h, w]) { return x -> relu }\n"
        "model M() {\n    input x: f32[batch, 8]\n    output y = x -> f\n}\n"
    )
    good: ClassVar[str] = (
        "block f(x: f32[..., c]) { return x -> relu }\n"
        "model M() {\n    input x: f32[batch, 8]\n    output y = x -> f\n}\n"
    )

    axes: int
    at_least: bool = False

    def title(self) -> str:
        count = "one axis" if self.axes == 1 else f"{self.axes or 'no'} axes"
        return f"{self.subject} must have {'at least ' if self.at_least else ''}{count}"

    def label(self) -> str:
        return f"this is {self.found}, declared is {self.declared}"


@final
@dataclass(frozen=True)
class WrongSizeDeclared(DeclaredType):
    """A size of a tensor is not the one that its declared type asks for.

    In a signature, the first argument that has a name in its type binds it; the others must have
    the same size there.
    """

    code: ClassVar[str] = "W0302"
    bad: ClassVar[str] = (
        "model M(classes: int = 10) {\n    input x: f32[batch, 8]\n"
        "    output y: f32[batch, classes] = x -> dense(12)\n}\n"
    )
    good: ClassVar[str] = (
        "model M(classes: int = 10) {\n    input x: f32[batch, 8]\n"
        "    output y: f32[batch, classes] = x -> dense(classes)\n}\n"
    )

    axis: int
    expected: str

    def title(self) -> str:
        return f"{self.subject} has another size than declared"

    def label(self) -> str:
        return (
            f"axis {self.axis} of {self.found} is {self.found.shape[self.axis]}, "
            f"not {self.expected}"
        )


@final
@dataclass(frozen=True)
class WrongDtypeDeclared(DeclaredType):
    """A tensor has another element type than the one declared. `cast(x, f32)` converts."""

    code: ClassVar[str] = "W0303"
    bad: ClassVar[str] = (
        "block f(x: f32[n, d]) { return x -> relu }\n"
        "model M() {\n    input x: i64[batch, 8]\n    output y = x -> f\n}\n"
    )
    good: ClassVar[str] = (
        "block f(x: f32[n, d]) { return x -> relu }\n"
        "model M() {\n    input x: i64[batch, 8]\n    output y = cast(x, f32) -> f\n}\n"
    )

    dtype: str

    def title(self) -> str:
        return f"{self.subject} must hold {self.dtype}"

    def label(self) -> str:
        return f"this is {self.found}, declared is {self.declared}"

    def help(self) -> str | None:
        return f"convert it: `cast(…, {self.dtype})`"


@final
@dataclass(frozen=True)
class NotATensor(Message):
    """A type of tensors was declared for something that is none."""

    code: ClassVar[str] = "W0304"
    bad: ClassVar[str] = (
        "model M() {\n    input x: f32[batch, 8]\n    n: f32[8] = 3\n    output y = x * n\n}\n"
    )
    good: ClassVar[str] = (
        "model M() {\n    input x: f32[batch, 8]\n    n: int = 3\n    output y = x * n\n}\n"
    )

    subject: str
    declared: str
    found: str
    hint: str | None = None

    def title(self) -> str:
        if self.declared == "a tensor":
            return f"{self.subject} must be a tensor"
        return f"{self.subject} is declared {self.declared}"

    def label(self) -> str:
        return f"this is {self.found}"

    def help(self) -> str | None:
        return self.hint


@final
@dataclass(frozen=True)
class NotASize(Message):
    """A dimension in a type is no size: sizes are whole numbers of at least one, names of sizes,
    and arithmetic on them."""

    code: ClassVar[str] = "W0305"
    bad: ClassVar[str] = "model M() {\n    input x: f32[batch, 2.5]\n    output y = x -> relu\n}\n"
    good: ClassVar[str] = "model M() {\n    input x: f32[batch, 2]\n    output y = x -> relu\n}\n"

    found: str

    def title(self) -> str:
        return "this is no size"

    def label(self) -> str:
        return f"this is {self.found}"


@final
@dataclass(frozen=True)
class SizeNeverNamed(Message):
    """A size stands only inside arithmetic, so it cannot be read off the shape of an input.

    A type may say `2 * t` when `t` itself is the size of an axis of some input, or a parameter.
    """

    code: ClassVar[str] = "W0306"
    bad: ClassVar[str] = (
        "model M() {\n    input x: f32[batch, 2 * t]\n    output y = x -> relu\n}\n"
    )
    good: ClassVar[str] = "model M() {\n    input x: f32[batch, t]\n    output y = x -> relu\n}\n"

    name: str

    def title(self) -> str:
        return f"the size `{self.name}` is never the size of an axis"

    def label(self) -> str:
        return "it stands only inside arithmetic"

    def help(self) -> str | None:
        return f"name the axis itself, or make `{self.name}` a parameter of the item"


@final
@dataclass(frozen=True)
class RestTwice(Message):
    """`...` stands for all axes that are not named, so a type has room for one."""

    code: ClassVar[str] = "W0307"
    bad: ClassVar[str] = "block f(x: f32[..., c, ...]) { return x -> relu }\n"
    good: ClassVar[str] = "block f(x: f32[..., c]) { return x -> relu }\n"

    def title(self) -> str:
        return "`...` stands twice in one type"


@final
@dataclass(frozen=True)
class ShapeNotSettled(Message):
    """The shape of a weight or the rank of an input is open; it has to be settled when compiling.

    The sizes of weights are stored in files, so they are numbers: `batch`, or the length of a
    text, cannot be among them.
    """

    code: ClassVar[str] = "W0308"
    bad: ClassVar[str] = (
        "model M() {\n    input x: f32[batch, t, 8]\n    param p: f32[t, 8] = zeros\n"
        "    output y = x + p\n}\n"
    )
    good: ClassVar[str] = (
        "model M(t: int = 16) {\n    input x: f32[batch, t, 8]\n    param p: f32[t, 8] = zeros\n"
        "    output y = x + p\n}\n"
    )

    what: str
    found: str
    hint: str | None = None
    places: tuple[Label, ...] = ()

    def title(self) -> str:
        return f"{self.what} must have a known shape"

    def label(self) -> str:
        return self.found

    def labels(self) -> Sequence[Label]:
        return self.places

    def help(self) -> str | None:
        return self.hint


@final
@dataclass(frozen=True)
class SizeBoundElsewhere(Message):
    """A name in a type clashes with something that is no size."""

    code: ClassVar[str] = "W0309"
    bad: ClassVar[str] = (
        'block f(x: f32[n, mode], mode: str = "a") { return if mode == "a" then x else -x }\n'
        "model M() {\n    input x: f32[batch, 8]\n    output y = x -> f\n}\n"
    )
    good: ClassVar[str] = (
        'block f(x: f32[n, d], mode: str = "a") { return if mode == "a" then x else -x }\n'
        "model M() {\n    input x: f32[batch, 8]\n    output y = x -> f\n}\n"
    )

    name: str
    found: str
    definition: Span | None = None

    def title(self) -> str:
        return f"`{self.name}` is no size"

    def label(self) -> str:
        return f"`{self.name}` is {self.found}"

    def labels(self) -> Sequence[Label]:
        return (Label(self.definition, "declared here"),) if self.definition is not None else ()


@final
@dataclass(frozen=True)
class WeightNotTrainable(Message):
    """A `param` holds whole numbers or truth values, which no optimizer can change in small steps.

    Numbers that are stored with the weights and not trained are a `buffer`.
    """

    code: ClassVar[str] = "W0310"
    bad: ClassVar[str] = (
        "model M() {\n    input x: f32[batch, 8]\n    param p: i64[8] = zeros\n"
        "    output y = x + p\n}\n"
    )
    good: ClassVar[str] = (
        "model M() {\n    input x: f32[batch, 8]\n    buffer p: i64[8] = zeros\n"
        "    output y = x + p\n}\n"
    )

    dtype: str

    def title(self) -> str:
        return "a weight that is trained must hold fractions"

    def label(self) -> str:
        return f"{self.dtype} holds none"

    def help(self) -> str | None:
        return "use f32; numbers that are not trained are a `buffer`"
