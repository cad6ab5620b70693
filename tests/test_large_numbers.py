"""Whole numbers beyond 2^24 and numbers with a large offset: dates of a few minutes keep their
differences, or a warning says that they do not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
import pyarrow
import pytest
import torch
from pyarrow import parquet
from safetensors.numpy import load_file

import weft
from backends.onnx_graph.compile import compile_onnx
from backends.pytorch.functions import emit_function
from backends.pytorch.run.running import run_training
from backends.pytorch.train.column_statistics import fit_inside
from backends.pytorch.train.folder import write_training
from compiler.driver import check_source
from compiler.ir.subgraph import extract_subgraph
from compiler.program.program import Program
from compiler.report.diagnostics import Message, Severity, Sink
from compiler.report.source import Source
from compiler.rows.loading import load_data
from compiler.rows.validation import validate_data

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
    assert "of 400 different numbers" in warning.text.title
    assert "subtract a whole number first" in (warning.text.help or "")


def test_the_warning_says_what_to_write(tmp_path: Path) -> None:
    (warning,) = find_warnings(tmp_path, "x = cast(hour, f32)")
    assert warning.text.title == "rounding `hour` to f32 leaves 5 of 400 different numbers"
    assert f"`hour - {START}`" in (warning.text.help or "")


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
    assert "standardize" not in (warning.text.help or "")


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


# --- numbers with a large offset ------------------------------------------------------------------

OFFSETS = 1e9 + 0.01 * np.random.default_rng(1).permutation(400)
GAPS = [str(s) if i % 9 else "" for i, s in enumerate(SECONDS)]
"""Whole numbers of which some are missing."""


def write_offsets(folder: Path, kind: str) -> str:
    """A table with the columns `at` and `gap` in a file of this kind; the source that reads it."""
    gaps = np.array([float(s) if s else np.nan for s in GAPS])
    y = np.arange(400) % 5 + 0.5
    if kind == "csv":
        rows = [f"{a:.2f},{g},{v}" for a, g, v in zip(OFFSETS, GAPS, y, strict=True)]
        (folder / "t.csv").write_text("\n".join(["at,gap,y", *rows]))
        return 'csv("t.csv")'
    if kind == "npz":
        np.savez(folder / "t.npz", at=OFFSETS, gap=gaps, y=y)
        return 'npz("t.npz")'
    whole = pyarrow.array([int(s) if s else None for s in GAPS], pyarrow.int64())
    parquet.write_table(pyarrow.table({"at": OFFSETS, "gap": whole, "y": y}), folder / "t.parquet")
    return 'parquet("t.parquet")'


def check_offsets(folder: Path, kind: str, columns: str) -> tuple[Program, Sink]:
    source = write_offsets(folder, kind)
    text = SPEC.format(columns=columns, inputs="", body="", loss="p")
    sink = Sink()
    program = check_source(
        Source(str(folder / "s.weft"), text.replace('csv("t.csv")', source)), sink=sink
    )
    assert program is not None, sink.messages
    return program, sink


@pytest.mark.parametrize("kind", ["csv", "npz", "parquet"])
def test_large_offsets_are_f64_and_keep_their_differences(kind: str, tmp_path: Path) -> None:
    columns = 'x = standardize(at) + standardize(fill(gap, "median"))'
    program, sink = check_offsets(tmp_path, kind, columns)
    assert not sink.has_errors, sink.messages
    types = {column.name: str(column.type) for column in program.data["table"].schema}
    assert types == {"at": "f64[]", "gap": "f64[]", "y": "f32[]"}
    loaded = load_data(program.data["table"])
    gaps = np.array([float(s) if s else np.nan for s in GAPS])
    filled = np.where(np.isnan(gaps), np.nanmedian(gaps[:300]), gaps)
    exact = [(a - a[:300].mean()) / a[:300].std() for a in (OFFSETS, filled)]
    np.testing.assert_allclose(loaded.columns["x"], sum(exact), rtol=1e-5, atol=1e-5)
    assert validate_data(program.trains["fit"], sink) is not None
    assert [m.code for m in sink.messages if m.code == "W1377"] == []


@pytest.mark.parametrize("kind", ["csv", "npz", "parquet"])
@pytest.mark.parametrize("columns", ["x = cast(at, f32)", "x = cast(fill(gap, 0), f32)"])
def test_offsets_that_are_rounded_are_told(columns: str, kind: str, tmp_path: Path) -> None:
    program, sink = check_offsets(tmp_path, kind, columns)
    assert not sink.has_errors, sink.messages
    validate_data(program.trains["fit"], sink)
    (warning,) = [m for m in sink.messages if m.code == "W1377"]
    assert "different numbers" in warning.text.title


def test_arrays_of_a_program_keep_their_differences(tmp_path: Path) -> None:
    source = write_offsets(tmp_path, "csv")
    text = SPEC.format(columns="x = standardize(at)", inputs="", body="", loss="p")
    arrays = {"at": OFFSETS, "y": np.arange(400) / 4}
    spec = weft.loads(text.replace('csv("t.csv")', source), data={"table": arrays}, folder=tmp_path)
    expected = (OFFSETS - OFFSETS[:300].mean()) / OFFSETS[:300].std()
    np.testing.assert_allclose(spec.data("table").columns["x"], expected, rtol=1e-5, atol=1e-5)


def test_a_generated_training_reads_large_offsets(tmp_path: Path) -> None:
    """The script keeps the differences too: its fitted figures are those of f64."""
    program, _ = check_offsets(tmp_path, "csv", "x = standardize(at)")
    train = program.trains["fit"]
    write_training(train, tmp_path / "fit")
    run_training(tmp_path / "fit", data_root=tmp_path, device="cpu")
    fitted = load_file(tmp_path / "fit" / "columns.safetensors")
    (scale,) = [array for path, array in fitted.items() if path.endswith("scale")]
    np.testing.assert_allclose(float(scale), OFFSETS[:300].std(), rtol=1e-6)


def test_whole_numbers_beyond_f64_are_told(tmp_path: Path) -> None:
    rows = [f"{2**60 + i % 37},{i % 5}.5" for i in range(400)]
    (tmp_path / "t.csv").write_text("\n".join(["count,y", *rows]))
    sink = Sink()
    for columns, told in ((f"x = standardize(count - {2**60})", 0), ("x = standardize(count)", 1)):
        text = SPEC.format(columns=columns, inputs="", body="", loss="p")
        program = check_source(Source(str(tmp_path / "s.weft"), text), sink=sink)
        assert program is not None, sink.messages
        validate_data(program.trains["fit"], sink)
        found = [m for m in sink.messages if m.code == "W1377"]
        assert len(found) == told
    assert "to f64 leaves" in found[0].text.title
    assert "standardize" not in (found[0].text.help or "")
