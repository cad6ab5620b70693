"""`-> load("file", only=[…], except=[…], rename=["a.*" -> "b.*"], …)` on nets."""

from __future__ import annotations

import pathlib
from collections.abc import Mapping, Sequence

from compiler.elaborate.calls.binding import Actual, Formal, Signature, match_call
from compiler.elaborate.scopes.context import Body, find_place
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
from compiler.program.net import AddAdapters, Grouping, LoadWeights, Renaming, TakeAverage
from compiler.report.messages.arguments import wrong_argument
from compiler.report.messages.repositories import bad_repository, bad_revision, stars_differ
from compiler.report.source import Span
from compiler.vocabulary.net_functions import LOAD
from compiler.weights.names import SCHEME, is_revision, read_name

_SIGNATURE = Signature(
    LOAD,
    (
        Formal("file", False, True, lambda _: True),
        Formal("only", False, False, lambda _: True),
        Formal("except", False, False, lambda _: True),
        Formal("rename", False, False, lambda _: True),
        Formal("transpose", False, False, lambda _: True, by_name=True),
        Formal("copy", False, False, lambda _: True, by_name=True),
        Formal("groups", False, False, lambda _: True, by_name=True),
        Formal("revision", False, False, lambda _: True, by_name=True),
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
    transpose = _patterns(body, "transpose", given.get("transpose"))
    rename = _renames(body, "rename", given.get("rename"))
    copy = _renames(body, "copy", given.get("copy"))
    groups = _groups(body, given.get("groups"))
    options = (only, excluded, rename, transpose, copy, groups)
    holds, revision = _read_revision(body, file.value, given)
    if any(option is None for option in options) or not holds:
        return POISON
    assert only is not None
    assert excluded is not None
    assert rename is not None
    assert transpose is not None
    assert copy is not None
    assert groups is not None
    load = LoadWeights(
        _place_file(body, file.value),
        only,
        excluded,
        rename,
        span,
        transpose=transpose,
        copy=copy,
        groups=groups,
        revision=revision,
    )
    return LoadFunction(load, span)


def _place_file(body: Body, file: str) -> str:
    """The file by the path from the folder of the spec; names of repositories stay as they are."""
    place = find_place(body.session, body.file.file.source.folder)
    if not place or file.startswith(SCHEME):
        return file
    return (pathlib.PurePath(place) / file).as_posix()


def _read_revision(
    body: Body, file: str, given: Mapping[str, ArgumentValue]
) -> tuple[bool, str | None]:
    """Whether the name of a repository and its revision are such, and the revision."""
    item = given.get("revision")
    of_hub = file.startswith(SCHEME)
    if of_hub and read_name(file) is None:
        body.report(bad_repository(given["file"].span, file))
        return False, None
    if item is None or is_none(item.value):
        return True, None
    if not isinstance(item.value, Known) or not isinstance(item.value.value, str):
        _refuse(body, "revision", "a branch, a tag or a commit in quotes", item)
        return False, None
    revision = item.value.value
    if not of_hub or not is_revision(revision):
        body.report(bad_revision(item.span, revision, of_file=not of_hub))
        return False, None
    return True, revision


def _patterns(body: Body, name: str, item: ArgumentValue | None) -> tuple[str, ...] | None:
    if item is None or is_none(item.value):
        return ()
    items = item.value.items if isinstance(item.value, ListValue) else (item.value,)
    words = [i.value for i in items if isinstance(i, Known) and isinstance(i.value, str)]
    if len(words) != len(items):
        _refuse(body, name, 'a list of patterns such as "fc.*"', item)
        return None
    return tuple(words)


def _renames(body: Body, name: str, item: ArgumentValue | None) -> tuple[Renaming, ...] | None:
    if item is None or is_none(item.value):
        return ()
    items = item.value.items if isinstance(item.value, ListValue) else (item.value,)
    rules = []
    for entry in items:
        sides = [_words(v) for v in entry.values] if isinstance(entry, Record) else []
        one = len(sides) == 2 and 1 in map(len, sides) and all(sides)
        if not one or (name == "copy" and len(sides[0]) > 1):
            _refuse(body, name, 'a list of pairs such as "enc.*" -> "body.*"', item)
            return None
        rule = Renaming(*sides)
        stars = min(old.count("*") for old in rule.old)
        many = [new for new in rule.new if new.count("*") > stars]
        if many:
            body.report(stars_differ(item.span, rule.old[0], many[0]))
            return None
        rules.append(rule)
    return tuple(rules)


def _groups(body: Body, item: ArgumentValue | None) -> tuple[Grouping, ...] | None:
    if item is None or is_none(item.value):
        return ()
    items = item.value.items if isinstance(item.value, ListValue) else (item.value,)
    found = []
    for entry in items:
        match entry:
            case Record(values=(Known(value=str() as pattern), Known(value=int() as count))):
                if not isinstance(count, bool) and count > 0:
                    found.append(Grouping(pattern, count))
    if len(found) < len(items):
        _refuse(body, "groups", 'a list of pairs such as "h.*.query_key_value.*" -> 8', item)
        return None
    return tuple(found)


def _words(value: Val) -> tuple[str, ...]:
    """The texts of a text or a list; none where it is neither."""
    items = value.items if isinstance(value, ListValue) else (value,)
    words = [i.value for i in items if isinstance(i, Known) and isinstance(i.value, str)]
    return tuple(words) if len(words) == len(items) else ()


def _refuse(body: Body, name: str, expected: str, item: ArgumentValue) -> None:
    if not isinstance(item.value, Poison):
        body.report(wrong_argument(item.span, LOAD, name, expected, describe(item.value)))


def split_loads(layer: Layer) -> tuple[Layer, tuple[LoadWeights | AddAdapters | TakeAverage, ...]]:
    """A layer without its loads, and the loads in order."""
    loads: list[LoadWeights | AddAdapters | TakeAverage] = []
    while isinstance(layer, Loaded):
        loads = [*layer.loads, *loads]
        layer = layer.layer
    return layer, tuple(loads)
