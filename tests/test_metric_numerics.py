"""Figures of numbers that are large beside their differences, do not vary, or are beyond floats."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sklearn.metrics

from compiler.training.base import Metric
from compiler.training.classification import Accuracy, BinaryAccuracy, Perplexity, TopK
from compiler.training.regression import R2
from tests.metric_code import run_metric
from tests.train_scripts import run, run_two, write, write_shared

DRAWN = np.random.default_rng(0)
STEPS = np.arange(90) % 9
ERRORS = DRAWN.normal(size=90)
WEIGHT = DRAWN.random(90)
MASK = DRAWN.random(90) < 0.6
OFFSETS = [
    (STEPS + 16_000_000).astype(np.float32),
    STEPS + 1e12,
    STEPS * 1e-9 + 1.0,
    STEPS * 1e-20,
]


@pytest.mark.parametrize("target", OFFSETS, ids=lambda t: f"{t[0]:g}")
@pytest.mark.parametrize("counts", [(), (MASK,), (None, WEIGHT), (MASK, WEIGHT)], ids=len)
@pytest.mark.parametrize("batch", [7, 90])
def test_r2_of_an_offset_target_equals_scikit_learn(
    target: Any, counts: Sequence[Any], batch: int
) -> None:
    arrays = (target + (ERRORS * target.std()).astype(target.dtype), target, *counts)
    weights = np.ones(90)
    for each in counts:
        weights = weights * (1 if each is None else each)
    pair = (target.astype(np.float64), arrays[0].astype(np.float64))
    expected = sklearn.metrics.r2_score(*pair, sample_weight=weights)
    assert R2().evaluate(*arrays) == pytest.approx(expected, rel=1e-6)
    assert run_metric(R2(), arrays, batch) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("number", [0.1, np.float32(0.1), 1 / 3, 1e17], ids=str)
@pytest.mark.parametrize("counts", [(), (MASK,), (None, WEIGHT), (MASK, WEIGHT)], ids=len)
@pytest.mark.parametrize("shape", [(90,), (90, 1)], ids=str)
def test_r2_of_a_target_that_does_not_vary_is_0_or_1(
    number: Any, counts: Sequence[Any], shape: tuple[int, ...]
) -> None:
    target = np.full(shape, number)
    counts = [None if each is None else each.reshape(shape) for each in counts]
    wrong = (target + 1000 + ERRORS.reshape(shape)).astype(target.dtype)
    for prediction, expected in ((target, 1.0), (wrong, 0.0)):
        assert R2().evaluate(prediction, target, *counts) == expected
        assert run_metric(R2(), (prediction, target, *counts), 7) == expected


def test_entries_that_do_not_count_move_no_r2() -> None:
    target = np.where(MASK, 0.25 + STEPS, -1e15)
    prediction = target + ERRORS
    expected = sklearn.metrics.r2_score(target[MASK], prediction[MASK])
    assert R2().evaluate(prediction, target, MASK) == pytest.approx(expected)
    assert run_metric(R2(), (prediction, target, MASK), 7) == pytest.approx(expected)


def test_perplexity_beyond_floats_is_infinite() -> None:
    scores, labels = np.zeros((9, 2), np.float32), np.zeros(9, np.int64)
    for lead, expected in ((700.0, pytest.approx(math.exp(700))), (720.0, math.inf)):
        scores[:, 1] = lead
        metric = Perplexity(axis=1)
        assert metric.evaluate(scores, labels) == expected
        assert run_metric(metric, (scores, labels), 4) == expected


SCORES = DRAWN.normal(size=(60, 3)).astype(np.float32)
LABELS = DRAWN.integers(0, 3, 60)
OF_LABELS = [
    (Accuracy(axis=1), SCORES, LABELS),
    (Accuracy(axis=1, ignore_index=0), SCORES, LABELS),
    (Accuracy(axis=1, weight=(0.5, 1.0, 2.0)), SCORES, LABELS),
    (TopK(k=2, axis=1), SCORES, LABELS),
    (Perplexity(axis=1), SCORES, LABELS),
    (BinaryAccuracy(), SCORES[:, 0], (LABELS > 1).astype(np.float32)),
]


def name_metric(value: Any) -> str:
    return value.name if isinstance(value, Metric) else ""


@pytest.mark.parametrize(("metric", "scores", "labels"), OF_LABELS, ids=name_metric)
def test_scores_that_are_no_numbers_give_no_figure(
    metric: Metric, scores: Any, labels: Any
) -> None:
    place = int(np.flatnonzero(labels)[3])
    assert math.isfinite(metric.evaluate(scores, labels))
    broken = scores.copy()
    broken[place] = math.nan
    counted = np.arange(60) != place
    for found in (metric.evaluate, lambda *given: run_metric(metric, given, 7)):
        assert math.isnan(found(broken, labels))
        if not isinstance(metric, Perplexity):  # what is added up is NaN wherever it stands
            expected = metric.evaluate(scores, labels, counted)
            assert found(broken, labels, counted) == pytest.approx(expected)


@pytest.mark.parametrize("metric", [Accuracy(axis=1), TopK(k=2, axis=1)], ids=name_metric)
def test_the_highest_score_is_finite(metric: Metric) -> None:
    masked = SCORES.copy()
    masked[:, 1] = -math.inf  # a class that cannot be chosen
    expected = metric.evaluate(np.where(np.isfinite(masked), masked, -1e9), LABELS)
    assert metric.evaluate(masked, LABELS) == run_metric(metric, (masked, LABELS), 7) == expected
    for number in (math.inf, -math.inf):
        broken = SCORES.copy()
        broken[5] = number
        assert math.isnan(metric.evaluate(broken, LABELS))
        assert math.isnan(run_metric(metric, (broken, LABELS), 7))


def test_a_prediction_that_is_no_number_explains_nothing() -> None:
    for target in (STEPS.astype(np.float64), np.full(90, 2.0)):
        broken = target.copy()
        broken[4] = math.nan
        assert math.isnan(R2().evaluate(broken, target))
        assert math.isnan(run_metric(R2(), (broken, target), 7))


UNREAD = """
model Net {
    input x: f32[n, 1]
    h = x -> dense(4) -> relu
    output y = h -> dense(1) as value
    output z = log(x) + (h -> dense(2) as scores)
}
data d {
    source npz("d.npz")
    split in_order, train=20, val=13
}
train fit of Net on d {
    minimize mse(y, x) with sgd(lr=1e-3)
    metric accuracy = accuracy(z, label)
    batch 4  epochs 1  seed 0
}
"""


def test_an_output_that_the_loss_does_not_read_gives_no_accuracy_of_nan(tmp_path: Path) -> None:
    x = ERRORS[:33, None].astype(np.float32)
    np.savez(tmp_path / "d.npz", x=x, label=(x[:, 0] > 0).astype(np.int64))
    write(UNREAD, tmp_path)
    done = run(tmp_path, "run")
    assert done.returncode == 1
    assert done.stderr.strip() == "val.accuracy was not a number in any epoch"


TRAIN = """
model Net {
    input x: f32[n, 1]
    output y: f32[n, 1] = x -> dense(1)
}
data d {
    source npz("d.npz")
    split in_order, train=20, val=13
}
train fit of Net on d {
    minimize mse(y, x) with sgd(lr=1e-3)
    metric plain = r2(guess, target)
    metric some = r2(guess + 0, target + 0, mask=x[:, 0] > 0, weight=weight)
    metric wrong = r2(guess, constant)
    metric right = r2(constant, constant)
    batch 4  epochs 1  seed 0
}
"""


def test_a_script_measures_r2_over_the_whole_split_in_one_process_and_in_two(
    tmp_path: Path,
) -> None:
    rows = slice(20, 33)
    x = np.sign(ERRORS[:33, None]).astype(np.float32)
    target = OFFSETS[0][:33]
    guess = target + np.round(ERRORS[:33]).astype(np.float32)
    constant = np.full(33, 0.1, np.float32)
    weight = WEIGHT[:33].astype(np.float32)
    np.savez(tmp_path / "d.npz", x=x, target=target, guess=guess, constant=constant, weight=weight)
    write_shared(TRAIN, tmp_path)
    counts = (weight * (x[:, 0] > 0))[rows]
    pair = (target[rows].astype(np.float64), guess[rows].astype(np.float64))
    expected = {
        "plain": sklearn.metrics.r2_score(*pair),
        "some": sklearn.metrics.r2_score(*pair, sample_weight=counts),
        "wrong": 0.0,
        "right": 1.0,
    }
    for start, out in ((run, "one"), (run_two, "two")):
        done = start(tmp_path, out)
        assert done.returncode == 0, done.stderr
        found = json.loads((tmp_path / out / "results.json").read_text())["val"]
        assert {name: found[name] for name in expected} == pytest.approx(expected, rel=1e-6)
