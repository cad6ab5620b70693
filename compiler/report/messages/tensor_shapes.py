"""What goes wrong between the shapes of tensors: broadcasting, axes, reshaping, joining."""

from __future__ import annotations

from compiler.report.diagnostics import Label, Text, message
from compiler.report.source import Span
from compiler.types.tensor import TensorType


@message(
    "W0375",
    bad=(
        "model M() {\n    input x: f32[batch, 3, 8]\n    input gain: f32[batch, 3]\n"
        "    output y = x * gain\n}\n"
    ),
    good=(
        "model M() {\n    input x: f32[batch, 3, 8]\n    input gain: f32[batch, 3]\n"
        "    output y = x * gain[:, :, none]\n}\n"
    ),
)
def shapes_do_not_broadcast(
    span: Span | None,
    left: TensorType,
    right: TensorType,
    axis: int,  # from the end, below 0
    places: tuple[Label, ...] = (),
) -> Text:
    """Two tensors meet element by element, and their shapes do not fit.

    Shapes are compared from the last axis to the first. Two sizes fit when they are equal or
    one of them is 1; a missing axis counts as 1. `x[:, none]` adds an axis of size 1, `reshape`
    and `transpose` bring axes into place.
    """
    where = "the last axis" if axis == -1 else f"axis {axis}"
    sizes = [tensor.shape[axis] for tensor in (left, right)]
    short, long = sorted((left, right), key=lambda t: t.rank)
    if short.rank < long.rank and short.shape == long.shape[: short.rank]:
        items = [":"] * short.rank + ["none"] * (long.rank - short.rank)
        advice = f"`[{', '.join(items)}]` after the shorter one lines up its axes"
    else:
        advice = None
    return Text(
        "shapes do not broadcast",
        label=f"{where} is {sizes[0]} in {left} and {sizes[1]} in {right}",
        labels=places,
        help=advice,
    )


@message(
    "W0376",
    bad="model M() {\n    input x: f32[batch, 3]\n    output y = mean(x, axis=2)\n}\n",
    good="model M() {\n    input x: f32[batch, 3]\n    output y = mean(x, axis=1)\n}\n",
)
def no_such_axis(
    span: Span | None,
    op: str,
    axis: int,
    type: TensorType,
    added: int = 0,  # axes that the result has beyond the operand's
    places: tuple[Label, ...] = (),
) -> Text:
    """An axis is named that the tensor does not have.

    Axes count from 0; below 0 they count from the end, so -1 is the last.
    """
    rank = type.rank + added
    if rank == 0:
        label = f"{type} has no axes"
    else:
        axes = "axis 0, or -1" if rank == 1 else f"axes 0 to {rank - 1}, or {-rank} to -1"
        owner = "the result" if added else str(type)
        label = f"{owner} has {axes}"
    return Text(f"`{op}` has no axis {axis} to act on", label=label, labels=places)


@message(
    "W0377",
    bad="model M() {\n    input x: f32[batch, 3, 4]\n    output y = sum(x, axis=[2, -1])\n}\n",
    good="model M() {\n    input x: f32[batch, 3, 4]\n    output y = sum(x, axis=[1, -1])\n}\n",
)
def repeated_axis(span: Span | None, op: str, axis: int, type: TensorType) -> Text:
    """One axis is named twice, perhaps once from the front and once from the end."""
    return Text(
        f"`{op}` is given axis {axis} twice",
        label=f"in {type}, axis {axis} is also {axis - type.rank}",
    )


@message(
    "W0378",
    bad="model M() {\n    input x: f32[batch, 12]\n    output y = x -> reshape([batch, 5, 2])\n}\n",
    good=(
        "model M() {\n    input x: f32[batch, 12]\n    output y = x -> reshape([batch, 6, 2])\n}\n"
    ),
)
def elements_differ(
    span: Span | None,
    type: TensorType,
    target: str,
    elements: str,  # of the target
    places: tuple[Label, ...] = (),
) -> Text:
    """A tensor is reshaped to a shape that holds more or fewer elements than it has.

    The product of the sizes must be provably the same. One `...` in the shape keeps leading
    axes, one `-1` is computed from the rest.
    """
    return Text(
        "the new shape holds another number of elements",
        label=f"{target} holds {elements}, {type} has {type.size}",
        labels=places,
    )


@message(
    "W0379",
    bad="model M() {\n    input x: f32[batch, 10]\n    output y = x -> reshape([..., 4, 3])\n}\n",
    good="model M() {\n    input x: f32[batch, 12]\n    output y = x -> reshape([..., 4, 3])\n}\n",
)
def no_whole_rest(
    span: Span | None, type: TensorType, target: str, reason: str, places: tuple[Label, ...] = ()
) -> Text:
    """`...` or `-1` in a shape stands for what is left, and what is left is not whole.

    `-1` is the number of elements divided by the other sizes. `...` keeps as many leading axes
    as it can so that the sizes after it share out the axes that are left.
    """
    return Text(f"{type} cannot be reshaped to {target}", label=reason, labels=places)


@message(
    "W0380",
    bad="model M() {\n    input x: f32[batch, 8]\n    output y = x -> resize(scale=2)\n}\n",
    good="model M() {\n    input x: f32[batch, 3, 8, 8]\n    output y = x -> resize(scale=2)\n}\n",
)
def wrong_rank(
    span: Span | None,
    op: str,
    needed: str,  # "a tensor of at least two axes"
    type: TensorType,
    places: tuple[Label, ...] = (),
) -> Text:
    """An operation needs a tensor with another number of axes."""
    return Text(f"`{op}` needs {needed}", label=f"this is {type}", labels=places)


@message(
    "W0381",
    bad=(
        "model M() {\n    input x: f32[batch, 3, 8]\n    input y: f32[batch, 4, 9]\n"
        "    output z = concat([x, y], axis=1)\n}\n"
    ),
    good=(
        "model M() {\n    input x: f32[batch, 3, 8]\n    input y: f32[batch, 4, 8]\n"
        "    output z = concat([x, y], axis=1)\n}\n"
    ),
)
def cannot_join(
    span: Span | None,
    op: str,
    first: TensorType,
    other: TensorType,
    axis: int | None,  # None: the ranks differ
    places: tuple[Label, ...] = (),
) -> Text:
    """Tensors are joined whose shapes differ where they must be equal.

    `concat` needs equal sizes on every axis but the one it joins along; `stack` needs equal
    shapes.
    """
    if axis is None:
        label = f"{first} has {first.rank} axes, {other} has {other.rank}"
    else:
        left, right = first.shape[axis], other.shape[axis]
        label = f"axis {axis} is {left} in {first} and {right} in {other}"
    return Text(f"`{op}` cannot join these tensors", label=label, labels=places)


@message(
    "W0389",
    bad="model M() {\n    input x: f32[batch, 3]\n    output y = x -> squeeze(1)\n}\n",
    good="model M() {\n    input x: f32[batch, 1]\n    output y = x -> squeeze(1)\n}\n",
)
def not_size_one(
    span: Span | None, axis: int, type: TensorType, places: tuple[Label, ...] = ()
) -> Text:
    """`squeeze` drops an axis, and only an axis of size 1 can go."""
    return Text(
        f"axis {axis} is not of size 1",
        label=f"it is {type.shape[axis]} in {type}",
        labels=places,
        help=f"to take one of its entries, write `[{':, ' * (axis % type.rank)}0]`",
    )


@message(
    "W0390",
    bad="model M() {\n    input x: f32[batch, 3]\n    output y = x -> expand([batch, 6])\n}\n",
    good="model M() {\n    input x: f32[batch, 1]\n    output y = x -> expand([batch, 6])\n}\n",
)
def cannot_expand(
    span: Span | None, type: TensorType, target: str, reason: str, places: tuple[Label, ...] = ()
) -> Text:
    """`expand` repeats axes of size 1, and leaves every other axis as it is."""
    return Text(f"{type} cannot be expanded to {target}", label=reason, labels=places)
