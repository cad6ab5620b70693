"""Places in tables that column expressions look up and that are outside: told, computed or not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from compiler.driver import check
from compiler.report.diagnostics import CompileError, Sink
from compiler.rows.loading import load_data
from compiler.rows.targets import check_columns

SPEC = """
data d {
    source npz("d.npz")
    w = EXPRESSION
    split in_order, train=60%, val=40%
    WHERE
}
"""
EXPRESSIONS = {
    "x[label]": "takes 0 to 1; row 2 has 2",
    "gather(x, reshape(label, [1]), axis=0)": "takes 0 to 1; row 2 has 2",
    "one_hot(label, 3)[1]": "takes 0 to 2; row 3 has 3",
    "one_hot(label + 1, 4)": "takes 0 to 3; row 3 has 4",
    "class_weight(label, 3) * 2": "takes 0 to 2; row 3 has 3",
    "class_weight(label, 2) -> standardize": "takes 0 to 1; row 2 has 2",
    "(x -> standardize)[label]": "takes 0 to 1; row 2 has 2",
}


def load(folder: Path, expression: str, where: str = "") -> list[str]:
    label = np.arange(100) % 4
    np.savez(folder / "d.npz", x=np.random.default_rng(0).normal(size=(100, 2)), label=label)
    path = folder / "s.weft"
    path.write_text(SPEC.replace("EXPRESSION", expression).replace("WHERE", where))
    sink = Sink()
    program = check(path, sink=sink)
    assert program is not None
    assert not sink.has_errors, sink.messages
    data = program.data["d"]
    try:
        messages = list(check_columns(data.columns, load_data(data, folder)))
    except CompileError as error:  # no column follows from a place that is in no table
        messages = error.messages
    (message,) = messages
    assert message.code == "W0724"
    return [message.text.title, message.text.label]


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_the_first_row_is_named(expression: str, tmp_path: Path) -> None:
    title, label = load(tmp_path, expression)
    assert "the column `label` holds numbers" in title
    assert label == EXPRESSIONS[expression]


def test_rows_have_the_numbers_of_the_source(tmp_path: Path) -> None:
    _, label = load(tmp_path, "x[label]", "where label != 2")
    assert label == "takes 0 to 1; row 3 has 3"


def test_what_follows_from_no_column_is_left_alone(tmp_path: Path) -> None:
    """A divisor, a place: what is known when compiling is told then."""
    label = np.arange(100) % 4
    np.savez(tmp_path / "d.npz", x=np.zeros((100, 2)), label=label)
    path = tmp_path / "s.weft"
    expression = "x[1] + label // 2 + (arange(3) + 1)[2]"
    path.write_text(SPEC.replace("EXPRESSION", expression).replace("WHERE", ""))
    program = check(path, sink=Sink())
    assert program is not None
    data = program.data["d"]
    assert list(check_columns(data.columns, load_data(data, tmp_path))) == []
