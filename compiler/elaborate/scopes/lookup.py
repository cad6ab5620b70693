"""What a name means where it stands: the body, its parameters, the file, `use`, built-ins."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from compiler.elaborate.scopes.context import Body, scope_of
from compiler.elaborate.scopes.later import refuse_later
from compiler.elaborate.scopes.library import find_home
from compiler.elaborate.scopes.modes import MODE, read_mode, refuse_mode
from compiler.elaborate.scopes.moments import count, is_of_time, refuse_time
from compiler.elaborate.scopes.resolve import resolve_name
from compiler.elaborate.values.functions import CONSTANTS, FUNCTIONS
from compiler.elaborate.values.parts import is_layer
from compiler.elaborate.values.values import (
    POISON,
    DTypeValue,
    FunctionLayer,
    ItemValue,
    Known,
    Namespace,
    OpLayer,
    Poison,
    Refused,
    Tensor,
    Val,
)
from compiler.ir.hint import HintConst
from compiler.ops.registry import OPS
from compiler.report.diagnostics import Message
from compiler.report.habits import advise
from compiler.report.messages.metrics import metric_in_expression
from compiler.report.messages.names import no_value, not_available, unbound_size, unknown_name
from compiler.report.messages.wording import COLUMNS, list_words
from compiler.report.source import Span
from compiler.report.suggestions import did_you_mean
from compiler.text.tree.syntax import Attribute, Expr, Name, Sweep, Train
from compiler.training.base import METRICS, OPTIMIZERS
from compiler.training.registry import load_training
from compiler.types.tensor import DType
from compiler.vocabulary.clauses import DATA, TRAIN
from compiler.vocabulary.initializers import INITIALIZERS
from compiler.vocabulary.net_functions import LOAD, NET_FUNCTIONS


def look_up(body: Body, name: Name, *, applied: bool) -> Val:
    """The value of a name. Where something is applied (`x -> NAME`, `NAME(…)`), values that
    cannot be are passed over, so that a tensor called `mean` hides no function. An unknown name
    is reported."""
    passed: Val | None = None
    for value in _meanings(body, name):
        if isinstance(value, Poison) or not applied or is_layer(value):
            return _check_value(body, name, value)
        passed = passed if passed is not None else value
    if passed is not None:
        return _check_value(body, name, passed)
    if not applied and (found := read_mode(body, name) or count(body, name)) is not None:
        return found
    _report_unknown(body, name, applied=applied)
    return POISON


def find_value(body: Body, name: Name) -> Val | None:
    """The nearest value of a name, where it has one; nothing is reported of it."""
    return next(_meanings(body, name), None)


def _meanings(body: Body, name: Name) -> Iterator[Val]:
    """Everything a name could mean, nearest first."""
    word = name.text
    for layer in reversed(body.names):
        if word in layer:
            yield layer[word]
    found = resolve_name(body.file, word, name.span, body.home)
    if found is not None:
        yield found
    built_in = find_built_in(body, word, name.span)
    if built_in is not None:
        yield built_in


def find_built_in(body: Body, word: str, span: Span) -> Val | None:
    """A layer, function, dtype or constant that every spec knows."""
    op = OPS.get(word)
    if op is not None:
        return OpLayer(op, {}, span, body.frame)
    if word in FUNCTIONS:
        return FunctionLayer(FUNCTIONS[word], span)
    if word in CONSTANTS:
        return Known(CONSTANTS[word], HintConst(CONSTANTS[word]))
    dtype = next((d for d in DType if d.value == word), None)
    return DTypeValue(dtype) if dtype is not None else None


def _check_value(body: Body, name: Name, value: Val) -> Val:
    if isinstance(value, Refused):
        body.report(replace(value.message, span=name.span))
        return POISON
    if not isinstance(value, ItemValue):
        return value
    return stand_for(body, value, name.span)


def find_train(body: Body, function: Expr) -> ItemValue | None:
    """The train that is called, and no layer: `fit`, or `x.fit` of another file."""
    match function:
        case Name(text=word):
            used = (b.entries.get(word) for use, b in body.file.uses if b and use.alias is None)
            entries = (body.file.entries.get(word), *used)
            if not any(isinstance(entry, Train | Sweep) for entry in entries):
                return None
            if any(map(is_layer, _meanings(body, function))):
                return None
            nearest = find_value(body, function)
            return nearest if isinstance(nearest, ItemValue) else None
        case Attribute(base=Name() as base, name=name):
            space = find_value(body, base)
            entry = scope_of(space).entries.get(name.text) if isinstance(space, Namespace) else None
            if isinstance(entry, Train | Sweep):
                return ItemValue(type(entry).__name__.lower(), name.text, entry.name.span)
    return None


def stand_for(body: Body, item: ItemValue, span: Span, actuals: Sequence[Any] = ()) -> Val:
    """What an item means where a value is needed: a train stands for the net that it trained,
    with its parameters from the arguments of a call. What is no value is reported."""
    trained = None
    if item.kind in ("train", "sweep") and body.clauses.place != DATA.place:
        trained = body.session.trained(body, item, span, actuals)
    if trained is not None:
        return trained
    refuse_item(body, item, span)
    return POISON


def refuse_item(body: Body, item: ItemValue, span: Span) -> None:
    """Reports an item that stands where a value is needed and is none, or none there."""
    if item.kind == "train" and body.clauses.place == DATA.place:
        body.report(not_available(span, item.name, "stand for its trained net among columns"))
    elif item.kind == "sweep":
        body.report(not_available(span, item.name, "stand for its best net in other files"))
    elif item.kind == "variant":
        body.report(not_available(span, item.name, "stand for its net in other items"))
    else:
        body.report(no_value(span, f"the {item.kind} {item.name}", item.span))


def _report_unknown(body: Body, name: Name, *, applied: bool) -> None:
    word = name.text
    if body.partial or body.session.has_seen(unknown_name.code, name.span):
        return
    unbound = body.unbound.get(word)
    if unbound is not None:
        body.report(unbound_size(name.span, word, unbound.text, unbound.span))
        return
    if is_of_time(word):
        refuse_time(body, name)
        return
    refusal = refuse_mode(body, name) if word == MODE else refuse_meant(name)
    if refusal is not None:
        body.report(refusal)
        return
    kind = "layer" if applied else "name"
    suggestion = did_you_mean(word, known_names(body, applied=applied))
    note = explain_unknown(word)
    if note is None and suggestion is None and not applied:
        note = _list_names(body)
    body.report(unknown_name(name.span, word, kind, None if note else suggestion, note))


def _list_names(body: Body) -> str | None:
    """The tensors that a data item or a train has: its columns stand in another file."""
    if body.clauses.place not in (DATA.place, TRAIN.place):
        return None
    layers = (layer.items() for layer in body.names)
    names = dict.fromkeys(n for items in layers for n, v in items if isinstance(v, Tensor))
    return f"there is {list_words(tuple(names), COLUMNS)}" if names else None


def refuse_meant(name: Name) -> Message | None:
    """Why a name that means something, and nothing here, cannot be used."""
    later = refuse_later(name)
    if later is not None:
        return later
    load_training()
    if METRICS.get(name.text) is not None:
        return metric_in_expression(name.span, name.text)
    return None


def explain_unknown(word: str) -> str | None:
    """How to say what an unknown word seems to be meant for, where that is known."""
    if INITIALIZERS.get(word) is not None:
        return (
            f"`{word}` is an initializer: it stands behind `=` in `param p: f32[…] = {word}`, "
            "and in `init=` of a layer"
        )
    load_training()
    if OPTIMIZERS.get(word) is not None:
        return f"`{word}` is an optimizer: `minimize … with {word}(lr=1e-3)`"
    if NET_FUNCTIONS.get(word) is not None:
        return f"`{word}` is a function on nets: `net tuned = Model() -> {word}()`"
    home = find_home(word)
    if home is not None:
        return f"`{word}` is a block of the library: write `use {home}` at the top of the file"
    return advise(word)


def known_names(body: Body, *, applied: bool) -> list[str]:
    """The names that could be meant, nearest first."""
    names: dict[str, None] = {}
    for layer in reversed(body.names):
        for name, value in layer.items():
            if not applied or is_layer(value):
                names[name] = None
    names.update(dict.fromkeys(body.file.names()))
    names.update(dict.fromkeys(OPS.names()))
    names.update(dict.fromkeys(FUNCTIONS))
    names.update(dict.fromkeys((LOAD, *NET_FUNCTIONS.names())))
    if not applied:
        names.update(dict.fromkeys((*CONSTANTS, *(d.value for d in DType))))
    return list(names)
