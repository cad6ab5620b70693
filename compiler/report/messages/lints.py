"""Warnings: what is allowed and most likely not meant."""

from __future__ import annotations

from compiler.report.diagnostics import Label, Text, lint
from compiler.report.source import Span


@lint(
    "W1001",
    bad="model M(width: int = 8) {\n    input x: f32[batch, 8]\n    output y = x -> dense(16)\n}\n",
    good=(
        "model M(width: int = 8) {\n    input x: f32[batch, 8]\n"
        "    output y = x -> dense(width)\n}\n"
    ),
)
def unused_parameter(span: Span | None, name: str, owner: str) -> Text:
    """A parameter of an item is never read."""
    return Text(f"`{name}` is never used", label=f"nothing in `{owner}` reads it")


@lint(
    "W1002",
    bad=(
        "model M() {\n    input x: f32[batch, 8]\n    h = x -> dense(8)\n"
        "    output y = x -> relu\n}\n"
    ),
    good=(
        "model M() {\n    input x: f32[batch, 8]\n    h = x -> dense(8)\n"
        "    output y = h -> relu\n}\n"
    ),
)
def unused_binding(span: Span | None, name: str) -> Text:
    """A value is bound to a name that nothing reads afterwards."""
    return Text(
        f"`{name}` is never used",
        label="nothing reads it after this",
        help="remove it, or call it `_` if it only fills a place",
    )


@lint(
    "W1003",
    bad=(
        "model M() {\n    input x: f32[batch, 8]\n    input label: i64[batch]\n"
        "    output loss = cross_entropy(x -> dense(10) -> softmax(axis=-1), label)\n}\n"
    ),
    good=(
        "model M() {\n    input x: f32[batch, 8]\n    input label: i64[batch]\n"
        "    output loss = cross_entropy(x -> dense(10), label)\n}\n"
    ),
)
def softmax_before_loss(span: Span | None, loss: str, function: str, place: Span | None) -> Text:
    """`cross_entropy` applies a softmax itself; one before it is applied twice.

    The network then learns slowly, because its loss is flat. Give the loss the plain scores
    (logits), and use `softmax` only where probabilities are read.
    """
    return Text(
        f"`{loss}` gets the result of `{function}`",
        label=f"`{loss}` expects plain scores and applies the function itself",
        labels=(Label(place, f"`{function}` is applied here"),) if place else (),
        help=f"leave out `{function}` before the loss",
    )


@lint(
    "W1006",
    bad=(
        "model M() {\n    input image: f32[batch, 3, 32, 32]\n"
        "    output y = image -> conv(3, 16, 3)\n}\n"
    ),
    good=(
        "model M() {\n    input image: f32[batch, 3, 32, 32]\n"
        "    output y = image -> conv(16, kernel=3)\n}\n"
    ),
)
def channels_given_twice(span: Span | None, out: int, kernel: int, stride: int) -> Text:
    """A convolution is called as in PyTorch, with the channels that come in as its first number.

    `conv(out, kernel, stride)` reads the channels that come in from its input. So `conv(3, 16, 3)`
    makes three channels with a kernel of 16 and a stride of 3. Weft warns where a kernel of 8 or
    more moves by an odd stride and leaves as many channels as came in: hardly anyone means that.
    """
    return Text(
        "this convolution reads like PyTorch's (in, out, kernel)",
        label=f"makes {out} channels, with kernel={kernel} and stride={stride}",
        help=f"channels that come in are not given: `conv({kernel}, kernel={stride})`",
    )


@lint(
    "W1004",
    bad=(
        "block f(x) {\n    return x -> relu\n    return x -> tanh\n}\n"
        "model M() {\n    input x: f32[batch, 8]\n    output y = x -> f\n}\n"
    ),
    good=(
        "block f(x) {\n    return x -> relu\n}\n"
        "model M() {\n    input x: f32[batch, 8]\n    output y = x -> f\n}\n"
    ),
)
def never_reached(span: Span | None, after: Span) -> Text:
    """Statements come after a `return` and are never reached."""
    return Text("this is never reached", labels=(Label(after, "the body ends here"),))


@lint(
    "W1005",
    bad=(
        "model M() {\n    input x: f32[batch, 8]\n    input z: f32[batch, 8]\n"
        "    output y = x -> relu\n}\n"
    ),
    good=(
        "model M() {\n    input x: f32[batch, 8]\n    input z: f32[batch, 8]\n"
        "    output y = x + z\n}\n"
    ),
)
def unused_input(span: Span | None, name: str) -> Text:
    """An input of a model is never read."""
    return Text(f"the input `{name}` is never used")


@lint(
    "W1370",
    bad=(
        "block f(x: f32[n, d]) {\n    return x -> dense(d) as q\n}\n"
        "model M() {\n    input x: f32[batch, 8]\n    output y = x + f(x) as attn\n}\n"
    ),
    good=(
        "block f(x: f32[n, d]) {\n    return x -> dense(d) as q\n}\n"
        "model M() {\n    input x: f32[batch, 8]\n    output y = x + (f(x) as attn)\n}\n"
    ),
)
def label_names_arithmetic(span: Span | None, name: str, whole: Span, last: Span) -> Text:
    """`as` names all that comes before it: in `x + f(x) as attn` the sum, not the call of `f`.

    The weights of `f` then lie at `attn.f.…`. Brackets say which of the two is meant.
    """
    before = whole.text[: last.start - whole.start]
    part = f"{before}({last.text} as {name})"
    return Text(
        f"`{name}` names the whole expression before it",
        label=f"weights of the layers in it lie below `{name}`",
        labels=(Label(whole, "this is named"),),
        help=f"write `{part}` to name the last part, `({whole.text}) as {name}` for all",
    )


@lint(
    "W1467",
    bad=(
        "model M() {\n    input x: f32[batch, 8]\n    if 2 > 1 {\n        x = x -> relu\n    }\n"
        "    output y = x -> dense(8)\n}\n"
    ),
    good=(
        "model M(deep: bool = true) {\n    input x: f32[batch, 8]\n    if deep {\n"
        "        x = x -> relu\n    }\n    output y = x -> dense(8)\n}\n"
    ),
)
def constant_condition(span: Span | None) -> Text:
    """A condition reads no name, so that it always comes out the same: one branch is never used."""
    return Text(
        "this condition always comes out the same",
        label="reads no name",
        help="leave it out, or make it a parameter",
    )
