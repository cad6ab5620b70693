"""Files with weights in few bits: how small they are, and what ONNX Runtime makes of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnxruntime.quantization import QuantType, quantize_dynamic

from backends.onnx_graph.compile import compile_onnx
from backends.onnx_graph.metadata import OnnxOptions
from backends.onnx_runtime.session import Device, open_session
from compiler.compression.quantization.base import Scheme
from compiler.compression.quantization.dynamic import Dynamic
from compiler.compression.quantization.stored import Stored4, Stored8
from compiler.compression.quantization.weight_only import Weights4
from compiler.ir.weighted_net import WeightedNet
from tests.quantizing import Drawn, make_net
from tests.weight_formats import IMAGES, SMALL_LENET, STORED, TOKENS, apply, check


def read_optimized(net: WeightedNet, folder: Path, **options: Any) -> list[str]:
    """The operators that ONNX Runtime runs."""
    path = folder / "net.onnx"
    compile_onnx(net.graph, net.weights, path, **options)
    settings = ort.SessionOptions()
    settings.log_severity_level = 3
    settings.optimized_model_filepath = str(folder / "optimized.onnx")
    ort.InferenceSession(path, settings, providers=["CPUExecutionProvider"])
    return [n.op_type for n in onnx.load(folder / "optimized.onnx").graph.node]


@pytest.mark.parametrize("scheme", STORED[:7], ids=str)
def test_stored_weights_are_unpacked_when_the_file_is_loaded(
    scheme: Scheme, tmp_path: Path
) -> None:
    net = make_net(IMAGES)
    plain = read_optimized(net, tmp_path)
    assert read_optimized(apply(scheme, net), tmp_path) == plain


def test_sparse_codes_are_unpacked_when_the_file_is_loaded(tmp_path: Path) -> None:
    net = make_net(
        SMALL_LENET.replace("(a: int, b: int, c: int)", "(a: int=8, b: int=24, c: int=64)")
    )
    draw = np.random.default_rng(0)
    sparse = {
        path: array * (draw.random(array.shape) < 0.08) if array.ndim > 1 else array
        for path, array in net.weights.items()
    }
    pruned = WeightedNet(net.graph, {p: a.astype(np.float32) for p, a in sparse.items()})
    for scheme in (Stored4(), Stored4(codebook=True)):
        dense, made = apply(scheme, net), check(scheme, pruned)
        assert read_optimized(made, tmp_path) == read_optimized(net, tmp_path)
        options = OnnxOptions(compact=True)
        sizes = [
            compile_onnx(n.graph, n.weights, tmp_path / "net.onnx", options=options).bytes
            for n in (made, dense)
        ]
        assert sizes[0] < 0.4 * sizes[1]


def test_old_opsets_keep_four_bits_in_bytes(tmp_path: Path) -> None:
    made = apply(Stored4(), make_net(IMAGES))
    old = compile_onnx(made.graph, made.weights, tmp_path / "old.onnx", opset=20)
    new = compile_onnx(made.graph, made.weights, tmp_path / "new.onnx", opset=21)
    assert new.bytes < old.bytes
    inputs = {"image": np.random.default_rng(0).standard_normal((2, 1, 8, 8)).astype(np.float32)}
    (left,), (right,) = (
        open_session(report.files[0], device=Device.CPU).run(inputs).values()
        for report in (old, new)
    )
    np.testing.assert_array_equal(left, right)


def test_dynamic_layers_are_fused(tmp_path: Path) -> None:
    kinds = read_optimized(apply(Dynamic(), make_net(TOKENS)), tmp_path)
    assert kinds.count("DynamicQuantizeMatMul") == 9
    assert "MatMulInteger" not in kinds
    assert "Gemm" not in kinds


def test_dynamic_layers_are_no_worse_than_onnx_runtimes(tmp_path: Path) -> None:
    """The oracle: `onnxruntime.quantization.quantize_dynamic` on the float file."""
    net = make_net(TOKENS)
    source, theirs = tmp_path / "float.onnx", tmp_path / "theirs.onnx"
    compile_onnx(net.graph, net.weights, source)
    quantize_dynamic(source, theirs, per_channel=True, weight_type=QuantType.QInt8)
    made = apply(Dynamic(), net)
    ours = compile_onnx(made.graph, made.weights, tmp_path / "ours.onnx").files[0]
    inputs = next(Drawn(net.graph, {}).batches(16))
    plain, left, right = (
        open_session(path, device=Device.CPU).run(inputs)["logits"]
        for path in (source, ours, theirs)
    )
    error = float(np.square(left - plain).sum())
    assert 0 < error <= 1.1 * float(np.square(right - plain).sum())


def test_packed_layers_are_one_node(tmp_path: Path) -> None:
    kinds = read_optimized(apply(Weights4(), make_net(TOKENS)), tmp_path)
    assert kinds.count("MatMulNBits") == 8  # the head has fewer than 1024 numbers


def test_the_small_lenet_is_eighty_times_smaller(tmp_path: Path) -> None:
    """431,080 parameters against widths that pruning reaches, both as files."""
    sizes = []
    for widths, scheme in (((20, 50, 500), None), ((8, 24, 64), Stored4())):
        named = ", ".join(f"{n}: int = {w}" for n, w in zip("abc", widths, strict=True))
        net = make_net(SMALL_LENET.replace("a: int, b: int, c: int", named))
        if scheme is None:
            assert sum(a.size for a in net.weights.values()) == 431_080
        else:
            net = apply(scheme, net)
        sizes.append(compile_onnx(net.graph, net.weights, tmp_path / "net.onnx").bytes)
    assert sizes[0] / sizes[1] > 90


def test_compact_files_say_less_and_compute_the_same(tmp_path: Path) -> None:
    made = apply(Stored8(), make_net(IMAGES))
    options = OnnxOptions(labels=tuple("0123456789"))
    plain = compile_onnx(made.graph, made.weights, tmp_path / "a.onnx", options=options)
    options = OnnxOptions(labels=options.labels, compact=True)
    small = compile_onnx(made.graph, made.weights, tmp_path / "b.onnx", options=options)
    assert small.bytes < plain.bytes - 700
    inputs = {"image": np.random.default_rng(0).standard_normal((2, 1, 8, 8)).astype(np.float32)}
    sessions = [open_session(r.files[0], device=Device.CPU) for r in (plain, small)]
    left, right = (session.run(inputs)["y"] for session in sessions)
    np.testing.assert_array_equal(left, right)
    assert sessions[1].labels == options.labels
