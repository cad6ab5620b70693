"""Random draws: their distribution in every backend, one draw per call, and what is refused."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from numpy.typing import NDArray
from scipy import stats

from backends.onnx_graph.compile import compile_onnx
from backends.pytorch.modules import emit_module
from backends.pytorch.run.load import assign_weights, load_module
from compiler.ir.evaluate import evaluate
from compiler.ir.graph import Graph
from compiler.ir.weights import draw_weights
from compiler.passes.base import Context
from compiler.passes.pipeline import ONNX_PASSES, run_passes
from tests.elaborating import build, codes, elaborate

Array = NDArray[Any]
Outputs = dict[str, Array]
ROWS = 4000
LIKELY = 1e-6
"""Below this share of draws from the right distribution a test calls them wrong."""


def load(graph: Graph) -> Any:
    """The generated module."""
    module = load_module(emit_module([graph], title=graph.name), graph)
    assign_weights(module, draw_weights(graph))
    return module


def run_numpy(graph: Graph, inputs: Mapping[str, Array], folder: Path) -> Outputs:
    return evaluate(graph, draw_weights(graph), inputs)


def run_torch(graph: Graph, inputs: Mapping[str, Array], folder: Path) -> Outputs:
    torch.manual_seed(3)
    with torch.no_grad():
        made = load(graph)(*map(torch.from_numpy, inputs.values()))
    results = made if isinstance(made, tuple) else (made,)
    return {o.name: r.numpy() for o, r in zip(graph.outputs, results, strict=True)}


def run_onnx(graph: Graph, inputs: Mapping[str, Array], folder: Path) -> Outputs:
    compile_onnx(graph, draw_weights(graph), folder / "net.onnx")
    onnxruntime.set_seed(5)
    session = onnxruntime.InferenceSession(folder / "net.onnx", providers=["CPUExecutionProvider"])
    names = [o.name for o in graph.outputs]
    return dict(zip(names, session.run(names, dict(inputs)), strict=True))


RUNNERS: dict[str, Callable[[Graph, Mapping[str, Array], Path], Outputs]] = {
    "numpy": run_numpy,
    "torch": run_torch,
    "onnx": run_onnx,
}
every_backend = pytest.mark.parametrize("run", RUNNERS.values(), ids=RUNNERS)

SHAPED = """
model M {
    input x: f32[batch, 6]
    output a = normal([batch, 3])
    output b = normal([batch, 3], mean=-2, std=0.5)
    output c = normal_like(x)
    output d = normal_like(x, mean=3, std=0.1)
    output e = uniform([batch, 2])
    output f = uniform([batch, 2], low=-1, high=4)
    output g = uniform_like(x, low=2, high=3)
}
"""


@every_backend
def test_numbers_have_their_distribution(run: Any, tmp_path: Path) -> None:
    x = np.ones((ROWS, 6), np.float32)
    made = run(build(SHAPED).graph, {"x": x}, tmp_path)
    wanted = {
        "a": stats.norm(),
        "b": stats.norm(-2, 0.5),
        "c": stats.norm(),
        "d": stats.norm(3, 0.1),
        "e": stats.uniform(),
        "f": stats.uniform(-1, 5),
        "g": stats.uniform(2, 1),
    }
    for name, distribution in wanted.items():
        drawn = made[name]
        assert drawn.dtype == np.float32
        assert stats.kstest(drawn.ravel().astype(float), distribution.cdf).pvalue > LIKELY, name
        if drawn.shape[1] > 1:  # columns know nothing of each other
            found = stats.pearsonr(drawn[:, 0], drawn[:, 1])
            assert found.pvalue > LIKELY, name


WHOLE = """
model M {
    input p: f32[batch, 5]
    output a = randint(-2, 3, [batch, 2])
    output b = bernoulli(0.3, [batch, 2])
    output c = bernoulli(p)
    output d = bernoulli_like(p, 90%)
    output e = categorical(log(p))
    output f = bernoulli(p, dtype=bool)
}
"""


def is_likely(drawn: Array, shares: Mapping[float, float]) -> bool:
    """Whether numbers are drawn with these shares."""
    assert set(np.unique(drawn)) <= set(shares)
    found = [np.count_nonzero(drawn == number) for number in shares]
    wanted = np.array(list(shares.values()))
    return bool(stats.chisquare(found, wanted / wanted.sum() * drawn.size).pvalue > LIKELY)


@every_backend
def test_whole_numbers_have_their_shares(run: Any, tmp_path: Path) -> None:
    shares = np.array([0.05, 0.1, 0.15, 0.3, 0.4], np.float32)
    made = run(build(WHOLE).graph, {"p": np.tile(shares, (ROWS, 1))}, tmp_path)
    assert is_likely(made["a"], dict.fromkeys(range(-2, 3), 0.2))
    assert is_likely(made["b"], {0: 0.7, 1: 0.3})
    assert is_likely(made["d"], {0: 0.1, 1: 0.9})
    assert is_likely(made["e"], dict(enumerate(shares.astype(float) / float(shares.sum()))))
    for column, share in enumerate(shares.astype(float)):
        assert is_likely(made["c"][:, column], {0: 1 - share, 1: share})
        assert is_likely(made["f"][:, column], {False: 1 - share, True: share})
    kinds = {name: array.dtype.name for name, array in made.items()}
    assert kinds == {
        **dict.fromkeys("ae", "int64"),
        **dict.fromkeys("bcd", "float32"),
        "f": "bool",
    }


@every_backend
def test_certain_draws_are_certain(run: Any, tmp_path: Path) -> None:
    text = """
model M {
    input x: f32[batch, 3]
    output a = bernoulli(x)
    output b = categorical(where(x > 0.5, 0.0, -inf))
    output c = randint(7, 8, [batch])
    output d = bernoulli_like(x, 1)
    output e = normal([batch], mean=2, std=0)
}
"""
    x = np.tile(np.array([0, 1, 0], np.float32), (ROWS, 1))
    made = run(build(text).graph, {"x": x}, tmp_path)
    assert np.array_equal(made["a"], x)
    assert (made["b"] == 1).all()
    assert (made["c"] == 7).all()
    assert (made["d"] == 1).all()
    assert (made["e"] == 2).all()


@every_backend
def test_orders_are_all_possible(run: Any, tmp_path: Path) -> None:
    text = """
model M {
    input x: f32[n, 2]
    order = permutation(n)
    output y = x[order]
    output order = order
}
"""
    x = np.arange(2 * ROWS, dtype=np.float32).reshape(ROWS, 2)
    made = run(build(text).graph, {"x": x}, tmp_path)
    assert sorted(made["order"]) == list(range(ROWS))
    assert np.array_equal(made["y"], x[made["order"]])
    assert stats.spearmanr(made["order"], np.arange(ROWS)).pvalue > LIKELY


EACH = """
block noise(x: f32[..., d]) { return normal_like(x) }
model M {
    input x: f32[batch, 4]
    output a = normal([3, 4])
    output b = normal([3, 4])
    output c = x -> noise
    output d = x -> noise
    h = zeros_like(x)
    scan x_t in stack([x, x]), axis=0 {
        h = h
        emit noises = normal_like(x_t)
    }
    output e = noises[0]
    output f = noises[1]
    before = normal([batch, 4])
    scan i in 0..2 {
        emit same = before + 0 * x, axis=0
    }
    output g = same[0] - same[1]
}
"""


@every_backend
def test_each_call_draws_once(run: Any, tmp_path: Path) -> None:
    """Two calls draw twice, in a loop each turn draws anew, and what was drawn before it stays."""
    made = run(build(EACH).graph, {"x": np.zeros((3, 4), np.float32)}, tmp_path)
    drawn = [made[name] for name in "abcdef"]
    for place, one in enumerate(drawn):
        assert all(not np.isclose(one, other).any() for other in drawn[:place])
    assert (made["g"] == 0).all()


def test_passes_keep_every_draw() -> None:
    graph = build(EACH).graph
    made = run_passes(graph, ONNX_PASSES, Context(draw_weights(graph)))
    for before in (graph, made):
        bodies = [body for node in before.nodes for body in node.op.bodies]
        assert sum(node.op.random for node in before.nodes) == 5
        assert sum(node.op.random for body in bodies for node in body.nodes) == 1


def test_a_file_draws_anew_each_time(tmp_path: Path) -> None:
    """Nothing is folded into a constant, here or in ONNX Runtime."""
    graph = build("model M { input x: f32[2]  output y = x + normal([2]) + uniform([2]) }").graph
    compile_onnx(graph, {}, tmp_path / "net.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "net.onnx")
    runs = [session.run(None, {"x": np.zeros(2, np.float32)})[0] for _ in range(3)]
    assert not np.isclose(runs[0], runs[1]).any()
    assert not np.isclose(runs[1], runs[2]).any()


def test_the_meaning_is_reproducible() -> None:
    graph = build(EACH).graph
    inputs = {"x": np.zeros((2, 4), np.float32)}
    first, again = (evaluate(graph, {}, inputs) for _ in range(2))
    other = evaluate(graph, {}, inputs, draws=np.random.default_rng(7))
    assert all(np.array_equal(first[name], again[name]) for name in first)
    assert not np.isclose(first["a"], other["a"]).any()


def test_the_word_is_an_initializer_where_a_weight_starts() -> None:
    text = """
model M {
    input x: f32[batch, 4]
    param p: f32[4] = normal(0.02)
    buffer b: f32[4] = uniform(2, 3)
    output y = x * p + normal([batch, 4]) + b
}
"""
    graph = build(text).graph
    starts = {p.path: p.initializer.name for p in graph.parameters}
    assert starts == {"p": "normal", "b": "uniform"}
    assert [n.op.name for n in graph.nodes if n.op.random] == ["normal"]


def test_a_block_hands_its_arguments_on(tmp_path: Path) -> None:
    """A default of PyTorch's is no fixed number of a class."""
    text = """
block noisy(x: f32[..., d], std: float = 1.0) { return normal_like(x, std=std) }
model M(std: float = 1.0, high: float = 1.0) {
    input x: f32[batch, 4]
    output a = x -> noisy(std=std)
    output b = x -> noisy(std=0.01)
    output c = uniform([batch, 4], high=high)
}
"""
    module = load(build(text).graph)
    made = type(module)(std=100.0, high=1000.0)(torch.zeros(500, 4))
    assert made[0].std() > 90
    assert made[1].std() < 0.011
    assert made[2].max() > 900


BAD = {
    "normal([3], std=-1)": "W0353",
    "normal([0])": "W0392",
    "normal([3], dtype=i64)": "W0353",
    "uniform([3], low=1, high=0.5)": "W0353",
    "uniform([3], low=2)": "W0353",
    "randint(3, 3, [2])": "W0353",
    "permutation(0)": "W0392",
    "bernoulli_like(x, 1.5)": "W0353",
    "bernoulli(1.5, [4])": "W1390",
    "bernoulli(x, [2, 2])": "W0390",
    "categorical(cast(x, i64))": "W0382",
    "normal_like(cast(x, i64))": "W0382",
    "normal(3)": "W0225",
    "randn(3)": "W0201",
}


@pytest.mark.parametrize(("expression", "code"), BAD.items(), ids=BAD)
def test_bad_draws_are_refused(expression: str, code: str) -> None:
    text = f"model M {{ input x: f32[batch, 3]  output y = {expression} }}"
    assert codes(text) == [code], [m.text for m in elaborate(text)[1]]


def test_other_names_are_known() -> None:
    text = "model M { input x: f32[batch, 3]  output y = multinomial(x) }"
    (message,) = elaborate(text)[1]
    assert "categorical" in str(message.text)
