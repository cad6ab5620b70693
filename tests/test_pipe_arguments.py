"""What is said of tensors that are given to a stage behind `->` and do not fit."""

from __future__ import annotations

import pytest

from tests.elaborating import build, elaborate
from tests.pytorch_compare import assert_means_the_same

SPEC = """
block two(a: f32[n, d], b: f32[n, d]) { return a + b }
block three(a: f32[n, d], b: f32[n, d], k: int = 3) { return (a + b) -> dense(k) }
block row(a: f32[n, d], b: i64[n]) { return a + one_hot(b, d) }
model M() {
    input x: f32[batch, 4]
    input z: i64[batch, 4]
    output o = STAGE
    output p = z
}
"""


@pytest.mark.parametrize(
    ("stage", "code", "place"),
    [
        ("x -> two(z)", "W0303", "z"),
        ("x -> three(z)", "W0303", "z"),
        ("x -> three(z, 3)", "W0303", "z"),
        ("x -> three(z, k=3)", "W0303", "z"),
        ("x -> row(z)", "W0301", "z"),
        ("z -> two(x)", "W0303", "z"),
        ("(x, z) -> two", "W0303", "(x, z)"),
        ("(x, x) -> two(z)", "W0222", "z"),
        ("x -> two(x, z)", "W0222", "z"),
    ],
)
def test_the_tensor_that_does_not_fit_is_named(stage: str, code: str, place: str) -> None:
    _, messages = elaborate(SPEC.replace("STAGE", stage))
    assert [(m.code, m.span.text) for m in messages if m.span] == [(code, place)]


@pytest.mark.parametrize("stage", ["x -> two(x)", "(x, x) -> three", "x -> three(x, 5)"])
def test_what_fits_is_taken(stage: str) -> None:
    assert_means_the_same(build(SPEC.replace("STAGE", stage)).graph, {"batch": 2})
