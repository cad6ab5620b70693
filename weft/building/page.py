"""The report as one page: contracts, the front as a plot, every layer; nothing from elsewhere."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from compiler.compression.context import LayerNote
from compiler.compression.contracts import Verdict
from compiler.compression.wording import describe_figures, describe_requirement
from compiler.writing.markup import escape_html
from weft.building.charts import draw_chart
from weft.building.describing import describe_judgement
from weft.building.front import draw_front
from weft.building.outcomes import LayerRow, Outcome
from weft.building.report import Report, Section, format_shares

STYLE = """
:root { color: #1c1f24; background: #fff; font: 16px/1.5 system-ui, sans-serif; }
body { max-width: 62rem; margin: 3rem auto; padding: 0 1.5rem; }
h1 { font-size: 1.7rem; margin: 0 0 .3rem; }
h2 { font-size: 1.2rem; margin: 2.6rem 0 .6rem; }
h3 { font-size: 1rem; margin: 1.6rem 0 .4rem; }
p.lead { color: #5a6270; margin: 0 0 1.5rem; }
table { border-collapse: collapse; width: 100%; font-size: .88rem;
        font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: .32rem .8rem .32rem 0; vertical-align: top;
         border-bottom: 1px solid #e7e9ed; }
th { font-weight: 600; color: #5a6270; border-bottom-color: #c9ced6; }
td.number, th.number { text-align: right; }
code { font: .86em ui-monospace, monospace; }
.pass { color: #14713d; font-weight: 600; }
.fail { color: #b3261e; font-weight: 600; }
.plots { display: flex; flex-wrap: wrap; gap: 1.5rem; }
.plots svg { flex: 1 1 24rem; max-width: 30rem; }
svg text { font: 11px system-ui, sans-serif; fill: #5a6270; }
svg .name { font-size: 12px; fill: #1c1f24; }
svg .label { fill: #1c1f24; }
svg .axis { stroke: #8b93a1; fill: none; }
svg .grid { stroke: #eceef1; fill: none; }
svg .front { stroke: #b9c6e4; stroke-width: 2; fill: none; }
svg .curve { stroke: #2f5fc4; stroke-width: 2; fill: none; }
svg .confused { fill: #b3261e; }
svg text.inside { fill: #fff; }
svg .base { fill: #8b93a1; }
svg .variant { fill: #2f5fc4; }
figure { margin: 0; }
figure img { min-width: 12rem; image-rendering: pixelated; }
figcaption { color: #5a6270; font-size: .82rem; }
.bar { display: inline-block; height: .6rem; background: #2f5fc4; vertical-align: middle; }
.notes { color: #5a6270; font-size: .82rem; }
"""


def write_page(report: Report) -> str:
    """The page of a report."""
    parts = [
        "<!DOCTYPE html>",
        '<html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width">',
        f"<title>{escape_html(report.spec)}</title><style>{STYLE}</style></head><body>",
        f"<h1>{escape_html(report.spec)}</h1>",
        *(
            f'<p class="fail"><strong>{escape_html(w.text.title)}</strong>: '
            f"{escape_html(w.text.label)}</p>"
            for w in report.warnings
        ),
        f'<p class="lead">{escape_html(_summarize(report.outcomes))}</p>',
    ]
    if report.outcomes:
        parts += ['<div class="plots">', draw_front(report.outcomes), "</div>"]
    for outcome in report.outcomes:
        parts += _describe_variant(outcome, report)
    for section in report.sections:
        if not section.title.startswith("variant "):
            parts += [f"<h2>{escape_html(section.title)}</h2>", *_write_rows(section)]
            pictures = [*map(draw_chart, section.charts), *section.pictures]
            if any(pictures):
                parts += ['<div class="plots">', *pictures, "</div>"]
            parts += _write_table(section.table)
    parts.append("</body></html>")
    return "\n".join(parts) + "\n"


def _summarize(outcomes: Sequence[Outcome]) -> str:
    judgements = [j for outcome in outcomes for j in outcome.judgements]
    if not outcomes:
        return "No variants."
    kept = sum(j.verdict is Verdict.PASS for j in judgements)
    what = "variant" if len(outcomes) == 1 else "variants"
    return f"{len(outcomes)} {what}; {kept} of {len(judgements)} requirements hold."


def _describe_variant(outcome: Outcome, report: Report) -> Iterator[str]:
    """Contract, figures and layers of one variant."""
    title = f"variant {outcome.variant.name} of {outcome.base}"
    yield f"<h2>{escape_html(title)}</h2>"
    if outcome.variant.doc:
        yield f"<p>{escape_html(outcome.variant.doc)}</p>"
    if outcome.judgements:
        yield "<h3>Contract</h3>"
        yield "<table><tr><th>require</th><th>verdict</th><th>measured</th></tr>"
        for judgement in outcome.judgements:
            verdict = judgement.verdict.value
            said = describe_judgement(judgement, outcome).partition(": ")[2]
            yield (
                f"<tr><td><code>{escape_html(describe_requirement(judgement.requirement))}</code></td>"
                f'<td class="{verdict}">{verdict}</td><td>{escape_html(said)}</td></tr>'
            )
        yield "</table>"
    yield "<h3>Figures</h3>"
    section = next(s for s in report.sections if s.title == title)
    yield from _write_rows(section)
    yield "<h3>Layers</h3>"
    yield from _write_layers(outcome.layers)
    known = {row.path for row in outcome.layers}
    others = [n for n in outcome.journal if n.path not in known and not n.trial]
    if others:
        yield "<h3>Other notes of the passes</h3>"
        yield from _write_notes(others)
    trials = [note for note in outcome.journal if note.trial]
    if trials:
        yield "<h3>Trials</h3>"
        yield from _write_notes(trials)


def _write_rows(section: Section) -> Iterator[str]:
    yield "<table>"
    for what, figure in section.rows:
        if not what.startswith("require "):
            yield f"<tr><td>{escape_html(what)}</td><td>{escape_html(figure)}</td></tr>"
    yield "</table>"


def _write_table(table: Sequence[Sequence[str]]) -> Iterator[str]:
    """A table whose first row names its columns."""
    if not table:
        return
    yield "<table>"
    for kind, row in zip(("th", *("td" for _ in table[1:])), table, strict=True):
        yield f"<tr>{''.join(f'<{kind}>{escape_html(cell)}</{kind}>' for cell in row)}</tr>"
    yield "</table>"


def _write_layers(rows: Sequence[LayerRow]) -> Iterator[str]:
    """One row a layer; the bar is its share of the latency."""
    numbers = "".join(
        f'<th class="number">{name}</th>'
        for name in ("parameters", "before", "bits", "rank", "SQNR, dB")
    )
    yield (
        "<table><tr><th>layer</th><th>shape</th>" + numbers + "<th>latency</th>"
        "<th>what was done</th></tr>"
    )
    shares = format_shares([row.share for row in rows])
    for row, share in zip(rows, shares, strict=True):
        figures = (
            f"{row.parameters:,}",
            f"{row.before:,}" if row.before else "",
            _show(row.bits),
            _show(row.rank),
            f"{row.sqnr:.1f}" if row.sqnr is not None else "",
        )
        cells = "".join(f'<td class="number">{figure}</td>' for figure in figures)
        notes = "<br>".join(escape_html(note) for note in row.notes)
        yield (
            f"<tr><td><code>{escape_html(row.path)}</code> {escape_html(row.kind)}</td>"
            f"<td>{escape_html(row.shape)}</td>{cells}<td>{_draw_share(row.share, share)}</td>"
            f'<td class="notes">{notes}</td></tr>'
        )
    yield "</table>"


def _write_notes(notes: Sequence[LayerNote]) -> Iterator[str]:
    """What passes say of the whole net, of trials, and of layers that are no more."""
    yield "<table><tr><th>pass</th><th>where</th><th>what</th><th>figures</th></tr>"
    for note in notes:
        text = note.done or "left as it is"
        text += f": {note.reason}" if note.reason else ""
        figures = describe_figures(note.figures)
        cells = (note.step, note.path or "the whole net", text, figures)
        yield f"<tr>{''.join(f'<td>{escape_html(cell)}</td>' for cell in cells)}</tr>"
    yield "</table>"


def _show(value: int | None) -> str:
    return str(value) if value is not None else ""


def _draw_share(share: float | None, shown: str) -> str:
    if share is None:
        return ""
    return f'<span class="bar" style="width:{share * 4:.2f}rem"></span> {shown}'
