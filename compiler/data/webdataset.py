"""Tar files in the form of WebDataset: shards of images, labels and JSON by key."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar, NoReturn, final

import numpy as np
from numpy.typing import NDArray

from compiler.data.base import SOURCES, Column, LoadingCode
from compiler.data.files import is_pattern, refuse_file, refuse_setting, write_files
from compiler.data.frames import FrameTable, Stamps, stamp_files
from compiler.data.json_lines import take_pairs
from compiler.data.pixels import GREY, SUFFIXES, Packed, read_header, read_pixels
from compiler.data.shards import Piece, Samples, list_samples
from compiler.data.tables import TextTable
from compiler.records import dataclass
from compiler.report.diagnostics import Fault
from compiler.report.messages.data import images_differ
from compiler.report.messages.memory import data_too_large
from compiler.system.memory import find_available
from compiler.types.tensor import TensorType
from compiler.writing.python import write_path, write_string

IMAGES = frozenset(suffix.removeprefix(".") for suffix in SUFFIXES)
NUMBERS = frozenset(["class", "cls", "cls2", "count", "id", "index", "inx"])
"""Endings of files that hold one whole number, as WebDataset decodes them."""
TEXTS = frozenset(["text", "transcript", "txt"])
OBJECT = "json"
NAMES = {"cls": "label", "txt": "text", **dict.fromkeys(IMAGES, "image")}
"""Columns whose name is not that of their ending."""
DECODED = 8
"""Bytes that reading one image takes for each of its pixels, and for each that it is resized to."""
READ_SHARDS = [
    "def read_shards(paths: list[Path]) -> list[dict[str, bytes]]:",
    '    """The files of each sample by their endings; files of one name are a sample."""',
    "    samples: dict[tuple[Path, str], dict[str, bytes]] = {}",
    "    for path in paths:",
    '        with tarfile.open(path, "r:") as shard:',
    "            for member in shard:",
    '                place, _, file = member.name.rpartition("/")',
    '                stem, _, ending = file.partition(".")',
    "                if member.isfile() and stem and ending:",
    '                    sample = samples.setdefault((path, f"{place}/{stem}"), {})',
    "                    sample[ending.lower()] = shard.extractfile(member).read()",
    "    return list(samples.values())",
    "",
]


@SOURCES.register
@final
@dataclass(frozen=True)
class WebDataset(TextTable, FrameTable):
    """Shards of WebDataset: tar files in which files of one name and several endings are a sample:
    `0001.jpg`, `0001.cls`, `0001.json`.

    An image (`.jpg`, `.png`, …) is `image: u8[channels, height, width]`, of one channel where all
    are grey, three otherwise; a whole number (`.cls`) is `label: i64`; text (`.txt`) is `text`, and
    the members of an object (`.json`) are columns of their own, read as those of `jsonl`. With a
    longer ending, its first part is the column: `0001.left.jpg` is `left`. All samples have the
    same endings; files of other kinds are left alone. Rows are in the order of the shards, and of
    the samples in them. Nothing is unpacked onto the disk.

    - `path`: the file, relative to the spec's folder; of several `"shard-{000..003}.tar"`, or a
      pattern: `"shard-*.tar"`.
    - `decimal`: what stands before the fraction of a number in text.
    - `thousands`: what stands between thousands in text.
    - `unit`: what stands beside each number in text: `"kg"`, `["$", "km"]`.
    - `date`: the form of dates in text that are not read by themselves: `"%d/%m/%y"`.
    - `missing`: more cells of text that are missing: `["?", "-"]`.
    - `categories`: columns that are categories whatever their cells look like.
    - `missing_category`: columns of categories in which missing cells are one more category.
    - `unknown_category`: the same, and so are words that a deployed file is given and the training
      did not have.
    - `size`: height and width that images are resized to (bilinear); needed where they differ.

    Example: `source webdataset("shard-{000..001}.tar")`, `pixels = image / 255`
    Source: https://github.com/webdataset/webdataset
    """

    name: ClassVar[str] = "webdataset"
    size: tuple[int, ...] = ()

    def check(self) -> None:
        if self.size and (len(self.size) != 2 or min(self.size) < 1):
            refuse_setting(self.name, "size", list(self.size), "height and width")
        super().check()

    def schema(self, folder: Path) -> tuple[Column, ...]:
        samples = self._list(folder)
        endings = self.find_endings(samples)
        columns = [
            Column(_name(ending), self._survey(samples, ending), parts=(ending,))
            for ending in filter(_is_image, endings)
        ]
        others = {_name(e): e for e in endings if not _is_image(e)}
        if others:
            inside = next((e for e in others.values() if _last(e) == OBJECT), "")
            cells = super().schema(folder)
            columns += [replace(c, parts=(others.get(c.name, inside),)) for c in cells]
        for name, number in Counter(column.name for column in columns).items():
            if number > 1:
                self.refuse(f"two files of a sample give a column `{name}`")
        return tuple(columns)

    def load(self, folder: Path) -> Mapping[str, NDArray[Any]]:
        samples = self._list(folder)
        endings = self.find_endings(samples)
        images = [ending for ending in endings if _is_image(ending)]
        loaded = {_name(ending): self._load(samples, ending) for ending in images}
        return loaded if len(images) == len(endings) else {**loaded, **super().load(folder)}

    def read_frame(self, folder: Path) -> Any:
        paths = self.files(folder)
        return _read_frame(self, tuple(paths), stamp_files(paths))

    def imports(self) -> Sequence[str]:
        packages = ["import io", "import json", "import tarfile"]
        return [*packages, "import pandas as pd", "from PIL import Image"]

    def code(self, columns: Sequence[Column]) -> LoadingCode:
        paths = write_files(self.path) if is_pattern(self.path) else f"[{write_path(self.path)}]"
        endings = {c.name: next(iter(c.parts), "") for c in columns}
        lines = [*self.helpers(columns), *READ_SHARDS, f"samples = read_shards({paths})"]
        if any(map(_is_image, endings.values())):
            lines += ["", *self._write_decoder()]
        lines += self._write_table(columns, endings)
        found = {}
        for column in columns:
            ending = endings[column.name]
            if _is_image(ending):
                channels, *_ = column.type.known_shape or ()
                mode = '"L"' if channels == 1 else '"RGB"'
                found[column.name] = f"decode({write_string(ending)}, {mode})"
            elif _is_number(column, ending):
                found[column.name] = f"np.array({_write_cells(ending)}, np.int64)"
            else:
                found[column.name] = self.write_cells(column)
        return LoadingCode(lines, found)

    def _write_table(self, columns: Sequence[Column], endings: Mapping[str, str]) -> list[str]:
        """The statements that make a frame of what is neither an image nor a whole number."""
        others = {
            c.name: endings[c.name]
            for c in columns
            if not (_is_image(endings[c.name]) or _is_number(c, endings[c.name]))
        }
        inside = next((e for e in others.values() if _last(e) == OBJECT), None)
        single = {write_string(n): _write_cells(e) for n, e in others.items() if e != inside}
        if inside is not None:
            added = [f"table[{name}] = {cells}" for name, cells in single.items()]
            return [f"table = pd.DataFrame({_write_cells(inside)})", *added]
        pairs = ", ".join(f"{name}: {cells}" for name, cells in single.items())
        return [f"table = pd.DataFrame({{{pairs}}})"] if pairs else []

    def _write_decoder(self) -> list[str]:
        """The function that decodes images."""
        resize = f".resize({self.size[::-1]}, Image.Resampling.BILINEAR)" if self.size else ""
        return [
            "def decode(ending: str, mode: str) -> np.ndarray:",
            '    """Pixels as `[rows, channels, height, width]`."""',
            "    files = [io.BytesIO(sample[ending]) for sample in samples]",
            f"    images = [Image.open(file).convert(mode){resize} for file in files]",
            "    pixels = np.stack([np.atleast_3d(image) for image in images])",
            "    return pixels.transpose(0, 3, 1, 2)",
            "",
        ]

    def _list(self, folder: Path) -> Samples:
        return list_samples(self.files(folder))

    def find_endings(self, samples: Samples) -> list[str]:
        """The endings that every sample has and that are read.

        Raises:
            Fault: a sample lacks one or has another, or there is none.
        """
        first = [ending for ending in samples[0] if _is_read(ending)]
        for sample in samples:
            found = [ending for ending in sample if _is_read(ending)]
            if set(found) != set(first):
                other = sorted(set(found) ^ set(first))[0]
                piece = next(iter(sample.values()))
                here = "has a file" if other in found else "lacks the file"
                reason = f"the sample of `{piece.name}` {here} `.{other}`, unlike the first"
                refuse_file(piece.shard.name, reason)
        if not first:
            kinds = "images, `.cls`, `.txt` or `.json`"
            self.refuse(f"its samples have no {kinds}")
        if sum(_last(ending) == OBJECT for ending in first) > 1:
            self.refuse("its samples have two files of JSON, and one is read")
        return first

    def _survey(self, samples: Samples, ending: str) -> TensorType:
        """The type of a column of images, by their headers; no pixels are decoded.

        Raises:
            Fault: one is no image, they differ in size, or memory does not hold them.
        """
        pieces = [sample[ending] for sample in samples]
        headers = [read_header(_open(piece), "path") for piece in pieces]
        first = headers[0].size
        for piece, header in zip(pieces, headers, strict=True):
            if header.size != first and not self.size:
                names = pieces[0].name, piece.name
                _refuse_sizes(names[0], first, names[1], header.size)
        channels = 1 if all(header.mode in GREY for header in headers) else 3
        height, width = self.size or first
        kind = TensorType.of("u8", (channels, height, width))
        largest = len(pieces) * channels * height * width
        decoded = DECODED * max(math.prod(header.size) for header in headers)
        needed, available = largest + decoded, find_available()
        if needed > available:
            what = f"the images of `{self.path}`"
            raise Fault(
                lambda w: data_too_large(
                    w.argument("path"), what, needed, available, str(kind), largest
                )
            )
        return kind

    def _load(self, samples: Samples, ending: str) -> NDArray[np.uint8]:
        """The rows of a column of images."""
        kind = self._survey(samples, ending)
        channels, height, width = kind.known_shape or ()
        rows = np.empty((len(samples), channels, height, width), np.uint8)
        for place, sample in zip(rows, samples, strict=True):
            size = (height, width) if self.size else None
            pixels = read_pixels(_open(sample[ending]), channels == 1, size, "path")
            place[:] = pixels if channels == 1 else np.moveaxis(pixels, -1, 0)
        return rows


def _last(ending: str) -> str:
    return ending.rpartition(".")[2]


def _is_image(ending: str) -> bool:
    return _last(ending) in IMAGES


def _is_read(ending: str) -> bool:
    return _is_image(ending) or _last(ending) in NUMBERS | TEXTS | {OBJECT}


def _is_number(column: Column, ending: str) -> bool:
    """Whether the rows of a column are whole numbers in files of their own."""
    return _last(ending) in NUMBERS and not column.words


def _write_cells(ending: str) -> str:
    """The expression of the list of what the files with an ending hold."""
    file = f"sample[{write_string(ending)}]"
    cell = f'{file}.decode("utf-8-sig")'
    if _last(ending) in NUMBERS:
        cell = f"int({file})"
    if _last(ending) == OBJECT:
        cell = f"json.loads({file})"
    return f"[{cell} for sample in samples]"


def _name(ending: str) -> str:
    """The column of the files with an ending."""
    first, _, more = ending.partition(".")
    return first if more else NAMES.get(ending, ending)


def _open(piece: Piece) -> Packed:
    return Packed(piece.read(), piece.name)


def _refuse_sizes(
    first: str, first_size: tuple[int, int], other: str, other_size: tuple[int, int]
) -> NoReturn:
    raise Fault(lambda w: images_differ(w.argument("path"), first, first_size, other, other_size))


@lru_cache(maxsize=2)  # the schema and the rows come from one reading
def _read_frame(source: WebDataset, paths: tuple[Path, ...], stamps: Stamps) -> Any:
    """All columns but images as a frame; `stamps` are part of the key of the cache.

    Raises:
        Fault: a file does not hold what its ending says.
    """
    import pandas

    samples = list_samples(paths)
    endings = [e for e in source.find_endings(samples) if not _is_image(e)]
    rows: list[dict[str, Any]] = []
    for sample in samples:
        row: dict[str, Any] = {}
        for ending in endings:
            found = _read_piece(sample[ending], ending)
            both = row.keys() & found.keys()
            if both:
                source.refuse(f"two files of a sample give a column `{min(both)}`")
            row |= found
        rows.append(row)
    return pandas.DataFrame(rows)


def _read_piece(piece: Piece, ending: str) -> dict[str, Any]:
    """The cells of a row that a file holds."""
    try:
        text = piece.read().decode("utf-8-sig")
        if _last(ending) in NUMBERS:
            return {_name(ending): int(text)}
        if _last(ending) in TEXTS:
            return {_name(ending): text}
        row = json.loads(text, object_pairs_hook=take_pairs)
    except (ValueError, RecursionError) as error:
        refuse_file(piece.shard.name, f"`{piece.name}` cannot be read: {error}")
    if not isinstance(row, dict):
        kind = type(row).__name__
        refuse_file(piece.shard.name, f"`{piece.name}` holds a value of type `{kind}`, no object")
    return row
