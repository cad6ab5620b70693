"""NaN has no level: a network that rounds logarithms is judged on numbers that have one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from backends.onnx_graph.compile import compile_onnx
from backends.onnx_runtime.session import Device
from backends.verification.verify import VerifyReport, verify
from compiler.ir.weights import draw_weights
from compiler.report.diagnostics import CompileError, Sink
from compiler.report.messages.verification import no_allowed_inputs
from tests.elaborating import build
from tests.test_verify import load

LEVELS = {"levels.scale": np.float32(0.01), "levels.zero_point": np.int32(0)}


def judge(
    value: str,
    folder: Path,
    made: float = 0.01,
    samples: dict[str, np.ndarray] | None = None,
) -> VerifyReport:
    """Verifies a model that rounds `value`; what is compiled has steps of `made`."""
    graph = build(
        "model M() {\n    input n: f32[batch, 4]\n"
        f'    output y = ({value}) -> fake_quantize("i8") as levels\n}}'
    ).graph
    weights = {**draw_weights(graph), **LEVELS}
    compiled = {**weights, "levels.scale": np.float32(made)}
    compile_onnx(graph, compiled, folder / "net.onnx")
    return verify(
        graph,
        weights,
        torch_module=load(graph, compiled),
        onnx_path=folder / "net.onnx",
        device=Device.CPU,
        sink=Sink(),
        samples=samples,
    )


@pytest.mark.parametrize("value", ["log(1 + n)", "log(1 - n)", "sqrt(n)", "n / n", "log(n ** 3)"])
def test_nets_that_round_nan_are_verified_where_they_are_defined(
    value: str, tmp_path: Path
) -> None:
    report = judge(value, tmp_path)
    assert report.passed
    cases = {result.case for result in report.results}
    assert {"random inputs at batch=1", "large inputs at batch=1"} <= cases


def test_a_wrong_step_behind_a_logarithm_is_found(tmp_path: Path) -> None:
    assert not judge("log(1 + n)", tmp_path, made=0.02).passed


def test_rows_that_have_no_level_leave_the_other_cases(tmp_path: Path) -> None:
    rows = {"n": np.full((2, 4), -3, np.float32)}
    report = judge("log(1 + n)", tmp_path, samples=rows)
    assert report.passed
    assert "real" not in {result.case.split()[0] for result in report.results}


def test_rows_that_have_levels_are_judged_where_no_drawn_numbers_do(tmp_path: Path) -> None:
    rows = {"n": np.full((2, 4), 300.5, np.float32)}
    report = judge("log(n - 300)", tmp_path, samples=rows)
    assert report.passed
    assert {result.case.split()[0] for result in report.results} == {"real"}


def test_a_net_that_rounds_nan_alone_is_not_passed(tmp_path: Path) -> None:
    with pytest.raises(CompileError) as refused:
        judge("log(-1 - n * n)", tmp_path)
    (message,) = refused.value.messages
    assert message.kind is no_allowed_inputs
    assert message.text.label.endswith("what `fake_quantize` takes")
