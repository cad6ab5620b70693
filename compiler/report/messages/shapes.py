"""What goes wrong with the types of tensors: ranks, sizes and dtypes that were declared."""

from __future__ import annotations

from compiler.report.diagnostics import Label, Text, message
from compiler.report.source import Span
from compiler.types.tensor import TensorType


@message(
    "W0301",
    bad=(
        "block f(x: f32[n, c, h, w]) { return x -> relu }\n"
        "model M() {\n    input x: f32[batch, 8]\n    output y = x -> f\n}\n"
    ),
    good=(
        "block f(x: f32[..., c]) { return x -> relu }\n"
        "model M() {\n    input x: f32[batch, 8]\n    output y = x -> f\n}\n"
    ),
)
def wrong_rank_declared(
    span: Span | None,
    subject: str,
    declared: str,
    found: TensorType,
    places: tuple[Label, ...],
    axes: int,
    *,
    at_least: bool = False,
) -> Text:
    """A tensor has another number of axes than its declared type.

    `...` in a type stands for any leading axes: `f32[..., d]`.
    """
    count = "one axis" if axes == 1 else f"{axes or 'no'} axes"
    return Text(
        f"{subject} must have {'at least ' if at_least else ''}{count}",
        label=f"this is {found}, declared is {declared}",
        labels=places,
    )


@message(
    "W0302",
    bad=(
        "model M(classes: int = 10) {\n    input x: f32[batch, 8]\n"
        "    output y: f32[batch, classes] = x -> dense(12)\n}\n"
    ),
    good=(
        "model M(classes: int = 10) {\n    input x: f32[batch, 8]\n"
        "    output y: f32[batch, classes] = x -> dense(classes)\n}\n"
    ),
)
def wrong_size_declared(
    span: Span | None,
    subject: str,
    found: TensorType,
    places: tuple[Label, ...],
    axis: int,
    expected: str,
) -> Text:
    """A size of a tensor is not the one that its declared type asks for.

    In a signature, the first argument that has a name in its type binds it; the others must have
    the same size there.
    """
    return Text(
        f"{subject} has another size than declared",
        label=f"axis {axis} of {found} is {found.shape[axis]}, not {expected}",
        labels=places,
    )


@message(
    "W0303",
    bad=(
        "block f(x: f32[n, d]) { return x -> relu }\n"
        "model M() {\n    input x: i64[batch, 8]\n    output y = x -> f\n}\n"
    ),
    good=(
        "block f(x: f32[n, d]) { return x -> relu }\n"
        "model M() {\n    input x: i64[batch, 8]\n    output y = cast(x, f32) -> f\n}\n"
    ),
)
def wrong_dtype_declared(
    span: Span | None,
    subject: str,
    declared: str,
    found: TensorType,
    places: tuple[Label, ...],
    dtype: str,
) -> Text:
    """A tensor has another element type than the one declared. `cast(x, f32)` converts."""
    return Text(
        f"{subject} must hold {dtype}",
        label=f"this is {found}, declared is {declared}",
        labels=places,
        help=f"convert it: `cast(…, {dtype})`",
    )


@message(
    "W0304",
    bad="model M() {\n    input x: f32[batch, 8]\n    n: f32[8] = 3\n    output y = x * n\n}\n",
    good="model M() {\n    input x: f32[batch, 8]\n    n: int = 3\n    output y = x * n\n}\n",
)
def not_a_tensor(
    span: Span | None, subject: str, declared: str, found: str, hint: str | None = None
) -> Text:
    """A type of tensors was declared for something that is none."""
    if declared == "a tensor":
        title = f"{subject} must be a tensor"
    else:
        title = f"{subject} is declared {declared}"
    return Text(title, label=f"this is {found}", help=hint)


@message(
    "W0305",
    bad="model M() {\n    input x: f32[batch, 2.5]\n    output y = x -> relu\n}\n",
    good="model M() {\n    input x: f32[batch, 2]\n    output y = x -> relu\n}\n",
)
def not_a_size(span: Span | None, found: str) -> Text:
    """A dimension in a type is not a size: sizes are whole numbers of at least one, names of sizes,
    and arithmetic on them."""
    return Text("this is not a size", label=f"this is {found}")


@message(
    "W0306",
    bad="model M() {\n    input x: f32[batch, 2 * t]\n    output y = x -> relu\n}\n",
    good="model M() {\n    input x: f32[batch, t]\n    output y = x -> relu\n}\n",
)
def size_never_named(span: Span | None, name: str) -> Text:
    """A size is only inside arithmetic, so it cannot be read off the shape of an input.

    A type may say `2 * t` when `t` itself is the size of an axis of some input, or a parameter.
    """
    return Text(
        f"the size `{name}` is never the size of an axis",
        label="it is only inside arithmetic",
        help=f"name the axis itself, or make `{name}` a parameter of the item",
    )


@message(
    "W0307",
    bad="block f(x: f32[..., c, ...]) { return x -> relu }\n",
    good="block f(x: f32[..., c]) { return x -> relu }\n",
)
def rest_twice(span: Span | None) -> Text:
    """`...` stands for all axes that are not named, so a type has room for one."""
    return Text("`...` appears twice in one type")


@message(
    "W0308",
    bad=(
        "model M() {\n    input x: f32[batch, t, 8]\n    param p: f32[t, 8] = zeros\n"
        "    output y = x + p\n}\n"
    ),
    good=(
        "model M(t: int = 16) {\n    input x: f32[batch, t, 8]\n    param p: f32[t, 8] = zeros\n"
        "    output y = x + p\n}\n"
    ),
)
def shape_not_settled(
    span: Span | None,
    what: str,
    found: str,
    hint: str | None = None,
    places: tuple[Label, ...] = (),
) -> Text:
    """The shape of a weight or the rank of an input is open; it has to be settled when compiling.

    The sizes of weights are stored in files, so they are numbers: `batch`, or the length of a
    text, cannot be among them.
    """
    return Text(f"{what} must have a known shape", label=found, labels=places, help=hint)


@message(
    "W0309",
    bad=(
        'block f(x: f32[n, mode], mode: str = "a") { return if mode == "a" then x else -x }\n'
        "model M() {\n    input x: f32[batch, 8]\n    output y = x -> f\n}\n"
    ),
    good=(
        'block f(x: f32[n, d], mode: str = "a") { return if mode == "a" then x else -x }\n'
        "model M() {\n    input x: f32[batch, 8]\n    output y = x -> f\n}\n"
    ),
)
def size_bound_elsewhere(
    span: Span | None, name: str, found: str, definition: Span | None = None
) -> Text:
    """A name in a type clashes with something that is not a size."""
    return Text(
        f"`{name}` is not a size",
        label=f"`{name}` is {found}",
        labels=(Label(definition, "declared here"),) if definition is not None else (),
    )


@message(
    "W0310",
    bad=(
        "model M() {\n    input x: f32[batch, 8]\n    param p: i64[8] = zeros\n"
        "    output y = x + p\n}\n"
    ),
    good=(
        "model M() {\n    input x: f32[batch, 8]\n    buffer p: i64[8] = zeros\n"
        "    output y = x + p\n}\n"
    ),
)
def weight_not_trainable(span: Span | None, dtype: str) -> Text:
    """A `param` holds integers or booleans, which no optimizer can change in small steps.

    Numbers that are stored with the weights and not trained are a `buffer`.
    """
    return Text(
        "a trained weight must be a floating-point tensor",
        label=f"{dtype} holds none",
        help="use f32; numbers that are not trained are a `buffer`",
    )
