"""A generated class, made with other arguments, is what the spec is with these values."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
import torch

from backends.pytorch.modules import emit_module, root_class
from backends.pytorch.run.load import assign_weights, load_module, run_source
from compiler.ir.evaluate import evaluate
from compiler.program.net import Net
from compiler.report.diagnostics import Severity
from tests.argument_specs import make_spec
from tests.elaborating import build, elaborate
from tests.pytorch_compare import assert_means_the_same, draw_inputs, draw_lively, run

Values = dict[str, Any]
BLOCK = """
block tall(x: f32[n, k], out: int, count: int = 2) {
    for i in 0..count { x = x -> dense(out) as layers[i] }
    return x
}
"""


def spell(value: object) -> str:
    """A value as a spec writes it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, list):
        return f"[{', '.join(map(spell, value))}]"
    return repr(value)


def find_nets(spec: str) -> dict[str, Net]:
    """The nets of a spec; none where it is refused."""
    nets, messages = elaborate(spec)
    return {} if any(m.severity is Severity.ERROR for m in messages) else nets


def write_other(spec: str, values: Values) -> str:
    """The spec with a net `other` that is its model with these arguments."""
    arguments = ", ".join(f"{name}={spell(value)}" for name, value in values.items())
    return f"{spec}\nnet other = M({arguments})\n"


def make_class(spec: str) -> Any:
    """The generated class of the model `M`."""
    graph = find_nets(spec)["M"].graph
    return getattr(run_source(emit_module([graph], title="M")), root_class(graph))


def assert_same(spec: str, made: Any, values: Values) -> None:
    """The class with these arguments has the weights and outputs of the spec with them."""
    graph = find_nets(write_other(spec, values))["other"].graph
    module = made(**values).eval()
    weights = draw_lively(graph)
    assign_weights(module, weights)
    inputs = draw_inputs(graph, {"batch": 3})
    (expected,) = evaluate(graph, weights, inputs).values()
    (found,) = run(module, inputs)
    torch.testing.assert_close(
        torch.from_numpy(found), torch.from_numpy(expected), atol=1e-4, rtol=1e-4
    )


def model(parameters: str, *body: str) -> str:
    """A spec with a model of these parameters."""
    lines = "\n".join(f"    {line}" for line in body)
    return f"{BLOCK}model M({parameters}) {{\n    input x: f32[batch, 6]\n{lines}\n}}\n"


FOLLOWED = [
    (
        "width: int = 4, inner: int = 2 * width",
        ("output y = x -> dense(width) -> dense(inner) -> dense(3)",),
        [{"width": 7}, {"inner": 5}, {"width": 5, "inner": 6}],
    ),
    (
        "width: int = 4, inner: int = 2 * width, last: int = inner + width",
        ("output y = x -> dense(inner) -> dense(last) -> dense(3)",),
        [{"width": 7}, {"inner": 5}, {"last": 2}],
    ),
    (
        "use_bias: bool = true, p: float = 0.25, eps: float = 0.001",
        ("output y = x -> dense(5, bias=use_bias) -> layer_norm(eps=eps) -> dropout(p)",),
        [{"use_bias": False}, {"eps": 0.5}, {"p": 0.5}],
    ),
    (  # loops that name nothing of what they go through
        "depth: int = 3, widths: list = [4, 6]",
        (
            "h = x",
            "for _ in 0..depth { h = relu(h) + x }",
            "for _ in 1..depth { for _ in widths { h = tanh(h) + x } }",
            "for _, _ in enumerate(widths) { h = sigmoid(h) - x }",
            "for _ in [relu, relu] { h = sigmoid(h) * h }",
            "output y = h",
        ),
        [{"depth": 1}, {"depth": 4}, {"widths": [5]}, {"depth": 2, "widths": [1, 2, 3]}],
    ),
]


@pytest.mark.parametrize(("parameters", "body", "several"), FOLLOWED)
def test_arguments_are_followed(
    parameters: str, body: tuple[str, ...], several: list[Values]
) -> None:
    spec = model(parameters, *body)
    made = make_class(spec)
    for values in several:
        assert_same(spec, made, values)
    graph = build(spec).graph
    assert_means_the_same(graph, {"batch": 3})
    assert load_module(emit_module([graph], title="M"), graph)


DROPPED = [
    # the width behind `tall` is not known where its loop is not
    ("widths: list = [4, 8]", ("output y = x -> tall(widths[1]) -> dense(3)",), "widths"),
    (
        "width: int = 4, inner: int = 2 * width",
        ("h = x -> dense(width)", "output y = h -> dense(4 * ceil(inner / 4)) -> dense(3)"),
        "inner",
    ),
    (
        "width: int = 4, inner: int = 2 * width",
        ("h = x -> dense(width)", "output y = h -> dense(4 * ceil(inner / 4)) -> dense(3)"),
        "width",
    ),
    ("scale: float = 3.0", ("output y = x / (batch + 2 * scale - 2)",), "scale"),
]


@pytest.mark.parametrize(("parameters", "body", "name"), DROPPED)
def test_arguments_that_reach_only_some_places_are_followed_or_not_there(
    parameters: str, body: tuple[str, ...], name: str
) -> None:
    spec = model(parameters, *body)
    made = make_class(spec)
    if name not in inspect.signature(made).parameters:
        return
    assert_same(spec, made, {name: [5, 9, 3] if name == "widths" else 9})


def vary(value: object) -> list[object]:
    """Other values of an argument."""
    match value:
        case bool():
            return [not value]
        case int():
            return [value + 1, 2 * value, value // 2]
        case float():
            return [value / 2, value + 0.25]
        case tuple():
            return [[*value, value[-1]], [2 * item for item in value]]
    return ["a", "b", "c"]


@pytest.mark.parametrize("share", range(4))
def test_arguments_of_random_models_mean_what_they_mean_in_the_spec(share: int) -> None:
    """An argument that the class has is tried; one that it has not is not judged."""
    torch.set_num_threads(1)
    tried = 0
    for seed in range(share * SHARE, (share + 1) * SHARE):
        spec = make_spec(seed)
        nets = find_nets(spec)
        if not nets:
            continue
        made = make_class(spec)
        own = {a.name: a.value for a in nets["M"].graph.frame.arguments}
        parameters = inspect.signature(made).parameters
        needed = {n: own[n] for n, p in parameters.items() if p.default is p.empty}
        for name in parameters:
            for value in vary(own[name]):
                values = {**needed, name: value}
                if value != own[name] and find_nets(write_other(spec, values)):
                    assert_same(spec, made, values)
                    tried += 1
    assert tried > SHARE


SHARE = 6
"""Random models of each test."""
