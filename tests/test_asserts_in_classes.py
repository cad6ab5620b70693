"""What a spec asserts of its arguments, a generated class holds the values to that it is given."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from backends.pytorch.modules import emit_module
from backends.pytorch.run.load import run_source
from compiler.ir.printer import print_graph
from compiler.ir.reader import read_graph
from compiler.ops.registry import load_ops
from compiler.report.source import Source
from tests.elaborating import build
from tests.pytorch_compare import assert_arguments_mean_the_same, emit

PATCHES = r"""
block attention(x: f32[n, t, d], heads: int) {
    assert d % heads == 0, "heads must divide d"
    for i in 0..2 { assert d > i, "only in a loop" }
    q, k, v = x -> dense(3 * d) as qkv -> reshape([n, t, 3 * heads, d / heads])
        -> transpose(1, 2) -> chunk(3, axis=1)
    y = (q, k, v) -> scaled_dot_product_attention -> transpose(1, 2) -> flatten(2)
    return y -> dense(d) as o
}
model M(size: int = 8, patch: int = 4, d: int = 16, heads: int = 4, classes: int = 3) {
    input image: f32[batch, 3, size, size]
    assert size % patch == 0, "the \"patches\" \\ must fill the {{image}}"
    assert patch > 1 and classes >= 2, "not {patch} and {classes}"
    y = image -> conv(d, kernel=patch, stride=patch) as stem -> flatten(2) -> transpose(1, 2)
    y = y -> attention(heads) as at
    output z = y -> mean(axis=1) -> dense(classes) as head
}
"""


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"patch": 3}, 'the "patches" \\ must fill the {image}'),
        ({"patch": 1}, "patch > 1 and classes >= 2 must hold"),
        ({"classes": 1}, "patch > 1 and classes >= 2 must hold"),
        ({"heads": 3}, "heads must divide d"),
        ({"d": 18}, "heads must divide d"),
    ],
)
def test_a_class_refuses_what_the_spec_refuses(values: dict[str, int], said: str) -> None:
    made: Any = run_source(emit(PATCHES), "M").M
    with pytest.raises(ValueError, match=r".") as caught:
        made(**values)
    assert str(caught.value) == said


def test_what_the_spec_takes_is_made_as_it_says() -> None:
    values = {"patch": "2", "d": "18", "heads": "3", "classes": "2"}
    assert_arguments_mean_the_same(PATCHES, "M", values, {"batch": 2})


def test_an_assert_is_written_as_a_person_would() -> None:
    source = emit(PATCHES)
    assert 'if d % heads != 0:\n            raise ValueError("heads must divide d")' in source
    assert "if 8 % patch != 0:" in source  # the class has no argument for the size of the image
    assert "in a loop" not in source


def test_an_assert_on_what_the_class_does_not_offer_is_not_there() -> None:
    spec = """
model M(size: int = 8) {
    input x: f32[batch, 8]
    assert size > 4
    output y = x -> dense(3) as head
}
"""
    assert "raise" not in emit(spec)


def test_asserts_outlive_the_text_of_a_graph() -> None:
    graph = build(PATCHES).graph
    text = print_graph(graph)
    again = read_graph(text, load_ops(), Source("spec.weft", PATCHES))
    assert [one.text for one in again.assertions] == [one.text for one in graph.assertions]
    assert len(graph.assertions) == 3
    assert print_graph(again) == text
    assert "heads must divide d" in emit_module([graph], title="M")


BRANCHES = """
block layer(x: f32[n, d], depth: int, norm: str) {
    x = x -> dense(d) as fc
    if norm == "layer" { x = x -> layer_norm as norm }
    else if norm == "batch" { x = x -> batch_norm as norm }
    if depth > 3 { x = x -> dense(d) as extra }
    for i in 0..depth { x = x -> dense(d) as more[i] }
    return x -> relu
}
model M() {
    input x: f32[batch, 8]
    output y = x -> layer(1, "batch") as one -> layer(2, "none") as two
}
"""
"""No call has a layer norm, nor the dense layer of a great depth."""


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ((8, 1, "layer"), 'no call of the network has norm == "layer"'),
        ((8, 4, "none"), "no call of the network has depth > 3"),
    ],
)
def test_a_class_refuses_branches_that_it_does_not_have(values: Any, said: str) -> None:
    made: Any = run_source(emit(BRANCHES), "M").Layer
    with pytest.raises(ValueError, match=r".") as caught:
        made(*values)
    assert str(caught.value) == said


@pytest.mark.parametrize("values", [(8, 3, "batch"), (8, 1, "none")])
def test_a_class_takes_branches_that_it_has(values: Any) -> None:
    made: Any = run_source(emit(BRANCHES), "M").Layer
    weights = made(*values).state_dict()
    assert len([path for path in weights if path.startswith("more.")]) == 2 * values[1]
    assert any(path.startswith("norm.") for path in weights) == (values[2] == "batch")


WIDE = """
block layer(x: f32[n, d], norm: bool, wide: bool) {
    x = x -> dense(d) as fc
    if norm { x = x -> batch_norm as norm }
    if wide { x = x -> dense(2 * d) as up -> dense(d) as down }
    return x -> relu
}
model M() {
    input x: f32[batch, 8]
    output y = x -> CALLS
}
"""


@pytest.mark.parametrize(
    "calls",
    [
        # there is a norm exactly where it is wide
        "layer(true, true) as one -> layer(false, false) as two",
        # no call has a norm and is not wide
        "layer(true, true) as one -> layer(false, false) as two -> layer(false, true) as three",
    ],
)
def test_conditions_that_came_out_alike_are_kept_apart(calls: str) -> None:
    source = emit(WIDE.replace("CALLS", calls))
    assert "class Layer2" in source
    assert "wide" not in source


INSIDE = """
block layer(x: f32[n, d], depth: int, norm: str) {
    x = x -> dense(d) as fc
    if norm == "batch" {
        x = x -> batch_norm as norm
        if depth > 3 { x = x -> dense(d) as extra }
    }
    else if norm == "layer" { x = x -> layer_norm as ln }
    else if depth > 9 { x = x -> dense(d) as more }
    for i in 0..depth { x = x -> dense(d) as layers[i] }
    if norm == "none" { return x }
    if depth > 2 { x = x -> dense(d) as last }
    return x -> relu
}
model M() {
    input x: f32[batch, 8]
    h = x -> layer(1, "batch") as one -> layer(2, "none") as two
    output y = h -> layer(5, "none") as three
}
"""
"""Great depths there are, but not with a norm."""


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ((8, 4, "batch"), 'no call of the network has norm == "batch" and depth > 3'),
        ((8, 1, "layer"), 'no call of the network has norm == "layer"'),
        ((8, 10, "none"), 'no call of the network has norm != "batch" and depth > 9'),
        ((8, 3, "batch"), 'no call of the network has norm != "none" and depth > 2'),
    ],
)
def test_a_class_refuses_branches_inside_others_that_it_does_not_have(
    values: Any, said: str
) -> None:
    text = emit(INSIDE)
    made: Any = run_source(text, "M").Layer
    with pytest.raises(ValueError, match=r".") as caught:
        made(*values)
    assert str(caught.value) == said
    for there in ((8, 2, "batch"), (8, 9, "none"), (8, 0, "batch")):
        made(*there)


TURNS = """
block turns(x: f32[n, d], depth: int, wide: bool) {
    for i in 0..depth {
        x = x -> dense(d) as layers[i]
        if i > 2 { x = x -> dense(d) as late[i] }
        if wide {
            x = x -> layer_norm as norms[i]
            if i > 1 { x = x -> dense(d) as more[i] }
        }
    }
    for i in 0..depth { if i > 3 { x = x -> dense(d) as only[i] } }
    return x
}
block table(x: f32[n, d], widths: list) {
    for i, w in enumerate(widths) {
        x = x -> dense(w) as layers[i]
        for k in 0..w { if i + k > 20 { x = x -> dense(w) as last[k] } }
        if w > 15 { x = x -> dense(w) as big[i] }
    }
    return x
}
block act(x: f32[n, d], kind: str, depth: int) {
    assert depth < 9, "too deep"
    if kind == "relu" { x = relu(x) }
    else if kind == "silu" { x = silu(x) }
    for i in 0..depth {
        x = x * 2
        if i > 3 { x = x + i }
    }
    return x
}
model M() {
    input x: f32[batch, 8]
    h = x -> turns(2, true) as a -> turns(3, false) as b -> table([3, 5]) as c -> table([4]) as d
    output y = h -> act("relu", 1) -> act("none", 2) -> act("none", 3)
}
"""
"""No turn of a loop is the fourth, or the third of a wide one."""


@pytest.mark.parametrize(
    ("made", "values", "said"),
    [
        ("Turns", (8, 4, False), "no turn of a loop of the network has i > 2"),
        ("Turns", (8, 3, True), "no turn of a loop of the network has wide and i > 1"),
        ("Turns", (8, 3, False), ""),
        ("Turns", (8, 2, True), ""),
        ("Table", (8, (3, 16)), "no turn of a loop of the network has w > 15"),
        ("Table", (8, (2,) * 21), "no turn of a loop of the network has i + k > 20"),
        ("Table", (8, (15,)), ""),
    ],
)
def test_a_class_refuses_turns_that_it_does_not_have(made: str, values: Any, said: str) -> None:
    assert_refused(getattr(run_source(emit(TURNS), "M"), made), values, said)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (("silu", 1), 'no call of the network has kind == "silu"'),
        (("none", 5), "no turn of a loop of the network has i > 3"),
        (("none", 9), "too deep"),
        (("none", 4), ""),
    ],
)
def test_a_function_refuses_what_it_does_not_have(values: Any, said: str) -> None:
    made: Any = run_source(emit(TURNS), "M").act
    assert_refused(made, (torch.ones(2, 4), *values), said)


def assert_refused(made: Any, values: Any, said: str) -> None:
    if not said:
        made(*values)
        return
    with pytest.raises(ValueError, match=r".") as caught:
        made(*values)
    assert str(caught.value) == said


def test_what_turns_lack_outlives_the_text_of_a_graph() -> None:
    graph = build(TURNS).graph
    text = print_graph(graph)
    again = read_graph(text, load_ops(), Source("spec.weft", TURNS))
    assert print_graph(again) == text
    assert emit_module([again], title="M") == emit_module([graph], title="M")
    assert "if any(wide and i > 1 for i in range(depth)):" in emit(TURNS)


CHOSEN = """
block unit(x: f32[n, d], kind: str, depth: int) {
    x = x -> (if kind == "relu" then relu else if kind == "silu" then silu else gelu)
    y = if depth > 6 then x -> dense(d) as big else x
    for i in 0..depth {
        y = y -> dense(d) as layers[i]
        y = if i > 2 then y -> dense(d) as late[i] else y
        y = y -> (if i > 4 then relu else gelu)
    }
    return y
}
block wide(x: f32[n, d], kind: str, depth: int) {
    h = if kind == "two" then x -> dense(2 * d) as two -> dense(d) as back else x
    if kind == "three" { h = if depth == 3 then h -> dense(d) as three else relu(h) }
    for i in 0..depth { h = h -> dense(d) as layers[i] }
    return h
}
model M() {
    input x: f32[batch, 6]
    h = x -> unit("relu", 1) as a -> unit("gelu", 2) as b -> unit("gelu", 3) as c
    output y = h -> wide("three", 2) as d -> wide("one", 3) as e
}
"""
"""Conditions in expressions: no call is given one of their values."""


@pytest.mark.parametrize(
    ("made", "values", "said"),
    [
        ("Unit", (6, torch.relu, 4), "no turn of a loop of the network has i > 2"),
        ("Unit", (6, torch.relu, 7), "no call of the network has depth > 6"),
        ("Unit", (6, torch.relu, 3), ""),
        ("Wide", (6, "two", 1), 'no call of the network has kind == "two"'),
        ("Wide", (6, "three", 3), 'no call of the network has kind == "three" and depth == 3'),
        ("Wide", (6, "one", 3), ""),
        ("Wide", (6, "three", 1), ""),
    ],
)
def test_a_class_refuses_what_no_expression_chose(made: str, values: Any, said: str) -> None:
    assert_refused(getattr(run_source(emit(CHOSEN), "M"), made), values, said)
