"""Data sources: schemas, arrays, the generated loading code, and what they refuse."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pytest
import sklearn.datasets

from compiler.data.base import Column, DataSource
from compiler.data.csv_table import Csv
from compiler.data.npz import Npz
from compiler.data.sklearn_sets import SETS, SklearnSet, plain_name
from tests.faults import fault_of

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"


def load_generated(
    source: DataSource, folder: Path, columns: Sequence[Column]
) -> dict[str, np.ndarray[Any, Any]]:
    """The arrays that the generated `load_columns(folder)` returns."""
    body = "\n    ".join(source.code(columns))
    text = "\n".join(
        [
            "from pathlib import Path",
            "import numpy as np",
            *source.imports(),
            f"def load_columns(folder):\n    {body}",
        ]
    )
    names: dict[str, Any] = {}
    exec(text, names)
    return names["load_columns"](folder)  # type: ignore[no-any-return]


def check_source(source: DataSource, folder: Path) -> dict[str, np.ndarray[Any, Any]]:
    """Holds a source to its schema and its generated code to its arrays."""
    source.check()
    schema = source.schema(folder)
    arrays = dict(source.load(folder))
    assert [c.name for c in schema] == list(dict.fromkeys(c.name for c in schema))
    rows = len(arrays[schema[0].name])
    for column in schema:
        array = arrays[column.name]
        assert array.dtype == column.type.dtype.numpy, column.name
        assert array.shape == (rows, *(column.type.known_shape or ())), column.name
        assert not column.missing or np.isnan(array).any()
        if column.categories and column.type.dtype.is_integer:
            assert array.min() >= 0
            assert array.max() < len(column.categories)
    given = source.given_splits(folder)
    assert given is None or sum(given.values()) == rows
    generated = load_generated(source, folder, schema)
    assert list(generated) == [c.name for c in schema]
    for name, array in generated.items():
        assert array.dtype == arrays[name].dtype, name
        np.testing.assert_array_equal(array, arrays[name], err_msg=name)
    single = load_generated(source, folder, schema[:1])
    assert list(single) == [schema[0].name]
    for path in source.files(folder):
        assert path.is_file()
    return arrays


# --- scikit-learn -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SETS)
def test_bundled_set_is_what_its_facts_say(name: str) -> None:
    arrays = check_source(SklearnSet(name), Path())
    facts = SETS[name]
    bunch = getattr(sklearn.datasets, f"load_{name}")()
    if facts.image is None:
        assert tuple(plain_name(n) for n in bunch.feature_names) == facts.features
        np.testing.assert_array_equal(arrays["features"], bunch.data.astype(np.float32))
    if facts.classes:
        assert tuple(str(n) for n in bunch.target_names) == facts.classes
        np.testing.assert_array_equal(arrays["label"], bunch.target)
    elif len(facts.targets) > 1:
        assert tuple(plain_name(n) for n in bunch.target_names) == facts.targets


def test_every_bundled_set_is_offered() -> None:
    """Loaders of scikit-learn that take no path and return rows."""
    loaders = {n.removeprefix("load_") for n in dir(sklearn.datasets) if n.startswith("load_")}
    others = {"files", "sample_image", "sample_images", "svmlight_file", "svmlight_files"}
    assert loaders - others == set(SETS)


def test_unknown_set_is_refused() -> None:
    assert "did you mean `iris`?" in (fault_of(SklearnSet("irsi").check).help() or "")
    assert "downloads" in fault_of(SklearnSet("fetch_california_housing").check).title()


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
    assert schema == {"image": "u8[4, 4]", "label": "i64[]", "weight": "f32[]", "ok": "bool[]"}
    assert arrays["label"].tolist() == [0, 1, 2]


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
    assert list(arrays) == ["x", "y"]
    assert arrays["y"].tolist() == [0, 1, 2, 3, 4, 5, 7, 8]
    assert source.given_splits(tmp_path) == {"train": 6, "test": 2}


def test_npz_refusals(tmp_path: Path) -> None:
    source = write_npz(tmp_path, x=np.zeros((5, 2)), y=np.zeros(5), other=np.zeros(3))
    message = fault_of(lambda: source.schema(tmp_path))
    assert 'columns=["x", "y"]' in (message.help() or "")
    check_source(Npz("data.npz", ("x", "y")), tmp_path)
    assert "`x`" in (fault_of(lambda: Npz("data.npz", ("xs",)).schema(tmp_path)).help() or "")
    (tmp_path / "data.npz").write_bytes(b"PK\x03\x04 not really")
    assert "no npz file" in fault_of(lambda: source.schema(tmp_path)).label()
    write_npz(tmp_path, x_train=np.zeros((5, 2)), x_test=np.zeros((5, 3)))
    assert "differ in shape" in fault_of(lambda: source.schema(tmp_path)).label()
    write_npz(tmp_path, words=np.array(["a", "b"]))
    assert "no arrays of numbers" in fault_of(lambda: source.schema(tmp_path)).label()


def test_missing_files_are_refused_with_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cats.npz").write_bytes(b"")
    for path, mended in (
        ("photos/cat.npz", "photos/cats.npz"),
        ("photo/cats.npz", "photos/cats.npz"),
    ):
        message = fault_of(partial(Npz(path).schema, tmp_path))
        assert message.help() == f"did you mean `{mended}`?"
    assert "it is a folder" in fault_of(lambda: Npz("photos").schema(tmp_path)).label()
    message = fault_of(lambda: Npz("nothing/alike.npz").schema(tmp_path))
    assert message.help() is None


@pytest.mark.skipif(not SHARED.is_dir(), reason="../shared/data is absent")
@pytest.mark.parametrize("path", ["mnist/mnist_10k.npz", "cifar10/cifar10_4k.npz"])
def test_real_archives(path: str) -> None:
    source = Npz(path)
    arrays = check_source(source, SHARED)
    assert arrays["x"].dtype == np.uint8
    given = source.given_splits(SHARED)
    assert given is not None
    assert list(given) == ["train", "test"]


# --- csv ----------------------------------------------------------------------------------------

TABLE = """\
size,rooms,kind,`odd` "name",note
1.5,3,house,1e-3,
2,4,"flat, small",-7,a
NA,5,house,+2.5,b
"""


def write_csv(folder: Path, text: str) -> None:
    (folder / "table.csv").write_text(text, encoding="utf-8")


def test_csv_columns(tmp_path: Path) -> None:
    write_csv(tmp_path, TABLE)
    source = Csv("table.csv")
    arrays = check_source(source, tmp_path)
    size, rooms, kind, odd, note = source.schema(tmp_path)
    assert (str(size.type), size.missing) == ("f32[]", True)
    assert (str(rooms.type), rooms.words) == ("i64[]", False)
    assert kind.categories == ("flat, small", "house")
    assert odd.name == '`odd` "name"'
    assert note.categories == ("", "a", "b")
    np.testing.assert_array_equal(arrays["size"], np.array([1.5, 2, np.nan], np.float32))
    assert arrays["kind"].tolist() == [1, 0, 1]
    assert arrays["note"].tolist() == [0, 1, 2]


def test_csv_dialects(tmp_path: Path) -> None:
    write_csv(tmp_path, "\ufeffa;b\n1,5;x\n\n2,25;y\n")
    arrays = check_source(Csv("table.csv", separator=";", decimal=","), tmp_path)
    assert arrays["a"].tolist() == [1.5, 2.25]
    write_csv(tmp_path, "1\t2\n3\t4\n")
    arrays = check_source(Csv("table.csv", separator="\t", header=False), tmp_path)
    assert arrays["c1"].tolist() == [2, 4]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "it is empty"),
        ("a,b\n", "it holds no rows"),
        ("a,a\n1,2\n", "twice"),
        ("a,\n1,2\n", "no name"),
    ],
)
def test_csv_refusals(tmp_path: Path, text: str, reason: str) -> None:
    write_csv(tmp_path, text)
    assert reason in fault_of(lambda: Csv("table.csv").schema(tmp_path)).label()


def test_csv_ragged_row_is_named_by_its_line(tmp_path: Path) -> None:
    write_csv(tmp_path, 'a,b\n1,2\n"x\ny",3\n4\n')
    message = fault_of(lambda: Csv("table.csv").schema(tmp_path))
    assert message.title() == "line 5 of `table.csv` has 1 cell"
    (tmp_path / "table.csv").write_bytes(b"a\n\xff\n")
    assert "UTF-8" in fault_of(lambda: Csv("table.csv").schema(tmp_path)).label()


def test_csv_settings(tmp_path: Path) -> None:
    for source in (Csv("t", separator=""), Csv("t", decimal="x"), Csv("t", ",", decimal=",")):
        fault_of(source.check)


def test_csv_follows_a_changed_file(tmp_path: Path) -> None:
    write_csv(tmp_path, "a\n1\n")
    assert Csv("table.csv").load(tmp_path)["a"].tolist() == [1]
    write_csv(tmp_path, "a\n12\n")
    assert Csv("table.csv").load(tmp_path)["a"].tolist() == [12]


@pytest.mark.skipif(not SHARED.is_dir(), reason="../shared/data is absent")
@pytest.mark.parametrize(
    "path",
    [
        "california_housing/housing.csv",
        "timeseries/pollution.csv",
        "timeseries/airline-passengers.csv",
        "timeseries/daily-min-temperatures.csv",
    ],
)
def test_real_tables(path: str) -> None:
    arrays = check_source(Csv(path), SHARED)
    table = pandas.read_csv(SHARED / path)
    assert list(table) == list(arrays)
    for name, series in table.items():
        if series.dtype.kind in "if":
            np.testing.assert_array_equal(
                arrays[str(name)], series.to_numpy(arrays[str(name)].dtype)
            )
