"""Messages about the steps and epochs of a training, and the parts of a batch."""

from __future__ import annotations

from compiler.report.diagnostics import Text, message
from compiler.report.messages.items import train_spec
from compiler.report.source import Span


@message(
    "W1489",
    bad=train_spec("accumulate 4", minimize="cross_entropy(logits, label) with lbfgs()"),
    good=train_spec("accumulate 4", minimize="cross_entropy(logits, label) with adam(lr=1e-3)"),
)
def not_with_whole_batches(span: Span | None, what: str, optimizer: str) -> Text:
    """An optimizer that evaluates the loss several times a step, or solves for the weights over all
    rows, takes no parts of a batch, has no epochs of so many steps, and needs a loss that does not
    change with the step."""
    return Text(
        f"{what} does not go with `{optimizer}`",
        label=f"`{optimizer}` evaluates one loss again and again",
        help="choose an optimizer that goes by one gradient a step, as `adam`",
    )


@message(
    "W1490",
    bad=train_spec("accumulate 3", sizes="batch 64  epochs 10"),
    good=train_spec("accumulate 4", sizes="batch 64  epochs 10"),
)
def parts_unequal(span: Span | None, batch: int, parts: int) -> Text:
    """`accumulate` divides a batch into parts of the same number of rows: what does not divide
    would make the last part smaller, and norms and draws in it others."""
    nearest = min((n for n in range(1, batch + 1) if batch % n == 0), key=lambda n: abs(n - parts))
    return Text(
        f"a batch of {batch} rows does not divide into {parts} parts",
        label=f"{batch} / {parts} leaves {batch % parts}",
        help=f"write `accumulate {nearest}`, or `batch {max(1, round(batch / parts)) * parts}`",
    )


@message(
    "W1491",
    bad=train_spec(
        "buffer center: f32[1, 10] = zeros",
        "update center = 0.9 * center + 0.1 * mean(logits, axis=0, keep=true)",
        "accumulate 4",
    ),
    good=train_spec(
        "buffer center: f32[1, 10] = zeros",
        "update center = 0.9 * center + 0.1 * mean(logits, axis=0, keep=true)",
    ),
)
def update_of_parts(span: Span | None, name: str) -> Text:
    """`update` goes by what a step computes of its whole batch, which `accumulate` never has at
    once: parts are computed one after the other, to save memory."""
    return Text(
        f"`update {name}` does not go with `accumulate`",
        label="it reads a whole batch",
        help="leave `accumulate` out, or make `batch` as large as one of its parts",
    )
