"""`ema`: nets that follow others, in training scripts."""

from __future__ import annotations

import signal
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from compiler.driver import check
from compiler.report.diagnostics import Sink
from tests.test_train_steps import import_script
from tests.train_scripts import (
    DINO,
    assert_two_processes_agree,
    check_equal,
    kill_after,
    lint,
    run,
    save_data,
    write,
    write_shared,
)

SPEC = """
model Net(width: int = 8) {
    input x: f32[batch, 4]
    output y: f32[batch, 3] = x -> dense(width, bias=false) -> batch_norm -> relu -> dense(3)
}
data iris {
    source npz("iris.npz")
    x = features
    split random(seed=0), train=96, val=27, test=27
}
train fit on iris {
    net student = Net()
    net teacher = ema(student, decay=DECAY)
    scores = student(x)
    minimize cross_entropy(scores, label) + 0.1 * mse(scores, detach(teacher(x)))
        over student with sgd(lr=0.1)
    metric accuracy = accuracy(teacher(x), label)
    batch 24  epochs 3  seed 0
}
"""
DECAYS = ["0.9", "0.5, warmup=true", "cosine(0.9, 1.0)", "linear(0.5, 0.9, over_first=2epochs)"]


def follow(decay: str, step: int, steps: int) -> float:
    """The decay at a step, counted from 0, by the formulas of the manual."""
    if decay.startswith("cosine"):
        return float(1.0 - 0.1 * (1 + np.cos(np.pi * min(1, step / steps))) / 2)
    if decay.startswith("linear"):
        return 0.5 + 0.4 * min(1.0, step / (2 * steps / 3))
    least = float(decay.partition(",")[0])
    return min(least, (1 + step) / (10 + step)) if "warmup" in decay else least


@pytest.mark.parametrize("decay", DECAYS)
def test_averages_are_those_of_a_loop_by_hand(decay: str, tmp_path: Path) -> None:
    folder = write(SPEC.replace("DECAY", decay), tmp_path)
    lint(folder)
    done = run(folder, "out")
    assert done.returncode == 0, done.stderr
    state = torch.load(folder / "out" / "last.pt", weights_only=True)["model"]
    model, script = import_script(folder, "model"), import_script(folder, "train")
    x, label = (script.load_splits(folder, "cpu")["train"][i] for i in find_columns(script))
    torch.manual_seed(0)
    student = model.Net()
    teacher = {name: value.clone() for name, value in student.state_dict().items()}
    follower = model.Net().eval()
    optimizer = torch.optim.SGD(student.parameters(), lr=0.1)
    names = [name for name, _ in student.named_parameters()]
    for step in range(12):
        epoch, place = 1 + step // 4, step % 4
        order = np.random.default_rng([0, epoch]).permutation(96)[24 * place : 24 * place + 24]
        follower.load_state_dict(teacher)
        scores = student(x[order])
        loss = torch.nn.functional.cross_entropy(scores, label[order])
        target = follower(x[order]).detach()
        loss = loss + 0.1 * torch.nn.functional.mse_loss(scores, target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        kept = follow(decay, step, 12)
        for name, value in student.state_dict().items():
            if name in names:
                teacher[name] = kept * teacher[name] + (1 - kept) * value
            else:
                teacher[name] = value.clone()
    for name, value in teacher.items():
        torch.testing.assert_close(state[f"teacher.{name}"], value, rtol=1e-4, atol=1e-6, msg=name)
        assert name not in names or not torch.equal(value, state[f"student.{name}"])


def find_columns(script: object) -> tuple[int, int]:
    """Where the columns `x` and `label` stand."""
    text = Path(script.__file__).read_text()  # type: ignore[attr-defined]
    return (1, 0) if "columns `label` and `x`" in text else (0, 1)


def test_a_killed_run_goes_on_to_the_same_end(tmp_path: Path) -> None:
    folder = write(SPEC.replace("DECAY", "cosine(0.9, 1.0)"), tmp_path)
    assert run(folder, "whole").returncode == 0
    kill_after(folder, "killed", 1, signal.SIGKILL)
    assert run(folder, "killed", "--resume").returncode == 0
    check_equal(folder / "whole", folder / "killed")
    assert "teacher.dense.weight" in load_file(folder / "whole" / "best.safetensors")


def test_two_processes_give_what_one_gives(tmp_path: Path) -> None:
    spec = SPEC.replace("DECAY", "0.9").replace("batch_norm", "layer_norm")
    folder = write_shared(spec, tmp_path)
    assert_two_processes_agree(folder, "train.loss", "val.loss", "val.accuracy")


SWA = SPEC.replace(
    "ema(student, decay=DECAY)", "swa(student, start=1epoch, every=2epochs)"
).replace("epochs 3", "epochs 6")


def test_equal_averages_are_those_of_pytorch(tmp_path: Path) -> None:
    folder = write(SWA, tmp_path)
    lint(folder)
    done = run(folder, "out")
    assert done.returncode == 0, done.stderr
    state = torch.load(folder / "out" / "last.pt", weights_only=True)["model"]
    model, script = import_script(folder, "model"), import_script(folder, "train")
    x, label = (script.load_splits(folder, "cpu")["train"][i] for i in find_columns(script))
    torch.manual_seed(0)
    student = model.Net()
    average = torch.optim.swa_utils.AveragedModel(student)
    optimizer = torch.optim.SGD(student.parameters(), lr=0.1)
    for epoch in range(1, 7):
        average.eval()
        for rows in np.random.default_rng([0, epoch]).permutation(96).reshape(4, 24):
            scores = student(x[rows])
            loss = torch.nn.functional.cross_entropy(scores, label[rows])
            target = average(x[rows]).detach()
            loss = loss + 0.1 * torch.nn.functional.mse_loss(scores, target)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        if epoch in (3, 5):
            average.update_parameters(student)
            torch.optim.swa_utils.update_bn(x.split(24), average)
    for name, value in average.module.state_dict().items():
        torch.testing.assert_close(state[f"teacher.{name}"], value, rtol=1e-5, atol=1e-6, msg=name)


def test_statistics_are_taken_of_no_single_row(tmp_path: Path) -> None:
    folder = write(SWA.replace("batch 24", "batch 19"), tmp_path)  # 96 rows: one is left over
    done = run(folder, "out")
    assert done.returncode == 0, done.stderr


def test_an_equal_average_goes_on_after_a_kill(tmp_path: Path) -> None:
    folder = write(SWA.replace("relu", "relu -> dropout(20%)"), tmp_path)
    assert run(folder, "whole").returncode == 0
    kill_after(folder, "killed", 3, signal.SIGKILL)
    assert run(folder, "killed", "--resume").returncode == 0
    check_equal(folder / "whole", folder / "killed")


def test_two_processes_average_as_one(tmp_path: Path) -> None:
    spec = SWA.replace("batch_norm", "layer_norm").replace("start=1epoch, every=2epochs", "")
    folder = write_shared(spec, tmp_path)
    assert_two_processes_agree(folder, "train.loss", "val.loss", "val.accuracy")


REFUSED = [
    ("ema(student, decay=0.9)", "swa(student, start=3epochs)", "W0601"),
    ("ema(student, decay=0.9)", "swa(student, start=20%)", "W0353"),
    ("ema(student, decay=0.9)", "swa(student, every=5steps)", "W0353"),
    ("ema(student, decay=0.9)", "swa(student, every=0epochs)", "W0353"),
    ("ema(student, decay=0.9)", "swa(Net())", "W1485"),
    ("ema(student, decay=0.9)", "ema(Net(), decay=0.9)", "W1485"),
    ("ema(student, decay=0.9)", "ema(3, decay=0.9)", "W1485"),
    ("ema(student, decay=0.9)", "ema(student, decay=1.5)", "W0353"),
    ("ema(student, decay=0.9)", "ema(student, decay=-0.1)", "W0353"),
    ("ema(student, decay=0.9)", "ema(student, decay=cosine(0.9, 1.1))", "W0353"),
    ("ema(student, decay=0.9)", "ema(student, decay=cosine(0.9, 1.0, over_first=0steps))", "W0353"),
    ("ema(student, decay=0.9)", "ema(student, rate=0.9)", "W0221"),
    ("over student", "over student, teacher", "W0615"),
    ("batch 24", "net third = ema(teacher)\n    batch 24", "W1485"),
    ("batch 24", "freeze student\n    batch 24", "W0615"),
]


def test_batch_norms_of_an_equal_average_need_a_column(tmp_path: Path) -> None:
    spec = SWA.replace("scores = student(x)", "scores = student(2 * x)")
    save_data(tmp_path)
    path = tmp_path / "spec.weft"
    path.write_text(spec)
    sink = Sink()
    check(path, sink=sink)
    assert {m.code for m in sink.messages} == {"W1485"}
    path.write_text(spec.replace("batch_norm", "layer_norm"))
    sink = Sink()
    check(path, sink=sink)
    assert not sink.messages


@pytest.mark.parametrize(("old", "new", "code"), REFUSED)
def test_what_cannot_be_followed_is_told(old: str, new: str, code: str, tmp_path: Path) -> None:
    spec = SPEC.replace("DECAY", "0.9")
    assert old in spec
    save_data(tmp_path)
    path = tmp_path / "spec.weft"
    path.write_text(spec.replace(old, new))
    sink = Sink()
    check(path, sink=sink)
    errors = {m.code for m in sink.messages if m.severity.value == "error"}
    assert errors == {code}, [m.text.title for m in sink.messages]


def test_averages_may_be_called_as_methods_of_a_dictionary(tmp_path: Path) -> None:
    spec = DINO.replace("teacher", "pop")
    folder = write(spec, tmp_path)
    done = run(folder, "out")
    assert done.returncode == 0, done.stderr
