"""Compression against what was promised and against rivals: one case a promise.

`python -m benchmarks.compression [CASE...]`; `int8` means all cases whose names begin with it.
Cases live in `benchmarks/compression_*.py`; each prints its figures and says whether its bounds
hold.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

Case = Callable[[], bool]
CASES: dict[str, Case] = {}
"""Every case by name, filled by `load_cases`."""


def case(name: str) -> Callable[[Case], Case]:
    """Decorator: registers a function that prints figures and returns whether bounds hold."""

    def register(function: Case) -> Case:
        assert name not in CASES, f"{name} is there twice"
        CASES[name] = function
        return function

    return register


def load_cases() -> dict[str, Case]:
    """Imports every `compression_*.py` beside this file."""
    for path in sorted(Path(__file__).parent.glob("compression_*.py")):
        import_module(f"benchmarks.{path.stem}")
    # Run as a program this module is `__main__`; cases register with the imported one.
    cases: dict[str, Case] = import_module("benchmarks.compression").CASES
    return cases


def report(label: str, value: float, relation: str, bound: float, unit: str = "") -> bool:
    """Prints a figure beside its bound; whether it holds."""
    holds = value <= bound if relation == "<=" else value >= bound
    mark = relation if holds else f"NOT {relation}"
    print(f"  {label:52} {value:9.3f}{unit} {mark} {bound:g}{unit}", flush=True)
    return holds


def main() -> int:
    """Runs every case, or those named."""
    cases = load_cases()
    wanted = []
    for asked in sys.argv[1:] or list(cases):
        found = [name for name in cases if f"{name} ".startswith(f"{asked} ")]
        if not found:
            print(f"there is no case {asked}; there are {', '.join(cases)}", file=sys.stderr)
            return 2
        wanted += found
    held = []
    for name in wanted:
        print(f"{name}:", flush=True)
        held.append(cases[name]())
    return int(not all(held))


if __name__ == "__main__":
    sys.exit(main())
