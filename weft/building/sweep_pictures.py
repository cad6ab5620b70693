"""Pictures of a sweep: the goal over the trials, what matters, goals against each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from compiler.program.sweep import Goal, Sweep
from compiler.writing.markup import escape_html
from weft.building.plotting import HEIGHT, LEFT, RIGHT, TOP, WIDTH, Scale, draw_axes, wrap_picture

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
    return wrap_picture("importance of parameters", parts)


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
    scale = Scale.over(points)
    parts = [*draw_axes(across, up, scale)]
    if len(line) > 1:
        places = "L".join(f"{x:.1f} {y:.1f}" for x, y in map(scale.place, line))
        parts.append(f'<path class="front" d="M{places}"/>')
    for point, name in zip(points, names, strict=True):
        x, y = scale.place(point)
        said = escape_html(f"{name}: {up} {point[1]:.6g}, {across} {point[0]:.6g}")
        title = f"<title>{said}</title>"
        parts.append(f'<circle class="variant" cx="{x:.1f}" cy="{y:.1f}" r="4">{title}</circle>')
    return wrap_picture(f"{up} over {across}", parts)
