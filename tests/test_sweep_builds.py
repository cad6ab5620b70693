"""Sweeps whose trials are trained: in builds, by processes that are killed, with several goals."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import weft
from weft import WeftError

ROOT = Path(__file__).resolve().parents[1]
SPEC = """
model Net(width: int = 16) {
    input image: f32[batch, 8, 8]
    output logits = image -> flatten -> dense(width) as hidden -> relu -> dense(10) as head
}
data digits {
    source sklearn("digits")
    image = image / 16
    split random(seed=0), train=80%, val=10%, test=10%
}
train fit(lr: float = 3e-3, width: int = 32) of Net(width=width) on digits {
    minimize cross_entropy(logits, label) with adamw(lr=lr)
    metric accuracy = accuracy(logits, label)
    batch 64  epochs 1
}
"""
CHAIN = (
    SPEC
    + """
sweep tune of fit { lr in [1e-4, 1e-2]  maximize val.accuracy  sampler grid }
variant tiny(cut: float = 50%) of tune { apply prune(channels=cut)  require size <= 9KiB }
sweep front of tiny {
    cut in [10%, 40%, 70%]
    maximize val.accuracy  minimize size  sampler grid  choose val.accuracy
}
deploy front as onnx
deploy tune as onnx
"""
)


def read(folder: Path, sweep: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / sweep / "trials" / "results.json").read_text())
    return found


def run(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "weft.cli.main", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


def test_a_build_makes_what_its_sweeps_have_chosen(tmp_path: Path) -> None:
    spec = tmp_path / "net.weft"
    spec.write_text(CHAIN)
    first = run("build", "net.weft", "-o", "out", folder=tmp_path)
    assert first.returncode == 0, first.stderr
    out = tmp_path / "out"
    tune, front = read(out, "tune"), read(out, "front")
    best = max(tune["trials"], key=lambda trial: trial["values"][0])
    assert tune["values"] == best["labels"] == {"lr": 1e-2}
    trained = out / best["place"] / "tune" / "best.safetensors"
    assert (out / "tune" / "best.safetensors").read_bytes() == trained.read_bytes()
    assert "train tune: taken from" in first.stdout, "it is trained once"
    # The contract leaves out what is too large, and the front is of what it leaves.
    broken = [bool(trial["broken"]) for trial in front["trials"]]
    assert broken == [trial["figures"]["size"] > 9 * 1024 for trial in front["trials"]]
    assert any(broken)
    assert front["values"]["cut"] == 0.4
    assert front["front"] == [1, 2]
    page = (out / "report.html").read_text()
    assert page.count("<svg") >= 3
    assert "sweep front of tiny" in (out / "report.md").read_text()
    again = run("build", "net.weft", "-o", "out", folder=tmp_path)
    assert "sweep tune: up to date" in again.stdout
    assert "trial 1" not in again.stdout
    assert "training" not in again.stdout.split("net.weft")[0]
    compiled = run("compile", "net.weft", "--build", "out", "-o", "files", "--item", "tune",
                   folder=tmp_path)  # fmt: skip
    assert compiled.returncode == 0, compiled.stderr
    assert "with the weights of the build" in compiled.stdout
    evaluated = run("eval", "net.weft", "tune", "--onnx", "out/tune.onnx", folder=tmp_path)
    assert evaluated.returncode == 0, evaluated.stderr
    # What has chosen is another sweep now: nothing is built on it before it has run.
    spec.write_text(CHAIN.replace("lr in [1e-4, 1e-2]", "lr in [1e-3, 1e-2]"))
    changed = run("compile", "net.weft", "--build", "out", "-o", "files", "--item", "tune",
                  folder=tmp_path)  # fmt: skip
    assert changed.returncode == 1
    assert "W1532" in changed.stderr + changed.stdout


@pytest.mark.skipif(os.name != "posix", reason="who lives is known at once on POSIX only")
def test_a_sweep_that_was_killed_goes_on(tmp_path: Path) -> None:
    text = (
        SPEC + "sweep tune of fit { lr in [1e-4, 1e-3, 1e-2]  maximize val.accuracy  sampler grid }"
    )
    (tmp_path / "net.weft").write_text(text)
    command = [sys.executable, "-m", "weft.cli.main", "sweep", "net.weft", "-o", "out"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    begun = subprocess.Popen(
        command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True
    )
    assert begun.stdout is not None
    lines = [begun.stdout.readline() for _ in range(2)]
    assert "trial 1 of 3" in lines[1]
    begun.send_signal(signal.SIGKILL)
    begun.wait()
    done = run("sweep", "net.weft", "-o", "out", "--workers", "2", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    trials = read(tmp_path / "out", "tune")["trials"]
    assert [trial["labels"]["lr"] for trial in trials] == [1e-4, 1e-3, 1e-2]
    assert [trial["state"] for trial in trials] == ["complete"] * 3
    assert "trial 1 of 3" not in done.stdout, "what was finished is not done again"


def test_equal_trials_are_trained_once(tmp_path: Path) -> None:
    text = SPEC + "sweep tune of fit { width in [8, 24]  maximize val.accuracy  sampler grid }"
    spec = weft.loads(text)
    spec.build(tmp_path)
    folders = sorted(path for path in (tmp_path / "tune" / "trials").iterdir() if path.is_dir())
    trained = {
        f: f.joinpath("tune", "last.pt").stat().st_mtime_ns for f in folders if f.name[0] != "."
    }
    assert len(trained) == 2
    other = text.replace(
        "maximize val.accuracy", "minimize latency  minimize params  choose params"
    )
    report = weft.loads(other).build(tmp_path)
    assert {f: f.joinpath("tune", "last.pt").stat().st_mtime_ns for f in trained} == trained
    found = read(tmp_path, "tune")
    assert [t["values"][1] for t in found["trials"]] == [8 * 65 + 90, 24 * 65 + 250]
    assert all(0 < t["values"][0] < 1 for t in found["trials"])
    assert found["values"] == {"width": 8}
    assert dict(report.sections[0].rows)["width"] == "8"


def test_several_goals_are_searched_and_nothing_is_built_on_them(tmp_path: Path) -> None:
    goals = "maximize val.accuracy  minimize params"
    text = SPEC + f"sweep tune of fit {{ width in [8, 24]  {goals}  sampler grid }}"
    report = weft.loads(text).build(tmp_path)
    assert read(tmp_path, "tune")["best"] is None
    assert not (tmp_path / "tune" / "best.safetensors").exists()
    assert [section.title for section in report.sections] == ["sweep tune of fit", "train fit"]
    with pytest.raises(WeftError) as raised:
        weft.loads(text + " deploy tune as onnx")
    assert "W1528" in str(raised.value)
