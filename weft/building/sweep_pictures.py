"""Pictures of a sweep: the goal over the trials, what matters, goals against each other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

from compiler.program.sweep import Goal, Sweep
from compiler.writing.markup import escape_html

WIDTH, HEIGHT = 430, 300
LEFT, RIGHT, TOP, BOTTOM = 76, 20, 26, 48
MOST_BARS = 12
"""Parameters whose importance is drawn; those behind matter least."""


class Point(Protocol):
    """A trial that is over."""

    @property
    def slot(self) -> int:
        """Its number, from 0."""

    @property
    def values(self) -> tuple[float, ...]:
        """Of the goals; none where it has no result."""


class Trials(Protocol):
    """The trials of a sweep."""

    @property
    def sweep(self) -> Sweep:
        """The sweep."""

    @property
    def records(self) -> Sequence[Point]:
        """All that are over."""

    @property
    def front(self) -> Sequence[int]:
        """The slots of those that none other is better than in all goals."""


def draw_history(trials: Trials) -> str:
    """The goal of every trial, and the best so far as a line; empty for several goals."""
    goals = trials.sweep.goals
    points = [(r.slot + 1.0, r.values[0]) for r in trials.records if r.values]
    if len(goals) != 1 or len(points) < 2:
        return ""
    choose = max if goals[0].higher else min
    line: list[tuple[float, float]] = []
    for slot, value in points:
        best = choose(value, line[-1][1]) if line else value
        line.append((slot, best))
    return _draw("trial", goals[0].name, points, line, [f"trial {int(p[0])}" for p in points])


def draw_goals(trials: Trials) -> str:
    """The first two goals against each other, with the front; empty for one goal."""
    goals = trials.sweep.goals
    known = [r for r in trials.records if r.values]
    if len(goals) < 2 or len(known) < 2:
        return ""
    points = [(r.values[1], r.values[0]) for r in known]
    front = sorted((r.values[1], r.values[0]) for r in known if r.slot in trials.front)
    line = front if len(goals) == 2 else []
    names = [f"trial {r.slot + 1}" for r in known]
    return _draw(_label(goals[1]), _label(goals[0]), points, line, names)


def draw_importance(importance: Mapping[str, float]) -> str:
    """A bar for each parameter: its share in the variance of the goal."""
    shown = sorted(importance.items(), key=lambda item: -item[1])[:MOST_BARS]
    if not shown:
        return ""
    step = (HEIGHT - TOP - 16) / len(shown)
    width = WIDTH - 2 * LEFT - RIGHT
    parts = [f'<text class="name" x="{LEFT}" y="16">importance of parameters</text>']
    for place, (name, share) in enumerate(shown):
        y, length = TOP + place * step, max(1.0, share * width)
        text = escape_html(name if len(name) <= 18 else f"{name[:17]}…")
        middle = y + step / 2 + 4
        parts += [
            f'<text x="{2 * LEFT - 6}" y="{middle:.1f}" text-anchor="end">{text}</text>',
            f'<rect class="variant" x="{2 * LEFT}" y="{y + step * 0.2:.1f}" '
            f'width="{length * 0.85:.1f}" height="{step * 0.6:.1f}"/>',
            f'<text x="{2 * LEFT + length * 0.85 + 6:.1f}" y="{middle:.1f}">{share:.0%}</text>',
        ]
    return _wrap("importance of parameters", parts)


def _label(goal: Goal) -> str:
    return goal.name if goal.higher else f"{goal.name}, lower is better"


def _draw(
    across: str,
    up: str,
    points: Sequence[tuple[float, float]],
    line: Sequence[tuple[float, float]],
    names: Sequence[str],
) -> str:
    """Points with a line among them."""
    scale = _Scale.over(points)
    parts = [*_draw_axes(across, up, scale)]
    if len(line) > 1:
        places = "L".join(f"{x:.1f} {y:.1f}" for x, y in map(scale.place, line))
        parts.append(f'<path class="front" d="M{places}"/>')
    for point, name in zip(points, names, strict=True):
        x, y = scale.place(point)
        said = escape_html(f"{name}: {up} {point[1]:.6g}, {across} {point[0]:.6g}")
        title = f"<title>{said}</title>"
        parts.append(f'<circle class="variant" cx="{x:.1f}" cy="{y:.1f}" r="4">{title}</circle>')
    return _wrap(f"{up} over {across}", parts)


class _Scale:
    """Where numbers lie in a picture."""

    def __init__(self, across: tuple[float, float], up: tuple[float, float]) -> None:
        self.across = across
        self.up = up

    @classmethod
    def over(cls, points: Sequence[tuple[float, float]]) -> _Scale:
        """A scale that has room for all points."""
        ends = []
        for axis in (0, 1):
            found = [point[axis] for point in points]
            pad = 0.06 * (max(found) - min(found)) or abs(max(found)) * 0.05 or 1.0
            ends.append((min(found) - pad, max(found) + pad))
        return cls(ends[0], ends[1])

    def place(self, point: tuple[float, float]) -> tuple[float, float]:
        """A point in the picture."""
        share = (point[0] - self.across[0]) / (self.across[1] - self.across[0])
        height = (point[1] - self.up[0]) / (self.up[1] - self.up[0])
        return LEFT + share * (WIDTH - LEFT - RIGHT), HEIGHT - BOTTOM - height * (
            HEIGHT - TOP - BOTTOM
        )


def _draw_axes(across: str, up: str, scale: _Scale) -> Iterator[str]:
    floor = HEIGHT - BOTTOM
    yield f'<path class="axis" d="M{LEFT} {TOP}V{floor}H{WIDTH - RIGHT}"/>'
    yield f'<text class="name" x="{LEFT}" y="{TOP - 10}">{escape_html(up)}</text>'
    middle = (LEFT + WIDTH - RIGHT) / 2
    yield (
        f'<text class="name" x="{middle:.0f}" y="{HEIGHT - 8}" text-anchor="middle">'
        f"{escape_html(across)}</text>"
    )
    for step in range(4):
        share = (step + 0.5) / 4
        value = scale.up[0] + share * (scale.up[1] - scale.up[0])
        _, y = scale.place((scale.across[0], value))
        yield f'<path class="grid" d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}"/>'
        yield f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{value:.4g}</text>'
        number = scale.across[0] + share * (scale.across[1] - scale.across[0])
        x, _ = scale.place((number, scale.up[0]))
        yield f'<text x="{x:.1f}" y="{floor + 16}" text-anchor="middle">{number:.4g}</text>'


def _wrap(title: str, parts: Sequence[str]) -> str:
    body = "\n".join(parts)
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape_html(title)}">\n'
        f"{body}\n</svg>"
    )
