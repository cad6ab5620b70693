"""`python -m tests.new_cases --minutes 10`: draws new cases for as long as it is given.

The tests draw the same cases on every run, so that a red run means a change. This draws others: of
the laws of ops, of texts for the compiler, and of whole trainings, in turns. What it finds it
prints as a line for `tests/found_cases.json`; `tests/test_found_cases.py` tries that from then on.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from tests.conftest import NEW_CASES
from tests.fuzz.generators import make_text
from tests.fuzz.harness import fuzz, make_folder, try_text
from tests.random_trains.harness import try_specs

ROOT = Path(__file__).resolve().parents[1]
FOUND = ROOT / "tests" / "found_cases.json"
TEXTS = 2000
TRAINS = 2

Case = Mapping[str, str | int]
"""`kind`, and what draws the case again: a test and a seed, or the seed of a text or a training."""


def run_laws(tests: str, seed: int) -> list[str]:
    """The laws that fail with cases of this seed, as pytest names them."""
    command = [sys.executable, "-m", "pytest", "-q", "-rf", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [*command, f"--hypothesis-seed={seed}", tests],
        cwd=ROOT,
        env={**os.environ, NEW_CASES: "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode in (0, 1), done.stdout + done.stderr
    return re.findall(r"^FAILED (\S+)", done.stdout, re.MULTILINE)


def find_laws(seed: int) -> Iterator[Case]:
    """Laws of ops that do not hold."""
    for test in run_laws("tests/laws", seed):
        yield {"kind": "law", "test": test, "seed": seed}


def find_texts(seed: int) -> Iterator[Case]:
    """Texts on which the compiler falls over."""
    for failure in fuzz(TEXTS, seed).failures:
        print(failure.trace)
        yield {"kind": "text", "seed": failure.seed}


def find_trains(seed: int) -> Iterator[Case]:
    """Trainings whose files or figures are not what was computed apart."""
    for number in range(TRAINS * seed, TRAINS * (seed + 1)):
        for kind, story in try_specs(1, number).failures.items():
            print(kind, story, sep="\n")
            yield {"kind": "train", "seed": number}


FINDERS: tuple[Callable[[int], Iterator[Case]], ...] = (find_laws, find_texts, find_trains)


def try_again(case: Case) -> None:
    """Draws a case that was found once.

    Raises:
        Exception: whatever was wrong is wrong again.
    """
    seed = case["seed"]
    match case["kind"]:
        case "law":
            assert not run_laws(str(case["test"]), int(seed)), case
        case "text":
            fuzzer, first, number = str(seed).split(":")
            with make_folder() as folder:
                text = make_text(random.Random(f"{first}:{number}"), fuzzer)
                try_text(text, folder, commands=False)
        case "train":
            tally = try_specs(1, int(seed))
            assert not tally.failures, tally.failures
        case kind:
            raise ValueError(f"{FOUND.name}: no cases are of the kind {kind!r}")


def main() -> None:
    """Draws until the time is over; status 1 where something was found."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, help="the first; default: the clock")
    options = parser.parse_args()
    seed = int(time.time()) if options.seed is None else options.seed
    end = time.monotonic() + 60 * options.minutes
    found = []
    while time.monotonic() < end:
        for find in FINDERS:
            print(f"{find.__name__} {seed}", file=sys.stderr, flush=True)
            for case in find(seed):
                print(f"found: {json.dumps(case)}", flush=True)
                found.append(case)
            if time.monotonic() > end:
                break
        seed += 1
    print(f"{len(found)} found; the last seed was {seed}")
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
