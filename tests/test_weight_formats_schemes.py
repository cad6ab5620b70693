"""Schemes that keep weights in few bits: the three backends agree, settings mean what they say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backends.pytorch.modules import emit_module
from compiler.compression.base import CompressionContext
from compiler.compression.quantization.automatic import Auto
from compiler.compression.quantization.base import Scheme
from compiler.compression.quantization.dynamic import Dynamic
from compiler.compression.quantization.half import Bfloat16, Float16
from compiler.compression.quantization.int8 import Int8
from compiler.compression.quantization.stored import Stored4, Stored8
from compiler.compression.quantization.weight_only import LEAST as LEAST_PACKED
from compiler.compression.quantization.weight_only import Weights4, Weights8
from compiler.compression.selecting import KEPT_OUT
from compiler.ir.cost import summarize
from compiler.ir.weighted_net import WeightedNet
from compiler.ops.packed import DynamicDense
from compiler.program.variant import Target
from compiler.report.diagnostics import CompileError, Fault
from compiler.report.messages.quantization import no_calibration_sizes
from tests.quantizing import Drawn, check_net, make_net
from tests.test_quantize_random import EXAMPLES, draw_images, draw_tokens
from tests.weight_formats import DENSE, IMAGES, STORED, TOKENS, apply, check


def test_small_layers_that_are_not_packed_say_so() -> None:
    net = make_net(
        "model M() { input x: f32[batch, 32]  output y = x -> dense(64) as a -> relu\n"
        "-> dense(8) as b }"
    )
    context = CompressionContext(samples=Drawn(net.graph, {}))
    made = Weights4(rest="float").quantize(net, context, None, ())
    assert "b.weight" in made.weights
    (note,) = (note for note in context.journal if note.path == "b")
    assert note.reason == "its weight has only 512 numbers, which are not packed"


def test_auto_hides_no_fault_of_a_candidate(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> WeightedNet:
        raise CompileError([no_calibration_sizes(None, "M", ("h",))])

    monkeypatch.setattr(Stored8, "quantize", fail)
    with pytest.raises(CompileError) as caught:
        apply(Auto(), make_net(IMAGES))
    assert caught.value.messages[0].kind is no_calibration_sizes


def test_weights_beyond_f16_say_so() -> None:
    net = make_net(IMAGES)
    net.weights["head.weight"][0, 0] = 1e5  # type: ignore[index]
    context = CompressionContext(samples=Drawn(net.graph, {}))
    made = Float16(compute="never").quantize(net, context, None, ())
    assert made.weights["head.weight"].dtype == np.float32
    (note,) = (note for note in context.journal if note.path == "head")
    assert note.reason == "a number of `head.weight` is beyond the range of f16"


@pytest.mark.parametrize("scheme", STORED, ids=str)
def test_convnets_agree_in_all_backends(scheme: Scheme) -> None:
    check(scheme, make_net(IMAGES))


@pytest.mark.parametrize("scheme", [*STORED[2:5], *DENSE], ids=str)
def test_transformers_agree_in_all_backends(scheme: Scheme) -> None:
    check(scheme, make_net(TOKENS))


@EXAMPLES
@given(text=draw_images(), scheme=st.sampled_from((*STORED, *DENSE)))
def test_random_convnets_survive(text: str, scheme: Scheme) -> None:
    net = make_net(text)
    read = [n.inputs[1] for n in net.graph.nodes if n.op.name == "dense"]
    largest = max(net.weights[value.name].size for value in read if value is not None)
    if isinstance(scheme, Weights4 | Weights8) and largest < LEAST_PACKED:
        with pytest.raises(CompileError):
            apply(scheme, net)
        return
    made = apply(scheme, net)
    with TemporaryDirectory() as folder:
        report, messages = check_net(made, Path(folder), net.graph)
    assert report.passed, (text, [(m.code, m.text.title, m.text.label) for m in messages])


@EXAMPLES
@given(text=draw_tokens(), scheme=st.sampled_from((*STORED, Dynamic(), Dynamic(smooth=0.3))))
def test_random_token_nets_survive(text: str, scheme: Scheme) -> None:
    net = make_net(text)
    made = apply(scheme, net)
    with TemporaryDirectory() as folder:
        report, messages = check_net(made, Path(folder), net.graph)
    assert report.passed, (text, [(m.code, m.text.title, m.text.label) for m in messages])


# --- settings, notes and messages -------------------------------------------------------------


@pytest.mark.parametrize("scheme", [Weights4(), Weights8(rest="float"), Dynamic()])
def test_a_layer_that_is_kept_out_is_named_once(scheme: Scheme) -> None:
    net, context = (
        make_net(
            "model M { input x: f32[batch, 32]  output y = x -> dense(64) as wide -> relu"
            " -> dense(32) as deep -> relu -> dense(32) as head }"
        ),
        CompressionContext(),
    )
    scheme.quantize(net, context, ("wide",), ())
    kept = [note.path for note in context.journal if note.reason == KEPT_OUT]
    assert kept == ["deep", "head"]


def test_layers_can_be_left_alone() -> None:
    net = make_net(TOKENS)
    context = CompressionContext(samples=Drawn(net.graph, {}))
    made = Dynamic(rest="float").quantize(net, context, ["blocks.*"], ["blocks.0.mlp"])
    integer = [n.origin.name for n in made.graph.nodes if isinstance(n.op, DynamicDense)]
    assert len(integer) == 6
    assert {p for p in made.weights if p.startswith(("head", "blocks.0.mlp", "embed"))} == {
        p for p in net.weights if p.startswith(("head", "blocks.0.mlp", "embed"))
    }
    left = {note.path: note.reason for note in context.journal if not note.done}
    assert left["head"] == "`only` or `except` says so"
    done = {note.path: dict(note.figures) for note in context.journal if note.done}
    assert done["blocks.1.mlp.0"]["sqnr"] > 35


def test_tied_weights_are_stored_once(tmp_path: Path) -> None:
    net = make_net(
        "model M { input t: i64[batch, 5]\n net embed = embedding(64, 16)\n x = embed(t)\n"
        " output y = x -> dense(64, weight=embed.weight, bias=false) }"
    )
    made = check(Stored8(), net)
    assert set(made.weights) == {"embed.weight_codes", "embed.weight_scale"}
    with pytest.raises(CompileError) as raised:
        apply(Dynamic(), net)
    assert [m.code for m in raised.value.messages] == ["W1155"]


def test_weights_in_loops_are_stored_outside() -> None:
    net = make_net(
        "model M { input x: f32[batch, 5, 8]\n h = zeros([batch, 8])\n"
        " scan x_t in x, axis=1 { h = tanh((x_t + h) -> dense(8) as cell) }\n"
        " output y = h -> dense(16) as head }"
    )
    made = check(Stored8(), net)
    assert set(made.weights) == {
        *("cell.weight_codes", "cell.weight_scale", "cell.bias"),
        *("head.weight_codes", "head.weight_scale", "head.bias"),
    }
    source = emit_module([made.graph], title="M")
    assert source.index("self.cell.weight_codes * self") < source.index("for ")


def test_what_is_rounded_already_stays() -> None:
    net = make_net(IMAGES)
    integer = apply(Int8(), net)
    context = CompressionContext()
    made = Stored8().quantize(integer, context, None, ())
    stored = {p for p in made.weights if p.endswith("codes")}
    assert stored == {"conv.weight_codes", "up.weight_codes"}  # those that stay float
    reasons = {note.path: note.reason for note in context.journal if not note.done}
    assert reasons["head.weight"] == "it is rounded already"


def test_half_precision_keeps_borders_and_norms() -> None:
    net = make_net(TOKENS)
    made = apply(Float16(keep=("head",), compute="always"), net)
    kinds = {p.path: str(p.value.type.dtype) for p in made.graph.parameters}
    assert kinds["blocks.0.mlp.0.weight"] == kinds["embed.weight"] == "f16"
    assert kinds["head.weight"] == kinds["norm.weight"] == "f32"
    assert str(made.graph.outputs[0].value.type.dtype) == "f32"
    softmax = [n for n in made.graph.nodes if n.op.name == "layer_norm"]
    assert all(str(n.output.type.dtype) == "f32" for n in softmax)


def test_bf16_does_not_compute_on_the_cpu() -> None:
    with pytest.raises(CompileError) as raised:
        apply(Bfloat16(compute="always"), make_net(TOKENS))
    assert [m.code for m in raised.value.messages] == ["W1156"]
    made = apply(Bfloat16(compute="always"), make_net(TOKENS), target=Target("cuda"))
    dense = [n for n in made.graph.nodes if n.op.name == "dense"]
    assert {str(n.output.type.dtype) for n in dense} == {"bf16"}


@pytest.mark.parametrize(
    "make", [lambda: Weights4(block=24), lambda: Weights8(block=8), lambda: Dynamic(smooth=2.0)]
)
def test_settings_that_mean_nothing_are_refused(make: Any) -> None:
    with pytest.raises(Fault):
        make()


@dataclass
class Counted:
    """A meter by which integer nodes take `cost` each, and everything else nothing."""

    cost: float
    calls: list[int] = field(default_factory=list)

    def compare(self, nets: Sequence[WeightedNet]) -> Sequence[float]:
        self.calls.append(len(nets))
        found = []
        for net in nets:
            sizes = [
                n.inputs[1].type.size.known or 0
                for n in net.graph.nodes
                if isinstance(n.op, DynamicDense) and n.inputs[1] is not None
            ]
            small = sum(size < 1024 for size in sizes)
            found.append(1.0 + self.cost * len(sizes) + 0.5 * small)
        return found


def test_the_clock_chooses() -> None:
    net = make_net(TOKENS)
    slow = apply(Auto(sqnr=0.0), net, latency_meter=Counted(0.1))
    assert not any(isinstance(n.op, DynamicDense) for n in slow.graph.nodes)
    context = CompressionContext(samples=Drawn(net.graph, {}), latency_meter=Counted(-0.09))
    fast = Auto(sqnr=0.0).quantize(net, context, None, ())
    integer = [n for n in fast.graph.nodes if isinstance(n.op, DynamicDense)]
    assert len(integer) == 8  # the head's 256 numbers cost more than they save
    assert "head.weight_codes" in fast.weights
    reasons = [note.reason for note in context.journal if note.path == "head" and note.reason]
    assert "measured for all of 8 x 32" in reasons


def test_targets_shape_dynamic_layers() -> None:
    """Without VNNI, sums of two products of 8 bits saturate: weights keep 7."""
    net = make_net(TOKENS)
    narrow = apply(Dynamic(rest="float"), net, target=Target(vnni=False))
    wide = apply(Dynamic(rest="float"), net)
    for made, most in ((narrow, 63), (wide, 127)):
        codes = [a for path, a in made.weights.items() if path.endswith(".codes")]
        assert len(codes) == 9
        assert most // 2 < max(int(np.abs(a.astype(int)).max()) for a in codes) <= most + 1
    context = CompressionContext(target=Target("cuda"))
    Dynamic().quantize(net, context, None, ())
    assert any("on the CPU only" in note.reason for note in context.journal)


def test_codes_count_as_parameters() -> None:
    net = make_net(TOKENS)
    count = summarize(net.graph).parameters
    for scheme in (Stored4(), Float16(), Dynamic(), Weights4()):
        assert summarize(apply(scheme, net).graph).parameters == count
