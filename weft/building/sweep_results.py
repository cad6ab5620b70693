"""What a sweep came to: its trials, the best one, the front of several goals; in the report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from compiler.program.sweep import Goal, Sweep
from compiler.sweeping.base import Label
from compiler.system.files import read_json
from weft.building.report import Section
from weft.building.sweep_pictures import draw_goals, draw_history, draw_importance
from weft.building.sweep_study import TrialRecord


@dataclass(frozen=True)
class SweepResult:
    """The trials of a sweep. `best` is what the sweep stands for, None where several goals have
    equal right; `front` are the slots of the trials that none other is better than in all goals;
    `importance` is the share of each parameter in the variance of the first goal."""

    sweep: Sweep
    study: str
    records: tuple[TrialRecord, ...]
    best: TrialRecord | None
    front: tuple[int, ...]
    importance: Mapping[str, float]

    def encode(self) -> dict[str, Any]:
        """It as JSON."""
        goals = [{"figure": g.name, "better": _say(g)} for g in self.sweep.goals]
        return {
            "sweep": self.sweep.name,
            "of": self.sweep.of,
            "study": self.study,
            "goals": goals,
            "best": self.best.slot if self.best is not None else None,
            "values": dict(self.best.labels) if self.best is not None else None,
            "front": list(self.front),
            "importance": dict(self.importance),
            "trials": [asdict(record) for record in self.records],
        }

    def describe(self, folder: Path) -> Section:
        """Its section of the report."""
        states = [record.state for record in self.records]
        said = ", ".join(f"{states.count(s)} {s}" for s in dict.fromkeys(states))
        rows = [("trials", f"{len(states)}: {said}"), ("sampler", self.sweep.sampler.name)]
        if self.best is not None:
            rows += [
                ("best trial", str(self.best.slot + 1)),
                *((name, f"{value:.6g}") for name, value in self._find_values(self.best)),
                *((name, _show(value)) for name, value in self.best.labels.items()),
                ("folder", str(folder / self.best.place)),
            ]
        if len(self.sweep.goals) > 1:
            numbers = ", ".join(str(slot + 1) for slot in self.front)
            rows.append(("front", f"trials {numbers}"))
        rows += [
            (f"importance of {name}", f"{share:.1%}") for name, share in self.importance.items()
        ]
        pictures = [draw_history(self), draw_importance(self.importance), draw_goals(self)]
        table = tuple(self._list_rows())
        drawn = tuple(filter(None, pictures))
        title = f"sweep {self.sweep.name} of {self.sweep.of}"
        return Section(title, tuple(rows), {"search": self.encode()}, (), drawn, table)

    def _find_values(self, record: TrialRecord) -> list[tuple[str, float]]:
        names = [goal.name for goal in self.sweep.goals]
        return list(zip(names, record.values, strict=True))

    def _list_rows(self) -> list[tuple[str, ...]]:
        """The trials as a table, the best ones first where one goal decides."""
        parameters = list(dict.fromkeys(s.parameter for s in self.sweep.searched))
        names = [goal.name for goal in self.sweep.goals]
        deciding = self.sweep.deciding or self.sweep.goals[0]
        column = list(self.sweep.goals).index(deciding)
        sign = -1 if deciding.higher else 1

        def rank(record: TrialRecord) -> tuple[bool, float, int]:
            value = sign * record.values[column] if record.values else 0.0
            return not record.values, value, record.slot

        rows = [("trial", *names, *parameters, "state", "seconds")]
        for record in sorted(self.records, key=rank):
            values = [f"{value:.6g}" for value in record.values] or [""] * len(names)
            given = [_show(record.labels[p]) if p in record.labels else "" for p in parameters]
            state = record.reason or "; ".join(record.broken) or record.state
            rows.append((str(record.slot + 1), *values, *given, state, f"{record.seconds:.1f}"))
        return rows


def make_result(
    sweep: Sweep, study: str, records: Sequence[TrialRecord], importance: Mapping[str, float]
) -> SweepResult:
    """What trials come to. Of equal ones the first is the best."""
    counting = [record for record in records if record.counts]
    front = [r for r in counting if not any(_beats(o, r, sweep.goals) for o in counting)]
    best = None
    if sweep.deciding is not None and front:
        column = list(sweep.goals).index(sweep.deciding)
        sign = 1 if sweep.deciding.higher else -1
        best = max(front, key=lambda r: (sign * r.values[column], -r.slot))
    slots = tuple(record.slot for record in front)
    return SweepResult(sweep, study, tuple(records), best, slots, importance)


def _beats(one: TrialRecord, other: TrialRecord, goals: Sequence[Goal]) -> bool:
    """Whether a trial is at least as good as another in all goals, and better in one."""
    signs = [1 if goal.higher else -1 for goal in goals]
    pairs = [(s * a, s * b) for s, a, b in zip(signs, one.values, other.values, strict=True)]
    return all(a >= b for a, b in pairs) and any(a > b for a, b in pairs)


def read_result(path: Path, sweep: Sweep, study: str) -> SweepResult | None:
    """What a sweep has left in its folder; None where it is none of this study."""
    found = read_json(path)
    if not isinstance(found, dict) or found.get("study") != study:
        return None
    try:
        records = [_read_record(entry) for entry in found["trials"]]
        importance = {str(name): float(share) for name, share in found["importance"].items()}
    except (KeyError, TypeError, ValueError, AttributeError):
        return None
    return make_result(sweep, study, records, importance)


def _read_record(entry: Mapping[str, Any]) -> TrialRecord:
    return TrialRecord(
        int(entry["slot"]),
        str(entry["state"]),
        dict(entry["labels"]),
        tuple(float(value) for value in entry["values"]),
        dict(entry["figures"]),
        float(entry["seconds"]),
        str(entry["place"]),
        tuple(map(str, entry["broken"])),
        str(entry["reason"]),
    )


def describe_labels(labels: Mapping[str, Label]) -> str:
    """`lr=0.01, width=8`."""
    return ", ".join(f"{name}={_show(value)}" for name, value in labels.items())


def _show(value: Label) -> str:
    match value:
        case bool():
            return str(value).lower()
        case float():
            return f"{value:.4g}"
    return str(value)


def _say(goal: Goal) -> str:
    return "higher" if goal.higher else "lower"
