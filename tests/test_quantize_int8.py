"""Static int8: what is rounded where, what it costs, what is said about it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from backends.onnx_graph.compile import compile_onnx
from backends.verification.readback import find_float_nodes, optimize
from compiler.compression.base import CompressionContext
from compiler.compression.quantization.base import Quantize
from compiler.compression.quantization.calibrated import Calibrated, Recipe, calibrate, fold_norms
from compiler.compression.quantization.calibration import draw_batches, measure_sqnr
from compiler.compression.quantization.equalize import equalize_layers
from compiler.compression.quantization.int8 import Int8
from compiler.compression.quantization.placement import CANDIDATES, find_layers, place
from compiler.compression.quantization.sensitivity import measure_sensitivity
from compiler.driver import check_source
from compiler.ir.evaluate import evaluate
from compiler.ir.graph import Graph
from compiler.ir.weighted_net import WeightedNet
from compiler.ops.quantization import FakeQuantize
from compiler.program.variant import Target
from compiler.report.diagnostics import CompileError, Sink
from compiler.report.source import Source
from tests.quantizing import Drawn, check_net, make_net

Array = NDArray[Any]

RESIDUAL = """
model M() {
    input image: f32[batch, 3, 12, 12]
    x = image -> conv(8, kernel=3, padding=1, bias=false) as conv1 -> batch_norm as bn1 -> relu
    y = x -> conv(8, kernel=3, padding=1, bias=false) as conv2 -> batch_norm as bn2
    x = (x + y) -> relu
    output logits: f32[batch, 5] = x -> global_avg_pool -> dense(5) as fc
}
"""
WIDE = "kernel=7, bias=false) as conv1"
DEPTHWISE = """
model M() {
    input image: f32[batch, 3, 8, 8]
    x = image -> conv(8, kernel=1) as first -> relu
    x = x -> conv(8, kernel=3, padding=1, groups=8) as deep -> relu
    output y: f32[batch, 4] = x -> conv(6, kernel=1) as last -> global_avg_pool -> dense(4) as fc
}
"""


def make_context(net: WeightedNet, **options: Any) -> CompressionContext:
    return CompressionContext(samples=Drawn(net.graph, {}), **options)


def quantize(
    net: WeightedNet, scheme: Int8, context: CompressionContext | None = None
) -> WeightedNet:
    return Quantize(scheme).run(net, context or make_context(net))


def rounded_dtypes(graph: Graph) -> list[str]:
    return [n.op.dtype for n in graph.nodes if isinstance(n.op, FakeQuantize)]


def test_everything_is_rounded_and_verified(tmp_path: Path) -> None:
    net = make_net(RESIDUAL)
    made = quantize(net, Int8(placement="all"))
    report, messages = check_net(made, tmp_path, net.graph)
    assert report.passed, [(m.text.title, m.text.label) for m in messages]
    assert report.worst is not None
    assert report.worst.error <= report.worst.allowed
    # Weights of three layers; the image, three results of convolutions and sums, one pool.
    assert sorted(rounded_dtypes(made.graph)) == ["i8"] * 3 + ["u8"] * 5
    assert "bn1" not in {n.origin.name for n in made.graph.nodes}
    batches = list(Drawn(net.graph, {}, seed=9).batches(16))
    assert measure_sqnr(net, made, batches)["output logits"] > 25


def test_the_file_holds_integers(tmp_path: Path) -> None:
    net = make_net(RESIDUAL)
    made = quantize(net, Int8(placement="all"))
    compile_onnx(made.graph, made.weights, tmp_path / "net.onnx")
    model = onnx.load(tmp_path / "net.onnx")
    kinds = {i.name: i.data_type for i in model.graph.initializer}
    assert kinds["conv1.weight.i8"] == onnx.TensorProto.INT8
    assert kinds["conv1.bias.i32"] == onnx.TensorProto.INT32
    assert not {"conv1.weight", "fc.bias"} & set(kinds)
    for node in model.graph.node:
        if node.op_type in ("QuantizeLinear", "DequantizeLinear"):
            assert len(node.input) == 3, "without a zero point, Gemm stays float"


def test_a_relu_has_its_zero_at_the_lowest_level() -> None:
    made = quantize(make_net(RESIDUAL), Int8(placement="all"))
    assert made.weights["round_conv1.zero_point"] == 0
    assert made.weights["round_add.zero_point"] == 0
    assert made.weights["round_conv2.zero_point"] > 0


def test_concatenated_values_share_a_scale_unless_a_relu_would_be_lost() -> None:
    text = """model M() {{
        input image: f32[batch, 3, 8, 8]
        x = image -> conv(4, kernel=3) as a -> relu
        y = x -> conv(4, kernel=1) as b{act}
        output z: f32[batch, 2, 6, 6] = concat([x, y], axis=1) -> conv(2, kernel=1) as c
    }}"""
    for act, shared in ((" -> relu", True), ("", False)):
        graph = make_net(text.format(act=act)).graph
        rounded = place(graph, find_layers(graph)[0], "all", joins=True).rounded
        concat = next(n for n in graph.nodes if n.op.name == "concat")
        leaders = {rounded[v.name] for v in (*concat.inputs, concat.output) if v is not None}
        assert len(leaders) == (1 if shared else 3)


def test_a_pool_has_the_scale_of_what_it_reads() -> None:
    net = make_net("""model M() {
        input image: f32[batch, 3, 8, 8]
        x = image -> conv(4, kernel=3) as a -> relu -> max_pool(2)
        output z: f32[batch, 2, 3, 3] = x -> conv(2, kernel=1) as b
    }""")
    made = quantize(net, Int8(placement="all"))
    scales = [p for p in made.weights if p.endswith(".scale")]
    assert sorted(scales) == ["round_a.scale", "round_b.scale", "round_image.scale"]


@pytest.mark.parametrize("method", ["minmax", "percentile", "entropy", "mse"])
def test_every_calibration_serves(method: Any) -> None:
    net = make_net(RESIDUAL)
    made = quantize(net, Int8(calibration=method, placement="all"))
    batches = list(Drawn(net.graph, {}, seed=9).batches(16))
    assert measure_sqnr(net, made, batches)["output logits"] > 20


def test_tensor_cores_want_symmetric_levels() -> None:
    net = make_net(RESIDUAL)
    made = quantize(net, Int8(placement="all"), make_context(net, target=Target(device="cuda")))
    assert set(rounded_dtypes(made.graph)) == {"i8"}
    assert all(not np.any(a) for p, a in made.weights.items() if p.endswith("zero_point"))


def test_without_vnni_weights_have_seven_bits() -> None:
    net = make_net(RESIDUAL)
    scheme = Int8(placement="all", calibration="minmax")
    full = quantize(net, scheme)
    made = quantize(net, scheme, make_context(net, target=Target(vnni=False)))
    scale = made.weights["conv1.weight_scale"]
    np.testing.assert_allclose(scale, full.weights["conv1.weight_scale"] * 127 / 63, rtol=1e-6)
    levels = np.round(made.weights["conv1.weight"] / scale[:, None, None, None])
    assert np.abs(levels).max() <= 63


def test_a_large_bias_raises_the_scale_of_its_weight() -> None:
    net = make_net(DEPTHWISE)
    weights = dict(net.weights)
    weights["last.weight"] = weights["last.weight"] * np.float32(1e-9)
    weights["last.bias"] = np.full(6, 50.0, np.float32)
    made = quantize(WeightedNet(net.graph, weights), Int8(placement="all", equalize=False))
    step = made.weights["last.weight_scale"] * made.weights["round_deep.scale"]
    assert (made.weights["last.bias"] / step).max() < 2**31


def test_per_tensor_weights(tmp_path: Path) -> None:
    net = make_net(RESIDUAL)
    made = quantize(net, Int8(placement="all", per_channel=False))
    assert made.weights["conv1.weight_scale"].shape == ()
    report, messages = check_net(made, tmp_path, net.graph)
    assert report.passed, [(m.text.title, m.text.label) for m in messages]


def test_layers_can_be_left_out() -> None:
    net = make_net(RESIDUAL)
    context = make_context(net)
    made = Quantize(Int8(placement="all"), except_=("fc",)).run(net, context)
    assert "fc.weight_scale" not in made.weights
    assert any(note.path == "fc" and "except" in note.reason for note in context.journal)
    with pytest.raises(CompileError) as refused:
        Quantize(Int8(), only=("nothing",)).run(net, make_context(net))
    assert [m.code for m in refused.value.messages] == ["W1141"]


def test_transposed_convolutions_stay_float() -> None:
    net = make_net("""model M() {
        input x: f32[batch, 3, 4, 4]
        output y: f32[batch, 2, 8, 8] = x -> conv(4, kernel=1) as a
            -> conv_transpose(2, kernel=2, stride=2) as up
    }""")
    context = make_context(net)
    made = quantize(net, Int8(), context)
    assert "up.weight_scale" not in made.weights
    assert any(note.path == "up" and "no integer kernel" in note.reason for note in context.journal)


def test_synthetic_calibration_without_data() -> None:
    net = make_net("""model M() {
        input tokens: i64[batch, time]
        output y: f32[batch, time, 4] = tokens -> embedding(6, 8) -> dense(4) as fc
    }""")
    made = quantize(net, Int8(rows=4), CompressionContext())
    assert made.weights["fc.weight_scale"].shape == (4,)
    (batch,) = draw_batches(net, CompressionContext(), 4)
    assert batch["tokens"].max() < 6


@pytest.mark.parametrize("setting", ["rows=0", "float_layers=-1"])
def test_settings_that_mean_nothing_are_refused(setting: str) -> None:
    sink = Sink()
    text = f"""model M() {{
        input x: f32[batch, 8]
        output y: f32[batch, 4] = x -> dense(4)
    }}
    net trained = M() -> load("m.safetensors")
    variant small of trained {{ apply quantize(int8({setting})) }}
    """
    check_source(Source("spec.weft", text), sink=sink)
    assert [m.code for m in sink.messages] == ["W0353"]


# --- analyses ----------------------------------------------------------------------------------


def known_net(net: WeightedNet, recipe: Recipe) -> Calibrated:
    folded = fold_norms(net)
    layers, _ = find_layers(folded.graph)
    placement = CANDIDATES[0].choose(folded.graph, layers)
    batches = list(Drawn(net.graph, {}).batches(64))
    return calibrate(folded, recipe, batches, layers, [placement])


def test_equalizing_changes_nothing_but_scales() -> None:
    net = make_net(DEPTHWISE)
    weights = dict(net.weights)
    weights["first.weight"] = (
        weights["first.weight"] * np.logspace(-2, 2, 8, dtype=np.float32)[:, None, None, None]
    )
    net = WeightedNet(net.graph, weights)
    layers, _ = find_layers(net.graph)
    made, pairs = equalize_layers(net, layers, everywhere=False)
    assert [(a.path, b.path) for a, b in pairs] == [("first", "deep"), ("deep", "last")]
    inputs = next(Drawn(net.graph, {}).batches(4))
    before = evaluate(net.graph, net.weights, inputs)["y"]
    after = evaluate(made.graph, made.weights, inputs)["y"]
    np.testing.assert_allclose(after, before, rtol=1e-4, atol=1e-5 * np.abs(before).max())
    sizes = np.abs(made.weights["first.weight"]).max(axis=(1, 2, 3))
    assert sizes.max() / sizes.min() < 50, "the channels were four decades apart"


def test_equalizing_helps_weights_with_one_scale() -> None:
    net = make_net(DEPTHWISE)
    weights = dict(net.weights)
    spread = np.logspace(-2, 0, 8, dtype=np.float32)
    weights["first.weight"] = weights["first.weight"] * spread[:, None, None, None]
    weights["first.bias"] = weights["first.bias"] * spread
    weights["deep.weight"] = weights["deep.weight"] / spread[:, None, None, None]
    net = WeightedNet(net.graph, weights)
    ratios = []
    for equalize in (False, True):
        made = quantize(net, Int8(placement="all", per_channel=False, equalize=equalize))
        batches = list(Drawn(net.graph, {}, seed=5).batches(16))
        ratios.append(measure_sqnr(net, made, batches)["output y"])
    assert ratios[1] > ratios[0] + 6


def test_bias_correction_removes_the_mean_error() -> None:
    net = make_net(RESIDUAL.replace(", padding=1", "").replace("x + y", "x[:, :, 1:9, 1:9] + y"))
    errors = []
    for correct in (False, True):
        recipe = Recipe(method="minmax", per_channel=False, bits=5, correct=correct)
        known = known_net(net, recipe)
        layer = next(one for one in find_layers(known.net.graph)[0] if one.path == "conv2")
        made = known.build(place(known.net.graph, [layer], "", joins=False))
        seen: dict[str, Array] = {}

        def watch(node: Any, results: tuple[Array, ...], seen: dict[str, Array] = seen) -> None:
            seen.setdefault(node.outputs[0].name, results[0])

        means = []
        for one in (known.net, made):
            seen.clear()
            evaluate(one.graph, one.weights, known.batches[0], watch=watch)
            means.append(seen[layer.name].mean(axis=(0, 2, 3)))
        errors.append(float(np.abs(means[1] - means[0]).mean()))
    assert errors[1] < 0.5 * errors[0]


def test_sensitivity_is_that_of_one_layer_alone() -> None:
    known = known_net(make_net(RESIDUAL), Recipe())
    layers, _ = find_layers(known.net.graph)
    found = measure_sensitivity(known, layers)
    whole = known.build(place(known.net.graph, layers, "", joins=False))
    together = measure_sqnr(known.net, whole, [dict(known.batches[0])])["output logits"]
    assert set(found) == {layer.name for layer in layers}
    assert min(found.values()) > together - 1


def test_a_pass_is_a_function_of_its_inputs() -> None:
    net = make_net(RESIDUAL)
    one, two = (quantize(net, Int8()) for _ in range(2))
    assert one.weights.keys() == two.weights.keys()
    for path, array in one.weights.items():
        np.testing.assert_array_equal(array, two.weights[path])


@pytest.mark.parametrize("form", ["qdq", "qoperator"])
def test_a_dense_layer_runs_in_integers_before_an_activation_that_is_not_rounded(
    tmp_path: Path, form: Any
) -> None:
    """ONNX Runtime looks for a rounding behind a ReLU, and computes in f32 where it finds none."""
    net = make_net("""model M() {
        input x: f32[batch, t, 16]
        v = x -> dense(32) as a -> relu6
        w = x -> dense(32, bias=false) as b -> clip(-1, 1)
        u = (v + w) -> layer_norm as norm
        output y: f32[batch, 4] = u -> dense(32) as c -> relu -> mean(axis=1) -> dense(4) as head
        output z: f32[batch, t, 8] = u -> dense(8) as d -> relu
    }""")
    made = quantize(net, Int8(form=form), CompressionContext(samples=Drawn(net.graph, {"t": 3})))
    report, messages = check_net(made, tmp_path, net.graph)
    assert report.passed, [(m.text.title, m.text.label) for m in messages]
    assert find_float_nodes(tmp_path / "net.onnx") == []
    kinds = [node.op_type for node in optimize(tmp_path / "net.onnx").graph.node]
    assert kinds.count("QGemm") == 5
    assert not {"Gemm", "FusedGemm"} & set(kinds)


def test_a_dropout_is_no_place_to_round() -> None:
    """In training it scales numbers up, beyond the range that was seen in evaluation."""
    net = make_net("""model M() {
        input image: f32[batch, 3, 8, 8]
        x = image -> conv(4, kernel=3) as a -> relu -> max_pool(2) -> flatten(1)
        output y: f32[batch, 3] = x -> dropout(50%) -> dense(3) as b
    }""")
    made = quantize(net, Int8(placement="all"))
    rounded = [n for n in made.graph.nodes if isinstance(n.op, FakeQuantize)]
    makers = {
        made.graph.producers[v.name].op.name
        for n in rounded
        if (v := n.inputs[0]) is not None and v.name in made.graph.producers
    }
    assert makers == {"relu", "max_pool", "flatten"}
    assert [p for p in made.weights if p.endswith(".scale")] == [
        "round_image.scale",
        "round_a.scale",
    ]
