"""The page of a search for a learning rate."""

from __future__ import annotations

from math import isfinite, log10
from pathlib import Path

from backends.pytorch.run.rates import FoundRate
from compiler.program.train import Train
from compiler.system.files import write_text
from weft.building.page import write_page
from weft.building.plotting import Scale, draw_axes, wrap_picture
from weft.building.report import Report, Section

PAGE = "report.html"


def write_rates(spec: str, train: Train, found: FoundRate, folder: Path) -> Path:
    """Writes the page and returns its path."""
    rows = [("steps", str(len(found.probes)))]
    if found.steepest is not None and found.tenth is not None:
        rows.append(("where the loss falls fastest", f"lr={found.steepest:.2g}"))
        rows.append(("a tenth of the rate of the lowest loss", f"lr={found.tenth:.2g}"))
    title = f"learning rates of {train.name}"
    pictures = tuple(filter(None, [draw_rates(found)]))
    section = Section(title, tuple(rows), pictures=pictures)
    path = folder / PAGE
    write_text(path, write_page(Report(spec, (section,))))
    return path


def draw_rates(found: FoundRate) -> str:
    """The smoothed loss over the logarithm of the rate; the suggested one is marked."""
    points = [(log10(p.rate), p.smooth) for p in found.probes if isfinite(p.smooth)]
    if len(points) < 2:
        return ""
    scale = Scale.over(points)
    line = "L".join(f"{x:.1f} {y:.1f}" for x, y in map(scale.place, points))
    parts = [*draw_axes("log10 of the learning rate", "smoothed loss", scale)]
    parts.append(f'<path class="curve" d="M{line}"/>')
    if found.steepest is not None:
        x, top = scale.place((log10(found.steepest), scale.up[1]))
        floor = scale.place((scale.across[0], scale.up[0]))[1]
        mark = f'<path class="axis" stroke-dasharray="3 4" d="M{x:.1f} {top:.1f}V{floor:.1f}">'
        parts.append(f"{mark}<title>lr={found.steepest:.2g}</title></path>")
    return wrap_picture("smoothed loss over the learning rate", parts)
