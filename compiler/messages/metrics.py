"""Messages about metrics of a train: which figure is better, and which rows count."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, final

from compiler.diagnostics import Label, Message, Severity
from compiler.messages.items import train_spec
from compiler.records import dataclass
from compiler.source import Span


@final
@dataclass(frozen=True)
class DirectionNeeded(Message):
    """A figure decides something, and it is not known whether a higher or a lower one is better.
    Metrics of the vocabulary know it, and of a loss the lower one is better; an expression says
    nothing about it, so the spec does: `metric elbo = -a - b, better="higher"`."""

    code: ClassVar[str] = "W1202"
    bad: ClassVar[str] = train_spec(
        "metric margin = logits[:, 1] - logits[:, 0]", "until stalled(val.margin, epochs=8)"
    )
    good: ClassVar[str] = train_spec(
        'metric margin = logits[:, 1] - logits[:, 0], better="higher"',
        "until stalled(val.margin, epochs=8)",
    )

    name: str
    decides: str  # "`until`"
    declared: Span | None

    def title(self) -> str:
        return f"it is not known whether a higher or a lower `{self.name}` is better"

    def label(self) -> str:
        return f"{self.decides} has to know it"

    def labels(self) -> Sequence[Label]:
        said = "an expression does not say which is better"
        return (Label(self.declared, said),) if self.declared is not None else ()

    def help(self) -> str:
        return f'write `metric {self.name} = …, better="higher"`, or `better="lower"`'


@final
@dataclass(frozen=True)
class DirectionContradicts(Message):
    """`better=` says the reverse of what the metric is: a higher accuracy is better, and of a
    loss the lower one. It is for expressions, of which it is not known."""

    code: ClassVar[str] = "W1203"
    bad: ClassVar[str] = train_spec('metric top = accuracy(logits, label), better="lower"')
    good: ClassVar[str] = train_spec("metric top = accuracy(logits, label)")

    name: str
    known: str  # "higher"
    said: str  # "lower"

    def title(self) -> str:
        return f"of `{self.name}` the {self.known} figure is better"

    def label(self) -> str:
        return f"and not the {self.said} one"

    def help(self) -> str:
        return "leave `better` out: a metric of the vocabulary, or a loss, knows it"


@final
@dataclass(frozen=True)
class MetricIsNoNumber(Message):
    """A metric that is an expression is one number for the batch, or one for each row, whose mean
    over the split is the figure. A vector for each row, or a matrix for the batch, would be
    averaged to one number that says nothing of the kind: which mean is meant, `mean(…)` says.

    There are no figures that are matrices. What a confusion matrix tells can be had cell by cell,
    as shares of rows: `metric missed = mean(cast((label == 1) and (guess == 0), f32))`.
    """

    code: ClassVar[str] = "W1204"
    bad: ClassVar[str] = train_spec("metric errors = (logits - 1) ** 2")
    good: ClassVar[str] = train_spec(
        'metric errors = mean((logits - 1) ** 2, axis=1), better="lower"'
    )

    name: str
    found: str  # "f32[3, 3]"
    made: Span

    def title(self) -> str:
        return f"the metric `{self.name}` is not one number"

    def label(self) -> str:
        return f"this is {self.found}"

    def labels(self) -> Sequence[Label]:
        elsewhere = self.span is not None and self.made.start < self.span.start
        return (Label(self.made, "made here"),) if elsewhere else ()

    def help(self) -> str:
        if "batch" in self.found:
            return "say what is averaged: `mean(…)` over everything, or `mean(…, axis=1)` by row"
        return (
            "choose one entry (`x[0, 1]`) or `mean(…)`; a cell of a confusion matrix is a share of "
            "rows, `mean(cast((label == 1) and (guess == 0), f32))`"
        )


TAGGER = """\
model Net() {{
    input image: f32[batch, 8, 8]
    output scores = image -> dense(8)
}}
data digits {{
    source sklearn("digits")
    tags = cast(image[0] > 8, i64)
    image = image / 16
    split random(seed=0), train=80%, val=20%
}}
train fit of Net on digits {{
    minimize cross_entropy(scores, tags, axis=-1) with adamw(lr=1e-3)
    metric accuracy = accuracy(scores, tags{options})
    batch 64  epochs 10
}}
"""
"""A spec that tells one of eight classes for each of eight entries."""


@final
@dataclass(frozen=True)
class RowsDisagree(Message):
    """The loss leaves labels out that a metric of the same labels counts, or the other way round:
    padding that the loss ignores would be counted as wrong, and could choose the best epoch."""

    code: ClassVar[str] = "W1205"
    severity: ClassVar[Severity] = Severity.WARNING
    bad: ClassVar[str] = train_spec(
        "metric accuracy = accuracy(logits, label)",
        minimize="cross_entropy(logits, label, ignore_index=0) with adamw(lr=1e-3)",
    )
    good: ClassVar[str] = train_spec(
        "metric accuracy = accuracy(logits, label, ignore_index=0)",
        minimize="cross_entropy(logits, label, ignore_index=0) with adamw(lr=1e-3)",
    )

    metric: str
    ignored: int
    loss: str
    left_out: int
    minimized: Span | None

    def title(self) -> str:
        return f"`{self.metric}` and `{self.loss}` do not count the same labels"

    def label(self) -> str:
        return f"this leaves out labels of {self.ignored}"

    def labels(self) -> Sequence[Label]:
        said = f"this leaves out labels of {self.left_out}"
        return (Label(self.minimized, said),) if self.minimized is not None else ()

    def help(self) -> str:
        return f"give both the same: `{self.metric}(…, ignore_index={self.left_out})`"


@final
@dataclass(frozen=True)
class AxesDisagree(Message):
    """The loss finds the classes of its scores along one axis, and a metric of the same labels
    along another one. That is possible where two axes of the scores have one size, as many steps
    as classes: without `axis=` a metric takes axis 1, as PyTorch does, and its figure would be of
    something else than what is trained."""

    code: ClassVar[str] = "W1360"
    severity: ClassVar[Severity] = Severity.WARNING
    bad: ClassVar[str] = TAGGER.format(options="")
    good: ClassVar[str] = TAGGER.format(options=", axis=-1")

    metric: str
    axis: int
    loss: str
    trained: int
    minimized: Span | None

    def title(self) -> str:
        return f"`{self.metric}` and `{self.loss}` look for the classes along different axes"

    def label(self) -> str:
        return f"the classes are axis {self.axis} here"

    def labels(self) -> Sequence[Label]:
        said = f"and axis {self.trained} here"
        return (Label(self.minimized, said),) if self.minimized is not None else ()

    def help(self) -> str:
        return f"give both the same: `{self.metric}(…, axis={self.trained})`"
