"""`weft inspect` of nets whose outputs are no scores of classes, and of several nets of a train."""

from __future__ import annotations

import json
from pathlib import Path

from tests.test_inspect import run, write_bars

CODES = """
model Encoder {
    input image: f32[batch, 1, 16, 16]
    output code: f32[batch, 3] = image -> conv(4, kernel=3, stride=4) as conv1 -> relu
        -> flatten -> dense(3)
}
model Decoder {
    input code: f32[batch, 3]
    output image: f32[batch, 256] = code -> dense(16) -> relu -> dense(256)
}
model Size {
    input code: f32[batch, 3]
    output size = code -> dense(8) -> relu -> dense(1)
}
data bars {
    source npz("bars.npz")
    split in_order, train=600, test=100
}
train fit on bars {
    net down = Encoder()
    net up = Decoder()
    net size = Size()
    code = down(image)
    minimize mse(up(code), image -> flatten) + mse(size(code), mean(image, axis=[1, 2, 3])[:, none])
        with adam(lr=1e-2)
    metric far = mean(abs(size(code)[:, 0] - cast(label, f32))), better="lower"
    batch 100  epochs 1
}
"""


def test_nets_without_classes_predict_nothing(tmp_path: Path) -> None:
    """They are explained for an entry of their output, in a folder for each net."""
    spec = write_bars(tmp_path)
    spec.write_text(CODES)
    out = str(tmp_path / "out")
    (said,) = run("inspect", str(spec), "fit.down", "-o", out)[1]
    assert said.startswith("W1496")
    run("train", str(spec), "-o", out, "--device", "cpu")
    told = {}
    for net in ("down", "size"):
        told[net] = run("inspect", str(spec), f"fit.{net}", "-o", out, "--rows", "3,4")[0]
        assert "predicted" not in told[net]
    assert "row 3: code[" in told["down"]
    assert "the score falls by" in told["down"]
    assert "row 4: size = " in told["size"]
    told_so = run("inspect", str(spec), "fit.down", "-o", out, "--rows", "3", "--class", "2")[0]
    assert "row 3: code[2] = " in told_so
    folder = tmp_path / "out/fit/inspect"
    assert sorted(path.name for path in folder.iterdir()) == ["down", "size"]
    found = json.loads((folder / "size/inspect.json").read_text())
    assert (found["net"], found["rows"][0]["entry"]) == ("fit.size", "size")
    run("build", str(spec), "-o", out, "--device", "cpu")
    report = (tmp_path / "out" / "report.html").read_text()
    assert "fit.down: saliency, row 3: code[2] = " in report
    assert "fit.size: PCA" in report
