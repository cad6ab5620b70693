"""Data sources: bundled sets, archives, MNIST's files, images, texts, arrays in memory."""

from __future__ import annotations

import gzip
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sklearn.datasets
from PIL import Image

from compiler.data.images import Images
from compiler.data.memory import Memory
from compiler.data.mnist import Mnist
from compiler.data.npz import Npz
from compiler.data.registry import load_sources
from compiler.data.sklearn_sets import SETS, SklearnSet, plain_name
from compiler.data.splitting import Split
from compiler.data.text import Text
from tests.faults import fault_of
from tests.sources import SHARED, check_source, refused

# --- scikit-learn -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SETS)
def test_bundled_set_is_what_its_facts_say(name: str) -> None:
    arrays = check_source(SklearnSet(name), Path())
    description = SETS[name]
    bunch = getattr(sklearn.datasets, f"load_{name}")()
    if description.image is None:
        assert tuple(plain_name(n) for n in bunch.feature_names) == description.features
        np.testing.assert_array_equal(arrays["features"], bunch.data.astype(np.float32))
    if description.classes:
        assert tuple(str(n) for n in bunch.target_names) == description.classes
        np.testing.assert_array_equal(arrays["label"], bunch.target)
    elif len(description.targets) > 1:
        assert tuple(plain_name(n) for n in bunch.target_names) == description.targets


def test_every_bundled_set_is_offered() -> None:
    """Loaders of scikit-learn that take no path and return rows."""
    loaders = {n.removeprefix("load_") for n in dir(sklearn.datasets) if n.startswith("load_")}
    others = {"files", "sample_image", "sample_images", "svmlight_file", "svmlight_files"}
    assert loaders - others == set(SETS)


def test_unknown_set_is_refused() -> None:
    assert "did you mean `iris`?" in (fault_of(lambda: SklearnSet("irsi")).text.help or "")
    assert "downloads" in fault_of(lambda: SklearnSet("fetch_california_housing")).text.title


# --- npz ----------------------------------------------------------------------------------------


def write_npz(folder: Path, **arrays: Any) -> Npz:
    np.savez(folder / "data.npz", **arrays)
    return Npz("data.npz")


def test_npz_arrays_are_columns(tmp_path: Path) -> None:
    source = write_npz(
        tmp_path,
        image=np.arange(48, dtype=np.uint8).reshape(3, 4, 4),
        label=np.array([0, 1, 2], np.uint8),
        weight=np.array([0.5, 1.0, 2.0]),
        ok=np.array([True, False, True]),
        names=np.array(["a", "b"]),
    )
    arrays = check_source(source, tmp_path)
    schema = {c.name: str(c.type) for c in source.schema(tmp_path)}
    names = schema.pop("names")
    assert schema == {"image": "u8[4, 4]", "label": "i64[]", "weight": "f32[]", "ok": "bool[]"}
    assert names == "i64[]"
    assert arrays["label"].tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    ("array", "reason"),
    [
        (np.array(["a", "b", "c"]), "the array holds <U1, and columns hold numbers"),
        (np.zeros(3, complex), "the array holds complex128, and columns hold numbers"),
        (np.zeros(3, "datetime64[D]"), "the array holds datetime64[D], and columns hold numbers"),
        (np.array([1, "a", None], object), "the array holds pickled objects"),
        (np.array(3.0), "the array has no axes, and columns have rows"),
    ],
)
def test_npz_arrays_that_are_no_columns_are_told(tmp_path: Path, array: Any, reason: str) -> None:
    source = write_npz(tmp_path, other=array, x=np.arange(3.0))
    other = next(column for column in source.schema(tmp_path) if column.name == "other")
    assert other.trouble is not None
    assert (other.trouble.code, other.trouble.text.label[: len(reason)]) == ("W1340", reason)
    assert {len(rows) for rows in source.load(tmp_path).values()} == {3}


def test_npz_with_its_own_splits(tmp_path: Path) -> None:
    source = write_npz(
        tmp_path,
        x_train=np.arange(12, dtype=np.float32).reshape(6, 2),
        y_train=np.arange(6),
        x_test=-np.ones((2, 2), np.float32),
        y_test=np.array([7, 8]),
        class_names=np.array(["a", "b", "c"]),
        mean=np.zeros(2, np.float32),
    )
    arrays = check_source(source, tmp_path)
    assert list(arrays) == ["x", "y", "class_names"]
    assert arrays["y"].tolist() == [0, 1, 2, 3, 4, 5, 7, 8]
    assert source.given_splits(tmp_path) == {"train": 6, "test": 2}


def test_npz_refusals(tmp_path: Path) -> None:
    source = write_npz(tmp_path, x=np.zeros((5, 2)), y=np.zeros(5), other=np.zeros(3))
    message = fault_of(lambda: source.schema(tmp_path))
    assert 'columns=["x", "y"]' in (message.text.help or "")
    check_source(Npz("data.npz", ("x", "y")), tmp_path)
    assert "`x`" in (fault_of(lambda: Npz("data.npz", ("xs",)).schema(tmp_path)).text.help or "")
    (tmp_path / "data.npz").write_bytes(b"PK\x03\x04 not really")
    assert "not an npz file" in fault_of(lambda: source.schema(tmp_path)).text.label
    write_npz(tmp_path, x_train=np.zeros((5, 2)), x_test=np.zeros((5, 3)))
    assert "differ in shape" in fault_of(lambda: source.schema(tmp_path)).text.label
    write_npz(tmp_path, words=np.array(["a", "b"]))
    assert "no arrays of numbers" in fault_of(lambda: source.schema(tmp_path)).text.label


def test_npz_files_of_a_pattern(tmp_path: Path) -> None:
    for number in range(3):
        x = np.full((2, 3), number, np.float32)
        arrays = {"x": x, "n": np.arange(2) + 10 * number, "names": np.array(["a"]), "k": 1}
        np.savez(tmp_path / f"part-{number}.npz", **arrays)
    arrays = check_source(Npz("part-*.npz"), tmp_path)
    assert arrays["n"].tolist() == [0, 1, 10, 11, 20, 21]
    assert arrays["x"][:, 2].tolist() == [0, 0, 1, 1, 2, 2]
    assert check_source(Npz("part-{1..2}.npz", ("x",)), tmp_path)["x"].shape == (4, 3)
    for arrays, reason in (
        ({"x": np.zeros((2, 3), np.float32)}, "it lacks the array `k`, unlike `part-0.npz`"),
        ({"x": np.zeros((2, 4)), "n": 1, "names": 1, "k": 1}, "rows of `x` have another shape"),
    ):
        np.savez(tmp_path / "part-2.npz", **arrays)
        message = fault_of(lambda: Npz("part-*.npz").schema(tmp_path))
        assert message.text.title == "`part-2.npz` cannot be read"
        assert reason in message.text.label


def test_npz_files_of_a_pattern_with_their_own_splits(tmp_path: Path) -> None:
    for number in range(2):
        x, y = np.full((2, 3), number), np.full((1, 3), 10 + number)
        np.savez(tmp_path / f"part-{number}.npz", x_train=x, x_test=y)
    source = Npz("part-*.npz")
    assert check_source(source, tmp_path)["x"][:, 0].tolist() == [0, 0, 1, 1, 10, 11]
    assert source.given_splits(tmp_path) == {"train": 4, "test": 2}


def test_missing_files_are_refused_with_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cats.npz").write_bytes(b"")
    for path, mended in (
        ("photos/cat.npz", "photos/cats.npz"),
        ("photo/cats.npz", "photos/cats.npz"),
    ):
        message = fault_of(partial(Npz(path).schema, tmp_path))
        assert message.text.help == f"did you mean `{mended}`?"
    assert "it is a folder" in fault_of(lambda: Npz("photos").schema(tmp_path)).text.label
    message = fault_of(lambda: Npz("nothing/alike.npz").schema(tmp_path))
    assert message.text.help == "there is `photos`"


@pytest.mark.skipif(not SHARED.is_dir(), reason="../shared/data is absent")
@pytest.mark.parametrize("path", ["mnist/mnist_10k.npz", "cifar10/cifar10_4k.npz"])
def test_real_archives(path: str) -> None:
    source = Npz(path)
    arrays = check_source(source, SHARED)
    assert arrays["x"].dtype == np.uint8
    given = source.given_splits(SHARED)
    assert given is not None
    assert list(given) == ["train", "test"]


# --- mnist --------------------------------------------------------------------------------------


def write_idx(path: Path, array: np.ndarray[Any, Any], *, packed: bool) -> None:
    header = bytes([0, 0, 8, array.ndim]) + b"".join(n.to_bytes(4, "big") for n in array.shape)
    data = header + array.astype(np.uint8).tobytes()
    if packed:
        path.with_name(path.name + ".gz").write_bytes(gzip.compress(data))
    else:
        path.write_bytes(data)


def write_mnist(folder: Path, *, packed: bool = False, labels: int = 5) -> None:
    folder.mkdir(exist_ok=True)
    for part, rows in (("train", 5), ("t10k", 2)):
        images = np.arange(rows * 12).reshape(rows, 4, 3)
        write_idx(folder / f"{part}-images-idx3-ubyte", images, packed=packed)
        count = labels if part == "train" else rows
        write_idx(folder / f"{part}-labels-idx1-ubyte", np.arange(count), packed=packed)


@pytest.mark.parametrize("packed", [False, True])
def test_mnist_folder(tmp_path: Path, packed: bool) -> None:
    write_mnist(tmp_path / "m", packed=packed)
    arrays = check_source(Mnist("m"), tmp_path)
    assert arrays["image"].shape == (7, 4, 3)
    assert arrays["label"].tolist() == [0, 1, 2, 3, 4, 0, 1]
    assert Mnist("m").given_splits(tmp_path) == {"train": 5, "test": 2}


def test_mnist_refusals(tmp_path: Path) -> None:
    assert "no folder" in fault_of(lambda: Mnist("m").schema(tmp_path)).text.title
    write_mnist(tmp_path / "m", labels=4)
    assert "5 images and 4 labels" in fault_of(lambda: Mnist("m").schema(tmp_path)).text.label
    write_mnist(tmp_path / "m")
    path = tmp_path / "m" / "train-images-idx3-ubyte"
    path.write_bytes(path.read_bytes()[:-3])
    assert "cut short" in fault_of(lambda: Mnist("m").load(tmp_path)).text.label
    path.write_bytes(b"\x00\x00\x0b\x03" + bytes(12))
    assert "first bytes" in fault_of(lambda: Mnist("m").schema(tmp_path)).text.label
    path.rename(path.with_name("train-image-idx3-ubyte"))
    message = fault_of(lambda: Mnist("m").schema(tmp_path))
    assert "train-image-idx3-ubyte" in (message.text.help or "")


@pytest.mark.skipif(not SHARED.is_dir(), reason="../shared/data is absent")
def test_real_mnist() -> None:
    arrays = check_source(Mnist("mnist"), SHARED)
    assert arrays["image"].shape == (70000, 28, 28)
    small = np.load(SHARED / "mnist" / "mnist_10k.npz")
    np.testing.assert_array_equal(arrays["image"][:10000], small["x_train"])


# --- images -------------------------------------------------------------------------------------


def write_image(path: Path, *shape: int, mode: str | None = None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    numbers = np.random.default_rng(len(path.name)).integers(0, 256, shape, dtype=np.uint8)
    Image.fromarray(numbers, mode).save(path)


def test_images_of_classes(tmp_path: Path) -> None:
    write_image(tmp_path / "pets" / "dogs" / "b.png", 6, 4, 3)
    write_image(tmp_path / "pets" / "cats" / "a.png", 6, 4)
    write_image(tmp_path / "pets" / "cats" / "c.PNG", 6, 4)
    source = Images("pets")
    arrays = check_source(source, tmp_path)
    assert arrays["image"].shape == (3, 3, 6, 4)
    assert arrays["label"].tolist() == [0, 0, 1]
    assert source.attributes(tmp_path) == {"classes": 2}
    assert len(source.files(tmp_path)) == 3
    resized = check_source(Images("pets", size=(8, 5)), tmp_path)
    assert resized["image"].shape == (3, 3, 8, 5)


def test_grey_images_with_transparency_are_grey(tmp_path: Path) -> None:
    write_image(tmp_path / "pets" / "a.png", 6, 4, 2)
    write_image(tmp_path / "pets" / "b.png", 6, 4)
    grey = np.asarray(Image.open(tmp_path / "pets" / "a.png"))[..., 0]
    arrays = check_source(Images("pets"), tmp_path)
    assert arrays["image"].shape == (2, 1, 6, 4)
    np.testing.assert_array_equal(arrays["image"][0, 0], grey)
    write_image(tmp_path / "pets" / "c.png", 6, 4, 4)
    assert check_source(Images("pets"), tmp_path)["image"].shape == (3, 3, 6, 4)


def test_images_with_masks(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_image(tmp_path / "raw" / f"{name}.png", 6, 4)
        write_image(tmp_path / "masks" / f"{name}.bmp", 6, 4)
    arrays = check_source(Images("raw", mask="masks"), tmp_path)
    assert arrays["image"].shape == (2, 1, 6, 4)
    assert arrays["mask"].shape == (2, 6, 4)
    arrays = check_source(Images("raw", (3, 3), "masks"), tmp_path)
    assert arrays["mask"].shape == (2, 3, 3)
    (tmp_path / "masks" / "b.bmp").unlink()
    assert "`b.png`" in fault_of(lambda: Images("raw", mask="masks").schema(tmp_path)).text.title


def test_images_refusals(tmp_path: Path) -> None:
    (tmp_path / "pets").mkdir()
    assert "holds no images" in fault_of(lambda: Images("pets").schema(tmp_path)).text.title
    write_image(tmp_path / "pets" / "a.png", 6, 4)
    write_image(tmp_path / "pets" / "b.png", 6, 5)
    message = fault_of(lambda: Images("pets").schema(tmp_path))
    assert "size=[6, 4]" in (message.text.help or "")
    write_image(tmp_path / "pets" / "dogs" / "c.png", 6, 4)
    assert "next to" in fault_of(lambda: Images("pets", (4, 4)).schema(tmp_path)).text.label
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "x.jpg").write_bytes(b"no image")
    assert "not an image" in fault_of(lambda: Images("bad").schema(tmp_path)).text.label
    assert fault_of(lambda: Images("pets", size=(4,))).text.title


# --- text ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("stride", [None, 1, 3])
def test_text_windows(tmp_path: Path, stride: int | None) -> None:
    (tmp_path / "t.txt").write_text("hällo wörld\nagain", encoding="utf-8")
    source = Text("t.txt", context=4, stride=stride)
    arrays = check_source(source, tmp_path)
    characters = source.schema(tmp_path)[0].categories
    text = (tmp_path / "t.txt").read_text(encoding="utf-8")
    step = stride or 4
    for row, (tokens, target) in enumerate(zip(arrays["tokens"], arrays["target"], strict=True)):
        start = row * step
        assert "".join(characters[c] for c in tokens) == text[start : start + 4]
        assert "".join(characters[c] for c in target) == text[start + 1 : start + 5]
    assert len(arrays["tokens"]) == (len(text) - 5) // step + 1
    assert source.attributes(tmp_path) == {"vocab": len(set(text))}


@pytest.mark.parametrize(("context", "stride"), [(4, None), (4, 1), (4, 3), (7, 2), (3, 9)])
def test_text_splits_share_no_character(tmp_path: Path, context: int, stride: int | None) -> None:
    (tmp_path / "t.txt").write_text("x" * 200, encoding="utf-8")
    source = Text("t.txt", context, stride)
    rows = len(source.load(tmp_path)["tokens"])
    shares = (("train", 0.7), ("val", 0.3))
    parts = Split("in_order", shares, overlap=source.overlap()).divide(rows)
    last_character = parts["train"].max() * source.step + context
    assert parts["val"].min() * source.step > last_character
    wasted = parts["val"].min() * source.step - last_character
    assert wasted <= source.step


def test_text_refusals(tmp_path: Path) -> None:
    (tmp_path / "t.txt").write_text("abc", encoding="utf-8")
    assert "3 characters" in fault_of(lambda: Text("t.txt").schema(tmp_path)).text.label
    (tmp_path / "t.txt").write_bytes(b"\xff\xfe\xfa")
    assert "UTF-8" in fault_of(lambda: Text("t.txt").schema(tmp_path)).text.title
    assert fault_of(lambda: Text("t.txt", context=0)).text.title
    assert fault_of(lambda: Text("t.txt", stride=0)).text.title


@pytest.mark.skipif(not SHARED.is_dir(), reason="../shared/data is absent")
def test_real_text() -> None:
    source = Text("tinyshakespeare/input.txt")
    arrays = check_source(source, SHARED)
    assert source.attributes(SHARED) == {"vocab": 65}
    assert arrays["tokens"].shape == ((1_115_394 - 1) // 64, 64)


# --- arrays in memory ---------------------------------------------------------------------------


def test_arrays_in_memory(tmp_path: Path) -> None:
    columns: dict[str, Any] = {"x": np.zeros((3, 2)), "y": np.array([0, 1, 1], np.uint8)}
    source = Memory(columns)
    np.savez(tmp_path / "columns.npz", **dict[str, Any](source.load(tmp_path)))
    arrays = check_source(source, tmp_path)
    assert arrays["x"].dtype == np.float32
    assert arrays["y"].dtype == np.int64
    with refused("it has 4 rows, and `x` has 3"):
        Memory({"x": np.zeros(3), "y": np.zeros(4)}).schema(tmp_path)


def test_sources_are_registered_and_documented() -> None:
    names = {"sklearn", "npz", "csv", "parquet", "mnist", "idx", "images", "text"}
    names |= {"audio", "concat", "hf", "join", "jsonl", "sql", "webdataset"}
    assert names == set(load_sources().names())
    for cls in load_sources().classes():
        for option in cls.options():
            assert f"\n- `{option.name}`:" in cls.manual(), (cls, option.name)
