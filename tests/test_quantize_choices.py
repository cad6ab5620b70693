"""Choices of static int8: which placement is taken, by the meter or by rules, and what is said."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from backends.onnx_graph.compile import compile_onnx
from backends.verification.readback import optimize
from compiler.compression.base import CompressionContext
from compiler.compression.context import LayerNote
from compiler.compression.quantization.calibrated import fold_norms
from compiler.compression.quantization.input_channels import pad_inputs
from compiler.compression.quantization.int8 import Int8
from compiler.compression.quantization.placement import find_layers, find_start
from compiler.ir.evaluate import evaluate
from compiler.ir.weighted_net import WeightedNet
from compiler.ops.convolution import Conv
from compiler.ops.linear import Dense
from compiler.ops.padding import Pad
from compiler.ops.quantization import Form
from compiler.report.diagnostics import CompileError
from compiler.report.messages.quantization import nothing_to_quantize
from tests.quantizing import Drawn, check_net, make_net
from tests.test_quantize_int8 import RESIDUAL, WIDE, make_context, quantize, rounded_dtypes

NARROW = """
model M() {
    input image: f32[batch, 3, 16, 16]
    x = image -> conv(16, kernel=3, padding=1) as stem -> relu6
    x = x -> conv(16, kernel=3, padding=1, groups=16) as deep -> relu6
    x = x -> conv(4, kernel=1) as narrow
    x = x -> conv(24, kernel=1) as wide -> relu6 -> conv(32, kernel=3, stride=2) as next -> relu
    output logits: f32[batch, 5] = x -> global_avg_pool -> dense(5) as fc
}
"""


@dataclass
class Stopwatch:
    """A meter that knows how long a net takes: by how many values it rounds."""

    seconds: Mapping[int, float]
    asked: list[int] = field(default_factory=list)

    def compare(self, nets: Sequence[WeightedNet]) -> Sequence[float]:
        counts = [len(rounded_dtypes(net.graph)) for net in nets]
        self.asked += counts
        return [self.seconds.get(count, 1.0) for count in counts]


def test_the_fastest_placement_wins() -> None:
    net = make_net(RESIDUAL)
    stem = quantize(net, Int8(placement="float_stem"))
    latency_meter = Stopwatch({len(rounded_dtypes(stem.graph)): 0.2})
    context = make_context(net, latency_meter=latency_meter)
    made = quantize(net, Int8(), context)
    assert "conv1.weight_scale" not in made.weights
    assert latency_meter.asked[0] == 0, "the float net is measured too"
    taken = [note for note in context.journal if note.done.startswith("integer:")]
    assert [dict(note.figures)["seconds"] for note in taken] == [0.2]


def test_a_net_slower_than_float_has_a_note() -> None:
    net = make_net(RESIDUAL)
    context = make_context(net, latency_meter=Stopwatch({0: 0.5}))
    quantize(net, Int8(), context)
    (taken,) = [note for note in context.journal if note.done.startswith("integer:")]
    assert "slower than float" in taken.reason
    assert dict(taken.figures)["float_seconds"] == 0.5


def test_without_a_clock_a_small_first_convolution_stays_float() -> None:
    net = make_net(RESIDUAL)  # 27 products for each result
    assert "conv1.weight_scale" not in quantize(net, Int8()).weights
    wide = make_net(RESIDUAL.replace("kernel=3, padding=1, bias=false) as conv1", WIDE))
    assert "conv1.weight_scale" in quantize(wide, Int8()).weights


@pytest.mark.parametrize("layer", ["conv(4, kernel=3) as c", "conv(3, kernel=3, groups=3) as c"])
@pytest.mark.parametrize("name", ["float_stem", "float_depthwise"])
def test_a_placement_without_layers_is_refused(name: Any, layer: str) -> None:
    net = make_net(f"model M() {{ input x: f32[batch, 3, 8, 8]  output y = x -> {layer} }}")
    with pytest.raises(CompileError) as caught:
        quantize(net, Int8(placement=name))
    (message,) = caught.value.messages
    assert message.kind is nothing_to_quantize
    assert message.text.help.startswith(f'`placement="{name}"` leaves every layer in floats')


def test_the_most_sensitive_layer_stays_float() -> None:
    net = make_net(RESIDUAL)
    weights = dict(net.weights)
    weights["conv2.weight"] = weights["conv2.weight"].copy()
    weights["conv2.weight"][0, 0, 0, 0] = 500.0  # one scale for all would drown the rest
    net = WeightedNet(net.graph, weights)
    context = make_context(net)
    made = quantize(
        net, Int8(placement="all", per_channel=False, float_layers=1, calibration="minmax"), context
    )
    assert "conv2.weight_scale" not in made.weights
    assert any(n.path == "conv2" and "sensitive" in n.reason for n in context.journal)


TWICE = """
model M() {
    input left: f32[batch, 3, 8, 8]
    net enc = conv(8, kernel=3, padding=1) -> relu -> conv(3, kernel=3, padding=1)
    output y = enc(relu(enc(left))) -> global_avg_pool -> dense(4) as head
}
"""


@pytest.mark.parametrize(
    "scheme",
    [Int8(rows=32, per_channel=False, float_layers=1), Int8(rows=32, placement="float_stem")],
)
def test_all_calls_of_one_weight_are_rounded_or_none(scheme: Int8, tmp_path: Path) -> None:
    """Only the first call reads the input, and the calls are not equally sensitive."""
    net = make_net(TWICE)
    made = quantize(net, scheme)
    sources = {v.name for n in made.graph.nodes if (v := n.inputs[0]) is not None}
    rounded = sources & set(net.weights)
    assert 0 < len(rounded) < 3
    layers = [n for n in made.graph.nodes if isinstance(n.op, Conv | Dense)]
    raw = {v.name for n in layers if (v := n.inputs[1]) is not None}
    assert not raw & rounded, "a module holds a weight once, and rounds it at every call"
    report, messages = check_net(made, tmp_path, net.graph)
    assert report.passed, messages


def test_a_poor_ratio_is_said() -> None:
    net = make_net(RESIDUAL)
    context = make_context(net)
    quantize(net, Int8(sqnr=200.0), context)
    (taken,) = [note for note in context.journal if note.done.startswith("integer:")]
    assert "no placement has a signal to noise of 200 dB" in taken.reason


def count_rounded(net: WeightedNet, placement: Any) -> int:
    return len(rounded_dtypes(quantize(net, Int8(placement=placement)).graph))


def note_of_choice(context: CompressionContext) -> LayerNote:
    (taken,) = [note for note in context.journal if note.done.startswith("integer:")]
    return taken


@pytest.mark.parametrize(("seconds", "label"), [(0.202, "all"), (0.25, "float_stem")])
def test_among_equally_fast_placements_the_quietest_wins(seconds: float, label: str) -> None:
    """Here the first convolution adds less noise in integers than its rounded result does."""
    net = make_net(RESIDUAL)
    counts = {count_rounded(net, "float_stem"): 0.2, count_rounded(net, "all"): seconds}
    context = make_context(net, latency_meter=Stopwatch(counts))
    made = quantize(net, Int8(), context)
    assert len(rounded_dtypes(made.graph)) == count_rounded(net, label)
    figures = dict(note_of_choice(context).figures)
    assert figures["seconds"] == counts[count_rounded(net, label)]
    measured = [dict(n.figures) for n in context.journal if n.reason.startswith("not taken")]
    slower = [found for found in measured if found["seconds"] > 0.21]
    assert slower
    assert all("sqnr" not in found for found in slower), "only contenders are evaluated"


def test_a_start_reaches_to_the_first_narrow_place(tmp_path: Path) -> None:
    net = make_net(NARROW)
    layers, _ = find_layers(net.graph)
    assert [layer.path for layer in find_start(net.graph, layers)] == ["stem", "deep", "narrow"]
    made = quantize(net, Int8(placement="float_start"))
    whole = {path.removesuffix("_scale") for path in made.weights if path.endswith("weight_scale")}
    assert whole == {"wide.weight", "next.weight", "fc.weight"}
    report, messages = check_net(made, tmp_path, net.graph)
    assert report.passed, messages
    latency_meter = Stopwatch({count_rounded(net, "float_start"): 0.1})
    assert (
        "narrow.weight_scale"
        not in quantize(net, Int8(), make_context(net, latency_meter=latency_meter)).weights
    )


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("conv(4, kernel=1) as narrow", "conv(16, kernel=1) as narrow"),
        (
            "x = x -> conv(24, kernel=1) as wide",
            "x = concat([x, image], axis=1) -> conv(24, kernel=1)",
        ),
    ],
    ids=["nowhere less", "not all of it"],
)
def test_there_is_no_start_where_nothing_narrows(before: str, after: str) -> None:
    text = NARROW.replace(before, after).replace("stride=2", "padding=1")
    assert after in text
    net = fold_norms(make_net(text))
    assert find_start(net.graph, find_layers(net.graph)[0]) == ()


def test_padded_inputs_change_nothing_but_the_file(tmp_path: Path) -> None:
    net = make_net(RESIDUAL)
    plain = quantize(net, Int8(placement="all"))
    padded = pad_inputs(plain)
    assert padded is not None
    assert padded.weights["conv1.weight"].shape == (8, 4, 3, 3)
    assert not padded.weights["conv1.weight"][:, 3].any()
    (batch,) = Drawn(net.graph, {}).batches(4)
    wanted = evaluate(plain.graph, plain.weights, batch)
    found = evaluate(padded.graph, padded.weights, batch)
    np.testing.assert_array_equal(found["logits"], wanted["logits"])
    report, messages = check_net(padded, tmp_path, net.graph)
    assert report.passed, messages
    assert pad_inputs(padded) is None


@pytest.mark.parametrize("form", ["qdq", "qoperator"])
def test_levels_are_padded(form: Form, tmp_path: Path) -> None:
    net = make_net(RESIDUAL)
    padded = pad_inputs(quantize(net, Int8(placement="all", form=form)))
    assert padded is not None
    path = tmp_path / "net.onnx"
    compile_onnx(padded.graph, padded.weights, path)
    for graph in (onnx.load(path).graph, optimize(path).graph):
        makers = {name: node.op_type for node in graph.node for name in node.output}
        (pad,) = [node for node in graph.node if node.op_type == "Pad"]
        assert makers[pad.input[0]] in ("QuantizeLinear", "Transpose")
    assert sum(node.op_type == "QLinearConv" for node in graph.node) == 2


def test_only_first_convolutions_in_integers_have_padded_inputs() -> None:
    net = make_net(RESIDUAL)
    assert pad_inputs(quantize(net, Int8(placement="float_stem"))) is None
    even = make_net(RESIDUAL.replace("f32[batch, 3,", "f32[batch, 8,"))
    assert pad_inputs(quantize(even, Int8(placement="all"))) is None
    twice = RESIDUAL.replace("(x + y) -> relu", "(x + y + conv(image, 8, kernel=1)) -> relu")
    assert pad_inputs(quantize(make_net(twice), Int8(placement="all"))) is None


@dataclass
class Parts:
    """A meter for which nets with a padded input take this part of the time of others."""

    share: float

    def compare(self, nets: Sequence[WeightedNet]) -> Sequence[float]:
        return [
            self.share if any(isinstance(n.op, Pad) for n in net.graph.nodes) else 1.0
            for net in nets
        ]


@pytest.mark.parametrize(("share", "channels"), [(0.9, 4), (1.1, 3)])
def test_inputs_are_padded_where_that_is_faster(share: float, channels: int) -> None:
    net = make_net(RESIDUAL)
    context = make_context(net, latency_meter=Parts(share))
    made = quantize(net, Int8(placement="all"), context)
    assert made.weights["conv1.weight"].shape[1] == channels
    assert ("channels of zeros" in note_of_choice(context).done) == (channels == 4)
