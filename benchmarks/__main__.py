"""`python -m benchmarks [NAME...]`: runs the benchmarks and prints a table for each."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

NAMES = (
    "check",
    "compile",
    "inference",
    "train",
    "objectives",
    "processes",
    "augment",
    "recurrent",
    "compression",
    "sweep",
    "examples",
)


def main() -> int:
    """Runs each benchmark in a process of its own, so that none disturbs the next."""
    wanted = sys.argv[1:] or list(NAMES)
    unknown = [name for name in wanted if name not in NAMES]
    if unknown:
        print(f"there is no benchmark {unknown[0]}; there are {', '.join(NAMES)}", file=sys.stderr)
        return 2
    root = Path(__file__).resolve().parents[1]
    statuses = []
    for name in wanted:
        print(f"== {name}", flush=True)
        done = subprocess.run([sys.executable, "-m", f"benchmarks.{name}"], cwd=root, check=False)
        statuses.append(done.returncode)
    return int(any(statuses))


if __name__ == "__main__":
    sys.exit(main())
