"""Arguments of a class that reach its numbers through code that prints inside of it: steps of
loops, rows of counters, last states, weights that are cut."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from backends.pytorch.modules import emit_module
from backends.pytorch.run.load import assign_weights, run_source
from compiler.ir.evaluate import evaluate
from tests.elaborating import build
from tests.pytorch_compare import (
    assert_arguments_mean_the_same,
    assert_means_the_same,
    draw_inputs,
    draw_lively,
    emit,
    offered,
    run,
    set_defaults,
)
from tests.test_low_rank_code import make

Values = dict[str, str]
MODELS = Path(__file__).resolve().parents[1] / "specs" / "models"


def write(parameters: str, *body: str, before: str = "") -> str:
    """A model of these parameters."""
    lines = "\n".join(f"    {line}" for line in body)
    return f"{before}model M({parameters}) {{\n    input x: f32[batch, 6]\n{lines}\n}}\n"


# --- sizes that operations make of their options ------------------------------------------------

FEATURES = """
block features(s: f32[n, k], count: int) {
    angle = s[:, :1] * cast(arange(count), f32)
    return concat([sin(angle), cos(angle)], axis=1)
}
"""
ROWS = "rows = (x -> dense(size))[:, none]"
MADE = {
    "a counter": write(
        "count: int = 4",
        "r = cast(arange(count), f32)",
        "output y = (x[:, :1] * r) -> dense(3) as fc",
    ),
    "a part of a counter": write(
        "count: int = 4",
        "r = cast(arange(2, count + 2), f32)",
        "output y = (x[:, :1] * r) -> dense(3) as fc",
    ),
    "equal distances": write(
        "count: int = 4",
        "output y = (x[:, :1] * linspace(0, 1, count)) -> dense(3) as fc",
    ),
    "a function that counts": write(
        "count: int = 4", "output y = x -> features(count) -> dense(3) as fc", before=FEATURES
    ),
    "the last state": write(
        "count: int = 4, size: int = 3",
        ROWS,
        "m, last = rows -> gru(count, states=true)",
        "output y = last[0] -> dense(3) as fc",
    ),
    "the last state of a way back": write(
        "count: int = 4, size: int = 3",
        ROWS,
        "m, last = rows -> gru(count, bidirectional=true, states=true)",
        "output y = last[1] -> dense(3) as fc",
    ),
    "the last cell": write(
        "count: int = 4, size: int = 3",
        ROWS,
        "m, h, c = rows -> lstm(count, layers=2, bidirectional=true, states=true)",
        "output y = c[3] -> dense(3) as fc",
    ),
}


@pytest.mark.parametrize("case", MADE)
@pytest.mark.parametrize("count", ["2", "7"])
def test_a_size_that_an_option_makes(case: str, count: str) -> None:
    spec = MADE[case]
    assert "count" in offered(spec)
    assert_arguments_mean_the_same(spec, "M", {"count": count}, {"batch": 2})


# --- blocks that print inside a loop over steps -------------------------------------------------

CELL = """
block cell(x: f32[n, d], h: f32[n, units], width: int = 2 * units) {
    param mix: f32[width, d] = normal(1 / sqrt(width))
    low = x -> dense(width, weight=mix, bias=false)
    return tanh((low + (h -> dense(width) as back)) -> dense(units) as out)
}
"""
STEPS = (
    CELL
    + """
model M(hidden: int = 4, width: int = 4, size: int = 8) {
    input x: f32[batch, t, size]
    h = zeros([batch, hidden])
    scan row in x, axis=1 {
        h = cell(concat([row, tanh(row)], axis=1), h, 2 * width) as cell
    }
    output y = h -> dense(3) as head
}
"""
)


@pytest.mark.parametrize("values", [{"hidden": "3"}, {"width": "5"}, {"hidden": "7", "width": "2"}])
def test_numbers_of_a_block_in_a_loop_are_in_names_of_the_class_around(values: Values) -> None:
    assert offered(STEPS) >= values.keys()
    assert_means_the_same(build(STEPS).graph, {"batch": 2, "t": 3})
    assert_arguments_mean_the_same(STEPS, "M", values, {"batch": 2, "t": 3})


ALIKE = (
    CELL.replace("width: int = 2 * units", "width: int = 4")
    + """
model M(hidden: int = 3, width: int = 4) {
    input x: f32[batch, t, 6]
    h = zeros([batch, hidden])
    x = x -> dense(width) as first
    scan row in x, axis=1 { h = cell(row, h) as cell }
    output y = h -> dense(3) as head
}
"""
)
"""The block and the model have names alike that mean something else."""


@pytest.mark.parametrize("values", [{"width": "5"}, {"hidden": "2"}])
def test_a_name_of_a_block_in_a_loop_is_not_that_of_the_class_around(values: Values) -> None:
    assert_arguments_mean_the_same(ALIKE, "M", values, {"batch": 2, "t": 3})


def test_a_translator_of_another_size() -> None:
    spec = (MODELS / "seq2seq_attention.weft").read_text(encoding="utf-8")
    sizes = {"source_vocab": "20", "target_vocab": "30", "size": "6", "hidden": "5"}
    values = {**sizes, "align": "4", "readout": "3"}
    made = run_source(emit_module([build(spec, "Seq2Seq").graph], title="M")).Seq2Seq
    graph = build(set_defaults(spec, "Seq2Seq", values), "Seq2Seq").graph
    module, weights = (
        made(**{name: int(v) for name, v in values.items()}).eval(),
        draw_lively(graph),
    )
    assign_weights(module, weights)
    inputs = draw_inputs(graph, {"batch": 2, "s": 4, "t": 3})
    inputs["lengths"] = np.array([4, 2])
    wanted = evaluate(graph, weights, inputs)
    for array, found in zip(wanted.values(), run(module, inputs), strict=True):
        np.testing.assert_allclose(found, array, atol=1e-5)


# --- weights that are cut before a loop ----------------------------------------------------------


def test_a_factored_cell_of_another_width() -> None:
    _, net = make("recurrent")
    tagger = run_source(emit_module([net.graph], title="M")).Tagger(d=12)
    weights = {path: tuple(weight.shape) for path, weight in tagger.state_dict().items()}
    assert weights["right.gates.0.weight"] == (8, 32 + 12)
    assert weights["left.gates.1.weight"] == (4 * 12, 8)
    assert weights["left.peep"] == (3, 12)
    assert weights["head.0.weight"] == (8, 2 * 12)


CUT = """
model M(hidden: int = 4, low: int = 3) {
    input x: f32[batch, t, 4]
    h = zeros([batch, hidden])
    scan row in x, axis=1 {
        h = tanh(concat([row, h], axis=-1) -> dense(low, bias=false) as a -> dense(hidden) as b)
    }
    output y = h -> dense(3) as head
}
"""


@pytest.mark.parametrize("values", [{"hidden": "6"}, {"low": "2"}])
def test_a_layer_behind_a_weight_that_is_cut(values: Values) -> None:
    assert offered(CUT) == {"hidden", "low"}
    assert "nn.Linear(hidden + 4, low, bias=False)" in emit(CUT)
    assert_arguments_mean_the_same(CUT, "M", values, {"batch": 2, "t": 3})
