"""Folders of images: a subfolder per class, or images with their masks."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, final

import numpy as np
from numpy.typing import NDArray

from compiler.data.base import SOURCES, Column, DataSource, LoadingCode, RowCode
from compiler.data.decoded import DecodedRows
from compiler.data.files import find_folder, refuse_file, refuse_setting
from compiler.data.holding import MEMORY, STREAMED, Rows
from compiler.data.pixels import GREY, SUFFIXES, Header, read_header, read_mask, read_pixels
from compiler.records import dataclass
from compiler.report.diagnostics import Fault
from compiler.report.messages.data import (
    image_without_mask,
    images_differ,
    images_turned,
    mask_differs,
    nothing_in_folder,
)
from compiler.report.messages.memory import data_too_large
from compiler.system.files import name_kind
from compiler.system.memory import find_available
from compiler.types.tensor import TensorType
from compiler.writing.python import write_path, write_string

KINDS = f"images ({', '.join(SUFFIXES)})"
DECODED = 8
"""Bytes that reading one image takes for each of its pixels, and for each that it is resized to."""
PALETTE = ['if mask.mode != "P":  # what a palette has are classes', '    mask = mask.convert("L")']


@SOURCES.register
@final
@dataclass(frozen=True)
class Images(DataSource):
    """A folder of images.

    `image: u8[channels, height, width]` has one channel where all images are stored as grey, three
    otherwise; transparency is left out. Pixels are taken as they are stored, whatever EXIF says of
    their orientation, as PyTorch and Keras do; `weft check` warns of such images. Where they lie in
    subfolders, `label` is the number of an image's subfolder in sorted order, with their names as
    classes (`NAME.classes` is how many). With `mask`, there is `mask: u8[height, width]` as well,
    from the file of the same name and subfolder there: shades of grey from 0 to 255, or the indices
    of a palette. Rows are in the order of the paths.

    - `folder`: where the images lie, relative to the spec's folder.
    - `size`: height and width that images are resized to (bilinear; masks to the nearest pixel);
      needed where they differ.
    - `mask`: folder of the masks.

    Example: `source images("photos", size=[32, 32])`, `pixels = image / 255`
    Source: https://docs.pytorch.org/vision/stable/generated/torchvision.datasets.ImageFolder.html
    """

    name: ClassVar[str] = "images"
    counted: ClassVar[Mapping[str, str]] = {"classes": "label"}
    folder: str
    size: tuple[int, ...] = ()
    mask: str | None = None

    def check(self) -> None:
        if self.size and (len(self.size) != 2 or min(self.size) < 1):
            refuse_setting(self.name, "size", list(self.size), "height and width")

    def schema(self, folder: Path) -> tuple[Column, ...]:
        return self._describe(folder, self._survey(folder))

    def _describe(self, folder: Path, found: _Survey) -> tuple[Column, ...]:
        turned = [p for p, h in zip(found.paths, found.headers, strict=True) if h.turned]
        doubt = None
        if turned:
            shown = str(turned[0].relative_to(folder / self.folder))
            doubt = images_turned(None, shown, len(turned))
        image = TensorType.of("u8", (found.channels, *found.size))
        columns = [Column("image", image, doubt=doubt)]
        classes = self._classes(folder, found.paths)
        if self.mask is not None:
            columns.append(Column("mask", TensorType.of("u8", found.size)))
        if classes:
            label = TensorType.of("i64", ())
            columns.append(Column("label", label, words=True, categories=classes))
        return tuple(columns)

    def attributes(self, folder: Path) -> Mapping[str, int]:
        classes = self._classes(folder, self._find_images(folder))
        return {"classes": len(classes)} if classes else {}

    def load(self, folder: Path) -> Mapping[str, NDArray[Any]]:
        found = self._survey(folder)
        self._need_memory(found, len(found.paths))
        paths, resized = found.paths, found.size if self.size else None
        images = np.empty((len(paths), found.channels, *found.size), np.uint8)
        for place, path in zip(images, paths, strict=True):
            pixels = read_pixels(path, found.channels == 1, resized)
            place[:] = pixels if found.channels == 1 else np.moveaxis(pixels, -1, 0)
        columns = {"image": images}
        if found.masks:
            columns["mask"] = np.stack([read_mask(path, resized) for path in found.masks])
        label = self._number_classes(folder, paths)
        return columns if label is None else {**columns, "label": label}

    def _number_classes(self, folder: Path, paths: Sequence[Path]) -> NDArray[np.int64] | None:
        """The number of the class of each image; None where there are none."""
        root, classes = folder / self.folder, self._classes(folder, paths)
        places = {name: place for place, name in enumerate(classes)}
        codes = [places[path.relative_to(root).parts[0]] for path in paths if classes]
        return np.array(codes, np.int64) if classes else None

    def ways(self) -> tuple[str, ...]:
        return (MEMORY, STREAMED)

    def open(self, folder: Path) -> Mapping[str, Rows]:
        found = self._survey(folder)
        self._need_memory(found, rows=1)
        resized, size = found.size if self.size else None, found.size
        grey = found.channels == 1

        def read(row: int) -> NDArray[np.uint8]:
            pixels = read_pixels(found.paths[row], grey, resized, row=row)
            return pixels[None] if grey else np.moveaxis(pixels, -1, 0)

        columns: dict[str, Rows] = {
            "image": DecodedRows((len(found.paths), found.channels, *size), read)
        }
        if found.masks:
            columns["mask"] = DecodedRows(
                (len(found.paths), *size), lambda row: read_mask(found.masks[row], resized, row)
            )
        label = self._number_classes(folder, found.paths)
        return columns if label is None else {**columns, "label": label}

    def count_rows(self, folder: Path) -> int | None:
        return len(self._find_images(folder))

    def files(self, folder: Path) -> Sequence[Path]:
        paths = self._find_images(folder)
        masks = self._find_masks(folder, paths) if self.mask is not None else []
        return [*paths, *masks]

    def imports(self) -> Sequence[str]:
        return ["from PIL import Image"]

    def code(self, columns: Sequence[Column]) -> LoadingCode:
        wanted = {c.name: c for c in columns}
        lines = self._list_code("paths")
        if "image" in wanted:
            lines += self._image_code(wanted["image"])
        if "mask" in wanted:
            lines += self._mask_code()
        if "label" in wanted:
            lines += self._class_code(wanted["label"], "paths")
            lines.append("label = np.array([classes.index(n) for n in names], np.int64)")
        return LoadingCode(lines, {name: name for name in wanted})

    def row_code(self, columns: Sequence[Column]) -> RowCode:
        wanted = {c.name: c for c in columns}
        lines, reading, held = self._list_code("self.paths"), list[str](), dict[str, str]()
        found = {name: name for name in wanted}
        files = "source.paths"
        if "image" in wanted:
            grey = wanted["image"].type.known_shape[:1] == (1,)  # type: ignore[index]
            reading.append(f"image = {self._open_code('self.paths[row]', grey)}")
            pixels = "torch.from_numpy(np.array(image))"
            found["image"] = f"{pixels}[None]" if grey else f"{pixels}.permute(2, 0, 1)"
        if "mask" in wanted:
            lines += self._find_mask_code()
            lines.append(
                'self.masks = [files[p.relative_to(root).with_suffix("")] for p in self.paths]'
            )
            reading += ["mask = Image.open(self.masks[row])", *PALETTE]
            found["mask"] = f"torch.from_numpy(np.array({self._mask_pixels}))"
            files = "source.paths + source.masks"
        if "label" in wanted:
            lines += self._class_code(wanted["label"], "self.paths")
            lines.append("self.label = torch.tensor([classes.index(n) for n in names])")
            held["label"], found["label"] = "source.label", "self.label[row]"
        return RowCode(lines, "len(self.paths)", files, "self.paths[row]", held, reading, found)

    def _list_code(self, paths: str) -> list[str]:
        return [
            f"root = {write_path(self.folder)}",
            f"suffixes = {{{', '.join(map(write_string, SUFFIXES))}}}",
            f'{paths} = sorted(p for p in root.rglob("*") if p.suffix.lower() in suffixes)',
        ]

    def _class_code(self, label: Column, paths: str) -> list[str]:
        classes = ", ".join(map(write_string, label.categories))
        return [
            f"classes = [{classes}]",
            f"names = [p.relative_to(root).parts[0] for p in {paths}]",
        ]

    def _open_code(self, path: str, grey: bool) -> str:
        mode = "L" if grey else "RGB"
        resize = f".resize({self._pixels}, Image.Resampling.BILINEAR)" if self.size else ""
        return f'Image.open({path}).convert("{mode}"){resize}'

    def _image_code(self, column: Column) -> list[str]:
        channels, _, _ = column.type.known_shape or ()
        order = "image[:, None]" if channels == 1 else "image.transpose(0, 3, 1, 2)"
        return [
            f"images = [{self._open_code('p', channels == 1)} for p in paths]",
            "image = np.stack([np.asarray(i) for i in images])",
            f"image = np.ascontiguousarray({order})",
        ]

    def _mask_code(self) -> list[str]:
        return [
            *self._find_mask_code(),
            "masks = []",
            "for path in paths:",
            '    mask = Image.open(files[path.relative_to(root).with_suffix("")])',
            *(f"    {line}" for line in PALETTE),
            f"    masks.append(np.asarray({self._mask_pixels}))",
            "mask = np.stack(masks)",
        ]

    def _find_mask_code(self) -> list[str]:
        assert self.mask is not None
        found = 'p.relative_to(mask_root).with_suffix("")'
        return [
            f"mask_root = {write_path(self.mask)}",
            f'files = {{{found}: p for p in mask_root.rglob("*") if p.suffix.lower() in suffixes}}',
        ]

    @property
    def _mask_pixels(self) -> str:
        return f"mask.resize({self._pixels}, Image.Resampling.NEAREST)" if self.size else "mask"

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
            raise Fault(lambda w: nothing_in_folder(w.argument("folder"), self.folder, KINDS))
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
            reason = f"`{outside[0][0]}` is next to the subfolders of the classes"
            refuse_file(self.folder, reason, option="folder")
        return ()

    def _find_masks(self, folder: Path, paths: Sequence[Path]) -> list[Path]:
        assert self.mask is not None
        place = find_folder(folder, self.mask, "mask")
        root = folder / self.folder
        files: dict[Path, Path] = {}
        for path in sorted(p for p in place.rglob("*") if p.suffix.lower() in SUFFIXES):
            other = files.setdefault(path.relative_to(place).with_suffix(""), path)
            if other is not path:
                reason = f"`{other.relative_to(place)}` and `{path.relative_to(place)}` are both"
                refuse_file(self.mask, f"{reason} masks of one image", option="mask")
        without = [p for p in paths if p.relative_to(root).with_suffix("") not in files]
        if without:
            shown, masks = str(without[0].relative_to(root)), self.mask
            raise Fault(lambda w: image_without_mask(w.argument("mask"), shown, masks))
        return [files[p.relative_to(root).with_suffix("")] for p in paths]

    def _need_memory(self, found: _Survey, rows: int) -> None:
        """Refuses images of which memory does not hold so many.

        Raises:
            Fault: they need more; nothing has been allocated for them.
        """
        row = (found.channels, *found.size)
        one = max(math.prod(header.size) for header in found.headers)
        decoded = DECODED * (max(one, math.prod(found.size)) if self.size else one)
        largest = rows * math.prod(row)
        masks = rows * math.prod(found.size) if found.masks else 0
        needed, available = largest + masks + decoded, find_available()
        if needed > available:
            option = "size" if self.size else "folder"
            what, kind = f"the images of `{self.folder}`", str(TensorType.of("u8", (rows, *row)))
            raise Fault(
                lambda w: data_too_large(w.argument(option), what, needed, available, kind, largest)
            )

    def _survey(self, folder: Path) -> _Survey:
        """What the headers say; no pixels are read."""
        root, paths = folder / self.folder, self._find_images(folder)
        headers = [read_header(path, "folder") for path in paths]
        first = headers[0].size
        for path, header in zip(paths, headers, strict=True):
            if header.size != first and not self.size:
                shown = [str(p.relative_to(root)) for p in (paths[0], path)]
                _refuse_sizes(shown[0], first, shown[1], header.size)
        masks = self._find_masks(folder, paths) if self.mask is not None else []
        for path, mask in zip(paths, masks, strict=False):
            size = read_header(mask, "mask").size
            if size != first and not self.size:
                self._refuse_mask(str(path.relative_to(root)), first, size)
        height, width = self.size or first
        channels = 1 if all(header.mode in GREY for header in headers) else 3
        return _Survey(paths, headers, masks, (height, width), channels)

    def _refuse_mask(self, image: str, size: tuple[int, int], found: tuple[int, int]) -> None:
        raise Fault(lambda w: mask_differs(w.argument("mask"), image, size, found))


@dataclass(frozen=True)
class _Survey:
    """The images of a folder and their masks, as far as headers tell: `size` and `channels` are
    those of the rows."""

    paths: Sequence[Path]
    headers: Sequence[Header]
    masks: Sequence[Path]
    size: tuple[int, int]
    channels: int


def _refuse_sizes(
    first: str, first_size: tuple[int, int], other: str, other_size: tuple[int, int]
) -> None:
    raise Fault(lambda w: images_differ(w.argument("folder"), first, first_size, other, other_size))
