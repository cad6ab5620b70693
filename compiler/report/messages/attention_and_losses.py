"""What goes wrong between the operands of attention and of losses."""

from __future__ import annotations

from compiler.report.diagnostics import Label, Text, message
from compiler.report.source import Span


@message(
    "W0360",
    bad=(
        "model M() {\n    input q: f32[batch, 4, t, 16]\n    input k: f32[batch, 4, t, 8]\n"
        "    output y = scaled_dot_product_attention(q, k, k)\n}\n"
    ),
    good=(
        "model M() {\n    input q: f32[batch, 4, t, 16]\n    input k: f32[batch, 4, t, 16]\n"
        "    output y = scaled_dot_product_attention(q, k, k)\n}\n"
    ),
)
def attention_does_not_match(
    span: Span | None, reason: str, places: tuple[Label, ...], hint: str | None = None
) -> Text:
    """Query, key and value of an attention do not fit together.

    Query is `[..., heads, t, d]`, key `[..., heads, s, d]`, value `[..., heads, s, v]`: query
    and key share the size d of a head, key and value the number s of positions, all three their
    leading axes. With `grouped=true` the heads of the query are a multiple of those of key and
    value.
    """
    return Text("query, key and value do not match", label=reason, labels=places, help=hint)


@message(
    "W0361",
    bad=(
        "model M() {\n    input q: f32[batch, 4, 10, 16]\n    input mask: bool[batch, 10]\n"
        "    output y = scaled_dot_product_attention(q, q, q, mask=mask)\n}\n"
    ),
    good=(
        "model M() {\n    input q: f32[batch, 4, 10, 16]\n    input mask: bool[batch, 10]\n"
        "    output y = scaled_dot_product_attention(q, q, q, mask=mask[:, none, none, :])\n}\n"
    ),
)
def mask_does_not_fit(span: Span | None, scores: str, made: Label, hint: str | None = None) -> Text:
    """The mask of an attention does not broadcast to its scores, `[..., heads, t, s]`, or is
    neither boolean nor of the query's dtype.

    In a boolean mask, `true` marks the keys that a query may see; a floating-point mask is added to
    the scores.
    """
    return Text(
        "the mask does not fit the scores",
        label=f"the scores are {scores}",
        labels=(Label(made.span, f"the mask is {made.text}"),),
        help=hint,
    )


@message(
    "W0362",
    bad=(
        "model M() {\n    input q: f32[batch, 4, 10, 16]\n    input mask: bool[10, 10]\n"
        "    output y = scaled_dot_product_attention(q, q, q, mask=mask, causal=true)\n}\n"
    ),
    good=(
        "model M() {\n    input q: f32[batch, 4, 10, 16]\n"
        "    output y = scaled_dot_product_attention(q, q, q, causal=true)\n}\n"
    ),
)
def two_masks(span: Span | None, made: Label) -> Text:
    """`causal=true` and a mask are given at once; PyTorch refuses both together.

    Put the order of time into the mask: `mask and i[:, none] >= i` with `i = arange(t)`.
    """
    return Text(
        "an attention has two masks",
        label="`causal=true` is a mask already",
        labels=(Label(made.span, f"and this is another: {made.text}"),),
        help="join them: `mask and i[:, none] >= i` with `i = arange(t)`, and no `causal`",
    )


@message(
    "W0363",
    bad=(
        "model M() {\n    input x: f32[batch, 8]\n    input y: f32[batch]\n"
        "    output loss = mse(x -> dense(1), y)\n}\n"
    ),
    good=(
        "model M() {\n    input x: f32[batch, 8]\n    input y: f32[batch]\n"
        "    output loss = mse(x -> dense(1) -> squeeze(1), y)\n}\n"
    ),
)
def target_does_not_fit(
    span: Span | None,
    op: str,
    wanted: str,  # "i64[batch] with class numbers"
    places: tuple[Label, ...],
    hint: str | None = None,
) -> Text:
    """The target of a loss does not have the shape that its prediction asks for.

    `cross_entropy` and `nll` compare `[n, classes, d…]` with whole numbers `[n, d…]` (`axis` says
    where the classes are), `cross_entropy` also with probabilities of the prediction's own shape.
    All other losses compare two tensors of one shape: nothing is broadcast, because a loss over a
    broadcast pair is nearly always a mistake.
    """
    return Text(
        f"the target does not fit the prediction of `{op}`",
        label=f"needs a target {wanted}",
        labels=places,
        help=hint,
    )


@message(
    "W1762",
    bad=(
        "model M() {\n    input x: f32[batch, 8]\n    input y: f32[batch, 1]\n"
        "    input known: bool[batch]\n    output loss = mse(x -> dense(1), y, mask=known)\n}\n"
    ),
    good=(
        "model M() {\n    input x: f32[batch, 8]\n    input y: f32[batch, 1]\n"
        "    input known: bool[batch, 1]\n    output loss = mse(x -> dense(1), y, mask=known)\n}\n"
    ),
)
def entry_weights_do_not_fit(
    span: Span | None, op: str, option: str, found: str, needed: str, hint: str | None
) -> Text:
    """A loss of two tensors takes a `mask`, a bool for each entry of the target that says whether
    it counts, and a `weight`, a number for each entry that says how much. Both have the shape of
    the target: nothing is broadcast. Their mean is divided by what all entries count together.
    """
    return Text(
        f"the `{option}` of `{op}` does not fit",
        label=f"this is {found}; needed is {needed}",
        help=hint,
    )


@message(
    "W0364",
    bad=(
        "model M() {\n    input x: f32[batch, 3]\n    input y: i64[batch]\n"
        "    output loss = cross_entropy(x, y, weight=[1.0, 2.0])\n}\n"
    ),
    good=(
        "model M() {\n    input x: f32[batch, 3]\n    input y: i64[batch]\n"
        "    output loss = cross_entropy(x, y, weight=[1.0, 2.0, 1.0])\n}\n"
    ),
)
def class_weights_do_not_fit(
    span: Span | None, option: str, found: int, classes: str, made: Label
) -> Text:
    """A list of weights has one number for each class, and its length is not their number."""
    return Text(
        f"`{option}` has the wrong length",
        label=f"{found} numbers for {classes} classes",
        labels=(Label(made.span, f"the prediction is {made.text}"),),
    )
