"""Cases that `make laws` has found once: each was mended, and stays so."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys

import pytest

from tests import new_cases
from tests.conftest import NEW_CASES
from tests.fuzz.harness import Tally
from tests.new_cases import FOUND, ROOT, Case, try_again

CASES: list[Case] = json.loads(FOUND.read_text(encoding="utf-8"))


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case['kind']}-{case['seed']}")
def test_found_cases_are_mended(case: Case) -> None:
    try_again(case)


def test_a_law_that_does_not_hold_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[str, int]] = []

    def run(tests: str, seed: int) -> list[str]:
        seen.append((tests, seed))
        return ["tests/laws/test_laws.py::test_pytorch_agrees[gather]"]

    monkeypatch.setattr(new_cases, "run_laws", run)
    (case,) = new_cases.find_laws(7)
    with pytest.raises(AssertionError):
        try_again(case)
    assert seen == [("tests/laws", 7), ("tests/laws/test_laws.py::test_pytorch_agrees[gather]", 7)]


@pytest.mark.parametrize("wanted", [True, False])
def test_only_the_long_run_draws_new_cases(wanted: bool) -> None:
    code = "import tests.conftest\nfrom tests.laws.harness import LAWS\nprint(LAWS.derandomize)"
    others = {k: v for k, v in os.environ.items() if k != NEW_CASES}
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**others, NEW_CASES: "1"} if wanted else others,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == f"{not wanted}\n"


def test_a_text_is_drawn_again(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[float] = []

    def make(rng: random.Random, fuzzer: str) -> str:
        drawn.append(rng.random())
        return "model M() {}"

    monkeypatch.setattr(new_cases, "make_text", make)
    try_again({"kind": "text", "seed": "all:4:17"})
    assert drawn == [random.Random("4:17").random()]


def test_a_training_that_is_wrong_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(count: int, seed: int) -> Tally:
        tally = Tally()
        tally.failures = {"wrong": "a story"} if seed == 9 else {}  # type: ignore[assignment]
        return tally

    monkeypatch.setattr(new_cases, "try_specs", fail)
    assert [case["seed"] for case in new_cases.find_trains(4)] == [9]
    with pytest.raises(AssertionError):
        try_again({"kind": "train", "seed": 9})
