"""ONNX files: the bytes written, what they say about themselves, checks, and refusals."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest

from backends.onnx_graph.check import MalformedModel, check_onnx, read_opset, read_structure
from backends.onnx_graph.compile import compile_onnx
from backends.onnx_graph.lower import lower_graph
from backends.onnx_graph.metadata import OnnxOptions
from backends.onnx_graph.stream import write_model
from compiler.driver import check_source
from compiler.ir.builder import Builder
from compiler.ir.evaluate import evaluate
from compiler.ir.frame import Frame, Site
from compiler.ir.graph import Condition, Graph, Op, Value
from compiler.ir.weights import draw_weights
from compiler.ops.activation import Gelu, Relu
from compiler.ops.arithmetic import Add
from compiler.ops.convolution import Conv
from compiler.ops.linear import Dense
from compiler.ops.normalization import BatchNorm
from compiler.ops.reshaping import Flatten
from compiler.program.deploy import NEWEST_OPSET, OLDEST_OPSET
from compiler.report.diagnostics import CompileError, Sink
from compiler.report.messages.deployments import dimension_without_size, opset_out_of_range
from compiler.report.messages.lowering import (
    dimension_fixed,
    dimension_not_readable,
    input_and_output,
    opset_too_old,
    unknown_dimension,
)
from compiler.report.source import Source, Span
from compiler.types.dims import Dim
from compiler.types.tensor import TensorType
from compiler.vocabulary.initializers.drawn import Uniform
from tests.elaborating import build

SPEC = Source("net.weft", "model Net {\n    first\n    second\n}\n")
LIBRARY = Source("library.weft", "block conv_bn {\n    inner\n}\n")


def span(source: Source, word: str) -> Span:
    start = source.text.index(word)
    return Span(source, start, start + len(word))


class Net:
    """A builder with weights made as an application makes them."""

    def __init__(self) -> None:
        self.root = Frame("Net", "", 0, origin=span(SPEC, "Net"))
        self.build = Builder("net", self.root, doc="A small net.")

    def apply(
        self, op: Op, *inputs: Value, name: str = "", at: Frame | None = None, **site: Any
    ) -> Value:
        frame = at or self.root
        weights = []
        for weight in op.weights([v.type for v in inputs]):
            path = ".".join(p for p in (frame.path, name, weight.name) if p)
            draw = Uniform(0.5, 1.5)
            weights.append(self.build.parameter(path, weight.type, draw))
        (made,) = self.build.apply(op, [*inputs, *weights], frame, Site(name=name, **site))
        return made


def make_conv_net() -> tuple[Graph, dict[str, Any]]:
    net = Net()
    image = net.build.input("image", TensorType.of("f32", ["batch", 3, 8, 8]), "pixels")
    block = Frame("conv_bn", "stem", 0, net.root, origin=span(SPEC, "first"))
    where = {"span": span(LIBRARY, "inner")}
    x = net.apply(Conv(4, 3, padding=1, bias=False), image, name="conv", at=block, **where)
    x = net.apply(BatchNorm(), x, name="bn", at=block, **where)
    x = net.apply(Relu(), x, at=block, **where)
    x = net.apply(Flatten(), x, span=span(SPEC, "second"))
    x = net.apply(Dense(5), x, name="head", span=span(SPEC, "second"))
    net.build.output("logits", x, "one score per class")
    graph = net.build.graph()
    return graph, draw_weights(graph)


def run(path: Path, inputs: Mapping[str, Any]) -> list[Any]:
    session = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return session.run(None, dict(inputs))


def image(batch: int = 2) -> dict[str, Any]:
    draw = np.random.default_rng(0)
    return {"image": draw.standard_normal((batch, 3, 8, 8)).astype(np.float32)}


def test_a_small_net_is_what_an_expert_would_write(tmp_path: Path) -> None:
    graph, weights = make_conv_net()
    report = compile_onnx(graph, weights, tmp_path / "net.onnx")
    model = check_onnx(tmp_path / "net.onnx")
    assert [n.op_type for n in model.graph.node] == ["Conv", "Relu", "Flatten", "Gemm"]
    assert [n.name for n in model.graph.node] == ["stem.conv", "stem.relu", "flatten", "head"]
    assert report.nodes == 4
    assert report.bytes == (tmp_path / "net.onnx").stat().st_size
    whole = onnx.load(tmp_path / "net.onnx")
    assert {i.name for i in whole.graph.initializer} == {
        "stem.conv.weight",
        "stem.conv.bias",
        "head.weight",
        "head.bias",
    }
    onnx.checker.check_model(whole, full_check=True)
    expected = evaluate(graph, weights, image())["logits"]
    np.testing.assert_allclose(run(tmp_path / "net.onnx", image())[0], expected, rtol=1e-4)


def test_the_file_says_where_it_is_from(tmp_path: Path) -> None:
    graph, weights = make_conv_net()
    condition = Condition(Dim.of("batch"), "<=", Dim.of(64))
    graph = Graph(**{**graph.__dict__, "conditions": (condition,)})
    options = OnnxOptions(labels=("cat", "dög"), spec_hash="abc")
    compile_onnx(graph, weights, tmp_path / "net.onnx", options=options)
    model = onnx.load(tmp_path / "net.onnx")
    found = {p.key: p.value for p in model.metadata_props}
    assert json.loads(found["labels"]) == ["cat", "dög"]
    assert found["spec_hash"] == "abc"
    assert found["condition_1"] == "batch <= 64"
    assert model.producer_name == "weft"
    assert model.doc_string == "A small net."
    assert model.graph.input[0].doc_string == "pixels"
    assert model.graph.output[0].doc_string == "one score per class"
    conv, _, flatten, _ = ({p.key: p.value for p in n.metadata_props} for n in model.graph.node)
    assert conv["source"] == "net.weft:2"
    assert conv["library"] == "library.weft:2"
    assert conv["scope"] == "Net / stem: conv_bn"
    assert flatten["source"] == "net.weft:3"
    assert "library" not in flatten


def test_weights_beside_the_file(tmp_path: Path) -> None:
    graph, weights = make_conv_net()
    lowered = lower_graph(graph, weights, opset=21, options=OnnxOptions())
    path = tmp_path / "net.onnx"
    files = write_model(path, lowered.proto, lowered.initializers, external_above=2000)
    assert files == (path, tmp_path / "net.onnx.data")
    assert path.stat().st_size < 4000
    check_onnx(path)
    onnx.checker.check_model(str(path), full_check=True)
    expected = evaluate(graph, weights, image())["logits"]
    np.testing.assert_allclose(run(path, image())[0], expected, rtol=1e-4)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["net.onnx", "net.onnx.data"]


def test_a_failed_write_leaves_what_was_there(tmp_path: Path) -> None:
    graph, weights = make_conv_net()
    path = tmp_path / "net.onnx"
    path.write_bytes(b"before")
    lowered = lower_graph(graph, weights, opset=21, options=OnnxOptions())
    object.__setattr__(lowered.initializers[-1], "dtype", None)
    with pytest.raises(KeyError):
        write_model(path, lowered.proto, lowered.initializers)
    assert path.read_bytes() == b"before"
    assert [p.name for p in tmp_path.iterdir()] == ["net.onnx"]


def test_weights_are_written_as_they_lie_or_made_contiguous(tmp_path: Path) -> None:
    graph, weights = make_conv_net()
    turned = {path: np.asfortranarray(a.astype(np.float64)) for path, a in weights.items()}
    compile_onnx(graph, turned, tmp_path / "a.onnx")
    compile_onnx(graph, weights, tmp_path / "b.onnx")
    expected, found = run(tmp_path / "a.onnx", image()), run(tmp_path / "b.onnx", image())
    np.testing.assert_allclose(found[0], expected[0], rtol=1e-5)


def test_an_output_that_is_an_input_or_an_output_already(tmp_path: Path) -> None:
    net = Net()
    x = net.build.input("x", TensorType.of("f32", ["n", 3]))
    y = net.apply(Relu(), x)
    for name, value in (("same", x), ("y", y), ("again", y)):
        net.build.output(name, value)
    compile_onnx(net.build.graph(), {}, tmp_path / "net.onnx")
    check_onnx(tmp_path / "net.onnx")
    given = np.array([[-1.0, 0.0, 2.0]], np.float32)
    same, made, again = run(tmp_path / "net.onnx", {"x": given})
    np.testing.assert_array_equal(same, given)
    np.testing.assert_array_equal(made, np.maximum(given, 0))
    np.testing.assert_array_equal(again, made)


def test_a_weight_may_be_an_output(tmp_path: Path) -> None:
    net = Net()
    x = net.build.input("x", TensorType.of("f32", ["n", 3]))
    weight = net.build.parameter("w", TensorType.of("f32", [3]), Uniform())
    net.build.output("y", net.apply(Add(), x, weight))
    net.build.output("weight", weight)
    compile_onnx(net.build.graph(), {"w": np.ones(3, np.float32)}, tmp_path / "net.onnx")
    check_onnx(tmp_path / "net.onnx")
    assert run(tmp_path / "net.onnx", {"x": np.zeros((1, 3), np.float32)})[1].tolist() == [1, 1, 1]


@pytest.mark.parametrize("opset", range(OLDEST_OPSET, NEWEST_OPSET + 1))
def test_every_opset(opset: int, tmp_path: Path) -> None:
    net = Net()
    x = net.build.input("x", TensorType.of("f32", ["n", 4]))
    net.build.output("y", net.apply(Gelu(), net.apply(Dense(4), x, name="fc")))
    graph = net.build.graph()
    weights = draw_weights(graph)
    compile_onnx(graph, weights, tmp_path / "net.onnx", opset=opset)
    check_onnx(tmp_path / "net.onnx")
    assert read_opset(tmp_path / "net.onnx") == opset
    given = {"x": np.linspace(-3, 3, 8, dtype=np.float32).reshape(2, 4)}
    expected = evaluate(graph, weights, given)["y"]
    np.testing.assert_allclose(run(tmp_path / "net.onnx", given)[0], expected, rtol=1e-4, atol=1e-5)


def refuse(options: OnnxOptions, opset: int = 21) -> list[Any]:
    graph, weights = make_conv_net()
    with pytest.raises(CompileError) as error:
        compile_onnx(graph, weights, Path("never.onnx"), opset=opset, options=options)
    assert not Path("never.onnx").exists()
    return list(error.value.messages)


def test_refusals() -> None:
    (fault,) = refuse(OnnxOptions(), opset=17)
    assert fault.kind is opset_out_of_range
    (fault,) = refuse(OnnxOptions(dynamic=()))
    assert fault.kind is dimension_without_size
    assert fault.text.title.startswith("`batch` is neither ")
    (fault,) = refuse(OnnxOptions(fixed=(("height", 3),)))
    assert fault.kind is unknown_dimension
    assert fault.text.label == "the free ones are batch"


def test_weights_that_do_not_fit_are_refused() -> None:
    graph, weights = make_conv_net()
    weights["head.bias"] = np.zeros(6, np.float32)
    del weights["stem.conv.weight"]
    with pytest.raises(CompileError) as error:
        compile_onnx(graph, weights, Path("never.onnx"))
    assert [m.text.title for m in error.value.messages] == [
        "there are no numbers for the weight `stem.conv.weight`",
        "the weight `head.bias` has the shape [6]",
    ]


def test_an_operator_that_an_opset_lacks_is_refused_at_its_line() -> None:
    from dataclasses import dataclass

    @dataclass(frozen=True)
    class Rope(Relu):  # type: ignore[misc]
        name = "rope"

        def onnx(self, build: Any, outputs: Any, x: Any) -> Any:
            return [build.op("RotaryEmbedding", [x.value])]

    net = Net()
    x = net.build.input("x", TensorType.of("f32", ["n", 4]))
    net.build.output("y", net.apply(Rope(), x, span=span(SPEC, "second")))
    with pytest.raises(CompileError) as error:
        compile_onnx(net.build.graph(), {}, Path("never.onnx"))
    (fault,) = error.value.messages
    assert fault == opset_too_old(span(SPEC, "second"), "rope", "RotaryEmbedding", 23, 21)


def test_sizes_that_onnx_cannot_say_are_refused_at_their_line() -> None:
    from dataclasses import dataclass

    @dataclass(frozen=True)
    class Told(Relu):  # type: ignore[misc]
        name = "told"

        def onnx(self, build: Any, outputs: Any, x: Any) -> Any:
            return [build.op("Split", [x.value], {"num_outputs": x.shape[0]})]

    @dataclass(frozen=True)
    class Asked(Relu):  # type: ignore[misc]
        name = "asked"

        def onnx(self, build: Any, outputs: Any, x: Any) -> Any:
            return [build.op("Reshape", [x.value, build.shape([Dim.of("hidden")])])]

    for op, expected in (
        (Told(), dimension_fixed(span(SPEC, "second"), "told", "n")),
        (Asked(), dimension_not_readable(span(SPEC, "second"), "asked", "hidden")),
    ):
        net = Net()
        x = net.build.input("x", TensorType.of("f32", ["n", 4]))
        net.build.output("y", net.apply(op, x, span=span(SPEC, "second")))
        with pytest.raises(CompileError) as error:
            compile_onnx(net.build.graph(), {}, Path("never.onnx"))
        assert list(error.value.messages) == [expected]


def test_fixed_dims_become_numbers(tmp_path: Path) -> None:
    graph, weights = make_conv_net()
    options = OnnxOptions(dynamic=(), fixed=(("batch", 2),))
    compile_onnx(graph, weights, tmp_path / "net.onnx", options=options)
    shape = check_onnx(tmp_path / "net.onnx").graph.output[0].type.tensor_type.shape
    assert [d.dim_value for d in shape.dim] == [2, 5]


def test_the_structure_is_read_without_the_weights(tmp_path: Path) -> None:
    net = Net()
    x = net.build.input("x", TensorType.of("f32", ["n", 64]))
    net.build.output("y", net.apply(Dense(64), x, name="fc"))
    graph = net.build.graph()
    compile_onnx(graph, draw_weights(graph), tmp_path / "net.onnx")
    structure = read_structure(tmp_path / "net.onnx")
    assert [i.name for i in structure.graph.input] == ["x", "fc.weight"]
    assert [i.name for i in structure.graph.initializer] == ["fc.bias"]
    assert structure.ByteSize() < 3000


@pytest.mark.parametrize("content", [b"", b"\xff\xff\xff", b"\x3a\xff\xff\xff\xff\x0f"])
def test_what_is_no_model_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "bad.onnx"
    path.write_bytes(content)
    with pytest.raises(MalformedModel):
        check_onnx(path)


def test_a_name_that_is_no_text_is_refused(tmp_path: Path) -> None:
    graph, weights = make_conv_net()
    compile_onnx(graph, weights, tmp_path / "net.onnx")
    model = onnx.load(tmp_path / "net.onnx")
    model.graph.output[0].name = "?"
    path = tmp_path / "bad.onnx"
    path.write_bytes(model.SerializeToString().replace(b"\x0a\x01?", b"\x0a\x01\xff"))
    with pytest.raises(MalformedModel, match="utf-8"):
        check_onnx(path)


def test_a_type_that_is_none_is_refused(tmp_path: Path) -> None:
    graph, weights = make_conv_net()
    compile_onnx(graph, weights, tmp_path / "net.onnx")
    model = onnx.load(tmp_path / "net.onnx")
    model.graph.input[0].type.tensor_type.elem_type = 61
    onnx.save(model, tmp_path / "bad.onnx")
    with pytest.raises(MalformedModel, match="data type 61"):
        check_onnx(tmp_path / "bad.onnx")


def test_a_contradiction_in_types_is_found(tmp_path: Path) -> None:
    graph, weights = make_conv_net()
    compile_onnx(graph, weights, tmp_path / "net.onnx")
    model = onnx.load(tmp_path / "net.onnx")
    model.graph.output[0].type.tensor_type.shape.dim[1].dim_value = 6
    onnx.save(model, tmp_path / "bad.onnx")
    with pytest.raises(MalformedModel, match="6"):
        check_onnx(tmp_path / "bad.onnx")


def test_a_free_dim_that_is_fixed_inside_is_found(tmp_path: Path) -> None:
    sizes = onnx.numpy_helper.from_array(np.array([5, 2], np.int64), "sizes")
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("Reshape", ["x", "sizes"], ["y"])],
        "net",
        [onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, ["n", 2])],
        [onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, ["n", 2])],
        [sizes],
    )
    opsets = [onnx.helper.make_opsetid("", 21)]
    onnx.save(
        onnx.helper.make_model(graph, opset_imports=opsets, ir_version=10), tmp_path / "net.onnx"
    )
    with pytest.raises(MalformedModel, match="`n` of output `y` is fixed to 5"):
        check_onnx(tmp_path / "net.onnx")


def test_an_output_has_another_name_than_an_input(tmp_path: Path) -> None:
    """When a net is checked that is deployed so, and where one is written from Python."""
    text = "model M {\n    input x: f32[n, 2]\n    output x = 2 * x\n    output y = x\n}\n"
    deployed = f"{text}net m = M()\ndeploy m as onnx "
    sink = Sink()
    check_source(Source("spec.weft", deployed + "{}"), sink=sink)
    assert [m.kind for m in sink.messages] == [input_and_output]
    sink = Sink()
    check_source(Source("spec.weft", deployed + "{ outputs y }"), sink=sink)
    assert not sink.messages
    with pytest.raises(CompileError) as caught:
        compile_onnx(build(text).graph, {}, tmp_path / "net.onnx")
    assert [m.kind for m in caught.value.messages] == [input_and_output]
