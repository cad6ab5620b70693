"""Data whose files do not fit a spec: what a check says of archives and folders of images."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from compiler.data import images
from compiler.driver import check_source
from compiler.report.diagnostics import Sink
from compiler.report.source import Source
from weft.cli.main import app

SPEC = "data rows {{\n    source {}\n    split random(seed=0), train=80%, val=20%\n}}\n"


def write_image(path: Path, height: int, width: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.zeros((height, width), np.uint8)).save(path)


def write_archive(folder: Path) -> None:
    np.savez(folder / "rows.npz", x=np.zeros((5, 2)), y=np.zeros(4))


def write_sizes(folder: Path) -> None:
    write_image(folder / "pets" / "a.png", 6, 4)
    write_image(folder / "pets" / "b.png", 6, 5)


def write_masks(folder: Path) -> None:
    write_image(folder / "pets" / "a.png", 6, 4)
    write_image(folder / "pets" / "b.png", 6, 4)
    write_image(folder / "masks" / "a.png", 6, 4)


@pytest.mark.parametrize(
    ("code", "source", "write", "word"),
    [
        ("W0706", 'npz("rows.npz")', write_archive, '"rows.npz"'),
        ("W0707", 'npz("rows.npz", columns=["x", "z"])', write_archive, '["x", "z"]'),
        ("W0708", 'images("pets")', write_sizes, '"pets"'),
        ("W0710", 'images("pets", size=[4, 4], mask="masks")', write_masks, '"masks"'),
    ],
)
def test_files_that_do_not_fit(
    code: str, source: str, write: Callable[[Path], None], word: str, tmp_path: Path
) -> None:
    write(tmp_path)
    sink = Sink()
    check_source(Source(str(tmp_path / "spec.weft"), SPEC.format(source)), sink=sink)
    (message,) = sink.messages
    assert message.code == code
    assert message.span is not None
    assert message.span.text == word


# --- what does not fit into memory --------------------------------------------------------------


def check_data(text: str, folder: Path) -> str:
    (folder / "s.weft").write_text(text)
    return CliRunner().invoke(app, ["check", "--data", str(folder / "s.weft")]).stderr


@pytest.mark.parametrize(("size", "available"), [(0, 40), (100, 40_000), (100_000, 2**30)])
def test_images_that_memory_does_not_hold_are_refused_before_they_are_read(
    size: int, available: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_sizes(tmp_path)
    (tmp_path / "pets" / "b.png").unlink()
    monkeypatch.setattr(images, "find_available", lambda: available)
    source = f'images("pets", size=[{size}, {size}])' if size else 'images("pets")'
    found = check_data(SPEC.format(source), tmp_path)
    assert "error[W1341]: the images of `pets` need " in found
    assert f"u8[1, 1, {size or 6}, {size or 4}] takes " in found


def test_columns_that_memory_does_not_hold_are_refused_before_they_are_computed(
    tmp_path: Path,
) -> None:
    np.savez(tmp_path / "d.npz", x=np.zeros((100, 2), np.float32))
    source = 'npz("d.npz")\n    wide = one_hot(cast(x, i64), 100000000)'
    found = check_data(TRAIN.format(source, "cast(wide[:, 0, 0:2], f32)"), tmp_path)
    assert "error[W1341]: the columns of `rows` need " in found
    assert "[rows, 2, 100000000] takes " in found


# --- what no row says ---------------------------------------------------------------------------

TRAIN = (
    "model M {{ input x: f32[n, 2]  output y: f32[n, 2] = x -> dense(2) }}\n"
    + SPEC
    + "train fit of M on rows {{ minimize mean(y) + mean({}) with sgd\n batch 2  epochs 1 }}\n"
)


@pytest.mark.parametrize("op", ['fill(e, "mean")', 'fill(e, "median")', "standardize(e)"])
def test_a_figure_of_no_number_is_told_where_it_is_fitted(op: str, tmp_path: Path) -> None:
    lines = ["a,b,e", *(f"{i},{i / 2},{'5' if i > 7 else ''}" for i in range(10))]
    (tmp_path / "t.csv").write_text("\n".join(lines))
    columns = f"x = stack([a, b])\n    z = {op}\n    w = 2 * z"
    text = TRAIN.format(f'csv("t.csv")\n    {columns}', "w) + mean(z")
    found = check_data(text.replace("random(seed=0)", "in_order"), tmp_path)
    assert found.count("error[") == 1
    assert "error[W1342]" in found
    assert "8 rows, and the cell of each is missing" in found
    assert f"{op}\n" in found
    filled = "fill(e, 0)" if op.startswith("fill") else "standardize(fill(e, 0))"
    mended = text.replace(op, filled).replace("random(seed=0)", "in_order")
    assert "error" not in check_data(mended, tmp_path)


def test_a_train_that_reads_no_raw_column_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "d.npz", a=np.zeros((100, 2), np.float32))
    source = 'npz("d.npz")\n    x = tensor([1.0, 2.0])'
    assert "error[W1343]" in check_data(TRAIN.format(source, "x"), tmp_path)
    assert "error" not in check_data(TRAIN.format(source, "a"), tmp_path)
