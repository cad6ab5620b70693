"""What the layers of a net take from the block around it, as arguments of the net."""

from __future__ import annotations

from collections.abc import Iterator

from compiler.elaborate.scopes.context import Body
from compiler.elaborate.values.parts import list_hints
from compiler.elaborate.values.values import (
    BlockLayer,
    Compose,
    Labelled,
    Layer,
    NetValue,
    OpLayer,
    Repeat,
)
from compiler.ir.frame import Argument
from compiler.ir.hint import Hint, HintName, hint_names
from compiler.report.source import Span


def close_over(body: Body, layer: Layer) -> tuple[Argument, ...]:
    """The parameters and sizes of the body's block that layers were written with, as arguments of
    a call that has the same names for them. None where some were written elsewhere, have weights
    elsewhere, or are in names of a loop."""
    assert body.frame is not None
    parts = list(_walk(layer))
    makers = [part for part in parts if isinstance(part, OpLayer | BlockLayer) and part.given]
    names = dict.fromkeys(name for part in parts for h in _hints(part) for name in hint_names(h))
    known = {argument.name: argument for argument in body.frame.arguments}
    foreign = any(part.frame is not body.frame for part in makers)
    if foreign or any(isinstance(part, NetValue) for part in parts):
        return ()
    if not names.keys() <= known.keys():
        return ()
    spans = [span for part in parts for span in _spans(part)]
    return tuple(
        Argument(
            name,
            known[name].value,
            HintName(name),
            untraced=tuple(p for p in known[name].untraced if _is_within(p, spans)),
        )
        for name in names
    )


def _walk(layer: Layer) -> Iterator[Layer]:
    """A layer and those that it is made of; nets are made of their own."""
    yield layer
    match layer:
        case Compose(stages):
            for stage in stages:
                yield from _walk(stage)
        case Repeat(layer=inner) | Labelled(layer=inner):
            yield from _walk(inner)


def _hints(layer: Layer) -> Iterator[Hint]:
    """How the numbers in a layer were written."""
    match layer:
        case OpLayer() | BlockLayer():
            for given in layer.given.values():
                yield from list_hints(given.value)
        case Repeat() | Labelled():
            if layer.hint is not None:
                yield layer.hint


def _spans(layer: Layer) -> Iterator[Span]:
    yield layer.span
    if isinstance(layer, OpLayer | BlockLayer):
        yield from (given.span for given in layer.given.values())


def _is_within(place: Span, spans: list[Span]) -> bool:
    """Whether a place lies between the first and the last of some."""
    same = [span for span in spans if span.source is place.source]
    return any(s.start <= place.start for s in same) and any(place.end <= s.end for s in same)
