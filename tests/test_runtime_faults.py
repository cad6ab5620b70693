"""Known faults of ONNX Runtime: each still there in its plain form, and avoided in our files."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import reduce
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import helper, numpy_helper

from backends.onnx_graph import integer_form
from backends.onnx_graph.compile import compile_onnx
from backends.onnx_graph.runtime_faults import FAULTS, Harm
from backends.onnx_runtime.session import REFUSALS, Device
from backends.verification.readback import optimize
from backends.verification.verify import verify
from compiler.compression.base import CompressionContext
from compiler.compression.quantization.base import Quantize
from compiler.compression.quantization.int8 import Int8
from compiler.ir.evaluate import evaluate
from compiler.ir.graph import Graph
from compiler.ir.weights import draw_weights
from compiler.report.diagnostics import Sink
from tests.checking import check_text
from tests.quantizing import Drawn, make_net


def make_graph(spec: str) -> Graph:
    return check_text(f"{spec}\ndeploy M as onnx").deploys[0].graph


SPACE = np.array([0, 0, 1, 1, 0, 0, 1, 1])


@dataclass(frozen=True)
class Plain:
    """A model in the plain form, with what it is to give; and a spec of the same."""

    nodes: tuple[onnx.NodeProto, ...]
    inputs: dict[str, Any]
    spec: str
    constants: dict[str, Any] = field(default_factory=dict)

    def build(self) -> onnx.ModelProto:
        kinds = {n: helper.np_dtype_to_tensor_dtype(a.dtype) for n, a in self.inputs.items()}
        inputs = [
            helper.make_tensor_value_info(n, kinds[n], a.shape) for n, a in self.inputs.items()
        ]
        held = [numpy_helper.from_array(a, n) for n, a in self.constants.items()]
        output = onnx.ValueInfoProto(name="y")
        graph = helper.make_graph(self.nodes, "plain", inputs, [output], held)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)

    def run(self, *, optimized: bool) -> Any:
        options = ort.SessionOptions()
        options.log_severity_level = 4
        if not optimized:
            options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
        model = self.build().SerializeToString()
        session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        return session.run(None, self.inputs)[0]


def node(op_type: str, *inputs: str, to: str = "y", **attributes: Any) -> onnx.NodeProto:
    return helper.make_node(op_type, inputs, [to], **attributes)


def image(channels: int = 3) -> Any:
    draw = np.random.default_rng(0)
    return -1 - np.abs(draw.standard_normal((1, channels, 6, 6))).astype(np.float32)


def whole(dtype: str) -> Any:
    return np.arange(6).reshape(2, 3).astype(dtype)


def model(inputs: str, output: str) -> str:
    lines = [f"input {line}" for line in inputs.split("; ")]
    return "\n".join(["model M() {", *lines, f"output y = {output}", "}"])


def draw_kernel(*shape: int) -> Any:
    return np.random.default_rng(1).standard_normal(shape).astype(np.float32)


PLAIN: dict[str, Callable[[], Plain]] = {
    "pad_before_max_pool": lambda: Plain(
        (node("Pad", "x", "p", to="q"), node("MaxPool", "q", kernel_shape=[3, 3])),
        {"x": image()},
        model("x: f32[batch, 3, h, w]", "x -> pad([1, 1, 1, 1]) -> max_pool(3, stride=1)"),
        {"p": SPACE},
    ),
    "pool_of_padding": lambda: Plain(
        (node("MaxPool", "x", kernel_shape=[2], dilations=[2], pads=[1, 1]),),
        {"x": np.ones((1, 1, 1), np.float32)},
        model("x: f32[batch, 2, w]", "x -> max_pool(2, padding=1, dilation=2, stride=1)"),
    ),
    "wide_padding": lambda: Plain(
        (node("MaxPool", "x", kernel_shape=[2], dilations=[2], strides=[3], pads=[0, 2]),),
        {"x": np.ones((1, 1, 7), np.float32)},
        model("x: f32[batch, 2, 7]", "x -> max_pool(2, stride=3, dilation=2, ceil_mode=true)"),
    ),
    "group_normalization": lambda: Plain(
        (node("GroupNormalization", "x", "s", "b", num_groups=4),),
        {"x": np.full((1, 4, 64, 64), 7.1, np.float32)},
        model("x: f32[batch, 4, h, w]", "x -> group_norm(2) as n"),
        {"s": np.ones(4, np.float32), "b": np.zeros(4, np.float32)},
    ),
    "mean_of_instances": lambda: Plain(
        (node("InstanceNormalization", "x", "s", "b"),),
        {"x": np.full((1, 2, 224, 224), 100.3, np.float32)},
        model("x: f32[batch, 2, h, w]", "x -> instance_norm"),
        {"s": np.ones(2, np.float32), "b": np.zeros(2, np.float32)},
    ),
    "output_padding": lambda: Plain(
        (
            node(
                "ConvTranspose",
                *("x", "w"),
                kernel_shape=[2, 2],
                dilations=[2, 2],
                output_padding=[1, 1],
            ),
        ),
        {"x": image()},
        model(
            "x: f32[batch, 3, h, w]",
            "x -> conv_transpose(4, kernel=2, dilation=2, output_padding=1) as c",
        ),
        {"w": draw_kernel(3, 4, 2, 2)},
    ),
    "same_with_dilation": lambda: Plain(
        (
            node(
                "Conv",
                *("x", "w"),
                kernel_shape=[3, 3],
                dilations=[2, 2],
                strides=[2, 2],
                auto_pad="SAME_UPPER",
            ),
        ),
        {"x": image()},
        model(
            "x: f32[batch, 3, h, w]",
            'x -> conv(2, kernel=3, stride=2, dilation=2, padding="same") as c',
        ),
        {"w": draw_kernel(2, 3, 3, 3)},
    ),
    "power_of_integers": lambda: Plain(
        (node("Pow", "x", "k"),),
        {"x": np.array([7, 255], np.int32), "k": np.array([13, 7], np.int32)},
        model("x: i64[batch, 3]; k: i64[batch, 3]", "x ** 7 + x ** k"),
    ),
    "sum_of_integers": lambda: Plain(
        (node("ReduceSum", "x", keepdims=0),),
        {"x": np.array([2**53, 1, 2])},
        model("x: i64[batch, 3]", "sum(x ** 7, axis=1) + sum(x ** 7)"),
    ),
    "product_of_integers": lambda: Plain(
        (node("ReduceProd", "x", keepdims=0),),
        {"x": np.array([2**53 + 1, 3])},
        model("x: i64[batch, 3]", "prod(x ** 5, axis=1) + cumprod(x, axis=0)[:, 0]"),
    ),
    "pad_of_i16": lambda: Plain(
        (node("Pad", "x", "p"),),
        {"x": whole("int16")},
        model("x: i16[batch, 3]", "x -> pad([1, 1])"),
        {"p": np.array([0, 1, 0, 1])},
    ),
    **{
        f"where_of_{name}": lambda name=name, dtype=dtype: Plain(  # type: ignore[misc]
            (node("Where", "c", "x", "z"),),
            {"c": whole("bool"), "x": whole(dtype), "z": whole(dtype)},
            model(f"c: bool[batch]; x: {name}[batch]; z: {name}[batch]", "where(c, x, z)"),
        )
        for name, dtype in (("i16", "int16"), ("bool", "bool"))
    },
    "scale_of_f64": lambda: Plain(
        (node("Mul", "x", "s", to="q"), node("MatMul", "q", "w")),
        {"x": np.ones((2, 2))},
        model("x: f64[batch, 5, 3]; w: f64[3, 4]", "(x * 0.7) @ w"),
        {"s": np.array(0.1), "w": np.ones((2, 2))},
    ),
    "nearly_gelu": lambda: Plain(
        (
            node("Div", "x", "r", to="q"),
            node("Erf", "q", to="e"),
            node("Add", "e", "one", to="a"),
            node("Mul", "x", "a", to="m"),
            node("Mul", "m", "half", to="g"),
            node("Mul", "g", "many"),
        ),
        {"x": np.linspace(-3, 3, 24, dtype=np.float32).reshape(4, 6)},
        model("x: f32[batch, 3]", "x * 0.5 * (1 + erf(x / 1.4142))"),
        {
            name: np.array(number, np.float32)
            for name, number in (("r", 1.4142), ("one", 1), ("half", 0.5), ("many", 1000))
        },
    ),
    "mean_of_sums": lambda: Plain(
        (node("Add", "x", "z", to="q"), node("LayerNormalization", "q", "s", "b", axis=-1)),
        {name: np.repeat(np.float32([1999.875, 2000.125]), 2048)[None, None] for name in "xz"},
        model("x: f32[batch, t, 16]; z: f32[batch, t, 16]", "(x + z) -> layer_norm as n"),
        {"s": np.ones(4096, np.float32), "b": np.zeros(4096, np.float32)},
    ),
    "transpose_before_vector": lambda: Plain(
        (node("Transpose", "x", to="q", perm=[1, 0]), node("MatMul", "q", "v")),
        {"x": image()[0, 0, :4, :4], "v": image()[0, 0, 0, :4]},
        model("x: f32[t, 4]; v: f32[t]", "2.5 * (transpose(x, 0, 1) @ v)"),
    ),
    "relu_before_clip": lambda: Plain(
        (node("Relu", "x", to="r"), node("Clip", "r", "p", "q")),
        {"x": image().astype(np.float64)},
        model("x: f64[batch, 3]", "x -> relu -> clip(0.25, 2)"),
        {"p": np.array(0.25), "q": np.array(2.0)},
    ),
    "max_of_i16": lambda: Plain(
        (node("Max", "x", "z"),),
        {"x": whole("int16"), "z": whole("int16")},
        model("x: i16[batch]; z: i16[batch]", "maximum(x, z)"),
    ),
    "argmax_of_i16": lambda: Plain(
        (node("ArgMax", "x", axis=1),),
        {"x": whole("int16")},
        model("x: i16[batch, 3]", "argmax(x, axis=1)"),
    ),
    "scatter_of_f16": lambda: Plain(
        (node("ScatterElements", "x", "i", "u", axis=1, reduction="add"),),
        {"x": whole("float16"), "u": whole("float16")},
        model(
            "x: f16[batch, 3]; i: i64[batch, 2]; u: f16[batch, 2]", "scatter_add(x, i, u, axis=1)"
        ),
        {"i": np.zeros((2, 3), np.int64)},
    ),
    **{
        f"trilu_of_{name}": lambda name=name, dtype=dtype: Plain(  # type: ignore[misc]
            (node("Trilu", "x"),),
            {"x": whole(dtype)},
            model(f"x: {name}[batch, 3, 3]", "triu(x)"),
        )
        for name, dtype in (("i16", "int16"), ("i8", "int8"), ("u8", "uint8"))
    },
}


def expect(name: str, plain: Plain) -> Any:
    """What a wrong form should give: what it gives where nothing is fused, or by hand."""
    if name == "pool_of_padding":
        return np.full((1, 1, 1), -np.inf, np.float32)
    if name == "mean_of_sums":  # half of the sums lie 0.25 below their mean
        return np.sign(plain.inputs["x"] - 2000) * 0.25 / np.sqrt(0.0625 + 1e-5)
    if name in ("group_normalization", "mean_of_instances"):
        return np.zeros_like(plain.inputs["x"])
    if name == "power_of_integers":
        return np.power(plain.inputs["x"], plain.inputs["k"])
    if name == "sum_of_integers":
        return plain.inputs["x"].sum()
    if name == "product_of_integers":
        return plain.inputs["x"].prod()
    return plain.run(optimized=False)


INTEGER = {"float_layer_rounded": "_keep_float", "activation_apart": "_part_activation"}
"""Faults that show in quantized networks, and what avoids them."""


ENDING = ("quotient_of_the_least",)
"""Faults that are tried in a process of their own."""
QUOTIENT = """
import sys
import numpy as np
import onnxruntime as ort
session = ort.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])
kind = np.dtype(sys.argv[2])
least = np.full((2, 1), np.iinfo(kind).min, kind)
print(*session.run(None, {"x": least, "k": np.full((2, 1), -1, kind)}))
"""


@pytest.mark.parametrize("op_type", ["Div", "Mod"])
@pytest.mark.parametrize("dtype", ["int32", "int64"])
def test_the_least_number_is_divided_by_minus_one(op_type: str, dtype: str, tmp_path: Path) -> None:
    """The plain form ends the process; ours wraps around, as NumPy and PyTorch do."""

    def run(path: Path) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", QUOTIENT, str(path), dtype]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    given = {name: np.ones((2, 1), dtype) for name in ("x", "k")}
    onnx.save(Plain((node(op_type, "x", "k"),), given, "").build(), tmp_path / "plain.onnx")
    assert run(tmp_path / "plain.onnx").returncode < 0
    kind, sign = dtype.replace("int", "i"), "//" if op_type == "Div" else "%"
    graph = make_graph(model(f"x: {kind}[n, 1]; k: {kind}[n, 1]", f"x {sign} k"))
    compile_onnx(graph, {}, tmp_path / "ours.onnx")
    done = run(tmp_path / "ours.onnx")
    assert done.returncode == 0, done.stderr
    least = np.iinfo(dtype).min
    with np.errstate(over="ignore"):
        expected = np.array([least], dtype) // -1 if op_type == "Div" else np.array([0], dtype)
    assert done.stdout.split() == f"[[{expected[0]}] [{expected[0]}]]".split()


DRAWING = ("first_numbers_alike", "draws_in_loops")
"""Faults of random operators, whose numbers only others tell about."""
LOOP = [
    helper.make_node("RandomUniform", [], ["u"], shape=[4], dtype=onnx.TensorProto.DOUBLE),
    helper.make_node("Identity", ["going"], ["still"]),
]


def draw_twice(first: onnx.NodeProto, second: onnx.NodeProto) -> list[Any]:
    """What two random operators draw at the seeds 0 to 19."""
    kinds = [onnx.ValueInfoProto(name=name) for name in ("a", "b")]
    graph = helper.make_graph([first, second], "plain", [], kinds)
    graph.initializer.append(numpy_helper.from_array(np.array(1), "steps"))
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    pairs = []
    for seed in range(20):
        ort.set_seed(seed)
        session = ort.InferenceSession(made.SerializeToString())
        pairs.append([np.asarray(array).reshape(-1)[0] for array in session.run(None, {})])
    return pairs


def test_first_numbers_are_alike_in_f32() -> None:
    pairs = draw_twice(*(node("RandomUniform", to=n, shape=[4]) for n in "ab"))
    assert np.allclose(*np.transpose(pairs), atol=1e-4)


def test_a_loop_draws_what_the_graph_around_it_draws() -> None:
    turn = helper.make_tensor_value_info("turn", onnx.TensorProto.INT64, [])
    going = helper.make_tensor_value_info("going", onnx.TensorProto.BOOL, [])
    still = helper.make_tensor_value_info("still", onnx.TensorProto.BOOL, [])
    drawn = helper.make_tensor_value_info("u", onnx.TensorProto.DOUBLE, [4])
    body = helper.make_graph(LOOP, "body", [turn, going], [still, drawn])
    outer = node("RandomUniform", to="a", shape=[4], dtype=onnx.TensorProto.DOUBLE)
    loop = helper.make_node("Loop", ["steps", ""], ["b"], body=body)
    pairs = np.array(draw_twice(outer, loop))
    assert np.array_equal(pairs[:, 0], pairs[:, 1])


def test_the_list_is_whole() -> None:
    assert {fault.name for fault in FAULTS} == {*PLAIN, *INTEGER, *ENDING, *DRAWING}


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_what_avoids_it_is_there_and_says_so(fault: Any) -> None:
    """The function exists, and whoever reads it finds the entry."""
    parts = fault.avoided.split(".")
    for cut in range(len(parts), 0, -1):
        path = Path(*parts[:cut]).with_suffix(".py")
        if path.exists():
            break
    module = import_module(".".join(parts[:cut]))
    assert callable(reduce(getattr, parts[cut:], module))
    assert fault.name in path.read_text(encoding="utf-8")


@pytest.mark.parametrize("fault", [f for f in FAULTS if f.name in PLAIN], ids=lambda f: f.name)
def test_the_plain_form_is_still_at_fault(fault: Any) -> None:
    """Where this fails, ONNX Runtime was mended: the way around can go, with its entry."""
    plain = PLAIN[fault.name]()
    if fault.harm is Harm.REFUSED:
        with pytest.raises(REFUSALS):
            plain.run(optimized=True)
        return
    found, wanted = plain.run(optimized=True), expect(fault.name, plain)
    if found.shape == wanted.shape and found.dtype.kind == "f":
        step = 1e-12 if found.dtype == np.float64 else 1e-5
        assert not np.allclose(found, wanted, rtol=step, atol=step)
    elif found.shape == wanted.shape:
        assert not np.array_equal(found, wanted)


@pytest.mark.parametrize("name", list(PLAIN))
def test_our_files_are_right(name: str, tmp_path: Path) -> None:
    graph = make_graph(PLAIN[name]().spec)
    weights = draw_weights(graph)
    compile_onnx(graph, weights, tmp_path / "net.onnx")
    sink = Sink()
    report = verify(graph, weights, onnx_path=tmp_path / "net.onnx", device=Device.CPU, sink=sink)
    assert report.passed, [(m.text.title, m.text.label) for m in sink.messages]


DENSE = """model M() {
    input x: f32[batch, 16]
    x = x -> dense(32) as a -> relu -> dense(32) as b -> relu -> dense(8) as c
    output y = x -> relu
}"""
CONV = """model M() {
    input x: f32[batch, 8, 8, 8]
    x = x -> conv(16, kernel=3) as a -> relu -> conv(16, kernel=3) as b -> relu
    output y = x -> conv(8, kernel=3) as c
}"""


@pytest.mark.parametrize("name", list(INTEGER))
def test_integer_layers_still_need_their_form(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A layer that is left float between others stays so, and one before a ReLU that nothing
    rounds runs in integers: both only in the form that the list names."""
    net = make_net(CONV if name == "float_layer_rounded" else DENSE)
    context = CompressionContext(samples=Drawn(net.graph, {}))
    made = Quantize(Int8(placement="all"), except_=("b",)).run(net, context)
    counts = []
    for _ in range(2):
        compile_onnx(made.graph, made.weights, tmp_path / "net.onnx")
        nodes = optimize(tmp_path / "net.onnx").graph.node
        counts.append(sum(n.op_type in ("QLinearConv", "QGemm") for n in nodes))
        monkeypatch.setattr(integer_form, INTEGER[name], lambda build, node: None)
    assert counts == ([2, 3] if name == "float_layer_rounded" else [2, 1])


PADS = [
    "x -> pad([1, 1, 1, 1]) -> max_pool(3, stride=2)",
    "x -> pad([1, 1, 1, 1], value=-3) -> max_pool(3, stride=2)",
    "x -> pad([1, 1, 1, 1]) -> pad([1, 0, 1, 0]) -> max_pool(3, stride=2, ceil_mode=true)",
    "x -> pad([-1, 1, 1, -1]) -> max_pool(2)",
    "x -> pad([1, 1, 1, 1]) -> dropout(0.5) -> max_pool(3, padding=1)",
    "x -> pad([2, 1, 1, 2]) -> avg_pool(3, stride=2)",
    "x -> pad([2, 1, 1, 2]) -> avg_pool(3, padding=1, count_include_pad=false)",
    "x -> pad([1, 1, 1, 1], value=2.0) -> conv(2, kernel=3) as c",
    "x -> pad([1, 1, -1, 1]) -> conv(2, kernel=3, padding=1) as c",
    'x -> pad([1, 1, 1, 1], mode="reflect") -> conv(2, kernel=3) as c',
    "x -> pad([1, 1, 1, 1, 1, 1]) -> conv(2, kernel=3) as c",
    "x -> pad([1, 1, 1, 1]) -> conv_transpose(2, kernel=3, stride=2, output_padding=1) as c",
    "x -> pad([1, 1, 1, 1]) -> relu -> max_pool(3)",
    "x -> conv_transpose(3, kernel=2, padding=3, dilation=2, output_padding=1) as c",
    "x -> conv_transpose(3, kernel=2, dilation=3, stride=2, output_padding=2, bias=false) as c",
    "x -> conv_transpose(3, kernel=[3, 2], dilation=[2, 1], stride=[1, 3],"
    " output_padding=[1, 2], padding=[1, 0]) as c",
]


@pytest.mark.parametrize("chain", PADS)
def test_pads_and_their_kin(chain: str, tmp_path: Path) -> None:
    graph = make_graph(model("x: f32[batch, 3, h, w]", chain))
    weights = draw_weights(graph)
    compile_onnx(graph, weights, tmp_path / "net.onnx")
    sink = Sink()
    report = verify(graph, weights, onnx_path=tmp_path / "net.onnx", device=Device.CPU, sink=sink)
    assert report.passed, [(m.text.title, m.text.label) for m in sink.messages]


SCALES = [
    ("x: f64[n, 6]; w: f64[6, 4]", "(x / 0.7) @ w"),
    ("x: f64[n, 6]; w: f64[6, 4]", "(x @ w) / 3 + x @ (w * 0.1)"),
    ("x: f64[n, 6]; w: f64[4, 6]", "(x * 0.7) @ transpose(w, 0, 1)"),
    ("x: f64[n, 6]; w: f64[6, 4]", "transpose(x @ w, 0, 1) * 0.7"),
    ("x: f64[n]; w: f64[n]", "(x * 0.7) @ w * 0.3"),
    ("x: f64[n, 1]; w: f64[1, 4]", "(x * 0.1 * 0.3) @ (w / 0.7)"),
    ("x: f64[n, 6]; w: f64[6, 4]", "softplus(x @ w, beta=0.7)"),
    ("q: f64[n, 5, 3]", "(q, q, q) -> scaled_dot_product_attention"),
    ("q: f64[n, 5, 1]", "(q, q, q) -> scaled_dot_product_attention(scale=0.3)"),
]


SCANNED = """model M() {
    input x: f64[n, 6, 6]
    h = x[:, 0]
    scan v in x, axis=1 {
        h = ((h[:, none] + v[:, none]) * 0.7 @ x)[:, 0] * 0.1
    }
    output y = h
}"""


@pytest.mark.parametrize("spec", [*(model(*parts) for parts in SCALES), SCANNED])
def test_scales_of_f64_are_not_rounded(spec: str, tmp_path: Path) -> None:
    """Wherever the number stands, and however many axes there are."""
    graph = make_graph(spec)
    compile_onnx(graph, {}, tmp_path / "net.onnx")
    draw = np.random.default_rng(0)
    shapes = {i.name: [d.known or 5 for d in i.value.type.shape] for i in graph.inputs}
    given = {name: draw.standard_normal(shape) for name, shape in shapes.items()}
    session = ort.InferenceSession(tmp_path / "net.onnx", providers=["CPUExecutionProvider"])
    (found,) = session.run(None, given)
    assert np.allclose(found, evaluate(graph, {}, given)["y"], rtol=1e-13, atol=1e-13)


def test_pads_of_space_are_still_fused_with_convolutions(tmp_path: Path) -> None:
    graph = make_graph(
        model("x: f32[batch, 3, h, w]", "x -> pad([1, 1, 1, 1]) -> conv(2, kernel=3) as c")
    )
    compile_onnx(graph, draw_weights(graph), tmp_path / "net.onnx")
    assert "Pad" not in [n.op_type for n in optimize(tmp_path / "net.onnx").graph.node]
