"""Arguments of generated classes mean for every value what they mean in the spec."""

from __future__ import annotations

from pathlib import Path

import pytest

from backends.pytorch.modules import emit_module
from tests.elaborating import build
from tests.pytorch_compare import assert_arguments_mean_the_same

GOOD = Path(__file__).resolve().parent / "good" / "pytorch"
CASES = {
    "text_encoder": (
        "Reader",
        {"batch": 2, "t": 5},
        [{"words": "70"}, {"longest": "8"}, {"d": "32"}, {"layers": "1"}, {"layers": "5"}],
    ),
    "text_writer": (
        "Writer",
        {"batch": 2, "t": 5},
        [{"words": "70"}, {"d": "32"}, {"layers": "1"}, {"layers": "4"}, {"grow": "4"}],
    ),
    "windows": (
        "Windows",
        {"batch": 2},
        [{"size": "128"}, {"size": "32", "depths": "[2, 2]"}, {"d": "24"}, {"depths": "[1, 4]"}],
    ),
    "dense_blocks": (
        "Dense",
        {"batch": 2, "h": 32, "w": 24},
        [{"growth": "4"}, {"sizes": "[2, 4]"}, {"sizes": "[2, 1, 3, 2]"}, {"classes": "9"}],
    ),
}
ROWS = [(name, values) for name, (_, _, rows) in CASES.items() for values in rows]


@pytest.mark.parametrize(("name", "values"), ROWS)
def test_a_class_with_other_arguments_is_the_spec_with_them(
    name: str, values: dict[str, str]
) -> None:
    model, sizes, _ = CASES[name]
    spec = (GOOD / name / "spec.weft").read_text(encoding="utf-8")
    assert_arguments_mean_the_same(spec, model, values, sizes)


STACKED = """
model M(d: int = 6, layers: int = 2) {
    input x: f32[batch, t, d]
    for i in 0..layers {
        h = zeros([batch, d])
        scan x_t in x, axis=1 { h = tanh((x_t + h) -> dense(d) as "cells"[i])  emit states = h }
        x = states
    }
    output y = x
}
"""
WIDTHS = """
block chain(x: f32[n, c, p], widths: list) {
    for i, width in enumerate(widths) { x = x -> conv(width, kernel=1) as "conv"[i] -> relu }
    return x
}
model M(widths: list = [8, 12, 16], classes: int = 3) {
    input x: f32[batch, 3, p]
    output y = x -> chain(widths) as body -> max(axis=2) -> dense(classes) as head
}
"""


def test_a_list_of_steps_does_not_take_the_name_of_what_the_loop_reads() -> None:
    assert_arguments_mean_the_same(STACKED, "M", {}, {"batch": 2, "t": 3})


def test_a_list_that_reaches_only_some_widths_is_not_offered() -> None:
    text = emit_module([build(WIDTHS).graph], title="M")
    assert "def __init__(self, classes: int = 3) -> None:" in text
    assert_arguments_mean_the_same(WIDTHS, "M", {"classes": "5"}, {"batch": 2, "p": 4})
