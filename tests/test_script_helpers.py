"""Training scripts bring along the functions that PyTorch lacks, as modules do."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from sklearn.neighbors import KNeighborsClassifier

from tests.test_train_steps import import_script
from tests.train_scripts import VIEWS, run, write

NEAREST = f"""{VIEWS}
block vote(x: f32[n, d], bank: f32[m, d], classes: i64[m], k: int) {{
    gap, at = topk(sum((x[:, none] - bank) ** 2, axis=-1), k, largest=false)
    return sum(one_hot(classes[at], 3, dtype=f32), axis=1)
}}
train fit on iris {{
    net linear = Net(k=3)
    buffer bank: f32[96, 4] = zeros
    buffer classes: i64[96] = zeros
    minimize cross_entropy(linear(x), label) with adamw(lr=1e-2)
    update bank = concat([x, bank], axis=0)[0:96]
    update classes = concat([label, classes], axis=0)[0:96]
    metric knn = accuracy(vote(x, bank, classes, K), label)
    batch 24  epochs 1  seed 3
}}
"""
"""The rows of an epoch as the neighbours of others."""


@pytest.mark.parametrize("k", [1, 4, 7])
def test_nearest_rows_are_those_of_scikit_learn(k: int, tmp_path: Path) -> None:
    folder = write(NEAREST.replace("K)", f"{k})"), tmp_path)
    text = (folder / "train.py").read_text()
    assert text.count("\ndef top_k(") == 1
    assert "top_k" not in (folder / "model.py").read_text()
    done = run(folder, "out")
    assert done.returncode == 0, done.stderr
    figures = json.loads((folder / "out" / "results.json").read_text())["test"]
    splits = import_script(folder, "train").load_splits(folder, "cpu")
    columns = {
        name: sorted((column.numpy() for column in splits[name]), key=lambda c: -c.ndim)
        for name in ("train", "test")
    }
    x, label = columns["train"]
    judge = KNeighborsClassifier(k).fit(x, label)
    others, truth = columns["test"]
    assert figures["knn"] == pytest.approx(np.mean(judge.predict(others) == truth), abs=1e-6)
    assert 0.5 < figures["knn"] <= 1
