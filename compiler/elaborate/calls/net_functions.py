"""Calls of functions on nets that classes describe: `lora(rank=8)`, `ema(net, decay=0.99)`."""

from __future__ import annotations

from dataclasses import replace

from compiler.elaborate.calls.described import build_described
from compiler.elaborate.scopes.context import Body
from compiler.elaborate.values.describing import describe
from compiler.elaborate.values.values import POISON, Loaded, LoadFunction, NetValue, Poison, Val
from compiler.program.net import AddAdapters, TakeAverage
from compiler.report.messages.training_steps import not_a_net_of_the_train
from compiler.report.source import Span
from compiler.text.tree.syntax import Call
from compiler.vocabulary.net_functions import NET_FUNCTIONS, Average, Lora


def is_net_function(word: str) -> bool:
    """Whether a word is a function on nets that is described by a class."""
    return NET_FUNCTIONS.get(word) is not None


def call_net_function(body: Body, expression: Call, word: str, span: Span) -> Val:
    """The function on nets that a call stands for."""
    cls = NET_FUNCTIONS.get(word)
    assert cls is not None, "the word was looked up"
    first = expression.arguments[0] if expression.arguments else None
    given: Val | None = None
    follows = issubclass(cls, Average)
    if follows and first is not None and first.name is None:
        given = body.evaluate(first.value)
        expression = replace(expression, arguments=expression.arguments[1:])
    made = build_described(body, expression, cls)
    if isinstance(made, Lora):
        return LoadFunction(AddAdapters(made, span), span)
    if not isinstance(made, Average) or isinstance(given, Poison):
        return POISON
    average = TakeAverage(made, span)
    if given is None:
        return LoadFunction(average, span)
    assert first is not None, "it is what was given"
    if not isinstance(given, NetValue | Loaded):
        body.report(not_a_net_of_the_train(first.value.span, word, describe(given)))
        return POISON
    return Loaded(given, (average,), span)
