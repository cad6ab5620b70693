"""Statistics fitted inside the generated function of columns are those of the meaning."""

from __future__ import annotations

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
from compiler.vocabulary.initializers import Ones, Zeros

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
