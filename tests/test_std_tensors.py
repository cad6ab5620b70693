"""Order, matrices and pairs of the library against PyTorch's functions of the same names."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from backends.pytorch.terms.helpers import HELPERS
from compiler.ir.evaluate import evaluate
from compiler.writing.names import GLOBAL_RESERVED, LOCAL_RESERVED
from tests.elaborating import build, codes
from tests.pytorch_compare import assert_means_the_same
from tests.std_blocks import compare_block

DRAWN = np.random.default_rng(8)
ROWS = 3


def draw(*shape: int) -> Any:
    return DRAWN.normal(size=(ROWS, *shape)).astype(np.float32)


GIVEN = {
    "x": draw(4, 5),
    "square": draw(4, 4),
    "a": draw(3),
    "b": draw(3),
    "left": draw(4, 6),
    "right": draw(5, 6),
    "place": np.argsort(DRAWN.random((ROWS, 5)), axis=-1)[:, :2],
    "some": draw(2),
}
GIVEN["place"][0] = [3, 0]  # positions along an axis of four too

CASES: list[tuple[str, str, Callable[..., Any]]] = [
    ("x", "diff(x)", lambda x: x.diff()),
    ("x", "diff(x, axis=1, n=2)", lambda x: x.diff(n=2, dim=1)),
    ("square", "diagonal(square)", lambda x: x.diagonal(dim1=-2, dim2=-1)),
    ("square", "diagonal(square, offset=1)", lambda x: x.diagonal(1, -2, -1)),
    ("square", "diagonal(square, offset=-2)", lambda x: x.diagonal(-2, -2, -1)),
    ("a", "diag_embed(a)", torch.diag_embed),
    ("a", "diag(a[0])", lambda a: torch.diag(a[0])),
    ("square", "diag(square[1], offset=-1)", lambda x: torch.diag(x[1], -1)),
    ("square", "trace(square)", lambda x: torch.stack([torch.trace(m) for m in x])),
    ("square", "square @ eye(4)", lambda x: x),
    ("a b", "outer(a[0], b[1])", lambda a, b: torch.outer(a[0], b[1])),
    ("a b", "cross(a, b)", torch.linalg.cross),
    (
        "a b",
        "cross(stack([a, b], axis=1)[..., none], stack([b, b], axis=1)[..., none], axis=2)",
        lambda a, b: torch.linalg.cross(torch.stack([a, b], 1), torch.stack([b, b], 1))[..., None],
    ),
    ("left right", "cdist(left, right)", torch.cdist),
    ("left right", "cdist(left, right, p=1)", lambda a, b: torch.cdist(a, b, p=1)),
    ("x", "sort(x, axis=1, descending=true)[0]", lambda x: x.sort(1, descending=True)[0]),
    ("x", "topk(x, 2)[0]", lambda x: x.topk(2)[0]),
    ("x", "topk(x, 2, axis=1, largest=false)[0]", lambda x: x.topk(2, 1, largest=False)[0]),
    ("x", "roll(x, [1, -7], axis=[1, 2])", lambda x: x.roll((1, -7), (1, 2))),
    (
        "x place some",
        "scatter(x[:, 0], place, some, axis=1)",
        lambda x, at, u: x[:, 0].scatter(1, at, u),
    ),
    (
        "x place some",
        "scatter_add(x[:, 0], place, some, axis=1)",
        lambda x, at, u: x[:, 0].scatter_add(1, at, u),
    ),
    (
        "x place some",
        'scatter_reduce(x[:, 0], place, some, axis=1, reduce="amax")',
        lambda x, at, u: x[:, 0].scatter_reduce(1, at, u, "amax"),
    ),
    (
        "x place left",
        "index_add(x[:, :, 0], place[0], left[:, :2, 0], axis=1)",
        lambda x, at, u: x[:, :, 0].index_add(1, at[0], u[:, :2, 0]),
    ),
]


@pytest.mark.parametrize(("names", "call", "oracle"), CASES, ids=[c[1] for c in CASES])
def test_numbers_and_gradients_are_pytorchs(
    names: str, call: str, oracle: Callable[..., Any]
) -> None:
    compare_block("tensors", call, {name: GIVEN[name] for name in names.split()}, oracle)


def test_places_are_pytorchs() -> None:
    """Equal entries keep their order, from either end."""
    x = np.array([[2.0, 1.0, 2.0, 1.0, 3.0]], np.float32)
    for descending in (False, True):
        call = f"argsort(x, descending={str(descending).lower()})"
        text = f"use std.tensors\nmodel M {{\n    input x: f32[n, 5]\n    output y = {call}\n}}"
        (found,) = evaluate(build(text).graph, {}, {"x": x}).values()
        expected = torch.tensor(x).argsort(descending=descending, stable=True)
        assert np.array_equal(found, expected.numpy())


def test_names_of_helpers_are_no_names_of_a_spec() -> None:
    """A variable or block of a spec may be called as a function that the module brings along."""
    assert {name for name in HELPERS if name.islower()} <= LOCAL_RESERVED
    assert HELPERS.keys() <= GLOBAL_RESERVED
    text = """block top_k(x) {
    top_k, _ = x -> topk(2)
    return top_k * 2
}
model M {
    input boxes: f32[n, 4]
    input scores: f32[n]
    top_k = top_k(boxes)
    nms = nms(boxes, scores, iou_threshold=0.3, most=3)
    other = nms(boxes, -scores, iou_threshold=0.3, most=3)
    output a = top_k + topk(boxes, 1)[0]
    output b = nms + other
}
"""
    assert_means_the_same(build(text).graph, {"n": 5})


WRONG = [
    ("x -> sort(axis=3)", "W0376"),
    ("sort(x > 0)", "W0382"),
    ("x -> topk(0)", "W0392"),
    ("x -> topk(6)", "W0392"),
    ("topk(x > 0, 1)", "W0382"),
    ("x -> roll([1, 2], axis=1)", "W0392"),
    ("x -> roll(1, axis=4)", "W0376"),
    ("x -> scatter(place, x, axis=1)", "W0380"),
    ("x[:, 0] -> scatter(x[:, 0], x[:, 0], axis=1)", "W0382"),
    ("x[:, 0] -> scatter(place, x[:, 0], axis=1)", "W0387"),
    ("x[:, 0] -> scatter_add(place, place, axis=1)", "W0397"),
    ("x -> index_add(place, x, axis=1)", "W0380"),
    ("x -> index_add(arange(2), x, axis=1)", "W0387"),
    ("x -> index_add(arange(2), x[:, :2, 0], axis=1)", "W0380"),
    ("cross(x, x)", "W0405"),
]


@pytest.mark.parametrize(("call", "code"), WRONG)
def test_what_is_refused(call: str, code: str) -> None:
    inputs = "input x: f32[n, 4, 5]\n    input place: i64[n, 2]"
    text = f"use std.tensors\nmodel M {{\n    {inputs}\n    output y = {call}\n}}"
    assert codes(text) == [code]
