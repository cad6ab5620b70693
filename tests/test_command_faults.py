"""What the commands refuse: every message about files, weights and the command line is met."""

from __future__ import annotations

import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from weft.cli.main import run_command

SPEC = """model Net(width: int = 2) {
    input x: f32[batch, 3]
    output y = x -> dense(width) as fc
}
"""
DATA = """data digits(path: str = "table.csv") {
    source csv(path)
    split in_order, train=80%, val=20%
}
"""
TRAIN = """data digits {
    source sklearn("digits")
    image = image / 16
    split random(seed=0), train=80%, val=20%
}
model Net() {
    input image: f32[batch, 8, 8]
    output logits = image -> flatten -> dense(10)
}
train fit(lr: float = 1e-3) of Net on digits {
    minimize cross_entropy(logits, label) with adamw(lr=lr)
    batch 64
    epochs 1
}
train again(lr: float = 1e-3) of Net on digits {
    minimize cross_entropy(logits, label) with adamw(lr=lr)
    batch 64
    epochs 1
}
deploy fit as onnx { dynamic batch }
"""

Weft = Callable[..., str]


@pytest.fixture
def weft(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Weft:
    """Runs a command in a folder with a few specs; what it printed, its status at the end."""
    monkeypatch.chdir(tmp_path)
    Path("net.weft").write_text(SPEC)
    Path("train.weft").write_text(TRAIN)
    Path("data.weft").write_text(DATA)

    def run(*arguments: str) -> str:
        monkeypatch.setattr(sys, "argv", ["weft", *arguments])
        with pytest.raises(SystemExit) as ended:
            run_command()
        captured = capsys.readouterr()
        return f"{captured.out}{captured.err}status {ended.value.code or 0}"

    return run


@pytest.mark.parametrize(
    ("code", "arguments"),
    [
        ("W0901", "check nett.weft"),
        ("W0901", "run missing.onnx x=x.npy"),
        ("W0901", "eval train.weft"),
        ("W0903", "check net.weft --set width"),
        ("W0903", "show net.weft --size batch"),
        ("W0903", "show net.weft --size batch=0"),
        ("W0904", "show net.weft --size btach=3"),
        ("W0904", "compile net.weft -o out --item Nett"),
        ("W0904", "show net.weft Nett"),
        ("W0904", "new prices --template tabel"),
        ("W0904", "new encoder --model bert_bas"),
        ("W0905", "train net.weft -o out"),
        ("W0905", "compile data.weft -o out"),
        ("W0909", "new net"),
        ("W0909", "compile net.weft -o table.csv --onnx"),
        ("W0910", "explain W9999"),
        ("W0914", "compile train.weft -o out"),
        ("W0950", "check net.weft --set Net.wdith=3"),
        ("W0951", "check train.weft --set lr=3"),
        ("W0952", "check data.weft --set digits.header=3"),
    ],
)
def test_faults_of_the_command_line(weft: Weft, code: str, arguments: str) -> None:
    Path("table.csv").write_text("a,b\n1,2\n3,4\n")
    printed = weft(*arguments.split())
    assert f"error[{code}]" in printed
    assert "Traceback" not in printed
    assert printed.endswith("status 1")


def test_missing_weights_are_told_with_their_place(weft: Weft) -> None:
    printed = weft("compile", "train.weft", "-o", "out")
    assert "--> train.weft:" in printed
    assert "--weights output/train/fit/best.safetensors" in printed


def test_arguments_that_only_calls_give_are_no_settings(weft: Weft) -> None:
    block = "block act(x: f32[n, d], width: int, slope: float = 0.1) { return x -> relu }\n"
    Path("net.weft").write_text(block + SPEC)
    printed = weft("check", "net.weft", "--set", "height=3")
    assert "the file has `act.slope` and `Net.width`" in printed


def test_files_of_other_nets(weft: Weft) -> None:
    weft("compile", "net.weft", "-o", "out", "--onnx", "--no-verify")
    weights = {"dense.weight": np.zeros((10, 64), np.float32), "dense.bias": np.zeros(10, "f4")}
    save_file(weights, "w.safetensors")
    (model,) = Path("out").rglob("*.onnx")
    printed = weft("eval", "train.weft", "--onnx", str(model))
    assert "error[W1215]" in printed
    assert "it holds the net `Net`, not `fit`" in printed
    printed = weft("verify", "train.weft", str(model), "--weights", "w.safetensors")
    assert "error[W1215]" in printed
    assert "its inputs are `x`, those of the net `image`" in printed
    Path("net.weft").write_text(SPEC.replace("output y", "output z"))
    save_file({"fc.weight": np.zeros((2, 3), "f4"), "fc.bias": np.zeros(2, "f4")}, "w.safetensors")
    printed = weft("verify", "net.weft", str(model), "--weights", "w.safetensors")
    assert "its outputs are `y`, those of the net `z`" in printed


def test_weights_that_do_not_fit(weft: Weft) -> None:
    compile_net = ["compile", "net.weft", "-o", "out", "--no-verify", "--weights", "w.safetensors"]
    save_file({"fc.weigth": np.zeros((2, 3), np.float32)}, "w.safetensors")
    printed = weft(*compile_net)
    assert "error[W0907]" in printed
    assert "fc.weigth" in printed, "the near name is shown"
    wrong = {"fc.weight": np.zeros((2, 4), np.float32), "fc.bias": np.zeros(2, np.float32)}
    save_file(wrong, "w.safetensors")
    assert "error[W0908]" in weft(*compile_net)
    Path("w.safetensors").write_bytes(b"nothing")
    assert "error[W0906]" in weft(*compile_net)


def test_inputs_that_do_not_fit(weft: Weft) -> None:
    printed = weft("compile", "net.weft", "-o", "out", "--onnx", "--no-verify")
    assert "warning[W0915]" in printed, "fresh weights are told"
    model = str(next(Path("out").rglob("*.onnx")))
    np.save("wide.npy", np.zeros((1, 9), np.float32))
    assert "error[W0912]" in weft("run", model, "x=wide.npy")
    np.save("text.npy", np.array([["a", "b", "c"]]))
    assert "error[W1421]" in weft("run", model, "x=text.npy")
    Path("x.npy").write_bytes(b"")
    Path("x.npz").write_text("nothing")
    Path("x.png").write_text("nothing")
    np.save("pickled.npy", np.array([{}], dtype=object))
    with zipfile.ZipFile("empty.npz", "w"):
        pass
    for name in ("x.npy", "x.npz", "x.png", "pickled.npy", "empty.npz"):
        assert "error[W0913]" in weft("run", model, f"x={name}"), name
