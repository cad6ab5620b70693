"""L-BFGS in scripts: against PyTorch's own steps and the least squares, over interruptions."""

from __future__ import annotations

import signal
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from compiler.driver import check
from compiler.report.diagnostics import Sink
from compiler.report.messages.items import setting_range
from compiler.report.messages.training import optimizer_takes_all
from tests.train_scripts import (
    PLAIN,
    assert_two_processes_agree,
    check_equal,
    kill_after,
    lint,
    load_state,
    run,
    save_data,
    write,
    write_shared,
)

LINEAR = """
model Line {
    input x: f32[batch, 3]
    output y: f32[batch, 2] = x -> dense(2) as fc
}
data rows {
    source npz("rows.npz")
    split in_order, train=64, val=16
}
train fit of Line on rows {
    minimize mse(y, target) with OPTIMIZER
    batch 64  epochs 6  seed 0
}
"""


def write_linear(optimizer: str, folder: Path) -> tuple[Path, np.ndarray, np.ndarray]:
    """A script of a regression, and its training rows."""
    generator = np.random.default_rng(0)
    x = generator.normal(size=(80, 3)).astype(np.float32) * [1, 10, 0.1] + 1
    target = x @ generator.normal(size=(3, 2)) + 3 + generator.normal(size=(80, 2))
    x, target = x.astype(np.float32), target.astype(np.float32)
    np.savez(folder / "rows.npz", x=x, target=target)
    write(LINEAR.replace("OPTIMIZER", optimizer), folder)
    lint(folder)
    return folder, x[:64], target[:64]


@pytest.mark.parametrize(
    "optimizer",
    ['lbfgs(line_search_fn="strong_wolfe")', "lbfgs(max_iter=40, history_size=5)"],
)
def test_it_finds_the_least_squares(optimizer: str, tmp_path: Path) -> None:
    folder, x, target = write_linear(optimizer, tmp_path)
    done = run(folder, "run")
    assert done.returncode == 0, done.stderr
    found = load_state(folder / "run")["model"]
    padded = np.hstack([x, np.ones((64, 1))])
    expected = np.linalg.lstsq(padded, target, rcond=None)[0]
    np.testing.assert_allclose(found["fc.weight"], expected[:3].T, atol=2e-3)
    np.testing.assert_allclose(found["fc.bias"], expected[3], atol=2e-3)


def test_its_steps_are_those_of_pytorch(tmp_path: Path) -> None:
    settings = (
        "lr=0.5, max_iter=3, max_eval=5, history_size=2, tolerance_change=0, tolerance_grad=0"
    )
    folder, x, target = write_linear(f"lbfgs({settings})", tmp_path)
    assert run(folder, "run").returncode == 0
    torch.manual_seed(0)
    line = nn.Linear(3, 2)
    optimizer = torch.optim.LBFGS(
        line.parameters(), 0.5, 3, 5, tolerance_grad=0, tolerance_change=0, history_size=2
    )

    def measure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = nn.functional.mse_loss(line(torch.tensor(x)), torch.tensor(target))
        loss.backward()
        return loss

    for _ in range(6):
        optimizer.step(measure)
    found = load_state(folder / "run")["model"]
    for name, tensor in line.state_dict().items():
        np.testing.assert_allclose(found[f"fc.{name}"], tensor, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    ("optimizer", "clause"),
    [
        ("lbfgs(lr=0.1, max_iter=4)", ""),
        ("lbfgs(lr=0.5, max_iter=1, history_size=3)", "clip norm=1.0"),
        (
            'lbfgs(line_search_fn="strong_wolfe", max_iter=3, schedule=plateau(patience=0))',
            "regularize l2(1e-3)",
        ),
    ],
)
def test_a_killed_training_goes_on_as_it_would_have(
    optimizer: str, clause: str, tmp_path: Path
) -> None:
    text = PLAIN.replace("OPTIMIZER", optimizer).replace("    batch", f"    {clause}\n    batch")
    folder = write(text, tmp_path)
    lint(folder)
    done = run(folder, "whole")
    assert done.returncode == 0, done.stderr
    kill_after(folder, "killed", 2, signal.SIGKILL)
    assert run(folder, "killed", "--resume").returncode == 0
    check_equal(folder / "whole", folder / "killed")


def test_two_processes_give_what_one_gives(tmp_path: Path) -> None:
    text = PLAIN.replace("OPTIMIZER", "lbfgs(lr=0.1, max_iter=3)").replace("epochs 6", "epochs 2")
    folder = write_shared(text, tmp_path)
    assert_two_processes_agree(folder, "train.loss", "val.loss", "val.accuracy")


@pytest.mark.parametrize(
    ("optimizer", "clause", "kinds"),
    [
        ('lbfgs over "hidden" with sgd(lr=0.1)', "", [optimizer_takes_all]),
        ("lbfgs", "precision f16", [optimizer_takes_all]),
        ("lbfgs(max_iter=0)", "", [setting_range]),
        ("lbfgs(max_eval=0)", "", [setting_range]),
        ("lbfgs(history_size=0)", "", [setting_range]),
    ],
)
def test_what_it_cannot_do_is_refused(
    optimizer: str, clause: str, kinds: list[object], tmp_path: Path
) -> None:
    save_data(tmp_path)
    text = PLAIN.replace("OPTIMIZER", optimizer).replace("    batch", f"    {clause}\n    batch")
    (tmp_path / "spec.weft").write_text(text)
    sink = Sink()
    check(tmp_path / "spec.weft", overrides={}, sink=sink)
    assert [message.kind for message in sink.messages] == kinds
