"""Masks and weights of the entries that a loss of two tensors compares."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch.nn import functional

import weft
from compiler.driver import check_source
from compiler.ops.losses import L1, Huber, Mse, PairLoss, SmoothL1
from compiler.ops.probability_losses import Bce, BceWithLogits, Kl
from compiler.report.diagnostics import Sink
from compiler.report.source import Source

Array = NDArray[Any]
ROWS = np.random.default_rng(3)
SHAPE = (5, 3)


def draw_pair(low: float, high: float) -> tuple[Array, Array]:
    """A prediction and a target between two numbers."""
    x, y = ROWS.uniform(low, high, (2, *SHAPE)).astype(np.float32)
    return x, y


# The mean of `huber_loss` divides by the number of entries.
WEIGHTED = [
    *((Mse(), functional.mse_loss, reduction) for reduction in ("mean", "sum", "none")),
    *((L1(), functional.l1_loss, reduction) for reduction in ("mean", "sum", "none")),
    *((Huber(0.5), functional.huber_loss, reduction) for reduction in ("sum", "none")),
]


@pytest.mark.parametrize(("loss", "function", "reduction"), WEIGHTED)
def test_weights_are_those_of_pytorch(loss: PairLoss, function: Any, reduction: str) -> None:
    x, y = draw_pair(-2, 2)
    weight = ROWS.uniform(0, 3, SHAPE).astype(np.float32)
    options = {"delta": 0.5} if isinstance(loss, Huber) else {}
    (found,) = type(loss)(**options, reduction=reduction).evaluate(x, y, None, weight)
    tensors = map(torch.from_numpy, (x, y))
    wanted = function(*tensors, reduction=reduction, weight=torch.from_numpy(weight), **options)
    np.testing.assert_allclose(found, wanted.numpy(), rtol=1e-5)


ALL = [Mse(), L1(), SmoothL1(0.5), Huber(0.5), Bce(), BceWithLogits((1.0, 2.0, 3.0)), Kl()]


@pytest.mark.parametrize("loss", ALL, ids=lambda loss: loss.name)
def test_a_masked_mean_is_that_of_the_other_entries(loss: PairLoss) -> None:
    x, y = draw_pair(0.1, 0.9)
    mask = ROWS.random(SHAPE) < 0.5
    mask[0] = True
    single = type(loss)(**{**vars(loss), "reduction": "none"})  # type: ignore[arg-type]
    (each,) = single.evaluate(x, y, None, None)
    y[~mask] = np.nan
    (found,) = loss.evaluate(x, y, mask, None)
    np.testing.assert_allclose(found, each[mask].mean(), rtol=1e-6)
    (kept,) = single.evaluate(x, y, mask, None)
    np.testing.assert_array_equal(kept, np.where(mask, each, 0))


MODEL = """
model M() {{
    input x: f32[batch, 3]
    input y: f32[batch, 3]
    input mask: bool[batch, 3]
    input row: bool[batch]
    output loss = mse(x, y, {given})
}}
"""


@pytest.mark.parametrize(
    ("given", "label", "hint"),
    [
        ("mask=row", "this is bool[batch]; needed is bool[batch, 3]", "`expand`"),
        ("mask=y", "this is f32[batch, 3]; needed is bool[batch, 3]", "numbers are a `weight`"),
        ("weight=mask", "this is bool[batch, 3]; needed is f32[batch, 3]", "this is a `mask`"),
    ],
)
def test_what_does_not_fit_is_refused(given: str, label: str, hint: str) -> None:
    sink = Sink()
    check_source(Source("m.weft", MODEL.format(given=given)), sink=sink)
    (message,) = sink.messages
    assert message.code == "W1762"
    assert message.text.label == label
    assert hint in (message.text.help or "")


TRAIN = """
data d {{
    source npz("d.npz")
    split in_order, train=60%, val=20%, test=20%
}}
model Net() {{
    input x: f32[b, 4]
    output z: f32[b, 3] = x -> dense(3)
}}
train fit of Net on d {{
    minimize mse(z, y, mask=known, weight=w) + 0.5 * bce_with_logits(z, label{masked},
        pos_weight=[1.0, 2.0, 3.0]) + l1(z, w, weight=w) with adam(lr=1e-2)
    metric error = mae(z, y, mask=known)
    batch 8
    epochs 2
}}
"""


def write_rows(folder: Path) -> dict[str, Array]:
    """Fifty rows, of which the first eight, a batch when evaluated, have no known target, and every
    unknown label is -1."""
    x = ROWS.normal(size=(50, 4)).astype(np.float32)
    known = ROWS.random((50, 3)) < 0.6
    known[30:38] = False
    label = np.where(known, ROWS.random((50, 3)) < 0.5, -1).astype(np.float32)
    y = np.where(known, x[:, :3], 1e6).astype(np.float32)
    columns = {"x": x, "y": y, "known": known, "label": label}
    columns["w"] = ROWS.random((50, 3)).astype(np.float32)
    np.savez(folder / "d.npz", **columns)
    return columns


def test_figures_of_a_split_count_entries(tmp_path: Path) -> None:
    columns = write_rows(tmp_path)
    spec = tmp_path / "s.weft"
    spec.write_text(TRAIN.format(masked=", mask=known"))
    weft.load(spec).train("fit", tmp_path / "out")
    results = json.loads((tmp_path / "out" / "fit" / "results.json").read_text())
    weights = load_file(tmp_path / "out" / "fit" / "best.safetensors")
    x, y, known, label, w = (torch.from_numpy(array[30:40]) for array in columns.values())
    z = x @ weights["dense.weight"].T + weights["dense.bias"]
    squares = functional.mse_loss(z, y, reduction="none")[known] * w[known]
    positive = torch.tensor([1.0, 2.0, 3.0])
    crossed = functional.binary_cross_entropy_with_logits(
        z, label, pos_weight=positive, reduction="none"
    )
    wanted = squares.sum() / w[known].sum() + 0.5 * crossed[known].mean()
    wanted += ((z - w).abs() * w).sum() / w.sum()
    assert results["val"]["loss"] == pytest.approx(float(wanted), rel=1e-5)


def test_only_what_counts_is_held_to_its_range(tmp_path: Path) -> None:
    write_rows(tmp_path)
    spec = tmp_path / "s.weft"
    spec.write_text(TRAIN.format(masked=""))
    with pytest.raises(weft.WeftError, match="`label` holds"):
        weft.load(spec).train("fit", tmp_path / "out")
