"""Convolution and pooling: layouts, windows that do not fit, padding, sizes that are not known."""

from __future__ import annotations

from compiler.report.diagnostics import Label, Text, message
from compiler.report.source import Span


@message(
    "W0350",
    bad="model M() {\n    input x: f32[batch, 64]\n    output y = x -> conv(8, kernel=3)\n}\n",
    good="model M() {\n    input x: f32[batch, 1, 64]\n    output y = x -> conv(8, kernel=3)\n}\n",
)
def wrong_layout(
    span: Span | None,
    op: str,
    needed: str,  # "[batch, channels, length], …"
    made: Label,
    hint: str | None = None,
) -> Text:
    """A layer reads the axes of its input as batch, channels and then space; this input has
    another number of axes.

    `conv`, the poolings and `instance_norm` take `[batch, channels, length]`,
    `[batch, channels, height, width]` or `[batch, channels, depth, height, width]`.
    """
    return Text(
        f"`{op}` cannot read the axes of its input",
        label=f"takes {needed}",
        labels=(made,),
        help=hint,
    )


@message(
    "W0351",
    bad=(
        "model M() {\n    input image: f32[batch, 1, 8, 8]\n"
        "    output y = image -> max_pool(4) -> conv(8, kernel=5)\n}\n"
    ),
    good=(
        "model M() {\n    input image: f32[batch, 1, 8, 8]\n"
        "    output y = image -> max_pool(4) -> conv(8, kernel=5, padding=2)\n}\n"
    ),
)
def window_too_large(
    span: Span | None,
    span_size: int,
    kernel: int,
    dilation: int,
    axis: int,
    size: str,
    padding: str,  # both sides together
    made: Label,
) -> Text:
    """A window of a convolution or pooling is larger than what it slides over.

    A kernel of size k with dilation d spans d * (k - 1) + 1 entries; along each axis the input
    with its padding must have as many.
    """
    label = f"`kernel={kernel}` needs {span_size} along axis {axis}"
    if dilation != 1:
        spans = f"`kernel={kernel}` with `dilation={dilation}` spans {span_size} entries"
        label = f"{spans} and needs them along axis {axis}"
    padded = "" if padding == "0" else f", with {padding} of padding"
    return Text(
        "the window is larger than its input",
        label=label,
        labels=(Label(made.span, f"which is {size}{padded}: {made.text}"),),
        help="pad the input (`padding=`), or take a smaller kernel or fewer strides before it",
    )


@message(
    "W0352",
    bad=(
        "model M() {\n    input image: f32[batch, 1, 8, 8]\n"
        "    output y = image -> conv(8, kernel=[3, 3, 3])\n}\n"
    ),
    good=(
        "model M() {\n    input image: f32[batch, 1, 8, 8]\n"
        "    output y = image -> conv(8, kernel=[3, 5])\n}\n"
    ),
)
def wrong_count(
    span: Span | None, option: str, values: tuple[int, ...], axes: int, made: Label
) -> Text:
    """A list gives one number for each axis of space, and its length is not their number."""
    wanted = "one number" if axes == 1 else f"{axes} numbers"
    found = f"{len(values)} number" + ("" if len(values) == 1 else "s")
    return Text(
        f"`{option}` has the wrong length",
        label=f"{found} where {wanted} would do, one for each axis after the channels",
        labels=(made,),
        help=f"`{option}={values[0] if values else 1}` counts for every axis",
    )


@message(
    "W0356",
    bad=(
        "model M() {\n    input image: f32[batch, 1, h, w]\n"
        '    output y = image -> conv(8, kernel=2, stride=4, padding="same")\n}\n'
    ),
    good=(
        "model M() {\n    input image: f32[batch, 1, h, w]\n"
        '    output y = image -> conv(8, kernel=4, stride=4, padding="same")\n}\n'
    ),
)
def padding_undecided(
    span: Span | None,
    what: str,  # 'padding="same"', "ceil_mode=true"
    rule: str,  # "kernel < stride"
    axis: int,
    size: str,
    made: Label,
) -> Text:
    """`padding="same"` with a stride pads by an amount that depends on the size of the input,
    and here the rule has no closed form for a size that is not known.

    That is so when the kernel spans fewer entries than the stride.
    """
    return Text(
        f"`{what}` cannot be decided for this size",
        label=f"{rule} needs a known size of axis {axis}",
        labels=(Label(made.span, f"it is {size} here"),),
        help="give the padding as numbers, or the input's type numbers",
    )


@message(
    "W0358",
    bad=(
        "model M() {\n    input image: f32[batch, 1, 1, 1]\n"
        "    output y = image -> conv_transpose(8, kernel=2, padding=1)\n}\n"
    ),
    good=(
        "model M() {\n    input image: f32[batch, 1, 1, 1]\n"
        "    output y = image -> conv_transpose(8, kernel=4, padding=1)\n}\n"
    ),
)
def nothing_left(span: Span | None, option: str, axis: int, size: str, made: Label) -> Text:
    """The padding of a transposed convolution or of a pooling cuts off the whole output."""
    return Text(
        "nothing is left of the output",
        label=f"with this `{option}`, axis {axis} would have size {size}",
        labels=(Label(made.span, f"the input is {made.text}"),),
    )
