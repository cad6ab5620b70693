"""Messages about metrics of a train: which figure is better, and which rows count."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, final

from compiler.records import dataclass
from compiler.report.diagnostics import Label, Message, Severity
from compiler.report.messages.items import train_spec
from compiler.report.messages.wording import list_words
from compiler.report.source import Span


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
class MetricInExpression(Message):
    """A metric is a figure of a whole split: it adds up over the batches and is combined at the
    end, so there is no value of it for a batch that an expression, an objective or a model could
    compute with. It stands alone behind `metric NAME =`, and what computes with figures is
    `require`: `require 1 - test.top <= 5%`.

    A figure of another kind is an expression of tensors, whose mean over the rows is taken: the
    share of wrong answers is `metric wrong = cast(argmax(logits, axis=1) != label, f32),
    better="lower"`.
    """

    code: ClassVar[str] = "W1387"
    bad: ClassVar[str] = train_spec("metric wrong = 1 - accuracy(logits, label)")
    good: ClassVar[str] = train_spec(
        'metric wrong = cast(argmax(logits, axis=1) != label, f32), better="lower"'
    )

    name: str
    declared: bool = False  # whether it is a metric of the train, not a word of the vocabulary

    def title(self) -> str:
        return "a metric is no part of an expression"

    def label(self) -> str:
        return f"`{self.name}` is a figure of a whole split, not a tensor"

    def help(self) -> str:
        if self.declared:
            return f"`require` computes with figures: `test.{self.name}`"
        return (
            f"in a train write `metric NAME = {self.name}(…)`, and nothing around it; `require` "
            "computes with figures: `1 - test.NAME`"
        )


@final
@dataclass(frozen=True)
class ProbabilitiesForLogits(Message):
    """A metric that reads logits is given probabilities. `accuracy` of two classes in one score, as
    `binary_accuracy` is, takes every number above 0 for the class 1: what `sigmoid` puts out always
    is, so that the figure is the share of ones among the labels. `perplexity` applies a softmax
    itself. Give them the logits, or what probabilities are turned into logits by."""

    code: ClassVar[str] = "W1416"
    severity: ClassVar[Severity] = Severity.WARNING
    bad: ClassVar[str] = train_spec(
        "metric right = accuracy(sigmoid(logits[:, 0]), cast(label > 4, f32))"
    )
    good: ClassVar[str] = train_spec("metric right = accuracy(logits[:, 0], cast(label > 4, f32))")

    metric: str
    function: str
    why: str  # "applies a softmax itself"
    logits: str  # "p - 0.5"
    place: Span | None

    def title(self) -> str:
        return f"the metric `{self.metric}` gets the result of `{self.function}`"

    def label(self) -> str:
        return f"`{self.metric}` {self.why}"

    def labels(self) -> Sequence[Label]:
        return (Label(self.place, f"`{self.function}` is applied here"),) if self.place else ()

    def help(self) -> str:
        return (
            f"give it the logits, before `{self.function}`, or `{self.logits}` of probabilities `p`"
        )


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

    metrics: tuple[str, ...]
    ignored: int
    loss: str
    left_out: int
    minimized: Span | None
    others: tuple[Span, ...] = ()  # where more such metrics stand

    def title(self) -> str:
        return f"{list_words((*self.metrics, self.loss))} do not count the same labels"

    def label(self) -> str:
        return f"labels of {self.ignored} are left out here"

    def labels(self) -> Sequence[Label]:
        told = [Label(span, "and here") for span in self.others]
        if self.minimized is not None:
            told.append(Label(self.minimized, f"labels of {self.left_out} are left out here"))
        return tuple(told)

    def help(self) -> str:
        calls = [f"{metric}(…, ignore_index={self.left_out})" for metric in self.metrics]
        return f"write {list_words(calls)}, or `{self.loss}(…, ignore_index={self.ignored})`"


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

    metrics: tuple[str, ...]
    axis: int
    loss: str
    trained: int
    minimized: Span | None
    others: tuple[Span, ...] = ()  # where more such metrics stand

    def title(self) -> str:
        names = list_words((*self.metrics, self.loss))
        return f"{names} look for the classes along different axes"

    def label(self) -> str:
        return f"the classes are axis {self.axis} here"

    def labels(self) -> Sequence[Label]:
        told = [Label(span, "and here") for span in self.others]
        if self.minimized is not None:
            told.append(Label(self.minimized, f"and axis {self.trained} here"))
        return tuple(told)

    def help(self) -> str:
        calls = [f"{metric}(…, axis={self.trained})" for metric in self.metrics]
        return f"give both the same: {list_words(calls)}"
