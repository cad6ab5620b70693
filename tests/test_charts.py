"""Figures that are no numbers, matrices and curves: their meaning, their code, their pictures."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
import sklearn.calibration
import sklearn.metrics
from typer.testing import CliRunner

from compiler.training.base import Chart, Metric
from compiler.training.binary import BinaryCounts
from compiler.training.calibration import CalibrationCurve, CalibrationError
from compiler.training.confusion_matrix import BinaryConfusionMatrix, ConfusionMatrix
from compiler.training.curves import POINTS, PrecisionRecallCurve, RocCurve
from compiler.types.tensor import TensorType
from tests.faults import fault_of
from tests.metric_code import run_metric
from tests.train_scripts import lint, run, run_two, write_shared
from weft.building.charts import DRAWN, DrawnChart, draw_chart, write_matrix
from weft.cli.main import app

RANDOM = np.random.default_rng(0)
ROWS = 60
SCORES = RANDOM.normal(size=(ROWS, 4)).astype(np.float32)
LABELS = RANDOM.integers(0, 3, ROWS)  # class 3 is said at times, and never a label
PADDED = np.where(RANDOM.random(ROWS) < 0.3, -100, LABELS)
MASK = RANDOM.random(ROWS) < 0.6
WEIGHT = RANDOM.random(ROWS).astype(np.float32)
LOGITS = RANDOM.normal(size=ROWS).round(1).astype(np.float32)  # with ties
BINARY = RANDOM.integers(0, 2, ROWS)
SAID = SCORES.argmax(1)

Arrays = Sequence[Any]


def count(*labels: Any, **options: Any) -> Any:
    return sklearn.metrics.confusion_matrix(*labels, **options)


def trace_roc(*labels: Any, **options: Any) -> Any:
    false, true, _ = sklearn.metrics.roc_curve(*labels, drop_intermediate=False, **options)
    return np.stack([false, true])


def trace_precision(*labels: Any, **options: Any) -> Any:
    precision, recall, _ = sklearn.metrics.precision_recall_curve(*labels, **options)
    return np.stack([recall, precision])[:, ::-1]


CLASSES = range(4)
CASES: list[tuple[Metric, Arrays, Any]] = [
    (ConfusionMatrix(num_classes=4), (SCORES, LABELS), count(LABELS, SAID, labels=CLASSES)),
    (
        ConfusionMatrix(num_classes=4),
        (SCORES, PADDED),
        count(PADDED[PADDED >= 0], SAID[PADDED >= 0], labels=CLASSES),
    ),
    (
        ConfusionMatrix(num_classes=4),
        (SCORES, LABELS, MASK, WEIGHT),
        count(LABELS, SAID, labels=CLASSES, sample_weight=WEIGHT * MASK),
    ),
    (
        ConfusionMatrix(num_classes=4, weight=(1.0, 2.0, 0.5, 1.0)),
        (SCORES, LABELS),
        count(LABELS, SAID, labels=CLASSES, sample_weight=np.array([1, 2, 0.5, 1])[LABELS]),
    ),
    (BinaryConfusionMatrix(), (LOGITS, BINARY), count(BINARY, LOGITS > 0)),
    (BinaryConfusionMatrix(threshold=0.5), (LOGITS, BINARY), count(BINARY, LOGITS > 0.5)),
    (RocCurve(), (LOGITS, BINARY), trace_roc(BINARY, LOGITS)),
    (RocCurve(), (LOGITS, BINARY, MASK), trace_roc(BINARY[MASK], LOGITS[MASK])),
    (
        RocCurve(),
        (LOGITS, BINARY, None, WEIGHT),
        trace_roc(BINARY, LOGITS, sample_weight=WEIGHT.astype(np.float64)),
    ),
    (PrecisionRecallCurve(), (LOGITS, BINARY), trace_precision(BINARY, LOGITS)),
    (
        PrecisionRecallCurve(),
        (LOGITS, BINARY, MASK, WEIGHT),
        trace_precision(BINARY[MASK], LOGITS[MASK], sample_weight=WEIGHT[MASK].astype(np.float64)),
    ),
]


@pytest.mark.parametrize(("metric", "arrays", "known"), CASES)
def test_oracles(metric: Metric, arrays: Arrays, known: Any) -> None:
    given = (a.astype(np.float64) if getattr(a, "dtype", None) == np.float32 else a for a in arrays)
    found = metric.evaluate(*given)
    np.testing.assert_allclose(found, known, rtol=1e-12)
    for batch in (ROWS, 7, 1):
        np.testing.assert_allclose(run_metric(metric, arrays, batch), known, rtol=1e-6)


def test_calibration() -> None:
    logits = np.stack([np.zeros(ROWS), 2 * LOGITS + 0.01], 1).astype(np.float64)
    shares = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    right = shares.argmax(1) == BINARY
    share, mean = sklearn.calibration.calibration_curve(right, shares.max(1), n_bins=10)
    curve = CalibrationCurve(bins=10)
    np.testing.assert_allclose(curve.evaluate(logits, BINARY), [mean, share])
    np.testing.assert_allclose(run_metric(curve, (logits, BINARY), 9), [mean, share])
    masked = CalibrationCurve(bins=5).evaluate(logits, BINARY, MASK, WEIGHT)
    np.testing.assert_allclose(
        run_metric(CalibrationCurve(bins=5), (logits, BINARY, MASK, WEIGHT), 9), masked
    )
    # The error is the distance of the curve from the diagonal, by how much is in each bin.
    sizes = np.histogram(shares.max(1), np.linspace(0, 1, 11))[0]
    gap = np.abs(mean - share) @ sizes[sizes > 0] / ROWS
    assert math.isclose(CalibrationError(bins=10).evaluate(logits, BINARY), gap)


def test_long_curves_are_thinned() -> None:
    scores, labels = RANDOM.normal(size=5000), RANDOM.integers(0, 2, 5000)
    corners = {tuple(point) for point in trace_roc(labels, scores).T}
    found = RocCurve().evaluate(scores, labels)
    assert isinstance(found, np.ndarray)
    assert found.shape == (2, POINTS)
    assert {tuple(point) for point in found.T} <= corners
    assert found[:, 0].tolist() == [0, 0]
    assert found[:, -1].tolist() == [1, 1]
    np.testing.assert_allclose(run_metric(RocCurve(), (scores, labels), 512), found)


@pytest.mark.parametrize("metric", [RocCurve(), PrecisionRecallCurve()])
def test_one_class_has_no_curve(metric: Metric) -> None:
    for labels in (np.zeros(5, np.int64), np.ones(5, np.int64)):
        arrays = (LOGITS[:5], labels)
        assert np.size(metric.evaluate(*arrays)) == np.size(run_metric(metric, arrays, 2)) == 0


@pytest.mark.parametrize(
    ("metric", "scores"),
    [
        (ConfusionMatrix(num_classes=4), SCORES),
        (CalibrationCurve(), SCORES),
        (BinaryConfusionMatrix(), LOGITS),
        (RocCurve(), LOGITS),
    ],
)
def test_undefined_scores_give_no_table(metric: Metric, scores: Any) -> None:
    broken = scores.copy()
    broken[3] = math.nan
    labels = BINARY if isinstance(metric, BinaryCounts | RocCurve) else LABELS
    found = metric.evaluate(broken, labels)
    assert np.size(found) == np.size(run_metric(metric, (broken, labels), 7)) == 0


def test_curves_are_of_one_score() -> None:
    types = [TensorType.of("f32", ("batch", 4)), TensorType.of("i64", ("batch",))]
    text = str(fault_of(lambda: RocCurve().check(types)))
    assert "one score for each row" in text


# --- in a training and its report ---------------------------------------------------------------

SPEC = """
model Net {
    input features: f32[batch, 4]
    h = features -> dense(16) as hidden -> tanh
    output logits: f32[batch, 3] = h -> dense(3) as head
    output first: f32[batch] = (h -> dense(1) as one)[:, 0]
}
data iris {
    source npz("iris.npz")
    features = features -> standardize
    split random(seed=0), train=96, val=27, test=27
}
train fit of Net on iris {
    minimize cross_entropy(logits, label) + bce_with_logits(first, cast(label == 0, f32))
        with adam(lr=0.02)
    metric confusion = confusion_matrix(logits, label), accuracy = accuracy(logits, label)
    metric pair = confusion_matrix(first, label == 0), roc = roc_curve(first, label == 0)
    metric recalled = precision_recall_curve(first, label == 0)
    metric reliable = calibration_curve(logits, label, bins=4)
    batch 24  epochs 2  seed 0
}
deploy fit as onnx
"""
NAMES = {"confusion", "pair", "roc", "recalled", "reliable"}


def test_a_script_measures_them_at_the_end(tmp_path: Path) -> None:
    folder = write_shared(SPEC, tmp_path)
    lint(folder)
    assert run(folder, "one").returncode == 0
    assert run_two(folder, "two").returncode == 0
    one, other = (json.loads((folder / out / "results.json").read_text()) for out in ("one", "two"))
    for split in ("val", "test"):
        assert one[split].keys() == other[split].keys() == {*NAMES, "accuracy", "loss"}
        for name in NAMES:
            np.testing.assert_allclose(one[split][name], other[split][name], atol=1e-4)
        counts = np.array(one[split]["confusion"])
        assert counts.sum() == 27
        assert counts.trace() / 27 == pytest.approx(one[split]["accuracy"])
        assert np.array(one[split]["pair"]).sum(1)[1] == counts.sum(1)[0]
    log = (folder / "one" / "metrics.jsonl").read_text().splitlines()
    assert all(isinstance(v, int | float) for line in log for v in json.loads(line).values())
    assert run(folder, "one", "--resume").returncode == 0  # nothing is left to do


def test_a_build_reports_them(tmp_path: Path) -> None:
    words = ["setosa", "<b>", "a|b"]
    rows = [f"{n % 7},{n % 5},{words[n % 3]}" for n in range(120)]
    (tmp_path / "rows.csv").write_text("\n".join(["x,y,kind", *rows]) + "\n")
    spec = tmp_path / "spec.weft"
    spec.write_text(CSV_SPEC)
    done = CliRunner().invoke(app, ["build", str(spec), "-o", str(tmp_path / "out")])
    assert done.exit_code == 0, done.output
    assert "test.confusion" in done.output
    results = json.loads((tmp_path / "out" / "fit" / "results.json").read_text())
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    chart = report["sections"][0]["charts"]["test.confusion"]
    assert chart["table"] == results["test"]["confusion"]
    assert sorted(chart["classes"]) == sorted(words)
    page = (tmp_path / "out" / "report.html").read_text()
    assert page.count("<svg") == 2  # val and test
    assert "&lt;b&gt;" in page
    assert "<b>" not in page
    assert "| a\\|b |" in (tmp_path / "out" / "report.md").read_text()
    measured = CliRunner().invoke(
        app, ["eval", str(spec), "--onnx", str(tmp_path / "out/fit.onnx")]
    )
    assert "test.confusion: most often taken for another" in measured.output


CSV_SPEC = """
model Net {
    input x: i64[batch]
    input y: i64[batch]
    output logits: f32[batch, 3] = cast(stack([x, y], axis=1), f32) -> dense(3)
}
data rows {
    source csv("rows.csv")
    split random(seed=0), train=60%, val=20%, test=20%
}
train fit of Net on rows {
    minimize cross_entropy(logits, kind) with sgd(lr=0.01)
    metric confusion = confusion_matrix(logits, kind)
    batch 12  epochs 1
}
deploy fit as onnx
"""


# --- pictures -----------------------------------------------------------------------------------

MATRIX = Chart("matrix", "predicted", "label", "accuracy")
CURVE = Chart("curve", "false positive rate", "true positive rate", "auroc", "chance")


def draw(chart: Chart, table: Any, words: Sequence[str] = ()) -> DrawnChart:
    return DrawnChart("figure", "test", chart, table, tuple(words))


def test_a_matrix_has_a_cell_for_each_pair() -> None:
    chart = draw(MATRIX, [[3.0, 1.0], [0.0, 0.0]], ["cat & dog", "no label"])
    cells = ElementTree.fromstring(draw_chart(chart)).findall("rect")
    shades = [cell.get("fill-opacity") for cell in cells]
    assert shades == ["0.750", "0.250", "0.000", "0.000", None]  # a row without labels; the frame
    assert chart.describe() == "most often taken for another: cat & dog as no label (1)"
    header, _, first, *_ = write_matrix(chart)
    assert "| cat \\& dog | no label |" in header
    assert first == "| cat \\& dog | 3 | 1 |"


def test_a_curve_goes_from_corner_to_corner() -> None:
    root = ElementTree.fromstring(draw_chart(draw(CURVE, [[0.0, 0.5, 1.0], [0.0, 1.0, 1.0]])))
    (line,) = (path for path in root.findall("path") if path.get("class") == "curve")
    assert line.get("d") == "M70.0 328.0L220.0 28.0L370.0 28.0"


@pytest.mark.parametrize("table", [[], np.ones((DRAWN + 1, DRAWN + 1)).tolist()])
def test_what_is_not_drawn(table: Any) -> None:
    chart = draw(MATRIX, table, [str(n) for n in range(len(table))])
    assert not draw_chart(chart)
    assert not list(write_matrix(chart))
    assert ("not a number" in chart.describe()) == (not table)
