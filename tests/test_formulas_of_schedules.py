"""Schedules against the formulas of their pages: the meaning, and the code of scripts, at every
step of trainings of several lengths."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from backends.pytorch.run.running import read_metrics
from compiler.ir.hint import HintBinary, HintConst, HintName
from compiler.training.base import SCHEDULES, Schedule
from compiler.training.cycles import CosineRestarts, OneCycle
from compiler.training.expression import Expression, Formula
from compiler.training.figure import Figure
from compiler.training.plateau import Plateau
from compiler.training.registry import load_training
from compiler.training.schedules import (
    Constant,
    Cosine,
    Exponential,
    InverseSquareRoot,
    InverseTime,
    MultiStep,
    Polynomial,
    Step,
)
from compiler.vocabulary.duration import Duration
from compiler.vocabulary.signature import write_call
from tests.formulas.schedules import FORMULAS
from tests.train_scripts import PLAIN, run, write

load_training()
LENGTHS = ((40, 8), (40, 40), (7, 3), (23, 5), (2, 1), (1, 1))
"""Steps of a training, and those of an epoch."""

NONE, SHARE, EPOCHS, ALL = (
    Duration(0, "steps"),
    Duration(0.125, "share"),
    Duration(1.5, "epochs"),
    Duration(1.0, "share"),
)
FALL = Formula(HintBinary("**", HintConst(0.9), HintName("epoch")))
LINE = Formula(HintBinary("-", HintConst(1), HintBinary("/", HintName("step"), HintName("steps"))))
WARMUPS = (NONE, SHARE, EPOCHS, ALL, Duration(3, "steps"))
CASES: list[Schedule] = [
    *(Constant(warmup) for warmup in WARMUPS),
    *(Expression(factor, warmup) for factor in (FALL, LINE) for warmup in WARMUPS[:3]),
    Step(Duration(2, "epochs")),
    Step(Duration(7, "steps"), 0.5, SHARE),
    Step(Duration(0.5, "share"), 0.3, EPOCHS),
    MultiStep((Duration(0.5, "share"), Duration(4, "epochs"))),
    MultiStep((Duration(3, "steps"), Duration(0, "steps"), Duration(3, "steps")), 0.5, EPOCHS),
    Exponential(0.9),
    Exponential(0.9, Duration(4, "steps"), SHARE),
    Exponential(0.5, EPOCHS, ALL),
    InverseTime(),
    InverseTime(0.5, Duration(3, "steps"), SHARE),
    InverseTime(2.0, EPOCHS, ALL),
    *(InverseSquareRoot(warmup) for warmup in WARMUPS[1:]),
    Polynomial(),
    Polynomial(2.0, 0.1, SHARE),
    Polynomial(0.5, 0.0, EPOCHS),
    Polynomial(warmup=ALL),
    Cosine(),
    Cosine(SHARE, 0.1),
    Cosine(EPOCHS),
    Cosine(ALL),
    CosineRestarts(Duration(1, "epochs")),
    CosineRestarts(Duration(3, "steps"), 2, 0.1, SHARE),
    CosineRestarts(Duration(1, "steps"), 3),
    CosineRestarts(Duration(0.5, "share"), 1, 0.2, EPOCHS),
    CosineRestarts(Duration(1, "steps")),
    OneCycle(),
    OneCycle(0.5, 0.1, 0.0, "linear"),
    OneCycle(0.01, 0.2, 0.1),
    OneCycle(0.99, 0.5, 0.25, "linear"),
]


@pytest.mark.parametrize("schedule", CASES, ids=write_call)
def test_every_step_follows_the_formula(schedule: Schedule) -> None:
    schedule.check()
    for total, epoch in LENGTHS:
        s = np.arange(total, dtype=np.float64)
        wanted = FORMULAS.functions[schedule.name](schedule, s, total, epoch)
        assert wanted.shape == s.shape
        meant = [schedule.multiplier(step, total, epoch) for step in range(total)]
        np.testing.assert_allclose(meant, wanted, rtol=1e-12, atol=1e-15)
        body = "\n    ".join(schedule.code("steps", "per_epoch"))
        scope: dict[str, Any] = {"math": math, "steps": total, "per_epoch": epoch}
        exec(f"def learning_rate(step):\n    {body}", scope)
        made = [scope["learning_rate"](step) for step in range(total)]
        np.testing.assert_allclose(made, wanted, rtol=1e-12, atol=1e-15)


PLATEAUS = [
    Plateau(patience=0),
    Plateau(
        Figure("val", "accuracy"),
        factor=0.5,
        patience=1,
        threshold=0.1,
        threshold_mode="abs",
        cooldown=1,
        minimum=0.2,
    ),
    Plateau(Figure("train", "loss"), factor=0.7, patience=0, threshold=0.05, eps=0.3),
    Plateau(Figure("val", "accuracy"), factor=0.6, patience=0, warmup=Duration(4.5, "epochs")),
]


@pytest.mark.parametrize("schedule", PLATEAUS, ids=write_call)
def test_rates_of_a_script_follow_the_formula(schedule: Plateau, tmp_path: Path) -> None:
    """A rate that is far too high makes its figures go up and down."""
    text = PLAIN.replace("epochs 6", "epochs 14")
    optimizer = f"sgd(lr=2.0, schedule={write_call(schedule)})"
    folder = write(text.replace("OPTIMIZER", optimizer), tmp_path)
    done = run(folder, "run")
    assert done.returncode == 0, done.stderr
    records = read_metrics(folder / "run" / "metrics.jsonl")
    figures = np.array([record[str(schedule.figure)] for record in records])
    higher, epoch = schedule.figure.metric == "accuracy", 96 // 24
    total = epoch * len(records)
    parts = FORMULAS.functions["plateau"](schedule, figures, total, epoch, higher, 2.0)
    np.testing.assert_allclose([record["lr"] for record in records], 2.0 * parts, rtol=1e-12)
    assert parts[-1] < 1, "else nothing is tried"


def test_every_setting_is_tried() -> None:
    for cls in SCHEDULES.classes():
        used = [schedule for schedule in (*CASES, *PLATEAUS) if isinstance(schedule, cls)]
        for option in cls.options():
            tried = {getattr(schedule, option.field) for schedule in used}
            assert len(tried) > 1, f"{cls.name}: {option.field}"
            assert option.required or tried - {option.default}
