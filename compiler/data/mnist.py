"""MNIST's files: images and labels in the idx format, packed or not."""

from __future__ import annotations

import gzip
import math
import struct
from collections.abc import Mapping, Sequence
from io import BufferedReader
from pathlib import Path
from typing import Any, ClassVar, final

import numpy as np
from numpy.typing import NDArray

from compiler.data.base import SOURCES, Column, DataSource, LoadingCode
from compiler.data.damage import UNREADABLE
from compiler.data.files import find_folder, refuse_file
from compiler.data.sizes import check_expansion
from compiler.records import dataclass
from compiler.report.diagnostics import Fault
from compiler.report.messages.data import data_file_missing
from compiler.report.suggestions import did_you_mean
from compiler.system.files import name_kind
from compiler.types.tensor import TensorType
from compiler.writing.python import write_path

PARTS = {"train": "train", "test": "t10k"}
KINDS = {"image": "images-idx3-ubyte", "label": "labels-idx1-ubyte"}
AXES = {"image": 3, "label": 1}


@SOURCES.register
@final
@dataclass(frozen=True)
class Mnist(DataSource):
    """A folder with MNIST's four files, or those of a set in its form (Fashion-MNIST, KMNIST):
    `train-images-idx3-ubyte`, `train-labels-idx1-ubyte` and the same with `t10k`, as they are or
    packed (`.gz`).

    The columns are `image: u8[28, 28]` and `label: i64`; the files bring their own splits `train`
    and `test`: `split given`.

    - `folder`: where the files lie, relative to the spec's folder.

    Example:

        source mnist("mnist")
        pixels = (image / 255) -> reshape([1, 28, 28])
        split given

    Source: LeCun et al. 1998, https://doi.org/10.1109/5.726791
    """

    name: ClassVar[str] = "mnist"
    aliases: ClassVar[tuple[str, ...]] = ("idx",)
    unreadable: ClassVar[tuple[str, ...]] = ("EOFError", "ValueError", "zlib.error")
    folder: str

    def schema(self, folder: Path) -> tuple[Column, ...]:
        shapes = {part: self._read_shapes(folder, part) for part in PARTS}
        rows = {tuple(shape["image"][1:]) for shape in shapes.values()}
        if len(rows) > 1:
            refuse_file(self.folder, "the images of train and test differ in size", option="folder")
        (size,) = rows
        return (
            Column("image", TensorType.of("u8", size)),
            Column("label", TensorType.of("i64", ())),
        )

    def given_splits(self, folder: Path) -> Mapping[str, int]:
        return {part: self._read_shapes(folder, part)["label"][0] for part in PARTS}

    def load(self, folder: Path) -> Mapping[str, NDArray[Any]]:
        self.schema(folder)
        columns = {}
        for kind in KINDS:
            parts = [self._read(self._find(folder, part, kind)) for part in PARTS]
            columns[kind] = np.concatenate(parts)
        columns["label"] = columns["label"].astype(np.int64)
        return columns

    def files(self, folder: Path) -> Sequence[Path]:
        return [self._find(folder, part, kind) for part in PARTS for kind in KINDS]

    def imports(self) -> Sequence[str]:
        return ["import gzip"]

    def code(self, columns: Sequence[Column]) -> LoadingCode:
        lines = [
            "def read(name: str, header: int) -> np.ndarray:",
            f"    path = {write_path(self.folder)} / name",
            "    if path.exists():",
            "        return np.fromfile(path, np.uint8, offset=header)",
            '    with gzip.open(f"{path}.gz") as file:',
            "        return np.frombuffer(file.read(), np.uint8, offset=header)",
            "",
        ]
        wanted = {c.name: c for c in columns}
        if "image" in wanted:
            height, width = wanted["image"].type.known_shape or ()
            files = ", ".join(f'read("{p}-{KINDS["image"]}", 16)' for p in PARTS.values())
            lines.append(f"image = np.concatenate([{files}]).reshape(-1, {height}, {width})")
        if "label" in wanted:
            files = ", ".join(f'read("{p}-{KINDS["label"]}", 8)' for p in PARTS.values())
            lines.append(f"label = np.concatenate([{files}]).astype(np.int64)")
        return LoadingCode(lines, {name: name for name in wanted})

    def _find(self, folder: Path, part: str, kind: str) -> Path:
        place = find_folder(folder, self.folder)
        name = f"{PARTS[part]}-{KINDS[kind]}"
        for candidate in (place / name, place / f"{name}.gz"):
            other = name_kind(candidate)
            if other is not None:
                refuse_file(candidate.name, other, option="folder")
            if candidate.is_file():
                return candidate
        there = sorted(entry.name for entry in place.iterdir())
        suggestion = did_you_mean(name, there)
        raise Fault(
            lambda where: data_file_missing(
                where.argument("folder"), f"{name}.gz", str(place), suggestion
            )
        )

    def _read_shapes(self, folder: Path, part: str) -> dict[str, tuple[int, ...]]:
        shapes = {}
        for kind in KINDS:
            path = self._find(folder, part, kind)
            try:
                with _open(path) as file:
                    shapes[kind] = _read_header(file, AXES[kind])
            except UNREADABLE as error:
                refuse_file(path.name, f"it is not an idx file: {error}", option="folder")
            packed = path.stat().st_size
            check_expansion(path.name, math.prod(shapes[kind]), packed, "folder")
        if shapes["image"][0] != shapes["label"][0]:
            images, labels = shapes["image"][0], shapes["label"][0]
            reason = f"{part} has {images} images and {labels} labels"
            refuse_file(self.folder, reason, option="folder")
        return shapes

    def _read(self, path: Path) -> NDArray[np.uint8]:
        axes = AXES["image" if "images" in path.name else "label"]
        try:
            with _open(path) as file:
                shape = _read_header(file, axes)
                expected = math.prod(shape)
                numbers = np.frombuffer(file.read(expected + 1), np.uint8)
        except UNREADABLE as error:
            refuse_file(path.name, f"it is cut short: {error}", option="folder")
        if len(numbers) != expected:
            found = f"{len(numbers):,} bytes" if len(numbers) < expected else "more"
            what = "is cut short" if len(numbers) < expected else "is too long"
            reason = f"it {what}: it promises {expected:,} bytes, and has {found}"
            refuse_file(path.name, reason, option="folder")
        return numbers.reshape(shape)


def _open(path: Path) -> gzip.GzipFile | BufferedReader:
    return gzip.open(path) if path.suffix == ".gz" else path.open("rb")


def _read_header(file: gzip.GzipFile | BufferedReader, axes: int) -> tuple[int, ...]:
    """The shape of an idx file of bytes (http://yann.lecun.com/exdb/mnist: magic number, then
    one big-endian size per axis).

    Raises:
        ValueError: the magic number is another one.
    """
    magic = struct.unpack(">4B", file.read(4))
    if magic != (0, 0, 8, axes):
        raise ValueError(f"its first bytes are {list(magic)}, not {[0, 0, 8, axes]}")
    return struct.unpack(f">{axes}I", file.read(4 * axes))
