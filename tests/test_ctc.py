"""The loss of connectionist temporal classification beside a sum over all paths, and PyTorch's."""

from __future__ import annotations

from itertools import groupby, product
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812

from backends.pytorch.modules import emit_module
from backends.pytorch.run.load import load_module
from compiler.ir.evaluate import evaluate
from compiler.report.diagnostics import CompileError
from tests.elaborating import build, codes
from weft.api import loads

DRAWN = np.random.default_rng(5)
N, T, CLASSES = 3, 4, 3
SCORES = DRAWN.normal(size=(N, T, CLASSES)).astype(np.float32)
TARGET = np.array([[1, 2], [1, 1], [2, 0]])
LENGTHS, COUNTS = np.array([4, 3, 2]), np.array([2, 2, 1])


def spec(options: str = "", inputs: str = "") -> str:
    return f"""
model M {{
    input x: f32[batch, t, 3]
    input target: i64[batch, s]
    {inputs}
    output loss = ctc(log_softmax(x, axis=-1), target{options})
}}
"""


GIVEN = (", input_lengths=l, target_lengths=c", "input l: i64[batch]\n    input c: i64[batch]")


def add_paths(scores: Any, labels: Any, blank: int) -> float:
    """Minus the logarithm of the sum over every way to read the labels."""
    shares = np.exp(scores) / np.exp(scores).sum(-1, keepdims=True)
    total = 0.0
    for path in product(range(shares.shape[1]), repeat=len(shares)):
        if [label for label, _ in groupby(path) if label != blank] == list(labels):
            total += float(np.prod([shares[t, label] for t, label in enumerate(path)]))
    return float(-np.log(total)) if total else float("inf")


@pytest.mark.parametrize("zero", [False, True])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_it_is_a_sum_over_paths(reduction: str, zero: bool) -> None:
    """Two equal labels need a blank between them, so that a row may be too short for them."""
    lengths = np.array([4, 2, 2])
    options = f', reduction="{reduction}", zero_infinity={str(zero).lower()}' + GIVEN[0]
    graph = build(spec(options, GIVEN[1])).graph
    inputs = {"x": SCORES, "target": TARGET, "l": lengths, "c": COUNTS}
    (found,) = evaluate(graph, {}, inputs).values()
    rows = zip(SCORES, TARGET, lengths, COUNTS, strict=True)
    losses = np.array([add_paths(x[:t], labels[:s], 0) for x, labels, t, s in rows])
    assert np.isinf(losses).tolist() == [False, True, False]
    losses = np.where(np.isinf(losses) & zero, 0, losses)
    expected = {"mean": (losses / COUNTS).mean(), "sum": losses.sum(), "none": losses}
    np.testing.assert_allclose(found, expected[reduction], rtol=1e-5)


@pytest.mark.parametrize("given", [False, True])
def test_results_and_gradients_are_pytorchs(given: bool) -> None:
    graph = build(spec(*(GIVEN if given else ()))).graph
    module = load_module(emit_module([graph], title="M"), graph)
    x = torch.tensor(SCORES).requires_grad_()
    target, lengths, counts = map(torch.tensor, (TARGET, LENGTHS, COUNTS))
    found = module(x, target, *((lengths, counts) if given else ()))
    sizes = (lengths, counts) if given else ((T,) * N, (2,) * N)
    expected = F.ctc_loss(x.log_softmax(-1).transpose(0, 1), target, *sizes)
    torch.testing.assert_close(found, expected)
    mine, theirs = (torch.autograd.grad(loss, x)[0] for loss in (found, expected))
    torch.testing.assert_close(mine, theirs)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (spec(", blank=3"), "W0353"),
        (spec(", blank=-1"), "W0353"),
        (spec().replace("i64[batch, s]", "i64[batch]"), "W0363"),
        (spec().replace("i64[batch, s]", "f32[batch, s]"), "W0363"),
        (spec().replace("i64[batch, s]", "i64[7, s]").replace("f32[batch", "f32[8"), "W0363"),
        (spec(", input_lengths=l", "input l: f32[batch]"), "W0363"),
        (spec(", target_lengths=l", "input l: i64[batch, 1]"), "W0363"),
    ],
)
def test_what_does_not_fit_is_refused(text: str, code: str) -> None:
    assert codes(text) == [code]


def test_a_net_with_it_is_for_pytorch_alone() -> None:
    text = spec() + "net m = M()\ndeploy m as onnx {}\n"
    with pytest.raises(CompileError, match="ONNX has no operator for `ctc`"):
        loads(text)
