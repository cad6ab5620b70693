"""Data sets of Hugging Face, by the library `datasets`: of the hub, its cache, or a folder."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn, final

import numpy as np
from numpy.typing import NDArray

from compiler.data.base import SOURCES, Column, LoadingCode
from compiler.data.cells import WHOLE
from compiler.data.damage import UNREADABLE
from compiler.data.dates import GAP
from compiler.data.files import find_folder, refuse_setting
from compiler.data.frames import FrameTable, Stamps, stamp_files
from compiler.data.pixels import GREY
from compiler.records import dataclass
from compiler.report.diagnostics import Fault
from compiler.report.messages.cells import column_not_held
from compiler.report.messages.data import images_differ
from compiler.report.messages.databases import data_set_unavailable, package_missing
from compiler.report.messages.memory import data_too_large
from compiler.system.memory import find_available
from compiler.types.tensor import TensorType
from compiler.writing.python import write_path, write_string

if TYPE_CHECKING:
    from datasets import Dataset, DatasetDict

_NAME = re.compile(r"[\w.-]+(?:/[\w.-]+)?", re.ASCII)
LOADED, SAVED, SAVED_SPLITS = "loaded", "saved", "saved splits"
"""How a data set is loaded: by its name or from files of parquet; from what `save_to_disk` left of
one split, or of several. The first of the parts of each column."""
IMAGE = "image"
"""Another part of a column of images."""
SPLITS = {"train": "train", "validation": "val", "test": "test"}
"""The splits of a data set that are read, in this order, and what they are called here."""


@SOURCES.register
@final
@dataclass(frozen=True)
class HuggingFace(FrameTable):
    """A data set of Hugging Face: of the hub, which is asked once and then kept in its cache, or a
    folder that `save_to_disk` or files of parquet left.

    Whole numbers are i64, other numbers f32 with NaN where there is none, booleans bool, times
    i64, the seconds since 1970, lists of one length f32[length]. A `ClassLabel` is categories in
    its own order (`NAME.classes` is how many, where there is one), an `Image` u8[channels, height,
    width] as that of `images` is. Text is read as that of a csv file is: numbers, dates or
    categories. Without `split`, the rows of `train`, `validation` and `test` follow one another,
    and `split given` keeps them apart. Where the hub cannot be reached, the cache is read. No code
    of a data set is run.

    - `dataset`: `"OWNER/NAME"` of the hub, or a folder relative to the spec's, which begins with
      `./`, `../` or `/`: `"./homes"`.
    - `config`: which of several configurations.
    - `split`: which rows: `"train"`, `"train[:10%]"`; all of them without it.
    - `revision`: a branch, a tag or a commit; the newest without it.
    - `size`: height and width that images are resized to (bilinear); needed where they differ.
    - `decimal`: what stands before the fraction of a number in text.
    - `thousands`: what stands between thousands in text.
    - `unit`: what stands beside each number in text: `"kg"`, `["$", "km"]`.
    - `date`: the form of dates in text that are not read by themselves: `"%d/%m/%y"`.
    - `missing`: more cells of text that are missing: `["?", "-"]`.
    - `categories`: columns that are categories whatever their cells look like.
    - `missing_category`: columns of categories in which missing cells are one more category.
    - `unknown_category`: the same, and so are words that a deployed file is given and the training
      did not have.

    Example: `source hf("./houses", split="train")`, `inputs = stack([area, rooms]) -> standardize`
    Source: https://huggingface.co/docs/datasets/loading
    """

    name: ClassVar[str] = "hf"
    dataset: str
    config: str | None = None
    split: str | None = None
    revision: str | None = None
    size: tuple[int, ...] = ()
    decimal: str = "."
    thousands: str = ""
    unit: str | tuple[str, ...] = ()
    date: str = ""
    missing: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    missing_category: tuple[str, ...] = ()
    unknown_category: tuple[str, ...] = ()

    def check(self) -> None:
        if not self.is_local and _NAME.fullmatch(self.dataset) is None:
            expected = '"OWNER/NAME", or a folder such as "./homes"'
            refuse_setting(self.name, "dataset", f'"{self.dataset}"', expected)
        if self.size and (len(self.size) != 2 or min(self.size) < 1):
            refuse_setting(self.name, "size", list(self.size), "height and width")
        super().check()

    @property
    def is_local(self) -> bool:
        """Whether it is a folder."""
        return self.dataset.startswith(("./", "../", "/"))

    def schema(self, folder: Path) -> tuple[Column, ...]:
        features = self.open(folder).features
        self.check_names(list(features))
        columns = {n: self._survey(folder, n) for n, f in features.items() if _is_image(f)}
        others = [name for name in features if name not in columns]
        described = {c.name: c for c in super().schema(folder)} if others else {}
        for name, feature in features.items():
            classes = getattr(feature, "names", None)
            if name in described and classes is not None:
                described[name] = _take_classes(described[name], tuple(map(str, classes)))
        way = (self._find_way(folder),)
        return tuple(columns.get(name) or replace(described[name], parts=way) for name in features)

    def attributes(self, folder: Path) -> Mapping[str, int]:
        features = self.open(folder).features.values()
        counts = [len(f.names) for f in features if getattr(f, "names", None) is not None]
        return {"classes": counts[0]} if len(counts) == 1 else {}

    def load(self, folder: Path) -> Mapping[str, NDArray[Any]]:
        features = self.open(folder).features
        images = {n: self._load(folder, n) for n, f in features.items() if _is_image(f)}
        return images if len(images) == len(features) else {**images, **super().load(folder)}

    def given_splits(self, folder: Path) -> Mapping[str, int] | None:
        if self.split is not None:
            return None
        counts = _read_parts(self, folder, self._stamp(folder))
        named = {SPLITS[name]: count for name, count in counts[1].items()}
        return named if len(named) > 1 else None

    def files(self, folder: Path) -> Sequence[Path]:
        if not self.is_local:
            return ()
        root = find_folder(folder, self.dataset, "dataset")
        return sorted(path for path in root.rglob("*") if path.is_file())

    def fingerprint(self, folder: Path) -> str:
        return "" if self.is_local else str(self.open(folder)._fingerprint)

    def open(self, folder: Path) -> Dataset:
        """The rows.

        Raises:
            Fault: there is no such data set, or it cannot be reached.
        """
        return _read_parts(self, folder, self._stamp(folder))[0]

    def read_frame(self, folder: Path) -> Any:
        data = self.open(folder)
        names = [name for name, feature in data.features.items() if not _is_image(feature)]
        with self.reading():
            return data.select_columns(names).to_pandas()

    def refuse(self, reason: str, advice: str = "") -> NoReturn:
        raise Fault(
            lambda w: data_set_unavailable(w.argument("dataset"), self.dataset, reason, advice)
        )

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Refuses what cannot be read; the library raises whatever its parts do.

        Raises:
            Fault: why.
        """
        from datasets.exceptions import DatasetsError

        try:
            yield
        except (*UNREADABLE, AttributeError, KeyError, TypeError, DatasetsError) as error:
            told = error.__cause__ if isinstance(error, DatasetsError) else None
            lines = str(told or error).strip().splitlines()
            reason = lines[0] if lines else type(error).__name__
            self.refuse(reason, "" if self.is_local else _advise(self))

    def _stamp(self, folder: Path) -> Stamps:
        return stamp_files(self.files(folder))

    def imports(self) -> Sequence[str]:
        return ["import datasets", "import pandas as pd", "from PIL import Image"]

    def code(self, columns: Sequence[Column]) -> LoadingCode:
        images = [c for c in columns if IMAGE in c.parts]
        others = [c for c in columns if IMAGE not in c.parts]
        lines = self._write_loading(next((c.parts[0] for c in columns if c.parts), LOADED))
        if others:
            names = ", ".join(write_string(c.name) for c in others)
            lines.append(f"table = dataset.select_columns([{names}]).to_pandas()")
        decoder = ["", *self._write_decoder()] if images else []
        found = {c.name: self.write_cells(c) for c in others}
        for column in images:
            channels, *_ = column.type.known_shape or ()
            mode = '"L"' if channels == 1 else '"RGB"'
            found[column.name] = f"decode({write_string(column.name)}, {mode})"
        return LoadingCode([*self.helpers(others), *lines, *decoder], found)

    def _write_loading(self, way: str) -> list[str]:
        """The statements that make `dataset`."""
        path = f"str({write_path(self.dataset)})" if self.is_local else write_string(self.dataset)
        if way in (SAVED, SAVED_SPLITS):
            call, split = f"datasets.load_from_disk({path})", self.split
        else:
            options = [path, *([write_string(self.config)] if self.config is not None else [])]
            for option in ("split", "revision"):
                value = getattr(self, option)
                options += [f"{option}={write_string(value)}"] if value is not None else []
            call, split = f"datasets.load_dataset({', '.join(options)})", None
        if split is not None:
            return [f"dataset = {call}[{write_string(split)}]"]
        if way == SAVED or self.split is not None:
            return [f"dataset = {call}"]
        known = ", ".join(map(write_string, SPLITS))
        return [
            f"parts = {call}",
            f"parts = [parts[name] for name in ({known}) if name in parts]",
            "dataset = datasets.concatenate_datasets(parts)",
        ]

    def _write_decoder(self) -> list[str]:
        """The function that decodes images."""
        resize = f".resize({self.size[::-1]}, Image.Resampling.BILINEAR)" if self.size else ""
        return [
            "def decode(column: str, mode: str) -> np.ndarray:",
            '    """Pixels as `[rows, channels, height, width]`."""',
            f"    images = [image.convert(mode){resize} for image in dataset[column]]",
            "    pixels = np.stack([np.atleast_3d(image) for image in images])",
            "    return pixels.transpose(0, 3, 1, 2)",
            "",
        ]

    def _survey(self, folder: Path, name: str) -> Column:
        """The column of a feature of images; their pixels are not kept."""
        data = self.open(folder)
        sizes: list[tuple[int, int]] = []
        grey = True
        for row, image in enumerate(self._decode(data, name)):
            if image is None:
                reason = f"row {row:,} has no image"
                trouble = column_not_held(None, name, reason, "leave these rows out")
                return Column(name, WHOLE, trouble=trouble, stored="images")
            sizes.append(image.size[::-1])
            grey = grey and image.mode in GREY
            if sizes[-1] != sizes[0] and not self.size:
                self._refuse_sizes(sizes[0], row, sizes[-1])
        channels = 1 if grey else 3
        height, width = self.size or sizes[0]
        kind = TensorType.of("u8", (channels, height, width))
        largest = len(sizes) * channels * height * width
        needed = largest + 8 * max(map(math.prod, sizes))
        available = find_available()
        if needed > available:
            what = f"the images of `{self.dataset}`"
            raise Fault(
                lambda w: data_too_large(
                    w.argument("dataset"), what, needed, available, str(kind), largest
                )
            )
        return Column(name, kind, parts=(self._find_way(folder), IMAGE))

    def _decode(self, data: Dataset, name: str) -> Iterator[Any]:
        """The images of a column, one after the other."""
        with self.reading():
            for image in data[name]:
                if image is not None:
                    image.load()
                yield image

    def _refuse_sizes(self, first: tuple[int, int], row: int, other: tuple[int, int]) -> NoReturn:
        raise Fault(
            lambda w: images_differ(w.argument("dataset"), "row 0", first, f"row {row:,}", other)
        )

    def _load(self, folder: Path, name: str) -> NDArray[Any]:
        """The rows of a column of images."""
        column = self._survey(folder, name)
        data = self.open(folder)
        if column.stored:
            return np.full(len(data), GAP)
        channels, height, width = column.type.known_shape or ()
        rows = np.empty((len(data), channels, height, width), np.uint8)
        from PIL.Image import Resampling

        for place, image in zip(rows, self._decode(data, name), strict=True):
            converted = image.convert("L" if channels == 1 else "RGB")
            if self.size:
                converted = converted.resize(self.size[::-1], Resampling.BILINEAR)
            place[:] = np.atleast_3d(np.asarray(converted)).transpose(2, 0, 1)
        return rows

    def _find_way(self, folder: Path) -> str:
        """How the data set is loaded."""
        root = folder / self.dataset
        if not self.is_local:
            return LOADED
        if (root / "dataset_dict.json").is_file():
            return SAVED_SPLITS
        return SAVED if (root / "state.json").is_file() else LOADED

    def load_parts(self, folder: Path) -> DatasetDict | Dataset:
        """What the library makes of it."""
        import datasets

        datasets.disable_progress_bars()
        path = str(folder / self.dataset) if self.is_local else self.dataset
        way = self._find_way(folder)
        if way == LOADED:
            return datasets.load_dataset(
                path, self.config, split=self.split, revision=self.revision
            )
        loaded = datasets.load_from_disk(path)
        if self.split is None:
            return loaded
        if way == SAVED or self.split not in loaded:
            names = list(loaded) if way == SAVED_SPLITS else []
            self._refuse_split(names)
        return loaded[self.split]

    def _refuse_split(self, names: Sequence[str]) -> NoReturn:
        there = (
            f"it has {', '.join(f'`{name}`' for name in names)}"
            if names
            else "it was saved as one split, without a name"
        )
        self.refuse(f"it has no split `{self.split}`", there)


def _is_image(feature: Any) -> bool:
    return type(feature).__name__ == "Image"


def _take_classes(column: Column, classes: tuple[str, ...]) -> Column:
    """The column of a `ClassLabel`, whose numbers are places among its names."""
    if column.type != WHOLE or column.written.text:
        reason = "rows have no class"
        advice = "leave these rows out, or choose another split"
        trouble = column_not_held(None, column.name, reason, advice)
        return replace(column, trouble=trouble, stored="classes")
    return replace(column, words=True, categories=classes)


@lru_cache(maxsize=4)  # the schema and the rows come from one reading
def _read_parts(
    source: HuggingFace, folder: Path, stamps: Stamps
) -> tuple[Dataset, dict[str, int]]:
    """The rows; `stamps` are part of the key of the cache.

    Raises:
        Fault: the package is missing, there is no such data set, or it cannot be reached.
    """
    try:
        import datasets
    except ImportError as error:
        missing = package_missing
        raise Fault(lambda w: missing(w.call, "datasets", "sets of Hugging Face", "hf")) from error
    with source.reading():
        found = source.load_parts(folder)
    if not isinstance(found, dict):
        if not len(found):
            source.refuse("it holds no rows")
        return found, {}
    parts = {name: found[name] for name in SPLITS if name in found}
    if "train" not in parts:
        source.refuse(f"its splits are {', '.join(map(str, found))}", "choose one: `split=…`")
    counts = {name: len(part) for name, part in parts.items() if len(part)}
    return datasets.concatenate_datasets(list(parts.values())), counts


def _advise(source: HuggingFace) -> str:
    return (
        f"download it where there is a network, with `hf download --repo-type dataset "
        f"{source.dataset}`, or set `HF_HOME` to a cache that has it"
    )
