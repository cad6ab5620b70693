"""Messages about buffers of a train, and what they become behind a step."""

from __future__ import annotations

from compiler.report.diagnostics import Label, Text, lint, message
from compiler.report.messages.items import train_spec
from compiler.report.messages.wording import list_words
from compiler.report.source import Span

CENTER = "buffer center: f32[10] = zeros"
UPDATE = "update center = 0.9 * center + 0.1 * mean(logits, axis=0)"
LOSS = "cross_entropy(logits - center, label) with {}"


def center_spec(*body: str, optimizer: str = "adamw(lr=1e-3)", sizes: str = "") -> str:
    """A whole spec whose scores are centred, with these clauses in its train."""
    sizes = f"batch 64  epochs 10  {sizes}".rstrip()
    return train_spec(*body, minimize=LOSS.format(optimizer), sizes=sizes)


def _order(text: str) -> str:
    """The spec with its buffer in front of the loss that reads it."""
    head, _, rest = text.partition("    minimize")
    buffer = f"    {CENTER}\n"
    return f"{head}{buffer}    minimize{rest.replace(buffer, '')}"


GOOD = _order(center_spec(UPDATE))


@message(
    "W1503",
    bad=_order(center_spec(UPDATE.replace("center =", "logits ="))),
    good=GOOD,
)
def updates_no_buffer(
    span: Span | None, name: str, found: str, buffers: tuple[str, ...], near: str | None
) -> Text:
    """`update` changes a buffer that the train itself declares. A column, a value that is computed
    in every step, or a net has no state that it could change; weights follow optimizers, and
    running statistics of norms what the norm does with them."""
    advice = f"declare it in the train: `buffer {name}: f32[…] = zeros`"
    if near is not None:
        advice = f"did you mean `{near}`?"
    elif buffers:
        advice = f"the train has {list_words(buffers)}; {advice}"
    return Text(f"`{name}` is no buffer of this train", label=found, help=advice)


@message(
    "W1504",
    bad=_order(center_spec(UPDATE, "update center = 0.5 * center")),
    good=GOOD,
)
def updated_twice(span: Span | None, name: str, first: Span) -> Text:
    """A buffer is updated twice in the same step: the second value would take the place of the
    first. Steps that take turns may each update it."""
    return Text(
        f"`{name}` is updated twice",
        label="this would replace",
        labels=(Label(first, "what stands here"),),
        help="write one expression, or give parts of it names: `mixed = …`",
    )


@message(
    "W1505",
    bad=_order(center_spec("update center = logits")),
    good=GOOD,
)
def update_differs(
    span: Span | None, name: str, wanted: str, found: str, place: Span, advice: str
) -> Text:
    """What a buffer is to become has another shape or dtype than the buffer. Nothing is spread or
    converted: a mean that lost an axis would be copied to every row."""
    return Text(
        f"`{name}` cannot become this",
        label=f"is {found}",
        labels=(Label(place, f"the buffer is {wanted}"),),
        help=advice,
    )


@lint("W1506", bad=_order(center_spec()), good=GOOD)
def buffer_never_updated(span: Span | None, name: str) -> Text:
    """A buffer of a train is read and never updated: it stays as it starts."""
    return Text(
        f"`{name}` stays as it starts",
        label="no `update` changes it",
        help=f"write `update {name} = …`, or a value in place of the buffer",
    )


SCALAR_NET = """\
model Net() {
    input image: f32[batch, 8, 8]
    input label: i64[batch]
    output loss = cross_entropy(image -> flatten -> dense(10), label)
}
data digits {
    source sklearn("digits")
    image = image / 16
    split random(seed=0), train=80%, val=20%
}
train fit on digits {
    net m = Net()
    buffer level: f32[] = zeros
    loss = m(image, label)
    minimize loss + 0 * level with adamw(lr=1e-3)
    update level = 0.9 * level + 0.1 * loss
    batch 64  epochs 10
}
"""


@message(
    "W1507",
    bad=SCALAR_NET.replace("batch 64", "processes ddp  batch 64"),
    good=SCALAR_NET,
)
def update_not_shared(span: Span | None, name: str, found: str, place: Span | None) -> Text:
    """Processes that share each batch see different rows, and a buffer must become the same in all
    of them, and the same as in one process.

    What nets give for rows (`f32[batch, …]`), what is drawn for rows and columns are gathered from
    all processes before an update computes anything of them, and means over rows are averaged. A
    net that gives one number for a whole batch, or rows along another axis than the first, leaves
    nothing that could be gathered. Beside steps an update applies nets anew, and draws nothing for
    rows.
    """
    return Text(
        f"processes cannot share what `{name}` becomes",
        label="follows from the rows of one process",
        labels=(Label(place, f"is {found}"),) if place else (),
        help=f"{_GATHERED}; or leave `processes ddp` out",
    )


_GATHERED = "compute it in a step, of rows that nets give or that are drawn: `mean(scores, axis=0)`"


@message(
    "W1491",
    bad=SCALAR_NET.replace("batch 64", "accumulate 4  batch 64"),
    good=SCALAR_NET.replace("batch 64", "accumulate 4  batch 64").replace(
        "level + 0.1 * loss", "level + 0.1 * mean(image)"
    ),
)
def update_of_parts(span: Span | None, name: str, found: str, place: Span | None) -> Text:
    """`accumulate` takes a batch in parts, one after the other, and updates run once, behind the
    step of the optimizer, of the whole batch.

    What nets give for rows (`f32[batch, …]`), what is drawn for rows and columns of all parts are
    put together for that, and means over rows are averaged. A net that gives one number for a
    whole batch, or rows along another axis than the first, leaves nothing that could be put
    together; and an update beside steps, which would apply nets anew, reads no rows.
    """
    return Text(
        f"`{name}` cannot be updated of the parts of a batch",
        label="follows from the rows of one part",
        labels=(Label(place, f"is {found}"),) if place else (),
        help=f"{_GATHERED}; or leave `accumulate` out",
    )


@message(
    "W1508",
    bad=_order(center_spec(UPDATE, optimizer="lbfgs()")),
    good=GOOD,
)
def update_with_fixed_loss(span: Span | None, name: str, optimizer: str) -> Text:
    """An optimizer that evaluates the loss several times a step, or solves for the weights over all
    rows, has no step of one batch behind which a buffer would be updated."""
    return Text(
        f"`{optimizer}` has no steps behind which `{name}` could be updated",
        label="is computed once a step",
        help="choose an optimizer that goes by one gradient a step, as `adam`",
    )


@message(
    "W1509",
    bad=_order(center_spec("update center = center + val.loss")),
    good=GOOD,
)
def update_reads_figure(span: Span | None, figure: str) -> Text:
    """A figure of a split is known after an epoch, and a buffer is updated after each step, from
    what the step computes. `until`, `require` and schedules such as `plateau` follow figures."""
    return Text(
        f"`{figure}` is no value of a step",
        label="is measured after an epoch",
        help="compute it of the batch: name what the loss is made of, and take that",
    )
