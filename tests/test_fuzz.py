"""A short run of the fuzzer; `python -m tests.fuzz --count 100000` is the long one."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fuzz import harness
from tests.fuzz.harness import fuzz


def test_compiler_survives() -> None:
    tally = fuzz(1500, seed=1)
    assert tally.texts == 1500
    assert not tally.failures, tally.failures[0].text + tally.failures[0].trace
    assert tally.sound > 100, "too few texts are sound to say anything about formatting"
    assert len(tally.codes) > 120, "too few kinds of mistakes are met"


def test_a_crash_would_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    def crash(text: str, folder: Path) -> None:
        raise IndexError("crash")

    monkeypatch.setattr(harness, "run_compiler", crash)
    (failure,) = fuzz(1, seed=0).failures
    assert "IndexError: crash" in failure.trace
    assert failure.seed == "0:0"


def test_a_hang_would_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    def hang(text: str, folder: Path) -> None:
        while True:
            pass

    monkeypatch.setattr(harness, "run_compiler", hang)
    monkeypatch.setattr(harness, "LIMIT", 0.05)
    (failure,) = fuzz(1, seed=0).failures
    assert "longer than" in failure.trace
