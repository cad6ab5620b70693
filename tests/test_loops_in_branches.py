"""Loops of blocks that some calls do not enter: a class has what each call has, and no more."""

from __future__ import annotations

from typing import Any

import pytest

from backends.pytorch.run.load import run_source
from tests.elaborating import build
from tests.pytorch_compare import assert_means_the_same, emit

MODEL = """
model M() {
    input x: f32[batch, 6]
    output y = x -> unit(3, false) as a -> unit(2, true) as b
}
"""
BLOCKS = {
    "a condition in a loop": """
block unit(x: f32[n, d], depth: int, flag: bool) {
    for i in 0..depth { if flag { x = x -> dense(d) as layers[i] } }
    return x -> dense(6) as last
}
""",
    "a longer condition in a loop": """
block unit(x: f32[n, d], depth: int, flag: bool) {
    for i in 0..depth {
        if flag {
            x = x * 3
            x = x -> dense(d) as layers[i]
        }
    }
    return relu(x) -> dense(d + depth) as up -> dense(6) as last
}
""",
    "a loop in a branch": """
block unit(x: f32[n, d], depth: int, flag: bool) {
    y = x
    if flag {
        for i in 0..depth { x = relu(x -> dense(d) as layers[i]) + 1 }
        y = x -> dense(d) as side
    }
    return (x + y) -> dense(6) as last
}
""",
    "a loop of two layers in a branch": """
block unit(x: f32[n, d], depth: int, flag: bool) {
    y = x
    if flag {
        for i in 0..depth { x = relu(x -> dense(d) as left[i] -> dense(d) as right[i]) + 1 }
        y = x -> dense(d) as side
    }
    return (x + y) -> dense(6) as last
}
""",
    "named layers in a branch": """
block unit(x: f32[n, d], depth: int, flag: bool) {
    y = x
    if flag { for i in 0..depth { y = y + ((i * x) -> dense(d) as "a{i}") } }
    return (x + y) -> dense(6) as last
}
""",
    "a loop in a loop": """
block unit(x: f32[n, d], depth: int, flag: bool) {
    for i in 0..depth {
        for j in 0..2 { x = relu(x) + j }
        x = x -> dense(d) as layers[i]
    }
    if flag { for i in 0..depth { x = x -> dense(d) as more[i] } }
    return x -> dense(6) as last
}
""",
}


@pytest.mark.parametrize("name", BLOCKS)
def test_each_call_has_the_layers_that_it_has_in_the_spec(name: str) -> None:
    assert_means_the_same(build(BLOCKS[name] + MODEL).graph, {"batch": 3})


def test_the_modules_of_a_loop_in_a_branch_stand_in_it() -> None:
    text = emit(BLOCKS["a loop in a branch"] + MODEL)
    lines = [
        "        self.layers = None",
        "        if flag:",
        "            self.layers = nn.ModuleList([nn.Linear(d, d) for _ in range(depth)])",
    ]
    assert "\n".join(lines) in text


INNER = """
block unit(x: f32[n, d], sizes: list) {
    for s in sizes {
        for j in 0..2 { x = relu(x) + j }
        x = x -> dense(d) as layers[s]
    }
    return x
}
model M() {
    input x: f32[batch, 6]
    output y = x -> unit([3]) as a
}
"""


def test_a_loop_without_layers_inside_one_that_fills_a_container_is_written() -> None:
    assert_means_the_same(build(INNER).graph, {"batch": 3})


NOT_ENTERED = """
block unit(x: f32[n, d], depth: int, kind: str, sizes: list) {
    for i in 0..depth {
        x = x -> dense(d) as layers[i]
        for j in 0..i { x = x -> dense(d) as inner[i][j] }
    }
    for s in sizes { if s > 4 and kind == "a" { x = x -> dense(s) as wide[s] } }
    for s in sizes[1:] { x = x -> dense(s) as rest[s] }
    for s in sizes { x = x -> dense(s) as all[s] }
    return x
}
model M() {
    input x: f32[batch, 6]
    output y = x -> unit(1, "a", [3]) as a -> unit(0, "b", [5]) as b
}
"""


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ((6, 2, "a", (3,)), "no turn of a loop of the network has i > 0"),
        ((6, 1, "a", (5,)), 'no turn of a loop of the network has s > 4 and kind == "a"'),
        ((6, 1, "b", (5, 2)), "no call of the network has len(sizes[1:]) > 0"),
        ((6, 1, "b", (5,)), ""),
        ((6, 1, "a", (2,)), ""),
    ],
)
def test_a_class_refuses_turns_of_loops_that_no_call_enters(values: Any, said: str) -> None:
    """Of arguments that only this needs, the class has those that calls differ in."""
    made: Any = run_source(emit(NOT_ENTERED), "M").Unit
    if not said:
        made(*values)
        return
    with pytest.raises(ValueError, match=r".") as caught:
        made(*values)
    assert str(caught.value) == said


CHANCE = """
block unit(x: f32[n, d], out: int, flag: bool) {
    y = x
    if flag { y = x -> dense(out) as side }
    return concat([x, y], axis=1) -> dense(8) as last
}
model M() {
    input x: f32[batch, 8]
    output y = x -> unit(8, false) as a -> unit(8, true) as b
}
"""


def test_sizes_with_and_without_a_layer_that_are_equal_by_chance_are_told_apart() -> None:
    made: Any = run_source(emit(CHANCE), "M").Unit
    without = made(5, 7, False) if "out" in made.__init__.__annotations__ else made(5, False)
    assert without.last.in_features == 10


EMPTY = """
block unit(x: f32[n, d], depth: int, flag: bool) {
    x = x -> dense(d + depth) as up -> dense(d) as down
    if flag {
        for i in 0..depth {
            x = x -> dense(d) as left[i] -> relu
            x = x -> dense(d) as right[i] -> relu
        }
    }
    return x -> dense(6) as last
}
model M() {
    input x: f32[batch, 6]
    output y = x -> unit(1, true) as a -> unit(0, false) as b
}
"""


def test_a_loop_in_a_branch_is_not_one_without_turns() -> None:
    """The call that does not take the branch would not enter the loop either, by chance."""
    text = emit(EMPTY)
    assert "class Unit2" in text or "if flag:" in text


APART = """
block unit(x: f32[n, d], depth: int, p: float, kind: str) {
    if p > 0.25 { x = x -> dense(d) as first }
    if kind == "b" { x = x -> layer_norm as norm }
    for i in 0..depth { x = (p * x) -> dense(d) as layers[i] -> relu }
    return x
}
model M() {
    input x: f32[batch, 6]
    output y = x -> unit(2, 0.1, "a") as a -> unit(3, 0.5, "b") as b
}
"""


def test_a_loop_says_nothing_of_conditions_outside_of_it() -> None:
    """Its turns are those of both classes, which differ in the conditions before it: neither
    follows what these ask for."""
    made: Any = run_source(emit(APART), "M")
    for one, values in ((made.Unit, {"p": 0.5}), (made.Unit2, {"p": 0.1})):
        with pytest.raises((TypeError, ValueError), match=r"argument 'p'|has p"):
            one(6, depth=2, **values)


LEFT_OUT = """
block cell(x: f32[n, t, d], mask: bool[n, t] = none, reverse: bool = false) {
    h = zeros([n, d])
    m = if mask == none then full([n, t], true) else mask
    scan x_t in x, m_t in m, axis=1, reverse=reverse {
        h = where(m_t[:, none], (x_t + h) -> dense(d) as next -> tanh, h)
        emit states = h
    }
    return states
}
model M() {
    input x: f32[batch, 4, 6]
    input mask: bool[batch, 4]
    output y = (x -> cell(mask=mask) as a) + (x -> cell(reverse=true) as b)
}
"""


def test_a_tensor_that_a_call_leaves_out_is_not_told_by_an_argument_that_agrees_by_chance() -> None:
    assert "if self.reverse:" not in emit(LEFT_OUT)
    assert_means_the_same(build(LEFT_OUT).graph, {"batch": 3})
