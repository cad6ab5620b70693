"""`python -m tests.fuzz --count 200000`: the long run of every fuzzer; `--commands` takes
sound specs through `show` and `compile` too."""

from __future__ import annotations

import argparse
import resource
import sys
from collections import Counter
from concurrent.futures import ProcessPoolExecutor, as_completed

from tests.fuzz.generators import FUZZERS
from tests.fuzz.harness import Failure, Tally, fuzz

CHUNK = 500
MEMORY = 6 * 2**30
"""Bytes of address space of a process: a text that asks for more is a failure."""


def main() -> None:
    """Fuzz in chunks; print what was met, and every kind of failure once."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=100_000, help="how many texts")
    parser.add_argument("--seed", type=int, default=0, help="seed of the first chunk")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--fuzzer", choices=["all", *FUZZERS], default="all", help="which one")
    parser.add_argument(
        "--commands", action="store_true", help="take sound specs through show and compile"
    )
    options = parser.parse_args()
    chunks = range(-(-options.count // CHUNK))
    total = Tally()
    known: dict[str, Failure] = {}
    with ProcessPoolExecutor(options.processes, initializer=limit_memory) as pool:
        runs = [
            pool.submit(
                fuzz,
                min(CHUNK, options.count - CHUNK * chunk),
                options.seed + chunk,
                options.fuzzer,
                commands=options.commands,
            )
            for chunk in chunks
        ]
        for run in as_completed(runs):
            tally = run.result()
            add(total, tally)
            for failure in tally.failures:
                if failure.place not in known:
                    known[failure.place] = failure
                    show(failure)
            print(f"{total.texts} texts", file=sys.stderr, flush=True)
    kinds = Counter(failure.place for failure in total.failures)
    print(f"{total.texts} texts, {total.sound} sound, slowest {total.slowest * 1000:.0f} ms")
    for code, count in sorted(total.codes.items()):
        print(f"{code} {count:>8}")
    for place, count in kinds.most_common():
        print(f"{count} x {known[place].seed}: {place}")
    sys.exit(1 if total.failures else 0)


def limit_memory() -> None:
    """Bounds what a process may take, so that a bug cannot take the machine."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))


def add(total: Tally, tally: Tally) -> None:
    """Adds what a chunk met."""
    total.texts += tally.texts
    total.sound += tally.sound
    total.codes += tally.codes
    total.slowest = max(total.slowest, tally.slowest)
    total.failures += tally.failures


def show(failure: Failure) -> None:
    """Prints a failure."""
    print(f"=== seed {failure.seed}\n{failure.text}\n--- {failure.trace}", flush=True)


if __name__ == "__main__":
    main()
