"""Splits and fitted statistics: their meaning, the generated lines, and scikit-learn's answer."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.impute import SimpleImputer
from sklearn.preprocessing import StandardScaler

from compiler.data.splitting import Split, count_rows
from compiler.data.statistics import Statistic

SHARES = (("train", 0.7), ("val", 0.2), ("test", 0.1))
GIVEN = (("train", 60), ("test", 10))
CASES: list[tuple[Split, int]] = [
    (Split("random", SHARES), 103),
    (Split("random", SHARES, seed=7), 103),
    (Split("random", (("train", 24.0), ("val", 3.0), ("test", 3.0))), 30),
    (Split("random", (("train", 0.5), ("test", 10.0))), 100),
    (Split("in_order", SHARES), 103),
    (Split("in_order", (("train", 0.9), ("val", 0.1)), overlap=3), 100),
    (Split("given", (), given=GIVEN), 70),
    (Split("given", (("val", 0.1),), given=GIVEN), 70),
    (Split("given", (("val", 5.0),), seed=3, given=GIVEN), 70),
    (Split("given", (("val", 0.1),), given=(("test", 10), ("train", 60))), 70),
]


def run_code(split: Split, rows: int, labels: Any = None) -> dict[str, Any]:
    names: dict[str, Any] = {"np": np}
    body = "\n    ".join(split.code())
    exec(f"def split_rows(rows, labels):\n    {body}", names)
    return names["split_rows"](rows, labels)  # type: ignore[no-any-return]


@pytest.mark.parametrize(("split", "rows"), CASES, ids=str)
def test_generated_split_is_its_meaning(split: Split, rows: int) -> None:
    parts = split.divide(rows)
    generated = run_code(split, rows)
    assert list(parts) == list(generated) == list(split.names)
    for name in parts:
        np.testing.assert_array_equal(parts[name], generated[name])
    together = np.concatenate(list(parts.values()))
    assert len(np.unique(together)) == len(together)
    assert all(len(part) for part in parts.values())


def test_shares_of_one_hundred_percent_leave_no_row_out() -> None:
    for rows in range(1, 200):
        assert count_rows([0.7, 0.2, 0.1], rows)[-1] == rows
    assert count_rows([0.8, 0.1], 10) == [0, 8, 9]


def test_stratified_split_keeps_proportions() -> None:
    labels = np.repeat([0, 1, 2], [10, 20, 170])
    split = Split("random", SHARES, 3, "label")
    parts = split.divide(200, labels)
    for name, share in SHARES:
        counts = np.bincount(labels[parts[name]], minlength=3)
        assert np.abs(counts - share * np.array([10, 20, 170])).max() <= 1
    generated = run_code(split, 200, labels)
    for name in parts:
        np.testing.assert_array_equal(parts[name], generated[name])


def test_split_in_order_shares_no_cell_across_borders() -> None:
    """Windows of 4 over a sequence with stride 1: row i covers i .. i + 3."""
    parts = Split("in_order", (("train", 0.8), ("val", 0.2)), overlap=3).divide(50)
    assert parts["train"].max() + 3 < parts["val"].min()


def test_different_seeds_draw_differently() -> None:
    first = Split("random", SHARES, 0).divide(100)["test"]
    second = Split("random", SHARES, 1).divide(100)["test"]
    assert set(first) != set(second)


COLUMN = np.array([[1, 5, 3], [2, 5, np.nan], [4, 5, 1], [9, 5, 7.5]], np.float32)


@pytest.mark.parametrize("method", ["mean", "median", "scale"])
def test_statistics_are_scikit_learns(method: str) -> None:
    fitted = Statistic("x", method, "x").fit(COLUMN)
    if method == "scale":
        expected = StandardScaler().fit(COLUMN).scale_
    else:
        expected = SimpleImputer(strategy=method).fit(COLUMN).statistics_
    np.testing.assert_allclose(fitted, expected, rtol=1e-6)


def test_a_column_without_numbers_has_no_statistic() -> None:
    nothing = np.full((3, 1), np.nan, np.float32)
    for method in ("mean", "median"):
        assert np.isnan(Statistic("x", method, "x").fit(nothing)).all()
