"""Graphs as text, whatever their names are: what is printed reads back as the same graph."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from importlib.resources import files
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import grammar
from compiler.ir.graph import Condition, Graph, Op
from compiler.ir.hint import HintBinary, HintCall, HintUnary
from compiler.ir.printer import print_graph
from compiler.ir.reader import read_graph
from compiler.ops.registry import load_ops
from compiler.report.source import Source, Span
from compiler.types.dims import Dim
from compiler.types.tensor import TensorType
from tests.elaborating import build
from tests.test_ir_text import NET, SCAN

GOOD = Path(__file__).resolve().parent / "good" / "pytorch"
WORDS = tuple(re.findall(r'"([a-z]+)"', (files(grammar) / "ir.lark").read_text(encoding="utf-8")))
NAMES = st.one_of(
    st.sampled_from((*WORDS, "nan", "inf", "infinity", "1", "%1", "@0", "$0", "-1", "1e5", "x.y")),
    st.sampled_from(('"', "`", "\\", "\\u0060", "a b", "#", "{", "\u2028", "\x85", "\n", "a//b")),
    st.text(st.characters(codec="utf-8"), min_size=1, max_size=6),
)
GRAPHS = {
    "everything": build(NET).graph,
    "scan": build(SCAN).graph,
    "lists": build((GOOD / "skip_lists" / "spec.weft").read_text("utf-8"), "UNet").graph,
    "conditions": build(
        "block f(x: f32[n, d], k: int) {\n    return x -> dense(k + d) -> dense(d)\n}\n"
        "model M(width: int = 4) {\n    input x: f32[batch, n, 8]\n    input z: f32[m, 8]\n"
        "    y = x -> reshape([-1, 8]) -> f(width)\n"
        "    output both = concat([y, y], axis=0)[:batch // 2 * 2] + z\n}\n"
    ).graph,
}

Change = Callable[[str], str]


def rebuild(item: object, change: Change, made: dict[int, object]) -> object:
    """The item with every name in it changed: all texts but the words of an op, an operator, a
    relation or a function. What is compared by identity stays one thing."""
    match item:
        case str():
            return change(item)
        case None | int() | float() | Enum() | Span() | Source():
            return item
        case tuple():
            return tuple(rebuild(part, change, made) for part in item)
        case Mapping():
            return {key: rebuild(value, change, made) for key, value in item.items()}
        case Dim():
            return item.substitute({s: Dim.of(change(s)) for s in item.symbols})
    if is_dataclass(item) and id(item) not in made:
        kept = {"operator", "relation", "function"}
        words = isinstance(item, HintBinary | HintUnary | HintCall | Condition)
        parts = {
            field.name: getattr(item, field.name)
            if (words and field.name in kept)
            or (isinstance(item, Op) and not isinstance(getattr(item, field.name), Graph))
            else rebuild(getattr(item, field.name), change, made)
            for field in fields(item)
        }
        cls: type[Any] = type(item)
        made[id(item)] = cls(**parts)
    return made[id(item)] if is_dataclass(item) else item


def describe(item: object) -> object:
    """Plain tuples that are equal where two graphs are, whatever is compared by identity."""
    match item:
        case Span():
            return (item.source.path, item.start, item.end)
        case None | str() | int() | float() | Enum() | Dim() | TensorType():
            return (type(item).__name__, item)
        case tuple():
            return tuple(map(describe, item))
        case Mapping():
            return tuple((key, describe(value)) for key, value in item.items())
    if is_dataclass(item):
        parts = (describe(getattr(item, field.name)) for field in fields(item))
        return (type(item).__name__, *parts)
    return item


def find_names(graph: Graph) -> list[str]:
    """Every text that `rebuild` changes, once."""
    found: dict[str, None] = {}

    def note(name: str) -> str:
        found[name] = None
        return name

    rebuild(graph, note, {})
    return list(found)


WORDS = sorted(set(re.findall(r'"([a-z]+)"', (files(grammar) / "ir.lark").read_text())))
"""Words that the textual form gives a meaning."""


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("graph_name", sorted(GRAPHS))
def test_reads_its_own_words_as_names(graph_name: str, seed: int) -> None:
    assert_reads_names(GRAPHS[graph_name], WORDS, Random(seed))


@settings(deadline=None, max_examples=60)
@given(st.sampled_from(sorted(GRAPHS)), st.lists(NAMES, min_size=20, max_size=60), st.randoms())
def test_reads_hostile_names_as_they_are(graph_name: str, names: list[str], random: Random) -> None:
    assert_reads_names(GRAPHS[graph_name], names, random)


def assert_reads_names(graph: Graph, names: list[str], random: Random) -> None:
    own = find_names(graph)
    fresh = [name for name in dict.fromkeys(names) if name not in own]
    random.shuffle(own)
    renamed = dict(zip(own, fresh, strict=False))
    changed = rebuild(graph, lambda name: renamed.get(name, name), {})
    assert isinstance(changed, Graph)
    text = print_graph(changed)
    sources = dict.fromkeys(s.source for s in (changed.frame.origin,) if s is not None)
    again = read_graph(text, load_ops(), *sources)
    assert describe(again) == describe(changed)
    assert print_graph(again) == text
