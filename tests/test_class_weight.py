"""`class_weight`: scikit-learn's balanced weights, in Weft, in the script, in a loss."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.utils.class_weight import compute_class_weight

from backends.pytorch.run.load import run_source
from backends.pytorch.train.script import emit_script
from backends.pytorch.train.script_spec import ScriptSpec
from compiler.driver import check
from compiler.program.program import Program
from compiler.report.diagnostics import Sink
from compiler.rows.loading import load_data
from tests.train_scripts import run

SPEC = """
data d {
    source npz("d.npz")
    w = class_weight(label, CLASSES)
    split random(seed=3), train=60%, val=40%
}
model Net {
    input x: f32[batch, 2]
    output y = x -> dense(CLASSES)
}
train fit of Net on d {
    minimize LOSS with sgd(lr=0.1)
    batch 16
    epochs 1
}
"""
LOSS = 'mean(w * cross_entropy(y, label, reduction="none")) / mean(w)'


def write(folder: Path, labels: np.ndarray, classes: int, loss: str = LOSS) -> Program:
    draw = np.random.default_rng(0)
    np.savez(
        folder / "d.npz", x=draw.normal(size=(len(labels), 2)).astype(np.float32), label=labels
    )
    path = folder / "s.weft"
    path.write_text(SPEC.replace("CLASSES", str(classes)).replace("LOSS", loss))
    sink = Sink()
    program = check(path, sink=sink)
    assert program is not None, sink.messages
    assert not sink.has_errors, sink.messages
    return program


def load_script(program: Program, folder: Path) -> dict[str, tuple[torch.Tensor, ...]]:
    """The splits of the printed script."""
    code = emit_script(ScriptSpec(program.trains["fit"]))
    script = run_source(code.replace("from model import Net\n", ""), "script")
    found: dict[str, tuple[torch.Tensor, ...]] = script.load_splits(folder, folder, "cpu")
    return found


@pytest.mark.parametrize("dtype", [np.int64, np.uint8, np.int32])
def test_weights_are_scikit_learns(dtype: type, tmp_path: Path) -> None:
    labels = np.repeat([0, 1, 2], [150, 40, 10]).astype(dtype)
    np.random.default_rng(1).shuffle(labels)
    program = write(tmp_path, labels, 3)
    loaded = load_data(program.data["d"], tmp_path)
    training = labels[loaded.rows["train"]]
    expected = compute_class_weight("balanced", classes=np.arange(3), y=training)
    np.testing.assert_allclose(loaded.columns["w"], expected[labels], rtol=1e-6)
    splits = load_script(program, tmp_path)
    for name, rows in loaded.rows.items():
        assert any(
            torch.allclose(c, torch.tensor(expected[labels[rows]], dtype=torch.float32))
            for c in splits[name]
            if c.dtype == torch.float32 and c.ndim == 1
        ), name


def test_the_loss_is_that_of_weighted_cross_entropy(tmp_path: Path) -> None:
    labels = np.repeat([0, 1], [90, 10])
    np.random.default_rng(1).shuffle(labels)
    program = write(tmp_path, labels, 2)
    loaded = load_data(program.data["d"], tmp_path)
    rows = loaded.rows["val"]
    weight = compute_class_weight("balanced", classes=np.arange(2), y=labels[loaded.rows["train"]])
    scores = torch.randn(len(rows), 2, generator=torch.Generator().manual_seed(0))
    target, w = torch.from_numpy(labels[rows]), torch.from_numpy(loaded.columns["w"][rows])
    each = torch.nn.functional.cross_entropy(scores, target, reduction="none")
    whole = torch.nn.CrossEntropyLoss(weight=torch.tensor(weight, dtype=torch.float32))
    assert float((w * each).mean() / w.mean()) == pytest.approx(float(whole(scores, target)))


def test_a_class_without_training_rows_weighs_as_one_with_a_single_one(tmp_path: Path) -> None:
    program = write(tmp_path, np.arange(100) % 2, 4)
    loaded = load_data(program.data["d"], tmp_path)
    (weight,) = loaded.statistics.values()
    count = len(loaded.rows["train"])
    np.testing.assert_allclose(weight[2:], count / 4)


def test_a_label_outside_the_classes_is_told_before_training(tmp_path: Path) -> None:
    from compiler.rows.validation import validate_data

    program = write(tmp_path, np.arange(100) % 3, 3)
    np.savez(tmp_path / "d.npz", x=np.zeros((100, 2), np.float32), label=np.arange(100) % 4)
    sink = Sink()
    validate_data(program.trains["fit"], sink)
    assert sink.has_errors
    assert "class_weight" in str([m.text.title + m.text.label for m in sink.messages])


def test_places_of_a_row_count_like_rows(tmp_path: Path) -> None:
    maps = (np.random.default_rng(0).random((50, 3, 4)) < 0.1).astype(np.int64)
    loss = "mean(w * 1.0) + mean(cross_entropy(y, label[:, 0, 0]))"
    program = write(tmp_path, maps, 2, loss)
    loaded = load_data(program.data["d"], tmp_path)
    training = maps[loaded.rows["train"]].ravel()
    expected = compute_class_weight("balanced", classes=np.arange(2), y=training)
    np.testing.assert_allclose(loaded.columns["w"], expected[maps], rtol=1e-6)
    assert load_script(program, tmp_path)


def test_a_training_runs(tmp_path: Path) -> None:
    from backends.pytorch.train.folder import write_training

    program = write(tmp_path, np.arange(100) % 3, 3)
    write_training(program.trains["fit"], tmp_path)
    assert run(tmp_path, "out").returncode == 0
