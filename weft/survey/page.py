"""Surveys as one page: tables, histograms, samples; nothing from elsewhere."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator, Mapping, Sequence

from PIL import Image

from compiler.data.summary import ColumnSummary
from compiler.writing.markup import escape_html
from weft.building.page import STYLE
from weft.survey.samples import Sheet
from weft.survey.survey import Histogram, Survey, Target
from weft.survey.text import describe_copies, list_classes

WIDTH, HEIGHT = 220, 48
"""Of the picture of a column."""
MOST_COLUMNS = 500
"""Columns that the page shows."""


def write_survey(
    spec: str,
    surveys: Sequence[Survey],
    sheets: Mapping[str, Sequence[Sheet]],
    warnings: Sequence[str],
) -> str:
    """The page of some surveys. `sheets` are samples, by data item, `warnings` what was found that
    should be seen first."""
    parts = [
        "<!DOCTYPE html>",
        '<html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width">',
        f"<title>{escape_html(f'data of {spec}')}</title><style>{STYLE}</style></head><body>",
        f"<h1>{escape_html(f'Data of {spec}')}</h1>",
        *(f'<p class="fail">{escape_html(text)}</p>' for text in warnings),
    ]
    for survey in surveys:
        parts += _write_one(survey, sheets.get(survey.name, ()))
    return "\n".join([*parts, "</body></html>"]) + "\n"


def _write_one(survey: Survey, sheets: Sequence[Sheet]) -> Iterator[str]:
    yield f"<h2>{escape_html(survey.name)}</h2>"
    yield f'<p class="lead">{escape_html(survey.rows.describe())}</p>'
    yield from (f"<p>{escape_html(line)}</p>" for line in describe_copies(survey))
    for target in survey.targets:
        yield from _write_target(target, survey)
    for sheet in sheets:
        what = "training rows, then as augmented" if sheet.augmented else "training rows"
        yield f"<h3>{escape_html(f'{sheet.column}: {what}')}</h3>"
        yield _embed(sheet)
    yield "<h3>Columns</h3>"
    heads = ("column", "kind", "type", "range", "missing", "examples", "rows")
    yield f"<table><tr>{''.join(f'<th>{head}</th>' for head in heads)}</tr>"
    for column in survey.columns[:MOST_COLUMNS]:
        yield _write_column(column, survey.histograms.get(column.name))
    yield "</table>"
    if len(survey.columns) > MOST_COLUMNS:
        yield f"<p>and {len(survey.columns) - MOST_COLUMNS:,} more columns</p>"


def _write_target(target: Target, survey: Survey) -> Iterator[str]:
    yield f"<h3>{escape_html(f'target {target.column}')}</h3>"
    if target.classes:
        head, *rows = list_classes(target.classes, target.counts)
        yield f"<table><tr>{''.join(f'<th>{escape_html(cell)}</th>' for cell in head)}</tr>"
        for row in rows:
            yield f"<tr>{''.join(f'<td>{escape_html(cell)}</td>' for cell in row)}</tr>"
        yield "</table>"
    if target.associations:
        yield f"<p>What goes together with it, in {survey.looked_at:,} rows:</p><table>"
        for found in target.associations[:MOST_COLUMNS]:
            bar = f'<span class="bar" style="width:{10 * abs(found.value):.2f}rem"></span>'
            mark = (
                ' <span class="fail">is the target</span>' if found.column in target.leaks else ""
            )
            yield (
                f"<tr><td>{escape_html(found.column)}{mark}</td><td>{found.value:.3f}</td>"
                f"<td>{bar}</td><td>{escape_html(found.measure)}</td></tr>"
            )
        yield "</table>"


def _write_column(column: ColumnSummary, histogram: Histogram | None) -> str:
    examples = ", ".join(" ".join(text.split())[:30] for text in column.examples)
    cells = (
        column.name,
        column.kind,
        column.type,
        column.range,
        f"{column.missing:,}" if column.missing else "",
        examples,
    )
    shown = "".join(f"<td>{escape_html(cell)}</td>" for cell in cells)
    return f"<tr>{shown}<td>{_draw(column.name, histogram) if histogram else ''}</td></tr>"


def _draw(name: str, histogram: Histogram) -> str:
    """Bars of a histogram, each with what it counts as its title."""
    most = max(histogram.counts, default=0) or 1
    wide = WIDTH / max(1, len(histogram.counts))
    bars = []
    for number, count in enumerate(histogram.counts):
        high = HEIGHT * count / most
        said = _name_bar(histogram, number)
        bars.append(
            f'<rect class="variant" x="{number * wide:.1f}" y="{HEIGHT - high:.1f}" '
            f'width="{max(0.5, wide - 1):.1f}" height="{high:.1f}">'
            f"<title>{escape_html(f'{said}: {count:,}')}</title></rect>"
        )
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" role="img" '
        f'aria-label="{escape_html(f"histogram of {name}")}">{"".join(bars)}</svg>'
    )


def _name_bar(histogram: Histogram, number: int) -> str:
    if histogram.words:
        return histogram.words[number]
    return f"{histogram.edges[number]:.6g} to {histogram.edges[number + 1]:.6g}"


def _embed(sheet: Sheet) -> str:
    held = io.BytesIO()
    Image.fromarray(sheet.picture).save(held, "PNG")
    data = base64.b64encode(held.getvalue()).decode("ascii")
    title = escape_html(f"samples of {sheet.column}")
    return f'<figure><img src="data:image/png;base64,{data}" alt="{title}"></figure>'
