"""`-> lora(rank=8, only=[…])` on nets: adapters beside dense layers, everything else frozen."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from compiler.compression.attach import attach
from compiler.compression.low_rank.adapting import (
    add_adapters,
    find_adaptable,
    find_frozen,
    find_left_out,
)
from compiler.compression.low_rank.layers import slot_of
from compiler.compression.selecting import is_selected, layer_path
from compiler.ir.graph import Graph, Node
from compiler.ir.weights import match_paths
from compiler.program.net import AddAdapters, LoadWeights, Net
from compiler.program.train import Train
from compiler.report.diagnostics import CompileError, Label, Message
from compiler.report.messages.low_rank import (
    layers_not_adapted,
    nothing_to_adapt,
    pattern_not_adapted,
)
from compiler.report.messages.training import pattern_matches_nothing
from compiler.report.suggestions import did_you_mean
from compiler.vocabulary.net_functions import Lora

Report = Callable[[Message], None]
LABELS = 4
"""Layers without adapters whose places are shown."""


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
        report(nothing_to_adapt(step.span, tuple(paths)))
        return None
    return made if _report_left_out(graph, step, report) else None


def _report_left_out(graph: Graph, step: AddAdapters, report: Report) -> bool:
    """Reports the layers that get no adapter, and patterns that name nothing; whether the net may
    be used so: it may not where a pattern has no effect."""
    lora, prefix = step.lora, _dotted(step.prefix)
    adapted = [slot_of(node).removeprefix(prefix) for node in find_adaptable(graph, lora, prefix)]
    unmet = [p for p in lora.only or () if not any(is_selected(a, (p,), ()) for a in adapted)]
    for pattern in unmet:
        named = _place(find_left_out(graph, replace(lora, only=(pattern,)), prefix))
        others = named or _place(find_left_out(graph, replace(lora, only=None), prefix))
        report(pattern_not_adapted(step.span, pattern, bool(named), others))
    inside = [p.removeprefix(prefix) for p in graph.parameter if p.startswith(prefix)]
    for pattern in lora.train:
        if not match_paths(inside, (pattern,)):
            unmet.append(pattern)
            near = did_you_mean(pattern, inside)
            report(pattern_matches_nothing(step.span, pattern, tuple(inside), near))
    left = find_left_out(graph, lora, prefix)
    if left and not unmet:
        paths = tuple(layer_path(node).removeprefix(prefix) for node, _ in left)
        report(layers_not_adapted(step.span, tuple(dict.fromkeys(paths)), _place(left)))
    return not unmet


def _place(left: Sequence[tuple[Node, str]]) -> tuple[Label, ...]:
    """Where layers without an adapter stand, and why they have none."""
    labels = (Label(n.origin.span, f"no adapter: {why}") for n, why in left if n.origin.span)
    return tuple(dict.fromkeys(labels))[:LABELS]


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
