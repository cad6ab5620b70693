"""Messages about optimizers that solve for the weights."""

from __future__ import annotations

from compiler.report.diagnostics import Label, Text, message
from compiler.report.messages.items import train_spec
from compiler.report.source import Span

_SQUARE = "mse(logits, one_hot(label, 10, dtype=f32)) with least_squares()"


@message(
    "W1403",
    bad=train_spec(minimize="cross_entropy(logits, label) with least_squares()"),
    good=train_spec(minimize=_SQUARE),
)
def not_quadratic(
    span: Span | None, optimizer: str, reason: str, place: Label | None = None
) -> Text:
    """The weights with the least loss have a closed form where the loss is a square of what is
    linear in them: `mse` of a prediction `x -> dense(1)`, of products of weights that are trained
    with what has none, of sums and means of these. A layer in front of the linear one is frozen, or
    has no weights: `freeze "stem.*"`."""
    return Text(
        f"`{optimizer}` has nothing to solve",
        label=reason,
        labels=() if place is None else (place,),
        help="minimize `mse` of a layer that is linear in its weights and `freeze` those before "
        "it, or choose an optimizer that goes step by step, as `lbfgs`",
    )


@message(
    "W1404",
    bad=train_spec("clip norm=1.0", minimize=_SQUARE),
    good=train_spec(minimize=_SQUARE),
)
def no_closed_form(span: Span | None, optimizer: str, reason: str) -> Text:
    """An optimizer that solves for the weights makes its equations of gradients as they are, in
    double precision: what bounds them, rounds them or adds other terms than squares leaves no
    solution in closed form."""
    return Text(
        f"with this there is no closed form for `{optimizer}`",
        label=reason,
        help="leave it out, or choose another optimizer",
    )
