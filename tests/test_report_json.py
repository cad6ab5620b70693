"""The report as JSON: what every reader of JSON takes."""

from __future__ import annotations

import json

import pytest

from weft.building.report import Report, Section


@pytest.mark.parametrize("value", [float("inf"), float("-inf"), float("nan")])
def test_a_number_that_json_lacks_is_null(value: float) -> None:
    facts = {"figures": {"loss": value, "size": 4.0}, "interval": (value, 1.0)}
    text = Report("net.weft", (Section("train fit", (), facts),)).json()
    (section,) = json.loads(text)["sections"]
    assert section["figures"] == {"loss": None, "size": 4.0}
    assert section["interval"] == [None, 1.0]
