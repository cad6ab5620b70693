"""Pictures of a training: its figures over the epochs, and the samples of the last one."""

from __future__ import annotations

import base64
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from compiler.program.train import Train
from compiler.writing.markup import escape_html
from compiler.writing.names import spell_name
from weft.building.plotting import RIGHT, TOP, WIDTH, Scale, draw_axes, wrap_picture

Record = Mapping[str, float]
COLOURS = ("#2f5fc4", "#b3261e", "#14713d", "#8a5a00")
"""Of the splits of a figure, in the order in which an epoch has them."""
LARGEST_SAMPLE = 1 << 20
"""Bytes of a picture that a report takes in."""


def draw_curves(records: Sequence[Record], best: int) -> list[str]:
    """A picture for each figure of a training over its epochs, splits beside each other, and one
    for the learning rates; none of a single epoch. `best` is the epoch whose weights are kept."""
    if len(records) < 2:
        return []
    groups: dict[str, list[str]] = {}
    for name in records[0]:
        if name not in ("epoch", "seconds"):
            groups.setdefault(_name_figure(name), []).append(name)
    drawn = (_draw_figure(figure, names, records, best) for figure, names in groups.items())
    return [picture for picture in drawn if picture]


def _name_figure(name: str) -> str:
    """`loss` of `val.loss`, `learning rate` of `lr` and `lr.1`."""
    split, _, figure = name.partition(".")
    return "learning rate" if split == "lr" else figure


def _draw_figure(figure: str, names: Sequence[str], records: Sequence[Record], best: int) -> str:
    """One figure; of epochs where it was not finite there is no point."""
    lines = {
        name: [
            (record["epoch"], record[name])
            for record in records
            if name in record and math.isfinite(record[name])
        ]
        for name in names
    }
    points = [point for line in lines.values() for point in line]
    if not points:
        return ""
    scale = Scale.over(points)
    parts = [*draw_axes("epoch", figure, scale), *_mark_best(best, points, scale)]
    for place, (name, line) in enumerate(lines.items()):
        colour = COLOURS[place % len(COLOURS)]
        spots = "L".join(f"{x:.1f} {y:.1f}" for x, y in map(scale.place, line))
        if len(line) > 1:
            parts.append(f'<path class="curve" style="stroke: {colour}" d="M{spots}"/>')
        x, y = WIDTH - RIGHT, TOP + 14 * (place + 1)
        label = f'<text style="fill: {colour}" x="{x}" y="{y}" text-anchor="end">'
        parts.append(f"{label}{escape_html(name)}</text>")
    return wrap_picture(f"{figure} over epochs", parts)


def _mark_best(best: int, points: Sequence[tuple[float, float]], scale: Scale) -> Iterator[str]:
    if any(epoch == best for epoch, _ in points):
        x, _ = scale.place((best, points[0][1]))
        said = escape_html(f"the weights of epoch {best} are kept")
        top, floor = scale.place((best, scale.up[1]))[1], scale.place((best, scale.up[0]))[1]
        line = f'<path class="axis" stroke-dasharray="3 4" d="M{x:.1f} {top:.1f}V{floor:.1f}">'
        yield f"{line}<title>{said}</title></path>"


def embed_samples(train: Train, folder: Path) -> list[str]:
    """The last picture of each sample of a training, in a figure that stands alone."""
    found = (_embed(sample.name, folder / "samples") for sample in train.samples)
    return [figure for figure in found if figure]


def _embed(sample: str, folder: Path) -> str:
    name = spell_name(sample)
    pictures = {
        int(number): path
        for path in folder.glob("*.png")
        if (number := path.stem.removeprefix(f"{name}-")).isdecimal() and not path.is_symlink()
    }
    if not pictures:
        return ""
    epoch = max(pictures)
    try:
        content = pictures[epoch].read_bytes()
    except OSError:
        return ""
    if len(content) > LARGEST_SAMPLE:
        return ""
    shown = escape_html(f"{sample}, epoch {epoch}")
    data = base64.b64encode(content).decode("ascii")
    return (
        f'<figure><img src="data:image/png;base64,{data}" alt="{shown}">'
        f"<figcaption>{shown}</figcaption></figure>"
    )
