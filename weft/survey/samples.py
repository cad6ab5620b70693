"""Training rows as pictures: as they are, and as an augmentation changes them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backends.pytorch.run.augmented import augment_rows
from compiler.data.holding import Rows
from compiler.program.train import Train
from compiler.rows.loading import LoadedData
from weft.inspection.pictures import Picture, draw_grid, draw_image

Array = NDArray[Any]

SHOWN = 6
"""Rows that are shown of a column."""
TIMES = 5
"""How often each is changed."""
CHANNELS = (1, 3)
"""Channels of an image."""


@dataclass(frozen=True)
class Sheet:
    """Rows of a column as one picture. Where the column is augmented, each row of the picture is a
    row of the data: first as it is, then as the augmentation changes it."""

    column: str
    picture: Picture
    augmented: bool


def draw_samples(train: Train, loaded: LoadedData) -> Iterator[Sheet]:
    """A sheet for each column of images that a train reads: the first rows of its training
    split."""
    rows = loaded.rows["train"][:SHOWN]
    read = {item.name for item in train.graph.inputs}
    images = [n for n, array in loaded.columns.items() if n in read and _holds_images(array)]
    if not images:
        return
    given = {name: array[rows] for name, array in loaded.columns.items()}
    changed = [augment_rows(train, given, seed) for seed in range(TIMES)]
    for name in images:
        plain = [draw_image(image) for image in given[name]]
        turns = [[draw_image(image) for image in made[name]] for made in changed if name in made]
        augmented = bool(turns)
        if not augmented:
            yield Sheet(name, draw_grid(plain, len(plain)), augmented=False)
            continue
        sides = max(max(p.shape[:2]) for p in [*plain, *(p for turn in turns for p in turn)])
        parts = [p for row in zip(plain, *turns, strict=True) for p in row]
        grid = draw_grid([_pad(part, sides) for part in parts], 1 + len(turns))
        yield Sheet(name, grid, augmented=True)


def _holds_images(array: Rows) -> bool:
    """Whether rows are `[height, width]`, or that behind one or three channels."""
    if array.dtype.kind not in "buif":
        return False
    axes = len(array.shape)
    return axes == 3 or (axes == 4 and array.shape[1] in CHANNELS)


def _pad(picture: Picture, side: int) -> Picture:
    """A picture in the middle of a white square: an augmentation may change the size."""
    page = np.full((side, side, 3), 255, np.uint8)
    top, left = ((side - size) // 2 for size in picture.shape[:2])
    page[top : top + picture.shape[0], left : left + picture.shape[1]] = picture
    return page
