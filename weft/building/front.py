"""The front of accuracy, size and latency as a drawing: every net of a build as a point."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from compiler.compression.wording import format_seconds
from compiler.types.units import format_size
from compiler.vocabulary.signature import Direction
from compiler.writing.markup import escape_html
from weft.building.outcomes import Figures, Outcome

WIDTH, HEIGHT = 430, 300
LEFT, RIGHT, TOP, BOTTOM = 62, 20, 26, 48


@dataclass(frozen=True)
class Point:
    """One net: its quality, bytes, and seconds."""

    name: str
    quality: float
    size: float
    seconds: float
    base: bool


@dataclass(frozen=True)
class Quality:
    """What quality is: a metric of a split, or, where there is none, how little outputs differ."""

    split: str = ""
    metric: str = ""
    better: Direction = "higher"

    @property
    def label(self) -> str:
        """As it stands at the axis."""
        name = f"{self.split}.{self.metric}" if self.metric else "1 - output error"
        return name if self.better == "higher" else f"{name}, lower is better"

    def measure(self, figures: Figures) -> float:
        """The quality of one net."""
        if not self.metric:
            return 1 - figures.plain["error"].value
        return figures.splits[self.split][self.metric].value


def find_points(outcomes: Sequence[Outcome]) -> tuple[Quality, list[Point]]:
    """What quality is, and a point for every net before and after its passes."""
    quality = find_quality(outcomes)
    points: dict[str, Point] = {}
    for outcome in outcomes:
        for name in (outcome.base, outcome.variant.name):
            figures = outcome.figures[name]
            points.setdefault(
                name,
                Point(
                    name,
                    quality.measure(figures),
                    figures.plain["size"].value,
                    figures.plain["latency"].value,
                    name == outcome.base,
                ),
            )
    return quality, list(points.values())


def find_quality(outcomes: Sequence[Outcome]) -> Quality:
    """The first metric of the last split which all have, and of which all know the same figure to
    be the better one."""
    for outcome in outcomes:
        for split, metrics in reversed(list(outcome.own.splits.items())):
            for name, better in outcome.directions.items():
                shared = all(name in o.own.splits.get(split, {}) for o in outcomes)
                agreed = all(o.directions.get(name) == better for o in outcomes)
                if name in metrics and shared and agreed:
                    return Quality(split, name, better)
    return Quality()


def draw_front(outcomes: Sequence[Outcome]) -> str:
    """Two panels side by side: quality over size, and over latency, both on log scales."""
    if not outcomes:
        return ""
    quality, points = find_points(outcomes)
    panels = [
        _Panel(quality, "size of the file", points, [p.size for p in points], format_size),
        _Panel(quality, "latency of one call", points, [p.seconds for p in points], format_seconds),
    ]
    return "\n".join(panel.draw() for panel in panels)


@dataclass(frozen=True)
class _Panel:
    """One panel: `costs` are where the points stand along the horizontal axis."""

    quality: Quality
    title: str
    points: Sequence[Point]
    costs: Sequence[float]
    show: Callable[[float], str]

    def draw(self) -> str:
        """The panel as SVG."""
        body = "\n".join([*self._axes(), *self._front(), *self._marks()])
        title = escape_html(f"{self.quality.label} over {self.title}")
        return (
            f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{title}">\n{body}\n</svg>'
        )

    @property
    def _horizontal(self) -> tuple[float, float]:
        low, high = math.log10(min(self.costs)), math.log10(max(self.costs))
        pad = max(0.08 * (high - low), 0.08)
        return low - pad, high + 2.5 * pad

    @property
    def _vertical(self) -> tuple[float, float]:
        found = [p.quality for p in self.points]
        pad = max(0.15 * (max(found) - min(found)), 5e-3)
        return min(found) - pad, max(found) + pad

    def _x(self, cost: float) -> float:
        low, high = self._horizontal
        share = (math.log10(cost) - low) / (high - low)
        return LEFT + share * (WIDTH - LEFT - RIGHT)

    def _y(self, quality: float) -> float:
        low, high = self._vertical
        return HEIGHT - BOTTOM - (quality - low) / (high - low) * (HEIGHT - TOP - BOTTOM)

    def _axes(self) -> Iterator[str]:
        floor = HEIGHT - BOTTOM
        yield f'<path class="axis" d="M{LEFT} {TOP}V{floor}H{WIDTH - RIGHT}"/>'
        label = escape_html(self.quality.label)
        yield f'<text class="name" x="{LEFT}" y="{TOP - 10}">{label}</text>'
        middle = (LEFT + WIDTH - RIGHT) / 2
        yield (
            f'<text class="name" x="{middle:.0f}" y="{HEIGHT - 8}" text-anchor="middle">'
            f"{escape_html(self.title)}, log scale</text>"
        )
        low, high = self._vertical
        for step in range(4):
            quality = low + (high - low) * (step + 0.5) / 4
            y = self._y(quality)
            yield f'<path class="grid" d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}"/>'
            yield f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{quality:.4f}</text>'
        for cost in self._choose_ticks():
            yield (
                f'<text x="{self._x(cost):.1f}" y="{floor + 16}" text-anchor="middle">'
                f"{escape_html(self.show(cost))}</text>"
            )

    def _choose_ticks(self) -> list[float]:
        """The costs of the points that leave room between their labels."""
        chosen: list[float] = []
        for cost in sorted(self.costs):
            if not chosen or self._x(cost) - self._x(chosen[-1]) > 62:
                chosen.append(cost)
        return chosen

    def _front(self) -> Iterator[str]:
        """The line of the points that no other is better than in both ways."""
        sign = 1 if self.quality.better == "higher" else -1
        order = sorted(
            zip(self.costs, self.points, strict=True),
            key=lambda item: (item[0], -sign * item[1].quality),
        )
        kept: list[tuple[float, float]] = []
        best = -math.inf
        for cost, point in order:
            if sign * point.quality > best:
                best = sign * point.quality
                kept.append((self._x(cost), self._y(point.quality)))
        if len(kept) > 1:
            path = "L".join(f"{x:.1f} {y:.1f}" for x, y in kept)
            yield f'<path class="front" d="M{path}"/>'

    def _marks(self) -> Iterator[str]:
        for cost, point in zip(self.costs, self.points, strict=True):
            x, y = self._x(cost), self._y(point.quality)
            kind = "base" if point.base else "variant"
            yield f'<circle class="{kind}" cx="{x:.1f}" cy="{y:.1f}" r="5"/>'
            name = escape_html(point.name)
            yield f'<text class="label" x="{x + 9:.1f}" y="{y - 7:.1f}">{name}</text>'
