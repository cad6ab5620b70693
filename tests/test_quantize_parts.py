"""Parts of static quantization: ranges, the operator, integer biases, reading back, tolerance."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from backends.onnx_graph.compile import compile_onnx
from backends.onnx_runtime.session import Device, open_session
from backends.pytorch.modules import emit_module
from backends.pytorch.run.load import assign_weights, load_module
from backends.verification.cases import Case
from backends.verification.margins import DRAWS, Margin
from backends.verification.readback import check_integers, find_float_nodes, optimize
from backends.verification.rounding import Levels, Reference, has_rounding
from compiler.compression.base import CompressionContext
from compiler.compression.quantization.calibrated import round_weight
from compiler.compression.quantization.calibration import draw_batches
from compiler.compression.quantization.int8 import Int8
from compiler.compression.quantization.ranges import (
    Observation,
    choose_scaling,
    make_scaling,
    merge_observations,
    scale_channels,
)
from compiler.ir.evaluate import evaluate
from compiler.ir.weighted_net import WeightedNet
from compiler.program.variant import Target
from compiler.report.diagnostics import CompileError
from compiler.report.messages.quantization import integer_runs_float
from tests.quantizing import Drawn, check_net, make_net

Array = NDArray[Any]

DENSE = """
model M() {
    input x: f32[batch, 6]
    output y: f32[batch, 3] = x -> dense(8) as fc1 -> relu -> dense(3) as fc2
}
"""


def observe(sample: Array) -> Observation:
    sample = sample.astype(np.float32)
    return Observation(float(sample.min()), float(sample.max()), sample, sample.size)


# --- ranges ------------------------------------------------------------------------------------


@given(
    low=st.floats(-1e3, 0),
    high=st.floats(0, 1e3),
    dtype=st.sampled_from(("u8", "i8")),
    symmetric=st.booleans(),
)
def test_zero_is_a_level_and_the_range_is_covered(
    low: float, high: float, dtype: Any, symmetric: bool
) -> None:
    made = make_scaling(low, high, dtype, symmetric=symmetric)
    assert made.round(np.zeros(1, np.float32))[0] == 0
    numbers = np.linspace(low, high, 50, dtype=np.float32)
    # Half a step of rounding, and half a one because the zero point is rounded too.
    assert np.abs(made.round(numbers) - numbers).max() <= 1.01 * made.scale + 1e-6
    if low == 0 and not symmetric:
        assert made.zero_point == (0 if dtype == "u8" else -128)


def test_clipping_outliers_beats_the_bounds() -> None:
    draw = np.random.default_rng(0)
    sample = draw.laplace(size=20_000)
    seen = observe(sample)
    errors = {}
    for method in ("minmax", "percentile", "entropy", "mse"):
        made = choose_scaling(seen, method, "i8", symmetric=True)
        errors[method] = float(np.square(made.round(seen.sample) - seen.sample).mean())
    assert errors["mse"] <= min(errors.values()) * 1.0001
    assert errors["mse"] < 0.95 * errors["minmax"]


def test_a_bound_that_is_rare_does_not_widen_the_range() -> None:
    """One number in a million, far out, costs less when clipped than finer steps gain."""
    sample = np.random.default_rng(0).standard_normal(20_000).astype(np.float32)
    scales = []
    for count in (sample.size, 1_000_000):
        seen = Observation(-6.0, 6.0, sample, count)
        scales.append(choose_scaling(seen, "mse", "u8", symmetric=False).scale)
    plain = choose_scaling(observe(sample), "mse", "u8", symmetric=False).scale
    assert scales[1] < scales[0] < 12 / 255
    assert scales[1] == pytest.approx(plain, rel=0.05)


def test_percentile_leaves_out_one_in_ten_thousand() -> None:
    sample = np.concatenate([np.linspace(-1, 1, 100_000), [50.0]])
    made = choose_scaling(observe(sample), "percentile", "u8", symmetric=False)
    assert made.scale == pytest.approx(2 / 255, rel=0.01)


def test_values_with_one_scale_are_seen_together() -> None:
    both = merge_observations([observe(np.array([0.0, 1.0])), observe(np.array([-3.0, 0.5]))])
    assert (both.low, both.high) == (-3.0, 1.0)


@given(st.integers(0, 1000))
def test_weight_scales_of_least_error_lose_no_more(seed: int) -> None:
    weight = np.random.default_rng(seed).standard_normal((4, 3, 3, 3)).astype(np.float32)
    errors = []
    for method in ("minmax", "mse"):
        scale = scale_channels(weight, method, bits=8, per_channel=True)
        errors.append(np.square(weight - round_weight(weight, scale)).sum(axis=(1, 2, 3)))
    assert (errors[1] <= errors[0] * 1.0001 + 1e-12).all()


def test_a_channel_of_zeros_has_a_scale() -> None:
    weight = np.zeros((2, 3), np.float32)
    scale = scale_channels(weight, "mse", bits=8, per_channel=True)
    assert (scale > 0).all()
    assert not round_weight(weight, scale).any()


def test_inputs_without_sizes_cannot_be_drawn() -> None:
    net = make_net("""model M() {
        input x: f32[batch, n]
        output y: f32[batch, n - 2000] = x[:, 2000:]
    }""")
    with pytest.raises(CompileError) as refused:
        draw_batches(net, CompressionContext(), 4)
    assert [m.code for m in refused.value.messages] == ["W1140"]
    context = CompressionContext(target=Target(sizes=(("n", 2002),)))
    assert draw_batches(net, context, 4)[0]["x"].shape == (4, 2002)


# --- one IR in three backends ------------------------------------------------------------------


def test_backends_agree_to_the_step(tmp_path: Path) -> None:
    """On numbers in the middle of a step, backends may differ by a step, and by no more."""
    net = make_net(DENSE)
    made = Int8(placement="all").quantize(
        net, CompressionContext(samples=Drawn(net.graph, {})), None, ()
    )
    compile_onnx(made.graph, made.weights, tmp_path / "net.onnx")
    module = load_module(emit_module([made.graph], title="M"), made.graph)
    assign_weights(module, made.weights)
    inputs = next(Drawn(net.graph, {}, seed=3).batches(32))
    wanted = evaluate(made.graph, made.weights, inputs)["y"]
    session = open_session(tmp_path / "net.onnx", device=Device.CPU)
    import torch

    with torch.no_grad():
        trained = module(torch.from_numpy(inputs["x"])).numpy()
    step = made.weights["round_fc1.scale"] * np.abs(made.weights["fc2.weight"]).max()
    for found in (session.run(inputs)["y"], trained):
        assert np.abs(found - wanted).max() <= 1.1 * step


def test_gradients_pass_straight_through() -> None:
    import torch

    net = make_net(DENSE)
    made = Int8(placement="all").quantize(
        net, CompressionContext(samples=Drawn(net.graph, {})), None, ()
    )
    module = load_module(emit_module([made.graph], title="M"), made.graph)
    assign_weights(module, made.weights)
    x = torch.randn(16, 6, requires_grad=True)
    module(x).square().sum().backward()
    gradients = {name: p.grad for name, p in module.named_parameters()}
    assert set(gradients) == {"fc1.weight", "fc1.bias", "fc2.weight", "fc2.bias"}
    assert all(g is not None and g.abs().sum() > 0 for g in gradients.values())
    assert x.grad is not None
    assert x.grad.abs().sum() > 0


# --- what the runtime does with it -------------------------------------------------------------


def write_dense(path: Path, *, whole_bias: bool) -> Path:
    """A Gemm on dequantized tensors, with a bias in i32 or in f32."""
    parts = {
        "s": np.float32(0.1),
        "z": np.uint8(128),
        "w": np.ones((8, 6), np.int8),
        "ws": np.full(8, 0.1, np.float32),
        "wz": np.zeros(8, np.int8),
        "bias": np.zeros(8, np.int32 if whole_bias else np.float32),
        "bs": np.full(8, 0.01, np.float32),
        "bz": np.zeros(8, np.int32),
    }
    bias = "db" if whole_bias else "bias"
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "s", "z"], ["d"]),
        helper.make_node("DequantizeLinear", ["w", "ws", "wz"], ["dw"], axis=0),
        helper.make_node("Gemm", ["d", "dw", bias], ["y"], "fc", transB=1),
    ]
    if whole_bias:
        made = helper.make_node("DequantizeLinear", ["bias", "bs", "bz"], ["db"], axis=0)
        nodes.insert(3, made)
    nodes[-1].metadata_props.add(key="source", value="net.weft:7")
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 6])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 8])],
        [numpy_helper.from_array(np.asarray(a), n) for n, a in parts.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    onnx.save(model, path)
    return path


def test_a_layer_that_runs_in_floats_is_found(tmp_path: Path) -> None:
    assert find_float_nodes(write_dense(tmp_path / "whole.onnx", whole_bias=True)) == []
    (found,) = find_float_nodes(write_dense(tmp_path / "float.onnx", whole_bias=False))
    assert (found.name, found.operator) == ("fc", "Gemm")


def test_a_layer_that_runs_in_floats_is_an_error_at_its_line(tmp_path: Path) -> None:
    graph = make_net(DENSE.replace("fc1", "fc")).graph
    (message,) = check_integers(graph, write_dense(tmp_path / "net.onnx", whole_bias=False))
    assert message.kind is integer_runs_float
    assert message.code == "W1142"
    place = next(n.origin.span for n in graph.nodes if n.origin.name == "fc")
    assert message.span == place
    assert 'except=["fc"]' in (message.text.help or "")


def test_pools_and_dense_layers_fuse(tmp_path: Path) -> None:
    net = make_net("""model M() {
        input image: f32[batch, 3, 8, 8]
        x = image -> conv(8, kernel=3) as a -> relu
        output y: f32[batch, 4] = x -> global_avg_pool -> dense(4) as b
    }""")
    made = Int8(placement="all").quantize(
        net, CompressionContext(samples=Drawn(net.graph, {})), None, ()
    )
    compile_onnx(made.graph, made.weights, tmp_path / "net.onnx")
    types = {node.op_type for node in optimize(tmp_path / "net.onnx").graph.node}
    assert {"QLinearConv", "QLinearGlobalAveragePool", "QGemm"} <= types
    assert "DequantizeLinear" not in types


def test_a_float_layer_between_integer_ones_stays_float(tmp_path: Path) -> None:
    """ONNX Runtime would round its weight by itself, with one scale for all channels."""
    net = make_net("""model M() {
        input image: f32[batch, 3, 8, 8]
        x = image -> conv(8, kernel=3) as a -> relu -> conv(8, kernel=3, groups=8) as b -> relu
        output y: f32[batch, 4, 4, 4] = x -> conv(4, kernel=1) as c
    }""")
    context = CompressionContext(samples=Drawn(net.graph, {}))
    made = Int8(placement="all").quantize(net, context, None, ("b",))
    compile_onnx(made.graph, made.weights, tmp_path / "net.onnx")
    nodes = optimize(tmp_path / "net.onnx").graph.node
    assert [n.op_type for n in nodes if n.name.startswith(("a", "b", "c"))].count("Conv") == 1
    inputs = next(Drawn(net.graph, {}, seed=3).batches(8))
    found = open_session(tmp_path / "net.onnx", device=Device.CPU).run(inputs)["y"]
    wanted = evaluate(made.graph, made.weights, inputs)["y"]
    step = made.weights["round_c.scale"]
    assert np.abs(found - wanted).max() <= 1.01 * step
    assert (np.abs(found - wanted) > 0.5 * step).mean() < 0.02, "levels differ on edges alone"


# --- tolerance ---------------------------------------------------------------------------------


def make_margin(net: WeightedNet, inputs: Mapping[str, Any], draws: int = DRAWS) -> Margin:
    case = Case("drawn", {"batch": len(next(iter(inputs.values())))}, inputs)
    meaning = evaluate(net.graph, net.weights, inputs)
    return Margin(Reference(net.graph, net.weights), case, meaning, draws)


def test_the_tolerance_knows_steps() -> None:
    net = make_net(DENSE)
    inputs = next(Drawn(net.graph, {}).batches(4))
    assert not has_rounding(net.graph)
    made = Int8(placement="all").quantize(
        net, CompressionContext(samples=Drawn(net.graph, {})), None, ()
    )
    assert has_rounding(made.graph)
    meaning = evaluate(made.graph, made.weights, inputs)
    allowed = Levels(Reference(made.graph, made.weights), inputs, meaning).move(0)["y"]
    assert allowed.shape == (1, meaning["y"].shape[1]), "a number for each channel"
    share = allowed / np.abs(meaning["y"]).max()
    assert 1e-4 < share.max() < 0.05, "a few levels, not the size of the numbers"


def test_one_number_on_an_edge_is_found_by_more_draws() -> None:
    net = make_net(
        """model M() {
            input x: f32[batch, 64]
            output y = x -> fake_quantize("i8") as levels -> sum(axis=1)
        }"""
    )
    weights = {"levels.scale": np.float32(1), "levels.zero_point": np.int32(0)}
    net = replace(net, weights=weights)
    x = np.full((1, 64), 3, np.float32)
    x[0, 5] = 0.5 - 0.85 / 32  # one draw in thirteen rounds it up
    few, many = (make_margin(net, {"x": x}, draws) for draws in (3, DRAWS))
    y = many.meaning["y"]
    assert few.judge({"y": y + 1})[1].share > 1, "the first draws pass it by"
    assert many.judge({"y": y + 1})[1].share <= 1
    assert many.judge({"y": y + 10})[1].share > 1


def test_a_lost_bias_is_outside_the_tolerance() -> None:
    net = make_net(DENSE)
    made = Int8(placement="all").quantize(
        net, CompressionContext(samples=Drawn(net.graph, {})), None, ()
    )
    inputs = next(Drawn(net.graph, {}).batches(4))
    wrong = dict(made.weights)
    wrong["fc2.bias"] = np.zeros_like(wrong["fc2.bias"])
    found = evaluate(made.graph, wrong, inputs)
    assert make_margin(made, inputs).judge(found)[1].share > 1


# --- integer operators -------------------------------------------------------------------------


def test_integer_operators_mean_the_same_in_fewer_bytes(tmp_path: Path) -> None:
    net = make_net("""model M() {
        input image: f32[batch, 3, 8, 8]
        x = image -> conv(8, kernel=3, padding=1) as a -> relu6 -> max_pool(2)
        y = x -> conv(8, kernel=1) as b
        x = concat([(x + y) -> relu, x], axis=1) -> avg_pool(2)
        output z: f32[batch, 4] = x -> global_avg_pool -> dense(6) as c -> relu -> dense(4) as d
    }""")
    sizes, found = {}, {}
    inputs = next(Drawn(net.graph, {}, seed=3).batches(8))
    for form in ("qdq", "qoperator"):
        scheme = Int8(placement="all", form=form)
        made = scheme.quantize(net, CompressionContext(samples=Drawn(net.graph, {})), None, ())
        folder = tmp_path / form
        folder.mkdir()
        report, messages = check_net(made, folder, net.graph)
        assert report.passed, [(m.text.title, m.text.label) for m in messages]
        sizes[form] = (folder / "net.onnx").stat().st_size
        found[form] = open_session(folder / "net.onnx", device=Device.CPU).run(inputs)["z"]
    assert sizes["qoperator"] < 0.8 * sizes["qdq"]
    assert np.abs(found["qdq"] - found["qoperator"]).max() < 0.02 * np.abs(found["qdq"]).max()
    types = {n.op_type for n in onnx.load(tmp_path / "qoperator" / "net.onnx").graph.node}
    assert {"QLinearConv", "QLinearAdd", "QLinearConcat", "QLinearAveragePool"} <= types
    assert {"QLinearGlobalAveragePool", "QGemm", "MaxPool"} <= types
    assert not {"DequantizeLinear", "Conv", "Gemm", "Relu", "Clip"} & types


@pytest.mark.parametrize(
    ("stage", "named"),
    [("(x -> relu) -> log", "log"), ("(x * 100) -> exp", "exp"), ("x -> log", "log")],
)
def test_a_value_without_a_range_is_refused(stage: str, named: str) -> None:
    text = (
        "model M() {\n    input x: f32[batch, 8]\n"
        f"    output y = {stage} -> dense(8) as first -> relu -> dense(3) as last\n}}"
    )
    net = make_net(text)
    context = CompressionContext(target=Target(), samples=Drawn(net.graph, {}))
    with pytest.raises(CompileError) as caught:
        Int8(placement="all").quantize(net, context, None, ())
    (message,) = caught.value.messages
    assert message.code == "W1402"
    assert f"`{named}` has no range" in message.text.title
    assert message.span is not None
    assert message.span.text == named


@pytest.mark.parametrize("method", ["minmax", "percentile", "entropy", "mse"])
@pytest.mark.parametrize("rows", [2_000, 20_000, 200_000])
def test_ranges_behind_a_relu_reach_far_enough(method: Any, rows: int) -> None:
    numbers = np.maximum(np.random.default_rng(0).standard_normal(rows), 0).astype(np.float32)
    seen = Observation(0.0, float(numbers.max()), numbers, rows)
    scaling = choose_scaling(seen, method, "u8", symmetric=False)
    noise = np.square(scaling.round(numbers) - numbers).sum()
    assert 10 * np.log10(np.square(numbers).sum() / noise) > 30
