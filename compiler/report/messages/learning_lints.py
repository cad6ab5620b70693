"""Lints about networks that can be built and will hardly learn."""

from __future__ import annotations

from compiler.report.diagnostics import Label, Text, lint
from compiler.report.messages.items import train_spec
from compiler.report.messages.wording import list_words
from compiler.report.source import Span

IMAGES = (
    "model M() {{\n    input image: f32[batch, 3, 32, 32]\n    output y = image -> {layers}\n}}\n"
)
ROWS = "model M() {{\n    input x: f32[batch, 8]\n    output y = x -> {layers}\n}}\n"
NORM = "batch_norm -> flatten ->"
LOSS = (
    "model M() {{\n    input x: f32[batch, 8]\n    input label: i64[batch]\n"
    "    output loss = {loss}\n}}\n"
)


@lint(
    "W1459",
    bad=IMAGES.format(layers="conv(16, kernel=3) -> batch_norm -> relu"),
    good=IMAGES.format(layers="conv(16, kernel=3, bias=false) -> batch_norm -> relu"),
)
def bias_before_norm(span: Span | None, layer: str, norm: str, place: Span | None) -> Text:
    """A layer adds a bias to its channels, and the batch norm behind it takes it away again with
    the mean of the batch.

    The bias learns nothing and costs memory and time; the shift of the norm does its work. Some
    published networks have it all the same, such as VGG with batch norm: say so where a net has
    to have their weights.
    """
    return Text(
        f"the bias of `{layer}` has no effect before `{norm}`",
        label="makes channels with a bias",
        labels=(Label(place, "subtracts the mean of each channel"),) if place else (),
        help="write `bias=false`",
    )


@lint(
    "W1460",
    bad=ROWS.format(layers="dense(8) -> sigmoid -> " * 5 + "dense(1)"),
    good=ROWS.format(layers="dense(8) -> relu -> " * 5 + "dense(1)"),
)
def sigmoid_depth(span: Span | None, depth: int, function: str) -> Text:
    """Every way from the output to a layer leads through many sigmoids, without a norm or a
    shortcut between them.

    The slope of a sigmoid is 1/4 at most, so that five of them leave less than a thousandth of
    the gradient: the first layers hardly learn (Hochreiter 1991; Glorot and Bengio 2010,
    https://proceedings.mlr.press/v9/glorot10a.html).
    """
    return Text(
        f"gradients pass {depth} times through `{function}` or its like",
        label=f"of a gradient at most 1/{4**depth:,} is left before this",
        help="use `relu` or `gelu` inside, or put a norm or a shortcut between the layers",
    )


@lint(
    "W1461",
    bad=train_spec().replace("flatten ->", "flatten -> dense(32) -> sign ->"),
    good=train_spec().replace(
        "flatten ->", "flatten -> dense(32) -> sign(straight_through=true) ->"
    ),
)
def dead_gradient(span: Span | None, function: str, weights: tuple[str, ...]) -> Text:
    """Weights reach the loss only through a function whose gradient is zero or is none: a step,
    a sign, rounding, `argmax`, a comparison, whole numbers. They stay as they start.

    `unit_step` and `sign` pass gradients as if they were not there with `straight_through=true`
    (Bengio et al. 2013, https://arxiv.org/abs/1308.3432). What is meant to stay is named by
    `freeze`.
    """
    return Text(
        f"no gradient passes `{function}`",
        label=f"nothing else leads from the loss to {list_words(weights)}",
        help="a smooth function, or `straight_through=true`, lets them learn",
    )


_HEADS = """
model Net() {{
    input image: f32[batch, 1, 8, 8]
    h = image -> flatten -> dense(32) -> relu
    output logits = h -> dense(10)
    output side = h -> dense(1) -> squeeze(1)
}}
data digits {{
    source sklearn("digits")
    image = (image / 16) -> reshape([1, 8, 8])
    split random(seed=0), train=80%, val=20%
}}
train fit of Net on digits {{
    minimize {loss} with adamw(lr=1e-3)
    batch 64  epochs 10
}}
"""
_BOTH = "cross_entropy(logits, label) + bce_with_logits(side, cast(label > 4, f32))"


@lint(
    "W1476",
    bad=_HEADS.format(loss="cross_entropy(logits, label)"),
    good=_HEADS.format(loss=_BOTH),
)
def unreached_weights(
    span: Span | None, output: str, weights: tuple[str, ...], place: Span | None
) -> Text:
    """A net is trained that has an output which no objective of the file depends on: the weights
    that make it get no gradient, and stay as they start.

    Most often a second head was left out of the loss. What is meant to stay is named by `freeze`,
    or loaded from a file.
    """
    return Text(
        f"no objective reaches the weights of `{output}`",
        label=f"{list_words(weights)} get no gradient",
        labels=(Label(place, "no loss depends on this output"),) if place else (),
        help=f"add a loss of `{output}`, or `freeze` them",
    )


@lint(
    "W1462",
    bad=train_spec().replace(
        "dense(10)",
        "dense(8, init=zeros(), bias_init=zeros()) -> relu -> dense(10, init=zeros())",
    ),
    good=train_spec().replace(
        "dense(10)", "dense(8, bias_init=zeros()) -> relu -> dense(10, init=zeros())"
    ),
)
def stays_at_zero(span: Span | None, weights: tuple[str, ...]) -> Text:
    """Weights start at zero, and their gradient is zero as long as they do.

    The gradient of a product is zero where the other factor is, and that of `relu` at zero: so it
    is where two layers in sequence start at zero. One of them may (the last one of a shortcut, as
    in LoRA): its gradient is not zero, and after one step that of the other is not.
    """
    return Text(
        "weights start at zero and stay there",
        label=f"the gradient of {list_words(weights)} is zero",
        help="let one of the layers start at random: leave out its `init=`",
    )


@lint(
    "W1463",
    bad=train_spec(sizes="batch 1  epochs 10").replace("flatten ->", NORM),
    good=train_spec().replace("flatten ->", NORM),
)
def norm_of_one_row(span: Span | None, norm: str) -> Text:
    """A train has `batch 1`, and a batch norm takes its mean and deviation over the batch: over
    one row, while evaluation uses the means of all rows.

    Each row is normalised by itself in training and by others' figures in evaluation, which can
    differ widely. `group_norm`, `instance_norm` and `layer_norm` do the same in both.
    """
    return Text(
        f"`{norm}` normalises a batch of one row",
        label="takes statistics over the batch",
        help="give a larger `batch`, or use `group_norm`",
    )


@lint(
    "W1464",
    bad=LOSS.format(loss="cross_entropy(x -> dense(10) -> relu, label)"),
    good=LOSS.format(loss="cross_entropy(x -> dense(10), label)"),
)
def loss_does_not_fit(
    span: Span | None, loss: str, wanted: str, function: str, given: str, place: Span | None
) -> Text:
    """A loss gets numbers of another kind than it is made for.

    `cross_entropy` and `bce_with_logits` take plain scores of any size: behind `relu`, `sigmoid`
    or `exp` they cannot be negative, and no class can be ruled out. `bce` takes probabilities,
    `nll` and `kl` their logarithms: a layer makes any numbers, a softmax makes probabilities.
    """
    return Text(
        f"`{loss}` takes {wanted}",
        label=f"gets {given} of `{function}`",
        labels=(Label(place, f"`{function}` is applied here"),) if place else (),
    )


@lint(
    "W1465",
    bad=train_spec(minimize="cross_entropy(logits, label) with adamw(lr=1)"),
    good=train_spec(),
)
def unusual_rate(span: Span | None, optimizer: str, rate: float, low: float, high: float) -> Text:
    """The learning rate, times the largest factor of its schedule, lies ten times or more outside
    of what is usual for the optimizer.

    `weft ops OPTIMIZER` says its default. Optimizers differ: what is usual for `sgd` is far too
    much for `adamw`, and that too much for `lion`.
    """
    much = "high" if rate > high else "low"
    return Text(
        f"the learning rate of `{optimizer}` is very {much}",
        label=f"is {rate:g} at its highest; {low:g} to {high:g} is usual",
    )


@lint(
    "W1466",
    bad=train_spec().replace("dense(10)", "dense(1000)"),
    good=train_spec(),
)
def spare_classes(
    span: Span | None,
    column: str,
    categories: int,
    scores: int,
    loss: str,
    places: tuple[Label, ...],
) -> Text:
    """A loss has more scores than its column has categories: the last ones never are the right
    class. A number left from another data set is the usual reason; `NAME.classes` is the right
    one."""
    return Text(
        f"`{column}` has {categories} categories, and `{loss}` gets {scores:,} scores",
        label=f"{scores - categories:,} of them are never right",
        labels=places,
    )
