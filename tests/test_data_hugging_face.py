"""Data sets of Hugging Face: folders that the library left, and what the hub says."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from compiler.data.hugging_face import HuggingFace
from compiler.report.diagnostics import Fault
from tests.faults import Somewhere, fault_of
from tests.loading_alike import assert_script_loads_alike
from tests.sources import check_source, refused

datasets = pytest.importorskip("datasets")


@pytest.fixture(autouse=True)
def _offline(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    datasets.disable_progress_bars()
    cache = tmp_path_factory.mktemp("cache")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", cache)
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)


def make_rows(first: int, end: int, *, images: bool = True) -> Any:
    features = {
        "n": datasets.Value("int64"),
        "x": datasets.Value("float32"),
        "kind": datasets.Value("string"),
        "label": datasets.ClassLabel(names=["b", "a"]),
        "v": datasets.List(datasets.Value("float32")),
        "day": datasets.Value("timestamp[s]"),
    }
    rows = range(first, end)
    columns: dict[str, Any] = {
        "n": list(rows),
        "x": [None if k % 2 else k / 2 for k in rows],
        "kind": [f"w{k % 2}" for k in rows],
        "label": [k % 2 for k in rows],
        "v": [[k, 1.5] for k in rows],
        "day": [86400 * k for k in rows],
    }
    if images:
        features["photo"] = datasets.Image()
        pixels = [np.full((4, 5, 3), k, np.uint8) for k in rows]
        columns["photo"] = [Image.fromarray(p) for p in pixels]
    return datasets.Dataset.from_dict(columns, features=datasets.Features(features))


def save_parts(folder: Path) -> None:
    parts = {"train": make_rows(0, 6), "test": make_rows(6, 9)}
    datasets.DatasetDict(parts).save_to_disk(folder / "saved")
    parts["train"].save_to_disk(folder / "single")
    (folder / "parquet").mkdir()
    for name, part in parts.items():
        part.to_parquet(folder / "parquet" / f"{name}-0.parquet")


def test_folders_of_every_kind_give_equal_rows(tmp_path: Path) -> None:
    save_parts(tmp_path)
    for path, split in (("saved", None), ("parquet", None), ("saved", "train"), ("single", None)):
        source = HuggingFace(f"./{path}", split=split)
        arrays = check_source(source, tmp_path)
        whole = split is None and path != "single"
        assert source.given_splits(tmp_path) == ({"train": 6, "test": 3} if whole else None)
        rows = 9 if whole else 6
        assert arrays["n"].tolist() == list(range(rows))
        assert arrays["photo"][:, 2, 3, 4].tolist() == list(range(rows))
        kinds = {c.name: (str(c.type), c.categories, c.missing) for c in source.schema(tmp_path)}
        assert kinds == {
            "n": ("i64[]", (), False),
            "x": ("f32[]", (), True),
            "kind": ("i64[]", ("w0", "w1"), False),
            "label": ("i64[]", ("b", "a"), False),
            "v": ("f32[2]", (), False),
            "day": ("i64[]", (), False),
            "photo": ("u8[3, 4, 5]", (), False),
        }
        assert arrays["day"].tolist() == [86400 * k for k in range(rows)]
        assert source.attributes(tmp_path) == {"classes": 2}
    part = check_source(HuggingFace("./parquet", split="train[2:4]"), tmp_path)
    assert part["n"].tolist() == [2, 3]
    small = HuggingFace("./single", size=(2, 3), categories=("n",))
    assert check_source(small, tmp_path)["photo"].shape == (6, 3, 2, 3)


def test_rows_without_class_and_images_of_two_sizes(tmp_path: Path) -> None:
    make_rows(0, 2, images=False).save_to_disk(tmp_path / "plain")
    columns = {
        "label": [0, None],
        "photo": [Image.new("L", (3, 2)), Image.new("L", (3, 4))],
    }
    features = datasets.Features(
        {"label": datasets.ClassLabel(names=["a", "b"]), "photo": datasets.Image()}
    )
    datasets.Dataset.from_dict(columns, features=features).save_to_disk(tmp_path / "odd")
    message = fault_of(lambda: HuggingFace("./odd").schema(tmp_path))
    assert message.text.label == "`row 0` has 2×3 pixels, `row 1` 4×3"
    label, photo = HuggingFace("./odd", size=(2, 2)).schema(tmp_path)
    assert label.trouble is not None
    assert label.trouble.text.label == "rows have no class"
    assert str(photo.type) == "u8[1, 2, 2]"
    assert set(HuggingFace("./odd", size=(2, 2)).load(tmp_path)) == {"label", "photo"}


def test_what_cannot_be_loaded(tmp_path: Path) -> None:
    save_parts(tmp_path)
    message = fault_of(lambda: HuggingFace("acme/homes").schema(tmp_path))
    assert message.code == "W1686"
    assert "acme/homes" in message.text.label
    assert "hf download --repo-type dataset acme/homes" in (message.text.help or "")
    assert fault_of(lambda: HuggingFace("./nothing").schema(tmp_path)).code == "W0701"
    with refused("it has no split `trian`"):
        HuggingFace("./saved", split="trian").schema(tmp_path)
    with refused("trian"):
        HuggingFace("./parquet", split="trian").schema(tmp_path)
    (tmp_path / "empty").mkdir()
    assert fault_of(lambda: HuggingFace("./empty").schema(tmp_path)).code == "W1686"
    for name in ("a/b/c", "", "a b", "hf:a/b"):
        assert fault_of(lambda n=name: HuggingFace(n)).code == "W0705"  # type: ignore[misc]


@contextmanager
def note_faults() -> Iterator[list[str]]:
    """The codes of the faults of a block."""
    codes: list[str] = []
    try:
        yield codes
    except Fault as fault:
        codes.append(fault.make(Somewhere()).code)


def test_damaged_folders_are_told(tmp_path: Path) -> None:
    save_parts(tmp_path)
    single = HuggingFace("./single")
    for path in sorted((tmp_path / "single").iterdir()):
        whole = path.read_bytes()
        for data in (whole[: len(whole) // 2], b"", b"{}"):
            path.write_bytes(data)
            with note_faults() as faults:
                single.load(tmp_path)
            told = "".join(faults)
            # The file of what the data is about says nothing that is needed.
            assert told == "W1686" or (not told and path.name == "dataset_info.json")
        path.write_bytes(whole)
    assert len(single.load(tmp_path)["n"]) == 6
    path = tmp_path / "parquet" / "train-0.parquet"
    path.write_bytes(path.read_bytes()[:-9])
    message = fault_of(lambda: HuggingFace("./parquet").schema(tmp_path))
    assert message.code == "W1686"
    assert "generating" not in message.text.label


SPEC = """
data rows {
    source hf("./saved")
    pixels = photo / 255
    split given(seed=0), val=2
}
model Net() {
    input pixels: f32[batch, 3, 4, 5]
    output y = pixels -> flatten -> dense(rows.classes) as head
}
train fit of Net on rows {
    minimize cross_entropy(y, label) with sgd(lr=0.1)
    batch 2
    epochs 1
}
"""


def test_a_script_loads_what_weft_loads(tmp_path: Path) -> None:
    save_parts(tmp_path)
    assert_script_loads_alike(SPEC, tmp_path)
