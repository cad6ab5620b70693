"""Parts of dates, held against those of pandas, also inside a deployed file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from compiler.ir.evaluate import evaluate
from tests.checking import check_text
from tests.test_deployed_words import run_plainly, write_file

PARTS = {
    "hour": "hour",
    "minute": "minute",
    "weekday": "dayofweek",
    "month": "month",
    "day_of_month": "day",
    "year": "year",
    "day_of_year": "dayofyear",
}


def draw_moments() -> pd.Series:
    """Moments of all years that columns may hold, and every border of a month in some of them."""
    draws = np.random.default_rng(4)
    first, last = (int(pd.Timestamp(f"{year}-01-01").timestamp()) for year in (1700, 2250))
    borders = [
        int(pd.Timestamp(year=year, month=month, day=1).timestamp()) + shift
        for year in (1700, 1899, 1900, 1904, 1969, 1970, 2000, 2023, 2024, 2100)
        for month in range(1, 13)
        for shift in (-86400, -1, 0, 86399)
    ]
    inside = [second for second in borders if first <= second < last]
    return pd.Series(np.concatenate([draws.integers(first, last, 5000), inside]))


@pytest.mark.parametrize("part", PARTS)
def test_a_part_is_that_of_pandas(part: str) -> None:
    text = f"use std.dates\nmodel M {{\n    input x: i64[n]\n    output y = x -> {part}\n}}"
    seconds = draw_moments()
    found = evaluate(check_text(text).models["M"].graph, {}, {"x": seconds.to_numpy()})["y"]
    moments = pd.to_datetime(seconds, unit="s").astype("datetime64[s]")
    np.testing.assert_array_equal(found, getattr(moments.dt, PARTS[part]))


def test_a_deployed_file_has_them_inside(tmp_path: Path) -> None:
    calls = ", ".join(f"{part}(when)" for part in PARTS)
    spec = f"""
use std.dates
data homes {{
    source csv("homes.csv")
    parts = cast(stack([{calls}]), f32)
    split in_order, train=50%, val=50%
}}
model Net() {{
    input parts: f32[batch, 7]
    output y = parts
}}
net plain = Net()
deploy plain as onnx {{ preprocess homes }}
"""
    table = "when\n29.02.2000 13:59\n31.12.1969 23:59\n01.03.2023 00:00\n31.12.2024 12:00\n"
    _, _, path = write_file(tmp_path, spec=spec, table=table)
    seconds = draw_moments()
    moments = pd.to_datetime(seconds, unit="s").astype("datetime64[s]").dt
    expected = np.stack([getattr(moments, name) for name in PARTS.values()], axis=1)
    found = run_plainly(path, when=seconds.to_numpy())["y"]
    np.testing.assert_array_equal(found, expected.astype(np.float32))
