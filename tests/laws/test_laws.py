"""The laws: for every op, type rule = meaning = PyTorch = ONNX Runtime = onnx.reference."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backends.onnx_graph.kernels import NO_DOUBLE, ONLY_SINGLE
from compiler.ir.graph import Op
from compiler.ops.quantization import FakeQuantize
from compiler.ops.registry import OPS, load_ops
from compiler.report.diagnostics import CompileError, Fault
from compiler.report.messages.lowering import kernel_missing
from compiler.types.dims import Dim
from compiler.types.tensor import DType, TensorType
from tests.laws.harness import (
    LAWS,
    Applied,
    Case,
    apply_op,
    compare,
    feeds,
    load_cases,
    lower,
    run_numpy,
    run_onnx_runtime,
    run_reference,
    run_torch,
)

load_ops()
NAMES = [cls.name for cls in OPS.classes() if not cls.of_graph]
OPSETS = (18, 20, 21, 23, 26)

every_op = pytest.mark.parametrize("name", NAMES)


def draw_case(data: st.DataObject, name: str) -> Case:
    strategies = load_cases()
    assert name in strategies, f"`{name}` has no strategy in tests/laws/strategies_*.py"
    return data.draw(strategies[name], label=name)


def draw_opset(data: st.DataObject, applied: Applied) -> int:
    case = applied.case
    known = [opset for opset in OPSETS if case.oldest <= opset <= case.newest]
    return data.draw(st.sampled_from(known), label="opset")


def meaning(applied: Applied) -> list[np.ndarray]:
    """What NumPy computes; where draws are random, only its shape and dtype count."""
    return run_numpy(applied)


def test_strategies_belong_to_ops() -> None:
    assert set(load_cases()) <= set(NAMES)


@every_op
@LAWS
@given(data=st.data())
def test_types_are_those_of_the_meaning(name: str, data: st.DataObject) -> None:
    applied = apply_op(draw_case(data, name))
    sizes = applied.case.sizes
    for left, relation, right in applied.promises:
        a, b = left.evaluate(sizes), right.evaluate(sizes)
        assert a == b if relation == "==" else a <= b, f"{left} {relation} {right} is broken"
    results = meaning(applied)
    assert len(results) == len(applied.outputs)
    for array, wanted in zip(results, applied.outputs, strict=True):
        assert array.shape == tuple(d.evaluate(sizes) for d in wanted.shape), f"{wanted}"
        assert array.dtype == wanted.dtype.numpy, f"{wanted} is {array.dtype}"
    fixed = Case(
        applied.case.op.substitute(sizes),
        applied.case.arrays,
        tuple(None if t is None else t.substitute(sizes) for t in applied.case.types),
    )
    assert apply_op(fixed).outputs == tuple(t.substitute(sizes) for t in applied.outputs)


@every_op
@LAWS
@given(data=st.data())
def test_pytorch_agrees(name: str, data: st.DataObject) -> None:
    applied = apply_op(draw_case(data, name))
    if "torch" in applied.case.skip:
        return
    expected = meaning(applied)
    found, module = run_torch(applied)
    if applied.case.op.random:
        assert [a.shape for a in found] == [a.shape for a in expected]
        return
    compare(applied, found, expected, "PyTorch")
    if module is not None:
        compare(applied, module, expected, "the PyTorch module")


@every_op
@LAWS
@given(data=st.data())
def test_onnx_runtime_agrees(name: str, data: st.DataObject) -> None:
    applied = apply_op(draw_case(data, name))
    if "onnxruntime" in applied.case.skip:
        return
    model = lower(applied, draw_opset(data, applied))
    found = run_onnx_runtime(model, feeds(applied))
    expected = meaning(applied)
    if applied.case.op.random:
        assert [a.shape for a in found] == [a.shape for a in expected]
        return
    compare(applied, found, expected, "ONNX Runtime")


WEIGHTED = [cls.name for cls in OPS.classes() if cls.weights is not Op.weights]


@pytest.mark.parametrize("name", WEIGHTED)
@LAWS
@given(data=st.data())
def test_weights_may_come_from_elsewhere(name: str, data: st.DataObject) -> None:
    """A tied or computed weight means the same as the op's own."""
    applied = apply_op(draw_case(data, name))
    expected = meaning(applied)
    found, _ = run_torch(applied, given=True)
    compare(applied, found, expected, "PyTorch")
    model = lower(applied, draw_opset(data, applied), given=True)
    compare(applied, run_onnx_runtime(model, feeds(applied)), expected, "ONNX Runtime")


def convert(case: Case, dtype: DType) -> Applied | None:
    """A case with its floating-point operands in another dtype; None where the op takes no such."""
    with np.errstate(invalid="ignore"):  # NaN and infinities become any whole number
        arrays = tuple(
            a.astype(dtype.numpy) if a is not None and a.dtype == np.float32 else a
            for a in case.arrays
        )
    types = tuple(
        TensorType(dtype, t.shape) if t is not None and t.dtype is DType.F32 else t
        for t in case.types
    )
    exact = {"rtol": 1e-11, "atol": 1e-12} if dtype is DType.F64 else {}
    try:
        return apply_op(replace(case, arrays=arrays, types=types, **exact))
    except Fault:
        return None


@every_op
@LAWS
@given(data=st.data(), dtype=st.sampled_from((DType.F16, DType.F64)))
def test_dtypes_are_kept(name: str, data: st.DataObject, dtype: DType) -> None:
    """Half and double precision: the meaning has the dtypes that the type rule says."""
    applied = convert(draw_case(data, name), dtype)
    if applied is None:
        return
    for array, wanted in zip(meaning(applied), applied.outputs, strict=True):
        assert array.dtype == wanted.dtype.numpy, f"{wanted} is {array.dtype}"


OTHERS = tuple(dtype for dtype in DType if dtype not in (DType.F32, DType.BF16))
"""Dtypes of operands: bf16 is one of weights alone."""


@every_op
@LAWS
@given(data=st.data(), dtype=st.sampled_from(OTHERS))
def test_onnx_runtime_has_kernels(name: str, data: st.DataObject, dtype: DType) -> None:
    """What the type rule allows ONNX Runtime computes, in double precision with all its digits;
    or the compiler says at the layer that there is no kernel."""
    applied = convert(draw_case(data, name), dtype)
    # The body of a loop has the dtypes of its graph, not those of operands.
    if applied is None or applied.case.op.bodies or "onnxruntime" in applied.case.skip:
        return
    opset = draw_opset(data, applied)
    try:
        model = lower(applied, opset)
    except CompileError as error:
        (message,) = error.messages
        assert message.kind is kernel_missing
        operator = message.text.label.removeprefix("is written as ").partition(",")[0]
        assert operator in NO_DOUBLE | ONLY_SINGLE
        return
    domains = applied.case.op.substitute(applied.case.sizes).place_domains(applied.types)
    if not all(
        d.substitute(applied.case.sizes).holds(feeds(applied)[f"x{k}"]) for k, d in domains.items()
    ):
        return  # a fraction is 0 as a whole number, and divides nothing
    found = run_onnx_runtime(model, feeds(applied))
    rounds = isinstance(applied.case.op, FakeQuantize)  # f16 decides half of a step otherwise
    if not applied.case.op.random and not rounds:
        compare(applied, found, meaning(applied), "ONNX Runtime")


@every_op
@LAWS
@given(data=st.data())
def test_onnx_reference_agrees(name: str, data: st.DataObject) -> None:
    applied = apply_op(draw_case(data, name))
    if "reference" in applied.case.skip:
        return
    model = lower(applied, draw_opset(data, applied))
    found = run_reference(model, feeds(applied))
    expected = meaning(applied)
    if applied.case.op.random:
        assert [np.shape(a) for a in found] == [a.shape for a in expected]
        return
    compare(applied, found, expected, "onnx.reference")


@every_op
@LAWS
@given(data=st.data())
def test_rows_are_independent(name: str, data: st.DataObject) -> None:
    """`over_rows` does to stacked rows what the op does to each."""
    case = draw_case(data, name)
    sizes = case.sizes
    op = case.op.substitute(sizes)
    types = [None if t is None else t.substitute(sizes) for t in case.types]
    over = op.over_rows(types, Dim.of(2))
    if over is None or "rows" in case.skip or op.random or op.weights(types):
        return
    ranks = op.row_ranks(types)
    first = case.arrays
    second = tuple(None if a is None else np.flip(a).copy() for a in first)
    expected = [
        np.stack(pair) for pair in zip(op.evaluate(*first), op.evaluate(*second), strict=True)
    ]
    stacked: list[np.ndarray | None] = []
    for a, b, rank in zip(first, second, ranks, strict=True):
        if a is None or b is None:
            stacked.append(None)
            continue
        both = np.stack([a, b])
        stacked.append(both.reshape(2, *[1] * (rank - a.ndim), *a.shape))
    found = over.evaluate(*stacked)
    for left, right in zip(found, expected, strict=True):
        assert left.shape == right.shape
        np.testing.assert_allclose(left, right, rtol=1e-5, atol=1e-6)
