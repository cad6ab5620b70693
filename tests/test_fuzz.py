"""A short run of the fuzzer; `python -m tests.fuzz --count 100000` is the long one."""

from __future__ import annotations

import pytest

from tests.fuzz import harness
from tests.fuzz.harness import FuzzFailure, fuzz


def test_front_end_survives() -> None:
    tally = fuzz(2000, seed=1)
    assert tally.texts == 2000
    assert tally.sound > 200, "too few texts are sound to say anything about formatting"
    assert len(tally.codes) > 40, "too few kinds of mistakes are met"


def test_a_crash_would_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    def crash(text: str) -> None:
        raise IndexError("crash")

    monkeypatch.setattr(harness, "run_front_end", crash)
    with pytest.raises(FuzzFailure, match="crash"):
        fuzz(1, seed=0)


def test_a_hang_would_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    def hang(text: str) -> None:
        while True:
            pass

    monkeypatch.setattr(harness, "run_front_end", hang)
    monkeypatch.setattr(harness, "LIMIT", 0.05)
    with pytest.raises(FuzzFailure, match="longer than"):
        fuzz(1, seed=0)
