"""What counts in a metric: masks, weights, labels that are ignored; and which figure is better."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import sklearn.metrics

from backends.pytorch.train.script_spec import ScriptSpec
from compiler.driver import check_source
from compiler.ops.registry import OPS, load_ops
from compiler.report.diagnostics import Severity, Sink
from compiler.report.source import Source
from compiler.training.base import METRICS, Metric
from compiler.training.batch_mean import BatchMean, Counting, Part
from compiler.training.classification import Accuracy, BinaryAccuracy, Perplexity, TopK
from compiler.training.registry import load_training
from compiler.training.regression import (
    R2,
    MeanAbsoluteError,
    MeanSquaredError,
    RootMeanSquaredError,
)
from tests.checking import check_text
from tests.metric_code import run_batches, run_metric
from tests.test_items import MINIMIZE, train_text
from weft.building.front import draw_front
from weft.building.nearest import asks_for_less

DRAWN = np.random.default_rng(0)
SCORES = DRAWN.normal(size=(40, 5)).astype(np.float32)
LABELS = DRAWN.integers(0, 5, 40)
PADDED = np.where(DRAWN.random(40) < 0.3, -100, LABELS)
MASK = DRAWN.random(40) < 0.6
WEIGHT = DRAWN.random(40).astype(np.float32)
CLASSES = (0.2, 1.0, 3.0, 0.5, 0.0)
PER_CLASS = np.array(CLASSES)[LABELS]
BINARY = DRAWN.integers(0, 2, 40).astype(np.float32)
LOGITS, TARGET = SCORES[:, 0], SCORES[:, 1]
TOP = np.argsort(-SCORES, axis=1)[:, :2]
LOSSES = -np.log(np.exp(SCORES) / np.exp(SCORES).sum(1, keepdims=True))[np.arange(40), LABELS]


def weigh(labels: Any, ignored: int) -> Any:
    return (labels != ignored).astype(float)


def share(hits: Any, weights: Any) -> float:
    return float((hits * weights).sum() / weights.sum())


RIGHT = SCORES.argmax(1)
HITS = (LABELS[:, None] == TOP).any(1)
CASES: list[tuple[Metric, Sequence[Any], float]] = [
    (Accuracy(), (SCORES, PADDED), share(RIGHT == PADDED, weigh(PADDED, -100))),
    (
        Accuracy(ignore_index=2),
        (SCORES, LABELS),
        sklearn.metrics.accuracy_score(LABELS[LABELS != 2], RIGHT[LABELS != 2]),
    ),
    (
        Accuracy(),
        (SCORES, LABELS, MASK),
        sklearn.metrics.accuracy_score(LABELS[MASK], RIGHT[MASK]),
    ),
    (
        Accuracy(),
        (SCORES, LABELS, None, WEIGHT),
        sklearn.metrics.accuracy_score(LABELS, RIGHT, sample_weight=WEIGHT),
    ),
    (
        Accuracy(weight=CLASSES),
        (SCORES, LABELS),
        sklearn.metrics.accuracy_score(LABELS, RIGHT, sample_weight=PER_CLASS),
    ),
    (
        Accuracy(ignore_index=1, weight=CLASSES),
        (SCORES, LABELS, MASK),
        share(RIGHT == LABELS, PER_CLASS * MASK * (LABELS != 1)),
    ),
    (
        Accuracy(weight=CLASSES),
        (SCORES, PADDED),
        share(RIGHT == PADDED, np.array(CLASSES)[np.maximum(PADDED, 0)] * (PADDED != -100)),
    ),
    (BinaryAccuracy(ignore_index=0), (LOGITS, BINARY), float((LOGITS > 0)[BINARY == 1].mean())),
    (
        BinaryAccuracy(),
        (LOGITS, BINARY, MASK, WEIGHT),
        sklearn.metrics.accuracy_score(BINARY, LOGITS > 0, sample_weight=MASK * WEIGHT),
    ),
    (TopK(k=2, ignore_index=3), (SCORES, LABELS), float(HITS[LABELS != 3].mean())),
    (TopK(k=2), (SCORES, LABELS, MASK, WEIGHT), share(HITS, MASK * WEIGHT)),
    (Perplexity(), (SCORES, PADDED), math.exp(share(LOSSES, weigh(PADDED, -100)))),
    (
        Perplexity(weight=CLASSES),
        (SCORES, LABELS),
        math.exp(share(LOSSES, PER_CLASS)),
    ),
    (
        MeanSquaredError(),
        (LOGITS, TARGET, MASK),
        sklearn.metrics.mean_squared_error(TARGET[MASK], LOGITS[MASK]),
    ),
    (
        RootMeanSquaredError(),
        (LOGITS, TARGET, None, WEIGHT),
        sklearn.metrics.root_mean_squared_error(TARGET, LOGITS, sample_weight=WEIGHT),
    ),
    (
        MeanAbsoluteError(),
        (LOGITS, TARGET, MASK, WEIGHT),
        sklearn.metrics.mean_absolute_error(TARGET, LOGITS, sample_weight=MASK * WEIGHT),
    ),
    (
        R2(),
        (LOGITS, TARGET, MASK, WEIGHT),
        sklearn.metrics.r2_score(TARGET, LOGITS, sample_weight=MASK * WEIGHT),
    ),
]


@pytest.mark.parametrize(("metric", "arrays", "expected"), CASES, ids=lambda x: str(x)[:40])
@pytest.mark.parametrize("batch", [7, 40])
def test_a_weighted_metric_equals_its_oracle(
    metric: Metric, arrays: Sequence[Any], expected: float, batch: int
) -> None:
    assert metric.evaluate(*arrays) == pytest.approx(expected, abs=1e-6)
    assert run_metric(metric, arrays, batch) == pytest.approx(expected, abs=1e-6)


SUMMED = BatchMean(
    (Part(0.5, Counting(CLASSES, -100)), Part(-2.0), Part(1.0, Counting(CLASSES, None)))
)


@pytest.mark.parametrize("batch", [7, 40])
def test_weighted_means_that_a_loss_adds_up_are_those_of_the_split(batch: int) -> None:
    split = [slice(start, start + batch) for start in range(0, 40, batch)]
    weights = {
        "seen": np.array(CLASSES)[np.maximum(PADDED, 0)] * (PADDED != -100),
        "all": PER_CLASS,
    }
    means = {name: [share(LOSSES[s], w[s]) for s in split] for name, w in weights.items()}
    values = np.array([means["seen"], [2.0] * len(split), means["all"]])
    values[0][[not w.any() for w in (weights["seen"][s] for s in split)]] = math.nan
    operands = [
        (len(LABELS[s]), (a, PADDED[s], b, c, LABELS[s]))
        for s, (a, b, c) in zip(split, values.T, strict=True)
    ]
    whole = share(LOSSES, weights["seen"]), 2.0, share(LOSSES, weights["all"])
    expected = 0.5 * whole[0] - 2 * whole[1] + whole[2]
    assert SUMMED.combine(operands) == pytest.approx(expected)
    code = SUMMED.code(["a", "seen", "b", "c", "label"])
    names = ("a", "seen", "b", "c", "label")
    batches = [(rows, dict(zip(names, given, strict=True))) for rows, given in operands]
    assert run_batches(code, batches) == pytest.approx(expected)


@pytest.mark.parametrize("metric", [Accuracy(), MeanSquaredError(), R2(), TopK(k=2)], ids=str)
def test_a_figure_of_nothing_is_not_a_number(metric: Metric) -> None:
    pair = (SCORES, LABELS) if isinstance(metric, Accuracy | TopK) else (LOGITS, TARGET)
    arrays = (*pair, np.zeros(40, bool))
    assert math.isnan(metric.evaluate(*arrays))
    assert math.isnan(run_metric(metric, arrays, 7))


# --- in a spec --------------------------------------------------------------------------------


def messages_of(*clauses: str) -> Mapping[str, Severity]:
    sink = Sink()
    check_source(Source("spec.weft", train_text(*clauses)), sink=sink)
    return {m.code: m.severity for m in sink.messages}


def test_a_mask_and_weights_are_outputs_that_the_metric_reads() -> None:
    program = check_text(
        train_text(
            MINIMIZE,
            "metric some = accuracy(logits, label, mask=label != 3, ignore_index=1)",
            "metric heavy = accuracy(logits, label, weight=cast(label, f32))",
            "metric rare = top_k(logits, label, 2, weight=[1, 1, 1, 1, 1, 1, 1, 1, 1, 5])",
        )
    )
    some, heavy, rare = program.trains["fit"].metrics
    assert some.metric == Accuracy(axis=1, ignore_index=1)
    assert len(some.arguments) == len(some.reads) == 3
    assert heavy.arguments[2] is None
    assert len(heavy.arguments) == 4
    assert isinstance(rare.metric, TopK)
    assert rare.metric.k == 2
    assert rare.metric.weight is not None
    assert len(rare.arguments) == 2


def test_every_metric_and_loss_says_which_is_better() -> None:
    load_training()
    load_ops()
    for cls in METRICS.classes():
        assert (cls.better in ("higher", "lower")) == (cls.chart is None), cls
    losses = {"cross_entropy", "nll", "mse", "l1", "smooth_l1", "huber", "bce", "kl"}
    for cls in OPS.classes():
        assert (cls.better == "lower") >= (cls.name in losses), cls


@pytest.mark.parametrize(
    ("clauses", "monitor", "higher"),
    [
        (["metric hits = mean(cast(logits[:, 0] > 0, f32))"], "val.loss", False),
        (['metric hits = mean(cast(logits[:, 0] > 0, f32)), better="higher"'], "val.hits", True),
        (['metric miss = mean(cast(logits[:, 0] > 0, f32)), better="lower"'], "val.miss", False),
        (['metric fixed = mean(cast(label == 1, f32)), better="lower"'], "val.loss", False),
        (["metric nll = cross_entropy(logits, label)"], "val.nll", False),
        (["metric twice = 2 * cross_entropy(logits, label)"], "val.loss", False),
        (
            ["metric a = mean(logits)", "metric accuracy = accuracy(logits, label)"],
            "val.accuracy",
            True,
        ),
        (["metric p = perplexity(logits, label)"], "val.p", False),
    ],
)
def test_only_known_directions_choose_the_best_epoch(
    clauses: list[str], monitor: str, higher: bool
) -> None:
    facts = ScriptSpec(check_text(train_text(MINIMIZE, *clauses)).trains["fit"])
    assert (facts.monitor.name, facts.monitor.higher) == (monitor, higher)


def test_an_expression_stops_a_training_where_its_direction_is_known() -> None:
    until = "until stalled(val.hits, epochs=3)"
    hits = "metric hits = mean(cast(argmax(logits, axis=1) == label, f32))"
    assert messages_of(MINIMIZE, hits, until) == {"W1202": Severity.ERROR}
    program = check_text(train_text(MINIMIZE, f'{hits}, better="higher"', until))
    assert ScriptSpec(program.trains["fit"]).monitor.higher


def test_loss_and_metrics_are_held_to_the_same_labels() -> None:
    minimize = "minimize cross_entropy(logits, label, ignore_index=0) with adamw(lr=1e-3)"
    for metric in ("accuracy(logits, label)", "perplexity(logits, label, ignore_index=3)"):
        assert messages_of(minimize, f"metric m = {metric}") == {"W1205": Severity.WARNING}
    for metric in (
        "accuracy(logits, label, ignore_index=0)",
        "accuracy(logits, label, mask=label != 0)",
        "accuracy(logits, label - 1)",
    ):
        assert messages_of(minimize, f"metric m = {metric}") == {}
    # The same numbers, in another order and dtype.
    other = "metric m = accuracy(unsqueeze(logits, 2), cast(unsqueeze(label, 1), i32))"
    assert messages_of(minimize, other) == {"W1205": Severity.WARNING}


# --- where figures are compared ---------------------------------------------------------------


def outcome_of(directions: Mapping[str, str], **figures: float) -> Any:
    def of(name: str, size: float) -> Any:
        own = {n: SimpleNamespace(value=v + (size > 1) * 0.1) for n, v in figures.items()}
        plain = {n: SimpleNamespace(value=size) for n in ("size", "latency", "error")}
        return SimpleNamespace(plain=plain, splits={"test": own})

    found = {"fit": of("fit", 2.0), "tiny": of("tiny", 1.0)}
    variant = SimpleNamespace(name="tiny")
    return SimpleNamespace(
        base="fit", variant=variant, figures=found, own=found["tiny"], directions=directions
    )


@pytest.mark.parametrize(
    ("directions", "label", "lines"),
    [
        ({"error": "lower"}, "test.error, lower is better", 0),  # the small net is the better one
        ({"error": "higher"}, "test.error", 1),
        ({}, "1 - output error", 0),
    ],
)
def test_a_front_goes_by_the_direction_of_its_metric(
    directions: Mapping[str, str], label: str, lines: int
) -> None:
    drawn = draw_front([outcome_of(directions, margin=0.5, error=0.5)])
    assert f">{label}</text>" in drawn
    assert drawn.count('class="front"') == 2 * lines


@pytest.mark.parametrize(
    ("relation", "better", "quality", "less"),
    [
        ("<=", "lower", False, True),  # a size, a latency
        (">=", "higher", True, False),  # an accuracy
        ("<=", "lower", True, False),  # an mse
        ("<=", "higher", True, True),
        (">", "lower", True, True),
    ],
)
def test_nearest_settings_go_by_the_direction(
    relation: str, better: Any, quality: bool, less: bool
) -> None:
    assert asks_for_less(relation, better, quality=quality) is less


@pytest.mark.parametrize(
    ("expression", "accepted"),
    [
        ("logits[:, 1] - logits[:, 0]", True),
        ("logits[:, 1:2]", True),
        ("mean((logits - 1) ** 2)", True),
        ("mean((logits - 1) ** 2, axis=1)", True),
        ("(logits - 1) ** 2", False),
        ("softmax(logits, axis=1)", False),
        ("mean(logits, axis=0)", False),
        ('einsum([logits, logits], "ni,nj->ij")', False),
        ("flatten(logits, 0)", False),
        ('cross_entropy(logits, label, reduction="none")', True),
    ],
)
def test_a_metric_is_one_number_for_the_batch_or_by_row(expression: str, accepted: bool) -> None:
    found = messages_of(MINIMIZE, f"metric m = {expression}")
    assert found == ({} if accepted else {"W1204": Severity.ERROR})


@pytest.mark.parametrize(
    "metric",
    [
        "accuracy(logits, label, mask=cast(label, f32))",
        "accuracy(logits, label, weight=label == 1)",
        "accuracy(logits, label, mask=logits > 0)",
        "accuracy(logits, label, weight=[1, 2])",
        "accuracy(logits, label, weight=[0, 0, 0, 0, 0, 0, 0, 0, 0, 0])",
        "accuracy(logits, label, mask=3)",
        "mse(logits[:, 0], logits[:, 1], ignore_index=0)",
        "accuracy(logits, label, weight=[1, 1, 1, 1, 1, 1, 1, 1, 1, -1])",
        'accuracy(logits, label), better="up"',
        "accuracy(logits, label), better=higher",
        'accuracy(logits, label), better="lower"',
        'cross_entropy(logits, label), better="higher"',
    ],
)
def test_what_cannot_count_is_refused(metric: str) -> None:
    found = messages_of(MINIMIZE, f"metric m = {metric}")
    assert Severity.ERROR in found.values()
