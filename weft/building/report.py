"""The report of a build: what was made and measured, as a table, Markdown and JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from compiler.files import write_text
from weft.building.outcomes import Outcome


@dataclass(frozen=True)
class Section:
    """One train or deployment: (what, figure) rows, and the same as data."""

    title: str
    rows: tuple[tuple[str, str], ...]
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Report:
    """Everything a build has to say. `outcomes` are its variants, for the page with plots."""

    spec: str
    sections: tuple[Section, ...]
    outcomes: tuple[Outcome, ...] = ()

    def markdown(self) -> str:
        """The report as a Markdown page."""
        lines = [f"# {self.spec}", ""]
        for section in self.sections:
            lines += [f"## {section.title}", "", "| | |", "|---|---|"]
            lines += [f"| {what} | {_escape(figure)} |" for what, figure in section.rows]
            lines.append("")
        return "\n".join(lines)

    def json(self) -> str:
        """The report as JSON: facts by section."""
        data = {"spec": self.spec, "sections": [_encode(s) for s in self.sections]}
        return json.dumps(data, indent=2, ensure_ascii=False) + "\n"

    def write(self, folder: Path) -> None:
        """Writes `report.md` and `report.json`."""
        write_text(folder / "report.md", self.markdown())
        write_text(folder / "report.json", self.json())


def _encode(section: Section) -> Mapping[str, Any]:
    return {"title": section.title, "rows": dict(section.rows), **section.facts}


def _escape(text: str) -> str:
    return text.replace("|", "\\|")


def format_bytes(size: int) -> str:
    """A size as people read it: 94,208 B is 92.0 KiB."""
    number = float(size)
    for unit in ("B", "KiB", "MiB"):
        if number < 1024:
            return f"{number:.0f} {unit}" if unit == "B" else f"{number:.1f} {unit}"
        number /= 1024
    return f"{number:.2f} GiB"


def format_metrics(metrics: Mapping[str, float], higher: Sequence[str] = ()) -> str:
    """`accuracy 0.9889, loss 0.0406`: the metrics in `higher` first."""
    names = [*(n for n in higher if n in metrics), *(n for n in metrics if n not in higher)]
    return ", ".join(f"{name} {metrics[name]:.4f}" for name in names)
