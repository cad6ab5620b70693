"""Warnings about names that nothing reads: which ones, and at which places."""

from __future__ import annotations

from pathlib import Path

import pytest

from compiler.driver import check
from compiler.report.diagnostics import Sink
from tests.elaborating import elaborate

BLOCKS = """
block two(x: f32[n, d]) { return (x -> relu, x -> tanh) }
model M(width: int = 3) {
    input x: f32[batch, 4]
    BODY
    output z = x -> dense(width)
}
"""
ITEMS = """
model M(width: int = 3) {
    input x: f32[batch, 2]
    output z = x -> dense(width)
}
data table DATA{
    source csv("rows.csv")
    x = cast(concat([reshape(a, [1]), reshape(b, [1])]), f32)
    split in_order, train=60%, val=20%, test=20%
}
train fit(lr: float = 0.1TRAIN) of M(width=w) on table {
    minimize cross_entropy(z, label) with sgd(lr=rate)
    batch 2
    epochs 1
    seed 0
}
variant small VARIANTof fit {
    apply quantize(int8)
}
"""


@pytest.mark.parametrize(
    ("body", "unused"),
    [
        ("a, b = x -> two", ["a", "b"]),
        ("a, b = x -> two\n    x = x + a", []),
        ("a, _ = x -> two", ["a"]),
        ("_, _ = x -> two", []),
        ("_a, _b = x -> two", []),
        ("if width > 2 { a, b = x -> two }", ["a", "b"]),
        ("for i in 0..2 { a, b = x -> two }", ["a", "b"]),
        ("a, b = x -> two\n    x = a + b\n    a, b = x -> two", ["a", "b"]),
        ("a, b = x -> two\n    x = a + b\n    a, b = x -> two\n    x = x + b", []),
    ],
)
def test_unpacked_names_are_unused_together(body: str, unused: list[str]) -> None:
    _, messages = elaborate(BLOCKS.replace("BODY", body))
    assert [(m.code, m.span.text) for m in messages if m.span] == [("W1002", n) for n in unused]


@pytest.mark.parametrize(
    ("changes", "unused"),
    [
        ({"TRAIN": ", w: int = 3, rate: float = lr"}, []),
        ({"TRAIN": ", w: int = 3, rate: float = lr, more: int = 1"}, ["more"]),
        ({"TRAIN": ", w: int = 3, rate: float = 0.1"}, ["lr"]),
        ({"TRAIN": ", w: int = 3, rate: float = lr, _more: int = 1"}, []),
        ({"TRAIN": ", w: int = 3, rate: float = lr", "VARIANT": "(bits: int = 8) "}, ["bits"]),
        ({"TRAIN": ", w: int = 3, rate: float = lr", "DATA": "(rows: int = 8) "}, ["rows"]),
    ],
)
def test_parameters_of_every_item_are_read(
    changes: dict[str, str], unused: list[str], tmp_path: Path
) -> None:
    spec = ITEMS
    for slot in ("TRAIN", "VARIANT", "DATA"):
        spec = spec.replace(slot, changes.get(slot, ""))
    (tmp_path / "spec.weft").write_text(spec)
    rows = [f"{k},{k + 1},{k % 3}" for k in range(10)]
    (tmp_path / "rows.csv").write_text("\n".join(["a,b,label", *rows, ""]))
    sink = Sink()
    assert check(tmp_path / "spec.weft", sink=sink) is not None
    found = [(m.code, m.span.text) for m in sink.messages if m.span is not None]
    assert found == [("W1001", name) for name in unused]
