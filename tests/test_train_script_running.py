"""Running a training script: results are read, epochs reported, failures explained."""

from __future__ import annotations

import json
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pytest

from backends.pytorch.run.running import Results, read_metrics, run_training
from compiler.ir.weights import write_weights
from compiler.report.diagnostics import CompileError

HEAD = """
import argparse, json, os, signal, sys
from pathlib import Path
from zipfile import ZipFile
parser = argparse.ArgumentParser()
parser.add_argument("--out", type=Path)
parser.add_argument("--resume", action="store_true")
parser.add_argument("--overwrite", action="store_true")
parser.add_argument("--device")
options = parser.parse_args()
def epoch(number):
    with (options.out / "metrics.jsonl").open("a") as log:
        log.write(json.dumps({"epoch": number, "val.loss": 1 / number, "seconds": 0.5}) + "\\n")
    print("epoch", number, flush=True)
"""
FINISH = """
results = {"epochs": 2, "best_epoch": 1, "test": {"accuracy": 0.75}}
(options.out / "results.json").write_text(json.dumps(results))
"""


def run(folder: Path, body: str, **options: object) -> Results:
    folder.mkdir(exist_ok=True)
    (folder / "model.py").touch()
    (folder / "train.py").write_text(HEAD + body)
    return run_training(folder, data_root=folder, **options)  # type: ignore[arg-type]


def test_results_and_epochs_are_read(tmp_path: Path) -> None:
    epochs: list[float] = []
    results = run(
        tmp_path,
        "epoch(1)\nepoch(2)\n" + FINISH,
        out=tmp_path / "run",
        on_progress=lambda record: epochs.append(record["epoch"]),
    )
    assert epochs == [1, 2]
    assert results.epochs == 2
    assert results.best_epoch == 1
    assert results.figures == {"test": {"accuracy": 0.75}}
    assert results.seconds == 1.0
    assert results.weights == tmp_path / "run" / "best.safetensors"


def test_a_resumed_training_reports_new_epochs_only(tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").write_text('{"epoch": 1, "seconds": 3.0}\n')
    write_weights(tmp_path / "best.safetensors", {"w": np.ones(1)}, {})
    with ZipFile(tmp_path / "last.pt", "w") as archive:
        archive.writestr("data.pkl", b"")
    epochs: list[float] = []
    body = "assert options.resume and options.device == 'cpu'\nepoch(2)\n" + FINISH
    results = run(
        tmp_path,
        body,
        resume=True,
        device="cpu",
        on_progress=lambda record: epochs.append(record["epoch"]),
    )
    assert epochs == [2]
    assert results.seconds == 3.5


@pytest.mark.parametrize("left", ["best.safetensors", "last.pt"])
def test_half_of_a_training_starts_anew(left: str, tmp_path: Path) -> None:
    """The other file was not written yet when it was killed, or is gone."""
    (tmp_path / left).write_bytes(b"")
    (tmp_path / "metrics.jsonl").write_text('{"epoch": 1, "seconds": 3.0}\n')
    body = "assert options.overwrite and not options.resume\nepoch(1)\n"
    run(tmp_path, body + FINISH, resume=True)


def test_paths_start_from_the_data_root(tmp_path: Path) -> None:
    root = tmp_path / "data"
    root.mkdir()
    (root / "here.txt").write_text("yes")
    (tmp_path / "model.py").touch()
    (tmp_path / "train.py").write_text(HEAD + "assert Path('here.txt').exists()\n" + FINISH)
    run_training(tmp_path, data_root=root)


@pytest.mark.parametrize(
    ("body", "code", "words"),
    [
        ("open('mnist/train')", "W0860", "no file mnist/train"),
        ('sys.exit("the loss is nan at epoch 3, step 17")', "W0861", "nan at epoch 3, step 17"),
        ("import torch; raise torch.OutOfMemoryError('of 2 GiB')", "W0862", "out of memory"),
        (
            "raise AssertionError('Torch not compiled with CUDA enabled')",
            "W0863",
            "no CUDA device",
        ),
        ('sys.exit("out/fit holds a training: give --resume")', "W1206", "out/fit holds"),
        (
            'sys.exit("last.pt was trained with {1: 2}, not {1: 3}")',
            "W1207",
            "last.pt was trained with other settings",
        ),
        ('sys.exit("val.hits was not a number in any epoch")', "W1209", "val.hits was not"),
        ("os.kill(os.getpid(), signal.SIGKILL)", "W0864", "SIGKILL"),
        ('raise ValueError("odd")', "W0865", "ValueError: odd"),
        ("sys.exit(3)", "W0865", "exit status 3"),
    ],
)
def test_failures_are_explained(tmp_path: Path, body: str, code: str, words: str) -> None:
    with pytest.raises(CompileError) as caught:
        run(tmp_path, "epoch(1)\n" + body)
    (message,) = caught.value.messages
    assert message.code == code
    assert words in message.text.title
    assert "--data" not in message.text.title
    assert len(read_metrics(tmp_path / "metrics.jsonl")) == 1


def test_what_the_script_said_is_kept(tmp_path: Path) -> None:
    with pytest.raises(CompileError) as caught:
        run(tmp_path, 'raise ValueError("odd")')
    (message,) = caught.value.messages
    log = tmp_path / "train.log"
    assert str(log) in (message.text.help or "")
    assert "Traceback" in log.read_text()


def test_half_a_line_of_metrics_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    record = {"epoch": 1, "seconds": 0.5}
    path.write_text(json.dumps(record) + '\n{"epo')
    assert read_metrics(path) == [record]
