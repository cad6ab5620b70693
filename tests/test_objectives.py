"""Objectives that take more from their nets than the outputs of one call: weights, nets inside
them, outputs that nothing reads, and dropout of their own."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from backends.pytorch.modules import emit_module
from backends.pytorch.run.load import assign_weights, load_module, run_source
from backends.pytorch.train.functions import emit_objective, list_computed
from backends.pytorch.train.script_spec import ScriptSpec
from compiler.compression.attach import attach
from compiler.ir.evaluate import evaluate
from compiler.program.train import Train
from compiler.report.diagnostics import CompileError
from compiler.report.messages.tuning import net_looked_into
from tests.pytorch_compare import draw_inputs, draw_lively
from tests.train_scripts import assert_two_processes_agree, lint, open_train, share, write_shared

DATA = """
data iris {
    source npz("iris.npz")
    split random(seed=0), train=96, val=27, test=27
}
"""
NETS = """
block encoder(x: f32[n, k], width: int) { return x -> dense(width) as fc -> tanh }
block soft(x: f32[n, k], p: float) { return x -> dropout(p) }
model M(width: int = 6) {
    input features: f32[batch, 4]
    net backbone = encoder(width=width)
    net parts = [dense(3), dense(3)]
    param gain: f32[3] = ones
    buffer shift: f32[3] = zeros
    h = features -> backbone
    output logits = (h -> parts[0]) * gain + shift + (h -> parts[1])
    output aux = h -> dense(2) as aux_head
    output measured = h -> dense(3) as measured_head
}
model Frozen { input x: f32[batch, 4]  output y = x -> dropout(50%) -> dense(3) as fc }
"""
INSIDE = """
train fit on iris {
    net m = M()
    net rest = Frozen()
    logits, aux, measured = m(features)
    inner = m.backbone(2 * features)
    penalty = sum(m.gain ** 2) + mean(m.shift) + sum(m.parts[1].weight ** 2)
    kept = mean(rest(features) ** 2)
    minimize cross_entropy(logits, label) + 0.1 * penalty + mean(inner ** 2)
        + sum(m.backbone.`fc.weight` ** 2) + kept with sgd(lr=0.1)
    metric accuracy = accuracy(logits, label)
    metric size = sum(m.gain ** 2)
    metric second = mean(inner * sum(m.parts[0].bias))
    metric third = accuracy(measured, label)
    batch 24  epochs 2  seed 0
    freeze rest
}
"""


def open_objective(text: str, folder: Path) -> tuple[Train, Any, list[torch.nn.Module]]:
    """A train, its `compute_loss`, and its nets with numbers of their own."""
    train = open_train(text, folder)
    facts = ScriptSpec(train)
    head = "import torch\nimport torch.nn.functional as F\nfrom torch import Tensor, nn\n\n\n"
    source = head + "\n".join(emit_objective(facts))
    graphs = [net.net.graph for net in train.nets]
    weights = draw_lively(facts.graph)
    nets = []
    for net, graph in zip(train.nets, graphs, strict=True):
        module = load_module(emit_module(graphs, title="Nets."), graph, graphs)
        own = draw_lively(graph)
        own |= {p: weights[net.prefix + p] for p in own if net.prefix + p in weights}
        assign_weights(module, own)
        nets.append(module)
    module = run_source(source)
    made = SimpleNamespace(call=module.compute_loss, module=module, source=source, weights=weights)
    return train, made, nets


def test_weights_and_nets_inside_nets_are_read_off_the_modules(tmp_path: Path) -> None:
    train, made, nets = open_objective(DATA + NETS + INSIDE, tmp_path)
    script = ScriptSpec(train)
    inputs = draw_inputs(script.graph, {"batch": 5})
    for module in nets:
        module.eval()
    named = {net.name: module for net, module in zip(train.nets, nets, strict=True)}
    for part in list_computed(script):
        given = [torch.from_numpy(inputs[item.name]) for item in part.graph.inputs]
        own = [named[net.name] for net in script.find_nets(part.graph)]
        found = getattr(made.module, part.function)(*own, *given)
        found = (found,) if isinstance(found, torch.Tensor) else found
        weights = {path: made.weights[path] for path in part.graph.parameter}
        expected = evaluate(
            part.graph, weights, {i.name: inputs[i.name] for i in part.graph.inputs}
        )
        for one, (name, array) in zip(found, expected.items(), strict=True):
            np.testing.assert_allclose(one.detach().numpy(), array, atol=1e-5, err_msg=name)
    assert "m.backbone(" in made.source, "a net inside a net is called as a module"
    assert "m.backbone.fc.weight" in made.source
    assert 'm.get_parameter("parts.1.weight")' in made.source


DROPPED = """
model M { input features: f32[batch, 4]  output logits = features -> dense(3) as head }
train fit of M(features=soft(features -> dropout(40%), p=0.5)) on iris {
    minimize cross_entropy(logits, label) with sgd(lr=0.1)
    batch 24  epochs 2  seed 0
}
"""


def test_dropout_of_an_objective_acts_while_its_net_trains(tmp_path: Path) -> None:
    block = "block soft(x: f32[n, k], p: float) { return x -> dropout(p) }\n"
    train, made, (net,) = open_objective(DATA + block + DROPPED, tmp_path)
    step = ScriptSpec(train).graph
    inputs = draw_inputs(step, {"batch": 64})
    given = [torch.from_numpy(a) for a in inputs.values()]
    (expected,) = evaluate(step, made.weights, inputs).values()
    net.eval()
    torch.testing.assert_close(made.call(net, *given).item(), float(expected))
    assert made.call(net, *given) == made.call(net, *given)
    net.train()
    assert made.call(net, *given) != made.call(net, *given)
    assert "training: bool" in made.source


def test_dropout_follows_a_net_that_is_trained(tmp_path: Path) -> None:
    text = (DATA + NETS + INSIDE).replace(
        "net m = M()\n    net rest = Frozen()", "net rest = Frozen()\n    net m = M()"
    )
    text = text.replace("m(features)", "m(features -> dropout(20%))")
    _, made, _ = open_objective(text, tmp_path)
    assert "training=m.training" in made.source, "a frozen net stays in evaluation mode"


ONE = """
model M { input features: f32[batch, 4]
    h = features -> dense(8) as body -> tanh
    output logits = h -> dense(3) as head
    output aux = h -> dense(2) as aux_head
}
train fit of M on iris {
    minimize LOSS with sgd(lr=0.1)
    metric accuracy = accuracy(METRIC, label)
    batch 24  epochs 2  seed 0
    FREEZE
}
"""


@pytest.mark.parametrize(
    ("loss", "metric", "freeze", "replicated"),
    [
        ("cross_entropy(logits, label) + mean(aux)", "logits", "", True),
        ("cross_entropy(logits, label)", "logits", "", False),
        ("cross_entropy(logits, label)", "logits", 'freeze "aux_head"', True),
        ("cross_entropy(logits, label)", "concat([aux, logits], axis=1)", "", False),
        ("cross_entropy(logits + cast(mean(aux) > 0.0, f32), label)", "logits", "", False),
        ("cross_entropy(fit(features).logits, label) + mean(aux)", "logits", "", False),
    ],
)
def test_a_replica_shares_gradients_where_every_parameter_has_one(
    loss: str, metric: str, freeze: str, replicated: bool, tmp_path: Path
) -> None:
    text = ONE.replace("LOSS", loss).replace("METRIC", metric).replace("FREEZE", freeze)
    train = open_train(share(DATA + text), tmp_path)
    assert ScriptSpec(train).replicated is replicated


def test_two_processes_share_what_no_replica_can(tmp_path: Path) -> None:
    folder = write_shared(DATA + NETS + INSIDE, tmp_path)
    lint(folder)
    assert "DistributedDataParallel" not in (folder / "train.py").read_text()
    assert_two_processes_agree(folder, "train.loss")


def test_a_net_that_a_train_looks_into_is_not_exchanged(tmp_path: Path) -> None:
    train = open_train(DATA + NETS + INSIDE, tmp_path)
    with pytest.raises(CompileError) as caught:
        attach(train, "m", train.nets[0].net.graph)
    (message,) = caught.value.messages
    assert message.kind is net_looked_into
    assert message.text.label.startswith("uses `m.backbone` by itself")
    text = (DATA + NETS + INSIDE).replace("m.backbone(2 * features)", "features")
    train = open_train(text.replace("+ sum(m.backbone.`fc.weight` ** 2)", ""), tmp_path)
    attached = attach(train, "m", train.nets[0].net.graph)
    assert attached.graph.parameter.keys() == train.graph.parameter.keys()
