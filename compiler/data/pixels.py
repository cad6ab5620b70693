"""Files of images: what their headers say, and their pixels."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from compiler.data.damage import UNREADABLE
from compiler.data.files import refuse_file
from compiler.records import dataclass

if TYPE_CHECKING:
    from PIL.Image import Image

FORMATS = {
    "BMP": (".bmp",),
    "GIF": (".gif",),
    "JPEG": (".jpeg", ".jpg"),
    "MPO": (),  # a JPEG with a preview behind it, as cameras and phones write
    "PNG": (".png",),
    "TIFF": (".tif", ".tiff"),
    "WEBP": (".webp",),
}
"""Formats of Pillow that are read, with their endings. It reads others too, whatever the ending:
PostScript, for one, which it gives to an interpreter."""
SUFFIXES = tuple(sorted(suffix for suffixes in FORMATS.values() for suffix in suffixes))
GREY = frozenset(["1", "L", "LA"])
"""Modes of Pillow with grey pixels, of which `LA` has a transparency as well."""
DEEP = ("I", "F")
"""How modes of Pillow with one channel of more than 8 bits begin."""
LARGEST_IMAGE = 80_000_000
"""Pixels of an image that is read, at most; Pillow warns of more."""
ORIENTATION = 0x0112
"""The tag of EXIF that says how the pixels lie."""


class Packed(BytesIO):
    """An image within another file, with the name that it has there."""

    def __init__(self, data: bytes, name: str) -> None:
        super().__init__(data)
        self.name = name


ImageFile = Path | Packed
"""Where an image is."""


@dataclass(frozen=True)
class Header:
    """What an image says of itself: height and width, its mode in Pillow, and whether EXIF says
    that its pixels lie otherwise than they are stored."""

    size: tuple[int, int]
    mode: str
    turned: bool


def read_header(path: ImageFile, option: str) -> Header:
    """The header of an image; its pixels are not read.

    Raises:
        Fault: it is no image, or none that a row can hold.
    """
    try:
        with _open(path) as image:
            header = Header(image.size[::-1], image.mode, _is_turned(image))
            deep = image.mode.startswith(DEEP) or _has_deep_channels(image)
            frames = image.format != "MPO" and getattr(image, "is_animated", False)
    except UNREADABLE as error:
        refuse_file(path.name, f"it is not an image: {error}", option=option)
    height, width = header.size
    if not height * width:
        refuse_file(path.name, f"it has {width} x {height} pixels", option=option)
    if width * height > LARGEST_IMAGE:
        reason = f"it has {width:,} x {height:,} pixels, and images have {LARGEST_IMAGE:,} at most"
        refuse_file(path.name, reason, option=option)
    if deep:
        reason = f"its pixels have more than 8 bits in a channel (mode {header.mode})"
        advice = "images have 8 bits; deeper ones fit into an npz file"
        refuse_file(path.name, reason, advice, option)
    if frames:
        advice = "store each frame or page as a file of its own"
        refuse_file(path.name, "it has several frames, and a row is one image", advice, option)
    return header


def read_pixels(
    path: ImageFile,
    grey: bool,
    size: tuple[int, int] | None,
    option: str = "folder",
    row: int | None = None,
) -> NDArray[np.uint8]:
    """Pixels of an image, grey or in three colours, resized to a height and width; `row` is told
    where it cannot be read.

    Raises:
        Fault: it is cut short.
    """
    from PIL.Image import Resampling

    try:
        with _open(path) as image:
            mode = "L" if grey else "RGB"
            converted: Image = image if image.mode == mode else image.convert(mode)
            if size is not None:
                converted = converted.resize(size[::-1], Resampling.BILINEAR)
            return np.asarray(converted)
    except UNREADABLE as error:
        refuse_file(path.name, _blame(row, error), option=option)


def read_mask(
    path: Path, size: tuple[int, int] | None, row: int | None = None
) -> NDArray[np.uint8]:
    """Pixels of a mask: the indices of a palette, or shades of grey; `row` is told where it cannot
    be read.

    Raises:
        Fault: it is cut short, or has colours, of which none is a number.
    """
    from PIL.Image import Resampling

    try:
        with _open(path) as image:
            if image.mode not in ("P", *GREY):
                red, green, blue = np.moveaxis(np.asarray(image.convert("RGB")), -1, 0)
                if not ((red == green) & (green == blue)).all():
                    reason = "it has colours, and the pixels of a mask are numbers"
                    advice = "store the numbers of the classes in shades of grey, or with a palette"
                    refuse_file(path.name, reason, advice, option="mask")
            mask = image if image.mode == "P" else image.convert("L")
            if size is not None:
                mask = mask.resize(size[::-1], Resampling.NEAREST)
            return np.asarray(mask)
    except UNREADABLE as error:
        refuse_file(path.name, _blame(row, error), option="mask")


def _blame(row: int | None, error: Exception) -> str:
    """What is wrong with the file of a row, or of none in particular."""
    place = "" if row is None else f" (row {row:,})"
    return f"it cannot be decoded{place}: {error}"


def read_image(path: Path) -> NDArray[Any]:
    """The pixels of an image file, those of a palette in its colours.

    Raises:
        One of `UNREADABLE`: it is no image, or a far too large one.
    """
    with _open(path) as image:
        width, height = image.size
        if width * height > LARGEST_IMAGE:
            raise ValueError(f"it has {width:,} x {height:,} pixels")
        return np.asarray(image.convert("RGB") if image.mode in ("P", "PA") else image)


@contextmanager
def _open(path: ImageFile) -> Iterator[Image]:
    """An image of one of the formats that are read.

    Raises:
        One of `UNREADABLE`: it is none.
    """
    from PIL import Image

    try:
        with warnings.catch_warnings():
            # Of its size, which is looked at, of damaged tags, and of palettes.
            warnings.simplefilter("ignore")
            with Image.open(path) as image:  # which reads no pixels
                if image.format not in FORMATS:
                    raise ValueError(f"its format is {image.format}")
                yield image
    except Image.DecompressionBombError as error:
        raise ValueError(str(error)) from error


def _is_turned(image: Image) -> bool:
    """Whether EXIF says so; Pillow itself turns the pixels of TIFF files."""
    from PIL.Image import Exif

    found = image.info.get("exif")
    if not isinstance(found, bytes) or image.format == "TIFF":
        return False
    exif = Exif()
    exif.load(found)
    return exif.get(ORIENTATION, 1) not in (0, 1)


def _has_deep_channels(image: Image) -> bool:
    """Whether the file has channels of 16 bits, of which Pillow reads the upper ones."""
    from PIL.ImageFile import ImageFile as Opened

    if image.format not in ("PNG", "TIFF") or not isinstance(image, Opened) or not image.tile:
        return False
    arguments = image.tile[0].args
    raw = arguments[0] if isinstance(arguments, tuple) else arguments
    return ";16" in str(raw)
