"""Messages about the vocabulary of training: settings of optimizers and schedules, metrics."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, final

from compiler.records import dataclass
from compiler.report.diagnostics import Label, Message

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


@final
@dataclass(frozen=True)
class SettingRange(Message):
    """A setting of an optimizer, schedule, metric or clause has a value that means nothing: a
    learning rate below zero, a batch of no rows, a share above 100%."""

    code: ClassVar[str] = "W0601"
    bad: ClassVar[str] = train_spec(minimize="cross_entropy(logits, label) with adamw(lr=-1e-3)")
    good: ClassVar[str] = train_spec()

    owner: str  # "adamw", "batch"
    name: str  # "lr"; empty where the owner has one value only
    found: str
    expected: str  # "above 0"

    def title(self) -> str:
        what = f"`{self.name}` of `{self.owner}`" if self.name else f"`{self.owner}`"
        return f"{what} must be {self.expected}"

    def label(self) -> str:
        return f"is {self.found}"


@final
@dataclass(frozen=True)
class SettingsDisagree(Message):
    """Two settings do not go together, such as Nesterov momentum without momentum."""

    code: ClassVar[str] = "W0602"
    bad: ClassVar[str] = train_spec(
        minimize="cross_entropy(logits, label) with sgd(lr=0.1, nesterov=true)"
    )
    good: ClassVar[str] = train_spec(
        minimize="cross_entropy(logits, label) with sgd(lr=0.1, momentum=0.9, nesterov=true)"
    )

    owner: str
    reason: str
    advice: str

    def title(self) -> str:
        return f"these settings of `{self.owner}` do not go together"

    def label(self) -> str:
        return self.reason

    def help(self) -> str:
        return self.advice


@final
@dataclass(frozen=True)
class MetricArguments(Message):
    """A metric compares what the net says with what is true, and the two do not fit: their
    shapes differ, or one is of a kind that the metric cannot read.

    `accuracy` and `top_k` take scores `[n, classes]` and class numbers `[n]`; `mse`, `rmse` and
    `mae` take two tensors of one shape; `r2` one number per row.
    """

    code: ClassVar[str] = "W0604"
    bad: ClassVar[str] = train_spec("metric error = mse(logits, label)")
    good: ClassVar[str] = train_spec("metric accuracy = accuracy(logits, label)")

    metric: str
    reason: str
    advice: str = ""
    places: tuple[Label, ...] = ()

    def title(self) -> str:
        return f"`{self.metric}` cannot compare these"

    def label(self) -> str:
        return self.reason

    def labels(self) -> Sequence[Label]:
        return self.places

    def help(self) -> str | None:
        return self.advice or None
