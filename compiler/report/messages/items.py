"""Messages about the vocabulary of training: settings of optimizers and schedules, metrics."""

from __future__ import annotations

from compiler.report.diagnostics import Label, Text, message
from compiler.report.source import Span

SPEC = """\
model Net() {{
    input image: f32[batch, 8, 8]
    output logits = image -> flatten -> dense(10)
}}
data digits {{
    source sklearn("digits")
    image = image / 16
    split random(seed=0), train=80%, val=20%
}}
train fit of Net on digits {{
{body}
}}
"""
"""A small spec around the body of its train, for the pages of messages."""


def train_spec(
    *body: str,
    minimize: str = "cross_entropy(logits, label) with adamw(lr=1e-3)",
    sizes: str = "batch 64  epochs 10",
) -> str:
    """A whole spec with these clauses in its train."""
    lines = [f"minimize {minimize}", *body, sizes]
    return SPEC.format(body="\n".join(f"    {line}" for line in lines if line))


@message(
    "W0601",
    bad=train_spec(minimize="cross_entropy(logits, label) with adamw(lr=-1e-3)"),
    good=train_spec(),
)
def setting_range(
    span: Span | None,
    owner: str,  # "adamw", "batch"
    name: str,  # "lr"; empty where the owner has one value only
    found: str,
    expected: str,  # "above 0"
) -> Text:
    """A setting of an optimizer, schedule, metric or clause has a value that means nothing: a
    learning rate below zero, a batch of no rows, a share above 100%."""
    what = f"`{name}` of `{owner}`" if name else f"`{owner}`"
    return Text(f"{what} must be {expected}", label=f"is {found}")


@message(
    "W0602",
    bad=train_spec(minimize="cross_entropy(logits, label) with sgd(lr=0.1, nesterov=true)"),
    good=train_spec(
        minimize="cross_entropy(logits, label) with sgd(lr=0.1, momentum=0.9, nesterov=true)"
    ),
)
def settings_disagree(span: Span | None, owner: str, reason: str, advice: str) -> Text:
    """Two settings do not go together, such as Nesterov momentum without momentum."""
    return Text(f"these settings of `{owner}` do not go together", label=reason, help=advice)


@message(
    "W0604",
    bad=train_spec("metric error = mse(logits, label)"),
    good=train_spec("metric accuracy = accuracy(logits, label)"),
)
def metric_arguments(
    span: Span | None, metric: str, reason: str, advice: str = "", places: tuple[Label, ...] = ()
) -> Text:
    """A metric compares what the net says with what is true, and the two do not fit: their
    shapes differ, or one is of a kind that the metric cannot read.

    `accuracy` and `top_k` take scores `[n, classes]` and class numbers `[n]`; `mse`, `rmse` and
    `mae` take two tensors of one shape; `r2` one number per row.
    """
    return Text(
        f"`{metric}` cannot compare these", label=reason, labels=places, help=advice or None
    )
