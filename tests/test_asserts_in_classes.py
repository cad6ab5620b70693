"""What a spec asserts of its arguments, a generated class holds the values to that it is given."""

from __future__ import annotations

from typing import Any

import pytest

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
