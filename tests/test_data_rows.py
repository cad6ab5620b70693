"""Column expressions over all rows at once: the same as row by row, with fitted figures."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.impute import SimpleImputer
from sklearn.preprocessing import StandardScaler

from compiler.ir.builder import Builder
from compiler.ir.evaluate import evaluate
from compiler.ir.frame import Frame, Site
from compiler.ir.graph import Graph, Op, Value
from compiler.ops.arithmetic import Add, Div, Mul
from compiler.ops.creation import Constant
from compiler.ops.fitted import Fill, Standardize
from compiler.ops.gathering import OneHot
from compiler.ops.joining import Concat, Stack
from compiler.ops.normalization import BatchNorm
from compiler.ops.reduction import Sum
from compiler.ops.reshaping import Reshape
from compiler.rows.fitting import find_statistics, fit_statistics
from compiler.rows.rows import NotBatched, stack_rows
from compiler.types.tensor import DType, TensorType

GENERATOR = np.random.default_rng(1)
ROWS = 6


class Columns:
    """A graph of column expressions of one row, written by hand."""

    def __init__(self) -> None:
        self.frame = Frame("columns", "", 0)
        self.builder = Builder("columns", self.frame)

    def input(self, name: str, dtype: str, *shape: int) -> Value:
        return self.builder.input(name, TensorType.of(dtype, shape))

    def apply(self, op: Op, *inputs: Value, name: str = "", slot: str = "") -> Value:
        weights = [
            self.builder.parameter(f"{slot}.{w.name}", w.type, w.initializer, trainable=False)
            for w in op.weights([v.type for v in inputs])
        ]
        names = (name,) if name else ()
        (made,) = self.builder.apply(op, (*inputs, *weights), self.frame, Site(), names)
        return made

    def finish(self, **outputs: Value) -> Graph:
        for name, value in outputs.items():
            self.builder.output(name, value)
        return self.builder.graph()


def row_by_row(graph: Graph, columns: dict[str, Any]) -> dict[str, Any]:
    rows = [
        evaluate(graph, {}, {name: array[row] for name, array in columns.items()})
        for row in range(ROWS)
    ]
    return {name: np.stack([row[name] for row in rows]) for name in rows[0]}


def image_graph() -> tuple[Graph, dict[str, Any]]:
    """`(image / 16) -> reshape([1, 4, 4])`, a reduction of it, and a constant column."""
    made = Columns()
    image = made.input("image", "u8", 4, 4)
    scaled = made.apply(Div(), image, made.apply(Constant(16, DType.F32)), name="scaled")
    shaped = made.apply(Reshape((1, 4, 4)), scaled, name="image.2")
    bright = made.apply(Sum(), shaped)
    ones = made.apply(Constant(1, DType.F32, (3,)))
    columns = {"image": GENERATOR.integers(0, 17, (ROWS, 4, 4)).astype(np.uint8)}
    return made.finish(image=shaped, bright=bright, ones=ones), columns


def broadcast_graph() -> tuple[Graph, dict[str, Any]]:
    """Operands of different ranks beside each other, constants among them."""
    made = Columns()
    weight, points = made.input("weight", "f32", 3), made.input("points", "f32", 5, 3)
    number = made.input("number", "i64")
    spread = made.apply(Mul(), weight, points)
    moved = made.apply(Add(), spread, made.apply(Constant((1.0, 2.0, 3.0), DType.F32, (3,))))
    scaled = made.apply(Div(), moved, number)
    kind = made.apply(OneHot(4, DType.F32), number)
    joined = made.apply(Concat(0), weight, kind)
    fixed = made.apply(Concat(0), weight, made.apply(Constant(2.0, DType.F32, (2,))))
    pair = made.apply(Stack(-1), weight, weight)
    columns = {
        "weight": GENERATOR.normal(size=(ROWS, 3)).astype(np.float32),
        "points": GENERATOR.normal(size=(ROWS, 5, 3)).astype(np.float32),
        "number": GENERATOR.integers(1, 4, ROWS),
    }
    return made.finish(scaled=scaled, joined=joined, fixed=fixed, pair=pair), columns


@pytest.mark.parametrize("make", [image_graph, broadcast_graph])
def test_all_rows_at_once_is_row_by_row(make: Any) -> None:
    graph, columns = make()
    stacked = stack_rows(graph)
    assert all(str(i.value.type.shape[0]) == "rows" for i in stacked.inputs)
    found, expected = evaluate(stacked, {}, columns), row_by_row(graph, columns)
    assert list(found) == list(expected)
    for name, array in expected.items():
        np.testing.assert_allclose(found[name], array, rtol=1e-6, err_msg=name)
    names = {v.name for node in stacked.nodes for v in node.outputs}
    assert {v.name for node in graph.nodes for v in node.outputs} <= names


def test_what_has_no_meaning_over_rows_is_refused() -> None:
    made = Columns()
    x = made.input("x", "f32", 3, 4)
    graph = made.finish(y=made.apply(BatchNorm(affine=False), x, slot="batch_norm"))
    with pytest.raises(NotBatched, match="`batch_norm` cannot be computed for all rows at once"):
        stack_rows(graph)


def table_graph() -> Graph:
    """`x -> fill("median") -> standardize`, and a `fill` with the mean beside it."""
    made = Columns()
    x, y = made.input("x", "f32", 3), made.input("y", "i64")
    filled = made.apply(Fill("median"), x, name="filled", slot="fill")
    scaled = made.apply(Standardize(), filled, name="scaled", slot="standardize")
    mean = made.apply(Fill("mean"), x, slot="fill_2")
    number = made.apply(Fill(7.0), x)
    whole = made.apply(Standardize(), y, slot="standardize_2")
    return made.finish(scaled=scaled, mean=mean, number=number, whole=whole)


def test_figures_are_fitted_on_training_rows_only() -> None:
    graph = stack_rows(table_graph())
    x = GENERATOR.normal(3, 2, (40, 3)).astype(np.float32)
    x[GENERATOR.random((40, 3)) < 0.2] = np.nan
    x[:, 2] = np.where(np.isnan(x[:, 2]), np.nan, 5)
    y = GENERATOR.integers(0, 9, 40)
    training = GENERATOR.permutation(40)[:25]
    fitted = fit_statistics(graph, find_statistics(graph), {"x": x, "y": y}, training)
    median = SimpleImputer(strategy="median").fit(x[training])
    scaler = StandardScaler().fit(median.transform(x[training]))
    np.testing.assert_allclose(fitted["fill.median"], median.statistics_, rtol=1e-6)
    np.testing.assert_allclose(fitted["standardize.mean"], scaler.mean_, rtol=1e-5)
    np.testing.assert_allclose(fitted["standardize.scale"], scaler.scale_, rtol=1e-5)
    results = evaluate(graph, fitted, {"x": x, "y": y})
    expected = scaler.transform(median.transform(x))
    np.testing.assert_allclose(results["scaled"], expected, rtol=1e-4, atol=1e-5)
    assert (results["scaled"][:, 2] == 0).all()
    mean = SimpleImputer(strategy="mean").fit(x[training]).transform(x)
    np.testing.assert_allclose(results["mean"], mean, rtol=1e-5)
    np.testing.assert_array_equal(results["number"], np.nan_to_num(x, nan=7.0))
    whole = StandardScaler().fit(y[training, None]).transform(y[:, None])[:, 0]
    np.testing.assert_allclose(results["whole"], whole, rtol=1e-5, atol=1e-6)
