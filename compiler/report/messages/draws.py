"""Messages about random draws in a train."""

from __future__ import annotations

from compiler.report.diagnostics import Text, message
from compiler.report.messages.items import train_spec
from compiler.report.source import Span


@message(
    "W1501",
    bad=train_spec(
        "noise = permutation(batch)",
        'metric moved = mean(cast(noise, f32)), better="lower"',
        sizes="batch 64  epochs 10  processes ddp",
    ),
    good=train_spec(
        "noise = normal([batch])",
        'metric moved = mean(noise), better="lower"',
        sizes="batch 64  epochs 10  processes ddp",
    ),
)
def draw_not_shared(span: Span | None, draw: str, drawn: str) -> Text:
    """A draw of a train whose processes share each batch cannot be divided among them.

    With `processes ddp` every process makes the same draw for all rows of a batch, and takes the
    entries of its own rows: one axis of what is drawn is `batch` itself. A permutation of the rows
    of a batch would mix those of several processes, and of an axis of `2 * batch` nobody knows
    which entries belong to a row.
    """
    return Text(
        f"processes cannot share what `{draw}` draws",
        label=f"draws {drawn}, of which no axis alone is `batch`",
        help="draw a tensor with an axis of the size `batch`, or leave `processes ddp` out",
    )


@message(
    "W1502",
    bad=train_spec(
        minimize="cross_entropy(logits + normal_like(logits), label) with lbfgs()",
    ),
    good=train_spec(
        minimize="cross_entropy(logits + normal_like(logits), label) with adamw(lr=1e-3)",
    ),
)
def draw_in_fixed_loss(span: Span | None, draw: str, optimizer: str) -> Text:
    """An optimizer that evaluates the loss several times a step, or solves for the weights, needs
    the same loss each time. A loss with draws is another one at each evaluation."""
    return Text(
        f"`{optimizer}` needs a loss that does not change within a step",
        label=f"`{draw}` draws anew at each evaluation",
        help="choose an optimizer that goes by one gradient a step, as `adam`",
    )
