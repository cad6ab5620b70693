"""`weft inspect` beside formulas by hand, on nets with other shapes than images too."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from backends.pytorch.modules import emit_module
from backends.pytorch.run.attribution import (
    ScoredNet,
    measure_deletion,
)
from backends.pytorch.run.load import assign_weights, load_module
from compiler.report.diagnostics import CompileError
from tests.elaborating import build
from tests.pytorch_compare import draw_lively
from weft.cli.main import app
from weft.inspection.layers import choose_features, choose_map, find_attention, list_layers
from weft.inspection.methods import METHODS
from weft.inspection.pictures import draw_filters, draw_image, draw_points, resize

SHAPES = """
## Bars that lie or stand somewhere in noise.
model Net(width: int = 6) {
    input image: f32[batch, 1, 16, 16]
    features = image -> conv(width, kernel=3, padding=1) as conv1 -> relu -> max_pool(2)
        -> conv(8, kernel=3, padding=1) as conv2 -> relu
    output logits = features -> mean(axis=[2, 3]) -> dense(2) as head
}
data bars {
    source npz("bars.npz")
    split in_order, train=600, test=100
}
train fit of Net on bars {
    minimize cross_entropy(logits, label) with adamw(lr=1e-2)
    metric accuracy = accuracy(logits, label)
    batch 50  epochs EPOCHS  seed 1
}
"""


def write_bars(folder: Path, epochs: int = 6) -> Path:
    generator = np.random.default_rng(3)
    image = generator.uniform(0, 0.4, (700, 1, 16, 16)).astype(np.float32)
    label = generator.integers(0, 2, 700)
    for one, kind in zip(image[:, 0], label, strict=True):
        top, left = generator.integers(1, 9, 2)
        height, width = (2, 6) if kind else (6, 2)
        one[top : top + height, left : left + width] += 0.6
    np.savez(folder / "bars.npz", image=image, label=label)
    spec = folder / "bars.weft"
    spec.write_text(SHAPES.replace("EPOCHS", str(epochs)))
    return spec


def run(*arguments: str) -> tuple[str, list[str]]:
    """What is printed, and the codes and texts of a refusal."""
    done = CliRunner().invoke(app, list(arguments))
    if isinstance(done.exception, CompileError):
        messages = done.exception.messages
        said = [f"{m.code} {m.text.title} {m.text.label} {m.text.help}" for m in messages]
        return done.output, said
    assert done.exit_code == 0, (done.output, done.exception)
    return done.output, []


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    spec = write_bars(tmp_path_factory.mktemp("bars"))
    run("train", str(spec), "-o", str(spec.parent / "out"), "--device", "cpu")
    return spec


def inspect(spec: Path, *arguments: str) -> dict[str, Any]:
    said, faults = run("inspect", str(spec), "-o", str(spec.parent / "out"), *arguments)
    assert not faults, faults
    assert "wrote" in said
    found: dict[str, Any] = json.loads((spec.parent / "out/fit/inspect/inspect.json").read_text())
    return found


# --- beside formulas by hand ------------------------------------------------------------------


def load_by_hand(spec: Path) -> tuple[torch.nn.Module, torch.Tensor]:
    """The module of the training's own model.py, with its weights, and the test images."""
    from safetensors.torch import load_file

    folder = spec.parent / "out" / "fit"
    scope: dict[str, Any] = {"__name__": "model"}
    exec(compile((folder / "model.py").read_text(), "model.py", "exec"), scope)
    module = scope["Net"]()
    module.load_state_dict(load_file(folder / "best.safetensors"))
    images = np.load(spec.parent / "bars.npz")["image"][600:]
    return module.eval(), torch.from_numpy(images)


def test_the_arrays_are_those_of_code_by_hand(trained: Path) -> None:
    """Grad-CAM with a hook on the layer, gradients by the images, and a sum along the way."""
    rows = [3, 41, 7]
    found = inspect(trained, "--rows", "3,41,7", "--class", "1")
    assert [row["row"] for row in found["rows"]] == rows
    arrays = np.load(trained.parent / "out/fit/inspect/attributions.npz")
    module, images = load_by_hand(trained)
    kept: list[torch.Tensor] = []
    module.get_submodule("conv2").register_forward_hook(lambda _m, _i, y: kept.append(y))
    given = images[rows].clone().requires_grad_()
    score = module(given)[:, 1]
    by_map, by_image = torch.autograd.grad(score.sum(), [kept[0], given])
    heat = (by_map.mean((2, 3), keepdim=True) * kept[0]).sum(1).relu()
    np.testing.assert_allclose(arrays["grad_cam"], heat.detach().numpy(), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(arrays["saliency.image"], by_image.numpy(), rtol=1e-4, atol=1e-6)
    total = torch.zeros_like(given)
    for step in range(64):
        point = (given.detach() * (step + 0.5) / 64).requires_grad_()
        total += torch.autograd.grad(module(point)[:, 1].sum(), point)[0]
    parts = given.detach() * total.detach() / 64
    np.testing.assert_allclose(arrays["integrated_gradients.image"], parts, rtol=1e-3, atol=1e-5)
    change = score - module(torch.zeros(1, 1, 16, 16))[:, 1]
    off = (parts.sum((1, 2, 3)) - change.detach()).abs().max()
    assert found["methods"]["integrated-gradients"]["largest_error"] == pytest.approx(
        float(off), abs=1e-4
    )


def test_features_are_what_the_last_layer_is_given(trained: Path) -> None:
    found = inspect(trained, "--only", "features")
    assert found["methods"]["features"]["of"] == "the input of head"
    arrays = np.load(trained.parent / "out/fit/inspect/features.npz")
    module, images = load_by_hand(trained)
    kept: list[torch.Tensor] = []
    module.get_submodule("head").register_forward_pre_hook(lambda _m, given: kept.append(given[0]))
    with torch.no_grad():
        module(images)
    np.testing.assert_allclose(arrays["features"], kept[0].numpy(), rtol=1e-4, atol=1e-6)
    np.testing.assert_array_equal(
        arrays["labels"], np.load(trained.parent / "bars.npz")["label"][600:]
    )
    other = inspect(trained, "--only", "features", "--features", "conv1", "--split", "train")
    assert (other["methods"]["features"]["rows"], other["methods"]["features"]["numbers"]) == (
        600,
        6,
    )


def test_deleting_what_grad_cam_marks_matters(trained: Path) -> None:
    """At least twice as much as deleting as many random places."""
    rows = ",".join(map(str, range(100)))
    notes = inspect(trained, "--rows", rows, "--only", "grad-cam")["methods"]["grad-cam"]
    assert notes["deleted"] == 0.2
    assert notes["fall_marked"] > 0.1
    assert notes["fall_marked"] >= 2 * notes["fall_random"]


ATTENTION = """
model M() {
    input x: f32[batch, 5, 8]
    input seen: bool[batch, 5]
    q = x -> dense(8) -> reshape([batch, 5, 4, 2]) -> permute([0, 2, 1, 3])
    k = x -> dense(4) -> reshape([batch, 5, 2, 2]) -> permute([0, 2, 1, 3])
    output y = (q, k, k) -> scaled_dot_product_attention(OPTIONS)
}
"""


def test_attention_is_that_of_the_softmax() -> None:
    """Of grouped heads too, causal or masked."""
    for options in ("grouped=true, causal=true", "grouped=true, mask=seen[:, none, none]"):
        text = ATTENTION.replace("OPTIONS", options)
        if "mask" not in options:
            text = text.replace("    input seen: bool[batch, 5]\n", "")
        graph = build(text).graph
        weights = draw_lively(graph)
        net = ScoredNet(graph, weights, graph.outputs[0].value)
        generator = np.random.default_rng(4)
        seen = generator.random((3, 5)) < 0.6
        seen[:, 0] = True
        inputs = {"x": generator.normal(size=(3, 5, 8)).astype(np.float32), "seen": seen}
        (one,) = find_attention(graph)
        subject = _Given(net, inputs)
        found = METHODS["attention"](subject)  # type: ignore[arg-type]
        (shares,) = found.arrays.values()
        query, key = (
            torch.from_numpy(a) for a in net.observe(inputs, [v for v in one.node.inputs[:2] if v])
        )
        scores = query @ key.repeat_interleave(2, 1).transpose(-1, -2) / 2**0.5
        allowed = torch.ones(5, 5, dtype=torch.bool).tril()[None, None]
        if "mask" in options:
            allowed = torch.from_numpy(seen)[:, None, None]
        wanted = scores.masked_fill(~allowed, -torch.inf).softmax(-1)
        np.testing.assert_allclose(shares, wanted, rtol=1e-4, atol=1e-6)
        assert [p.row for p in found.pictures] == [0, 1, 2]


class _Given:
    """As much of a subject as attention needs."""

    def __init__(self, net: ScoredNet, inputs: Mapping[str, Any]) -> None:
        self.scored, self.inputs, self.graph = net, inputs, net.graph


# --- nets of other shapes ---------------------------------------------------------------------


def test_a_linear_net_has_its_weights_as_gradients() -> None:
    graph = build(
        "model M() {\n    input x: f32[n, 4]\n    input code: i64[n]\n"
        "    h = x -> dense(3) as fc\n    output y = h + unsqueeze(cast(code, f32), 1)\n}\n"
    ).graph
    weights = draw_lively(graph)
    net = ScoredNet(graph, weights, graph.outputs[0].value)
    inputs = {"x": np.float32([[1, -2, 0, 3], [0, 0, 5, 1]]), "code": np.array([7, 2])}
    classes = np.array([2, 0])
    weight = weights["fc.weight"][classes]
    assert net.differentiable == ("x",)
    np.testing.assert_allclose(net.compute_slopes(inputs, classes)["x"], weight, rtol=1e-6)
    parts = net.integrate_slopes(inputs, classes)["x"]
    np.testing.assert_allclose(parts, weight * inputs["x"], rtol=1e-5)


def test_maps_are_scored_over_all_places_and_codes_have_grad_cam() -> None:
    """A net of words: no gradient by its input, but one by its layers."""
    graph = build(
        "model M() {\n    input token: i64[n, 9]\n"
        "    h = token -> embedding(20, 6) as table -> permute([0, 2, 1]) -> unsqueeze(3)\n"
        "    output y = h -> conv(4, kernel=[3, 1]) as conv1\n}\n"
    ).graph
    weights = draw_lively(graph)
    net = ScoredNet(graph, weights, graph.outputs[0].value)
    inputs = {"token": np.random.default_rng(0).integers(0, 20, (2, 9))}
    assert net.score(inputs).shape == (2, 4)
    (made,) = net.observe(inputs, [graph.outputs[0].value])
    np.testing.assert_allclose(net.score(inputs), made.sum((2, 3)), rtol=1e-5)
    layer = choose_map(graph, None)
    assert layer is not None
    heat = net.compute_grad_cam(inputs, np.array([1, 3]), layer.value)
    assert heat is not None
    assert heat.shape == (2, 7, 1)
    np.testing.assert_allclose(heat[0], np.maximum(made[0, 1], 0), rtol=1e-5)
    assert net.differentiable == ()


def test_layers_are_blocks_and_calls_in_the_order_of_their_results() -> None:
    graph = build(
        "block twice(x, c: int) {\n"
        "    return x -> conv(c, kernel=3) as one -> relu -> conv(c, kernel=1) as two\n}\n"
        "model M() {\n    input x: f32[n, 3, 8, 8]\n"
        "    output y = x -> twice(4) as first -> twice(2) as second\n"
        "        -> flatten -> dense(5) as head\n"
        "}\n"
    ).graph
    paths = list(list_layers(graph))
    assert paths == [
        "first.one",
        "first.two",
        "first",
        "second.one",
        "second.two",
        "second",
        "head",
    ] or [p for p in paths if p in ("first", "second", "head")] == ["first", "second", "head"]
    chosen = choose_map(graph, None)
    assert chosen is not None
    assert chosen.path.startswith("second")
    assert choose_features(graph, None, graph.outputs[0].value).path == "the input of head"
    with pytest.raises(CompileError) as caught:
        choose_map(graph, "head")
    assert "`first`" in caught.value.messages[0].text.help
    with pytest.raises(CompileError) as caught:
        choose_map(graph, "secnd")
    assert "did you mean `second`" in caught.value.messages[0].text.help


def test_deletion_is_counted_by_hand() -> None:
    """A net that adds up two places: deleting these takes all, random ones a tenth in the mean."""
    graph = build(
        "model M() {\n    input x: f32[n, 20]\n    output y = x[:, 3] + x[:, 8]\n}\n"
    ).graph
    net = ScoredNet(graph, {}, graph.outputs[0].value)
    inputs = {"x": np.full((50, 20), 2, np.float32)}
    marks = np.zeros((50, 20))
    marks[:, [3, 8]] = 1
    classes = np.zeros(50, int)
    found = measure_deletion(net, inputs, classes, "x", marks, share=0.1)
    full = 1 / (1 + np.exp(-4))
    assert found.marked == pytest.approx(full - 0.5)
    assert 0 < found.random < 0.25 * found.marked


def test_scores_become_probabilities_by_what_the_net_computes() -> None:
    """Not by their numbers: logits between 0 and 1 are logits."""
    scores = np.array([[0.2, 0.8], [0.0, np.log(3)]])
    for last, wanted in (("softmax(axis=-1)", scores), ("sigmoid", scores), ("tanh", None)):
        graph = build(
            f"model M() {{\n    input x: f32[n, 4]\n    output y = x -> dense(2) -> {last}\n}}\n"
        ).graph
        found = ScoredNet(graph, {}, graph.outputs[0].value).find_probabilities(scores)
        np.testing.assert_allclose(found[1], [0.25, 0.75] if wanted is None else wanted[1])


# --- what is written --------------------------------------------------------------------------


def test_what_is_written_and_what_goes(trained: Path) -> None:
    folder = trained.parent / "out/fit/inspect"
    inspect(trained, "--rows", "5")
    assert (folder / "grad_cam-5.png").is_file()
    (folder / "mine.png").write_bytes(b"mine")
    found = inspect(trained, "--rows", "6", "--only", "grad-cam", "--layer", "conv1")
    assert found["methods"]["grad-cam"]["layer"] == "conv1"
    assert {p.name for p in folder.iterdir()} == {
        "attributions.npz",
        "grad_cam-6.png",
        "input-6.png",
        "inspect.html",
        "inspect.json",
        "mine.png",
    }
    assert Image.open(folder / "grad_cam-6.png").size == (224, 224)
    page = (folder / "inspect.html").read_text()
    shown = re.findall('src="([^"]+)"', page)
    assert shown == ["input-6.png", "grad_cam-6.png"]
    assert "row 6: predicted" in page


def test_an_earlier_summary_deletes_nothing_elsewhere(trained: Path) -> None:
    """Names in a summary that someone has changed lead nowhere."""
    folder = trained.parent / "out/fit/inspect"
    inspect(trained, "--rows", "1", "--only", "saliency")
    kept = trained.parent / "kept.png"
    kept.write_bytes(b"kept")
    summary = json.loads((folder / "inspect.json").read_text())
    for files in (["../../../kept.png", str(kept), 3, "inspect.html"], "x", None):
        (folder / "inspect.json").write_text(json.dumps({**summary, "files": files}))
        inspect(trained, "--rows", "1", "--only", "saliency")
    assert kept.is_file()


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("--rows", "99,100,700"), "W1570", "no row 100"),
        (("--rows", "-1"), "W1571", "not a list of rows"),
        (("--rows", "1,,2"), "W1571", "not a list of rows"),
        (("--class", "2"), "W1572", "classes 0 to 1"),
        (("--class", "cat"), "W1572", "no class `cat`"),
        (("--layer", "head"), "W1573", "`conv1`"),
        (("--layer", "conv3"), "W0904", "did you mean `conv"),
        (("--features", "tail"), "W0904", "there is no layer `tail`"),
        (("--scores", "logit"), "W0904", "did you mean `logits`"),
        (("--split", "tset"), "W0904", "did you mean `test`"),
        (("--only", "gradcam"), "W0904", "did you mean `grad-cam`"),
        (("--only", "attention"), "W1575", "no attention"),
        (("fot",), "W0904", "did you mean `fit`"),
        (("--set", "Net.width=7"), "W1394", ""),
    ],
)
def test_refusals(trained: Path, arguments: tuple[str, ...], code: str, said: str) -> None:
    _, faults = run("inspect", str(trained), "-o", str(trained.parent / "out"), *arguments)
    assert faults, arguments
    assert all(fault.startswith(code) for fault in faults), faults
    assert said in faults[0]


def test_every_row_that_is_not_there_is_named(trained: Path) -> None:
    _, faults = run("inspect", str(trained), "-o", str(trained.parent / "out"), "--rows", "700,800")
    assert len(faults) == 2


def test_a_report_shows_what_was_inspected(tmp_path: Path) -> None:
    """As long as the weights are the ones that were looked into."""
    spec = write_bars(tmp_path, epochs=1)
    out = str(tmp_path / "out")
    run("build", str(spec), "-o", out, "--device", "cpu")
    page = tmp_path / "out" / "report.html"
    assert "data:image/png" not in page.read_text()
    inspect(spec, "--rows", "2,4", "--only", "grad-cam")
    run("build", str(spec), "-o", out, "--device", "cpu")
    assert page.read_text().count("data:image/png;base64") == 4
    assert "Grad-CAM at conv2, row 2: predicted" in page.read_text()
    spec.write_text(spec.read_text().replace("seed 1", "seed 2"))
    run("build", str(spec), "-o", out, "--device", "cpu")
    assert "data:image/png" not in page.read_text()


WORDS = """
model Net() {
    input x: f32[batch, 2]
    output y = x -> dense(8) -> relu -> dense(3) as head
}
data pets {
    source csv("pets.csv")
    x = cast(stack([weight, height]), f32)
    split in_order, train=8, test=4
}
train fit on pets {
    net m = Net()
    minimize cross_entropy(m(x), kind) with sgd(lr=0.1)
    batch 4  epochs 1
}
"""


def test_classes_have_their_words_and_rows_of_tables_are_strips(tmp_path: Path) -> None:
    lines = [f"{k % 5},{k % 4},{('cat', 'dog', '<emu>')[k % 3]}" for k in range(12)]
    (tmp_path / "pets.csv").write_text("\n".join(["weight,height,kind", *lines]) + "\n")
    spec = tmp_path / "pets.weft"
    spec.write_text(WORDS)
    run("train", str(spec), "-o", str(tmp_path / "out"), "--device", "cpu")
    found = inspect(spec, "fit.m", "--class", "<emu>", "--rows", "0,3")
    assert {row["class"] for row in found["rows"]} == {"<emu>"}
    assert {row["label"] for row in found["rows"]} <= {"cat", "dog", "<emu>"}
    assert set(found["left_out"]) == {"grad-cam", "attention", "filters"}
    assert Image.open(tmp_path / "out/fit/inspect/saliency-3.png").size == (224, 112)
    assert "<emu>" not in (tmp_path / "out/fit/inspect/inspect.html").read_text()


# --- pictures ---------------------------------------------------------------------------------


def test_pictures_have_the_places_of_their_arrays() -> None:
    image = np.zeros((3, 4, 6), np.float32)
    image[0, 1, 2] = 2
    made = draw_image(image)
    assert made.shape == (4 * 38, 6 * 38, 3)
    assert made[1 * 38, 2 * 38].tolist() == [255, 0, 0]
    assert made[0, 0].tolist() == [0, 0, 0]
    assert draw_image(np.full((5, 5), 7.0)).max() == 0, "all equal"
    marks = resize(np.array([[0.0, 1.0], [0.0, 1.0]]), 4, 4)
    assert marks.shape == (4, 4)
    assert (np.diff(marks[0]) >= 0).all()
    assert draw_filters(np.zeros((10, 3, 5, 5))).shape[2] == 3
    assert draw_filters(np.zeros((4, 2, 3, 3))).shape[2] == 3
    points = np.array([[0.0, 0.0], [1.0, 1.0], [1.0, 1.0]])
    drawn = draw_points(points, np.array([0, 1, 40]), ("a", "ß"))
    assert (drawn != 255).any()
    assert draw_points(np.zeros((6, 2)), None, ()).shape == drawn.shape


def test_the_module_that_is_looked_into_is_the_generated_one(trained: Path) -> None:
    graph = build(SHAPES[: SHAPES.index("data bars")], "Net").graph
    weights = draw_lively(graph)
    module = load_module(emit_module([graph], title="m"), graph)
    assign_weights(module, weights)
    image = np.random.default_rng(0).normal(size=(2, 1, 16, 16)).astype(np.float32)
    net = ScoredNet(graph, weights, graph.outputs[0].value)
    with torch.no_grad():
        wanted = module(torch.from_numpy(image)).numpy()
    np.testing.assert_allclose(net.score({"image": image}), wanted, rtol=1e-6)


def test_a_train_of_several_nets_is_asked_which(tmp_path: Path) -> None:
    spec = write_bars(tmp_path, epochs=1)
    text = spec.read_text().replace("of Net on bars {", "of Net on bars {\n    net old = Net()")
    spec.write_text(
        text.replace("cross_entropy(logits, label)", "cross_entropy(logits + old(image), label)")
    )
    out = str(tmp_path / "out")
    run("train", str(spec), "-o", out, "--device", "cpu")
    for name in ([], ["fit"]):
        (said,) = run("inspect", str(spec), *name, "-o", out)[1]
        assert said.startswith("W0644")
        assert "fit.Net" in said
    run("inspect", str(spec), "fit.old", "-o", out, "--only", "grad-cam", "--rows", "0")
    run("build", str(spec), "-o", out, "--device", "cpu")
    assert "fit.old: Grad-CAM at conv2" in (tmp_path / "out" / "report.html").read_text()


def test_nets_of_whole_numbers_have_no_slopes(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    rows = {"tokens": generator.integers(0, 7, (60, 5)), "label": generator.integers(0, 2, 60)}
    np.savez(tmp_path / "words.npz", **rows)
    spec = tmp_path / "words.weft"
    spec.write_text(
        "model Net() {\n    input tokens: i64[batch, 5]\n"
        "    output y = tokens -> embedding(7, 4) -> mean(axis=1) -> dense(2) as head\n}\n"
        'data words { source npz("words.npz")  split in_order, train=40, test=20 }\n'
        "train fit of Net on words {\n    minimize cross_entropy(y, label) with adam(lr=1e-2)\n"
        "    batch 20  epochs 1\n}\n"
    )
    out = str(tmp_path / "out")
    run("train", str(spec), "-o", out, "--device", "cpu")
    run("inspect", str(spec), "-o", out)
    found = json.loads((tmp_path / "out/fit/inspect/inspect.json").read_text())
    assert {"saliency", "integrated-gradients"} <= set(found["left_out"])
    assert "features" in found["methods"]
