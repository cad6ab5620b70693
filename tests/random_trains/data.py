"""Random data for random specs: files of every kind of source, and what their columns hold."""

from __future__ import annotations

import gzip
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Array = NDArray[Any]
Raw = Mapping[str, Array]
Compute = Callable[[Raw, Array], Array]
"""A column of all rows, from the raw ones and the numbers of the training rows."""


@dataclass(frozen=True)
class Feature:
    """A column that a net may take: a vector, an image or tokens. `shape` is that of a row, `limit`
    the number of different tokens."""

    name: str
    kind: str
    shape: tuple[int, ...]
    compute: Compute
    dtype: str = "f32"
    limit: int = 0


@dataclass(frozen=True)
class Target:
    """A column that a loss compares: `class`, `number`, `numbers`, `bits` or `sequence`. `size` is
    the number of classes, or of numbers in a row."""

    name: str
    kind: str
    size: int
    compute: Compute


@dataclass
class Data:
    """A data item, and what its columns hold by the rules of the language."""

    lines: list[str]
    features: list[Feature]
    targets: list[Target]
    raw: dict[str, Array]
    extras: dict[str, Compute] = field(default_factory=dict)
    """Columns `weight` (positive numbers) and `counts` (bool), where there are such."""
    splits: tuple[str, ...] = ("train", "val", "test")

    def compute(self, train: Array) -> dict[str, Array]:
        """Every column that a train may read."""
        found = {f.name: f.compute(self.raw, train) for f in self.features}
        found |= {t.name: t.compute(self.raw, train) for t in self.targets}
        return found | {name: compute(self.raw, train) for name, compute in self.extras.items()}


def write_data(rng: Random, folder: Path) -> Data:
    """Files in a folder, and the data item that reads them."""
    makers = (_table, _table, _table, _arrays, _arrays, _images, _digits, _text, _known_set)
    return rng.choice(makers)(rng, folder)


def _plain(name: str) -> Compute:
    return lambda raw, train: raw[name]


# --- splits -----------------------------------------------------------------------------------


def _draw_split(rng: Random, stratify: Sequence[str] = (), ordered: bool = False) -> str:
    shares = rng.choice(
        (
            "train=60%, val=20%, test=20%",
            "train=0.7, val=0.3",
            "train=24, val=8, test=1",
            "train=70%, test=30%",
            "train=100%",
            "train=50%, val=25%",
        )
    )
    if ordered or rng.random() < 0.2:
        return f"split in_order, {shares}"
    options = [f"seed={rng.randrange(9)}"] if rng.random() < 0.7 else []
    if stratify and rng.random() < 0.3:
        shares = "train=60%, val=20%, test=20%"
        options.append(f"stratify={rng.choice(stratify)}")
    return f"split random{'(' + ', '.join(options) + ')' if options else ''}, {shares}"


# --- tables -----------------------------------------------------------------------------------

WORDS = ("red", "green", "blue", "grey")


def _draw_cells(
    draw: np.random.Generator, rows: int, classes: int
) -> tuple[dict[str, Array], Array]:
    """Columns of a table by name, and the numbers of its words."""
    kinds = draw.integers(0, len(WORDS), rows)
    kinds[: len(WORDS)] = range(len(WORDS))
    holes = draw.random(rows) < 0.2
    holes[:2] = True, False
    label = np.concatenate([np.arange(classes), draw.integers(0, classes, rows - classes)])
    days = draw.integers(0, 700, rows)
    cells: dict[str, Array] = {
        "a": draw.normal(3, 2, rows).round(2).astype(np.float32),
        "b": draw.uniform(-1, 1, rows).round(3).astype(np.float32),
        "n": draw.integers(0, 50, rows),
        "m": np.where(holes, np.nan, draw.normal(0, 1, rows).round(2)).astype(np.float32),
        "kind": np.array(sorted(WORDS), object)[kinds],
        "day": np.datetime64("2021-03-01") + days.astype("timedelta64[D]"),
        "label": label,
        "y": draw.normal(0, 1, rows).round(3).astype(np.float32),
        "share": draw.uniform(0, 1, rows).round(3).astype(np.float32),
        "w": draw.uniform(0.1, 2, rows).round(2).astype(np.float32),
        "keep": draw.random(rows) < 0.8,
    }
    cells["keep"][:5] = True
    return cells, kinds


def _table(rng: Random, folder: Path) -> Data:
    """A csv or parquet file with numbers, whole numbers, missing cells, categories and dates."""
    draw = np.random.default_rng(rng.randrange(2**32))
    rows, classes = rng.randrange(40, 70), rng.randrange(2, 5)
    cells, kinds = _draw_cells(draw, rows, classes)
    raw = dict(cells)
    raw["kind"] = kinds
    raw["day"] = cells["day"].astype("datetime64[s]").astype(np.int64)
    source = (_write_csv if rng.random() < 0.6 else _write_parquet)(rng, folder, cells)
    flag = "keep == 1" if source.startswith("csv") else "keep"
    if source.startswith("csv"):
        raw["keep"] = raw["keep"].astype(np.int64)
    pieces = _draw_pieces(rng)
    size = sum(width for _, width, _ in pieces)
    parts = ", ".join(text for text, _, _ in pieces)
    lines = [f"source {source}", f"x = concat([{parts}])", f"counts = {flag}"]
    lines += ["pair = stack([y, b])", "up = y > 0", "bits = cast(stack([y > 0, b > 0]), f32)"]
    lines += ["weight = w"]
    targets = [
        Target("label", "class", classes, _plain("label")),
        Target("kind", "class", len(WORDS), _plain("kind")),
        Target("y", "number", 1, _plain("y")),
        Target("pair", "numbers", 2, lambda raw, t: np.stack([raw["y"], raw["b"]], 1)),
        Target("bits", "bits", 2, lambda raw, t: np.stack([raw["y"] > 0, raw["b"] > 0], 1) * 1.0),
        Target("share", "bit", 1, _plain("share")),
    ]
    rng.shuffle(targets)

    def join(raw: Raw, train: Array) -> Array:
        return np.concatenate([part(raw, train) for _, _, part in pieces], 1)

    features = [Feature("x", "vector", (size,), join)]
    features.append(Feature("kind", "token", (), _plain("kind"), "i64", len(WORDS)))
    lines.append(_draw_split(rng, ("label", "kind")))
    extras: dict[str, Compute] = {
        "weight": _plain("w"),
        "counts": lambda raw, train: raw["keep"] == 1,
    }
    return Data(lines, features, targets, raw, extras, _read_splits(lines[-1]))


def _read_splits(line: str) -> tuple[str, ...]:
    return tuple(name for name in ("train", "val", "test") if f"{name}=" in line)


Piece = tuple[str, int, Compute]


def _draw_pieces(rng: Random) -> list[Piece]:
    """Parts of a vector: the expression, its size, its meaning."""

    def column(name: str) -> Callable[[Raw], Array]:
        return lambda raw: raw[name].astype(np.float64)[:, None]

    def spread(values: Array, train: Array) -> Array:
        known = values[train]
        deviation = known.std(0)
        return (values - known.mean(0)) / np.where(deviation == 0, 1, deviation)

    def fill(raw: Raw, train: Array, choose: Callable[[Array], Any]) -> Array:
        values = column("m")(raw)
        return np.where(np.isnan(values), choose(values[train]), values)

    choices: list[Piece] = [
        ("reshape(a, [1])", 1, lambda raw, t: column("a")(raw)),
        ("reshape(b / 2 + 1, [1])", 1, lambda raw, t: column("b")(raw) / 2 + 1),
        ("reshape(a -> standardize, [1])", 1, lambda raw, t: spread(column("a")(raw), t)),
        ('reshape(m -> fill("median"), [1])', 1, lambda raw, t: fill(raw, t, np.nanmedian)),
        (
            'reshape(m -> fill("mean") -> standardize, [1])',
            1,
            lambda raw, t: spread(fill(raw, t, np.nanmean), t),
        ),
        ("reshape(cast(n, f32) / 50, [1])", 1, lambda raw, t: column("n")(raw) / 50),
        ("reshape(log(1 + n), [1])", 1, lambda raw, t: np.log(1 + column("n")(raw))),
        ("one_hot(kind)", len(WORDS), lambda raw, t: np.eye(len(WORDS))[raw["kind"]]),
        ("stack([a, b])", 2, lambda raw, t: np.stack([raw["a"], raw["b"]], 1)),
        (
            "(stack([a, b, a * b]) -> standardize)",
            3,
            lambda raw, t: spread(np.stack([raw["a"], raw["b"], raw["a"] * raw["b"]], 1), t),
        ),
        ("reshape(cast(day, f32) / 1e9, [1])", 1, lambda raw, t: column("day")(raw) / 1e9),
        ("reshape(where(a > 3, a, b), [1])", 1, lambda raw, t: _where(raw)[:, None]),
        ("reshape(cast(kind == 0, f32), [1])", 1, lambda raw, t: 1.0 * (raw["kind"] == 0)[:, None]),
    ]
    return rng.sample(choices, rng.randrange(2, 6))


def _where(raw: Raw) -> Array:
    return np.where(raw["a"] > 3, raw["a"], raw["b"])


def _write_csv(rng: Random, folder: Path, cells: Raw) -> str:
    comma = rng.random() < 0.3
    separator = ";" if comma else rng.choice(",;")
    missing = rng.choice(("", "NA", "?"))

    def write(value: Any) -> str:
        if isinstance(value, bool | np.bool_):
            return str(int(value))
        text = missing if isinstance(value, np.floating) and np.isnan(value) else str(value)
        return text.replace(".", ",") if comma and isinstance(value, np.floating) else text

    table = [separator.join(cells)]
    table += [separator.join(map(write, row)) for row in zip(*cells.values(), strict=True)]
    (folder / "table.csv").write_text("\n".join(table) + "\n", encoding="utf-8")
    options = ['"table.csv"', f'separator="{separator}"']
    options += ['decimal=","'] if comma else []
    options += ['missing=["?"]'] if missing == "?" else []
    return f"csv({', '.join(options)})"


def _write_parquet(rng: Random, folder: Path, cells: Raw) -> str:
    import pyarrow
    from pyarrow import parquet

    columns = {name: values.tolist() for name, values in cells.items()}
    columns["m"] = [None if np.isnan(value) else value for value in cells["m"]]
    parquet.write_table(pyarrow.table(columns), folder / "table.parquet")
    return 'parquet("table.parquet")'


# --- arrays, images, text -----------------------------------------------------------------------


def _write_arrays(rng: Random, folder: Path, raw: Raw, lines: list[str]) -> tuple[str, ...]:
    """Writes the file and adds the line of its splits; their names."""
    if rng.random() < 0.3:
        cut = len(raw["label"]) - 10
        split = {f"{name}_train": array[:cut] for name, array in raw.items()}
        np.savez(
            folder / "arrays.npz", **split, **{f"{n}_test": array[cut:] for n, array in raw.items()}
        )
        given = rng.choice(("split given", "split given(seed=3), val=20%", "split given, val=5"))
        lines.append(given)
        return ("train", *(["val"] if "val" in given else []), "test")
    np.savez(folder / "arrays.npz", **raw)
    lines.append(_draw_split(rng, ("label",)))
    return _read_splits(lines[-1])


def _arrays(rng: Random, folder: Path) -> Data:
    """An npz file, with splits of its own or without."""
    draw = np.random.default_rng(rng.randrange(2**32))
    rows, classes, size = rng.randrange(40, 70), rng.randrange(2, 5), rng.randrange(2, 6)
    steps, vocabulary = rng.randrange(2, 5), rng.randrange(3, 9)
    label = np.concatenate([np.arange(classes), draw.integers(0, classes, rows - classes)])
    tags = draw.integers(0, classes, (rows, steps))
    raw: dict[str, Array] = {
        "x": draw.normal(size=(rows, size)).astype(np.float32),
        "image": draw.integers(0, 256, (rows, rng.choice((1, 3)), 6, 6), np.uint8),
        "tokens": draw.integers(0, vocabulary, (rows, steps)),
        "label": label,
        "y": draw.normal(size=rows).astype(np.float32),
        "pair": draw.normal(size=(rows, 3)).astype(np.float32),
        "tags": tags,
        "some": np.where(draw.random(rows) < 0.2, -100, label),
        "weight": draw.uniform(0.1, 2, rows).astype(np.float32),
        "counts": np.arange(rows) % 4 > 0,
    }
    lines = ['source npz("arrays.npz")', "image = image / 255"]
    splits = _write_arrays(rng, folder, raw, lines)
    features = [
        Feature("x", "vector", (size,), _plain("x")),
        Feature("image", "image", raw["image"].shape[1:], lambda raw, t: raw["image"] / 255),
        Feature("tokens", "tokens", (steps,), _plain("tokens"), "i64", vocabulary),
    ]
    if rng.random() < 0.3:
        lines.insert(1, "x = x -> standardize")

        def standardize(raw: Raw, train: Array) -> Array:
            known = raw["x"][train].astype(np.float64)
            return (raw["x"] - known.mean(0)) / known.std(0)

        features[0] = Feature("x", "vector", (size,), standardize)
    targets = [
        Target("label", "class", classes, _plain("label")),
        Target("some", "some", classes, _plain("some")),
        Target("y", "number", 1, _plain("y")),
        Target("pair", "numbers", 3, _plain("pair")),
        Target("tags", "sequence", classes, _plain("tags")),
    ]
    rng.shuffle(targets)
    extras = {"weight": _plain("weight"), "counts": _plain("counts")}
    return Data(lines, features, targets, raw, extras, splits)


def _images(rng: Random, folder: Path) -> Data:
    """A folder of small images in a subfolder for each class, perhaps with masks."""
    draw = np.random.default_rng(rng.randrange(2**32))
    classes, each, channels = rng.randrange(2, 4), rng.randrange(17, 22), rng.choice((1, 3))
    pixels, masks = [], []
    for kind in range(classes):
        for number in range(each):
            array = draw.integers(0, 256, (6, 6, 3)[: 2 + (channels == 3)], np.uint8)
            mask = draw.integers(0, 2, (6, 6), np.uint8)
            for name, picture in (("photos", array), ("masks", mask)):
                path = folder / name / WORDS[kind] / f"{number:02}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(picture).save(path)
            pixels.append((kind, array.reshape(6, 6, channels).transpose(2, 0, 1)))
            masks.append(mask)
    order = sorted(range(len(pixels)), key=lambda i: (WORDS[pixels[i][0]], i))
    names = sorted(WORDS[:classes])
    raw: dict[str, Array] = {
        "image": np.stack([pixels[i][1] for i in order]),
        "label": np.array([names.index(WORDS[pixels[i][0]]) for i in order]),
        "mask": np.stack([masks[i] for i in order]),
    }
    masked = rng.random() < 0.5
    source = 'source images("photos", mask="masks")' if masked else 'source images("photos")'
    lines = [source, "image = cast(image, f32) / 128 - 1", _draw_split(rng, ("label",))]
    targets = [Target("label", "class", classes, _plain("label"))]
    if masked:
        lines.insert(2, "bits = cast(mask -> reshape([36]), f32)")
        flat: Compute = lambda raw, t: raw["mask"].reshape(-1, 36)  # noqa: E731
        targets.append(Target("bits", "bits", 36, flat))
    feature = Feature("image", "image", (channels, 6, 6), lambda raw, t: raw["image"] / 128 - 1)
    return Data(lines, [feature], targets, raw, splits=_read_splits(lines[-1]))


def _digits(rng: Random, folder: Path) -> Data:
    """Files in MNIST's form, packed or not."""
    draw = np.random.default_rng(rng.randrange(2**32))
    found: dict[str, Array] = {}
    for name, rows in (("train", 40), ("t10k", 12)):
        image = draw.integers(0, 256, (rows, 28, 28), np.uint8)
        label = np.arange(rows) % 10
        head = struct.pack(">4i", 0x803, rows, 28, 28)
        _pack(folder / f"{name}-images-idx3-ubyte", head + image.tobytes(), rng)
        tail = struct.pack(">2i", 0x801, rows) + label.astype(np.uint8).tobytes()
        _pack(folder / f"{name}-labels-idx1-ubyte", tail, rng)
        found[f"image {name}"], found[f"label {name}"] = image, label
    raw = {n: np.concatenate([found[f"{n} train"], found[f"{n} t10k"]]) for n in ("image", "label")}
    given = rng.choice(("split given", "split given, val=25%"))
    lines = ['source mnist(".")', "image = image[none, ::4, ::4] / 255", given]
    feature = Feature(
        "image", "image", (1, 7, 7), lambda raw, t: raw["image"][:, None, ::4, ::4] / 255
    )
    splits = ("train", *(["val"] if "val" in given else []), "test")
    return Data(
        lines, [feature], [Target("label", "class", 10, _plain("label"))], raw, splits=splits
    )


def _pack(path: Path, content: bytes, rng: Random) -> None:
    if rng.random() < 0.5:
        path.with_name(path.name + ".gz").write_bytes(gzip.compress(content))
    else:
        path.write_bytes(content)


def _text(rng: Random, folder: Path) -> Data:
    """A text, of which a model of its characters is trained."""
    letters = "abcde \n"
    text = letters + "".join(rng.choice(letters) for _ in range(300))
    (folder / "text.txt").write_text(text, encoding="utf-8", newline="")
    context = rng.randrange(3, 7)
    stride = rng.choice((None, context, context - 1, 2))
    known = sorted(set(text))
    codes = np.array([known.index(letter) for letter in text])
    starts = range(0, len(codes) - context, stride or context)
    raw = {
        "tokens": np.stack([codes[i : i + context] for i in starts]),
        "target": np.stack([codes[i + 1 : i + 1 + context] for i in starts]),
    }
    option = f", stride={stride}" if stride else ""
    split = "split in_order, train=60%, val=20%, test=20%"
    lines = [f'source text("text.txt", context={context}{option})', split]
    feature = Feature("tokens", "tokens", (context,), _plain("tokens"), "i64", len(known))
    target = Target("target", "sequence", len(known), _plain("target"))
    return Data(lines, [feature], [target], raw)


def _known_set(rng: Random, folder: Path) -> Data:
    """A set of scikit-learn."""
    from sklearn import datasets

    name = rng.choice(("iris", "wine"))
    found = datasets.load_iris() if name == "iris" else datasets.load_wine()
    raw = {"features": found.data.astype(np.float32), "label": found.target}
    size = raw["features"].shape[1]
    lines = [f'source sklearn("{name}")', "x = features -> standardize"]
    lines.append(_draw_split(rng, ("label",)))

    def standardize(raw: Raw, train: Array) -> Array:
        known = raw["features"][train].astype(np.float64)
        return (raw["features"] - known.mean(0)) / known.std(0)

    feature = Feature("x", "vector", (size,), standardize)
    target = Target("label", "class", 3, _plain("label"))
    return Data(lines, [feature], [target], raw, splits=_read_splits(lines[-1]))
