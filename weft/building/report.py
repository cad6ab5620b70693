"""The report of a build: what was made and measured, as a table, Markdown and JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from compiler.report.diagnostics import Message
from compiler.writing.markup import escape_markdown, write_code
from weft.building.charts import DrawnChart, write_matrix
from weft.building.outcomes import Outcome


@dataclass(frozen=True)
class Section:
    """One train or deployment: (what, figure) rows, and the same as data; what is drawn."""

    title: str
    rows: tuple[tuple[str, str], ...]
    metadata: Mapping[str, Any] = field(default_factory=dict)
    charts: tuple[DrawnChart, ...] = ()
    pictures: tuple[str, ...] = ()
    """Further pictures, as SVG."""
    table: tuple[tuple[str, ...], ...] = ()
    """Rows with more columns than two; the first names them."""


@dataclass(frozen=True)
class Report:
    """Everything a build has to say. `outcomes` are its variants, for the page with plots;
    `warnings` stand before everything else."""

    spec: str
    sections: tuple[Section, ...]
    outcomes: tuple[Outcome, ...] = ()
    warnings: tuple[Message, ...] = ()

    def markdown(self) -> str:
        """The report as a Markdown page."""
        lines = [f"# {escape_markdown(self.spec)}", ""]
        for warning in self.warnings:
            title, label = map(escape_markdown, (warning.text.title, warning.text.label))
            lines += [f"> **{title}**: {label}", ""]
        for section in self.sections:
            lines += [f"## {escape_markdown(section.title)}", "", "| | |", "|---|---|"]
            lines += [
                f"| {_write_subject(what)} | {escape_markdown(figure)} |"
                for what, figure in section.rows
            ]
            lines.append("")
            lines += [line for chart in section.charts for line in write_matrix(chart)]
            lines += _write_table(section.table)
            layers = section.metadata.get("layers")
            if layers:
                lines += [*_write_layers(layers), ""]
        return "\n".join(lines)

    def json(self) -> str:
        """The report as JSON: facts by section."""
        data = {
            "spec": self.spec,
            "warnings": [warning.text.title for warning in self.warnings],
            "sections": [_encode(s) for s in self.sections],
        }
        return json.dumps(without_nan(data), indent=2, ensure_ascii=False, allow_nan=False) + "\n"

    @property
    def failures(self) -> list[Message]:
        """What the contracts of the variants do not hold."""
        return [message for outcome in self.outcomes for message in outcome.failures]


def _write_subject(what: str) -> str:
    """The first cell of a row. A requirement is code, in which `<=` needs no escape; only the bar
    would end the cell."""
    word, _, condition = what.partition(" ")
    if word != "require":
        return escape_markdown(what)
    return f"require {write_code(condition)}".replace("|", "\\|")


def _write_table(table: Sequence[Sequence[str]]) -> Iterator[str]:
    """A table whose first row names its columns."""
    for index, row in enumerate(table):
        yield f"| {' | '.join(map(escape_markdown, row))} |"
        if index == 0:
            yield f"|{'---|' * len(row)}"
    if table:
        yield ""


COLUMNS = ("path", "kind", "shape", "parameters", "before", "bits", "rank", "sqnr")
"""What the table of layers says of each, besides its share of the latency."""


def _write_layers(layers: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """The layers of a variant as a table: parameters after and before, bits, rank, signal to
    noise in decibels, share of the latency."""
    yield "| layer | kind | shape | parameters | before | bits | rank | SQNR, dB | latency |"
    yield "|---|---|---|---:|---:|---:|---:|---:|---:|"
    shares = format_shares([layer["share"] for layer in layers])
    for layer, share in zip(layers, shares, strict=True):
        shown = [_show(name, layer[name]) for name in COLUMNS]
        yield f"| {' | '.join([*shown, share])} |"


def format_shares(shares: Sequence[float | None]) -> list[str]:
    """Shares in per cent with a decimal, which sum to 100.0 % as the shares sum to 1: those that
    rounding down takes most from are rounded up."""
    exact = [1000 * share if share is not None else 0.0 for share in shares]
    parts = [math.floor(one) for one in exact]
    order = sorted(range(len(exact)), key=lambda i: parts[i] - exact[i])
    for index in order[: round(sum(exact)) - sum(parts)]:
        parts[index] += 1
    pairs = zip(shares, parts, strict=True)
    return ["" if share is None else f"{part / 10:.1f}%" for share, part in pairs]


def _show(name: str, value: object) -> str:
    match name, value:
        case _, None:
            return ""
        case "before", 0:
            return ""
        case "sqnr", float(noise):
            return f"{noise:.1f}"
        case _, int(number):
            return f"{number:,}"
    return escape_markdown(str(value))


def _encode(section: Section) -> Mapping[str, Any]:
    return {"title": section.title, "rows": dict(section.rows), **section.metadata}


def without_nan(value: Any) -> Any:
    """The same data with null for NaN and infinite numbers, which JSON does not have."""
    match value:
        case Mapping():
            return {key: without_nan(item) for key, item in value.items()}
        case list() | tuple():
            return [without_nan(item) for item in value]
        case float() if not math.isfinite(value):
            return None
    return value


def format_metrics(metrics: Mapping[str, float], higher: Sequence[str] = ()) -> str:
    """`accuracy 0.9889, loss 0.0406`: the metrics in `higher` first."""
    names = [*(n for n in higher if n in metrics), *(n for n in metrics if n not in higher)]
    return ", ".join(f"{name} {metrics[name]:.4f}" for name in names)
