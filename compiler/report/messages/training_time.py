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
    "W1492",
    bad="model Net {\n    input x: f32[n, 4]\n    output y = x * min(1.0, step / 1000)\n}\n",
    good=train_spec(minimize="min(1.0, step / 100) * cross_entropy(logits, label) with adam"),
)
def time_outside_train(
    span: Span | None, word: str, *, is_ramp: bool, augments: bool = False
) -> Text:
    """`step`, `epoch` and ramps follow from how far a training is. A model or a block is used
    without one too, and data are read before it: a train computes such a number, and gives it to
    a block as an argument. An augmentation belongs to the data, which several trains may share:
    what is to grow with the training is written in the train."""
    what = "ramp" if is_ramp else "count"
    advice = "compute it in a train, and give it to a block as an argument"
    if augments:
        return Text(
            f"`{word}` is a {what} of a training",
            label="an augmentation is the same in every epoch",
            help="change rows in the train itself, or by a number that is drawn",
        )
    if word == "linear":
        advice = f"for the layer, write `dense(n)`; for the number, {advice}"
    return Text(f"`{word}` is a {what} of a training", label="nothing is trained here", help=advice)


@message(
    "W1493",
    bad=train_spec("sample scores = logits * step"),
    good=train_spec("sample scores = logits"),
)
def time_not_here(span: Span | None, what: str, why: str) -> Text:
    """`step`, `epoch` and ramps stand in what a step of a training computes. A sample is to show
    what nets make of the same draws in every epoch, and a train with `epochs 0` takes no steps."""
    return Text(
        f"{what} follows from how far the training is", label=why, help="leave that number out"
    )


@message(
    "W1564",
    bad=train_spec("checkpoint every=10min", "processes ddp"),
    good=train_spec("checkpoint every=500steps", "processes ddp"),
)
def time_not_shared(span: Span | None) -> Text:
    """All processes add up their losses where a state is kept, so that they have to agree on the
    step. Their clocks do not; steps are the same for all of them."""
    return Text(
        "`checkpoint` in minutes does not go with `processes ddp`",
        label="each process has a clock of its own",
        help="count steps: `checkpoint every=500steps`",
    )
