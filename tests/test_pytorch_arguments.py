"""Arguments of generated classes mean for every value what they mean in the spec."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.pytorch_compare import assert_arguments_mean_the_same

GOOD = Path(__file__).resolve().parent / "good" / "pytorch"
CASES = {
    "text_encoder": (
        "Reader",
        {"batch": 2, "t": 5},
        [{"words": "70"}, {"longest": "8"}, {"d": "32"}, {"layers": "1"}, {"layers": "5"}],
    ),
    "text_writer": (
        "Writer",
        {"batch": 2, "t": 5},
        [{"words": "70"}, {"d": "32"}, {"layers": "1"}, {"layers": "4"}, {"grow": "4"}],
    ),
    "windows": (
        "Windows",
        {"batch": 2},
        [{"size": "128"}, {"size": "32", "depths": "[2, 2]"}, {"d": "24"}, {"depths": "[1, 4]"}],
    ),
    "dense_blocks": (
        "Dense",
        {"batch": 2, "h": 32, "w": 24},
        [{"growth": "4"}, {"sizes": "[2, 4]"}, {"sizes": "[2, 1, 3, 2]"}, {"classes": "9"}],
    ),
}
ROWS = [(name, values) for name, (_, _, rows) in CASES.items() for values in rows]


@pytest.mark.parametrize(("name", "values"), ROWS)
def test_a_class_with_other_arguments_is_the_spec_with_them(
    name: str, values: dict[str, str]
) -> None:
    model, sizes, _ = CASES[name]
    spec = (GOOD / name / "spec.weft").read_text(encoding="utf-8")
    assert_arguments_mean_the_same(spec, model, values, sizes)
