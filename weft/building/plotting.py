"""Axes of the pictures of a report, and where numbers lie between them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from compiler.writing.markup import escape_html

WIDTH, HEIGHT = 430, 300
LEFT, RIGHT, TOP, BOTTOM = 76, 20, 26, 48


class Scale:
    """Where numbers lie in a picture."""

    def __init__(self, across: tuple[float, float], up: tuple[float, float]) -> None:
        self.across = across
        self.up = up

    @classmethod
    def over(cls, points: Sequence[tuple[float, float]]) -> Scale:
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


def draw_axes(across: str, up: str, scale: Scale) -> Iterator[str]:
    """Axes with what they show, and numbers at a grid."""
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


def wrap_picture(title: str, parts: Sequence[str]) -> str:
    """Parts of a picture as SVG."""
    body = "\n".join(parts)
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape_html(title)}">\n'
        f"{body}\n</svg>"
    )
