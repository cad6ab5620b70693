"""Statistics fitted inside the generated function of columns are those of the meaning."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from backends.pytorch.functions import emit_function
from backends.pytorch.train.column_statistics import fit_inside
from compiler.ir.builder import Builder
from compiler.ir.evaluate import evaluate
from compiler.ir.frame import Frame, Site
from compiler.ir.graph import Graph
from compiler.ops.elementwise import Log
from compiler.ops.fitted import Fill, Standardize
from compiler.rows.fitting import find_statistics, fit_statistics
from compiler.types.tensor import TensorType
from compiler.vocabulary.initializers.given import Ones, Zeros
from tests.checking import check_text

ROWS = np.array([[1.0, 7.0], [np.nan, 7.0], [4.0, 7.0], [9.0, 7.0], [2.0, 5.0]], np.float32)
TRAINING = np.array([0, 1, 2, 3])


def build_columns() -> Graph:
    """`filled = fill(x, "median")`, `z = log(filled) -> standardize`."""
    frame = Frame("columns", "", 0)
    builder = Builder("columns", frame)
    kind = TensorType.of("f32", (2,))
    x = builder.input("x", TensorType.of("f32", ("rows", 2)))
    median = builder.parameter("fill.value", kind, Zeros(), trainable=False)
    mean = builder.parameter("standardize.mean", kind, Zeros(), trainable=False)
    scale = builder.parameter("standardize.scale", kind, Ones(), trainable=False)
    (filled,) = builder.apply(Fill("median"), [x, median], frame, Site(name="fill"), ("filled",))
    (logs,) = builder.apply(Log(), [filled], frame, Site())
    (z,) = builder.apply(
        Standardize(), [logs, mean, scale], frame, Site(name="standardize"), ("z",)
    )
    builder.output("z", z)
    return builder.graph()


def test_the_generated_function_fits_and_applies() -> None:
    graph = build_columns()
    statistics = find_statistics(graph)
    expected = fit_statistics(graph, statistics, {"x": ROWS}, TRAINING)
    columns = evaluate(graph, expected, {"x": ROWS})
    text = emit_function(fit_inside(graph, statistics), name="compute", nets={})
    space: dict[str, object] = {"torch": torch, "Tensor": torch.Tensor}
    exec(text, space)
    compute = space["compute"]
    assert callable(compute)
    z, *figures = compute(torch.from_numpy(ROWS), torch.from_numpy(TRAINING))
    np.testing.assert_allclose(z, columns["z"], rtol=1e-6)
    for statistic, figure in zip(statistics, figures, strict=True):
        np.testing.assert_allclose(figure, expected[statistic.path], rtol=1e-6)
    assert figures[-1][1] == 1  # what does not vary is not scaled


def test_a_graph_without_statistics_stays_as_it_is() -> None:
    graph = build_columns()
    assert fit_inside(graph, ()) is graph


@pytest.mark.parametrize("words", ["nanquantile(0.5, dim=0)", "x[training]", "sqrt()"])
def test_the_function_reads_as_a_person_would_write_it(words: str) -> None:
    graph = build_columns()
    assert words in emit_function(
        fit_inside(graph, find_statistics(graph)), name="compute", nets={}
    )


@pytest.mark.parametrize(
    ("axis", "reduced"),
    [("0", (0, 2, 3)), ("-3", (0, 2, 3)), ("[0, 2]", (0, 2)), ("[]", (0, 1, 2, 3)), ("none", (0,))],
)
def test_figures_of_channels_are_those_of_all_their_entries(
    tmp_path: Path, axis: str, reduced: tuple[int, ...]
) -> None:
    images = np.random.default_rng(3).normal(2, 5, (30, 3, 4, 5)).astype(np.float32)
    images[1, 2, 0, 0] = np.nan
    images[:, 0, 0, 0] = 1
    np.savez(tmp_path / "rows.npz", image=images, y=np.zeros(30, np.float32))
    text = f"""
data rows {{
    source npz("rows.npz")
    image = standardize(image, axis={axis})
    split random(seed=0), train=80%, val=20%
}}
"""
    program = check_text(text, folder=str(tmp_path))
    graph = program.data["rows"].columns
    statistics = program.data["rows"].statistics
    training = np.arange(0, 30, 2)
    fitted = fit_statistics(graph, statistics, {"image": images, "y": np.zeros(30)}, training)
    seen = images[training].astype(np.float64)
    mean, scale = np.nanmean(seen, reduced, keepdims=True), np.nanstd(seen, reduced, keepdims=True)
    scale[scale == 0] = 1
    given = {item.name: images for item in graph.inputs if item.name == "image"}
    given |= {item.name: np.zeros(30, np.float32) for item in graph.inputs if item.name == "y"}
    made = evaluate(graph, fitted, given)["image"]
    np.testing.assert_allclose(made, (images - mean) / scale, rtol=1e-4, atol=1e-5)
    source = emit_function(fit_inside(graph, statistics), name="compute", nets={})
    space: dict[str, Any] = {"torch": torch, "Tensor": torch.Tensor}
    exec(source, space)
    tensors = [torch.from_numpy(array) for array in given.values()]
    found = space["compute"](*tensors, torch.from_numpy(training))
    columns = [output.name for output in graph.outputs]
    np.testing.assert_allclose(found[columns.index("image")], made, rtol=1e-5, atol=1e-5)
