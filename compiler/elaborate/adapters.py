"""`-> lora(rank=8, only=[…])` on nets: adapters beside dense layers, everything else frozen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from compiler.compression.attach import attach
from compiler.compression.low_rank.adapting import (
    add_adapters,
    find_adaptable,
    find_frozen,
)
from compiler.compression.low_rank.layers import slot_of
from compiler.compression.low_rank.lora import NET_FUNCTIONS, Lora
from compiler.diagnostics import CompileError, Message
from compiler.elaborate.context import Body
from compiler.elaborate.described import build_described
from compiler.elaborate.values import POISON, LoadFunction, Val
from compiler.ir.graph import Graph
from compiler.messages.low_rank import NothingToAdapt
from compiler.program import AddAdapters, LoadWeights, Net, Train
from compiler.source import Span
from compiler.syntax import Call

Report = Callable[[Message], None]


def is_net_function(word: str) -> bool:
    """Whether a word is a function on nets that is described by a class."""
    return NET_FUNCTIONS.get(word) is not None


def call_net_function(body: Body, expression: Call, word: str, span: Span) -> Val:
    """The function on nets that a call stands for."""
    cls = NET_FUNCTIONS.get(word)
    assert cls is not None, "the word was looked up"
    made = build_described(body, expression, cls)
    if not isinstance(made, Lora):
        return POISON
    return LoadFunction(AddAdapters(made, span), span)


def adapt_net(net: Net, report: Report) -> Net | None:
    """The net with its adapters; None where one adapts nothing, which is reported."""
    graph, loads = net.graph, net.loads
    for step in net.adapters:
        made = _adapt(graph, step, report)
        if made is None:
            return None
        before = (_leave_out(load, graph, made) for load in loads[: step.loads])
        loads = (*before, *loads[step.loads :])
        graph = made
    return replace(net, graph=graph, loads=loads, adapters=())


def _adapt(graph: Graph, step: AddAdapters, report: Report) -> Graph | None:
    prefix = _dotted(step.prefix)
    made = add_adapters(graph, step.lora, prefix)
    if made is graph:
        everything = find_adaptable(graph, Lora(), prefix)
        paths = dict.fromkeys(slot_of(node).removeprefix(prefix) for node in everything)
        report(NothingToAdapt(step.span, tuple(paths)))
        return None
    return made


def _leave_out(load: LoadWeights, before: Graph, after: Graph) -> LoadWeights:
    """The load without the adapters, which its file does not have: they start at zero."""
    prefix = _dotted(load.prefix)
    new = (p for p in after.parameter if p not in before.parameter and p.startswith(prefix))
    return replace(load, excluded=(*load.excluded, *(p.removeprefix(prefix) for p in new)))


def adapt_train(train: Train, report: Report) -> Train | None:
    """The train with adapters in its nets and all else of them frozen; None where something was
    refused, which is reported."""
    for old in train.nets:
        if not old.net.adapters:
            continue
        made = adapt_net(old.net, report)
        if made is None:
            return None
        frozen = tuple(
            path
            for step in old.net.adapters
            for path in find_frozen(old.net.graph, step.lora, _dotted(step.prefix))
        )
        try:
            train = attach(train, old.name, made.graph)
        except CompileError as error:
            for message in error.messages:
                report(message)
            return None
        nets = tuple(
            replace(net, net=replace(net.net, loads=made.loads, adapters=(), frozen=frozen))
            if net.name == old.name
            else net
            for net in train.nets
        )
        freeze = (*train.freeze, *(old.prefix + path for path in frozen))
        train = replace(train, nets=nets, freeze=tuple(dict.fromkeys(freeze)))
    return train


def _dotted(prefix: str) -> str:
    return f"{prefix}." if prefix else ""
