"""`-> load("file", only=[…], except=[…], rename=["a.*" -> "b.*"])` on nets."""

from __future__ import annotations

from collections.abc import Sequence

from compiler.elaborate.calls.binding import Actual, Formal, Signature, match_call
from compiler.elaborate.scopes.context import Body
from compiler.elaborate.values.describing import describe
from compiler.elaborate.values.parts import is_none
from compiler.elaborate.values.values import (
    POISON,
    ArgumentValue,
    Known,
    Layer,
    ListValue,
    Loaded,
    LoadFunction,
    Poison,
    Record,
    Val,
)
from compiler.program.net import AddAdapters, LoadWeights
from compiler.report.messages.arguments import wrong_argument
from compiler.report.source import Span
from compiler.vocabulary.net_functions import LOAD

_SIGNATURE = Signature(
    LOAD,
    (
        Formal("file", False, True, lambda _: True),
        Formal("only", False, False, lambda _: True),
        Formal("except", False, False, lambda _: True),
        Formal("rename", False, False, lambda _: True),
    ),
)


def call_load(body: Body, actuals: Sequence[Actual], span: Span) -> Val:
    """The function on nets that a call of `load` stands for."""
    match = match_call(_SIGNATURE, actuals, 0)
    if not match.holds:
        for fault in match.find_faults(_SIGNATURE, span):
            body.report(fault)
        return POISON
    given = match.given
    file = given["file"].value
    if not isinstance(file, Known) or not isinstance(file.value, str):
        _refuse(body, "file", "a path in quotes", given["file"])
        return POISON
    only = _patterns(body, "only", given.get("only"))
    excluded = _patterns(body, "except", given.get("except"))
    rename = _renames(body, given.get("rename"))
    if only is None or excluded is None or rename is None:
        return POISON
    return LoadFunction(LoadWeights(file.value, only, excluded, rename, span), span)


def _patterns(body: Body, name: str, item: ArgumentValue | None) -> tuple[str, ...] | None:
    if item is None or is_none(item.value):
        return ()
    items = item.value.items if isinstance(item.value, ListValue) else (item.value,)
    words = [i.value for i in items if isinstance(i, Known) and isinstance(i.value, str)]
    if len(words) != len(items):
        _refuse(body, name, 'a list of patterns such as "fc.*"', item)
        return None
    return tuple(words)


def _renames(body: Body, item: ArgumentValue | None) -> tuple[tuple[str, str], ...] | None:
    if item is None or is_none(item.value):
        return ()
    items = item.value.items if isinstance(item.value, ListValue) else (item.value,)
    pairs = []
    for entry in items:
        match entry:
            case Record(items=((_, Known(str() as old)), (_, Known(str() as new)))):
                pairs.append((old, new))
            case _:
                _refuse(body, "rename", 'a list of pairs such as "enc.*" -> "body.*"', item)
                return None
    return tuple(pairs)


def _refuse(body: Body, name: str, expected: str, item: ArgumentValue) -> None:
    if not isinstance(item.value, Poison):
        body.report(wrong_argument(item.span, LOAD, name, expected, describe(item.value)))


def split_loads(layer: Layer) -> tuple[Layer, tuple[LoadWeights | AddAdapters, ...]]:
    """A layer without its loads, and the loads in order."""
    loads: list[LoadWeights | AddAdapters] = []
    while isinstance(layer, Loaded):
        loads = [*layer.loads, *loads]
        layer = layer.layer
    return layer, tuple(loads)
