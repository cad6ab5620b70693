"""Loops whose first turn is another: it prints before a loop of all the others."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.elaborating import build
from tests.pytorch_compare import (
    assert_arguments_mean_the_same,
    assert_means_the_same,
    emit,
    offered,
)

Values = dict[str, str]

# --- a bias that the first layer learns, and all others take over ----------------------------

ROOT = Path(__file__).resolve().parents[1]
SPEC = ROOT / "tests" / "good" / "pytorch" / "shared_bias" / "spec.weft"
SHARED_BIAS = SPEC.read_text(encoding="utf-8").replace("SharedBias", "M")


def test_what_the_first_layer_learns_for_all() -> None:
    text = emit(SHARED_BIAS)
    assert offered(SHARED_BIAS) == {"layers", "heads", "size", "d"}
    assert 'x, bias = self.encoder["block"][0](x)' in text
    assert 'for block in self.encoder["block"][1:]:' in text
    assert "for _ in range(1, layers):" in text
    assert_means_the_same(build(SHARED_BIAS).graph, {"batch": 2})


@pytest.mark.parametrize(
    "values",
    [{"layers": "1"}, {"layers": "2"}, {"layers": "6", "heads": "3", "size": "2", "d": "4"}],
)
def test_as_many_layers_as_somebody_asks_for(values: Values) -> None:
    assert_arguments_mean_the_same(SHARED_BIAS, "M", values, {"batch": 2})


def test_t5_of_another_size() -> None:
    spec = (ROOT / "specs" / "models" / "t5_small.weft").read_text(encoding="utf-8")
    sizes = {"vocab": "50", "d": "16", "layers": "3", "heads": "2", "head_size": "4"}
    values = {**sizes, "hidden": "24"}
    assert_arguments_mean_the_same(spec, "T5", values, {"batch": 2, "s": 5, "t": 4})


def test_no_layer_at_all_is_refused() -> None:
    text = emit(SHARED_BIAS)
    assert "if layers < 1:" in text
    namespace: dict[str, object] = {}
    exec(compile(text, "M", "exec"), namespace)
    with pytest.raises(ValueError, match="layers < 1"):
        namespace["M"](layers=0)  # type: ignore[operator]


# --- what loops go through --------------------------------------------------------------------

FIRST = """
block step(x: f32[n, d], width: int, old=none) {
    y = x -> dense(width) as fc
    if old == none { old = x -> dense(3) as first }
    return relu(y), old=old
}
"""
OVER = {
    "a numbered list": (
        "widths: list = [4, 5, 6]",
        "i, width in enumerate(widths)",
        "width",
        "[i]",
        "[7, 3]",
    ),
    "a part of a list": (
        "widths: list = [9, 4, 5, 6]",
        "i, width in enumerate(widths[1:])",
        "width",
        "[i]",
        "[2, 7, 3]",
    ),
    "a list of lists": (
        "rows: list = [[4, 1], [5, 2], [6, 3]]",
        "i, row in enumerate(rows)",
        "row[0] * row[1]",
        "[i]",
        "[[2, 2], [3, 1]]",
    ),
    "a range from elsewhere": ("last: int = 6", "width in 2..last", "width", "[width]", "4"),
    "numbers of turns": ("count: int = 4", "i in 0..count", "i + 2", "[i]", "3"),
    "numbers written out": ("d: int = 4", "k in [1, 2, 3]", "k * d", "[k]", "3"),
}


def write_loop(parameters: str, head: str, width: str, place: str) -> str:
    """A model with a loop that goes through something."""
    return f"""{FIRST}
model M({parameters}) {{
    input x: f32[batch, 6]
    old = none
    h = x
    for {head} {{ h, old = step(h, {width}, old=old) as steps{place} }}
    output y = (h -> dense(3) as head) + old
}}
"""


@pytest.mark.parametrize("case", OVER)
def test_what_a_loop_goes_through_behind_its_first_turn(case: str) -> None:
    parameters, head, width, place, value = OVER[case]
    spec, name = write_loop(parameters, head, width, place), parameters.partition(":")[0]
    text = assert_means_the_same(build(spec).graph, {"batch": 2})
    assert offered(spec) == {name}
    assert text.count("    for ") == 2  # the modules, and what is called
    assert_arguments_mean_the_same(spec, "M", {name: value}, {"batch": 2})


# --- what turns hold ---------------------------------------------------------------------------

SEVERAL = """
model M(depth: int = 4, width: int = 5) {
    input x: f32[batch, 6]
    h = x -> dense(width) as stem
    gate = none
    for i in 0..depth {
        if gate == none { gate = sigmoid(h -> dense(width) as "layers.{i}.gate") }
        h = h + gate * (h -> dense(width) as "layers.{i}.up" -> relu) * (i + 1)
    }
    output y = h -> dense(3) as head
}
"""


@pytest.mark.parametrize("values", [{"depth": "1"}, {"depth": "2", "width": "3"}, {"depth": "6"}])
def test_turns_of_several_modules(values: Values) -> None:
    assert offered(SEVERAL) == {"depth", "width"}
    assert_means_the_same(build(SEVERAL).graph, {"batch": 2})
    assert_arguments_mean_the_same(SEVERAL, "M", values, {"batch": 2})


LISTS = """
block step(x: f32[n, d], width: int, old=none) {
    y = x -> dense(width) as fc
    if old == none { old = x -> dense(3) as first }
    return relu(y), old=old
}
model M(widths: list = [4, 5, 6, 4]) {
    input x: f32[batch, 6]
    old = none
    h = x
    kept = []
    for i, width in enumerate(widths) {
        h, old = step(h, width, old=old) as steps[i]
        kept = kept + [h]
    }
    output y = (concat(kept, axis=-1) -> dense(3) as head) + old
}
"""


@pytest.mark.parametrize("widths", ["[4]", "[2, 3]", "[5, 4, 3, 2, 1]"])
def test_lists_that_grow_in_turns(widths: str) -> None:
    assert offered(LISTS) == {"widths"}
    assert_means_the_same(build(LISTS).graph, {"batch": 2})
    assert_arguments_mean_the_same(LISTS, "M", {"widths": widths}, {"batch": 2})


INNER = """
block step(x: f32[n, d], width: int, old=none) {
    y = x -> dense(width) as fc
    if old == none { old = x -> dense(d) as first }
    return relu(y), old=old
}
block stage(x: f32[n, d], depth: int) {
    old = none
    h = x
    for j in 0..depth { h, old = step(h, d, old=old) as units[j] }
    return h + old
}
model M(stages: int = 3, depth: int = 3) {
    input x: f32[batch, 6]
    h = x
    for i in 0..stages { h = h -> stage(depth) as stages[i] }
    output y = h -> dense(3) as head
}
"""


@pytest.mark.parametrize("values", [{"stages": "1"}, {"stages": "2", "depth": "5"}, {"depth": "1"}])
def test_blocks_with_such_loops_in_loops(values: Values) -> None:
    assert offered(INNER) == {"stages", "depth"}
    assert_means_the_same(build(INNER).graph, {"batch": 2})
    assert_arguments_mean_the_same(INNER, "M", values, {"batch": 2})


# --- where the turns stay written out -----------------------------------------------------------

PLACED = write_loop("widths: list = [4, 5, 6]", "width in widths", "width", "[width]")
"""The path of what the first turn makes follows an argument."""
DECIDED = """
model M(depth: int = 4, most: int = 2) {
    input x: f32[batch, 6]
    h = x
    gate = none
    for i in 0..depth {
        if gate == none { gate = sigmoid(h -> dense(6) as "layers.{i}.gate") }
        h = h -> dense(6) as "layers.{i}.up"
        if i < CONDITION { h = relu(h) * gate }
    }
    output y = h -> dense(3) as head
}
"""


@pytest.mark.parametrize(
    ("spec", "values"),
    [
        (PLACED, {}),
        (DECIDED.replace("CONDITION", "depth - most"), {}),
        (DECIDED.replace("CONDITION", "most"), {}),
    ],
)
def test_an_argument_that_the_first_turn_follows_is_not_offered(spec: str, values: Values) -> None:
    assert offered(spec) <= values.keys()
    assert_means_the_same(build(spec).graph, {"batch": 2})


# --- what conditions on `none` follow -----------------------------------------------------------

ASKED = """
block pick(x: f32[n, d], width: int, count: int, mask=none) {
    chosen = if count > 2 then none else x
    y = x -> dense(width) as fc
    if chosen == none { y = relu(y) }
    if mask == none { mask = sigmoid(x -> dense(width) as gate) }
    return y * mask, mask=mask
}
model M(width: int = 4, count: int = 3) {
    input x: f32[batch, 6]
    y, mask = pick(x, width, count) as one
    z, _ = pick(x, width, count, mask=mask) as two
    output out = (y + z) -> dense(3) as head
}
"""


def test_whether_something_is_none_follows_no_number_that_it_is_made_with() -> None:
    assert offered(ASKED) == {"width"}
    assert_means_the_same(build(ASKED).graph, {"batch": 2})
    assert_arguments_mean_the_same(ASKED, "M", {"width": "7"}, {"batch": 2})


PAIR = """
block stack(x: f32[n, d], depth: int, width: int) {
    turns, size = [depth, width]
    h = x
    for i in 0..turns { h = h -> dense(size) as layers[i] }
    return h
}
model M(depth: int = 2, width: int = 4) {
    input x: f32[batch, 6]
    output y = x -> stack(depth, width) -> dense(3) as head
}
"""


@pytest.mark.parametrize("values", [{"depth": "3"}, {"width": "5"}])
def test_numbers_that_are_unpacked_are_followed(values: Values) -> None:
    assert offered(PAIR) == {"depth", "width"}
    assert_arguments_mean_the_same(PAIR, "M", values, {"batch": 2})
