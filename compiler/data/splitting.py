"""Which rows go to which split: the meaning, and the lines of the generated script."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


@dataclass(frozen=True)
class Rows:
    """What a source says about its rows: how many there are, how many belong to the splits that
    it defines itself, and how many of the rows after a row share cells with it."""

    count: int
    given: Mapping[str, int] | None = None
    overlap: int = 0


def split_rows(
    method: str,
    shares: Sequence[tuple[str, float]],
    seed: int,
    rows: Rows,
    labels: Array | None = None,
) -> dict[str, Array]:
    """Row numbers of each split, in the order train, val, test.

    `labels` are the classes that a stratified split keeps in proportion. Of a source's given
    splits, `shares` are cut from the rows of `train`, drawn at random.
    """
    if method == "given":
        return _split_given(shares, seed, rows)
    if method == "in_order":
        order = np.arange(rows.count)
    else:
        order = np.random.default_rng(seed).permutation(rows.count)
        if labels is not None:
            order = _interleave(order, labels)
    borders = count_rows([share for _, share in shares], rows.count)
    parts = {}
    for (name, _), start, stop in zip(shares, borders, borders[1:], strict=False):
        skipped = rows.overlap if method == "in_order" and start > 0 else 0
        parts[name] = order[start + skipped : stop]
    return parts


def _split_given(shares: Sequence[tuple[str, float]], seed: int, rows: Rows) -> dict[str, Array]:
    assert rows.given is not None
    parts: dict[str, Array] = {}
    start = 0
    for name, count in rows.given.items():
        parts[name] = np.arange(start, start + count)
        start += count
    if shares:
        order = np.random.default_rng(seed).permutation(parts["train"])
        borders = count_rows([share for _, share in shares], len(order))
        for (name, _), low, high in zip(shares, borders, borders[1:], strict=False):
            parts[name] = order[low:high]
        parts["train"] = order[borders[-1] :]
    return {name: parts[name] for name in ("train", "val", "test") if name in parts}


def count_rows(shares: Sequence[float], rows: int) -> list[int]:
    """Borders of the splits, from 0: shares above 1 are numbers of rows, others are rounded
    together, so that shares of 100% leave no row out."""
    borders, share, fixed = [0], 0.0, 0
    for value in shares:
        if value > 1:
            fixed += round(value)
        else:
            share += value
        borders.append(min(rows, fixed + round(round(share, 12) * rows)))
    return borders


def _interleave(order: Array, labels: Array) -> Array:
    """The order in which every stretch holds the classes in their proportion: rows are sorted
    by how far they stand in their own class."""
    _, classes, counts = np.unique(labels[order], return_inverse=True, return_counts=True)
    by_class = np.argsort(classes, kind="stable")
    place = np.empty(len(order))
    place[by_class] = np.arange(len(order)) - np.repeat(np.cumsum(counts) - counts, counts)
    return order[np.argsort((place + 0.5) / counts[classes], kind="stable")]


def split_code(
    method: str,
    shares: Sequence[tuple[str, float]],
    seed: int,
    rows: Rows,
    stratify: str | None = None,
) -> list[str]:
    """Body lines of the generated `split_rows(rows) -> dict[str, np.ndarray]`, or of
    `split_rows(rows, label)` where it is stratified; equal to the function above."""
    if method == "given":
        return _given_code(shares, seed, rows)
    lines = []
    if method == "random":
        lines.append(f"order = np.random.default_rng({seed}).permutation(rows)")
    if method == "random" and stratify is not None:
        lines += _INTERLEAVE.format(label=stratify).splitlines()
    borders = _border_code([share for _, share in shares], "rows")
    entries = []
    for index, (name, _) in enumerate(shares):
        low, high = borders[index], borders[index + 1]
        if method == "in_order" and index and rows.overlap:
            low = f"{low} + {rows.overlap}"
        stretch = f"np.arange({low}, {high})" if low else f"np.arange({high})"
        part = stretch if method == "in_order" else f"order[{low}:{high}]"
        entries.append(f'    "{name}": {part},')
    return [*lines, "return {", *entries, "}"]


_INTERLEAVE = """\
_, classes, counts = np.unique({label}[order], return_inverse=True, return_counts=True)
by_class = np.argsort(classes, kind="stable")
place = np.empty(rows)
place[by_class] = np.arange(rows) - np.repeat(np.cumsum(counts) - counts, counts)
order = order[np.argsort((place + 0.5) / counts[classes], kind="stable")]"""


def _given_code(shares: Sequence[tuple[str, float]], seed: int, rows: Rows) -> list[str]:
    assert rows.given is not None
    ranges: dict[str, str] = {}
    start = 0
    for name, count in rows.given.items():
        ranges[name] = f"np.arange({start}, {start + count})" if start else f"np.arange({count})"
        start += count
    lines = []
    if shares:
        train = rows.given["train"]
        drawn = str(train)
        if next(iter(rows.given)) != "train":
            drawn = ranges["train"]
        lines.append(f"order = np.random.default_rng({seed}).permutation({drawn})")
        borders = count_rows([share for _, share in shares], train)
        for (name, _), low, high in zip(shares, borders, borders[1:], strict=False):
            ranges[name] = f"order[{low or ''}:{high}]"
        ranges["train"] = f"order[{borders[-1]}:]"
    entries = [f'    "{n}": {ranges[n]},' for n in ("train", "val", "test") if n in ranges]
    return [*lines, "return {", *entries, "}"]


def _border_code(shares: Sequence[float], rows: str) -> list[str]:
    """Expressions of the borders, the first of which is empty; the last is too where the shares
    make up everything."""
    borders, share, fixed = [""], 0.0, 0
    for value in shares:
        if value > 1:
            fixed += round(value)
        else:
            share += value
        if share == 0:
            borders.append(str(fixed))
        else:
            total = round(share, 12)  # 0.7 + 0.2 + 0.1 is a little less than 1
            scaled = rows if total == 1 else f"round({total!r} * {rows})"
            borders.append(f"{fixed} + {scaled}" if fixed else scaled)
    return borders
