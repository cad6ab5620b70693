"""What may be computed with columns of categories, and with numbers of which some are missing."""

from __future__ import annotations

from pathlib import Path

import pytest

from compiler.driver import check_source
from compiler.report.diagnostics import Message, Sink
from compiler.report.source import Source

TABLE = "size,price,kind,sold,day\n" + "".join(
    f"{'' if i == 4 else i},{2 * i}.5,{'abc'[i % 3]},{('no', 'yes')[i % 2]},2024-01-{i + 1:02}\n"
    for i in range(12)
)
SPEC = """
model Net {{
    input f: f32[batch, {width}]
    {inputs}
    output y: f32[batch] = f -> dense(1) -> squeeze(-1)
    {body}
}}
data table {{
    source csv("t.csv"{options})
    {columns}
    split in_order, train=8, val=2, test=2
}}
train fit of Net on table {{
    minimize {loss} with sgd(lr=0.1)
    batch 4  epochs 1
}}
"""


def faults(tmp_path: Path, columns: str, **given: str) -> list[Message]:
    (tmp_path / "t.csv").write_text(given.pop("table", TABLE))
    settings = {"width": "1", "inputs": "", "body": "", "loss": "mse(y, price)", "options": ""}
    text = SPEC.format(columns=columns, **{**settings, **given})
    sink = Sink()
    check_source(Source(str(tmp_path / "s.weft"), text), sink=sink)
    return list(sink.messages)


@pytest.mark.parametrize(
    "columns",
    [
        "f = stack([cast(kind, f32)])",
        "f = stack([kind + 1]) -> standardize",
        "f = stack([kind]) -> standardize",
        "f = stack([cast(kind > 1, f32)])",
        "f = stack([where(kind == 1, price, cast(kind, f32))])",
        "f = cast([kind, kind][:1] -> stack, f32)",
        "f = stack([cast(sold * 2, f32)])",
        "f = stack([cast(cast(kind, i32), f32)])",
    ],
)
def test_categories_are_no_sizes(columns: str, tmp_path: Path) -> None:
    (message,) = faults(tmp_path, columns)
    assert message.code == "W1225"
    assert "`kind`" in message.text.title or "`sold`" in message.text.title
    assert message.span is not None
    assert message.span.start > 0


@pytest.mark.parametrize(
    ("columns", "width"),
    [
        ("f = one_hot(kind, dtype=f32)", "3"),
        ("f = stack([cast(sold, f32)])", "1"),
        ("f = stack([cast(kind == 1, f32)])", "1"),
        ("f = stack([where(kind != 2, price, 0)])", "1"),
        ("f = stack([cast(day / 86400, f32)])", "1"),
        ('f = stack([fill(size, "mean")])', "1"),
        ("f = stack([where(isnan(size), 0, size)])", "1"),
        ("f = stack([cast(isnan(size), f32)])", "1"),
        ("f = stack([cast(fill(size, 0) > 3, f32)])", "1"),
    ],
)
def test_categories_and_gaps_as_they_are_meant(columns: str, width: str, tmp_path: Path) -> None:
    assert faults(tmp_path, columns, width=width) == []


def test_categories_in_a_model_and_its_loss(tmp_path: Path) -> None:
    plain = "f = stack([price])"
    inputs = "input kind: i64[batch]"
    (message,) = faults(tmp_path, plain, inputs=inputs, body="output z = cast(kind, f32) * 2",
                        loss="mse(y + z, price)")  # fmt: skip
    assert message.code == "W1225"
    (message,) = faults(tmp_path, plain, loss="mse(y, cast(kind, f32))")
    assert message.code == "W1225"
    assert faults(tmp_path, plain, inputs=inputs, body="output z = kind -> embedding(3, 1)",
                  loss="mse(y + squeeze(z, -1), price)") == []  # fmt: skip
    assert faults(tmp_path, plain, loss="bce_with_logits(y, cast(sold, f32))") == []


@pytest.mark.parametrize(
    "columns",
    ["f = stack([cast(size > 3, f32)])", "f = stack([cast(cast(size, i64), f32)])"],
)
def test_missing_numbers_do_not_become_something(columns: str, tmp_path: Path) -> None:
    (message,) = faults(tmp_path, columns)
    assert message.code == "W1226"
    assert "`size`" in message.text.title


def test_columns_in_doubt_are_refused_where_they_are_used(tmp_path: Path) -> None:
    table = TABLE.replace(".5,", " kg,")
    plain = "f = stack([fill(size, 0)])"
    message, *_ = faults(tmp_path, "f = stack([price])", table=table)
    assert message.code == "W1220"
    assert message.span is not None
    assert message.span.text == "price"
    message, *_ = faults(tmp_path, plain, table=table)  # in the loss
    assert message.code == "W1220"
    assert faults(tmp_path, plain, table=table, loss="mse(y, y)") == []
    message, *_ = faults(tmp_path, plain, table=table, inputs="input price: f32[batch]",
                         loss="mse(y, y)")  # fmt: skip
    assert (message.code, message.span and message.span.text) == ("W1220", "Net")
    assert faults(tmp_path, plain, table=table, options=', unit="kg"') == []


def test_a_split_is_not_stratified_by_a_column_in_doubt(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("x,label\n1,a\n2,\n3,b\n")
    text = 'data d { source csv("t.csv")\n split random(stratify=label), train=60%, test=40% }\n'
    sink = Sink()
    check_source(Source(str(tmp_path / "s.weft"), text), sink=sink)
    assert [m.code for m in sink.messages] == ["W1221"]
