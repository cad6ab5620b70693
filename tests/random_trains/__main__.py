"""`python -m tests.random_trains --count 300 --seed 0`: the long run."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from tests.random_trains.harness import try_specs


def main() -> None:
    """Builds specs one after another; prints every kind of failure once, and what was met."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=300, help="how many specs")
    parser.add_argument("--seed", type=int, default=0, help="seed of the first")
    parser.add_argument("--keep", type=Path, help="a folder for specs and builds, to be kept")
    options = parser.parse_args()
    start, failures, built, compared = time.monotonic(), {}, 0, 0
    for seed in range(options.seed, options.seed + options.count):
        tally = try_specs(1, seed, keep=options.keep)
        built, compared = built + tally.built, compared + tally.compared
        for kind, story in tally.failures.items():
            if kind not in failures:
                print(f"--- {kind}\n{story}\n", flush=True)
            failures[kind] = failures.get(kind, 0) + 1
    for kind, count in failures.items():
        print(f"{count:4} {kind}")
    seconds = time.monotonic() - start
    print(f"{options.count} specs, {built} built, {compared} figures compared, {seconds:.0f} s")
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
