"""Applying layers to tensors: ops, blocks, nets, sequences, copies and labels alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from compiler.elaborate.calls.binding import fill_inputs
from compiler.elaborate.calls.nets import apply_sequence
from compiler.elaborate.calls.signatures import given_of, sign
from compiler.elaborate.calls.weights import claim_path
from compiler.elaborate.evaluate.calls import apply_given, call_function
from compiler.elaborate.scopes.application import Application, Label
from compiler.elaborate.scopes.context import Body
from compiler.elaborate.scopes.paths import Path, join_hints
from compiler.elaborate.values.values import (
    POISON,
    ArgumentValue,
    Compose,
    FunctionLayer,
    Labelled,
    Layer,
    Loaded,
    LoadFunction,
    NetValue,
    Poison,
    Record,
    Repeat,
    Val,
)
from compiler.ir.frame import Turn, TurnName
from compiler.ir.hint import HintCall, HintName
from compiler.report.messages.arguments import missing_argument, wrong_inputs
from compiler.report.messages.nets import only_on_nets
from compiler.report.source import Span


def apply_layer(
    body: Body, layer: Layer, inputs: Sequence[ArgumentValue], application: Application
) -> Val:
    """The result of a layer on what `->` brings to it."""
    if any(isinstance(i.value, Poison) for i in inputs):
        return POISON
    match layer:
        case Labelled(inner, text, span, hint):
            return _apply_labelled(body, inner, Label(text, span, hint), inputs, application)
        case Compose(stages):
            return _apply_stages(body, stages, inputs, application)
        case Repeat():
            return _apply_copies(body, layer, inputs, application)
        case FunctionLayer(function):
            return call_function(body, function, inputs, application.span)
        case Loaded(loads=loads, span=span):
            body.report(only_on_nets(span, LoadFunction(loads[-1], span).name))
            return POISON
        case LoadFunction():
            body.report(only_on_nets(application.span, layer.name))
            return POISON
    if isinstance(layer, NetValue) and sign(layer) is None:
        return apply_sequence(body, layer, inputs, application)
    return _apply_signed(body, layer, inputs, application)


def _apply_labelled(
    body: Body,
    layer: Layer,
    label: Label,
    inputs: Sequence[ArgumentValue],
    application: Application,
) -> Val:
    if application.label is None:
        return body.apply(layer, inputs, replace(application, label=label))
    path = claim_path(body, application.label, application.label.text, application.span)
    if path is None:
        return POISON
    with body.under(path):
        return body.apply(layer, inputs, replace(application, label=label))


def _apply_stages(
    body: Body, stages: Sequence[Layer], inputs: Sequence[ArgumentValue], application: Application
) -> Val:
    """A sequence; a label makes it a scope."""
    if application.label is not None:
        path = claim_path(body, application.label, application.label.text, application.span)
        if path is None:
            return POISON
        with body.under(path):
            return _apply_stages(body, stages, inputs, replace(application, label=None))
    value: Val = POISON
    for index, stage in enumerate(stages):
        last = index == len(stages) - 1
        span = stage.span if not isinstance(stage, Labelled) else _own_span(stage.layer)
        place = Application(span, names=application.names if last else ())
        value = body.apply(stage, inputs, place)
        if isinstance(value, Poison):
            return POISON
        inputs = _inputs(value, span)
    return value


def _own_span(layer: Layer) -> Span:
    while isinstance(layer, Labelled):
        layer = layer.layer
    return layer.span


def _apply_copies(
    body: Body, layer: Repeat, inputs: Sequence[ArgumentValue], application: Application
) -> Val:
    """`n * layer`: copies in sequence, `label.0`, `label.1` … where it has a label."""
    value: Val = POISON
    span = _own_span(layer.layer)
    over = None if layer.hint is None else HintCall("range", (layer.hint,))
    for index in range(layer.count):
        body.session.spend(1, application.span)
        label = application.label
        if label is not None:
            label = _number_label(label, index)
        names = application.names if index == layer.count - 1 else ()
        turn = Turn(layer.span, index, (TurnName(COPY, index),), over)
        with body.turning(turn):
            value = body.apply(layer.layer, inputs, Application(span, label, names))
        if isinstance(value, Poison):
            return POISON
        inputs = _inputs(value, span)
    return value


COPY = "i"
"""What the number of a copy is called."""


def _number_label(label: Label, index: int) -> Label:
    """`body.0`, `body.1` … as labels of copies."""
    numbered = Path(str(index), HintName(COPY))
    hint = join_hints(Path(label.text, label.hint), numbered)
    return Label(f"{label.text}.{index}", label.span, hint)


def _inputs(value: Val, span: Span) -> Sequence[ArgumentValue]:
    if isinstance(value, Record):
        return tuple(ArgumentValue(item, span) for item in value.values)
    return (ArgumentValue(value, span),)


def _apply_signed(
    body: Body, layer: Layer, inputs: Sequence[ArgumentValue], application: Application
) -> Val:
    """An op, block, model or net: the tensors go into its open parameters, in order."""
    signature = sign(layer)
    assert signature is not None
    before = given_of(layer)
    given = fill_inputs(signature.formals, before, inputs)
    if given is None:
        takes = tuple(f.name for f in signature.formals if f.tensor and f.name not in before)
        body.report(
            wrong_inputs(
                application.span, signature.callee, len(inputs), takes, signature.definition
            )
        )
        return POISON
    missing = tuple(f.name for f in signature.formals if f.required and f.name not in given)
    if missing:
        body.report(
            missing_argument(application.span, signature.callee, missing, signature.definition)
        )
        return POISON
    return apply_given(body, layer, given, application)
