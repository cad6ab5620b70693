"""Types as they are written: what a parameter takes, and tensor types against tensors."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Sequence

from compiler.elaborate.scopes.context import Body
from compiler.elaborate.scopes.resolve import resolve_name
from compiler.elaborate.values.arithmetic import simplify, whole
from compiler.elaborate.values.describing import describe
from compiler.elaborate.values.values import POISON, Known, Poison, Tensor, Val
from compiler.ir.hint import HintName
from compiler.records import dataclass
from compiler.report.diagnostics import Label, Message
from compiler.report.messages.names import type_has_no_dims, unknown_type
from compiler.report.messages.shapes import (
    not_a_size,
    not_a_tensor,
    rest_twice,
    size_bound_elsewhere,
    wrong_dtype_declared,
    wrong_rank_declared,
    wrong_size_declared,
)
from compiler.report.messages.values import size_too_large
from compiler.report.source import Span
from compiler.report.suggestions import did_you_mean
from compiler.text.tree.syntax import Expr, Name, Rest, TypeExpr
from compiler.types.dims import Dim, equal
from compiler.types.tensor import MAX_RANK, DType, TensorType

KNOWN_TYPES = ("int", "float", "bool", "str", "list", "layer", "initializer")
"""Types of values that are known when compiling."""

ANY_TENSOR = "tensor"
"""The type of tensors of any dtype."""


@dataclass(frozen=True)
class TensorPattern:
    """A tensor type as it is written. `dtype` is None for `tensor`, `dims` None for any shape."""

    dtype: DType | None
    dims: tuple[Expr, ...] | None
    span: Span

    @property
    def text(self) -> str:
        """The type as it is written, on one line."""
        return " ".join(self.span.text.split())

    @property
    def rest(self) -> int | None:
        """The position of `...` among the dims."""
        dims = self.dims or ()
        return next((i for i, d in enumerate(dims) if isinstance(d, Rest)), None)

    @property
    def least_rank(self) -> int | None:
        """The number of axes that are named; None where any shape is taken."""
        if self.dims is None:
            return None
        return len(self.dims) - (self.rest is not None)

    def admits(self, type: TensorType) -> bool:
        """Whether dtype and rank agree: enough to tell which parameter an argument is for."""
        if self.dtype is not None and type.dtype is not self.dtype:
            return False
        least = self.least_rank
        if least is None:
            return True
        return type.rank >= least if self.rest is not None else type.rank == least

    def axes(self, rank: int) -> Iterator[tuple[int, Expr]]:
        """Each named dim with its axis, counted from 0, in a shape of that rank."""
        dims, rest = self.dims or (), self.rest
        for position, dim in enumerate(dims):
            if position == rest:
                continue
            after = rest is not None and position > rest
            yield (rank - (len(dims) - position) if after else position), dim


def read_type(report: Callable[[Message], None], type: TypeExpr) -> TensorPattern | str | Poison:
    """A tensor pattern, or the name of a type of known values. Faults are reported."""
    word = type.name.text
    if word in KNOWN_TYPES and not (word == "bool" and type.dims is not None):
        if type.dims is not None:
            report(type_has_no_dims(type.span, word, "is not a tensor and has no dims"))
            return POISON
        return word
    dtype = next((d for d in DType if d.value == word), None)
    if dtype is None and word != ANY_TENSOR:
        known = [*(d.value for d in DType), ANY_TENSOR, *KNOWN_TYPES]
        suggestion = _FOREIGN.get(word.lower()) or did_you_mean(word, known)
        report(unknown_type(type.name.span, word, suggestion))
        return POISON
    if len(type.dims or ()) > MAX_RANK:
        reason = f"a tensor has at most {MAX_RANK} axes, this one has {len(type.dims or ())}"
        report(size_too_large(type.name.span, reason))
        return POISON
    pattern = TensorPattern(dtype, type.dims, type.span)
    rests = [d for d in type.dims or () if isinstance(d, Rest)]
    if len(rests) > 1:
        report(rest_twice(rests[1].span))
        return POISON
    return pattern


_FOREIGN = {
    "float32": "f32",
    "float16": "f16",
    "bfloat16": "bf16",
    "float64": "f64",
    "double": "f64",
    "half": "f16",
    "int64": "i64",
    "long": "i64",
    "int32": "i32",
    "int16": "i16",
    "int8": "i8",
    "uint8": "u8",
    "boolean": "bool",
    "string": "str",
    "integer": "int",
    "array": "tensor",
    "function": "layer",
    "module": "layer",
    "initialiser": "initializer",
    "init": "initializer",
}


@dataclass(frozen=True)
class Subject:
    """What a type is declared for: in words, where the tensor stands, and what it is bound to
    (`formal`, for the record of where sizes came from)."""

    text: str
    span: Span
    formal: str = ""


def bind_sizes(
    body: Body,
    pattern: TensorPattern,
    tensor: Tensor,
    subject: Subject,
    reserved: Container[str] = (),
) -> None:
    """Names that stand alone in the type and mean nothing yet become the sizes found; `reserved`
    ones are parameters, whose values come later."""
    if pattern.dims is None or not pattern.admits(tensor.type):
        return
    for axis, dim in pattern.axes(tensor.type.rank):
        if not isinstance(dim, Name) or dim.text == "_":
            continue
        place = (subject.formal, axis)
        if dim.text in body.bound:
            body.bound[dim.text] = (*body.bound[dim.text], place)
        if dim.text in reserved or dim.text in body.names[0] or file_number(body, dim) is not None:
            continue
        size = simplify(tensor.type.shape[axis])
        body.names[0][dim.text] = Known(size, HintName(dim.text))
        body.bound[dim.text] = (place,)
        body.sizes[dim.text] = Label(subject.span, f"`{dim.text}` is {size} here: {tensor.type}")


def file_number(body: Body, name: Name) -> Known | None:
    """A number of that name at file level, which a type then means."""
    if name.text not in body.file.entries:
        return None
    value = resolve_name(body.file, name.text, name.span, body.home)
    return value if isinstance(value, Known) and value.is_number else None


def check_tensor(body: Body, pattern: TensorPattern, value: Val, subject: Subject) -> bool:
    """Whether a value has the declared type; every fault is reported. Sizes that cannot be
    compared before a run become conditions of the graph."""
    if isinstance(value, Poison):
        return False
    if not isinstance(value, Tensor):
        body.report(not_a_tensor(subject.span, subject.text, pattern.text, describe(value)))
        return False
    places = _places(pattern, value, subject)
    if pattern.dtype is not None and value.type.dtype is not pattern.dtype:
        body.report(
            wrong_dtype_declared(
                subject.span, subject.text, pattern.text, value.type, places, str(pattern.dtype)
            )
        )
        return False
    if pattern.dims is None:
        return True
    if not pattern.admits(value.type):
        body.report(
            wrong_rank_declared(
                subject.span,
                subject.text,
                pattern.text,
                value.type,
                places,
                pattern.least_rank or 0,
                at_least=pattern.rest is not None,
            )
        )
        return False
    sizes = [
        _check_size(body, pattern, value, axis, dim, subject)
        for axis, dim in pattern.axes(value.type.rank)
    ]
    return all(sizes)


def _places(pattern: TensorPattern, value: Tensor, subject: Subject) -> tuple[Label, ...]:
    places = []
    if value.made != subject.span:
        places.append(Label(value.made, f"made here: {value.type}"))
    if pattern.span.source is not subject.span.source or pattern.span != subject.span:
        places.append(Label(pattern.span, "declared here"))
    return tuple(places)


def _check_size(
    body: Body, pattern: TensorPattern, value: Tensor, axis: int, dim: Expr, subject: Subject
) -> bool:
    if isinstance(dim, Name) and dim.text == "_":
        return True
    expected = evaluate_size(body, dim)
    if expected is None:
        return False
    found = value.type.shape[axis]
    same = equal(found, expected)
    if same is None and body.home is not None:
        assume(body, Dim.of(found), "==", Dim.of(expected), subject.span)
    if same is not False:
        return True
    text = " ".join(dim.span.text.split())
    shown = str(expected) if text == str(expected) else f"{expected} (`{text}`)"
    places = _places(pattern, value, subject)
    if isinstance(dim, Name) and dim.text in body.sizes:
        label = body.sizes[dim.text]
        if label.span != subject.span:
            places = (label, *places)
    body.report(wrong_size_declared(subject.span, subject.text, value.type, places, axis, shown))
    return False


def assume(body: Body, left: Dim, relation: str, right: Dim, span: Span) -> None:
    """Keeps a promise about sizes, to be checked at run time."""
    assert body.home is not None
    body.home.root.builder.assume(left, relation, right, span)


def evaluate_size(body: Body, dim: Expr) -> int | Dim | None:
    """A dim of a type as a size; None where it is none, which is reported."""
    value = body.evaluate(dim)
    if isinstance(value, Poison):
        return None
    size = whole(value) if isinstance(value, Known) else None
    if size is None or (isinstance(size, int) and size < 1):
        if isinstance(dim, Name):
            body.report(size_bound_elsewhere(dim.span, dim.text, describe(value)))
        else:
            body.report(not_a_size(dim.span, describe(value)))
        return None
    return size


def evaluate_shape(body: Body, dims: Sequence[Expr]) -> tuple[int | Dim, ...] | None:
    """Dims of a type as sizes; None where one is none, which is reported."""
    sizes = [evaluate_size(body, dim) for dim in dims]
    known = tuple(size for size in sizes if size is not None)
    return known if len(known) == len(sizes) else None
