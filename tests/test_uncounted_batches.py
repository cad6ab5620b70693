"""A batch in which no label counts: its loss is 0 and moves nothing, and the training goes on."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

from backends.pytorch.modules import emit_module
from backends.pytorch.run.load import load_module, run_source
from backends.pytorch.run.running import read_metrics
from backends.pytorch.train.functions import emit_objective
from backends.pytorch.train.script_spec import ScriptSpec
from compiler.writing.imports import write_imports
from tests.train_scripts import open_train, run, write

SPEC = """
model Net {
    input x: f32[n, 4]
    output scores: f32[n, 3] = x -> dense(3)
}
data d {
    source SOURCE
    split in_order, train=32, val=8
}
train fit of Net on d {
    minimize LOSS with sgd(lr=0.1)
    batch 4  epochs 2  seed 0
}
"""
DRAWN = np.random.default_rng(0)
X = torch.tensor(DRAWN.normal(size=(6, 4)), dtype=torch.float32)
SOME = torch.tensor([0, 1, 2, -100, 1, 0])
WEIGHT = torch.tensor([1.0, 0.0, 2.0])
Reference = Callable[[Any, Any], Any]
CASES: list[tuple[str, Reference, list[int]]] = [
    ("cross_entropy(scores, t)", functional.cross_entropy, [-100]),
    (
        "cross_entropy(scores, t, label_smoothing=0.1)",
        lambda s, t: functional.cross_entropy(s, t, label_smoothing=0.1),
        [-100],
    ),
    (
        "cross_entropy(scores, t, weight=[1, 0, 2])",
        lambda s, t: functional.cross_entropy(s, t, WEIGHT),
        [-100, 1],
    ),
    (
        "nll(log_softmax(scores, axis=1), t, weight=[1, 0, 2])",
        lambda s, t: functional.nll_loss(s.log_softmax(1), t, WEIGHT),
        [-100, 1],
    ),
    (
        "cross_entropy(stack([scores, scores], axis=1), stack([t, t], axis=1), axis=-1)",
        functional.cross_entropy,
        [-100],
    ),
]


@pytest.mark.parametrize(("loss", "reference", "ignored"), CASES, ids=[c[0] for c in CASES])
def test_the_objective_of_nothing_is_0(
    loss: str, reference: Reference, ignored: list[int], tmp_path: Path
) -> None:
    np.savez(tmp_path / "d.npz", x=np.zeros((40, 4), np.float32), t=np.zeros(40, np.int64))
    text = SPEC.replace("SOURCE", 'npz("d.npz")').replace("LOSS", loss)
    train = open_train(text, tmp_path)
    body = "\n".join(emit_objective(ScriptSpec(train)))
    compute_loss = run_source("\n".join([*write_imports(body), "", body, ""])).compute_loss
    graph = train.nets[0].net.graph
    net = load_module(emit_module([graph], title="Net."), graph)

    def compute(labels: Any) -> Any:
        found = compute_loss(net, X, labels)
        return found[0] if isinstance(found, tuple) else found

    found, expected = compute(SOME), reference(net(X), SOME)
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(
        torch.autograd.grad(found, list(net.parameters())),
        torch.autograd.grad(expected, list(net.parameters())),
    )
    nothing = torch.tensor([ignored[i % len(ignored)] for i in range(6)])
    found = compute(nothing)
    assert found.item() == 0
    assert all(not g.any() for g in torch.autograd.grad(found, list(net.parameters())))


def test_a_training_goes_on_where_few_labels_count(tmp_path: Path) -> None:
    labels = np.where(np.arange(40) % 8 == 0, 2, -100)
    np.savez(tmp_path / "d.npz", x=DRAWN.normal(size=(40, 4)).astype(np.float32), t=labels)
    write(SPEC.replace("SOURCE", 'npz("d.npz")').replace("LOSS", CASES[0][0]), tmp_path)
    done = run(tmp_path, "out")
    assert done.returncode == 0, done.stderr
    records = read_metrics(tmp_path / "out" / "metrics.jsonl")
    assert all(math.isfinite(r[name]) for r in records for name in ("train.loss", "val.loss"))


def test_categories_of_the_data_all_count(tmp_path: Path) -> None:
    rows = [f"{i},{i},{i},{i},{'abc'[i % 3]}" for i in range(40)]
    (tmp_path / "d.csv").write_text("\n".join(["a,b,c,d,t", *rows]))
    source = 'csv("d.csv")\n    x = stack([cast(a, f32), b, c, d])'
    write(SPEC.replace("SOURCE", source).replace("LOSS", CASES[0][0]), tmp_path)
    assert " F.cross_entropy(model(x), t)\n" in (tmp_path / "train.py").read_text()
