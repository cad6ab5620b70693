"""Whole numbers beyond 2^24: dates of a few minutes keep their differences, or a warning says
that they do not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

from backends.onnx_graph.compile import compile_onnx
from backends.pytorch.functions import emit_function
from backends.pytorch.script.fitting import fit_inside
from compiler.data.loading import load_data
from compiler.data.validation import validate_data
from compiler.diagnostics import Message, Severity, Sink
from compiler.driver import check_source
from compiler.ir.subgraph import extract_subgraph
from compiler.program import Program
from compiler.source import Source

START = 1_709_294_400
SECONDS = START + np.random.default_rng(0).permutation(400)
SPEC = """
model Net {{
    input x: f32[batch]
    {inputs}
    output p: f32[batch] = stack([x], axis=1) -> dense(1) -> squeeze(1)
    {body}
}}
data table {{
    source csv("t.csv")
    {columns}
    split in_order, train=300, val=50, test=50
}}
train fit of Net on table {{
    minimize mse({loss}, y) with sgd(lr=0.1)
    batch 4  epochs 1
}}
"""


def check(folder: Path, columns: str, **given: str) -> tuple[Program, Sink]:
    dates = [str(np.datetime64(int(s), "s")) for s in SECONDS]
    rows = [f"{d},{s},{s % 7},{s % 5}.5" for d, s in zip(dates, SECONDS, strict=True)]
    (folder / "t.csv").write_text("\n".join(["hour,count,day,y", *rows]))
    text = SPEC.format(columns=columns, **{"inputs": "", "body": "", "loss": "p", **given})
    sink = Sink()
    program = check_source(Source(str(folder / "s.weft"), text), sink=sink)
    assert not sink.has_errors, sink.messages
    assert program is not None
    return program, sink


@pytest.mark.parametrize("column", ["hour", "count", "cast(hour, i32)", "stack([hour, count])[0]"])
def test_the_mean_is_subtracted_before_rounding(column: str, tmp_path: Path) -> None:
    program, _ = check(tmp_path, f"x = standardize({column})")
    loaded = load_data(program.data["table"])
    fitted = SECONDS[:300]
    expected = ((SECONDS - fitted.mean()) / fitted.std()).astype(np.float32)
    np.testing.assert_allclose(loaded.columns["x"], expected, rtol=1e-6, atol=1e-9)

    graph = loaded.data.columns
    text = emit_function(fit_inside(graph, loaded.data.statistics), name="compute", nets={})
    space: dict[str, object] = {"torch": torch, "Tensor": torch.Tensor}
    exec(text, space)
    compute = space["compute"]
    assert callable(compute)
    tensors = [torch.from_numpy(loaded.raw[item.name]) for item in graph.inputs]
    made = compute(*tensors, torch.arange(300))
    x = made[[o.name for o in graph.outputs].index("x")]
    assert x.dtype is torch.float32
    np.testing.assert_allclose(x, expected, rtol=1e-6, atol=1e-9)

    part = extract_subgraph(graph, (), [o for o in graph.outputs if o.name == "x"])
    compile_onnx(part, dict(loaded.statistics), tmp_path / "columns.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "columns.onnx")
    (x,) = session.run(["x"], {item.name: loaded.raw[item.name] for item in part.inputs})
    assert x.dtype == np.float32
    np.testing.assert_allclose(x, expected, rtol=1e-6, atol=1e-9)


def find_warnings(folder: Path, columns: str, **given: str) -> list[Message]:
    program, sink = check(folder, columns, **given)
    validate_data(program.trains["fit"], sink)
    assert not sink.has_errors, sink.messages
    return [m for m in sink.messages if m.code == "W1377"]


@pytest.mark.parametrize(
    "columns",
    [
        "x = cast(hour, f32)",
        "x = standardize(stack([hour, y]))[0]",
        "x = hour / 60",
        "x = fill(count, 0)",
        "x = standardize(cast(count, f32))",
        "x = cast(hour + 1, f32)",
    ],
)
def test_lost_differences_are_told(columns: str, tmp_path: Path) -> None:
    (warning,) = find_warnings(tmp_path, columns)
    assert warning.severity is Severity.WARNING
    assert warning.span is not None
    assert "of 400 different numbers" in warning.title()
    assert "subtract a whole number first" in (warning.help() or "")


def test_the_warning_says_what_to_write(tmp_path: Path) -> None:
    (warning,) = find_warnings(tmp_path, "x = cast(hour, f32)")
    assert warning.title() == "rounding `hour` to f32 leaves 5 of 400 different numbers"
    assert f"`hour - {START}`" in (warning.help() or "")


@pytest.mark.parametrize(
    "given",
    [
        {"inputs": "input hour: i64[batch]", "body": "output q = p + cast(hour, f32)"},
        {"inputs": "input hour: i64[batch]", "body": "output q = p + hour"},
    ],
    ids=["cast", "promoted"],
)
def test_a_model_that_takes_whole_numbers_is_told_too(
    given: dict[str, str], tmp_path: Path
) -> None:
    (warning,) = find_warnings(tmp_path, "x = y", loss="q", **given)
    assert "standardize" not in (warning.help() or "")


@pytest.mark.parametrize(
    "columns",
    [
        f"x = cast(hour - {START}, f32)",
        "x = standardize(hour)",
        "x = cast(day, f32)",
        "x = cast(hour > 1709294500, f32)",
        "x = one_hot(hour % 7, 7, dtype=f32)[0]",
    ],
)
def test_exact_expressions_are_left_alone(columns: str, tmp_path: Path) -> None:
    assert find_warnings(tmp_path, columns) == []
