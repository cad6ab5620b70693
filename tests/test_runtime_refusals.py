"""What is said where ONNX Runtime refuses a file: the layer, the reason in plain words, no log."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper

from backends.onnx_graph import kernels
from backends.onnx_graph.compile import compile_onnx
from backends.onnx_runtime.session import Device, clean_reason, open_session
from backends.verification.verify import verify
from compiler.report.diagnostics import CompileError, Message, Sink
from compiler.report.messages.verification import invalid_onnx, model_refused
from tests.elaborating import build

SPEC = "model M {\n    input x: f64[b, 3]\n    output y = x -> relu -> erf as e\n}"


def refuse(model: Path | bytes) -> Message:
    with pytest.raises(CompileError) as caught:
        open_session(model, device=Device.CPU)
    (message,) = caught.value.messages
    assert message.kind is model_refused
    return message


def test_a_refusal_names_the_layer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(kernels, "NO_DOUBLE", frozenset())
    graph = build(SPEC).graph
    compile_onnx(graph, {}, tmp_path / "net.onnx")
    with pytest.raises(CompileError) as caught:
        verify(graph, {}, onnx_path=tmp_path / "net.onnx", device=Device.CPU, sink=Sink())
    (message,) = caught.value.messages
    assert message.kind is model_refused
    assert message.span is not None
    assert message.span.location.endswith(":3:29")
    assert "Could not find an implementation for Erf" in message.text.title
    assert "[" not in message.text.title
    assert "cast(f32)" in message.text.help
    assert capfd.readouterr().err == "", "the log of ONNX Runtime is for its makers"


def test_a_file_that_is_no_onnx(tmp_path: Path) -> None:
    (tmp_path / "s.weft").write_text(SPEC)
    message = refuse(tmp_path / "s.weft")
    assert message.text.help == "give an ONNX file: `weft compile SPEC -o DIR --onnx` writes one"


def test_other_refusals_promise_nothing() -> None:
    info: Any = helper.make_tensor_value_info
    pool = helper.make_node("MaxPool", ["x"], ["y"], kernel_shape=[2], dilations=[2], pads=[0, 2])
    value = info("x", onnx.TensorProto.FLOAT, [1, 1, 7])
    graph = helper.make_graph([pool], "g", [value], [onnx.ValueInfoProto(name="y")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    message = refuse(model.SerializeToString())
    assert message.text.title.endswith("Pad should be smaller than kernel")
    assert "onnxruntime_src" not in message.text.title
    assert "f32" not in message.text.help


def test_reasons_are_without_places_in_the_source_of_onnx_runtime() -> None:
    text = (
        "[ONNXRuntimeError] : 1 : FAIL : Exception during initialization: /onnxruntime_src/a/"
        "pool_attributes.h:78 onnxruntime::PoolAttributes::PoolAttributes(const OpNodeProtoHelper"
        "<T>&, const std::string&, int) [with KernelInfoType = onnxruntime::OpKernelInfo] no."
    )
    assert clean_reason(text) == "no"
    assert clean_reason("plain words (all of them)") == "plain words (all of them)"


def test_a_malformed_file_names_the_layer(tmp_path: Path) -> None:
    graph = build(SPEC.replace("f64", "f32")).graph
    compile_onnx(graph, {}, tmp_path / "net.onnx")
    model = onnx.load(tmp_path / "net.onnx")
    (node,) = [n for n in model.graph.node if n.op_type == "Erf"]
    node.attribute.append(helper.make_attribute("axis", 1))
    onnx.save(model, tmp_path / "net.onnx")
    sink = Sink()
    verify(graph, {}, onnx_path=tmp_path / "net.onnx", device=Device.CPU, sink=sink)
    (message,) = sink.messages
    assert message.kind is invalid_onnx
    assert message.text.help
    assert message.span is not None
    assert message.span.location.endswith(":3:29")


def test_numbers_are_as_before() -> None:
    """A session that logs nothing still raises what goes wrong while it runs."""
    info: Any = helper.make_tensor_value_info
    node = helper.make_node("Gather", ["x", "i"], ["y"], name="g")
    inputs = [info("x", 1, [3]), info("i", 7, [1])]
    graph = helper.make_graph([node], "g", inputs, [info("y", 1, [1])])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    session = open_session(model.SerializeToString(), device=Device.CPU)
    with pytest.raises(RuntimeError, match="out of data bounds"):
        session.run({"x": np.ones(3, np.float32), "i": np.array([7])})
