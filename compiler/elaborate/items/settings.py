"""Clauses of one value (`batch 64`), and those of a train that stop it and freeze parts of it."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from compiler.elaborate.bodies.code_clauses import read_operands
from compiler.elaborate.calls.nets import place_net
from compiler.elaborate.items.metrics import MetricEntry
from compiler.elaborate.items.operands import describe_given, read_single, read_texts, read_whole
from compiler.elaborate.scopes.context import Body, malformed
from compiler.elaborate.values.arithmetic import whole
from compiler.elaborate.values.describing import describe
from compiler.elaborate.values.values import DTypeValue, Known, NetValue, Poison
from compiler.program.train import (
    SECONDS,
    STEPS,
    Checkpoint,
    Clip,
    EarlyStop,
    ParameterGroup,
)
from compiler.records import dataclass
from compiler.report.messages.items import setting_range
from compiler.report.messages.metrics import direction_needed, figure_is_a_chart
from compiler.report.messages.training import bad_until, unknown_figure
from compiler.report.source import Span
from compiler.report.suggestions import did_you_mean
from compiler.text.tree.syntax import Attribute, Call, Clause, Declare, Expr, Group, Name, Operand
from compiler.training.figure import Figure
from compiler.vocabulary.clauses import (
    Choice,
    DTypeChoice,
    Flag,
    Positive,
    Setting,
    Whole,
    WordChoice,
)


@dataclass(frozen=True)
class Pattern:
    """A pattern of parameter paths, and where it stands. A net stands for all of its own."""

    text: str
    span: Span


# --- clauses of one value -----------------------------------------------------------------------


def read_setting(body: Body, clause: Clause, setting: Setting) -> object | None:
    """The value of a clause; None where it was refused, which is reported."""
    if isinstance(setting, Whole):
        return _read_whole(body, clause, setting)
    expression = read_single(body, clause)
    if expression is None:
        return None
    bare = expression.text if isinstance(expression, Name) else ""
    if isinstance(setting, Choice) and bare in setting.words:
        malformed(body, clause, expression.span, f'a choice is written in quotes: "{bare}"')
        return None
    if isinstance(setting, WordChoice):
        if bare not in setting.words:
            expected = f"{setting.text} belongs here, not `{expression.span.text}`"
            malformed(body, clause, expression.span, expected)
        return bare if bare in setting.words else None
    if isinstance(setting, DTypeChoice) and bare in setting.words:
        return bare
    value = body.evaluate(expression)
    match setting, value:
        case _, Poison():
            return None
        case Choice(words), Known(str() as word) if word in words:
            return word
        case Flag(), Known(bool() as flag):
            return flag
        case DTypeChoice(dtypes), DTypeValue(dtype) if dtype in dtypes:
            return dtype.value
        case Positive(), Known(int() | float() as number, unit=None | "%") if value.is_number:
            if 0 < number < float("inf"):
                return float(number)
            word = clause.word.text
            body.report(setting_range(expression.span, word, "", f"{number:g}", "above 0"))
            return None
    expected = f"{setting.text} belongs here, not {describe_given(value)}"
    malformed(body, clause, expression.span, expected)
    return None


def _read_whole(body: Body, clause: Clause, setting: Whole) -> int | None:
    number = read_whole(body, clause, setting.least, setting.units, bare=setting.bare)
    if number is None or setting.most is None or number <= setting.most:
        return number
    word, expected = clause.word.text, f"below {setting.most + 1}"
    body.report(setting_range(clause.operands[0].span, word, "", str(number), expected))
    return None


def read_clip(body: Body, clause: Clause) -> Clip | None:
    """`clip norm=1.0`, `clip value=0.5`; a number without a name is the norm."""
    operands = read_operands(body, clause)
    if len(operands) > 1:
        malformed(body, clause, operands[1].span, "one bound is enough")
        return None
    if not operands:
        return None
    (operand,) = operands
    expression = operand.value
    if isinstance(expression, Declare):
        malformed(body, clause, operand.span, "it takes a value, no type")
        return None
    by = operand.name.text if operand.name is not None else CLIP_BOUNDS[0]
    if by not in CLIP_BOUNDS:
        malformed(body, clause, operand.span, "it takes `norm=` or `value=`")
        return None
    value = body.evaluate(expression)
    match value:
        case Poison():
            return None
        case Known(int() | float() as number, unit=None) if value.is_number:
            if 0 < number < float("inf"):
                return Clip(by, float(number))
            body.report(setting_range(expression.span, "clip", "", f"{number:g}", "above 0"))
            return None
    expected = f"{Positive.text} belongs here, not {describe_given(value)}"
    malformed(body, clause, expression.span, expected)
    return None


def read_checkpoint(body: Body, clause: Clause) -> Checkpoint | None:
    """`checkpoint every=500steps`, `checkpoint every=10min`."""
    operands = read_operands(body, clause)
    if not operands:
        return None
    operand, *more = operands
    expression = operand.value
    if more or operand.name is None or operand.name.text != "every":
        place = more[0].span if more else operand.span
        malformed(body, clause, place, "it takes `every=` and nothing else")
        return None
    if isinstance(expression, Declare):
        malformed(body, clause, operand.span, "it takes a value, no type")
        return None
    value = body.evaluate(expression)
    match value:
        case Poison():
            return None
        case Known(int() as number, unit="step" | "steps") if number >= 1:
            return Checkpoint(number, STEPS, clause.word.span)
        case Known(int() | float() as number, unit="s" | "min" | "h") if number > 0:
            return Checkpoint(float(number), SECONDS, clause.word.span)
    expected = f"a number of steps, or a time, belongs here, not {describe_given(value)}"
    malformed(body, clause, expression.span, expected)
    return None


CLIP_BOUNDS = ("norm", "value")
"""What `clip` may bound: the norm of all gradients together, or each entry."""


# --- freeze -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Freezing:
    """`freeze "stem.*", m, until=3epochs`: patterns of parameters, or whole nets; `epochs` is None
    where they stay as they are."""

    patterns: tuple[Pattern, ...]
    epochs: int | None
    span: Span


def read_freeze(body: Body, clause: Clause) -> Freezing:
    """What a clause freezes; what is refused in it is reported."""
    patterns: list[Pattern] = []
    epochs: int | None = None
    for operand in read_operands(body, clause):
        if operand.name is not None and operand.name.text == "until":
            epochs = _read_epochs(body, clause, operand)
        elif operand.name is not None or isinstance(operand.value, Declare):
            malformed(body, clause, operand.span, "a pattern in quotes, or a net, belongs here")
        else:
            patterns += read_patterns(body, clause, operand.value)
    return Freezing(tuple(patterns), epochs, clause.word.span)


def _read_epochs(body: Body, clause: Clause, operand: Operand) -> int | None:
    """`until=3epochs`."""
    expected = "a number of epochs belongs here: `until=3epochs`"
    if isinstance(operand.value, Declare):
        malformed(body, clause, operand.span, expected)
        return None
    value = body.evaluate(operand.value)
    if isinstance(value, Poison):
        return None
    match value:
        case Known(int() as number, unit="epoch" | "epochs") if value.is_number:
            if number >= 1:
                return number
            span, least = operand.value.span, "1 or above"
            body.report(setting_range(span, "freeze", "until", str(number), least))
        case _:
            found = f"{expected}, not {describe_given(value)}"
            malformed(body, clause, operand.value.span, found)
    return None


def read_patterns(body: Body, clause: Clause, expression: Expr) -> list[Pattern]:
    """Patterns of one operand: a string, a list of strings, or a net, which stands for all of
    its parameters."""
    value = body.evaluate(expression)
    if isinstance(value, Poison):
        return []
    if isinstance(value, NetValue):
        value = place_net(body, value)
        return [Pattern(f"{value.path}.*" if value.path else "*", expression.span)]
    texts = read_texts(value)
    if texts is None:
        found = describe(value)
        expected = f"a pattern in quotes, or a net, belongs here, not {found}"
        malformed(body, clause, expression.span, expected)
        return []
    return [Pattern(text, expression.span) for text in texts]


# --- until --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Stalled:
    """`stalled(val.accuracy, epochs=8)`, as it is written."""

    split: Name
    metric: Name
    epochs: int
    span: Span


def read_until(body: Body, clause: Clause) -> Stalled | None:
    """`until stalled(val.accuracy, epochs=8)`; None where it was refused, which is reported."""
    expression = read_single(body, clause)
    if expression is None:
        return None
    while isinstance(expression, Group):
        expression = expression.inner
    if not isinstance(expression, Call) or expression.function.span.text != "stalled":
        expected = "it stops when a figure no longer improves: `stalled(…)`"
        body.report(bad_until(expression.span, expected))
        return None
    figure: Attribute | None = None
    patience: Expr | None = None
    for index, argument in enumerate(expression.arguments):
        name = argument.name.text if argument.name is not None else ("", "epochs")[index > 0]
        if name == "" and isinstance(argument.value, Attribute):
            figure = argument.value
        elif name == "epochs":
            patience = argument.value
        else:
            expected = "this is neither a figure nor `epochs`"
            if name != "" and did_you_mean(name, ("epochs",)):
                expected = "did you mean `epochs`?"
            body.report(bad_until(argument.span, expected))
            return None
    epochs = _read_patience(body, patience) if patience is not None else None
    named = _read_names(figure) if figure is not None else None
    if named is None:
        expected = "a figure is a split and a metric: `val.loss`"
        body.report(bad_until(expression.span, expected))
    elif patience is None:
        body.report(bad_until(expression.span, "for how many epochs? `epochs=8`"))
    elif epochs is not None:
        return Stalled(*named, epochs, clause.span)
    return None


def _read_names(figure: Attribute) -> tuple[Name, Name] | None:
    """Split and metric of `val.accuracy`, `val.critic.loss`; None where it is no such thing."""
    match figure.base:
        case Name() as split:
            return split, figure.name
        case Attribute(base=Name() as split, name=step) if figure.name.text == "loss":
            return split, Name(step.span.to(figure.name.span), f"{step.text}.loss")
    return None


def _read_patience(body: Body, expression: Expr) -> int | None:
    """The number of epochs without a better figure."""
    value = body.evaluate(expression)
    number = whole(value) if isinstance(value, Known) else None
    if isinstance(number, int) and number >= 1:
        return number
    if not isinstance(value, Poison):
        body.report(bad_until(expression.span, f"a whole number from 1, not {describe(value)}"))
    return None


def settle_until(
    body: Body,
    until: Stalled | None,
    splits: Sequence[str],
    metrics: Sequence[MetricEntry],
    losses: Sequence[str],
    refused: Collection[str],
) -> EarlyStop | None:
    """The early stop, where its split and its metric exist; else it is reported, unless the
    metric is one of those that were refused."""
    if until is None or until.metric.text in refused:
        return None
    split, metric = until.split, until.metric
    figure = Figure(split.text, metric.text)
    if not check_figure(
        body, figure, "`until`", (split.span, metric.span), splits, metrics, losses
    ):
        return None
    return EarlyStop(split.text, metric.text, until.epochs, until.span)


def check_figure(
    body: Body,
    figure: Figure,
    decides: str,  # what follows it: "`until`"
    places: tuple[Span | None, Span | None],
    splits: Sequence[str],
    metrics: Sequence[MetricEntry],
    losses: Sequence[str],
) -> bool:
    """Whether a train has a figure, and it is known which one is better; else it is reported, at
    the places of its split and its metric."""
    figures = (*(m.name for m in metrics), *losses)
    found = (("split", figure.split, tuple(splits)), ("metric", figure.metric, figures))
    for (kind, name, known), place in zip(found, places, strict=True):
        if name not in known:
            body.report(unknown_figure(place, kind, name, known, did_you_mean(name, known)))
            return False
    entry = next((m for m in metrics if m.name == figure.metric), None)
    chart = entry.metric.chart if entry is not None else None
    if entry is not None and chart is not None:
        said = (figure.metric, chart.kind, decides, chart.number)
        body.report(figure_is_a_chart(places[1], *said, entry.span))
        return False
    if entry is not None and entry.better is None:
        body.report(direction_needed(places[1], figure.metric, decides, entry.span))
        return False
    return True


def check_watched(
    body: Body,
    groups: Sequence[ParameterGroup],
    splits: Sequence[str],
    metrics: Sequence[MetricEntry],
    losses: Sequence[str],
    refused: Collection[str],
) -> bool:
    """Whether a train has the figures that its schedules follow."""
    return all(
        check_figure(
            body, figure, f"`{schedule.name}`", (group.span, group.span), splits, metrics, losses
        )
        for group in groups
        if (figure := (schedule := group.optimizer.schedule).watches) is not None
        and figure.metric not in refused
    )
