"""`weft data`: rows, classes, what goes together with a target, copies, leaks, samples."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from typer.testing import CliRunner

from weft.cli.main import app
from weft.survey.association import measure_association

SPEC = """
data table {{
    source csv("table.csv")
    {where}
    x = stack([{read}])
    split in_order, train=60%, val=20%, test=20%
}}
model Net {{
    input x: f32[batch, {wide}]
    output y = x -> dense(3) as head
}}
train fit of Net on table {{
    minimize cross_entropy(y, label) with sgd(lr=0.1)
    metric accuracy = accuracy(y, label)
    batch 4
    epochs 1
}}
"""


def make_table(folder: Path, rows: int = 100) -> pd.DataFrame:
    draw = np.random.default_rng(0)
    table = pd.DataFrame(
        {
            "a": draw.normal(size=rows).round(4),
            "b": draw.integers(0, 5, rows),
            "label": np.repeat([0, 1, 2], [rows // 2, rows // 4, rows - rows // 2 - rows // 4]),
        }
    ).sample(frac=1, random_state=0)
    table["again"] = table["label"] * 2 + 7
    table.to_csv(folder / "table.csv", index=False)
    return table


def write(folder: Path, read: str = "a, b", where: str = "") -> Path:
    path = folder / "s.weft"
    path.write_text(SPEC.format(read=read, where=where, wide=read.count(",") + 1))
    return path


def run(path: Path, *options: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, ["data", *options, str(path)])
    return result.exit_code, result.stdout, result.stderr


def read(path: Path, *options: str) -> dict[str, object]:
    status, out, err = run(path, "--format=json", *options)
    assert status == 0, out + err
    found: dict[str, object] = json.loads(out)["data"]
    return found


def test_classes_of_splits_are_those_that_pandas_counts(tmp_path: Path) -> None:
    table = make_table(tmp_path)
    found = read(write(tmp_path))["table"]
    (target,) = found["targets"]
    assert target["column"] == "label"
    assert target["classes"] == ["0", "1", "2"]
    for name, part in {"train": table[:60], "val": table[60:80], "test": table[80:]}.items():
        assert target["counts"][name] == [int((part.label == k).sum()) for k in range(3)]
    assert found["rows"] == {
        "source": 100,
        "kept": 100,
        "windows": False,
        "splits": {"train": 60, "val": 20, "test": 20},
        "held": "in memory",
    }


def test_rows_that_where_leaves_out_count_nowhere(tmp_path: Path) -> None:
    table = make_table(tmp_path)
    found = read(write(tmp_path, where="where b > 0"))["table"]
    kept = int((table.b > 0).sum())
    (target,) = found["targets"]
    assert found["rows"]["kept"] == kept
    assert sum(sum(counts) for counts in target["counts"].values()) == kept
    assert sum(found["histograms"]["a"]["counts"]) == kept
    assert found["looked_at"] == kept


def test_associations_are_those_of_scipy_and_pandas() -> None:
    draw = np.random.default_rng(1)
    numbers = draw.normal(size=500)
    others = numbers * 0.5 + draw.normal(size=500)
    names, classes = draw.integers(0, 4, 500), draw.integers(0, 3, 500)
    classes = np.where(draw.random(500) < 0.4, names % 3, classes)
    pearson = measure_association("x", numbers, others, classes=False, of_classes=False)
    assert pearson is not None
    assert pearson.value == pytest.approx(stats.pearsonr(numbers, others).statistic)
    groups = [numbers[classes == k] for k in range(3)]
    f = stats.f_oneway(*groups).statistic
    eta = math.sqrt(2 * f / (2 * f + 500 - 3))
    ratio = measure_association("x", numbers, classes, classes=False, of_classes=True)
    assert ratio is not None
    assert ratio.value == pytest.approx(eta)
    cramer = measure_association("x", names, classes, classes=True, of_classes=True)
    table = pd.crosstab(names, classes).to_numpy()
    chi = stats.chi2_contingency(table, correction=False).statistic
    assert cramer is not None
    assert cramer.value == pytest.approx(math.sqrt(chi / (500 * 2)))
    assert not any(found.same for found in (pearson, ratio, cramer))


@pytest.mark.parametrize(
    ("column", "target", "classes", "same"),
    [
        (np.arange(100.0), np.arange(100.0) * -3 + 5, False, True),
        (np.arange(100.0) * 1e300, np.arange(100.0), False, True),
        (np.arange(100) % 4 + 9.0, np.arange(100) % 4, True, True),
        (np.arange(100) % 8 * 1.0, np.arange(100) % 4, True, False),
        (np.arange(100.0), np.arange(100), True, False),  # a key of every row tells nothing
    ],
)
def test_a_column_is_the_target_under_another_name(
    column: np.ndarray, target: np.ndarray, classes: bool, same: bool
) -> None:
    found = measure_association("x", column, target, classes=False, of_classes=classes)
    assert found is not None
    assert found.same is same


def test_cells_that_are_missing_are_left_out() -> None:
    column = np.array([1.0, math.nan, 3.0, math.inf, 5.0])
    target = np.array([2.0, 100.0, 6.0, -50.0, 10.0])
    found = measure_association("x", column, target, classes=False, of_classes=False)
    assert found is not None
    assert found.value == pytest.approx(1.0)
    assert measure_association("x", column[:1], target[:1], classes=False, of_classes=False) is None
    constant = np.ones(5)
    assert measure_association("x", constant, target, classes=False, of_classes=False) is None


def test_a_leak_is_a_warning_at_the_data(tmp_path: Path) -> None:
    make_table(tmp_path)
    status, out, err = run(write(tmp_path, "a, again"))
    assert status == 0
    assert "warning[W1760]" in err
    assert "`again` is the target `label` under another name" in err
    assert "s.weft:3:5" in err
    status, out, err = run(write(tmp_path, "a, b"))
    assert "W1760" not in err  # what no net reads is no leak
    assert "again" in out


def test_copies_are_counted_within_splits_and_across(tmp_path: Path) -> None:
    table = make_table(tmp_path)
    table = pd.concat([table[:59], table[:1], table[60:79], table[3:4], table[80:]])
    table.to_csv(tmp_path / "table.csv", index=False)
    copies = read(write(tmp_path))["table"]["copies"]
    assert copies["within"] == {"train": 1, "val": 0, "test": 0}
    assert copies["among_training"]["val"] == 1


def test_a_data_item_is_chosen_by_name(tmp_path: Path) -> None:
    make_table(tmp_path)
    path = write(tmp_path)
    assert list(read(path)) == ["table"]
    result = CliRunner().invoke(app, ["data", str(path), "tabel"])
    assert result.exit_code == 1
    assert "W1761" in str(result.exception.messages)  # type: ignore[union-attr]


def test_the_page_holds_names_as_text_and_nothing_from_elsewhere(tmp_path: Path) -> None:
    rows = "\n".join(f"{k / 8},{'<b>x</b>' if k % 2 else '&y'}" for k in range(100))
    (tmp_path / "table.csv").write_text(f"<script>alert(1)</script>,label\n{rows}\n")
    path = write(tmp_path, "`<script>alert(1)</script>`")
    status, _, err = run(path, "--html", "-o", str(tmp_path / "out"))
    assert status == 0, err
    page = (tmp_path / "out" / "data.html").read_text()
    assert "<script>" not in page
    assert "<b>x</b>" not in page
    assert "&lt;b&gt;x&lt;/b&gt;" in page
    assert "http" not in page
    assert page.count("<rect") >= 24


IMAGES = """
use std.augment
data pictures {
    source sklearn("digits")
    image = reshape(image / 16, [1, 8, 8])
    split in_order, train=80%, val=20%
    AUGMENT
}
model Net {
    input image: f32[batch, 1, 8, 8]
    output y = image -> flatten -> dense(10)
}
train fit of Net on pictures {
    minimize cross_entropy(y, label) with sgd(lr=0.1)
    batch 4
    epochs 1
}
"""


@pytest.mark.parametrize(
    ("augment", "said"),
    [
        ("", "image: training rows<"),
        (
            "augment { image = image -> random_affine(30.0) -> random_flip }",
            "image: training rows, then as augmented<",
        ),
    ],
)
def test_samples_are_shown_as_they_are_and_as_augmented(
    augment: str, said: str, tmp_path: Path
) -> None:
    path = tmp_path / "s.weft"
    path.write_text(IMAGES.replace("AUGMENT", augment))
    status, _, err = run(path, "--html", "-o", str(tmp_path / "out"))
    assert status == 0, err
    page = (tmp_path / "out" / "data.html").read_text()
    assert said in page
    assert page.count("data:image/png;base64,") == 1


def test_data_that_cannot_be_read_is_told_once(tmp_path: Path) -> None:
    make_table(tmp_path)
    path = write(tmp_path)
    (tmp_path / "table.csv").write_text("a,b,label\n1,2\n")
    status, _, err = run(path)
    assert status == 1
    assert err.count("error[") == 1
