"""Curves and samples of a training in the report of a build."""

from __future__ import annotations

import math
import re
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
from PIL import Image
from typer.testing import CliRunner

from tests.train_scripts import VAE, save_data
from weft.building.training_pictures import draw_curves
from weft.cli.main import app

RECORDS = [
    {
        "epoch": k,
        "train.loss": 2.0 / k,
        "val.loss": math.nan if k == 2 else 3.0 / k,
        "val.<b>": float(k),
        "lr": 0.1,
        "lr.1": 0.2,
        "seconds": 1.0,
    }
    for k in range(1, 6)
]


def test_figures_have_a_picture_each_and_splits_a_line() -> None:
    loss, other, rate = map(ElementTree.fromstring, draw_curves(RECORDS, best=4))
    lines = loss.findall("path[@class='curve']")
    assert [len(line.attrib["d"].split("L")) for line in lines] == [5, 4], "NaN has no point"
    assert [text.text for text in loss.findall("text")][-2:] == ["train.loss", "val.loss"]
    heights = [float(point.split()[1]) for point in lines[0].attrib["d"][1:].split("L")]
    assert heights == sorted(heights), "it falls"
    assert other.attrib["aria-label"] == "<b> over epochs"
    assert len(rate.findall("path[@class='curve']")) == 2
    marks = [path.find("title") for path in loss.findall("path")]
    assert [m.text for m in marks if m is not None] == ["the weights of epoch 4 are kept"]


def test_one_epoch_and_figures_that_never_are_numbers_draw_nothing() -> None:
    assert draw_curves(RECORDS[:1], best=1) == []
    assert draw_curves([{"epoch": k, "val.x": math.inf} for k in (1, 2)], best=1) == []
    assert draw_curves([], best=0) == []


def test_a_report_has_curves_and_the_last_samples(tmp_path: Path) -> None:
    save_data(tmp_path)
    text = VAE.replace(
        "    batch 64",
        "    sample grid = sigmoid(decoder(normal([4, 4]))) -> reshape([4, 8, 8])\n    batch 64",
    )
    assert text != VAE
    text = re.sub(r"epochs \d+", "epochs 2", text)
    (tmp_path / "spec.weft").write_text(text)
    given = ["build", str(tmp_path / "spec.weft"), "-o", str(tmp_path / "out"), "--device", "cpu"]
    done = CliRunner().invoke(app, given)
    assert done.exit_code == 0, (done.output, done.exception)
    page = (tmp_path / "out" / "report.html").read_text()
    assert 'aria-label="loss over epochs"' in page
    assert page.count("data:image/png;base64,") == 1
    assert "grid, epoch 2</figcaption>" in page
    samples = next((tmp_path / "out").glob("*/samples"))
    (samples / "grid-0002.png").unlink()
    (samples / "grid-0009.png").symlink_to(samples / "grid-0001.png")
    Image.fromarray(np.zeros((2, 2), np.uint8)).save(samples / "gridx-0007.png")
    (samples / "grid-0009.png").unlink()
    done = CliRunner().invoke(app, given)
    assert done.exit_code == 0, (done.output, done.exception)
    assert "grid, epoch 1</figcaption>" in (tmp_path / "out" / "report.html").read_text()
