"""`python -m tests.fuzz --count 100000`: the long run, on two processes."""

from __future__ import annotations

import argparse
from collections import Counter
from concurrent.futures import ProcessPoolExecutor, as_completed

from tests.fuzz.harness import fuzz

CHUNK = 1000


def main() -> None:
    """Fuzz in chunks and print what was met."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=100_000, help="how many texts")
    parser.add_argument("--seed", type=int, default=0, help="seed of the first chunk")
    parser.add_argument("--processes", type=int, default=2)
    options = parser.parse_args()
    chunks = range(-(-options.count // CHUNK))
    codes: Counter[str] = Counter()
    texts = sound = 0
    slowest = 0.0
    with ProcessPoolExecutor(options.processes) as pool:
        runs = [
            pool.submit(fuzz, min(CHUNK, options.count - CHUNK * chunk), options.seed + chunk)
            for chunk in chunks
        ]
        for run in as_completed(runs):
            tally = run.result()
            texts += tally.texts
            sound += tally.sound
            codes += tally.codes
            slowest = max(slowest, tally.slowest)
            print(f"\r{texts} texts", end="", flush=True)
    print(f"\r{texts} texts, {sound} sound, slowest {slowest * 1000:.0f} ms")
    for code, count in sorted(codes.items()):
        print(f"{code} {count:>8}")


if __name__ == "__main__":
    main()
