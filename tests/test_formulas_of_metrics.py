"""Metrics against the formulas of their pages: the meaning, and the code of scripts over batches.
Scores with ties, classes that are never a label or never said, masks, weights, ignored labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from compiler.training import binary, calibration, classification, confusion, ranking, regression
from compiler.training.base import METRICS, Metric
from compiler.training.frechet import FrechetDistance
from compiler.training.image_quality import Psnr, Ssim
from compiler.training.likelihood import NllOfProbability
from compiler.training.registry import load_training
from tests.formulas.metrics import FORMULAS
from tests.metric_code import run_metric
from tests.test_metric_oracles import resolve

load_training()
DRAWN = np.random.default_rng(5)
ROWS = 61
SCORES = DRAWN.normal(size=(ROWS, 6)).round(1).astype(np.float32)  # with ties
SCORES[:, 5] -= 9  # never said
SCORES[:9, 1] = SCORES[:9, 2] = SCORES[:9].max(axis=1)
LABELS = DRAWN.integers(0, 4, ROWS)  # 4 is said at times and never a label, 5 neither
PADDED = np.where(DRAWN.random(ROWS) < 0.3, -100, LABELS)
MASK = DRAWN.random(ROWS) < 0.6
WEIGHT = DRAWN.random(ROWS).astype(np.float32)
DENSE = DRAWN.normal(size=(ROWS, 3, 4, 2)).round(1).astype(np.float32)
DENSE_LABELS = DRAWN.integers(0, 2, (ROWS, 4, 2))
DENSE_MASK = DRAWN.random((ROWS, 4, 2)) < 0.5
LAST = np.moveaxis(DENSE, 1, -1).copy()
TABLE = (0.5, 1.0, 0.0, 2.0, 1.5, 1.0)
LOGITS = DRAWN.normal(size=ROWS).round(1).astype(np.float32)
BINARY = DRAWN.integers(0, 2, ROWS)
UNKNOWN = np.where(DRAWN.random(ROWS) < 0.3, 7, BINARY)
PAIRS = DRAWN.normal(size=(ROWS, 3)).round(1).astype(np.float32)
PAIR_LABELS = DRAWN.random((ROWS, 3)) < 0.4
PREDICTION, TARGET = DRAWN.normal(size=(2, ROWS, 4)).astype(np.float32)
TARGET[0] = 0
ENTRIES, ENTRY_MASK = DRAWN.random((ROWS, 4)).astype(np.float32), DRAWN.random((ROWS, 4)) < 0.5
IMAGES = DRAWN.random((3, 2, 13, 9)).astype(np.float32)
NOISY = (IMAGES + DRAWN.normal(size=IMAGES.shape) / 9).astype(np.float32)

Case = tuple[Metric, Sequence[Any]]


def of_labels(cls: type[Any], **options: Any) -> list[Case]:
    """A metric of class scores with what may say how much a label counts."""
    return [
        (cls(**options), (SCORES, LABELS)),
        (cls(**options), (SCORES, PADDED)),
        (cls(**options, ignore_index=2), (SCORES, LABELS, MASK)),
        (cls(**options), (SCORES, LABELS, None, WEIGHT)),
        (cls(**options), (SCORES, PADDED, MASK, WEIGHT)),
        (cls(**options, weight=TABLE), (SCORES, PADDED, MASK)),
    ]


def of_one_score(cls: type[Any], **options: Any) -> list[Case]:
    """A metric of one score for two classes with the same."""
    return [
        (cls(**options), (LOGITS, BINARY)),
        (cls(**options), (LOGITS[:, None], BINARY[:, None])),
        (cls(**options, ignore_index=7), (LOGITS, UNKNOWN)),
        (cls(**options), (LOGITS, BINARY, MASK)),
        (cls(**options, ignore_index=7), (LOGITS, UNKNOWN, MASK, WEIGHT)),
    ]


def of_numbers(cls: type[Any], prediction: Any, target: Any, mask: Any, weight: Any) -> list[Case]:
    """A metric of numbers with the same."""
    return [
        (cls(), (prediction, target)),
        (cls(), (prediction, target, mask)),
        (cls(), (prediction, target, None, weight)),
        (cls(), (prediction, target, mask, weight)),
    ]


def share(scores: Any) -> Any:
    """Probabilities along the last axis; the smallest is 0."""
    shares = np.exp(scores) / np.exp(scores).sum(axis=-1, keepdims=True)
    return np.where(shares == shares.min(), 0, shares).astype(np.float32)


RATIOS = (confusion.Precision, confusion.Recall, confusion.F1, confusion.IoU)
HALVES = np.zeros((ROWS, 2), np.float32)
CASES: list[Case] = [
    *of_labels(classification.Accuracy),
    (classification.Accuracy(axis=1), (DENSE, DENSE_LABELS, DENSE_MASK)),
    *(case for k in (1, 2, 6) for case in of_labels(classification.TopK, k=k)),
    (classification.TopK(k=2, axis=1), (DENSE, DENSE_LABELS, DENSE_MASK)),
    *of_labels(classification.Perplexity),
    (classification.Perplexity(axis=3), (LAST, DENSE_LABELS, DENSE_MASK)),
    *(
        (metric, (share(arrays[0]), *arrays[1:]))
        for eps in (1e-12, 0.02)
        for metric, arrays in of_labels(NllOfProbability, eps=eps)
    ),
    (NllOfProbability(axis=3), (share(LAST), DENSE_LABELS, DENSE_MASK)),
    *(case for bins in (15, 1, 7) for case in of_labels(calibration.CalibrationError, bins=bins)),
    (calibration.CalibrationError(bins=2), (HALVES, BINARY)),
    (calibration.CalibrationError(axis=1), (DENSE, DENSE_LABELS, DENSE_MASK)),
    *(
        case
        for cls in RATIOS
        for how in ("macro", "micro", "weighted")
        for case in of_labels(cls, average=how)
    ),
    *(case for cls in RATIOS for case in of_labels(cls, classes=(1, 4, 3))),
    *((cls(axis=1, num_classes=3), (DENSE, DENSE_LABELS, DENSE_MASK)) for cls in RATIOS),
    *of_labels(confusion.BalancedAccuracy),
    *of_labels(confusion.BalancedAccuracy, classes=(4, 0, 3)),
    (confusion.BalancedAccuracy(axis=1, num_classes=3), (DENSE, DENSE_LABELS)),
    *of_one_score(classification.BinaryAccuracy),
    (classification.BinaryAccuracy(), (PAIRS, PAIR_LABELS)),
    *(
        case
        for cls in (
            binary.BinaryPrecision,
            binary.BinaryRecall,
            binary.BinaryF1,
            binary.BinaryIoU,
            binary.BinaryBalancedAccuracy,
        )
        for case in (
            *of_one_score(cls),
            *of_one_score(cls, threshold=0.5),
            (cls(), (PAIRS, PAIR_LABELS)),
            (cls(), (LOGITS, np.zeros(ROWS, np.int64))),
            (cls(threshold=9.0), (LOGITS, BINARY)),
            (cls(threshold=9.0), (LOGITS, np.zeros(ROWS, np.int64))),
        )
    ),
    *(
        case
        for cls in (ranking.Auroc, ranking.AveragePrecision)
        for case in (
            *of_one_score(cls),
            (cls(), (SCORES, LABELS)),
            (cls(num_classes=6), (SCORES, LABELS, MASK, WEIGHT)),
            (cls(ignore_index=-100), (SCORES, PADDED)),
        )
    ),
    *(
        case
        for cls in (
            regression.MeanSquaredError,
            regression.RootMeanSquaredError,
            regression.MeanAbsoluteError,
            regression.MeanAbsolutePercentageError,
        )
        for case in of_numbers(cls, PREDICTION, TARGET, ENTRY_MASK, ENTRIES)
    ),
    *of_numbers(regression.R2, PREDICTION[:, 0], TARGET[:, 0], MASK, WEIGHT),
    (regression.R2(), (PREDICTION[:, :1], TARGET[:, :1] + 1000)),
    (Psnr(1.0), (NOISY, IMAGES)),
    (Psnr(255.0), (PREDICTION, TARGET)),
    (Ssim(1.0), (NOISY, IMAGES)),
    (Ssim(3.0), (NOISY[:, :1], IMAGES[:, :1])),
    (FrechetDistance(), (PREDICTION, TARGET)),
    (FrechetDistance(features=2), (PREDICTION[:, :2] * 3, TARGET[:, 1:3] + 1)),
]


@pytest.mark.parametrize("number", range(len(CASES)), ids=lambda n: f"{n}-{CASES[n][0].name}")
def test_a_figure_follows_the_formula(number: int) -> None:
    metric, arrays = CASES[number]
    resolved = resolve(metric, arrays)
    wanted = FORMULAS.functions[resolved.name](resolved, *arrays)
    assert np.isfinite(wanted)
    assert resolved.evaluate(*arrays) == pytest.approx(wanted, rel=1e-9, abs=1e-12)
    padded = [*arrays, *[None] * (len(resolved.operands) - len(arrays))]
    for batch in (7, ROWS):
        assert run_metric(resolved, padded, batch) == pytest.approx(wanted, rel=1e-9, abs=1e-12)


def test_every_setting_is_tried() -> None:
    for name in FORMULAS.functions:
        cls = METRICS.get(name)
        assert cls is not None
        used = [(metric, arrays) for metric, arrays in CASES if type(metric) is cls]
        assert used, name
        for option in cls.options():
            tried = {getattr(metric, option.field) for metric, _ in used}
            assert len(tried) > 1, f"{name}: {option.field}"
        for place, operand in enumerate(cls.operands):
            given = [len(a) > place and a[place] is not None for _, a in used]
            assert any(given), f"{name}: {operand.name}"
