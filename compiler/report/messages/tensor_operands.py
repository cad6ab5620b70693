"""What goes wrong with the operands of tensor functions: indices, dtypes, sizes and options."""

from __future__ import annotations

from compiler.report.diagnostics import Label, Text, message
from compiler.report.source import Span
from compiler.types.tensor import DType, TensorType


@message(
    "W0382",
    bad="model M() {\n    input x: i64[batch, 3]\n    output y = mean(x, axis=1)\n}\n",
    good="model M() {\n    input x: i64[batch, 3]\n    output y = mean(cast(x, f32), axis=1)\n}\n",
)
def wrong_dtype(
    span: Span | None,
    op: str,
    needed: str,  # "a floating-point tensor"
    type: TensorType,
    places: tuple[Label, ...] = (),
    hint: str | None = None,
) -> Text:
    """An operation is applied to elements of a kind that it has no meaning for.

    `cast(x, f32)` makes a floating-point tensor of integers, `x != 0` a boolean tensor.
    """
    return Text(f"`{op}` needs {needed}", label=f"this is {type}", labels=places, help=hint)


@message(
    "W0383",
    bad=(
        "model M() {\n    input x: f32[batch, 10]\n    a, b = split(x, [4, 5], axis=1)\n"
        "    output y = a\n}\n"
    ),
    good=(
        "model M() {\n    input x: f32[batch, 10]\n    a, b = split(x, [4, 6], axis=1)\n"
        "    output y = a\n}\n"
    ),
)
def uneven_split(
    span: Span | None,
    op: str,
    axis: int,
    type: TensorType,
    reason: str,
    places: tuple[Label, ...] = (),
) -> Text:
    """An axis is cut into pieces that do not add up to it."""
    return Text(f"`{op}` cannot cut axis {axis} of {type} like this", label=reason, labels=places)


@message(
    "W0384",
    bad="model M() {\n    input x: f32[batch, 3]\n    output y = x[:, 3]\n}\n",
    good="model M() {\n    input x: f32[batch, 3]\n    output y = x[:, 2]\n}\n",
)
def index_outside(
    span: Span | None, index: str, axis: int, type: TensorType, places: tuple[Label, ...] = ()
) -> Text:
    """An index points beyond the end of an axis.

    The first entry is 0; below 0, indices count from the end.
    """
    return Text(
        f"index {index} is outside axis {axis}",
        label=f"{type} has {type.shape[axis]} entries there",
        labels=places,
    )


@message(
    "W0385",
    bad="model M() {\n    input x: f32[batch, 3]\n    output y = x[:, 0, 0]\n}\n",
    good="model M() {\n    input x: f32[batch, 3]\n    output y = x[:, 0]\n}\n",
)
def too_many_indices(
    span: Span | None, count: int, type: TensorType, places: tuple[Label, ...] = ()
) -> Text:
    """A subscript has more items than the tensor has axes."""
    return Text(f"{count} indices for {type.rank} axes", label=f"this is {type}", labels=places)


@message(
    "W0386",
    bad="model M() {\n    input x: f32[batch, 8]\n    output y = x[:, 5:5]\n}\n",
    good="model M() {\n    input x: f32[batch, 8]\n    output y = x[:, 5:6]\n}\n",
)
def empty_slice(
    span: Span | None, text: str, axis: int, type: TensorType, places: tuple[Label, ...] = ()
) -> Text:
    """A slice holds nothing: it ends before it begins, or begins behind the end of the axis."""
    return Text(
        f"`{text}` takes nothing from axis {axis}",
        label=f"axis {axis} is {type.shape[axis]} in {type}",
        labels=places,
    )


@message(
    "W0387",
    bad=(
        "model M() {\n    input a: f32[batch, 3, 4]\n    input b: f32[batch, 5, 6]\n"
        "    output y = a @ b\n}\n"
    ),
    good=(
        "model M() {\n    input a: f32[batch, 3, 4]\n    input b: f32[batch, 4, 6]\n"
        "    output y = a @ b\n}\n"
    ),
)
def sizes_disagree(
    span: Span | None, op: str, reason: str, places: tuple[Label, ...] = (), hint: str | None = None
) -> Text:
    """Two sizes that an operation pairs are not the same: the inner axes of a matrix product,
    the axes that share a letter in `einsum`, an update and the place it is put."""
    return Text(f"the sizes in `{op}` do not match", label=reason, labels=places, help=hint)


@message(
    "W0388",
    bad=(
        "model M() {\n    input a: f32[n, 3]\n    input b: f32[n, 4]\n"
        '    output y = einsum([a, b], "ni,nj->nik")\n}\n'
    ),
    good=(
        "model M() {\n    input a: f32[n, 3]\n    input b: f32[n, 4]\n"
        '    output y = einsum([a, b], "ni,nj->nij")\n}\n'
    ),
)
def bad_equation(
    span: Span | None, equation: str, reason: str, places: tuple[Label, ...] = ()
) -> Text:
    """An `einsum` equation that does not describe its operands.

    One group of letters per operand, one letter per axis, separated by commas; after `->` the
    axes of the result. Letters that the result leaves out are summed over; `...` stands for
    the axes that are not named.
    """
    return Text(f'"{equation}" does not describe these operands', label=reason, labels=places)


@message(
    "W0391",
    bad=(
        "model M() {\n    input x: f32[batch, t]\n    parts = unbind(x, axis=1)\n"
        "    output y = parts[0]\n}\n"
    ),
    good=(
        "model M() {\n    input x: f32[batch, 3]\n    parts = unbind(x, axis=1)\n"
        "    output y = parts[0]\n}\n"
    ),
)
def size_unknown(
    span: Span | None,
    op: str,
    what: str,  # "the size of axis 1"
    found: str,
    places: tuple[Label, ...] = (),
) -> Text:
    """A size decides how many tensors there are or what they hold, so it must be a number that
    is known when compiling."""
    return Text(
        f"`{op}` needs a known number for {what}",
        label=f"`{found}` is known only when the network runs",
        labels=places,
    )


@message(
    "W1670",
    bad=(
        "model M() {\n    input x: f32[batch, 50_000]\n    parts = unbind(x, axis=1)\n"
        "    output y = parts[0]\n}\n"
    ),
    good="model M() {\n    input x: f32[batch, 50_000]\n    output y = x[:, 0]\n}\n",
)
def too_many_results(
    span: Span | None, op: str, count: int, most: int, places: tuple[Label, ...] = ()
) -> Text:
    """A tensor would be cut into more tensors than any network needs.

    Each of them is a value of its own in the graph. An entry or a slice is read by an index; what
    is done to every entry alike is done to the tensor as a whole, or in a `scan`.
    """
    return Text(
        f"`{op}` would make {count:,} tensors",
        label=f"one call makes {most:,} at most",
        labels=places,
        help="read a part by an index (`x[:, 0]`), or go through the axis with `scan`",
    )


@message(
    "W0392",
    bad=(
        "model M() {\n    input x: f32[batch, 1, 4, 4]\n"
        '    output y = x -> pad([4, 4, 0, 0], mode="reflect")\n}\n'
    ),
    good=(
        "model M() {\n    input x: f32[batch, 1, 4, 4]\n"
        '    output y = x -> pad([3, 3, 0, 0], mode="reflect")\n}\n'
    ),
)
def bad_option(
    span: Span | None, op: str, option: str, reason: str, hint: str | None = None
) -> Text:
    """An option of a tensor function has a value that the function cannot work with."""
    return Text(f"`{option}` does not suit `{op}`", label=reason, help=hint)


@message(
    "W0396",
    bad=(
        "model M() {\n    input x: f32[8, 9, 10]\n    input i: i64[n]\n"
        "    output y = x[i, :, i]\n}\n"
    ),
    good=(
        "model M() {\n    input x: f32[8, 9, 10]\n    input i: i64[n]\n"
        "    output y = transpose(x, 1, 2)[i, i]\n}\n"
    ),
)
def indices_apart(span: Span | None, type: TensorType, places: tuple[Label, ...] = ()) -> Text:
    """Two tensors index a third, and a slice is between them.

    Tensors that index neighbouring axes pick entries together. With a slice between them the
    field's libraries move axes to the front, which few people mean: transpose first, or index
    in two steps.
    """
    return Text(
        "tensors index axes that are not neighbours",
        label=f"between them is another axis of {type}",
        labels=places,
    )


@message(
    "W0397",
    bad=(
        "model M() {\n    input a: f32[batch, 4]\n    input b: f16[4, 5]\n    output y = a @ b\n}\n"
    ),
    good=(
        "model M() {\n    input a: f32[batch, 4]\n    input b: f16[4, 5]\n"
        "    output y = a @ cast(b, f32)\n}\n"
    ),
)
def dtypes_differ(
    span: Span | None, op: str, left: TensorType, right: TensorType, places: tuple[Label, ...] = ()
) -> Text:
    """An operation takes tensors of one dtype only; nothing is converted silently."""
    return Text(
        f"`{op}` needs one dtype",
        label=f"{left} meets {right}",
        labels=places,
        help=f"convert one of them: `cast(…, {left.dtype})`",
    )


@message(
    "W1375",
    bad="model M() {\n    input pixel: u8[batch, 8]\n    output y = pixel + 300\n}\n",
    good="model M() {\n    input pixel: u8[batch, 8]\n    output y = cast(pixel, i32) + 300\n}\n",
)
def number_not_held(span: Span | None, value: float, dtype: str, low: float, high: float) -> Text:
    """A number meets a tensor whose type cannot hold it.

    Next to a tensor a number takes the tensor's type: `i + 300` of `i: u8[n]` would add 44. Convert
    the tensor to a type that holds both.
    """
    held = f"{_shorten(low)} to {_shorten(high)}"
    wider = ("i32", "i64") if isinstance(value, int) else ("f32", "f64")
    fitting = (name for name in wider if DType(name).holds(value))
    found = next(fitting, "f32" if DType.F32.holds(value) else None)
    return Text(
        f"this number does not fit into {dtype}",
        label=f"is {_shorten(value)}; {dtype} holds {held}",
        help=None if found is None else f"convert the tensor first: `cast(x, {found})`",
    )


def _shorten(number: float) -> str:
    if isinstance(number, float):
        return f"{number:g}"
    return f"{number:,}" if abs(number) < 10**20 else f"{number:.3g}"


@message(
    "W1376",
    bad="model M() {\n    input i: i64[batch]\n    output y = i // 0\n}\n",
    good="model M() {\n    input i: i64[batch]\n    output y = i // 2\n}\n",
)
def zero_divisor(span: Span | None, op: str, type: str) -> Text:
    """Whole numbers are divided by 0, which has no result in any runtime.

    Floating-point numbers may be divided by 0: `x / 0` is infinite or NaN.
    """
    return Text("whole numbers are divided by 0", label=f"`{op}` of {type} has no result here")


@message(
    "W1390",
    bad="model M() {\n    input i: i64[batch]\n    output y = i ** -1\n}\n",
    good="model M() {\n    input i: i64[batch]\n    output y = cast(i, f32) ** -1\n}\n",
)
def number_outside(span: Span | None, op: str, type: str, value: float, expected: str) -> Text:
    """A number that is known when compiling lies outside of what an operand may hold: a negative
    power of whole numbers, whose result is none, or a probability above 1."""
    whole = type.startswith(("i", "u"))
    return Text(
        f"`{op}` of {type} does not take this number",
        label=f"is {value:g}, and must be {expected}",
        help="convert the tensor first: `cast(x, f32)`" if whole else None,
    )
