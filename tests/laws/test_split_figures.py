"""The law of losses over a split: cut into batches in any way, the figure is that of all rows in
one batch, for every loss of the vocabulary with every reduction."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest

from compiler.driver import check
from compiler.ir.evaluate import evaluate
from compiler.ops.registry import OPS, load_ops
from compiler.program.train import MetricUse, Train
from compiler.report.diagnostics import Sink
from compiler.rows.loss_parts import measure_losses
from tests.metric_code import run_batches

ROWS = 23
DRAWN = np.random.default_rng(0)
SCORES = DRAWN.normal(size=(ROWS, 3)).astype(np.float32)
SHARES = (np.exp(SCORES) / np.exp(SCORES).sum(1, keepdims=True)).astype(np.float32)
LABELS = np.where(DRAWN.random(ROWS) < 0.3, -100, DRAWN.integers(0, 3, ROWS))
LABELS[:5] = -100  # batches without a label that counts, and one with
COLUMNS = {
    "scores": SCORES,
    "shares": SHARES,
    "others": SHARES[::-1].copy(),
    "logs": np.log(SHARES),
    "label": LABELS,
    "path": DRAWN.integers(1, 3, (ROWS, 1)),
}
WEIGHT = "weight=[1.0, 3.0, 0.25]"
LOSSES = {
    "cross_entropy": [
        "scores, label",
        f"scores, label, {WEIGHT}",
        f"scores, label, {WEIGHT}, label_smoothing=0.1",
        f"scores, others, {WEIGHT}",
    ],
    "nll": ["logs, label", f"logs, label, {WEIGHT}"],
    "mse": ["scores, shares"],
    "l1": ["scores, shares"],
    "smooth_l1": ["scores, shares, beta=0.5"],
    "huber": ["scores, shares, delta=0.5"],
    "bce": ["shares, others"],
    "bce_with_logits": ["scores, others"],
    "kl": ["logs, others"],
    "ctc": ["stack([logs, logs, logs], axis=1), path"],
}
load_ops()
REDUCED = {
    cls.name: get_args(next(o.annotation for o in cls.options() if o.name == "reduction"))
    for cls in OPS.classes()
    if any(o.name == "reduction" for o in cls.options())
}
CALLS = [
    f'{name}({operands}, reduction="{reduction}")'
    for name, cases in LOSSES.items()
    for operands in cases
    for reduction in REDUCED[name]
    if reduction != "none"
]
CALLS += [
    f'{total}({name}({operands}, reduction="none"))'
    for name, cases in LOSSES.items()
    for operands in cases
    for total in ("mean", "sum")
]
CALLS += [
    'sum(square(scores - shares)) / 2 - 3 * mse(scores, shares, reduction="sum")',
    "cross_entropy(scores, label) + 0.1 * sum(scores ** 2) - mean(shares)",
    '-(nll(logs, label, reduction="sum") - sum(logs, axis=[0, 1])) * 0.5',
    'bce(shares, others, reduction="sum") / batch',
    "sum(m.w ** 2) + mse(scores, y)",
    'mse(m.w, m.w + 1, reduction="sum")',
]
SPEC = """
model M {{
    input scores: f32[n, 3]
    param w: f32[3, 3] = normal(0.02)
    output y: f32[n, 3] = scores @ w
}}
data d {{ source npz("d.npz")  split in_order, train=100% }}
train fit on d {{
    net m = M()
    y = m(scores)
    minimize {call} + 0 * mean(y) with sgd
    metric figure = 1 * ({call})
    batch 4  epochs 1
}}
"""


def test_every_loss_with_a_reduction_is_held_to_it() -> None:
    assert LOSSES.keys() == REDUCED.keys()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("rows")
    np.savez(path / "d.npz", **COLUMNS)
    return path


@pytest.mark.parametrize("call", CALLS)
def test_a_figure_does_not_depend_on_batches(call: str, folder: Path) -> None:
    (folder / "s.weft").write_text(SPEC.format(call=call))
    sink = Sink()
    program = check(folder / "s.weft", overrides={}, sink=sink)
    assert program is not None
    assert not sink.has_errors, [m.text.title for m in sink.messages]
    train = program.trains["fit"]
    step, (loss,) = measure_losses(train)
    weights = {
        p.path: DRAWN.normal(size=p.value.type.known_shape or ()).astype(np.float32)
        for p in step.parameters
    }
    (expected,) = split_into(train, weights, ROWS, train.graph, "loss")
    for batch in (3, 5, 8, ROWS):
        for use in (*train.metrics, loss):
            found = measure(train, step, use, weights, batch)
            assert found == pytest.approx([float(expected)] * 2, rel=1e-5), (batch, use.name)


def split_into(
    train: Train, weights: dict[str, Any], batch: int, step: Any, *names: str
) -> list[Any]:
    """Values of the first batch of a step."""
    given = {item.name: COLUMNS[item.name][:batch] for item in train.graph.inputs}
    values = evaluate(step, weights, given)
    return [values[name] for name in names]


def measure(
    train: Train, step: Any, use: MetricUse, weights: dict[str, Any], batch: int
) -> list[float]:
    """A figure in NumPy, and by the lines of a script."""
    batches = []
    for start in range(0, ROWS, batch):
        rows = {i.name: COLUMNS[i.name][start : start + batch] for i in train.graph.inputs}
        values = evaluate(step, weights, rows)
        batches.append((min(batch, ROWS - start), [values[name] for name in use.reads]))
    names = [f"value_{n}" for n in range(len(use.reads))]
    lines = [(size, dict(zip(names, given, strict=True))) for size, given in batches]
    return [use.metric.combine(batches), run_batches(use.metric.code(names), lines)]
