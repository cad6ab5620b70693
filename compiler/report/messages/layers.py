"""What goes wrong in layers with channels and windows: convolution, pooling, normalisation."""

from __future__ import annotations

from compiler.report.diagnostics import Label, Text, message
from compiler.report.messages.wording import advise_share
from compiler.report.source import Span


@message(
    "W0312",
    bad=(
        "model M() {\n    input image: f32[batch, 1, 28, 28]\n"
        "    x = image -> conv(16, kernel=3)\n"
        "    output y = x -> conv(32, kernel=3, groups=3)\n}\n"
    ),
    good=(
        "model M() {\n    input image: f32[batch, 1, 28, 28]\n"
        "    x = image -> conv(16, kernel=3)\n"
        "    output y = x -> conv(32, kernel=3, groups=4)\n}\n"
    ),
)
def channels_do_not_match(
    span: Span | None,
    groups: int,
    channels: int,
    made: Label | None = None,  # where the input was made; None: output channels are meant
) -> Text:
    """Channels are divided into groups of equal size, so `groups` must divide their number.

    A convolution with `groups` groups divides its input and its output channels; `group_norm`
    divides the channels of its input. `groups` equal to the input channels is a depthwise
    convolution.
    """
    if made is None:
        label = f"`groups={groups}` must divide the output channels, {channels}"
    else:
        label = f"`groups={groups}` must divide the input channels"
    labels = () if made is None else (Label(made.span, f"which are {channels} here: {made.text}"),)
    divisors = [str(d) for d in range(1, channels + 1) if channels % d == 0]
    *first, last = divisors
    text = f"{', '.join(first)} and {last}" if first else last
    return Text(
        "channels do not match",
        label=label,
        labels=labels,
        help=f"{channels} is divisible by {text}",
    )


@message(
    "W0353",
    bad="model M() {\n    input x: f32[batch, 8]\n    output y = x -> dropout(50)\n}\n",
    good="model M() {\n    input x: f32[batch, 8]\n    output y = x -> dropout(50%)\n}\n",
)
def option_out_of_range(
    span: Span | None,
    op: str,
    option: str,
    value: object,
    needed: str,  # "at least 1"
    hint: str | None = None,
    share: bool = False,  # whether it may be written as a percentage
) -> Text:
    """A number given to a layer lies outside what the layer has a meaning for.

    Sizes come from the input: `batch_norm`, `layer_norm` and `instance_norm` take no number of
    channels. Rates are between 0 and 1; `50%` is 0.5.
    """
    shown = f"{value:g}" if isinstance(value, float) else str(value)
    return Text(
        f"`{option}` of `{op}` is out of range",
        label=f"is {shown} and must be {needed}",
        help=advise_share(span) if share else hint,
    )


@message(
    "W0354",
    bad=(
        "model M() {\n    input image: f32[batch, 1, h, w]\n"
        "    output y = image -> conv(8, kernel=3) -> flatten -> dense(10)\n}\n"
    ),
    good=(
        "model M() {\n    input image: f32[batch, 1, h, w]\n"
        "    output y = image -> conv(8, kernel=3) -> global_avg_pool -> dense(10)\n}\n"
    ),
)
def weight_shape_unknown(
    span: Span | None,
    op: str,
    what: str,  # "the last axis", "the channels, axis 1"
    size: str,
    made: Label,
) -> Text:
    """A layer's weights would have a size that is known only when the network runs.

    Weights are made before anything runs. Pool over the axes whose size may vary
    (`global_avg_pool`), or give them numbers in the type of the input.
    """
    if what.startswith("the channels"):
        advice = "give the channels a number in the input's type, e.g. `f32[batch, 3, h, w]`"
    else:
        advice = "pool over axes that vary (`global_avg_pool`), or give the input's type numbers"
    return Text(
        f"the weights of `{op}` would have no fixed shape",
        label=f"needs a known size of {what}",
        labels=(Label(made.span, f"it is {size} here: {made.text}"),),
        help=advice,
    )


@message(
    "W0355",
    bad=(
        "model M() {\n    input x: f32[batch, 8]\n    param w: f32[8, 4] = normal(0.02)\n"
        "    output y = x -> dense(4, weight=w, bias=false)\n}\n"
    ),
    good=(
        "model M() {\n    input x: f32[batch, 8]\n    param w: f32[4, 8] = normal(0.02)\n"
        "    output y = x -> dense(4, weight=w, bias=false)\n}\n"
    ),
)
def weight_does_not_fit(
    span: Span | None, op: str, weight: str, found: str, wanted: str, made: Label
) -> Text:
    """A weight is given to a layer by keyword, and it does not have the shape that the layer
    needs.

    `dense(n)` on `[..., d]` needs a weight `[n, d]`, `embedding(n, d)` has `[n, d]`: an output
    layer tied to an embedding is `dense(n, weight=embed.weight, bias=false)`.
    """
    return Text(
        f"the `{weight}` given to `{op}` does not fit",
        label=f"is {found}, and {wanted} is needed",
        labels=(Label(made.span, f"for the input {made.text}"),),
    )


@message(
    "W0357",
    bad="model M() {\n    input x: f32[batch, 7]\n    output y = x -> glu(axis=-1)\n}\n",
    good="model M() {\n    input x: f32[batch, 8]\n    output y = x -> glu(axis=-1)\n}\n",
)
def halves_differ(span: Span | None, axis: int, size: str, made: Label) -> Text:
    """`glu` cuts an axis into two halves, so its size must be even."""
    return Text(
        "an odd axis has no halves",
        label=f"cuts axis {axis} into two halves",
        labels=(Label(made.span, f"which is {size} here: {made.text}"),),
    )


@message(
    "W0359",
    bad=(
        "model M() {\n    input image: f32[batch, 8, 1, 1]\n"
        "    output y = image -> instance_norm\n}\n"
    ),
    good=(
        "model M() {\n    input image: f32[batch, 8, 1, 1]\n"
        "    output y = image -> group_norm(2)\n}\n"
    ),
)
def no_variance(span: Span | None, op: str, made: Label, what: str, advice: str) -> Text:
    """`instance_norm` takes mean and variance over space, `group_norm` over a group of channels
    too; over a single entry every result would be 0, and PyTorch refuses it."""
    return Text(
        "one entry has no variance",
        label=f"`{op}` needs more than one {what}",
        labels=(made,),
        help=advice,
    )
