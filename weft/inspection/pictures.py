"""Arrays as pictures: images, marks over them, filters, attention, points of rows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from compiler.system.files import replacing
from compiler.writing.python import show

Array = NDArray[Any]
Picture = NDArray[np.uint8]
"""`u8[height, width, 3]`."""

SIDE = 224
"""Pixels of the longer side of a small image, at least."""
HEAT = ((0, 0, 4), (87, 16, 110), (188, 55, 84), (249, 142, 9), (252, 255, 164))
"""From nothing to most: dark to light, so that it can be read without colours too."""
SIGNED = ((33, 102, 172), (247, 247, 247), (178, 24, 43))
"""From against to for."""
PALETTE = tuple(
    bytes.fromhex(
        "1f77b4ff7f0e2ca02cd627289467bd8c564be377c27f7f7fbcbd2217becf"
        "aec7e8ffbb7898df8aff9896c5b0d5c49c94f7b6d2c7c7c7dbdb8d9edae5"
    )[place : place + 3]
    for place in range(0, 60, 3)
)
"""Colours of classes; the 21st has that of the first."""
WIDTH, HEIGHT, MARGIN, LEGEND = 560, 480, 36, 150
NAMED = 20
"""Classes that a picture of points names."""
LONGEST = 16
"""Characters of a class in it."""


def write_png(path: Path, picture: Picture) -> None:
    """Writes a picture whole or not at all.

    Raises:
        OSError: the folder cannot be written.
    """
    with replacing(path) as part:
        Image.fromarray(picture).save(part, "PNG")


def draw_image(array: Array) -> Picture:
    """An image `[height, width]` or `[channels, height, width]`, from its least number (black) to
    its largest: three channels in colour, others as their mean. A vector is a strip."""
    found = np.asarray(array, np.float64)
    found = found[None] if found.ndim == 1 else found
    if found.ndim == 3 and len(found) != 3:
        found = found.mean(0)
    if found.ndim == 3:
        found = found.transpose(1, 2, 0)
    low, high = (float(f(found)) for f in (np.min, np.max))
    shades = ((found - low) / ((high - low) or 1.0) * 255).round().astype(np.uint8)
    return enlarge(shades if shades.ndim == 3 else np.repeat(shades[..., None], 3, 2))


def enlarge(picture: Picture, side: int = SIDE) -> Picture:
    """A small picture with every pixel as a square, so that its longer side has at least `side`
    pixels; a strip is as high as an eighth of that."""
    times = max(1, -(-side // max(picture.shape[:2])))
    high = times if picture.shape[0] > 1 else max(times, side // 8)
    return picture.repeat(high, 0).repeat(times, 1)


def resize(marks: Array, height: int, width: int) -> Array:
    """Marks `[h, w]` at another size, by bilinear interpolation."""
    image = Image.fromarray(np.asarray(marks, np.float32))
    return np.asarray(image.resize((width, height), Image.Resampling.BILINEAR))


def colour_heat(marks: Array) -> Picture:
    """Marks from 0 on, `[h, w]`: the largest is lightest."""
    most = float(np.max(marks))
    return _colour(np.asarray(marks) / (most if most > 0 else 1.0), HEAT)


def colour_signed(marks: Array) -> Picture:
    """Marks `[h, w]` for (red) and against (blue); 0 is white."""
    most = float(np.max(np.abs(marks))) or 1.0
    return _colour((np.asarray(marks) / most + 1) / 2, SIGNED)


def _colour(shares: Array, anchors: Sequence[tuple[int, int, int]]) -> Picture:
    places = np.linspace(0, 1, len(anchors))
    parts = [np.interp(shares, places, [colour[i] for colour in anchors]) for i in range(3)]
    return np.stack(parts, -1).round().astype(np.uint8)


def lay_over(image: Array, heat: Array) -> Picture:
    """Marks of an image over it, in equal parts."""
    base = draw_image(image).astype(np.float64)
    marks = colour_heat(resize(heat, *base.shape[:2]))
    return ((base + marks) / 2).round().astype(np.uint8)


def draw_grid(parts: Sequence[Picture], columns: int, gap: int = 4) -> Picture:
    """Pictures of one size in rows, on white."""
    height, width = parts[0].shape[:2]
    rows = -(-len(parts) // columns)
    across = min(columns, len(parts))
    size = (rows * (height + gap) - gap, across * (width + gap) - gap, 3)
    page = np.full(size, 255, np.uint8)
    for number, part in enumerate(parts):
        top, left = (number // columns) * (height + gap), (number % columns) * (width + gap)
        page[top : top + height, left : left + width] = part
    return page


def draw_filters(weights: Array) -> Picture:
    """Filters `[filters, channels, h, w]` of a layer that sees the input: in colour where there are
    three channels, each channel in a row of its own otherwise. Each filter has its own shades."""
    filters = weights if weights.shape[1] in (1, 3) else weights.reshape(-1, 1, *weights.shape[2:])
    columns = min(8, len(filters)) if weights.shape[1] in (1, 3) else weights.shape[1]
    tiles = [draw_image(f if len(f) == 3 else f[0]) for f in filters]
    small = [tile[:: max(1, len(tile) // 64), :: max(1, len(tile) // 64)] for tile in tiles]
    return draw_grid(small, columns)


def draw_points(points: Array, classes: Array | None, words: Sequence[str]) -> Picture:
    """Points `[rows, 2]`, coloured by their class, with the names of classes beside."""
    image = Image.new("RGB", (WIDTH + LEGEND, HEIGHT), "white")
    pen = ImageDraw.Draw(image)
    low, high = points.min(0), points.max(0)
    span = np.where(high > low, high - low, 1.0)
    size = np.array([WIDTH, HEIGHT]) - 2 * MARGIN
    places = MARGIN + (points - low) / span * size
    places[:, 1] = HEIGHT - places[:, 1]
    codes = np.zeros(len(points), int) if classes is None else classes.astype(int)
    for (x, y), code in zip(places.tolist(), codes.tolist(), strict=True):
        pen.ellipse((x - 2.5, y - 2.5, x + 2.5, y + 2.5), fill=tuple(PALETTE[code % len(PALETTE)]))
    pen.rectangle((4, 4, WIDTH - 4, HEIGHT - 4), outline=(190, 190, 190))
    present = [] if classes is None else sorted(set(codes.tolist()))
    font = ImageFont.load_default()
    for number, code in enumerate(present[:NAMED]):
        top = 16 + 20 * number
        pen.ellipse(
            (WIDTH + 8, top, WIDTH + 18, top + 10), fill=tuple(PALETTE[code % len(PALETTE)])
        )
        word = show(words[code] if code < len(words) else str(code))
        said = word if len(word) <= LONGEST else f"{word[: LONGEST - 3]}..."
        pen.text((WIDTH + 24, top - 1), said.encode("ascii", "replace"), "black", font)
    if len(present) > NAMED:
        pen.text((WIDTH + 8, 16 + 20 * NAMED), f"and {len(present) - NAMED} more", "black", font)
    return np.asarray(image)
