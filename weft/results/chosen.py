"""What sweeps of a build have chosen, for whoever checks the spec again."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from compiler.system.files import read_json

TRIALS = "trials"
"""The folder beside what a sweep stands for with all of its trials."""
SUMMARY = Path(TRIALS) / "results.json"
"""What a sweep leaves of its trials, in the folder of its name."""


def read_chosen(folder: Path) -> dict[str, Mapping[str, Any]]:
    """The values of the best trials of all sweeps that a build in a folder has run, by sweep and
    parameter. Whether a spec has such sweeps, and they would draw these, its check decides."""
    found: dict[str, Mapping[str, Any]] = {}
    for path in sorted(folder.glob(f"*/{SUMMARY.as_posix()}")):
        values = read_summary(path).get("values")
        if isinstance(values, dict):
            found[path.parents[1].name] = values
    return found


def read_summary(path: Path) -> Mapping[str, Any]:
    """What a sweep has left in a file; nothing where it is none."""
    found = read_json(path)
    return found if isinstance(found, dict) else {}
