"""Learning rates that fall on a plateau of a figure, against PyTorch's own scheduler."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest
import torch

from backends.pytorch.run.running import read_metrics
from compiler.driver import check
from compiler.report.diagnostics import Sink
from compiler.report.messages.items import setting_range
from compiler.report.messages.metrics import direction_needed
from compiler.report.messages.training import not_a_figure, unknown_figure
from tests.train_scripts import (
    PLAIN,
    assert_two_processes_agree,
    check_equal,
    kill_after,
    lint,
    run,
    save_data,
    write,
    write_shared,
)

LR = torch.optim.lr_scheduler
BUMPY = PLAIN.replace("batch 24  epochs 6", "batch 24  epochs 14")


def write_plateau(call: str, folder: Path, lr: float = 2.0) -> Path:
    """A script whose rate is far too high, so that its figures go up and down."""
    return write(BUMPY.replace("OPTIMIZER", f"sgd(lr={lr}, schedule={call})"), folder)


@pytest.mark.parametrize(
    ("call", "figure", "settings"),
    [
        ("plateau(patience=0)", "val.loss", {"patience": 0}),
        (
            "plateau(val.accuracy, factor=0.5, patience=1)",
            "val.accuracy",
            {"mode": "max", "factor": 0.5, "patience": 1},
        ),
        (
            "plateau(train.loss, factor=0.9, patience=0, threshold=0.05, "
            'threshold_mode="abs", cooldown=1)',
            "train.loss",
            {
                "factor": 0.9,
                "patience": 0,
                "threshold": 0.05,
                "threshold_mode": "abs",
                "cooldown": 1,
            },
        ),
        (
            "plateau(factor=0.5, patience=0, minimum=20%)",
            "val.loss",
            {"factor": 0.5, "patience": 0, "min_lr": 0.4},
        ),
        (
            "plateau(test.accuracy, factor=0.5, patience=0, threshold=0)",
            "test.accuracy",
            {"mode": "max", "factor": 0.5, "patience": 0, "threshold": 0.0},
        ),
    ],
)
def test_rates_are_those_of_pytorch(
    call: str, figure: str, settings: dict[str, Any], tmp_path: Path
) -> None:
    folder = write_plateau(call, tmp_path)
    lint(folder)
    done = run(folder, "run")
    assert done.returncode == 0, done.stderr
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=2.0)
    oracle = LR.ReduceLROnPlateau(optimizer, **settings)
    records = read_metrics(folder / "run" / "metrics.jsonl")
    for record in records:
        assert record["lr"] == optimizer.param_groups[0]["lr"]
        oracle.step(record[figure])
    assert optimizer.param_groups[0]["lr"] < 2.0, "else nothing is tried"


@pytest.mark.parametrize(
    "optimizer",
    [
        "sgd(lr=2, momentum=0.5, schedule=plateau(factor=0.5, patience=0, warmup=3epochs))",
        'sgd(lr=2, schedule=plateau(factor=0.5, patience=0)) over "*.bias" '
        "with sgd(lr=1, schedule=plateau(factor=0.5, patience=0))",
        'sgd(lr=2, schedule=plateau(factor=0.5, patience=0)) over "*.bias" '
        "with adam(lr=0.1, schedule=plateau(val.accuracy, patience=1))",
        'adam(lr=0.1, schedule=plateau(factor=0.5, patience=0)) over "*.bias" '
        "with adam(lr=0.1, schedule=cosine(warmup=10%))",
    ],
)
def test_a_killed_training_goes_on_as_it_would_have(optimizer: str, tmp_path: Path) -> None:
    folder = write(BUMPY.replace("OPTIMIZER", optimizer), tmp_path)
    lint(folder)
    done = run(folder, "whole")
    assert done.returncode == 0, done.stderr
    rates = [record["lr"] for record in read_metrics(folder / "whole" / "metrics.jsonl")]
    assert min(rates[4:]) < max(rates)
    for epochs in (2, 7):
        kill_after(folder, f"killed_{epochs}", epochs, signal.SIGKILL)
        assert run(folder, f"killed_{epochs}", "--resume").returncode == 0
        check_equal(folder / "whole", folder / f"killed_{epochs}")


def test_a_warm_up_goes_before(tmp_path: Path) -> None:
    folder = write_plateau("plateau(patience=0, warmup=3epochs)", tmp_path)
    assert run(folder, "run").returncode == 0
    rates = [record["lr"] for record in read_metrics(folder / "run" / "metrics.jsonl")]
    assert rates[:4] == pytest.approx([2 * 4 / 13, 2 * 8 / 13, 2 * 12 / 13, 2.0])
    assert rates[-1] < 2.0


def test_two_processes_fall_together(tmp_path: Path) -> None:
    call = "plateau(factor=0.5, patience=0)"
    folder = write_shared(BUMPY.replace("OPTIMIZER", f"sgd(lr=0.5, schedule={call})"), tmp_path)
    assert_two_processes_agree(folder, "lr", "train.loss", "val.loss")


@pytest.mark.parametrize(
    ("call", "kind"),
    [
        ("plateau(val.top)", unknown_figure),
        ("plateau(valid.loss)", unknown_figure),
        ("plateau(val.size)", direction_needed),
        ("plateau(loss)", not_a_figure),
        ('plateau("val.loss")', not_a_figure),
        ("plateau(fit.val.loss)", unknown_figure),
        ("plateau(factor=1)", setting_range),
        ("plateau(patience=-1)", setting_range),
        ("plateau(cooldown=-1)", setting_range),
        ("plateau(threshold=-0.1)", setting_range),
        ("plateau(minimum=100%)", setting_range),
    ],
)
def test_figures_that_a_train_lacks_are_refused(call: str, kind: object, tmp_path: Path) -> None:
    save_data(tmp_path)
    text = PLAIN.replace("OPTIMIZER", f"sgd(lr=1, schedule={call})")
    text = text.replace("    batch", "    metric size = mean(logits ** 2)\n    batch")
    (tmp_path / "spec.weft").write_text(text)
    sink = Sink()
    check(tmp_path / "spec.weft", overrides={}, sink=sink)
    assert [message.kind for message in sink.messages] == [kind]
