"""Figures that are no numbers as pictures and tables: matrices of classes, curves."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from backends.pytorch.run.running import Table
from compiler.program.train import MetricUse, Train
from compiler.rows.class_words import find_target_words
from compiler.training.base import Chart
from compiler.writing.markup import escape_html, escape_markdown

SIDE = 300
LEFT, RIGHT, TOP, BOTTOM = 70, 20, 28, 60

WRITTEN = 20
"""Classes up to which a matrix says its numbers; in more only the shades can be told apart."""
DRAWN = 100
"""Classes up to which a matrix is drawn."""
LONGEST = 10
"""Characters of a class at an axis."""
CONFUSED = 5
"""How many of the classes that are most often taken for another are named."""


@dataclass(frozen=True)
class DrawnChart:
    """A matrix or curve of a split. `words` are the classes of a matrix;
    there is no `table` where the scores were not numbers."""

    name: str
    split: str
    chart: Chart
    table: Table
    words: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """`test.confusion`."""
        return f"{self.split}.{self.name}"

    def encode(self) -> Mapping[str, Any]:
        """The same as data."""
        axes = {"across": self.chart.across, "up": self.chart.up}
        words = {"classes": list(self.words)} if self.words else {}
        return {"kind": self.chart.kind, **axes, **words, "table": self.table}

    def find_confused(self) -> list[tuple[str, str, float]]:
        """Of a matrix, what is most often taken for another: label, what is said, how often."""
        if self.chart.kind != "matrix" or not self.table:
            return []
        found = [
            (self.words[row], self.words[column], count)
            for row, counts in enumerate(self.table)
            for column, count in enumerate(counts)
            if row != column and count > 0
        ]
        return sorted(found, key=lambda item: -item[2])[:CONFUSED]

    def describe(self) -> str:
        """A line about it: what a reader looks for in the picture."""
        if not self.table:
            return "not a number: scores were NaN or infinite, or there is one class only"
        confused = [f"{label} as {said} ({count:g})" for label, said, count in self.find_confused()]
        if confused:
            return f"most often taken for another: {', '.join(confused)}"
        if self.chart.kind == "matrix":
            return "nothing is taken for another"
        return f"{self.chart.up} over {self.chart.across}, {len(self.table[0])} points"


def find_charts(train: Train, measured: Mapping[str, Mapping[str, Table]]) -> list[DrawnChart]:
    """What is no number of what was measured of a train on each split."""
    return [
        DrawnChart(use.name, split, use.metric.chart, tables[use.name], _find_words(train, use))
        for use in train.metrics
        for split, tables in measured.items()
        if use.metric.chart is not None and use.name in tables
    ]


def _find_words(train: Train, use: MetricUse) -> tuple[str, ...]:
    """The classes of a metric: the words of its labels, else their numbers."""
    outputs = {output.name: output.value for output in train.graph.outputs}
    scores, labels = (outputs[name] for name in use.reads[:2])
    found = find_target_words(train, labels)
    binary = scores.type.rank == labels.type.rank
    axis = getattr(use.metric, "axis", None)
    size = 2 if binary else scores.type.shape[-1 if axis is None else axis].known or 0
    words = found.words if found is not None else ()
    return tuple(words[i] if i < len(words) else str(i) for i in range(size))


# --- Markdown -----------------------------------------------------------------------------------


def write_matrix(chart: DrawnChart) -> Iterator[str]:
    """A matrix of few classes as a table of Markdown; of anything else there are no lines."""
    if chart.chart.kind != "matrix" or not chart.table or len(chart.table) > WRITTEN:
        return
    corner = escape_markdown(f"{chart.title}: {chart.chart.up} / {chart.chart.across}")
    yield f"| {' | '.join([corner, *map(escape_markdown, chart.words)])} |"
    yield f"|---|{'---:|' * len(chart.words)}"
    for word, counts in zip(chart.words, chart.table, strict=True):
        yield f"| {' | '.join([escape_markdown(word), *(f'{count:g}' for count in counts)])} |"
    yield ""


# --- pictures -----------------------------------------------------------------------------------


def draw_chart(chart: DrawnChart) -> str:
    """It as SVG; empty where there is nothing to draw, or too much."""
    if not chart.table or (chart.chart.kind == "matrix" and len(chart.table) > DRAWN):
        return ""
    parts = _draw_matrix(chart, chart.table)
    if chart.chart.kind == "curve":
        parts = _draw_curve(chart, chart.table)
    width, height = LEFT + SIDE + RIGHT, TOP + SIDE + BOTTOM
    title = escape_html(f"{chart.title}: {chart.chart.up} over {chart.chart.across}")
    middle = LEFT + SIDE / 2
    body = "\n".join([*parts, *_draw_titles(chart, middle, height)])
    return f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{title}">\n{body}\n</svg>'


def _draw_titles(chart: DrawnChart, middle: float, height: int) -> Iterator[str]:
    yield f'<text class="name" x="{LEFT}" y="16">{escape_html(chart.title)}</text>'
    across, up = escape_html(chart.chart.across), escape_html(chart.chart.up)
    yield f'<text x="{middle:.0f}" y="{height - 8}" text-anchor="middle">{across}</text>'
    place = f"{-(TOP + SIDE / 2):.0f}"
    yield f'<text transform="rotate(-90)" x="{place}" y="12" text-anchor="middle">{up}</text>'


def _draw_matrix(chart: DrawnChart, table: Table) -> Iterator[str]:
    """A cell for each pair of classes, the darker the larger its share of the label's row."""
    count = len(table)
    step = SIDE / count
    for row, counts in enumerate(table):
        total = sum(counts)
        for column, value in enumerate(counts):
            share = value / total if total else 0.0
            x, y = LEFT + column * step, TOP + row * step
            kind = "variant" if row == column else "confused"
            said = escape_html(f"{chart.words[row]} as {chart.words[column]}: {value:g}")
            yield (
                f'<rect class="{kind}" x="{x:.1f}" y="{y:.1f}" width="{step:.2f}" '
                f'height="{step:.2f}" fill-opacity="{share:.3f}"><title>{said}</title></rect>'
            )
            if count <= WRITTEN and value:
                shade = ' class="inside"' if share > 0.6 else ""
                yield (
                    f'<text{shade} x="{x + step / 2:.1f}" y="{y + step / 2 + 4:.1f}" '
                    f'text-anchor="middle">{value:g}</text>'
                )
    yield f'<rect class="axis" x="{LEFT}" y="{TOP}" width="{SIDE}" height="{SIDE}"/>'
    if count <= WRITTEN:
        yield from _draw_words(chart.words, step)


def _draw_words(words: Sequence[str], step: float) -> Iterator[str]:
    turned = step < 7 * max(map(len, map(_shorten, words)))
    for place, word in enumerate(map(_shorten, words)):
        middle, floor = (place + 0.5) * step, TOP + SIDE
        text = escape_html(word)
        yield f'<text x="{LEFT - 5}" y="{TOP + middle + 4:.1f}" text-anchor="end">{text}</text>'
        x, y = LEFT + middle, floor + 14
        if turned:
            turn = f'transform="rotate(-35 {x:.1f} {y})" text-anchor="end"'
            yield f'<text {turn} x="{x:.1f}" y="{y}">{text}</text>'
        else:
            yield f'<text x="{x:.1f}" y="{y}" text-anchor="middle">{text}</text>'


def _shorten(word: str) -> str:
    return word if len(word) <= LONGEST else f"{word[: LONGEST - 1]}…"


def _draw_curve(chart: DrawnChart, table: Table) -> Iterator[str]:
    """A line through points whose places are shares from 0 to 1."""
    for tick in range(5):
        share = tick / 4
        x, y = _place(share, share)
        yield f'<path class="grid" d="M{LEFT} {y:.1f}H{LEFT + SIDE}M{x:.1f} {TOP}V{TOP + SIDE}"/>'
        yield f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{share:g}</text>'
        yield f'<text x="{x:.1f}" y="{TOP + SIDE + 16}" text-anchor="middle">{share:g}</text>'
    if chart.chart.diagonal:
        said = escape_html(chart.chart.diagonal)
        yield (
            f'<path class="front" stroke-dasharray="4 4" d="M{LEFT} {TOP + SIDE}L{LEFT + SIDE} '
            f'{TOP}"><title>{said}</title></path>'
        )
    yield f'<path class="axis" d="M{LEFT} {TOP}V{TOP + SIDE}H{LEFT + SIDE}"/>'
    places = [_place(across, up) for across, up in zip(*table, strict=True)]
    path = "L".join(f"{x:.1f} {y:.1f}" for x, y in places)
    yield f'<path class="curve" d="M{path}"/>'
    if len(places) <= WRITTEN:
        yield from (f'<circle class="variant" cx="{x:.1f}" cy="{y:.1f}" r="3"/>' for x, y in places)


def _place(across: float, up: float) -> tuple[float, float]:
    return LEFT + across * SIDE, TOP + (1 - up) * SIDE
