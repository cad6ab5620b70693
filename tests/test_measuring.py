"""Figures of what stands in a net's place: metrics and losses over the rows of a split."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

from compiler.driver import check
from compiler.ir.evaluate import evaluate
from compiler.ir.weights import draw_weights
from compiler.report.diagnostics import CompileError, Sink
from weft.deployed.measuring import BoundNet, score_rows

SPEC = """
model Two {
    input x: f32[batch, 4]
    output logits: f32[batch, 3] = x -> dense(3)
    output size: f32[batch] = x -> dense(1) -> flatten(0)
}
data rows {
    source npz("rows.npz")
    split in_order, train=50%, test=50%
}
train fit of Two on rows {
    class_loss = cross_entropy(logits, label, weight=[1, 2, 3])
    size_loss = mse(size, target)
    minimize class_loss + 0.5 * size_loss with adam(lr=1e-3)
    metric accuracy = accuracy(logits, label)
    metric class_loss = class_loss
    metric apart = mae(mean(size), mean(target))
    batch 8  epochs 1
}
"""


@pytest.fixture
def place(tmp_path: Path) -> BoundNet:
    draw = np.random.default_rng(0)
    np.savez(
        tmp_path / "rows.npz",
        x=draw.normal(size=(40, 4)).astype(np.float32),
        label=draw.integers(0, 3, 40),
        target=draw.normal(size=40).astype(np.float32),
    )
    (tmp_path / "spec.weft").write_text(SPEC)
    sink = Sink()
    program = check(tmp_path / "spec.weft", sink=sink)
    assert program is not None, sink.messages
    train = program.trains["fit"]
    return BoundNet(train, train.nets[0].name, tmp_path)


def test_weighted_means_are_those_of_the_whole_split(place: BoundNet) -> None:
    graph = place.train.nets[0].net.graph
    weights = draw_weights(graph)

    def run(inputs: Mapping[str, Any]) -> dict[str, Any]:
        return evaluate(graph, weights, inputs)

    scores = {name: score.total() for name, score in score_rows(place, "test", run).items()}
    arrays = np.load(place.folder / "rows.npz")
    x, label, target = (torch.tensor(arrays[name][20:]) for name in ("x", "label", "target"))
    logits, size = (torch.tensor(a) for a in run({"x": x.numpy()}).values())
    assert scores["accuracy"] == (logits.argmax(1) == label).float().mean().item()
    weight = torch.tensor([1.0, 2.0, 3.0])
    classes = functional.cross_entropy(logits, label, weight).item()
    loss = classes + 0.5 * functional.mse_loss(size, target).item()
    expected = {"class_loss": classes, "loss": loss, "apart": 0.0}
    for rows in torch.split(torch.arange(20), 8):  # no weighted mean: a batch counts by its rows
        apart = (size[rows].mean() - target[rows].mean()).abs().item()
        expected["apart"] += apart * len(rows) / 20
    for name, value in expected.items():
        assert scores[name] == pytest.approx(value, rel=1e-5), name


def test_an_unknown_split_is_refused(place: BoundNet) -> None:
    with pytest.raises(CompileError) as error:
        score_rows(place, "val", lambda inputs: {})
    assert "there is no split `val`" in error.value.messages[0].text.title


def test_inputs_that_compare_rows_have_no_figures(tmp_path: Path) -> None:
    """Of batches of 8 of 20 rows the pieces of such an input would not fit together."""
    np.savez(tmp_path / "rows.npz", x=np.ones((40, 4), np.float32), y=np.ones((40, 1), np.float32))
    model = (
        "model Kernel {\n    input x: f32[n, 4]\n    input values: f32[m, 1]\n"
        "    input hidden: bool[n, m]\n    score = x -> dense(1)\n"
        "    output y = softmax(where(hidden, -inf, score), axis=1) @ values\n}\n"
    )
    train = (
        "train fit on rows {\n    net kernel = Kernel()\n    at = arange(batch)\n"
        "    made = kernel(x, y, at[:, none] == at)\n"
        "    minimize mse(made, y) with adam(lr=1e-3)\n"
        "    metric r2 = r2(made, y)\n    batch 8  epochs 1\n}\n"
    )
    data = 'data rows { source npz("rows.npz")  split in_order, train=50%, test=50% }\n'
    (tmp_path / "spec.weft").write_text(model + data + train)
    sink = Sink()
    program = check(tmp_path / "spec.weft", sink=sink)
    assert program is not None, sink.messages
    found = program.trains["fit"]
    kernel = BoundNet(found, found.nets[0].name, tmp_path)
    with pytest.raises(CompileError) as caught:
        score_rows(kernel, "test", lambda inputs: {"y": np.zeros((8, 1), np.float32)})
    (message,) = caught.value.messages
    assert message.code == "W1174"
    assert "`hidden` of `kernel`" in message.text.title


DRAWN = """
model Three {
    input x: f32[batch, 3]
    output logits: f32[batch, 3] = x -> dense(3)
}
data rows {
    source npz("rows.npz")
    split in_order, train=50%, test=50%
}
train fit on rows {
    net m = Three()
    x = normal([batch, 3])
    largest = argmax(x, axis=1)
    logits = m(x)
    minimize cross_entropy(logits, largest) with adam(lr=1e-3)
    metric accuracy = accuracy(logits, largest)
    batch 8  epochs 1  seed 5
}
"""


def test_figures_of_rows_see_the_draws_that_the_net_was_given(tmp_path: Path) -> None:
    np.savez(tmp_path / "rows.npz", label=np.arange(40))
    (tmp_path / "spec.weft").write_text(DRAWN)
    sink = Sink()
    program = check(tmp_path / "spec.weft", sink=sink)
    assert program is not None, sink.messages
    place = BoundNet(program.trains["fit"], "m", tmp_path)

    def run(inputs: Mapping[str, Any]) -> dict[str, Any]:
        return {"logits": 30 * inputs["x"]}

    scores = {name: score.total() for name, score in score_rows(place, "test", run).items()}
    assert scores["accuracy"] == 1.0
    assert scores["loss"] < 0.5
