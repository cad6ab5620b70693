"""What generated modules compute and hold: sizes at run time, loops, weights and functions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from backends.pytorch.modules import (
    emit_function,
    emit_module,
    function_arguments,
)
from backends.pytorch.run.load import WeightsMisfit, assign_weights, load_module, run_source
from compiler.ir.evaluate import evaluate
from compiler.ir.graph import Graph
from compiler.report.diagnostics import CompileError
from compiler.report.messages.lowering import path_is_weight_and_module
from tests.elaborating import build
from tests.pytorch_compare import (
    assert_clean,
    assert_means_the_same,
    draw_inputs,
    draw_lively,
)
from tests.pytorch_sketch import Sketch, block

# --- sizes at run time ------------------------------------------------------------------------


def test_promises_about_sizes_are_checked_when_running() -> None:
    graph = build(
        """
model M {
    input image: f32[batch, 1, h, w]
    x = image -> conv(2, kernel=5) as a -> max_pool(2) -> conv(2, kernel=3) as b
    output y = x -> global_avg_pool
}
"""
    ).graph
    text = assert_means_the_same(graph, {"batch": 2, "h": 10, "w": 13})
    module = load_module(text, graph)
    with pytest.raises(ValueError, match="h must be at least 10, not 9"):
        module(torch.zeros(1, 1, 9, 30))
    assert module(torch.zeros(1, 1, 10, 30)).shape == (1, 2)


BOUNDED = {
    "a weight": (
        "longest: int = 32",
        "param p: f32[longest, 8] = normal(0.02)\n    output y = x + p[:t]",
        ({}, 32, "t must be at most 32; t is 33"),
        ({"longest": 64}, 64, "t must be at most 64; t is 65"),
        ({"longest": 5}, 5, "t must be at most 5; t is 6"),
    ),
    "a multiple": (
        "reach: int = 4",
        "param p: f32[2 * reach + 1, 8] = normal(0.02)\n    output y = x + p[:t]",
        ({"reach": 6}, 13, "t must be at most 13; t is 14"),
    ),
    "a bound": (
        "first: int = 3",
        "output y = x[:, first:]",
        ({"first": 5}, -6, "t must be at least 6; t is 5"),
    ),
    "a place": (
        "place: int = 3",
        "output y = x[:, place]",
        ({"place": 5}, -6, "t must be at least 6; t is 5"),
    ),
    "two": (
        "first: int = 3, longest: int = 9",
        "param p: f32[longest, 8] = normal(0.02)\n    output y = x[:, first:t] + p[first:t]",
        ({"first": 1, "longest": 20}, 20, "t must be at most 20; t is 21"),
        ({"first": 4, "longest": 20}, -5, "t must be at least 5; t is 4"),
    ),
}


@pytest.mark.parametrize("name", BOUNDED)
def test_bounds_of_sizes_follow_the_arguments(name: str) -> None:
    parameters, body, *rows = BOUNDED[name]
    text = f"model M({parameters}) {{\n    input x: f32[batch, t, 8]\n    {body}\n}}\n"
    made: Any = run_source(emit_module([build(text).graph], title="M"), "M").M
    for values, bound, said in rows:
        enough, other = (bound, bound + 1) if bound > 0 else (-bound, -bound - 1)
        module = made(**values)
        module(torch.zeros(1, enough, 8))
        with pytest.raises(ValueError, match=r".") as caught:
            module(torch.zeros(1, other, 8))
        assert str(caught.value) == said


@pytest.mark.parametrize(("kernel", "least"), [(3, 8), (5, 10), (7, 12)])
def test_a_bound_that_no_person_would_write_is_left_to_the_operation(
    kernel: int, least: int
) -> None:
    spec = """
model M(k: int = 5) {
    input image: f32[batch, 1, h, w]
    x = image -> conv(2, kernel=k) as a -> max_pool(2) -> conv(2, kernel=3) as b
    output y = x -> global_avg_pool
}
"""
    made: Any = run_source(emit_module([build(spec).graph], title="M"), "M").M
    module = made(k=kernel)
    assert module(torch.zeros(1, 1, least, 30)).shape == (1, 2)
    with pytest.raises(RuntimeError):
        module(torch.zeros(1, 1, least - 1, 30))


def test_symbolic_sizes_are_read_off_tensors() -> None:
    graph = build(
        """
block grid(x: f32[n, c, h, w]) {
    rows = cast(arange(h), f32) / h
    return x + rows[:, none]
}
model M {
    input image: f32[batch, 2, h, w]
    x = image -> conv(3, kernel=3, stride=2, padding=1) as a -> grid
    output y = x -> reshape([batch, -1])
    output z = zeros([batch, h // 2])
}
"""
    ).graph
    text = assert_means_the_same(graph, {"batch": 2, "h": 6, "w": 8})
    assert "x.shape[2]" in text or "h = x.shape[2]" in text


def test_loops_over_steps_run_as_they_mean() -> None:
    graph = build(
        """
block cell(x: f32[n, d], h: f32[n, k]) {
    z = sigmoid(concat([x, h], axis=-1) -> dense(k) as gate)
    return z * h + (1 - z) * tanh(x -> dense(k) as new)
}
model M {
    input x: f32[batch, t, s, 4]
    total = zeros([batch, 4])
    scan row in x, axis=1 {
        inner = total
        scan one in row, axis=1, reverse=true {
            inner = (one, inner) -> cell as cell
            emit values = inner
        }
        total = total + mean(values, axis=1)
        emit rows = total
    }
    y = total
    scan i in 0..9 { y = y * 2.0 + cast(i, f32)  emit trace = y  until all(y > 40.0) }
    output rows = rows
    output trace = trace
}
"""
    ).graph
    assert_means_the_same(graph, {"batch": 2, "t": 3, "s": 4})


# --- weights ----------------------------------------------------------------------------------


def test_weights_are_assigned_strictly() -> None:
    graph = build(
        "model M { input x: f32[batch, 3]  output y = x -> dense(2) as a -> batch_norm as b }"
    ).graph
    module = load_module(emit_module([graph], title="x."), graph)
    weights = draw_lively(graph)
    assign_weights(module, weights)
    missing = {p: a for p, a in weights.items() if p != "a.bias"}
    with pytest.raises(WeightsMisfit, match=r"missing: a\.bias"):
        assign_weights(module, missing)
    with pytest.raises(WeightsMisfit, match=r"unknown: c"):
        assign_weights(module, {**weights, "c": weights["a.bias"]})
    with pytest.raises(WeightsMisfit, match=r"a\.bias has the shape"):
        assign_weights(module, {**weights, "a.bias": np.zeros(5, np.float32)})


def test_a_path_is_a_weight_or_a_module() -> None:
    sketch = Sketch("M")
    x = sketch.input("x", "batch", 4)
    y = sketch.mul(x, sketch.param("scale", 4))
    sketch.output("z", sketch.dense(y, out=3, name="scale.inner"))
    with pytest.raises(CompileError) as caught:
        emit_module([sketch.graph()], title="x.")
    message = caught.value.messages[0]
    assert message.kind is path_is_weight_and_module
    assert message.code == "W0840"
    assert message.text.title == "`scale` is a weight and holds another"
    assert "scale.inner." in message.text.label


def test_a_layer_holds_no_other_layer() -> None:
    sketch = Sketch("M")
    x = sketch.dense(sketch.input("x", "batch", 4), out=4, name="dense")
    sketch.output("z", sketch.dense(x, out=3, name="dense.1"))
    with pytest.raises(CompileError) as caught:
        emit_module([sketch.graph()], title="x")
    (message,) = caught.value.messages
    assert message.text.title == "`dense` is a layer and holds another"
    assert "dense.1." in message.text.label


def test_weights_start_as_the_spec_says() -> None:
    graph = build(
        """
model M {
    input x: f32[batch, 4]
    param scale: f32[4] = constant(0.5)
    param shift: f32[4] = normal(0.01)
    buffer mean: f32[4] = [1, 2, 3, 4]
    y = (x - mean) * scale + shift
    output z = y -> dense(3) as fc
}
"""
    ).graph
    text = emit_module([graph], title="x.")
    module = load_module(text, graph)
    state = module.state_dict()
    assert state["scale"].tolist() == [0.5] * 4
    assert state["mean"].tolist() == [1, 2, 3, 4]
    assert 0 < float(state["shift"].abs().max()) < 0.1
    assert {name for name, _ in module.named_parameters()} == {
        "scale",
        "shift",
        "fc.weight",
        "fc.bias",
    }
    assert "nn.init" in text
    assert "self.fc.weight" not in text, "PyTorch starts a linear layer as the spec does"


# --- functions --------------------------------------------------------------------------------


@block()
def net(sketch: Sketch, image):
    x = sketch.conv(image, out=4, kernel=3, name="stem")
    return sketch.dense(sketch.global_avg_pool(x), out=3, name="fc", into=["logits"])


@block({"x": "n k"})
def overlap(sketch: Sketch, x, y, smooth):
    both = sketch.sum(sketch.mul(x, y), axis=-1)
    return sketch.mean(sketch.div(both, sketch.make("constant", value=float(smooth))))


def make_step() -> Graph:
    sketch = Sketch("fit", lr=0.1)
    image = sketch.input("image", "batch", 3, 8, 8)
    label = sketch.input("label", "batch", dtype="i64")
    logits = net(sketch, image, name="m")
    sketch.output("loss", sketch.cross_entropy(logits, label))
    sketch.output("overlap", overlap(sketch, logits, sketch.softmax(logits, axis=-1), 2))
    return sketch.graph()


def test_an_objective_is_a_function_that_calls_its_net() -> None:
    graph = make_step()
    text = emit_function(graph, name="compute_loss", nets={"m.": "model"})
    assert function_arguments(graph, {"m.": "model"}) == ("model", "image", "label")
    assert "logits = model(image)" in text
    source = "import torch.nn.functional as F\nfrom torch import Tensor, nn\n\n\n" + text
    weights = draw_lively(graph)
    inputs = draw_inputs(graph, {"batch": 5})

    def model(x: torch.Tensor) -> torch.Tensor:
        w = {path: torch.from_numpy(array) for path, array in weights.items()}
        y = torch.nn.functional.conv2d(x, w["m.stem.weight"], w["m.stem.bias"])
        y = y.mean((2, 3))
        return torch.nn.functional.linear(y, w["m.fc.weight"], w["m.fc.bias"])

    found = run_source(source).compute_loss(
        model, *(torch.from_numpy(array) for array in inputs.values())
    )
    expected = evaluate(graph, weights, inputs)
    for one, array in zip(found, expected.values(), strict=True):
        np.testing.assert_allclose(one.numpy(), array, atol=1e-5)


def test_columns_are_a_function_of_columns_and_statistics(tmp_path: Path) -> None:
    sketch = Sketch("columns")
    image = sketch.input("image", "rows", 4, 4)
    mean = sketch.param("mean", 4, trainable=False)
    y = sketch.sub(image, mean)
    sketch.output("image", sketch.reshape(y, shape=(image.type.shape[0], 1, 4, 4)))
    graph = sketch.graph()
    assert function_arguments(graph, {}) == ("image", "mean")
    text = emit_function(graph, name="compute_columns", nets={})
    imports = "from torch import Tensor\n\n\n"
    (tmp_path / "columns.py").write_text(imports + text, encoding="utf-8")
    assert_clean(tmp_path)
    inputs, weights = draw_inputs(graph, {"rows": 3}), draw_lively(graph)
    given = [torch.from_numpy(a) for a in (*inputs.values(), *weights.values())]
    found = run_source(imports + text).compute_columns(*given)
    (expected,) = evaluate(graph, weights, inputs).values()
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-6)
