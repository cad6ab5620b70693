"""`log`: trackers of experiments are told what metrics.jsonl has."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from backends.pytorch.run.running import read_metrics, run_training
from backends.pytorch.train.folder import write_training
from compiler.driver import check
from compiler.report.diagnostics import CompileError, Sink
from compiler.training.loggers import LOGGERS
from tests.train_scripts import PLAIN, lint, save_data, share, write

SGD = PLAIN.replace("OPTIMIZER", "sgd(lr=0.1, momentum=0.9)").replace("epochs 6", "epochs 3")
STUB = """
import json, os

def _note(name, given, options):
    with open(os.environ["TOLD"], "a") as file:
        print(json.dumps([name, given, options], default=str), file=file)

class _Run:
    class info:
        run_id = "run7"

def __getattr__(name):
    def call(*given, **options):
        _note(name, given, options)
        return _Run()
    if name.startswith("_"):
        raise AttributeError(name)
    return call
"""


def run(folder: Path, out: str, *options: str, path: Path | None = None) -> tuple[int, str]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "TOLD": str(folder / "told.jsonl")}
    environment.pop("MLFLOW_TRACKING_URI", None)
    if path is not None:
        environment["PYTHONPATH"] = str(path)
    command = [sys.executable, "train.py", "--out", out, "--device", "cpu", *options]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    return done.returncode, done.stderr


def ask(word: str, text: str = SGD) -> str:
    return text.replace("batch 24", f"log {word}  batch 24")


def read_told(folder: Path) -> list[Any]:
    return [json.loads(line) for line in (folder / "told.jsonl").read_text().splitlines()]


@pytest.mark.parametrize(
    ("word", "method"), [("mlflow", "log_metrics"), ("trackio", "log"), ("wandb", "log")]
)
def test_a_tracker_is_told_of_every_epoch(word: str, method: str, tmp_path: Path) -> None:
    """By a stand-in for its library, which notes how it is called."""
    folder = write(ask(word), tmp_path)
    lint(folder)
    (tmp_path / "stub").mkdir()
    (tmp_path / "stub" / f"{word}.py").write_text(STUB)
    status, error = run(folder, "run", path=tmp_path / "stub")
    assert not status, error
    told = read_told(folder)
    records = read_metrics(folder / "run" / "metrics.jsonl")
    noted = [(given[0], options) for name, given, options in told if name == method]
    assert noted == [(dict(r), {"step": r["epoch"]}) for r in records]
    assert told[-1][0] in ("finish", "end_run")
    (folder / "told.jsonl").unlink()
    status, error = run(folder, "run", "--resume", path=tmp_path / "stub")
    assert not status, error
    told = read_told(folder)
    assert not [name for name, _, _ in told if name in ("log_params", method)]
    if word == "mlflow":
        assert ["start_run", ["run7"], {}] in told


def test_tensorboard_has_the_figures(tmp_path: Path) -> None:
    """Also once each where an epoch was begun twice."""
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    folder = write(ask("tensorboard"), tmp_path)
    lint(folder)
    for options in ((), ("--resume",)):
        status, error = run(folder, "run", *options)
        assert not status, error
    events = EventAccumulator(str(folder / "run" / "tensorboard")).Reload()
    records = read_metrics(folder / "run" / "metrics.jsonl")
    assert set(events.Tags()["scalars"]) == {name.replace(".", "/") for name in records[0]}
    found = [(event.step, event.value) for event in events.Scalars("val/accuracy")]
    assert found == [(r["epoch"], pytest.approx(r["val.accuracy"])) for r in records]


def test_the_first_of_several_processes_tells(tmp_path: Path) -> None:
    text = (write(ask("tensorboard, wandb", share(SGD)), tmp_path) / "train.py").read_text()
    assert text.count("if RANK == 0:\n        board = SummaryWriter(") == 1
    behind = text.index("if RANK > 0:\n            continue")
    assert behind < text.index("board.add_scalar(") < text.index("board.close()")
    assert "wandb.init(" in text
    assert 'NAME = "fit"' in text


@pytest.mark.parametrize("word", sorted(LOGGERS))
def test_a_tracker_that_is_not_there(
    word: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`logger_missing`, W1579, before anything is trained."""
    save_data(tmp_path)
    (tmp_path / "spec.weft").write_text(ask(word))
    program = check(tmp_path / "spec.weft", overrides={}, sink=Sink())
    assert program is not None
    write_training(program.trains["fit"], tmp_path / "code")
    package = LOGGERS[word].package
    folders = [tmp_path / "hidden", tmp_path / "more"]  # a script puts the first one last
    for folder in folders:
        folder.mkdir()
        (folder / f"{package}.py").write_text(
            f"raise ModuleNotFoundError(\"No module named '{package}'\", name='{package}')\n"
        )
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(map(str, folders)))
    with pytest.raises(CompileError) as caught:
        run_training(tmp_path / "code", data_root=tmp_path, device="cpu")
    (message,) = caught.value.messages
    assert message.code == "W1579"
    assert f"`pip install {LOGGERS[word].install}`" in (message.text.help or "")
    assert not (tmp_path / "code" / "metrics.jsonl").exists()


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("tensorbord", "did you mean `tensorboard`?"),
        ('"tensorboard"', "tensorboard, mlflow, trackio or wandb belongs here"),
        ("a=wandb", "belongs here, not `a=wandb`"),
        ("wandb, wandb", "`wandb` is named twice"),
    ],
)
def test_what_log_takes(said: str, expected: str, tmp_path: Path) -> None:
    save_data(tmp_path)
    (tmp_path / "spec.weft").write_text(ask(said))
    sink = Sink()
    check(tmp_path / "spec.weft", overrides={}, sink=sink)
    assert [m.code for m in sink.messages] == ["W0208"]
    assert expected in sink.messages[0].text.label


def test_logging_is_no_setting(tmp_path: Path) -> None:
    folder = write(SGD, tmp_path)
    status, error = run(folder, "run")
    assert not status, error
    (tmp_path / "other").mkdir()
    other = write(ask("wandb"), tmp_path / "other")
    (tmp_path / "stub").mkdir()
    (tmp_path / "stub" / "wandb.py").write_text(STUB)
    status, error = run(other, str(folder / "run"), "--resume", path=tmp_path / "stub")
    assert not status, error
