"""Classes that stand in no training row."""

from __future__ import annotations

from pathlib import Path

import pytest

from compiler.driver import check
from compiler.report.diagnostics import Sink
from compiler.rows.validation import validate_data

SPEC = """
data table {
    source csv("t.csv")
    split in_order, train=60%, val=20%, test=20%
}
model Net() {
    input x: f32[batch]
    output y = reshape(x, [-1, 1]) -> dense(3) as head
}
train fit of Net on table {
    minimize cross_entropy(y, kind) with sgd(lr=0.1)
    batch 4
    epochs 1
}
"""


@pytest.mark.parametrize(
    ("kinds", "told"),
    [
        ("ab" * 15 + "ab" * 5 + "ab" * 4 + "cc", [("c", "test", "2 rows of `test` have it")]),
        (
            "ab" * 15 + "c" + "ab" * 4 + "a" + "c" + "ab" * 4 + "a",
            [("c", "val", ""), ("c", "test", "")],
        ),
        ("abc" * 10 + "ab" * 10, []),
        ("ab" * 6 + "ab" * 2 + "abac", []),
    ],
)
def test_a_class_of_other_splits_is_told(
    kinds: str, told: list[tuple[str, str, str]], tmp_path: Path
) -> None:
    rows = [f"{number / 8},{kind}" for number, kind in enumerate(kinds)]
    (tmp_path / "t.csv").write_text("\n".join(["x,kind", *rows]))
    (tmp_path / "spec.weft").write_text(SPEC.replace("dense(3)", f"dense({len(set(kinds))})"))
    program = check(tmp_path / "spec.weft", sink=(sink := Sink()))
    assert program is not None
    validate_data(program.trains["fit"], sink)
    found = [m for m in sink.messages if m.code == "W1691"]
    assert len(found) == len(told)
    for message, (word, split, label) in zip(found, told, strict=True):
        assert f"`{word}`" in message.text.title or word in message.text.title
        assert f"`{split}`" in message.text.label
        assert label in message.text.label
