"""Splits and fitted statistics: their meaning, the generated lines, and scikit-learn's answer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.impute import SimpleImputer
from sklearn.model_selection import GroupShuffleSplit
from sklearn.preprocessing import StandardScaler

from compiler.data.splitting import Split, count_rows
from compiler.data.statistics import Statistic
from compiler.driver import check_source
from compiler.report.diagnostics import CompileError, Sink
from compiler.report.source import Source
from compiler.rows.loading import load_data
from compiler.rows.validation import validate_data

SHARES = (("train", 0.7), ("val", 0.2), ("test", 0.1))
GIVEN = (("train", 60), ("test", 10))
CASES: list[tuple[Split, int]] = [
    (Split("random", SHARES), 103),
    (Split("random", SHARES, seed=7), 103),
    (Split("random", (("train", 24), ("val", 3), ("test", 3))), 30),
    (Split("in_order", (("train", 24), ("val", 5), ("test", 1))), 30),
    (Split("random", (("train", 0.5), ("test", 10))), 100),
    (Split("in_order", SHARES), 103),
    (Split("in_order", (("train", 0.9), ("val", 0.1)), overlap=3), 100),
    (Split("given", (), given=GIVEN), 70),
    (Split("given", (("val", 0.1),), given=GIVEN), 70),
    (Split("given", (("val", 5),), seed=3, given=GIVEN), 70),
    (Split("given", (("val", 0.1),), given=(("test", 10), ("train", 60))), 70),
]


def run_code(split: Split, rows: int, **arrays: Any) -> dict[str, Any]:
    names: dict[str, Any] = {"np": np}
    lines, parts = split.code()
    returned = ", ".join(f"{name!r}: {text}" for name, text in parts.items())
    body = "\n    ".join([*lines, f"return {{{returned}}}"])
    exec(f"def split_rows(rows, {', '.join(arrays)}):\n    {body}", names)
    return names["split_rows"](rows, **arrays)  # type: ignore[no-any-return]


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
    generated = run_code(split, 200, labels=labels)
    for name in parts:
        np.testing.assert_array_equal(parts[name], generated[name])


@pytest.mark.parametrize("seed", [0, 5])
@pytest.mark.parametrize("shares", [SHARES, (("train", 0.5), ("test", 0.25))], ids=str)
def test_groups_go_whole_into_a_split(seed: int, shares: tuple[tuple[str, float], ...]) -> None:
    groups = np.random.default_rng(seed).integers(-9, 30, 300)
    split = Split("random", shares, seed, group="patient")
    parts = split.divide(300, groups=groups)
    generated = run_code(split, 300, groups=groups)
    count = len(np.unique(groups))
    borders = count_rows([share for _, share in shares], count)
    for place, (name, _) in enumerate(shares):
        np.testing.assert_array_equal(parts[name], generated[name])
        assert len(np.unique(groups[parts[name]])) == borders[place + 1] - borders[place]
        others = [groups[rows] for other, rows in parts.items() if other != name]
        assert not np.isin(groups[parts[name]], np.concatenate(others)).any()
    oracle = GroupShuffleSplit(1, train_size=shares[0][1], random_state=seed)
    first, _ = next(oracle.split(groups, groups=groups))
    assert abs(len(np.unique(groups[first])) - borders[1]) <= 1


@pytest.mark.parametrize("shares", [SHARES, (("train", 100), ("val", 10), ("test", 10))], ids=str)
def test_a_split_by_time_keeps_what_is_of_one_time_together(shares: Any) -> None:
    times = np.random.default_rng(1).integers(100, 150, 120)
    split = Split("in_order", shares, timed=True, by="day")
    parts = split.divide(120, times=times)
    generated = run_code(split, 120, times=times)
    for name in parts:
        np.testing.assert_array_equal(parts[name], generated[name])
    assert times[parts["train"]].max() < times[parts["val"]].min()
    assert times[parts["val"]].max() < times[parts["test"]].min()
    ordered = np.sort(times)
    border = count_rows([share for _, share in shares], 120)[1]
    assert set(times[parts["train"]]) == set(ordered[ordered < ordered[border]])


def test_split_in_order_shares_no_cell_across_borders() -> None:
    """Windows of 4 over a sequence with stride 1: row i covers i .. i + 3."""
    parts = Split("in_order", (("train", 0.8), ("val", 0.2)), overlap=3).divide(50)
    assert parts["train"].max() + 3 < parts["val"].min()


def test_different_seeds_draw_differently() -> None:
    first = Split("random", SHARES, 0).divide(100)["test"]
    second = Split("random", SHARES, 1).divide(100)["test"]
    assert set(first) != set(second)


COLUMN = np.array(
    [[1, 5, 3], [2, 5, np.nan], [4, 5, 1], [9, 5, 7.5], [4, 5, 1], [9, 5, np.nan]], np.float32
)


@pytest.mark.parametrize("method", ["mean", "median", "most_frequent", "scale"])
def test_statistics_are_scikit_learns(method: str) -> None:
    fitted = Statistic("x", method, "x").fit(COLUMN)
    if method == "scale":
        expected = StandardScaler().fit(COLUMN).scale_
    else:
        expected = SimpleImputer(strategy=method).fit(COLUMN).statistics_
    np.testing.assert_allclose(fitted, expected, rtol=1e-6)


def test_a_column_without_numbers_has_no_statistic() -> None:
    nothing = np.full((3, 1), np.nan, np.float32)
    for method in ("mean", "median", "most_frequent"):
        assert np.isnan(Statistic("x", method, "x").fit(nothing)).all()


# --- what a spec asks for -----------------------------------------------------------------------

IRIS = 'data d {{\n    source sklearn("iris")\n    split {}\n}}\n'


def read_split(clause: str) -> Split | list[str]:
    """The split of a clause, or the labels of what is wrong with it."""
    sink = Sink()
    program = check_source(Source("spec.weft", IRIS.format(clause)), sink=sink)
    if sink.messages:
        return [m.text.label for m in sink.messages]
    assert program is not None
    return program.data["d"].split


def test_an_int_is_rows_and_a_float_is_a_share() -> None:
    split = read_split("in_order, train=50, val=9, test=1")
    assert isinstance(split, Split)
    assert {n: len(rows) for n, rows in split.divide(150).items()} == {
        "train": 50,
        "val": 9,
        "test": 1,
    }
    half = read_split("random, train=0.5, test=25%")
    assert isinstance(half, Split)
    assert [len(rows) for rows in half.divide(150).values()] == [75, 37]
    rest = read_split("in_order, test=10%, val=20%")
    assert isinstance(rest, Split)
    assert {n: list(rows[[0, -1]]) for n, rows in rest.divide(150).items()} == {
        "train": [0, 104],
        "val": [105, 134],
        "test": [135, 149],
    }
    whole = read_split("in_order, train=1.0")
    assert isinstance(whole, Split)
    assert len(whole.divide(150)["train"]) == 150


@pytest.mark.parametrize(
    ("clause", "label"),
    [
        ("in_order, train=0", "this is the int 0"),
        ("in_order, train=-5", "this is the int -5"),
        ("in_order, train=50.0", "5000% is more than all rows"),
        ("in_order, train=1.5", "150% is more than all rows"),
        ("in_order, train=80%, test=30%", "the shares add up to 110%"),
        ("in_order, train=true", "this is true"),
        (f"in_order, train=1{'0' * 400}", "this is more than a 64-bit float can hold"),
        ("in_order, test=10", "there is no share for `train`"),
    ],
)
def test_shares_that_cannot_be(clause: str, label: str) -> None:
    found = read_split(clause)
    assert isinstance(found, list)
    assert found[0].startswith(label)


@pytest.mark.parametrize(
    ("clause", "code"),
    [
        ("in_order, train=100, test=51", "W0722"),
        ("in_order, train=50%, test=76", "W0722"),
        ("in_order, train=100%, test=1", "W0722"),
        ("in_order, train=80%, val=0.001", "W0721"),
    ],
)
def test_splits_that_the_rows_do_not_fill(clause: str, code: str) -> None:
    program = check_source(Source("spec.weft", IRIS.format(clause)), sink=Sink())
    assert program is not None
    with pytest.raises(CompileError) as caught:
        load_data(program.data["d"])
    assert [m.code for m in caught.value.messages] == [code]


def test_more_rows_than_the_own_training_split_has() -> None:
    assert Split("given", (("val", 61),), given=GIVEN).count_wanted(70) == (61, 60)
    assert Split("given", (("val", 0.5),), given=GIVEN).count_wanted(70) == (30, 60)


def test_a_class_with_fewer_rows_than_splits(tmp_path: Path) -> None:
    rows = "".join(f"{i},{'ab'[i % 2]}\n" for i in range(20))
    (tmp_path / "t.csv").write_text(f"x,kind\n{rows}20,rare\n")
    text = """
model M { input x: i64[batch]
    output y = cast(x, f32) -> unsqueeze(-1) -> dense(3) }
data d { source csv("t.csv")
    split random(seed=0, stratify=kind), train=60%, val=20%, test=20% }
train fit of M on d { minimize cross_entropy(y, kind) with sgd(lr=0.1)  batch 4  epochs 1 }
"""
    sink = Sink()
    program = check_source(Source(str(tmp_path / "spec.weft"), text), sink=sink)
    assert program is not None
    validate_data(program.trains["fit"], sink)
    (message,) = sink.messages
    assert (message.code, message.text.label) == ("W1228", "`rare` has 1 row for 3 splits")
