"""`net -> lora(…)`: adapters are trained, all else is frozen, and deployment merges them."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from backends.onnx_graph.check import check_onnx
from backends.onnx_graph.compile import compile_onnx
from backends.onnx_runtime.session import Device
from backends.pytorch.modules import emit_module
from backends.pytorch.run.load import assign_weights, load_module
from backends.pytorch.run.running import run_training
from backends.pytorch.train.folder import write_training
from backends.pytorch.train.models import spell_trained
from backends.verification.verify import verify
from compiler.compression.attach import attach
from compiler.compression.low_rank.adapting import adapter_slot, add_adapters
from compiler.compression.low_rank.merging import merge_adapters
from compiler.driver import check, check_source
from compiler.ir.evaluate import evaluate
from compiler.ir.graph import Graph
from compiler.ir.verify import verify_graph
from compiler.ir.weights import draw_weights, read_weights
from compiler.passes.base import Context
from compiler.passes.pipeline import ONNX_PASSES, run_passes
from compiler.program.program import Program
from compiler.report.diagnostics import Fault, Message, Sink
from compiler.report.source import Source
from compiler.vocabulary.net_functions import Lora
from tests.elaborating import elaborate
from tests.pytorch_compare import assert_means_the_same, draw_inputs, draw_lively
from tests.pytorch_random import make_network
from tests.test_low_rank_pass import LOOP
from tests.train_scripts import lint
from weft.building.plan import plan_build

Array = NDArray[Any]
SIZES = {"batch": 2, "t": 3}
ENCODER = """
use std.transformer
model Small(d: int = 16, classes: int = 5) {
    input x: f32[batch, t, d]
    y = x -> 2 * encoder_block(2, 24) as blocks
    output logits = y -> mean(1) -> dense(classes) as head
}
"""
TUNED = 'net tuned = Small() -> lora(rank=4, alpha=8, only=["*.self_attention.*"])\n'


def make(text: str) -> Graph:
    nets, messages = elaborate(ENCODER + text)
    assert not messages, [m.text.title for m in messages]
    return nets["tuned"].graph


def test_adapters_start_without_effect() -> None:
    base, graph = elaborate(ENCODER)[0]["Small"].graph, make(TUNED)
    new = {p.path: p.value.type.known_shape for p in graph.parameters}
    for parameter in base.parameters:
        assert new.pop(parameter.path) == parameter.value.type.known_shape
    assert len(new) == 8
    assert new["blocks.0.self_attention.in_proj_lora.0.weight"] == (4, 16)
    assert new["blocks.0.self_attention.in_proj_lora.1.weight"] == (48, 4)
    weights = draw_weights(graph)
    assert not weights["blocks.1.self_attention.out_proj_lora.1.weight"].any()
    assert weights["blocks.1.self_attention.out_proj_lora.0.weight"].any()
    inputs = draw_inputs(graph, SIZES)
    np.testing.assert_array_equal(
        evaluate(graph, weights, inputs)["logits"], evaluate(base, weights, inputs)["logits"]
    )


def test_adapters_add_their_product() -> None:
    """Against the definition: W + alpha / rank * B A."""
    base, graph = elaborate(ENCODER)[0]["Small"].graph, make(TUNED)
    weights = draw_lively(graph)
    merged = dict(weights)
    for path in weights:
        if path.endswith("_lora.0.weight"):
            slot = path.removesuffix("_lora.0.weight")
            product = weights[f"{slot}_lora.1.weight"] @ weights[path]
            merged[f"{slot}.weight"] = weights[f"{slot}.weight"] + 8 / 4 * product
    inputs = draw_inputs(graph, SIZES)
    wanted = evaluate(base, merged, inputs)["logits"]
    np.testing.assert_allclose(evaluate(graph, weights, inputs)["logits"], wanted, atol=1e-5)
    made = merge_adapters(graph, weights)
    assert [p.value for p in made.graph.parameters] == [p.value for p in base.parameters]
    assert [n.op for n in made.graph.nodes] == [n.op for n in base.nodes]
    for path, array in made.weights.items():
        np.testing.assert_allclose(array, merged[path], atol=1e-6)
    assert_means_the_same(graph, SIZES)


def test_the_deployed_file_has_no_adapters(tmp_path: Path) -> None:
    base, graph = elaborate(ENCODER)[0]["Small"].graph, make(TUNED)
    weights = draw_lively(graph)
    reports = [
        compile_onnx(g, weights, tmp_path / f"{n}.onnx") for n, g in enumerate((base, graph))
    ]
    assert reports[0].nodes == reports[1].nodes
    assert reports[0].parameters == reports[1].parameters
    sink = Sink()
    check_onnx(tmp_path / "1.onnx")
    path = tmp_path / "1.onnx"
    assert verify(graph, weights, onnx_path=path, device=Device.CPU, sink=sink).passed


def test_only_and_except_choose_layers() -> None:
    graph = make('net tuned = Small() -> lora(only=["blocks.0.*", "head"], except=["*.mlp.*"])\n')
    adapted = {p.path for p in graph.parameters if p.path.endswith("lora.0.weight")}
    assert adapted == {
        "blocks.0.self_attention.in_proj_lora.0.weight",
        "blocks.0.self_attention.out_proj_lora.0.weight",
        "head_lora.0.weight",
    }
    text = emit_module([make("net tuned = Small() -> lora(dropout=10%)\n")], title="Net.")
    assert "nn.init.zeros_" in text
    assert "self.head_lora = nn.Sequential(" in text


@pytest.mark.parametrize(
    ("name", "slot"), [("q", "q_lora"), ("mlp.0", "mlp.lora_0"), ("", "own_lora")]
)
def test_slots(name: str, slot: str) -> None:
    assert adapter_slot(name) == slot


@pytest.mark.parametrize("seed", range(12))
def test_random_networks(seed: int, tmp_path: Path) -> None:
    rng = random.Random(seed)
    before = make_network(seed)
    lora = Lora(rank=rng.randint(1, 3), alpha=rng.choice((None, 5.0)), dropout=0.1)
    graph = add_adapters(before, lora)
    verify_graph(graph)
    weights = draw_lively(graph, seed)
    module = load_module(emit_module([graph], title="Net."), graph)
    assign_weights(module, weights)
    inputs = draw_inputs(graph, SIZES)
    with torch.no_grad():
        found = module.eval()(*map(torch.from_numpy, inputs.values()))
    wanted = evaluate(graph, weights, inputs)
    for array, made in zip(wanted.values(), found if len(wanted) > 1 else [found], strict=True):
        scale = max(1.0, float(np.abs(array).max()))
        np.testing.assert_allclose(made.numpy() / scale, array / scale, atol=2e-5)
    context = Context(weights)
    merged = run_passes(graph, ONNX_PASSES, context)
    assert not [p.path for p in merged.parameters if "_lora" in p.path]
    numbers = {**weights, **{p: np.asarray(a) for p, a in merged.constants.items()}}
    for name, array in evaluate(merged, numbers, inputs).items():
        scale = max(1.0, float(np.abs(array).max()))
        np.testing.assert_allclose(wanted[name] / scale, array / scale, atol=2e-5)


PART = """
use std.transformer
model Inner(d: int = 8) {
    input x: f32[batch, d]
    output y = x -> dense(d) as fc
}
model Outer() {
    input x: f32[batch, 8]
    net body = Inner() -> lora(rank=2)
    output y = x -> body -> dense(3) as head
}
"""


def test_a_part_of_a_net_is_adapted() -> None:
    nets, messages = elaborate(PART)
    assert not messages, [m.text.title for m in messages]
    paths = {p.path for p in nets["Outer"].graph.parameters}
    assert "body.fc_lora.0.weight" in paths
    assert "head_lora.0.weight" not in paths
    assert_means_the_same(nets["Outer"].graph, SIZES)


# --- training ------------------------------------------------------------------------------------

TRAINS = """
model Net(width: int = 12) {
    input features: f32[b, 4]
    x = features -> dense(width) as hidden -> tanh -> dense(width) as middle -> tanh
    output logits: f32[b, 3] = x -> dense(3) as head
}
data iris {
    source npz("iris.npz")
    split random(seed=0), train=80%, val=20%
}
train fit of Net on iris {
    minimize cross_entropy(logits, label) with adam(lr=1e-2)
    batch 20  epochs 2
}
train tuned on iris {
    net m = fit -> lora(rank=2, only=["hidden", "middle"]OPTIONS)
    minimize cross_entropy(m(features), label) with adam(lr=1e-2)
    metric accuracy = accuracy(m(features), label)
    batch 20  epochs 2
}
"""


def open_program(folder: Path, options: str = "", more: str = "") -> tuple[Program, list[Message]]:
    rows = np.random.default_rng(0)
    np.savez(
        folder / "iris.npz",
        features=rows.normal(size=(60, 4)).astype(np.float32),
        label=rows.integers(0, 3, 60),
    )
    (folder / "spec.weft").write_text(TRAINS.replace("OPTIONS", options) + more)
    sink = Sink()
    program = check(folder / "spec.weft", sink=sink)
    assert program is not None
    return program, sink.messages


def test_only_adapters_are_trained(tmp_path: Path) -> None:
    program, messages = open_program(tmp_path)
    assert not messages, [m.text.title for m in messages]
    for train in plan_build(program).trains:
        write_training(train, tmp_path / train.name)
        run_training(tmp_path / train.name, data_root=tmp_path, device="cpu")
    lint(tmp_path / "tuned")
    learned = read_weights(tmp_path / "fit" / "best.safetensors")
    tuned = read_weights(tmp_path / "tuned" / "best.safetensors")
    for path, array in learned.items():
        np.testing.assert_array_equal(tuned[f"m.{path}"], array)
    new = {p for p in tuned if p.removeprefix("m.") not in learned}
    assert new == {f"m.{x}_lora.{k}.weight" for x in ("hidden", "middle") for k in (0, 1)}
    assert tuned["m.hidden_lora.1.weight"].any()
    (net,) = program.trains["tuned"].nets
    learned_net = {p.removeprefix("m."): a for p, a in tuned.items()}
    merged = merge_adapters(net.net.graph, learned_net)
    assert merged.weights.keys() == learned.keys()
    changed = attach(program.trains["tuned"], "m", merged.graph)
    assert not changed.freeze, "a pass may train what the adapters were merged into"
    script = (tmp_path / "tuned" / "train.py").read_text()
    assert 'parameter.requires_grad = "lora" in name' in script


def test_a_new_head_is_trained_too(tmp_path: Path) -> None:
    program, messages = open_program(tmp_path, ', train=["head"]')
    assert not messages, [m.text.title for m in messages]
    frozen = [f"m.{x}.{y}" for x in ("hidden", "middle") for y in ("weight", "bias")]
    train = program.trains["tuned"]
    assert sorted(train.freeze) == sorted(frozen)
    paths = [f"m.{p.path}" for p in train.nets[0].net.graph.parameters]
    wanted = '"lora" in name or name in ("m.head.weight", "m.head.bias")'
    assert spell_trained(train.freeze, paths) == wanted


AGAIN = """
train again on iris {
    net m = tunedMORE
    minimize cross_entropy(m(features), label) with adam(lr=1e-2)
    batch 20  epochs 1
}
"""


def test_what_adapters_learned_is_kept(tmp_path: Path) -> None:
    """The net of a train with adapters has them in other trains too, and their numbers."""
    program, messages = open_program(tmp_path, more=AGAIN.replace("MORE", ""))
    assert not messages, [m.text.title for m in messages]
    (net,) = program.trains["again"].nets
    (load,) = net.net.loads
    assert load.train == "tuned"
    assert not load.excluded, "its file has the adapters"
    (first,) = program.trains["tuned"].nets
    assert set(net.net.graph.parameter) == set(first.net.graph.parameter)
    assert "m.hidden.weight" in program.trains["again"].freeze
    _, messages = open_program(tmp_path, more=AGAIN.replace("MORE", ' -> lora(only=["hidden"])'))
    assert [m.code for m in messages] == ["W1132"]


def test_a_load_behind_lora_reads_adapters() -> None:
    order = ('-> load("a.safetensors") -> lora()', '-> lora() -> load("a.safetensors")')
    for text, excluded in zip(order, (18, 0), strict=True):
        nets, messages = elaborate(ENCODER + f"net tuned = Small() {text}\n")
        assert not messages, [m.text.title for m in messages]
        (load,) = nets["tuned"].loads
        assert len(load.excluded) == excluded


def test_what_adapts_nothing_is_refused(tmp_path: Path) -> None:
    _, messages = open_program(tmp_path, ', except=["*"]')
    assert [m.code for m in messages] == ["W1132"]
    assert messages[0].text.label == "its dense layers are `hidden`, `middle`, `head`"


@pytest.mark.parametrize("given", [{"rank": 0}, {"alpha": 0.0}, {"dropout": 1.0}])
def test_settings_that_mean_nothing(given: dict[str, Any]) -> None:
    with pytest.raises(Fault):
        Lora(**given)


SHARING = """
model Tied() {
    input tokens: i64[batch, t]
    net embed = embedding(20, 8)
    x = tokens -> embed -> dense(8) as fc
    output y = x -> dense(20, weight=embed.weight, bias=false) as lm_head
}
"""


@pytest.mark.parametrize(
    ("options", "codes"),
    [
        ("", ["W1353"]),
        (', except=["dense"]', []),
        (', only=["fc"]', []),
        (', only=["fc", "lm_head"]', ["W1352"]),
        (', only=["fc", "embed"]', ["W1352"]),
        (', only=["f*"], train=["embed.weight"]', []),
        (', only=["f*"], train=["embd.weight"]', ["W0616"]),
    ],
)
def test_a_layer_without_an_adapter_is_told(options: str, codes: list[str]) -> None:
    sink = Sink()
    text = SHARING + f"net tuned = Tied() -> lora(rank=2{options})\n"
    check_source(Source("tied.weft", text), sink=sink)
    assert [message.code for message in sink.messages] == codes
    for message in sink.messages:
        if message.code.startswith("W135"):
            (place,) = message.all_labels()
            assert place.text == "no adapter: its weight is tied to `embed.weight`"


def test_a_layer_in_a_loop_without_an_adapter_is_told() -> None:
    sink = Sink()
    text = f'{LOOP}net tuned = M() -> lora(rank=2, only=["head", "cell.hidden"])\n'
    check_source(Source("loop.weft", text), sink=sink)
    (message,) = sink.messages
    assert message.code == "W1352"
    assert message.text.label == ""
    assert "`scan`" in message.all_labels()[0].text
