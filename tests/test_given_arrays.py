"""Arrays that a Python program hands over: what is missing, too large, or no column at all."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pytest

import weft

SPEC = """
model Net {
    input x: f32[batch]
    output p: f32[batch] = stack([x], axis=1) -> dense(1) -> squeeze(1)
}
data table {
    source csv("t.csv")
    x = cast(a, f32)
    split in_order, train=6, val=2, test=2
}
train fit of Net on table {
    minimize mse(p, y) with sgd(lr=0.1)
    batch 2  epochs 1
}
"""
Y = np.arange(10, dtype=np.float32)


def load(folder: Path, columns: Any, line: str = "x = cast(a, f32)") -> weft.Spec:
    (folder / "s.weft").write_text(SPEC.replace("x = cast(a, f32)", line))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        spec = weft.load(folder / "s.weft", data={"table": columns})
        spec.check()
        spec.data("table")
        return spec


@pytest.mark.parametrize("dtype", ["f4", "f8", "i8", "u1"])
def test_masked_entries_are_missing(dtype: str, tmp_path: Path) -> None:
    masked = np.ma.masked_array(np.arange(10).astype(dtype), [i in (2, 7) for i in range(10)])
    spec = load(tmp_path, {"a": masked, "y": Y}, 'x = fill(a, "mean")')
    known = np.array([0, 1, 3, 4, 5], np.float32)  # of the training rows
    expected = np.array([0, 1, known.mean(), 3, 4, 5, 6, known.mean(), 8, 9], np.float32)
    np.testing.assert_allclose(spec.data("table").columns["x"], expected)


def test_masked_text_and_dates_are_missing(tmp_path: Path) -> None:
    mask = [i == 3 for i in range(10)]
    words = np.ma.masked_array(["no", "yes"] * 5, mask)
    dates = np.ma.masked_array(np.arange(10).astype("M8[s]"), mask)
    for column in (words, dates):
        with pytest.raises(weft.WeftError, match=r"W1221(.|\n)*row 3"):
            load(tmp_path, {"a": column, "y": Y})


def test_whole_numbers_beyond_i64_are_refused(tmp_path: Path) -> None:
    small = np.arange(10, dtype=np.uint64)
    assert load(tmp_path, {"a": small, "y": Y}).data("table").raw["a"].dtype == np.int64
    large = small.copy()
    large[4] = 2**63
    with pytest.raises(weft.WeftError, match=r"W1378.*`a`(.|\n)*9223372036854775808.*row 4"):
        load(tmp_path, {"a": large, "y": Y})
    load(tmp_path, {"a": small, "unused": large, "y": Y})


def test_numbers_beyond_f32_are_refused(tmp_path: Path) -> None:
    with pytest.raises(weft.WeftError, match=r"W1378(.|\n)*9e\+300 is larger than f32.*row 9"):
        load(tmp_path, {"a": np.where(Y == 9, 9e300, Y.astype("f8")), "y": Y})
    load(tmp_path, {"a": Y, "unused": Y.astype("f8") * 1e300, "y": Y})


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"a": Y, "y": Y[:4]}, r"W1379.*`y`(.|\n)*it has 4 rows, and `a` has 10"),
        ({"a": Y.astype("c8"), "y": Y}, r"W1340.*`a`(.|\n)*complex64"),
        ({"a": 3.0, "y": Y}, r"W1379.*`a`(.|\n)*one number"),
        ({"a": [[1.0], [1.0, 2.0]] * 5, "y": Y}, r"W1379.*`a`(.|\n)*one shape"),
        (pandas.DataFrame({"a": list(np.zeros((10, 3))), "y": Y}), r"W1340.*`a`(.|\n)*np\.stack"),
    ],
    ids=["rows", "complex", "a number", "ragged", "vectors"],
)
def test_what_is_no_column_is_refused(columns: Any, words: str, tmp_path: Path) -> None:
    with pytest.raises(weft.WeftError, match=words):
        load(tmp_path, columns)
    assert words[:5] in [m.code for m in weft.check(tmp_path / "s.weft", data={"table": columns})]


def test_a_spec_is_no_bytes() -> None:
    text: Any = b"model Net {}"
    with pytest.raises(weft.WeftError, match=r"W1380.*bytes"):
        weft.loads(text)


@pytest.mark.parametrize(
    ("cells", "words"),
    [
        (["1"] * 9 + ["1e39"], r"1e39 is larger than f32 holds, row 9"),
        (["1"] * 9 + ["-1e400"], r"-1e400 is larger than f32 holds, row 9"),
        ([str(2**63 - 3 + i) for i in range(10)], r"9223372036854775808 is larger than i64.*row 3"),
        (["", *(str(10**20 + i) for i in range(9))], r"larger than i64(.|\n)*categories="),
    ],
    ids=["f32", "f64", "i64", "missing"],
)
def test_cells_that_are_too_large(cells: list[str], words: str, tmp_path: Path) -> None:
    rows = [f"{cell},{i}" for i, cell in enumerate(cells)]
    (tmp_path / "t.csv").write_text("\n".join(["a,y", *rows]))
    (tmp_path / "s.weft").write_text(SPEC)
    with pytest.raises(weft.WeftError, match=rf"W1378(.|\n)*{words}"):
        weft.load(tmp_path / "s.weft")


def test_cells_up_to_the_ends_of_i64_are_whole(tmp_path: Path) -> None:
    numbers = [2**63 - 1 - i for i in range(5)] + [-(2**63) + i for i in range(5)]
    rows = [f"{number},{i}" for i, number in enumerate(numbers)]
    (tmp_path / "t.csv").write_text("\n".join(["a,y", *rows]))
    (tmp_path / "s.weft").write_text(SPEC)
    raw = weft.load(tmp_path / "s.weft").data("table").raw["a"]
    assert raw.tolist() == numbers


@pytest.mark.parametrize("kind", ["parquet", "npz"])
@pytest.mark.parametrize(
    ("numbers", "words"),
    [
        (np.array([1] * 8 + [2**64 - 1, 3], np.uint64), "18446744073709551615 is larger than i64"),
        (np.array([1.0] * 8 + [-1e39, np.nan]), r"-1e\+39 is larger than f32"),
    ],
    ids=["u64", "f64"],
)
def test_files_with_numbers_that_are_too_large(
    numbers: Any, words: str, kind: str, tmp_path: Path
) -> None:
    if kind == "npz":
        np.savez(tmp_path / "t.npz", a=numbers, y=Y)
    else:
        pandas.DataFrame({"a": numbers, "y": Y}).to_parquet(tmp_path / "t.parquet")
    text = SPEC.replace('csv("t.csv")', f'{kind}("t.{kind}")')
    (tmp_path / "s.weft").write_text(text)
    with pytest.raises(weft.WeftError, match=rf"W1378(.|\n)*{words} holds, row 8"):
        weft.load(tmp_path / "s.weft").data("table")
