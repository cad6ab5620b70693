"""`python -m tests.hostile --count 10000`: the long run, on two processes."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from concurrent.futures import ProcessPoolExecutor, as_completed

from tests.hostile.harness import try_specs

CHUNK = 100


def main() -> None:
    """Tries specs in chunks; prints what was met, and every kind of failure once."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=10_000, help="how many specs")
    parser.add_argument("--seed", type=int, default=0, help="seed of the first")
    parser.add_argument("--processes", type=int, default=2)
    options = parser.parse_args()
    specs = written = 0
    codes: Counter[str] = Counter()
    failures: dict[str, str] = {}
    with ProcessPoolExecutor(options.processes) as pool:
        starts = range(0, options.count, CHUNK)
        runs = [
            pool.submit(try_specs, min(CHUNK, options.count - start), options.seed + start)
            for start in starts
        ]
        for run in as_completed(runs):
            tally = run.result()
            specs, written = specs + tally.specs, written + tally.written
            codes += tally.codes
            for kind, spec in tally.failures.items():
                if kind not in failures:
                    failures[kind] = spec
                    print(f"{kind}\n  {spec}", flush=True)
            print(f"{specs} specs", file=sys.stderr, flush=True)
    print(f"{specs} specs, {written} written, {len(failures)} kinds of failures, refused: {codes}")
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
