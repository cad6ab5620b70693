"""What follows the steps of a training: parts of batches, epochs of so many steps, numbers that
change."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from backends.pytorch.run.running import read_metrics
from compiler.driver import check
from compiler.report.diagnostics import Sink
from tests.train_scripts import (
    GAN,
    PLAIN,
    VAE,
    assert_two_processes_agree,
    check_equal,
    kill_after,
    lint,
    run,
    save_data,
    write,
    write_shared,
)

SGD = PLAIN.replace("OPTIMIZER", "sgd(lr=0.1, momentum=0.9, schedule=cosine(warmup=2epochs))")
LAYERED = GAN.replace("batch_norm", "group_norm(2)")


def train(text: str, folder: Path) -> dict[str, torch.Tensor]:
    """The last weights of a training."""
    folder.mkdir()
    done = run(write(text, folder), "run")
    assert done.returncode == 0, done.stderr
    lint(folder)
    state: dict[str, torch.Tensor] = torch.load(folder / "run" / "last.pt", weights_only=True)[
        "model"
    ]
    return state


def find_codes(text: str, folder: Path) -> list[str]:
    save_data(folder)
    path = folder / "spec.weft"
    path.write_text(text)
    sink = Sink()
    check(path, overrides={}, sink=sink)
    return [m.code for m in sink.messages if m.severity == "error"]


# --- parts of batches -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "parts"), [(SGD.replace("batch 24", "clip 0.1  batch 24"), 8), (LAYERED, 2)]
)
def test_parts_come_to_the_whole_batch(text: str, parts: int, tmp_path: Path) -> None:
    batch = "batch 64" if "batch 64" in text else "batch 24"
    whole = train(text, tmp_path / "whole")
    divided = train(text.replace(batch, f"accumulate {parts}  {batch}"), tmp_path / "divided")
    for name, value in whole.items():
        torch.testing.assert_close(divided[name], value, rtol=1e-4, atol=1e-5, msg=name)
    records = [
        read_metrics(tmp_path / name / "run" / "metrics.jsonl") for name in ("whole", "divided")
    ]
    for left, right in zip(*records, strict=True):
        for name in left.keys() - {"seconds"}:
            assert right[name] == pytest.approx(left[name], rel=1e-4, abs=1e-6), name


def test_parts_of_a_split_smaller_than_a_batch_count_by_their_rows(tmp_path: Path) -> None:
    """96 rows in parts of 40 rows: 40, 40 and 16."""
    text = SGD.replace("batch 24", "batch 160")
    whole = train(text, tmp_path / "whole")
    divided = train(text.replace("batch 160", "accumulate 4  batch 160"), tmp_path / "divided")
    for name, value in whole.items():
        torch.testing.assert_close(divided[name], value, rtol=1e-4, atol=1e-6, msg=name)


# --- epochs of so many steps ----------------------------------------------------------------------


def test_an_epoch_of_as_many_steps_as_the_rows_make_is_the_usual_one(tmp_path: Path) -> None:
    usual = train(SGD, tmp_path / "usual")
    counted = train(SGD.replace("batch 24", "epoch 4steps  batch 24"), tmp_path / "counted")
    for name, value in usual.items():
        assert torch.equal(counted[name], value), name


@pytest.mark.parametrize(("steps", "epochs"), [(3, 8), (24, 1)])
def test_rows_begin_anew_wherever_an_epoch_ends(steps: int, epochs: int, tmp_path: Path) -> None:
    """24 steps in all, however they are divided."""
    plain = PLAIN.replace("OPTIMIZER", "sgd(lr=0.1, momentum=0.9)")
    usual = train(plain, tmp_path / "usual")
    said = f"epoch {steps}steps  batch 24  epochs {epochs}"
    counted = train(plain.replace("batch 24  epochs 6", said), tmp_path / "counted")
    for name, value in usual.items():
        assert torch.equal(counted[name], value), name


@pytest.mark.parametrize(
    "text",
    [
        SGD.replace("batch 24  epochs 6", "epoch 7steps  accumulate 3  batch 24  epochs 4"),
        GAN.replace("batch 64  epochs 2", "epoch 7steps  accumulate 2  batch 64  epochs 4"),
    ],
)
def test_a_killed_training_goes_on_bit_for_bit(text: str, tmp_path: Path) -> None:
    folder = write(text, tmp_path)
    assert run(folder, "whole").returncode == 0
    kill_after(folder, "killed", 2, signal.SIGKILL)
    done = run(folder, "killed", "--resume")
    assert done.returncode == 0, done.stderr
    check_equal(folder / "whole", folder / "killed")


@pytest.mark.parametrize(
    "text",
    [
        SGD.replace("batch 24  epochs 6", "batch 24  epochs 4  epoch 7steps  accumulate 3"),
        VAE.replace("batch 64", "batch 64  epoch 9steps  accumulate 4"),
    ],
)
def test_two_processes_take_the_same_steps(text: str, tmp_path: Path) -> None:
    folder = write_shared(text, tmp_path)
    assert "[RANK::WORLD]" in (folder / "train.py").read_text()
    assert_two_processes_agree(folder, "train.loss", "val.loss")


def test_other_parts_and_epochs_are_other_settings(tmp_path: Path) -> None:
    text = SGD.replace("batch 24", "accumulate 2  epoch 5steps  batch 24")
    folder = write(text, tmp_path)
    assert run(folder, "run").returncode == 0
    for old, new in (("ACCUMULATE = 2", "ACCUMULATE = 4"), ("EPOCH_STEPS = 5", "EPOCH_STEPS = 6")):
        script = (folder / "train.py").read_text()
        assert old in script
        (folder / "train.py").write_text(script.replace(old, new))
        refused = run(folder, "run", "--resume")
        assert refused.returncode == 1
        assert "was trained with" in refused.stderr
        (folder / "train.py").write_text(script)
    assert load_file(folder / "run" / "best.safetensors")


def test_parts_that_do_not_divide_among_processes_are_refused(tmp_path: Path) -> None:
    text = SGD.replace("batch 24", "batch 24  accumulate 8")
    folder = write_shared(text, tmp_path)
    script = (folder / "train.py").read_text()
    (folder / "train.py").write_text(script.replace('"WORLD_SIZE", "1"', '"NONE", "2"'))
    refused = run(folder, "run")
    assert refused.stderr == "a part of 3 rows of a batch of 24 does not divide among 2 processes\n"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (SGD.replace("batch 24", "accumulate 5  batch 24"), "W1490"),
        (SGD.replace("batch 24", "accumulate 48  batch 24"), "W1490"),
        (SGD.replace("batch 24", "accumulate 0  batch 24"), "W0601"),
        (SGD.replace("batch 24", "epoch 0steps  batch 24"), "W0601"),
        (SGD.replace("batch 24", "epoch 30  batch 24"), "W0208"),
        (SGD.replace("batch 24", "epoch 3epochs  batch 24"), "W0208"),
        (SGD.replace("batch 24", "accumulate 2steps  batch 24"), "W0208"),
        (PLAIN.replace("OPTIMIZER", "lbfgs").replace("batch 24", "accumulate 2 batch 24"), "W1489"),
    ],
)
def test_what_cannot_be_divided_is_told(text: str, code: str, tmp_path: Path) -> None:
    assert find_codes(text, tmp_path) == [code]
