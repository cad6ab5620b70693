"""Metrics against torchmetrics and scikit-learn: masks, weights, ties, several processes."""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sklearn.metrics
import torch

from compiler.training.base import Metric
from compiler.training.binary import (
    BinaryBalancedAccuracy,
    BinaryF1,
    BinaryIoU,
    BinaryPrecision,
    BinaryRecall,
)
from compiler.training.calibration import CalibrationError
from compiler.training.confusion import F1, BalancedAccuracy, IoU, Precision, Recall
from compiler.training.frechet import FrechetDistance
from compiler.training.image_quality import Psnr, Ssim
from compiler.training.likelihood import NllOfProbability
from compiler.training.ranking import Auroc, AveragePrecision
from compiler.training.regression import MeanAbsolutePercentageError
from compiler.types.tensor import TensorType
from tests.faults import fault_of
from tests.metric_code import run_metric
from tests.torchmetrics_functions import compute_fid, tm, tmc, tmi
from tests.train_scripts import lint, run, run_two, write_shared

DRAWN = np.random.default_rng(0)
ROWS = 60
SCORES = DRAWN.normal(size=(ROWS, 4)).astype(np.float32)
SHARES = torch.tensor(SCORES).softmax(1).numpy()
LABELS = DRAWN.integers(0, 3, ROWS)  # class 3 is said at times, and never a label
PADDED = np.where(DRAWN.random(ROWS) < 0.3, -100, LABELS)
MASK = DRAWN.random(ROWS) < 0.6
WEIGHT = DRAWN.random(ROWS).astype(np.float32)
DENSE = DRAWN.normal(size=(ROWS, 3, 4, 5)).astype(np.float32)
DENSE_LABELS = DRAWN.integers(0, 3, (ROWS, 4, 5))
LOGITS = DRAWN.normal(size=ROWS).round(1).astype(np.float32)  # with ties
BINARY = DRAWN.integers(0, 2, ROWS)
IMAGES = DRAWN.random((ROWS, 2, 13, 17)).astype(np.float32)
NOISY = np.clip(IMAGES + DRAWN.normal(size=IMAGES.shape) / 9, 0, 1).astype(np.float32)
FEATURES = DRAWN.normal(size=(ROWS, 3)).astype(np.float32)
OTHERS = (DRAWN.normal(size=(ROWS, 3)) * 2 + 1).astype(np.float32)
SAID = SCORES.argmax(1)

Case = tuple[Metric, Sequence[Any], float]


def torched(function: Callable[..., Any], *arrays: Any, **options: Any) -> float:
    tensors = [torch.tensor(a.astype(np.float64) if a.dtype.kind == "f" else a) for a in arrays]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return float(function(*tensors, **options))


def ratios() -> list[Case]:
    """Precision, recall, F1 and IoU of several classes."""
    cases: list[Case] = []
    pairs: list[tuple[type[Any], Any, Any]] = [
        (Precision, tmc.multiclass_precision, sklearn.metrics.precision_score),
        (Recall, tmc.multiclass_recall, sklearn.metrics.recall_score),
        (F1, tmc.multiclass_f1_score, sklearn.metrics.f1_score),
        (IoU, tmc.multiclass_jaccard_index, sklearn.metrics.jaccard_score),
    ]
    for cls, torch_metric, scikit in pairs:
        for average in ("macro", "micro", "weighted"):
            options = {"num_classes": 4, "average": average}
            both = (SCORES, LABELS)
            cases.append((cls(average=average), both, torched(torch_metric, *both, **options)))
            padded = torched(torch_metric, SCORES, PADDED, ignore_index=-100, **options)
            cases.append((cls(average=average), (SCORES, PADDED), padded))
            options = {"average": average, "zero_division": 0}
            weighted = scikit(LABELS, SAID, sample_weight=WEIGHT, **options)
            cases.append((cls(average=average), (SCORES, LABELS, None, WEIGHT), weighted))
            both = (DENSE, DENSE_LABELS)
            options = {"num_classes": 3, "average": average}
            cases.append((cls(average=average), both, torched(torch_metric, *both, **options)))
        masked = scikit(LABELS[MASK], SAID[MASK], average="macro", zero_division=0)
        cases.append((cls(), (SCORES, LABELS, MASK), masked))
        each = scikit(LABELS, SAID, average=None, labels=range(4), zero_division=0)
        cases.append((cls(classes=(2,)), (SCORES, LABELS), each[2]))
        cases.append((cls(classes=(1, 0)), (SCORES, LABELS), each[:2].mean()))
    table = (0.5, 1.0, 2.0, 0.0)
    by_class = {"average": "macro", "sample_weight": np.array(table)[LABELS], "zero_division": 0}
    cases.append(
        (F1(weight=table), (SCORES, LABELS), sklearn.metrics.f1_score(LABELS, SAID, **by_class))
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        balanced = sklearn.metrics.balanced_accuracy_score(LABELS, SAID)
    cases.append((BalancedAccuracy(), (SCORES, LABELS), balanced))
    return cases


def binary_ratios() -> list[Case]:
    """The same of two classes in one score."""
    cases: list[Case] = []
    pairs: list[tuple[type[Any], type[Any], Any]] = [
        (Precision, BinaryPrecision, sklearn.metrics.precision_score),
        (Recall, BinaryRecall, sklearn.metrics.recall_score),
        (F1, BinaryF1, sklearn.metrics.f1_score),
        (IoU, BinaryIoU, sklearn.metrics.jaccard_score),
        (BalancedAccuracy, BinaryBalancedAccuracy, sklearn.metrics.balanced_accuracy_score),
    ]
    for cls, binary, scikit in pairs:
        cases.append((cls(), (LOGITS, BINARY), scikit(BINARY, LOGITS > 0)))
        above = scikit(BINARY, LOGITS > 0.5)
        cases.append((binary(threshold=0.5), (LOGITS[:, None], BINARY[:, None] > 0), above))
        masked = scikit(BINARY[MASK], LOGITS[MASK] > 0, sample_weight=WEIGHT[MASK])
        cases.append((cls(), (LOGITS, BINARY, MASK, WEIGHT), masked))
        known = np.where(DRAWN.random(ROWS) < 0.2, 9, BINARY)
        ignored = scikit(BINARY[known != 9], LOGITS[known != 9] > 0)
        cases.append((cls(ignore_index=9), (LOGITS, known), ignored))
    nothing = np.zeros(ROWS, np.int64)
    cases += [(cls(), (LOGITS - 9, nothing), 0.0) for cls, *_ in pairs[:4]]
    return cases


def rankings() -> list[Case]:
    cases: list[Case] = []
    pairs: list[tuple[Any, Any, Any, Any]] = [
        (Auroc, tmc.binary_auroc, tmc.multiclass_auroc, sklearn.metrics.roc_auc_score),
        (
            AveragePrecision,
            tmc.binary_average_precision,
            tmc.multiclass_average_precision,
            sklearn.metrics.average_precision_score,
        ),
    ]
    shares = np.exp(SCORES) / np.exp(SCORES).sum(1, keepdims=True)
    for cls, binary, several, scikit in pairs:
        cases.append((cls(), (LOGITS, BINARY), torched(binary, LOGITS, BINARY)))
        cases.append((cls(), (LOGITS[:, None], BINARY[:, None]), scikit(BINARY, LOGITS)))
        weighted = scikit(BINARY, LOGITS, sample_weight=WEIGHT)
        cases.append((cls(), (LOGITS, BINARY, None, WEIGHT), weighted))
        masked = scikit(BINARY[MASK], LOGITS[MASK])
        cases.append((cls(), (LOGITS, BINARY, MASK), masked))
        three = torched(several, shares[:, :3], LABELS, num_classes=3)
        cases.append((cls(), (shares[:, :3], LABELS), three))
        kept = PADDED != -100
        padded = torched(several, shares[kept][:, :3], PADDED[kept], num_classes=3)
        cases.append((cls(ignore_index=-100), (shares[:, :3], PADDED), padded))
        cases.append(
            (
                cls(),
                (shares, LABELS),
                np.mean([scikit(c == LABELS, shares[:, c]) for c in range(3)]),
            )
        )
        large = (LOGITS * 100 + 1000).astype(np.float32)  # a sigmoid would make them equal
        cases.append((cls(), (large, BINARY), scikit(BINARY, large)))
    cases.append((Auroc(), (LOGITS, np.zeros(ROWS, np.int64)), math.nan))
    cases.append((AveragePrecision(), (LOGITS, np.zeros(ROWS, np.int64)), math.nan))
    return cases


def others() -> list[Case]:
    error = tmc.multiclass_calibration_error
    shown = torch.tensor(SCORES).double().softmax(1).numpy()
    options: dict[str, Any] = {"num_classes": 4}
    cases: list[Case] = [
        (CalibrationError(), (SCORES, LABELS), torched(error, shown, LABELS, **options)),
        (
            CalibrationError(bins=4),
            (SCORES, LABELS),
            torched(error, shown, LABELS, n_bins=4, **options),
        ),
        (
            CalibrationError(),
            (SCORES, PADDED),
            torched(error, shown[PADDED >= 0], PADDED[PADDED >= 0], **options),
        ),
        (
            NllOfProbability(),
            (SHARES, LABELS),
            sklearn.metrics.log_loss(LABELS, SHARES, labels=range(4)),
        ),
        (
            NllOfProbability(),
            (SHARES, LABELS, None, WEIGHT),
            sklearn.metrics.log_loss(LABELS, SHARES, labels=range(4), sample_weight=WEIGHT),
        ),
        (
            NllOfProbability(),
            (SHARES, PADDED),
            sklearn.metrics.log_loss(LABELS[PADDED >= 0], SHARES[PADDED >= 0], labels=range(4)),
        ),
        (NllOfProbability(), (SCORES, LABELS), math.nan),
        (NllOfProbability(), (np.where(SHARES.max() == SHARES, np.nan, SHARES), LABELS), math.nan),
        (NllOfProbability(eps=1e-3), (np.eye(4, dtype=np.float32)[LABELS], LABELS), 0.0),
        (
            NllOfProbability(eps=1e-3),
            (np.eye(4, dtype=np.float32)[LABELS + 1], LABELS),
            -math.log(1e-3),
        ),
    ]
    return cases


def pictures() -> list[Case]:
    return [
        (
            Psnr(1.0),
            (NOISY, IMAGES),
            torched(tmi.peak_signal_noise_ratio, NOISY, IMAGES, data_range=1.0),
        ),
        (Psnr(255.0), (IMAGES, IMAGES), math.inf),
        (
            Ssim(1.0),
            (NOISY, IMAGES),
            torched(tmi.structural_similarity_index_measure, NOISY, IMAGES, data_range=1.0),
        ),
        (
            Ssim(2.0),
            (NOISY[:, :1], IMAGES[:, :1]),
            torched(
                tmi.structural_similarity_index_measure, NOISY[:, :1], IMAGES[:, :1], data_range=2.0
            ),
        ),
        (Ssim(1.0), (IMAGES, IMAGES), 1.0),
        (FrechetDistance(), (FEATURES, OTHERS), distance(FEATURES, OTHERS)),
        (FrechetDistance(), (FEATURES, FEATURES), 0.0),
        (
            MeanAbsolutePercentageError(),
            (OTHERS, FEATURES),
            torched(tm.mean_absolute_percentage_error, OTHERS, FEATURES),
        ),
    ]


def distance(first: Any, second: Any) -> float:
    """The figure of torchmetrics, whose class takes a network besides."""
    given = [
        (torch.tensor(a).double().mean(0), torch.tensor(a).double().T.cov())
        for a in (first, second)
    ]
    return float(compute_fid(*given[0], *given[1]))


CASES = [*ratios(), *binary_ratios(), *rankings(), *others(), *pictures()]
NAMES = [f"{number}-{metric.name}" for number, (metric, _, _) in enumerate(CASES)]


def type_of(array: Any) -> TensorType:
    dtype = {"float32": "f32", "float64": "f64", "int64": "i64", "bool": "bool"}[array.dtype.name]
    return TensorType.of(dtype, ("batch", *array.shape[1:]))


def resolve(metric: Metric, arrays: Sequence[Any]) -> Metric:
    types = [type_of(array) for array in arrays if array is not None]
    metric.check(types)
    return metric.resolve(types)


@pytest.mark.parametrize(("metric", "arrays", "expected"), CASES, ids=NAMES)
def test_a_metric_equals_its_oracle(metric: Metric, arrays: Sequence[Any], expected: float) -> None:
    resolved = resolve(metric, arrays)
    assert resolved.evaluate(*arrays) == pytest.approx(expected, abs=2e-6, nan_ok=True)
    for batch in (7, ROWS):
        padded = [*arrays, *[None] * (len(resolved.operands) - len(arrays))]
        assert run_metric(resolved, padded, batch) == pytest.approx(expected, abs=2e-6, nan_ok=True)


@pytest.mark.parametrize(
    "metric",
    [
        F1(),
        Precision(),
        Recall(),
        IoU(),
        BalancedAccuracy(),
        Auroc(),
        AveragePrecision(),
        CalibrationError(),
    ],
    ids=lambda metric: metric.name,
)
def test_no_figure_of_scores_that_are_no_numbers(metric: Metric) -> None:
    broken = SCORES.copy()
    broken[5, :] = np.nan
    arrays = (broken, LABELS)
    resolved = resolve(metric, arrays)
    assert math.isnan(resolved.evaluate(*arrays, None, None))
    assert math.isnan(run_metric(resolved, [*arrays, None, None], 7))
    masked = (broken, LABELS, np.arange(ROWS) != 5)
    figure = resolved.evaluate(*masked, None)
    assert math.isfinite(figure)
    assert run_metric(resolved, [*masked, None], 7) == pytest.approx(figure)


@pytest.mark.parametrize(
    ("metric", "types"),
    [
        (F1(classes=(4,)), ("f32[b, 4]", "i64[b]")),
        (F1(classes=(1, 1)), ("f32[b, 4]", "i64[b]")),
        (F1(classes=()), ("f32[b, 4]", "i64[b]")),
        (F1(num_classes=3), ("f32[b, 4]", "i64[b]")),
        (F1(), ("f32[b, k]", "i64[b]")),
        (F1(), ("f32[b, 4]", "f32[b]")),
        (F1(average="micro"), ("f32[b]", "i64[b]")),
        (F1(classes=(1,)), ("f32[b]", "i64[b]")),
        (BinaryF1(), ("i64[b]", "i64[b]")),
        (Auroc(), ("f32[b, 4]", "i64[b, 4]")),
        (Auroc(), ("f32[b, 4, 9]", "i64[b, 9]")),
        (Auroc(), ("f32[b, k]", "i64[b]")),
        (CalibrationError(bins=0), ("f32[b, 4]", "i64[b]")),
        (Psnr(0.0), ("f32[b, 4]", "f32[b, 4]")),
        (Ssim(1.0), ("f32[b, 4]", "f32[b, 4]")),
        (Ssim(1.0), ("f32[b, 3, 5, 20]", "f32[b, 3, 5, 20]")),
        (FrechetDistance(), ("f32[b, k]", "f32[b, k]")),
        (FrechetDistance(), ("f32[b]", "f32[b]")),
    ],
    ids=str,
)
def test_what_a_metric_cannot_compare(metric: Metric, types: Sequence[str]) -> None:
    parsed = []
    for text in types:
        dtype, _, dims = text.rstrip("]").partition("[")
        parsed.append(
            TensorType.of(dtype, [int(d) if d.isdigit() else d for d in dims.split(", ")])
        )
    assert fault_of(lambda: metric.check(parsed)).text.title


SPEC = """
model Net {
    input features: f32[batch, 4]
    h = features -> dense(16) as hidden -> tanh
    output logits: f32[batch, 3] = h -> dense(3) as head
    output first: f32[batch] = (h -> dense(1) as one)[:, 0]
    output code: f32[batch, 2] = h[:, :2]
}
data iris {
    source npz("iris.npz")
    features = features -> standardize
    split random(seed=0), train=96, val=27, test=27
}
train fit of Net on iris {
    minimize cross_entropy(logits, label) + bce_with_logits(first, cast(label == 0, f32))
        with adam(lr=0.02)
    metric f1 = f1(logits, label), recall_2 = recall(logits, label, classes=[2])
    metric weighted = iou(logits, label, average="weighted")
    metric balanced = balanced_accuracy(first, label == 0)
    metric roc_area = auroc(logits, label), first_area = auroc(first, label == 0)
    metric precision = average_precision(logits, label)
    metric calibration = calibration_error(logits, label)
    metric moved = frechet_distance(code, features[:, :2])
    batch 24  epochs 2  seed 0
}
"""


def test_a_script_measures_them_in_one_and_two_processes(tmp_path: Path) -> None:
    folder = write_shared(SPEC, tmp_path)
    lint(folder)
    done = run(folder, "one")
    assert done.returncode == 0, done.stderr
    two = run_two(folder, "two")
    assert two.returncode == 0, two.stderr
    one, other = (json.loads((folder / out / "results.json").read_text()) for out in ("one", "two"))
    assert one["val"].keys() == other["val"].keys() >= {"f1", "recall_2", "roc_area", "moved"}
    for split in ("val", "test"):
        assert one[split] == pytest.approx(other[split], abs=1e-4)
        assert all(math.isfinite(figure) for figure in one[split].values())
