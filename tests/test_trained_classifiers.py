"""A handful of the trainings in `trained_classifiers.py`: one of each task, and saturated ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.trained_classifiers import build


@pytest.mark.parametrize("number", [0, 2, 4, 6])
def test_what_was_trained_is_verified(number: int, tmp_path: Path) -> None:
    assert build(number, tmp_path) == []
