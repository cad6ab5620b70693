"""Data whose files do not fit a spec: what a check says of archives and folders of images."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from compiler.diagnostics import Sink
from compiler.driver import check_source
from compiler.source import Source

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
