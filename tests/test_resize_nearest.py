"""Resizing to the nearest entry: the same ones in NumPy, PyTorch and ONNX Runtime."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import product
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest
import torch
from torch.nn import functional

from backends.onnx_graph.opsets import IR_VERSIONS
from backends.onnx_graph.single import lower_op
from compiler.ops.nearest import Nearest
from compiler.ops.resizing import Mode, Resize
from compiler.report.diagnostics import Fault
from compiler.report.messages.tensor_operands import bad_option
from compiler.types.dims import Dim
from compiler.types.tensor import DType, TensorType
from tests.elaborating import build
from tests.faults import fault_of
from tests.laws.harness import run_onnx_runtime, run_reference

SCALES = (*(k / 10 for k in range(1, 41)), 1 / 3, 2 / 3, 4 / 3, 0.75, 1.25, 2.25, 3.75)
MODES: tuple[Mode, ...] = ("nearest", "nearest-exact")
OPSETS = (18, 21, max(IR_VERSIONS))


def accept(op: Resize, shape: list[int]) -> TensorType | None:
    """The type of the result; None where the sizes are refused."""
    try:
        return op.infer(lambda *_: None, TensorType.of("f32", shape))[0]
    except Fault:
        return None


def count(*shape: int) -> np.ndarray:
    """A tensor all of whose entries differ."""
    return np.arange(math.prod(shape), dtype=np.float32).reshape(shape)


def resize(op: Resize, x: np.ndarray) -> np.ndarray:
    """What PyTorch makes of it."""
    size: Any = op.size
    scale: Any = op.scale
    made = functional.interpolate(torch.from_numpy(x), size=size, scale_factor=scale, mode=op.mode)
    return made.numpy()


@pytest.mark.parametrize("opset", OPSETS)
@pytest.mark.parametrize("mode", MODES)
def test_open_sizes_take_pytorchs_entries(mode: Mode, opset: int) -> None:
    for scale in SCALES:
        op = Resize(scale=scale, mode=mode)
        model = lower_op(op, [TensorType.of("f32", [1, 1, "s"])], opset=opset)
        session = ort.InferenceSession(model.SerializeToString())
        for size in range(1, 41):
            if accept(op, [1, 1, size]) is None:
                continue
            x = count(1, 1, size)
            (found,) = session.run(None, {"x0": x})
            expected = resize(op, x)
            np.testing.assert_array_equal(op.evaluate(x)[0], expected, f"{scale} {size}")
            np.testing.assert_array_equal(found, expected, f"{scale} {size}")


@pytest.mark.parametrize("space", [1, 2, 3])
@pytest.mark.parametrize("mode", MODES)
def test_known_sizes_take_pytorchs_entries(mode: Mode, space: int) -> None:
    """Each axis has another factor, so that the product of all is tried in a few models."""
    sizes = range(1, 41) if space == 1 else range(1, 41, 3 * space)
    for k, (scale, size) in enumerate(product(SCALES, sizes)):
        shape = [size, *((7, 5)[: space - 1])]
        op = Resize(scale=(scale, *((1.3, 2.3)[: space - 1])), mode=mode)
        if accept(op, [1, 2, *shape]) is None:
            continue
        x = count(1, 2, *shape)
        model = lower_op(op, [TensorType.of("f32", x.shape)], opset=OPSETS[k % len(OPSETS)])
        expected = resize(op, x)
        np.testing.assert_array_equal(op.evaluate(x)[0], expected, f"{scale} {size}")
        (found,) = run_onnx_runtime(model, {"x0": x})
        np.testing.assert_array_equal(found, expected, f"{scale} {size}")


@pytest.mark.parametrize("mode", MODES)
def test_sizes_that_are_given_take_pytorchs_entries(mode: Mode) -> None:
    for made in (1, 2, 5, 7, 12, 41, 63):
        op = Resize(size=(made,), mode=mode)
        session = ort.InferenceSession(
            lower_op(op, [TensorType.of("f32", [1, 1, "s"])]).SerializeToString()
        )
        for size in range(1, 41):
            x = count(1, 1, size)
            expected = resize(op, x)
            (found,) = session.run(None, {"x0": x})
            if accept(op, [1, 1, size]) is not None:
                np.testing.assert_array_equal(op.evaluate(x)[0], expected, f"{size} {made}")
                np.testing.assert_array_equal(found, expected, f"{size} {made}")


def test_onnxs_own_evaluator_takes_them_too() -> None:
    for scale, size in ((1.3, 13), (2.3, 23), (0.6, 35), (3.0, 7)):
        for mode in MODES:
            op = Resize(scale=scale, mode=mode)
            x = count(1, 1, size)
            for entry in (size, "s"):
                model = lower_op(op, [TensorType.of("f32", [1, 1, entry])])
                (found,) = run_reference(model, {"x0": x})
                np.testing.assert_array_equal(found, resize(op, x), f"{scale} {mode}")


@pytest.mark.parametrize(
    ("scale", "size", "operators"),
    [
        (2, "s", {"Resize"}),
        (3, "s", {"Resize"}),
        (0.5, "s", {"Resize"}),
        (1.5, 12, {"Resize"}),
        (1.3, 20, {"Gather"}),
        (41, "s", {"Gather"}),
    ],
)
def test_resize_stays_where_it_takes_the_same(
    scale: float, size: int | str, operators: set[str]
) -> None:
    model = lower_op(Resize(scale=scale), [TensorType.of("f32", [1, 1, size])])
    found = {node.op_type for node in model.graph.node}
    assert found & {"Resize", "Gather"} == operators


LAYOUTS = (
    ((1, 4, 0), torch.contiguous_format),
    ((1, 4, 0, 2), torch.contiguous_format),
    ((1, 4, 0, 150), torch.contiguous_format),
    ((1, 4, 0, 150), torch.channels_last),
    ((1, 4, 0, 2, 2), torch.channels_last_3d),
)
"""Shapes and memory layouts for which PyTorch has kernels of their own; 0 is the axis."""


def run_kernels(axis: Nearest, dtype: torch.dtype) -> Iterator[list[int]]:
    """The entries that each kernel takes."""
    before, after = axis.before.evaluate({}), axis.after.evaluate({})
    for shape, layout in LAYOUTS:
        x = torch.arange(before).to(dtype).view(1, 1, before, *([1] * (len(shape) - 3)))
        x = x.expand(*(n or before for n in shape)).contiguous(memory_format=layout)
        made = functional.interpolate(
            x,
            size=None if axis.scale else (after, *shape[3:]),
            scale_factor=(axis.scale, *([1.0] * (len(shape) - 3))) if axis.scale else None,
            mode="nearest-exact" if axis.exact else "nearest",
        )
        yield (
            [int(n) for n in made[0, 0].flatten(1)[:, 0]] if made.dim() > 3 else made[0, 0].tolist()
        )


@pytest.mark.parametrize("exact", [False, True])
@pytest.mark.parametrize("dtype", [DType.F32, DType.F64])
def test_what_pytorchs_kernels_do_not_agree_on_is_found(dtype: DType, exact: bool) -> None:
    single = dtype is DType.F32
    cases: list[tuple[int, int, float | None]]
    cases = [(n, math.floor(n * k / 20), k / 20) for n in range(1, 40, 4) for k in range(2, 80, 3)]
    cases += [(2, 41, None), (2, 47, None), (4, 82, None), (3, 40, None)]
    found = 0
    for before, after, scale in cases:
        if after < 1:
            continue
        axis = Nearest(Dim.of(before), Dim.of(after), scale, exact)
        kernels = run_kernels(axis, torch.float32 if single else torch.float64)
        differ = any(entries != axis.find_entries().tolist() for entries in kernels)
        assert axis.differs_between_kernels(dtype) == differ, (before, after, scale)
        found += differ
    assert found


@pytest.mark.parametrize(
    ("op", "size"),
    [
        (Resize(scale=1.1), 5),
        (Resize(scale=2.01), 9),
        (Resize(size=(41,), mode="nearest-exact"), 2),
    ],
)
def test_what_pytorchs_kernels_do_not_agree_on_is_refused(op: Resize, size: int) -> None:
    message = fault_of(lambda: op.infer(lambda *_: None, TensorType.of("f32", [1, 1, size])))
    assert message.kind is bad_option
    assert "from one kernel of PyTorch to another" in message.text.label


def test_an_open_size_is_assumed_to_be_one_that_they_agree_on() -> None:
    text = "model M {\n    input x: f32[n, 3, h]\n    output y = x -> resize(scale=1.1)\n}\n"
    (condition,) = build(text).graph.conditions
    assert (condition.left, condition.relation) == (Dim.of(10), "<=")
    assert not build(text.replace("1.1", '1.1, mode="nearest-exact"')).graph.conditions
