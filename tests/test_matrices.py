"""Linear algebra against PyTorch, with gradients; where it is refused, and where it is deployed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from backends.onnx_graph.compile import compile_onnx
from compiler.driver import check_source
from compiler.ir.input_ranges import OutsideDomain, check_inputs
from compiler.ops.matrices import Cholesky, Inverse, LogDet, Solve
from compiler.report.diagnostics import CompileError, Message, Severity, Sink
from compiler.report.messages.lowering import no_operator
from compiler.report.source import Source
from tests.elaborating import build, codes
from tests.std_blocks import compare_block

DRAWN = np.random.default_rng(2)
X = DRAWN.normal(size=(3, 4, 4)).astype(np.float32)
DEFINITE = X @ X.swapaxes(-2, -1) + np.eye(4, dtype=np.float32)
B = DRAWN.normal(size=(3, 4, 2)).astype(np.float32)
GIVEN = {"x": DEFINITE, "b": B}
CASES: list[tuple[str, str, Callable[..., Any]]] = [
    ("x", "det(x / 4)", lambda x: torch.linalg.det(x / 4)),
    ("x", "logdet(x)", torch.logdet),
    ("x", "inverse(x)", torch.linalg.inv),
    ("x b", "solve(x, b)", torch.linalg.solve),
    ("x b", "solve(x[0], b[0])", lambda x, b: torch.linalg.solve(x[0], b[0])),
    ("x", "cholesky(x)", torch.linalg.cholesky),
]


@pytest.mark.parametrize(("names", "call", "oracle"), CASES, ids=[c[1] for c in CASES])
def test_numbers_and_gradients_are_pytorchs(
    names: str, call: str, oracle: Callable[..., Any]
) -> None:
    compare_block("tensors", call, {name: GIVEN[name] for name in names.split()}, oracle)


def test_logarithms_of_determinants_that_are_not_positive() -> None:
    x = np.stack([np.diag([1.0, -2.0]), np.zeros((2, 2)), 1e30 * np.eye(2)])
    (found,) = LogDet().evaluate(x)
    np.testing.assert_allclose(found, torch.logdet(torch.tensor(x)).numpy())


def test_what_has_no_solution_is_not_a_number() -> None:
    """One matrix of several; PyTorch raises an error for all of them."""
    x = np.stack([np.eye(2), np.zeros((2, 2))])
    for op, given in ((Inverse(), (x,)), (Solve(), (x, x)), (Cholesky(), (x,))):
        (found,) = op.evaluate(*given)
        np.testing.assert_array_equal(found[0], np.eye(2))
        assert np.isnan(found[1]).all()


@pytest.mark.parametrize("call", ["inverse(x)", "cholesky(x)", "solve(x, x)"])
def test_rows_that_lead_to_no_solution_are_found(call: str) -> None:
    graph = build(f"model M {{\n    input x: f32[n, 2, 2]\n    output y = {call}\n}}").graph
    check_inputs(graph, {"n": 1}, {}, {"x": np.eye(2, dtype=np.float32)[None]})
    with pytest.raises(OutsideDomain):
        check_inputs(graph, {"n": 1}, {}, {"x": np.zeros((1, 2, 2), np.float32)})


WRONG = [
    ("inverse(b)", "W0387"),
    ("det(b[0, 0])", "W0380"),
    ("cholesky(cast(x, i64))", "W0382"),
    ("logdet(cast(x, f16))", "W0382"),
    ("solve(x, b[:, :, 0])", "W0380"),
    ("solve(x, transpose(b, 1, 2))", "W0387"),
    ("solve(x, cast(b, f64))", "W0397"),
]


@pytest.mark.parametrize(("call", "code"), WRONG)
def test_what_is_refused(call: str, code: str) -> None:
    inputs = "input x: f32[n, 4, 4]\n    input b: f32[n, 4, 2]"
    assert codes(f"model M {{\n    {inputs}\n    output y = {call}\n}}") == [code]


SPEC = """model M {
    input x: f32[batch, 3, 3]
    output y = det(x)
    output z = LAYER
}
net m = M()
deploy m as onnx { CLAUSE }
"""


def check(text: str) -> list[Message]:
    """The errors of a spec."""
    sink = Sink()
    check_source(Source("spec.weft", text), sink=sink)
    return [m for m in sink.messages if m.severity is Severity.ERROR]


@pytest.mark.parametrize("layer", ["inverse(x)", "solve(x, x)", "cholesky(x)", "logdet(x)"])
def test_check_refuses_to_deploy_what_onnx_has_not(layer: str) -> None:
    """At the line of the deployment, with that of the layer; not where the output is left out."""
    text = SPEC.replace("LAYER", layer)
    (message,) = check(text.replace("CLAUSE", ""))
    assert message.kind is no_operator
    assert message.text.labels[0].span.text == layer.partition("(")[0]
    assert not check(text.replace("CLAUSE", "outputs y"))


def test_lowering_refuses_it_too(tmp_path: Any) -> None:
    graph = build("model M {\n    input x: f32[n, 2, 2]\n    output y = inverse(x)\n}").graph
    with pytest.raises(CompileError) as caught:
        compile_onnx(graph, {}, tmp_path / "net.onnx")
    assert caught.value.messages[0].kind is no_operator


def test_a_loop_is_looked_into() -> None:
    text = """model M {
    input x: f32[batch, t, 2, 2]
    s = zeros([batch, 2, 2])
    scan step in x, axis=1 {
        s = inverse(step) + s
    }
    output y = s
}
net m = M()
deploy m as onnx {}
"""
    assert [m.kind for m in check(text)] == [no_operator]
