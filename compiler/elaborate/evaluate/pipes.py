"""`->` and `as`: tensors through layers, layers after one another, and names of stages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from compiler.elaborate.calls.weights import claim_path
from compiler.elaborate.evaluate.labels import read_label
from compiler.elaborate.scopes.application import Application, ExpectedUse, Label
from compiler.elaborate.scopes.context import Body
from compiler.elaborate.scopes.lints import check_label
from compiler.elaborate.scopes.sizes import keep
from compiler.elaborate.values.describing import describe
from compiler.elaborate.values.parts import is_layer
from compiler.elaborate.values.values import (
    POISON,
    ArgumentValue,
    Compose,
    Known,
    Labelled,
    Layer,
    ListValue,
    Loaded,
    LoadFunction,
    Poison,
    Record,
    Tensor,
    Val,
)
from compiler.ir.hint import Hint, HintName
from compiler.records import dataclass
from compiler.report.messages.nets import label_names_nothing, not_a_layer
from compiler.report.messages.syntax import bare_arithmetic
from compiler.report.source import Span
from compiler.text.tree.syntax import (
    Attribute,
    Binary,
    Call,
    Expr,
    Group,
    Name,
    Named,
    Subscript,
    Then,
)


@dataclass(frozen=True)
class Stage:
    """What stands behind an arrow: its value, label, place, and the parameter of the block
    that it came from."""

    value: Val
    label: Label | None
    span: Span
    hint: Hint | None


def evaluate_pipe(body: Body, expression: Then, want: ExpectedUse) -> Val:
    """The value of `a -> f -> g`: stages applied from left to right, or a sequence of layers."""
    stages: list[Expr] = []
    first: Expr = expression
    arrow = expression.operator_span
    while isinstance(first, Then):
        stages.append(first.right)
        arrow = first.operator_span
        first = first.left
    stages.reverse()
    value = body.evaluate(first)
    _refuse_product(body, first, value, arrow)
    span = first.span
    for index, syntax in enumerate(stages):
        names = want.names if index == len(stages) - 1 else ()
        value = _step(body, value, span, syntax, names)
        span = expression.span if index == len(stages) - 1 else first.span.to(syntax.span)
    return value


def _refuse_product(body: Body, first: Expr, value: Val, arrow: Span) -> None:
    """Reports `a * b -> f` of tensors: only copies of layers, `n * layer`, may stand bare before an
    arrow, and which it is the values tell."""
    inner = first.expression if isinstance(first, Named) else first
    if isinstance(inner, Binary) and not is_layer(value) and not isinstance(value, Poison):
        body.report(bare_arithmetic(inner.operator_span, inner.operator, 2, arrow))


def _step(body: Body, value: Val, span: Span, syntax: Expr, names: tuple[str, ...]) -> Val:
    """One arrow: the value on its left through the stage on its right."""
    inputs = _inputs(value, span)
    supplied = 1 if is_layer(value) or isinstance(value, Poison) else len(inputs)
    stage = read_stage(body, syntax, supplied)
    if isinstance(value, Poison) or isinstance(stage.value, Poison):
        return POISON
    renamed = _pair_strings(value, stage)
    if renamed is not None:
        return renamed
    if not is_layer(stage.value):
        _refuse_stage(body, value, stage)
        return POISON
    layer: Layer = stage.value  # type: ignore[assignment]
    if is_layer(value):
        if isinstance(layer, LoadFunction):
            return Loaded(value, (layer.load,), layer.span)  # type: ignore[arg-type]
        return keep(body, _compose(value, layer, stage), stage.span)  # type: ignore[arg-type]
    application = Application(stage.span, stage.label, names, stage.hint)
    return body.apply(layer, inputs, application)


def _inputs(value: Val, span: Span) -> Sequence[ArgumentValue]:
    if isinstance(value, Record):
        return tuple(ArgumentValue(item, span) for item in value.values)
    return (ArgumentValue(value, span),)


def _pair_strings(value: Val, stage: Stage) -> Val | None:
    """`"enc.*" -> "body.*"`: a pair, as `rename` takes it; on one side may stand a list. `groups`
    takes a pattern and a number."""
    match value, stage.value:
        case Known(str()), Known(int()):
            return Record((("", value), ("", stage.value)))
        case Known(str()), Known(str()) | ListValue() if _has_words(stage.value):
            return Record((("", value), ("", stage.value)))
        case ListValue(), Known(str()) if _has_words(value):
            return Record((("", value), ("", stage.value)))
    return None


def _has_words(value: Val) -> bool:
    """Whether a value is a text or a list of texts."""
    items = value.items if isinstance(value, ListValue) else (value,)
    return bool(items) and all(isinstance(i, Known) and isinstance(i.value, str) for i in items)


def _refuse_stage(body: Body, value: Val, stage: Stage) -> None:
    hint = "a layer, block, model or net comes after `->`"
    made = None
    if isinstance(stage.value, Tensor):
        made = stage.value.made
        if isinstance(value, Tensor):
            hint = (
                "`->` applies a layer; to join tensors, write `a + b` or `concat([a, b], axis=1)`"
            )
        else:
            hint = "a call with all its tensors is applied at once; leave the first one out"
    body.report(not_a_layer(stage.span, describe(stage.value), hint, made))


def _compose(left: Layer, right: Layer, stage: Stage) -> Compose:
    if stage.label is not None:
        right = Labelled(right, stage.label.text, stage.label.span, stage.label.hint)
    stages = left.stages if isinstance(left, Compose) else (left,)
    return Compose((*stages, right), stage.span)


def read_stage(body: Body, syntax: Expr, supplied: int) -> Stage:
    """Evaluates what stands behind an arrow."""
    label: Label | None = None
    if isinstance(syntax, Named):
        label = read_label(body, syntax.label)
        syntax = syntax.expression
    inner = _ungroup(syntax)
    value = body.evaluate(syntax, ExpectedUse(supplied=supplied))
    hint = None
    if isinstance(inner, Name) and inner.text in body.names[0]:
        hint = HintName(inner.text)
    return Stage(value, label, callee_span(inner), hint)


def _ungroup(syntax: Expr) -> Expr:
    while isinstance(syntax, Group):
        syntax = syntax.inner
    return syntax


def callee_span(syntax: Expr) -> Span:
    """The name of what is applied, for carets."""
    syntax = _ungroup(syntax)
    match syntax:
        case Call(function=function):
            return callee_span(function)
        case Attribute(name=name):
            return name.span
        case Named(expression=inner):
            return callee_span(inner)
        case Subscript(base=base):
            return base.span
    return syntax.span


# --- as ---------------------------------------------------------------------------------------


def evaluate_named(body: Body, expression: Named, want: ExpectedUse) -> Val:
    """The value of `expression as label` outside of a pipe: a labelled layer, or a call whose
    stage takes the label."""
    label = read_label(body, expression.label)
    inner = _ungroup(expression.expression)
    if label is None:
        body.evaluate(inner)
        return POISON
    if isinstance(inner, Call):
        value = body.evaluate(inner, replace(want, label=label))
    elif isinstance(inner, Name | Attribute):
        value = body.evaluate(inner, replace(want, label=None, supplied=1))
    else:
        return _label_group(body, expression, inner, label, want)
    if isinstance(value, Poison) or not is_layer(value):
        if not isinstance(value, Poison) and not isinstance(inner, Call):
            body.report(label_names_nothing(label.span, label.text, describe(value)))
            return POISON
        return value
    labelled = Labelled(value, label.text, label.span, label.hint)  # type: ignore[arg-type]
    return keep(body, labelled, label.span)


def _label_group(
    body: Body, expression: Named, inner: Expr, label: Label, want: ExpectedUse
) -> Val:
    """`(x -> f -> g) as label`: what is applied inside lives under the label."""
    if body.home is None or body.frame is None:
        value = body.evaluate(inner, replace(want, label=None))
    else:
        before = len(body.paths.taken)
        path = claim_path(body, label, label.text, label.span)
        if path is None:
            return POISON
        with body.under(path):
            value = body.evaluate(inner, replace(want, label=None))
        if is_layer(value):
            body.paths.release(path.text, "")
        elif len(body.paths.taken) == before + 1 and not isinstance(value, Poison):
            body.report(label_names_nothing(label.span, label.text, describe(value)))
            return POISON
        else:
            check_label(body, expression)
    if is_layer(value):
        labelled = Labelled(value, label.text, label.span, label.hint)  # type: ignore[arg-type]
        return keep(body, labelled, label.span)
    return value
