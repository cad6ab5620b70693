"""Builds of variants: stages that are remembered, files that run, reports, contracts that fail."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast
from xml.etree import ElementTree

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from sklearn.datasets import load_digits
from typer.testing import CliRunner

from compiler.compression.base import CompressionContext
from compiler.ir.weighted_net import WeightedNet
from compiler.ir.weights import read_weights, write_weights
from compiler.program.requirement import Figure
from compiler.report.diagnostics import CompileError
from compiler.rows.loading import load_data
from tests.elaborating import build as build_net
from tests.variant_folder import SHARES, SPEC, TRAINED, Folder
from weft.api import load
from weft.building.nearest import Measurement, take_figure
from weft.cli.main import app
from weft.errors import WeftError


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    made = Folder(tmp_path_factory.mktemp("build"))
    made.build()
    return made


def test_the_file_classifies_raw_rows(folder: Folder) -> None:
    folder.build()
    session = ort.InferenceSession(
        str(folder.out / "tiny.onnx"), providers=["CPUExecutionProvider"]
    )
    images, labels = load_digits(return_X_y=True)
    raw = images.reshape(-1, 8, 8).astype(np.uint8)
    (scores,) = session.run(["logits"], {"image": raw})
    assert float(np.mean(scores.argmax(1) == labels)) > 0.7
    assert json.loads(session.get_modelmeta().custom_metadata_map["labels"])[3] == "3"


def test_the_file_has_the_new_shapes(folder: Folder) -> None:
    folder.build()
    model = onnx.load(folder.out / "tiny.onnx")
    shapes = {tuple(i.dims) for i in model.graph.initializer}
    assert {(16, 64), (10, 16)} <= shapes
    assert (folder.out / "tiny.onnx").stat().st_size < (
        folder.out / "tiny/base.onnx"
    ).stat().st_size


def test_a_second_deployment_is_written_too(folder: Folder) -> None:
    folder.build()
    model = onnx.load(folder.out / "tiny_2.onnx")
    assert next(o.version for o in model.opset_import if o.domain == "") == 19
    assert [i.name for i in model.graph.input] == ["image"]


def test_nothing_is_made_twice(folder: Folder) -> None:
    folder.build()
    before = (folder.out / "report.json").read_text()
    folder.build()
    assert all(line.endswith("up to date") for line in folder.said)
    assert (folder.out / "report.json").read_text() == before


def test_another_contract_makes_nothing_anew(folder: Folder) -> None:
    folder.build()
    folder.build(require="test.accuracy >= 50% and size <= 0.9 * fit.size and error <= 200%")
    assert all(line.endswith("up to date") for line in folder.said)
    assert len(folder.report()["contract"]) == 3


def test_another_last_pass_keeps_the_first_ones(folder: Folder) -> None:
    folder.build()
    folder.build("prune(channels=50%) -> quantize(float16)")
    assert "variant tiny: 1 prune: up to date" in folder.said
    assert "variant tiny: 2 quantize" in folder.said


def test_an_interrupted_build_goes_on(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    from compiler.compression.quantization.stored import Stored8

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Stored8, "quantize", interrupt)
        with pytest.raises(KeyboardInterrupt):
            folder.build("prune(channels=25%) -> quantize(stored8)")
    folder.build("prune(channels=25%) -> quantize(stored8)")
    assert "variant tiny: 1 prune: up to date" in folder.said


def test_the_report_says_what_was_measured(folder: Folder) -> None:
    folder.build()
    facts = folder.report()
    figures = facts["figures"]
    size = (folder.out / "tiny.onnx").stat().st_size
    assert figures["tiny"]["size"] == size
    assert figures["fit"]["params"] == 64 * 32 + 32 + 320 + 10
    assert figures["tiny"]["params"] == 64 * 16 + 16 + 160 + 10
    assert figures["tiny"]["flops"] == 8 * 2 * (64 * 16 + 160)
    assert [layer["path"] for layer in facts["layers"]] == ["stem", "head", "(other)"]
    assert all(entry["verdict"] == "pass" for entry in facts["contract"])
    text = (folder.out / "report.md").read_text()
    assert "| require `size <= 8KiB` | pass: " in text
    assert "| stem | dense | 16×64 | 1,040 | 2,080 | 8 |" in text


def test_the_error_counts_all_rows_of_the_last_split(tmp_path: Path) -> None:
    made = Folder(tmp_path)
    text = TRAINED.replace(SHARES, "train=10%, val=10%, test=80%").replace("epochs 8", "epochs 2")
    text += "variant tiny of fit { apply prune(channels=50%)  target cpu  require error <= 500% }"
    made.build(spec=text)
    program = load(tmp_path / "spec.weft").program
    rows = load_data(program.trains["fit"].data).rows["test"]
    assert len(rows) > 1000
    images = (load_digits().images[rows].reshape(-1, 64) / 16).astype(np.float32)

    def run(name: str) -> Any:
        path = str(made.out / name)
        session = ort.InferenceSession(path, providers=["CPUExecutionProvider"])
        return cast("Any", session.run(None, {"image": images})[0]).astype(np.float64)

    found, expected = run("tiny.onnx"), run("tiny/base.onnx")

    def measure(count: int) -> float:
        difference = np.linalg.norm(found[:count] - expected[:count])
        return float(difference / np.linalg.norm(expected[:count]))

    error = made.report()["figures"]["tiny"]["error"]
    assert error == pytest.approx(measure(len(rows)), rel=1e-5)
    assert error != pytest.approx(measure(512), rel=1e-3)
    spread = np.sqrt(np.sum((found - expected) ** 2) / np.sum((expected - expected.mean(0)) ** 2))
    of_spread = made.report()["figures"]["tiny"]["error_of_spread"]
    assert of_spread == pytest.approx(spread, rel=1e-5)


def test_the_page_stands_alone(folder: Folder) -> None:
    folder.build()
    page = (folder.out / "report.html").read_text()
    assert "<script" not in page
    assert "src=" not in page
    assert "http" not in page
    start = page.index("<svg")
    drawing = ElementTree.fromstring(page[start : page.index("</svg>") + 6])
    assert len(drawing.findall("circle")) == 2
    assert "require" in page


def test_a_contract_that_does_not_hold_ends_the_build(folder: Folder) -> None:
    with pytest.raises(CompileError) as caught:
        folder.build(require="size <= 3.4KiB and latency <= 10s")
    (message,) = caught.value.messages
    assert message.code == "W1172"
    assert message.span is not None
    assert message.span.text == "size <= 3.4KiB"
    size = (folder.out / "tiny.onnx").stat().st_size
    assert message.text.label.startswith(f"size is {size / 1024:.1f} KiB: ")
    assert "above 3.4 KiB" in message.text.label
    assert "`prune(channels=" in (message.text.help or "")
    assert "(SQNR " in (message.text.help or "")
    facts = folder.report()["contract"]
    assert [entry["verdict"] for entry in facts] == ["fail", "pass"]


def test_the_nearest_setting_holds(folder: Folder) -> None:
    """What the message recommends is tried: it is true."""
    with pytest.raises(CompileError) as caught:
        folder.build(require="size <= 3.4KiB")
    share = (caught.value.messages[0].text.help or "").partition("channels=")[2].partition(")")[0]
    folder.build(f"prune(channels={share}) -> quantize(stored8)", "size <= 3.4KiB")


@pytest.mark.parametrize(("figure", "share"), [("memory", 0.97), ("error", 0.9)])
def test_settings_are_tried_for_figures_of_every_kind(
    folder: Folder, figure: str, share: float
) -> None:
    folder.build(require=f"{figure} >= 0{'B' if figure == 'memory' else ''}")
    entry = folder.report()["contract"][0]
    own = float(entry["left"])
    bound = f"{int(share * own)}B" if figure == "memory" else f"{share * own:.4f}"
    with pytest.raises(CompileError) as caught:
        folder.build(require=f"{figure} <= {bound}")
    verb = "should hold it: error about" if figure == "error" else "holds it: memory"
    assert f"{verb} " in (caught.value.messages[0].text.help or "")


def test_a_smaller_budget_is_tried(folder: Folder) -> None:
    with pytest.raises(CompileError) as caught:
        folder.build("low_rank(budget=95%)", "params <= 1300")
    assert (caught.value.messages[0].text.help or "").startswith("`low_rank(budget=")


def test_latency_of_a_setting_is_taken_in_turns_with_the_net_that_failed() -> None:
    """The machine is four times slower now than when the contract was judged."""

    class Slow:
        def compare(self, nets: Sequence[WeightedNet]) -> Sequence[float]:
            return [4.0 * len(net.weights) for net in nets]

    graph = build_net("model M() { input x: f32[batch, 4]  output y = x -> dense(2) as a }").graph
    own = WeightedNet(graph, {"a": np.zeros(1), "b": np.zeros(1)})
    other = WeightedNet(graph, {"a": np.zeros(1)})
    context = CompressionContext(latency_meter=Slow(), size_meter=cast(Any, object()))
    known = Measurement(own, 2.0)
    latency = Figure(None, None, "latency")
    assert take_figure(cast(Any, None), other, context, latency, known) == pytest.approx(1.0)


def test_a_size_that_cannot_be_is_refused_before_training(tmp_path: Path) -> None:
    other = Folder(tmp_path)
    with pytest.raises(CompileError) as caught:
        other.build(require="size <= 200B")
    assert caught.value.messages[0].code == "W1171"
    assert not other.out.exists()


def test_the_words_of_the_explanation(folder: Folder) -> None:
    folder.build()
    journal = folder.report()["journal"]
    assert {"step": "prune", "path": "stem"}.items() <= journal[0].items()


# --- what a build left --------------------------------------------------------------------------


def test_a_variant_from_python(folder: Folder) -> None:
    folder.build()
    model = load(folder.path / "spec.weft").variant("tiny", folder.out)
    figures = folder.report()["figures"]
    assert model.parameters == figures["tiny"]["params"]
    rows = load_digits().data[:20].astype(np.float32) / 16
    path = model.onnx(folder.path / "again.onnx")
    session = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    (scores,) = session.run(None, {"image": rows})
    module = model.torch()
    np.testing.assert_allclose(module(torch.from_numpy(rows)).detach(), scores, atol=1e-4)
    built = ort.InferenceSession(str(folder.out / "tiny.onnx"), providers=["CPUExecutionProvider"])
    (expected,) = built.run(["logits"], {"image": (rows * 16).reshape(-1, 8, 8).astype(np.uint8)})
    np.testing.assert_allclose(scores, expected, atol=1e-4)


def test_a_variant_of_another_spec_is_not_found(folder: Folder) -> None:
    folder.build()
    text = (folder.path / "spec.weft").read_text()
    (folder.path / "other.weft").write_text(text.replace("channels=50%", "channels=60%"))
    spec = load(folder.path / "other.weft")
    with pytest.raises(WeftError) as caught:
        spec.variant("tiny", folder.out)
    assert caught.value.messages[0].code == "W1173"
    with pytest.raises(WeftError):
        spec.variant("tinny", folder.out)


def test_commands_know_variants(folder: Folder) -> None:
    folder.build()
    spec, build = str(folder.path / "spec.weft"), ["--build", str(folder.out)]
    runner = CliRunner()
    shown = runner.invoke(app, ["show", spec, "tiny", *build])
    assert "f32[1, 16]" in shown.output
    assert runner.invoke(app, ["show", spec, "tiny", "--build", "nowhere"]).exit_code
    made = runner.invoke(app, ["compile", spec, "-o", str(folder.path / "made"), *build])
    assert "verified tiny" in made.output
    assert "verified tiny" in runner.invoke(app, ["verify", spec, *build]).output
    found = runner.invoke(
        app, ["eval", spec, "tiny", "--onnx", str(folder.path / "made" / "tiny.onnx")]
    )
    figures = folder.report()["figures"]
    assert f"accuracy {figures['tiny']['test']['accuracy']:.4f}" in found.output


def test_contracts_against_other_trains_and_variants(folder: Folder) -> None:
    wide = SPEC.replace("train fit of Net on", "train wide of Net(width=64) on")
    wide = wide[wide.index("train wide") : wide.index("variant tiny")]
    other = "variant other of wide { apply quantize(stored8)  target cpu(threads=1), batch=8 }\n"
    spec = SPEC + wide.replace("epochs 8", "epochs 1") + other
    folder.build(require="size <= 0.9 * wide.size and size <= other.size", spec=spec)
    figures = folder.report()["figures"]
    assert figures["wide"]["params"] == 64 * 64 + 64 + 640 + 10
    assert figures["other"]["params"] == figures["wide"]["params"]


# --- nets that were trained elsewhere -------------------------------------------------------------

LOADED = """
model Net(width: int = 32) {
    input image: f32[batch, 64]
    output logits = image -> dense(width) as stem -> relu -> dense(10) as head
}
net pretrained = Net() -> load("net.safetensors")
variant tiny of pretrained { apply PASSES  target cpu(threads=1)  require REQUIRE }
"""


def write_net(folder: Path) -> None:
    random = np.random.default_rng(0)
    shapes = {
        "stem.weight": (32, 64),
        "stem.bias": (32,),
        "head.weight": (10, 32),
        "head.bias": (10,),
    }
    arrays = {p: random.normal(0, 0.2, s).astype(np.float32) for p, s in shapes.items()}
    write_weights(folder / "net.safetensors", arrays, {})


def test_a_net_without_a_batch_is_described(tmp_path: Path) -> None:
    """Its layers may put out single numbers."""
    spec = """
model Net() {
    input x: f32[12]
    output y: f32[] = (x -> dense(40) as stem -> relu -> dense(6) as head) -> mean(axis=0)
}
net base = Net()
variant tiny of base { apply PASSES  require REQUIRE }
deploy tiny as onnx {}
"""
    folder = Folder(tmp_path)
    folder.build("quantize(stored8)", "error <= 50%", spec)
    assert {row["path"] for row in folder.report()["layers"]} >= {"stem", "head"}


def test_nets_that_compare_rows_have_no_figures_of_rows(tmp_path: Path) -> None:
    related = """dense(16) as stem -> l2_normalize(axis=-1)
    output pairs = v @ (v -> transpose(0, 1))"""
    spec = SPEC.replace("output logits = image", "v = image").replace(
        "dense(width) as stem -> relu -> dense(10) as head", related
    )
    spec = spec.replace("cross_entropy(logits, label)", "mean(pairs)").replace(
        "    metric accuracy = accuracy(logits, label)\n", ""
    )
    spec = spec.replace('  labels ["{i}" for i in 0..10]', "")
    with pytest.raises(CompileError) as caught:
        Folder(tmp_path).build("quantize(stored8)", "size <= 8KiB", spec)
    (message,) = caught.value.messages
    assert message.code == "W1174"
    assert "f32[batch, batch]" in (message.text.label or "")


def test_weights_from_elsewhere_need_no_data(tmp_path: Path) -> None:
    write_net(tmp_path)
    folder = Folder(tmp_path)
    folder.build(
        "low_rank(rank=8) -> quantize(int8)", "error <= 2 and size <= pretrained.size", LOADED
    )
    assert folder.report()["synthetic"] is True
    figures = folder.report()["figures"]
    assert figures["tiny"]["size"] < figures["pretrained"]["size"]
    assert (folder.out / "tiny.onnx").is_file()


@pytest.mark.parametrize("passes", ["low_rank(rank=8)", "quantize(int8)"])
def test_weights_that_are_no_numbers_are_refused(tmp_path: Path, passes: str) -> None:
    write_net(tmp_path)
    arrays = dict(read_weights(tmp_path / "net.safetensors"))
    path = next(path for path, array in arrays.items() if array.ndim == 2)
    arrays[path] = np.where(np.arange(arrays[path].size).reshape(arrays[path].shape) < 2, np.nan, 1)
    arrays[path] = arrays[path].astype(np.float32)
    write_weights(tmp_path / "net.safetensors", arrays, {})
    with pytest.raises(CompileError) as caught:
        Folder(tmp_path).build(passes, "error <= 2", LOADED)
    (message,) = caught.value.messages
    assert message.code == "W0916"
    assert message.text.title == f"2 numbers of `{path}` in `net.safetensors` are not finite"
    assert message.span is not None


def test_a_pass_that_trains_needs_data(tmp_path: Path) -> None:
    write_net(tmp_path)
    with pytest.raises(CompileError) as caught:
        Folder(tmp_path).build("finetune(epochs=1)", "error <= 1", LOADED)
    assert caught.value.messages[0].span is not None
    assert caught.value.messages[0].span.text == "finetune(epochs=1)"


SIZED = """
model Net() {
    input image: f32[batch, 1, n, n]
    output logits = image -> conv(4, kernel=5) -> global_avg_pool -> dense(10) as head
}
net pretrained = Net()
variant tiny of pretrained { apply PASSES  target cpu(threads=1), n=3  require REQUIRE }
"""


def test_sizes_that_the_net_does_not_take(tmp_path: Path) -> None:
    with pytest.raises(CompileError) as caught:
        Folder(tmp_path).build("quantize(stored8)", "error <= 1", SIZED)
    assert caught.value.messages[0].code == "W1170"


def test_shares_of_latency_sum_to_one(tmp_path: Path) -> None:
    """What no layer accounts for (the rounding of inputs, pools) is a row of its own."""
    folder = Folder(tmp_path)
    folder.build("prune(channels=50%)", "size <= 80KiB")
    shares = {layer["path"]: layer["share"] for layer in folder.report()["layers"]}
    assert set(shares) >= {"stem", "head"}
    assert sum(share or 0.0 for share in shares.values()) == pytest.approx(1.0)
    assert "(other)" in shares, "the preprocessing is no layer of the net"
    assert "| (other) |" in (folder.out / "report.md").read_text()
    assert "(other)" in (folder.out / "report.html").read_text()
