"""Folders of images: a subfolder per class, or images with their masks."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, final

import numpy as np
from numpy.typing import NDArray

from compiler.data.base import SOURCES, Column, DataSource
from compiler.data.damage import UNREADABLE
from compiler.data.files import find_folder, refuse_file, refuse_setting
from compiler.diagnostics import Fault
from compiler.files import name_kind
from compiler.memory import find_available
from compiler.messages.data import ImagesDiffer, ImageWithoutMask, NothingInFolder
from compiler.messages.memory import DataTooLarge
from compiler.records import dataclass
from compiler.tensor import TensorType
from compiler.writing.python import write_path, write_string

SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")
KINDS = f"images ({', '.join(SUFFIXES)})"
GREY = frozenset(["1", "L", "LA"])
"""Modes of Pillow with grey pixels, of which `LA` has a transparency as well."""
LARGEST_IMAGE = 80_000_000
"""Pixels of an image that is read, at most; Pillow warns of more."""
DEEP = frozenset(["I", "I;16", "I;16B", "F"])
"""Modes of Pillow with one channel of more than 8 bits."""
DECODED = 8
"""Bytes that reading one image takes for each of its pixels."""


@SOURCES.register
@final
@dataclass(frozen=True)
class Images(DataSource):
    """A folder of images.

    `image: u8[channels, height, width]` has one channel where all images are stored as grey, three
    otherwise; transparency is left out. Where they lie in subfolders, `label` is the number of an
    image's subfolder in sorted order, with their names as classes (`NAME.classes` is how many).
    With `mask`, there is `mask: u8[height, width]` as well, from the file of the same name and
    subfolder there. Rows are in the order of the paths.

    - `folder`: where the images lie, relative to the spec's folder.
    - `size`: height and width that images are resized to (bilinear; masks to the nearest pixel);
      needed where they differ.
    - `mask`: folder of the masks.
    """

    name: ClassVar[str] = "images"
    folder: str
    size: tuple[int, ...] = ()
    mask: str | None = None

    def check(self) -> None:
        if self.size and (len(self.size) != 2 or min(self.size) < 1):
            refuse_setting(self.name, "size", list(self.size), "height and width")

    def schema(self, folder: Path) -> tuple[Column, ...]:
        paths = self._find_images(folder)
        size, channels = self._measure(folder, paths)
        columns = [Column("image", TensorType.of("u8", (channels, *size)))]
        classes = self._classes(folder, paths)
        if self.mask is not None:
            self._find_masks(folder, paths)
            columns.append(Column("mask", TensorType.of("u8", size)))
        if classes:
            label = TensorType.of("i64", ())
            columns.append(Column("label", label, words=True, categories=classes))
        return tuple(columns)

    def facts(self, folder: Path) -> Mapping[str, int]:
        classes = self._classes(folder, self._find_images(folder))
        return {"classes": len(classes)} if classes else {}

    def load(self, folder: Path) -> Mapping[str, NDArray[Any]]:
        image, *_ = self.schema(folder)
        channels, height, width = image.type.known_shape or ()
        paths = self._find_images(folder)
        masks = self._find_masks(folder, paths) if self.mask is not None else []
        self._need_memory(len(paths), (channels, height, width))
        images = np.empty((len(paths), channels, height, width), np.uint8)
        for place, path in zip(images, paths, strict=True):
            pixels = self._read(path, "L" if channels == 1 else "RGB")
            place[:] = pixels if channels == 1 else np.moveaxis(pixels, -1, 0)
        columns = {"image": images}
        if masks:
            columns["mask"] = np.stack([self._read(m, "L", nearest=True) for m in masks])
        classes = self._classes(folder, paths)
        if classes:
            root = folder / self.folder
            codes = [classes.index(path.relative_to(root).parts[0]) for path in paths]
            columns["label"] = np.array(codes, np.int64)
        return columns

    def files(self, folder: Path) -> Sequence[Path]:
        paths = self._find_images(folder)
        masks = self._find_masks(folder, paths) if self.mask is not None else []
        return [*paths, *masks]

    def imports(self) -> Sequence[str]:
        return ["from PIL import Image"]

    def code(self, columns: Sequence[Column]) -> Sequence[str]:
        wanted = {c.name: c for c in columns}
        lines = [
            f"root = {write_path(self.folder)}",
            f"suffixes = {{{', '.join(map(write_string, SUFFIXES))}}}",
            'paths = sorted(p for p in root.rglob("*") if p.suffix.lower() in suffixes)',
        ]
        if "image" in wanted:
            lines += self._image_code(wanted["image"])
        if "mask" in wanted:
            lines += self._mask_code()
        if "label" in wanted:
            classes = ", ".join(map(write_string, wanted["label"].categories))
            lines.append(f"classes = [{classes}]")
            lines.append("names = [p.relative_to(root).parts[0] for p in paths]")
            lines.append("label = np.array([classes.index(n) for n in names], np.int64)")
        entries = ", ".join(f'"{name}": {name}' for name in wanted)
        return [*lines, f"return {{{entries}}}"]

    def _image_code(self, column: Column) -> list[str]:
        channels, _, _ = column.type.known_shape or ()
        mode = "L" if channels == 1 else "RGB"
        resize = f".resize({self._pixels}, Image.Resampling.BILINEAR)" if self.size else ""
        order = "image[:, None]" if channels == 1 else "image.transpose(0, 3, 1, 2)"
        return [
            f'images = [Image.open(p).convert("{mode}"){resize} for p in paths]',
            "image = np.stack([np.asarray(i) for i in images])",
            f"image = np.ascontiguousarray({order})",
        ]

    def _mask_code(self) -> list[str]:
        assert self.mask is not None
        resize = f".resize({self._pixels}, Image.Resampling.NEAREST)" if self.size else ""
        return [
            f"mask_root = {write_path(self.mask)}",
            'files = {p.relative_to(mask_root).with_suffix(""): p for p in mask_root.rglob("*")}',
            'masks = [files[p.relative_to(root).with_suffix("")] for p in paths]',
            f'masks = [Image.open(p).convert("L"){resize} for p in masks]',
            "mask = np.stack([np.asarray(m) for m in masks])",
        ]

    @property
    def _pixels(self) -> tuple[int, ...]:
        """The size as Pillow takes it: width and height."""
        return self.size[::-1]

    def _find_images(self, folder: Path) -> list[Path]:
        root = find_folder(folder, self.folder)
        try:
            paths = sorted(p for p in root.rglob("*") if p.suffix.lower() in SUFFIXES)
        except OSError as error:  # a folder that went away meanwhile
            refuse_file(self.folder, error.strerror or str(error), option="folder")
        if not paths:
            raise Fault(lambda w: NothingInFolder(w.argument("folder"), self.folder, KINDS))
        for path in paths:
            kind = name_kind(path)
            if kind is not None:
                refuse_file(path.name, kind, option="folder")
        return paths

    def _classes(self, folder: Path, paths: Sequence[Path]) -> tuple[str, ...]:
        """Names of the subfolders that hold images; none where the folder itself holds them."""
        parts = [path.relative_to(folder / self.folder).parts for path in paths]
        outside = [p for p in parts if len(p) == 1]
        if not outside:
            return tuple(sorted({p[0] for p in parts}))
        if len(outside) < len(parts):
            reason = f"`{outside[0][0]}` lies beside the subfolders of the classes"
            refuse_file(self.folder, reason, option="folder")
        return ()

    def _find_masks(self, folder: Path, paths: Sequence[Path]) -> list[Path]:
        assert self.mask is not None
        place = find_folder(folder, self.mask, "mask")
        root = folder / self.folder
        files = {p.relative_to(place).with_suffix(""): p for p in sorted(place.rglob("*"))}
        without = [p for p in paths if p.relative_to(root).with_suffix("") not in files]
        if without:
            shown, masks = str(without[0].relative_to(root)), self.mask
            raise Fault(lambda w: ImageWithoutMask(w.argument("mask"), shown, masks))
        return [files[p.relative_to(root).with_suffix("")] for p in paths]

    def _need_memory(self, count: int, row: Sequence[int]) -> None:
        """Refuses images that memory does not hold.

        Raises:
            Fault: they need more; nothing has been allocated for them.
        """
        largest, pixels = count * math.prod(row), math.prod(row[1:])
        masks = count * pixels if self.mask is not None else 0
        needed, available = largest + masks + DECODED * pixels, find_available()
        if needed > available:
            option = "size" if self.size else "folder"
            what, kind = f"the images of `{self.folder}`", str(TensorType.of("u8", (count, *row)))
            raise Fault(
                lambda w: DataTooLarge(w.argument(option), what, needed, available, kind, largest)
            )

    def _measure(self, folder: Path, paths: Sequence[Path]) -> tuple[tuple[int, int], int]:
        """Height and width of all images, and their channels; only headers are read."""
        root = folder / self.folder
        headers = [self._read_header(path) for path in paths]
        size = headers[0][0]
        for path, (other, _) in zip(paths, headers, strict=True):
            if other != size and not self.size:
                shown = [str(p.relative_to(root)) for p in (paths[0], path)]
                _refuse_sizes(shown[0], size, shown[1], other)
        height, width = self.size or size
        return (height, width), 1 if all(mode in GREY for _, mode in headers) else 3

    def _read_header(self, path: Path) -> tuple[tuple[int, int], str]:
        """Height and width, and the mode of Pillow."""
        from PIL import Image

        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", Image.DecompressionBombWarning)
                with Image.open(path) as image:
                    width, height = image.size
                    mode = image.mode
        except (*UNREADABLE, Image.DecompressionBombError) as error:
            refuse_file(path.name, f"it is no image: {error}", option="folder")
        if width * height > LARGEST_IMAGE:
            reason = f"it has {width:,} x {height:,} pixels, and images have {LARGEST_IMAGE:,}"
            refuse_file(path.name, f"{reason} at most", option="folder")
        if mode in DEEP:
            advice = "images have 8 bits; deeper ones fit into an npz file"
            refuse_file(path.name, f"its pixels have the mode {mode}", advice, option="folder")
        return (height, width), mode

    def _read(self, path: Path, mode: str, *, nearest: bool = False) -> NDArray[np.uint8]:
        from PIL import Image

        how = Image.Resampling.NEAREST if nearest else Image.Resampling.BILINEAR
        try:
            with Image.open(path) as image:
                converted = image.convert(mode)
                if self.size:
                    converted = converted.resize((self.size[1], self.size[0]), how)
                return np.asarray(converted)
        except UNREADABLE as error:
            refuse_file(path.name, f"it is cut short: {error}", option="folder")


def read_image(path: Path) -> NDArray[Any]:
    """The pixels of an image file.

    Raises:
        One of `UNREADABLE`: it is no image, or a far too large one.
    """
    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path) as image:
                return np.asarray(image)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ValueError(str(error)) from error


def _refuse_sizes(
    first: str, first_size: tuple[int, int], other: str, other_size: tuple[int, int]
) -> None:
    raise Fault(lambda w: ImagesDiffer(w.argument("folder"), first, first_size, other, other_size))
