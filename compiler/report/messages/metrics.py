"""Messages about metrics of a train: which figure is better, and which rows count."""

from __future__ import annotations

from compiler.report.diagnostics import Label, Text, lint, message
from compiler.report.messages.items import train_spec
from compiler.report.messages.wording import list_words
from compiler.report.source import Span


@message(
    "W1202",
    bad=train_spec(
        "metric margin = logits[:, 1] - logits[:, 0]", "until stalled(val.margin, epochs=8)"
    ),
    good=train_spec(
        'metric margin = logits[:, 1] - logits[:, 0], better="higher"',
        "until stalled(val.margin, epochs=8)",
    ),
)
def direction_needed(
    span: Span | None,
    name: str,
    decides: str,  # "`until`"
    declared: Span | None,
) -> Text:
    """A figure decides something, and it is not known whether a higher or a lower one is better.
    Metrics of the vocabulary know it, and of a loss the lower one is better; an expression says
    nothing about it, so the spec does: `metric elbo = -a - b, better="higher"`."""
    said = "an expression does not say which is better"
    return Text(
        f"it is not known whether a higher or a lower `{name}` is better",
        label=f"{decides} has to know it",
        labels=(Label(declared, said),) if declared is not None else (),
        help=f'write `metric {name} = …, better="higher"`, or `better="lower"`',
    )


@message(
    "W1203",
    bad=train_spec('metric top = accuracy(logits, label), better="lower"'),
    good=train_spec("metric top = accuracy(logits, label)"),
)
def direction_contradicts(
    span: Span | None,
    name: str,
    known: str,  # "higher"
    said: str,  # "lower"
) -> Text:
    """`better=` says the reverse of what the metric is: a higher accuracy is better, and of a
    loss the lower one. It is for expressions, of which it is not known."""
    return Text(
        f"of `{name}` the {known} figure is better",
        label=f"and not the {said} one",
        help="leave `better` out: a metric of the vocabulary, or a loss, knows it",
    )


@message(
    "W1387",
    bad=train_spec("metric wrong = 1 - accuracy(logits, label)"),
    good=train_spec('metric wrong = cast(argmax(logits, axis=1) != label, f32), better="lower"'),
)
def metric_in_expression(
    span: Span | None,
    name: str,
    *,
    declared: bool = False,  # whether it is a metric of the train, not a word of the vocabulary
) -> Text:
    """A metric is a figure of a whole split: it adds up over the batches and is combined at the
    end, so there is no value of it for a batch that an expression, an objective or a model could
    compute with. It is alone behind `metric NAME =`, and what computes with figures is `require`:
    `require 1 - test.top <= 5%`.

    A figure of another kind is an expression of tensors, whose mean over the rows is taken: the
    share of wrong answers is `metric wrong = cast(argmax(logits, axis=1) != label, f32),
    better="lower"`.
    """
    if declared:
        advice = f"`require` computes with figures: `test.{name}`"
    else:
        advice = (
            f"in a train write `metric NAME = {name}(…)`, and nothing around it; `require` "
            "computes with figures: `1 - test.NAME`"
        )
    return Text(
        "a metric cannot be part of an expression",
        label=f"`{name}` is a figure of a whole split, not a tensor",
        help=advice,
    )


@lint(
    "W1416",
    bad=train_spec("metric right = accuracy(sigmoid(logits[:, 0]), cast(label > 4, f32))"),
    good=train_spec("metric right = accuracy(logits[:, 0], cast(label > 4, f32))"),
)
def probabilities_for_logits(
    span: Span | None,
    metric: str,
    function: str,
    why: str,  # "applies a softmax itself"
    logits: str,  # "p - 0.5"
    place: Span | None,
) -> Text:
    """A metric that reads logits is given probabilities. `accuracy` of two classes in one score, as
    `binary_accuracy` is, takes every number above 0 for the class 1: what `sigmoid` puts out always
    is, so that the figure is the share of ones among the labels. `perplexity` applies a softmax
    itself. Give them the logits, or what probabilities are turned into logits by."""
    return Text(
        f"the metric `{metric}` gets the result of `{function}`",
        label=f"`{metric}` {why}",
        labels=(Label(place, f"`{function}` is applied here"),) if place else (),
        help=f"give it the logits, before `{function}`, or `{logits}` of probabilities `p`",
    )


@message(
    "W1204",
    bad=train_spec("metric errors = (logits - 1) ** 2"),
    good=train_spec('metric errors = mean((logits - 1) ** 2, axis=1), better="lower"'),
)
def metric_is_not_a_number(
    span: Span | None,
    name: str,
    found: str,  # "f32[3, 3]"
    made: Span,
) -> Text:
    """A metric that is an expression is one number for the batch, or one for each row, whose mean
    over the split is the figure. A vector for each row, or a matrix for the batch, would be
    averaged to one number that says nothing of the kind: which mean is meant, `mean(…)` says.

    Matrices and curves are metrics of the vocabulary: `metric confusion = confusion_matrix(logits,
    label)`. A cell of it as a figure is a share of rows: `metric missed = mean(cast((label == 1)
    and (guess == 0), f32))`.
    """
    elsewhere = span is not None and made.start < span.start
    if "batch" in found:
        advice = "say what is averaged: `mean(…)` over everything, or `mean(…, axis=1)` by row"
    else:
        advice = (
            "choose one entry (`x[0, 1]`) or `mean(…)`; matrices and curves of the vocabulary are "
            "reported whole: `confusion_matrix(logits, label)`"
        )
    return Text(
        f"the metric `{name}` is not one number",
        label=f"this is {found}",
        labels=(Label(made, "made here"),) if elsewhere else (),
        help=advice,
    )


@message(
    "W1472",
    bad=train_spec(
        "metric confusion = confusion_matrix(logits, label)",
        "until stalled(val.confusion, epochs=8)",
    ),
    good=train_spec(
        "metric confusion = confusion_matrix(logits, label)",
        "metric balanced = balanced_accuracy(logits, label)",
        "until stalled(val.balanced, epochs=8)",
    ),
)
def figure_is_a_chart(
    span: Span | None,
    name: str,
    kind: str,  # "matrix"
    decides: str,  # "`until`"
    number: str,  # "balanced_accuracy": the metric that says the same as one number
    declared: Span | None,
) -> Text:
    """A confusion matrix or a curve is no number: none is higher or better than another, so it
    stops no training, chooses no epoch and is in no contract. It is measured at the end of the
    training, for the report. The metric that it is summed up by does all of that."""
    return Text(
        f"`{name}` is a {kind}, and no number",
        label=f"{decides} compares numbers",
        labels=(Label(declared, "it is declared here"),) if declared is not None else (),
        help=f"a number that it is summed up by is the metric `{number}`",
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


@lint(
    "W1205",
    bad=train_spec(
        "metric accuracy = accuracy(logits, label)",
        minimize="cross_entropy(logits, label, ignore_index=0) with adamw(lr=1e-3)",
    ),
    good=train_spec(
        "metric accuracy = accuracy(logits, label, ignore_index=0)",
        minimize="cross_entropy(logits, label, ignore_index=0) with adamw(lr=1e-3)",
    ),
)
def rows_disagree(
    span: Span | None,
    metrics: tuple[str, ...],
    ignored: int,
    loss: str,
    left_out: int,
    minimized: Span | None,
    others: tuple[Span, ...] = (),  # where more such metrics stand
) -> Text:
    """The loss leaves labels out that a metric of the same labels counts, or the other way round:
    padding that the loss ignores would be counted as wrong, and could choose the best epoch."""
    told = [Label(span, "and here") for span in others]
    if minimized is not None:
        told.append(Label(minimized, f"labels of {left_out} are left out here"))
    calls = [f"{metric}(…, ignore_index={left_out})" for metric in metrics]
    return Text(
        f"{list_words((*metrics, loss))} do not count the same labels",
        label=f"labels of {ignored} are left out here",
        labels=tuple(told),
        help=f"write {list_words(calls)}, or `{loss}(…, ignore_index={ignored})`",
    )


@lint(
    "W1360",
    bad=TAGGER.format(options=""),
    good=TAGGER.format(options=", axis=-1"),
)
def axes_disagree(
    span: Span | None,
    metrics: tuple[str, ...],
    axis: int,
    loss: str,
    trained: int,
    minimized: Span | None,
    others: tuple[Span, ...] = (),  # where more such metrics stand
) -> Text:
    """The loss finds the classes of its scores along one axis, and a metric of the same labels
    along another one. That is possible where two axes of the scores have one size, as many steps
    as classes: without `axis=` a metric takes axis 1, as PyTorch does, and its figure would be of
    something else than what is trained."""
    names = list_words((*metrics, loss))
    told = [Label(span, "and here") for span in others]
    if minimized is not None:
        told.append(Label(minimized, f"and axis {trained} here"))
    calls = [f"{metric}(…, axis={trained})" for metric in metrics]
    return Text(
        f"{names} look for the classes along different axes",
        label=f"the classes are axis {axis} here",
        labels=tuple(told),
        help=f"give both the same: {list_words(calls)}",
    )
