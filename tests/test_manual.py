"""The manual that is derived from the vocabulary: complete, and `docs/ops.md` up to date."""

from __future__ import annotations

from pathlib import Path

import pytest

from compiler.ir.graph import Op
from compiler.manual import op_reference, write_entry, write_signature, write_type
from compiler.ops.registry import OPS, load_ops
from compiler.types.dims import Dim
from compiler.vocabulary.initializers import INITIALIZERS
from compiler.vocabulary.signature import write_value
from tests.conftest import Golden

DOCS = Path(__file__).resolve().parents[1] / "docs"

load_ops()


def test_reference_is_up_to_date(golden: Golden) -> None:
    golden.check(DOCS / "ops.md", op_reference())


@pytest.mark.parametrize("cls", OPS.classes(), ids=lambda c: c.name)
def test_entries_say_what_a_reader_needs(cls: type[Op]) -> None:
    manual = cls.manual()
    assert manual.split("\n\n")[0].rstrip().endswith((".", ":")), "begins with a sentence"
    assert len(max(manual.split("\n"), key=len)) <= 100
    if cls.multiply_adds is not Op.multiply_adds:
        assert "\nCost: " in manual, "says how its multiply-adds are counted"
    assert "Example: " in manual or "never by a call" in manual, "has an example"


@pytest.mark.parametrize("cls", OPS.classes(), ids=lambda c: c.name)
def test_entries_name_messages_that_exist(cls: type[Op]) -> None:
    import re

    from compiler.report.diagnostics import MESSAGES
    from compiler.report.messages import load_messages

    load_messages()
    assert set(re.findall(r"W\d{4}", cls.manual())) <= set(MESSAGES)


def test_signatures_are_written_as_calls() -> None:
    conv, attention = OPS.get("conv"), OPS.get("scaled_dot_product_attention")
    assert conv is not None
    assert attention is not None
    assert write_signature(conv).startswith(
        "conv(x, out: int, kernel: int or list, stride: int or list = 1, "
        'padding: int or list or "same" or "valid" = 0'
    )
    assert "mask?" in write_signature(attention)


def test_types_and_values_are_those_of_the_language() -> None:
    assert write_type(int | Dim | None) == "int or size or none"
    assert write_value((1, 2.5, None, True, "x")) == '[1, 2.5, none, true, "x"]'
    assert write_value(1e-05) == "1e-5"


def test_entries_show_other_names() -> None:
    silu = OPS.get("swish")
    assert silu is not None
    assert "also called swish" in write_entry(silu)


def test_initializers_are_described() -> None:
    reference = op_reference()
    for cls in INITIALIZERS.classes():
        assert cls.summary()
        assert not cls.written or f"### `{cls.name}`" in reference
