"""Weft from Python: checked specs, modules, files, data from arrays."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import weft

SPEC = """
model Net(classes: int = 10, width: int = 32) {
    input image: f32[batch, 8, 8]
    output logits = image -> flatten -> dense(width) as stem -> relu -> dense(classes) as head
}
data digits {
    source sklearn("digits")
    image = image / 16
    split random(seed=0), train=80%, val=20%
}
train fit(width: int = 16) of Net(width=width) on digits {
    minimize cross_entropy(logits, label) with adamw(lr=3e-3)
    metric accuracy = accuracy(logits, label)
    batch 64  epochs 2  seed 0
}
deploy fit as onnx { dynamic batch }
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    spec = tmp_path / "net.weft"
    spec.write_text(SPEC)
    return spec


def test_a_model_in_pytorch_and_onnx(path: Path, tmp_path: Path) -> None:
    import onnxruntime
    import torch

    spec = weft.load(path, {"Net.width": 20})
    model = spec.model("Net")
    assert model.parameters == 64 * 20 + 20 + 20 * 10 + 10
    assert "class Net(nn.Module)" in model.source()
    weights = model.weights(seed=3)
    module = model.torch(weights)
    image = np.random.default_rng(0).normal(size=(3, 8, 8)).astype(np.float32)
    expected = module(torch.from_numpy(image)).detach().numpy()
    file = spec.onnx("Net", tmp_path / "net.onnx", weights)
    session = onnxruntime.InferenceSession(file)
    (found,) = session.run(None, {"image": image})
    np.testing.assert_allclose(found, expected, atol=1e-5)
    other = model.torch(seed=4)
    assert not torch.equal(other.state_dict()["stem.weight"], module.state_dict()["stem.weight"])


def test_weights_from_a_file(path: Path, tmp_path: Path) -> None:
    from safetensors.numpy import save_file

    spec = weft.load(path)
    weights = spec.model("fit").weights(seed=1)
    save_file(weights, tmp_path / "w.safetensors")
    again = spec.model("fit").weights(tmp_path / "w.safetensors")
    for name, array in weights.items():
        np.testing.assert_array_equal(again[name], array)
    with pytest.raises(weft.WeftError, match="W0908"):
        spec.model("Net").weights(tmp_path / "w.safetensors")
    with pytest.raises(weft.WeftError, match="W0906"):
        spec.model("Net").weights("no_such_file.safetensors")


def test_faults_are_raised_with_their_text(path: Path) -> None:
    path.write_text(SPEC.replace("batch 64", "batch 0"))
    with pytest.raises(weft.WeftError, match=r"W0601.*\n.*net.weft:14:11") as caught:
        weft.load(path)
    assert [m.code for m in caught.value.messages] == ["W0601"]
    assert [m.code for m in weft.check(path)] == ["W0601"]
    path.write_text(SPEC)
    assert weft.check(path) == ()
    with pytest.raises(weft.WeftError, match="did you mean `Net`"):
        weft.load(path).model("Nett")
    with pytest.raises(weft.WeftError, match="did you mean `digits`"):
        weft.load(path).data("digit")
    with pytest.raises(weft.WeftError, match="there is no parameter"):
        weft.load(path, {"fit.wdth": 3})


def test_arrays_in_place_of_a_source(path: Path) -> None:
    image = np.random.default_rng(0).integers(0, 17, (40, 8, 8)).astype(np.uint8)
    columns: dict[str, Any] = {"digits": {"image": image, "label": np.arange(40) % 10}}
    spec = weft.load(path, data=columns)
    data = spec.data("digits")
    np.testing.assert_allclose(data.columns["image"], image / 16)
    assert [len(data.rows[name]) for name in ("train", "val")] == [32, 8]
    assert spec.check() == ()
    columns["digits"]["label"] = np.arange(40)
    (message,) = weft.load(path, data=columns).check()
    assert message.code == "W0724"
    columns["digits"] = {"image": image.tolist(), "label": [0, 1] * 20}
    assert weft.load(path, data=columns).data("digits").columns["image"].shape == (40, 8, 8)
    with pytest.raises(weft.WeftError, match="one number of rows"):
        weft.load(path, data={"digits": {"image": image, "label": np.arange(3)}})
    with pytest.raises(weft.WeftError, match="did you mean `digits`"):
        weft.load(path, data={"digts": {"image": image, "label": np.arange(40) % 10}})
    assert [m.code for m in weft.check(path, data={"digts": {"image": image}})] == ["W0904"]


@pytest.mark.parametrize(
    ("data", "code", "told"),
    [
        ([1, 2], "W1381", "`data=` takes columns by data item"),
        ({"digits": [1, 2]}, "W1381", "the data item `digits` takes columns by name"),
        ({"digits": 3}, "W1381", "a value of type `int`"),
        ({"digits": {"image": object()}}, "W1379", "the column `image` cannot be taken"),
        ({"digts": {"image": [1.0]}}, "W0904", "did you mean `digits`"),
        ({3: {"image": [1.0]}}, "W0904", "there is no data item `3`"),
    ],
)
def test_data_that_is_no_columns(data: Any, code: str, told: str) -> None:
    text = 'data digits { source csv("not there.csv") }'
    with pytest.raises(weft.WeftError, match=re.escape(told)) as caught:
        weft.loads(text, data=data)
    assert [m.code for m in caught.value.messages] == [code]


def test_unknown_columns_list_what_there_is(tmp_path: Path) -> None:
    (tmp_path / "d.csv").write_text("height,age\n1.5,3\n2.5,4\n")
    path = tmp_path / "spec.weft"
    path.write_text('data d {\n    source csv("d.csv")\n    x = zzz * 2\n}\n')
    message = next(m for m in weft.check(path) if m.code == "W0201")
    assert message.text.help == "there is `height` and `age`"


def test_overrides_take_python_values(path: Path) -> None:
    spec = weft.load(path, {"fit.width": 8, "classes": 11})
    assert spec.graph("fit").parameter["stem.weight"].value.type.known_shape == (8, 64)
    assert spec.graph("Net").outputs[0].value.type.shape[1] == 11


def test_build(path: Path, tmp_path: Path) -> None:
    report = weft.load(path).build(tmp_path / "out", device="cpu")
    assert (tmp_path / "out" / "fit.onnx").is_file()
    assert [section.title for section in report.sections] == ["train fit", "deploy fit as onnx"]


def test_a_build_on_arrays_of_the_program(tmp_path: Path) -> None:
    spec = tmp_path / "net.weft"
    spec.write_text(
        SPEC.replace('sklearn("digits")', 'npz("nowhere.npz")').replace("epochs 2", "epochs 1")
        + "variant small of fit { apply prune(channels=50%) -> finetune(epochs=1) }\n"
        "deploy small as onnx\n"
    )
    drawn = np.random.default_rng(0)
    image = drawn.integers(0, 17, (200, 8, 8)).astype(np.uint8)
    columns: dict[str, Any] = {"digits": {"image": image, "label": drawn.integers(0, 10, 200)}}
    first = weft.load(spec, data=columns)
    first.build(tmp_path / "out", device="cpu")
    best = tmp_path / "out" / "fit" / "best.safetensors"
    assert (tmp_path / "out" / "small.onnx").is_file()
    assert first.variant("small", tmp_path / "out").parameters < first.model("fit").parameters
    before = best.read_bytes()
    columns["digits"]["image"] = image[::-1]
    weft.load(spec, data=columns).build(tmp_path / "out", device="cpu")
    assert best.read_bytes() != before, "other rows are another training"


def test_importing_weft_brings_nothing_heavy() -> None:
    script = "import sys, weft; print(sorted({'numpy', 'torch', 'onnx'} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=Path(__file__).resolve().parents[1],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "[]"
    script = "import sys, weft; weft.load; print(sorted({'torch', 'onnx'} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=Path(__file__).resolve().parents[1],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "[]"
    with pytest.raises(AttributeError):
        _ = weft.nothing


def test_weights_are_tensors_too(path: Path, tmp_path: Path) -> None:
    import onnxruntime
    import torch
    from safetensors.torch import save_file

    model = weft.load(path).model("Net")
    module = model.torch(seed=5)
    save_file(module.state_dict(), tmp_path / "net.safetensors")
    image = np.ones((2, 8, 8), np.float32)
    expected = module(torch.from_numpy(image)).detach().numpy()
    arrays = {name: tensor.numpy() for name, tensor in module.state_dict().items()}
    for number, given in enumerate((module.state_dict(), arrays, tmp_path / "net.safetensors")):
        file = model.onnx(tmp_path / f"net{number}.onnx", given)
        (found,) = onnxruntime.InferenceSession(file).run(None, {"image": image})
        np.testing.assert_allclose(found, expected, atol=1e-5)
    halves = {name: tensor.bfloat16() for name, tensor in module.state_dict().items()}
    assert model.weights(halves)["stem.weight"].dtype == np.float32
    with pytest.raises(weft.WeftError, match=r"W\d+.*\n*.*missing|lacks|has no"):
        model.onnx(tmp_path / "x.onnx", {"stem.weight": arrays["stem.weight"]})
    with pytest.raises(weft.WeftError, match="extra"):
        model.onnx(tmp_path / "x.onnx", {**arrays, "extra": np.zeros(1, np.float32)})


def test_modules_are_copied_and_pickled(path: Path, tmp_path: Path) -> None:
    import copy
    import pickle

    import torch

    module = weft.load(path).model("Net").torch(seed=6)
    other = copy.deepcopy(module)
    assert type(other) is type(module)
    assert other.stem.weight is not module.stem.weight
    assert torch.equal(other.stem.weight, module.stem.weight)
    (tmp_path / "net.pickle").write_bytes(pickle.dumps(module))
    script = (
        "import pickle, sys, torch\n"
        "net = pickle.load(open(sys.argv[1], 'rb'))\n"
        "print(net(torch.ones(1, 8, 8)).double().sum().item(), type(net).__name__)"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "net.pickle")]
    root = Path(__file__).resolve().parents[1]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    total, name = done.stdout.split()
    assert name == "Net"
    assert float(total) == pytest.approx(module(torch.ones(1, 8, 8)).double().sum().item())


def test_a_spec_is_a_text_too_and_models_take_arguments(path: Path) -> None:
    spec = weft.loads(SPEC)
    assert spec.model("Net").parameters == weft.load(path).model("Net").parameters
    assert spec.model("Net", width=8).parameters == 64 * 8 + 8 + 8 * 10 + 10
    wide = weft.loads(SPEC, {"Net.width": 8})
    assert wide.model("Net", classes=3).parameters == 520 + 27  # `fit` could not take three
    assert weft.loads(SPEC).model("fit", width=4).parameters == 64 * 4 + 4 + 4 * 10 + 10
    with pytest.raises(weft.WeftError, match="depth"):
        spec.model("Net", depth=3)
    with pytest.raises(weft.WeftError, match="width"):
        spec.model("Net", width="wide")
    with pytest.raises(weft.WeftError, match="<text>:1:"):
        weft.loads("model M( {")


def test_what_is_shown_is_a_line_and_a_table(path: Path) -> None:
    spec = weft.load(path)
    for shown in (spec, spec.model("Net"), spec.model("fit")):
        assert "\n" not in repr(shown)
        assert len(repr(shown)) < 300
        assert shown._repr_html_().startswith("<table>")
    assert repr(spec.model("Net")) == (
        "<Model Net(image: f32[batch, 8, 8]) -> logits: f32[batch, 10]>"
    )
    assert "trains fit" in repr(spec)
    text = SPEC.replace("output logits", "output `<b>`").replace("(logits,", "(`<b>`,")
    html = weft.loads(text).model("Net")._repr_html_()
    assert "<b>" not in html
    assert "output &lt;b&gt;" in html


def test_a_train_is_run_and_a_file_measured(path: Path, tmp_path: Path) -> None:
    spec = weft.load(path)
    done = spec.train("fit", tmp_path / "out", device="cpu")
    assert done.epochs == 2
    assert done.weights.is_file()
    assert repr(done).startswith("<Training fit: epoch ")
    assert "<td>val</td>" in done._repr_html_()
    spec.model("fit").onnx(tmp_path / "out" / "fit.onnx", done.weights)
    figures = spec.eval("fit", tmp_path / "out", device="cpu")
    assert figures["accuracy"] == pytest.approx(done.figures["val"]["accuracy"], abs=1e-3)
    with pytest.raises(weft.WeftError, match=r"there is `fit`|did you mean `fit`"):
        spec.train("fitt", tmp_path / "out")
    with pytest.raises(weft.WeftError, match="W09"):
        spec.eval("fit", tmp_path / "nowhere")
    (tmp_path / "file").touch()
    with pytest.raises(weft.WeftError, match="cannot be written"):
        spec.model("Net").onnx(tmp_path / "file" / "x.onnx")
