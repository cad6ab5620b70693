"""Short runs of the fuzzers; `python -m tests.fuzz --count 200000` is the long one."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from compiler.report.diagnostics import Sink
from tests.fuzz import harness
from tests.fuzz.commands import run
from tests.fuzz.harness import fuzz, make_folder, minimize, try_text


@pytest.mark.parametrize(
    ("fuzzer", "count", "sound", "codes"),
    [("text", 400, 10, 20), ("mutated", 500, 20, 80), ("hostile", 400, 40, 40)],
)
def test_compiler_survives(fuzzer: str, count: int, sound: int, codes: int) -> None:
    tally = fuzz(count, seed=1, fuzzer=fuzzer)
    assert tally.texts == count
    assert not tally.failures, tally.failures[0].text + tally.failures[0].trace
    assert tally.sound > sound, "too few texts are sound to say anything about what follows"
    assert len(tally.codes) > codes, "too few kinds of mistakes are met"


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder as the fuzzers have it."""
    with make_folder() as made:
        yield made


FOUND = {
    "a quantity beyond floats": "train f of M on d { minimize l with sgd(lr=1e308TiB) }\n",
    "a value with the name of an unnamed one": (
        "model M() {\n    input x: f32[batch, 7]\n    `%1` = concat([x, x], axis=-1)\n"
        "    y = x ** 3 / 3\n    output z = `%1` -> relu\n    output u = y\n}\n"
    ),
    "a constant beside a layer": (
        "model M() {\n    input x: f32[batch, 8]\n    y = x -> dense(4)\n    output z = y + 1\n}\n"
    ),
    "a model whose name holds no letter": (
        "model _0() {\n    input x: f32[n, m]\n    output y = x -> relu\n}\n"
    ),
}
"""What a fuzzer has found, made smaller."""


@pytest.mark.parametrize("text", FOUND.values(), ids=list(FOUND))
def test_what_was_found_stays_mended(text: str, folder: Path) -> None:
    try_text(text, folder, commands=True)


def test_a_crash_would_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    def crash(text: str, folder: Path, *, commands: bool) -> None:
        raise IndexError("crash")

    monkeypatch.setattr(harness, "run_compiler", crash)
    (failure,) = fuzz(1, seed=0).failures
    assert "IndexError: crash" in failure.trace
    assert failure.seed == "all:0:0"


def test_a_hang_would_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    def hang(text: str, folder: Path, *, commands: bool) -> None:
        while True:
            pass

    monkeypatch.setattr(harness, "run_compiler", hang)
    monkeypatch.setattr(harness, "LIMIT", 0.05)
    monkeypatch.setattr(harness, "TRIES", 0)
    (failure,) = fuzz(1, seed=0).failures
    assert "longer than" in failure.trace


def test_a_large_peak_would_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    def grow(text: str, folder: Path, *, commands: bool) -> Sink:
        bytearray(random.Random(0).randbytes(1) * (300 << 20))
        return Sink()

    monkeypatch.setattr(harness, "run_compiler", grow)
    monkeypatch.setattr(harness, "MEMORY", 100 << 20)
    monkeypatch.setattr(harness, "TRIES", 0)
    (failure,) = fuzz(1, seed=0).failures
    assert "bytes were held" in failure.trace


def test_what_passes_is_shown_and_compiled() -> None:
    tally = fuzz(60, seed=2, fuzzer="hostile", commands=True)
    assert not tally.failures, tally.failures[0].text + tally.failures[0].trace
    assert tally.sound > 2


def test_a_fault_of_a_command_would_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> None:
        raise KeyError("crash")

    monkeypatch.setattr("weft.cli.main.app", broken)
    with pytest.raises(AssertionError, match="KeyError: 'crash'"):
        run("show", "fuzz.weft")


def test_a_failing_text_is_made_smaller(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    def crash(text: str, folder: Path, *, commands: bool) -> None:
        if "bad" in text:
            raise IndexError("crash")

    monkeypatch.setattr(harness, "run_compiler", crash)
    text = "\n".join(["one"] * 7 + ["bad"] + ["two"] * 8)
    with pytest.raises(IndexError):
        try_text(text, folder, commands=False)
    place = harness.find_place(text, folder, commands=False)
    assert place is not None
    assert minimize(text, folder, place, commands=False) == "bad"
