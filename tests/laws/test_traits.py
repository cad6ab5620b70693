"""The law of traits: what a class says of itself holds for its meaning."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from compiler.ir.graph import Op
from compiler.ir.operands import Array
from compiler.ops.layers import LinearLayer
from compiler.ops.registry import load_ops
from compiler.types.dims import Dim
from tests.laws.harness import LAWS, Applied, Case, apply_op, load_cases

CLASSES = load_ops().classes()


def having(holds: Callable[[type[Op]], object]) -> pytest.MarkDecorator:
    """Runs a test for every op whose class says something."""
    return pytest.mark.parametrize("name", [cls.name for cls in CLASSES if holds(cls)])


def draw(data: st.DataObject, name: str) -> Applied:
    """A case with numbers for its symbols."""
    case = data.draw(load_cases()[name], label=name)
    types = tuple(None if t is None else t.substitute(case.sizes) for t in case.types)
    return apply_op(Case(case.op.substitute(case.sizes), case.arrays, types))


def run(applied: Applied, change: Callable[[Array], Array] | None = None) -> list[Array]:
    """The results, of operands that are changed so."""
    arrays = [change(a) if change is not None and a is not None else a for a in applied.case.arrays]
    return evaluate(applied.case.op, [*arrays, *applied.weights.values()])


def evaluate(op: Op, arrays: Sequence[Array | None]) -> list[Array]:
    with np.errstate(all="ignore"):
        return [np.asarray(array) for array in op.evaluate(*arrays)]


@having(lambda cls: cls.keeps_channels)
@LAWS
@given(data=st.data())
def test_zeros_and_signs_stay(name: str, data: st.DataObject) -> None:
    applied = draw(data, name)
    for array in run(applied, np.zeros_like):
        assert array.dtype.kind != "f" or not array.any()
    for array in run(applied, np.abs):
        assert array.dtype.kind != "f" or (array >= 0).all()


@having(lambda cls: cls.moves)
@LAWS
@given(data=st.data())
def test_entries_are_those_of_operands(name: str, data: st.DataObject) -> None:
    applied = draw(data, name)
    given_entries = np.concatenate([a.ravel() for a in applied.case.arrays if a is not None])
    for array in run(applied):
        assert np.isin(array, given_entries).all()


@having(lambda cls: cls.reshapes)
@LAWS
@given(data=st.data())
def test_entries_stay_in_order(name: str, data: st.DataObject) -> None:
    applied = draw(data, name)
    (x,), (made,) = applied.case.arrays, run(applied)
    assert x is not None
    np.testing.assert_array_equal(made.ravel(), x.ravel())


@having(lambda cls: cls.clips)
@LAWS
@given(data=st.data())
def test_a_clip_is_nothing_else(name: str, data: st.DataObject) -> None:
    applied = draw(data, name)
    (x,) = (a for a in applied.case.arrays if a is not None)
    (made,) = run(applied)
    np.testing.assert_array_equal(made, np.clip(x, *applied.case.op.limits))


@having(lambda cls: cls.limits != Op.limits)
@LAWS
@given(data=st.data())
def test_limits_hold(name: str, data: st.DataObject) -> None:
    applied = draw(data, name)
    low, high = applied.case.op.limits
    for array in run(applied):
        known = array[~np.isnan(array)]
        assert ((known >= low) & (known <= high)).all()


@having(lambda cls: cls.scales_with_operand)
@LAWS
@given(data=st.data())
def test_scales_go_through(name: str, data: st.DataObject) -> None:
    applied = draw(data, name)
    for made, scaled in zip(run(applied), run(applied, lambda a: a * 4), strict=True):
        np.testing.assert_allclose(scaled, made * 4, rtol=1e-6)


@having(lambda cls: cls.zeroed_by)
@LAWS
@given(data=st.data())
def test_zeros_win(name: str, data: st.DataObject) -> None:
    applied = draw(data, name)
    for index in applied.case.op.zeroed_by:
        arrays = list(applied.arrays)
        arrays[index] = np.zeros_like(arrays[index])
        for array in evaluate(applied.case.op, arrays):
            assert not np.nan_to_num(array).any()


@having(lambda cls: cls.signs)
@LAWS
@given(data=st.data())
def test_operands_are_added_up(name: str, data: st.DataObject) -> None:
    applied = draw(data, name)
    (made,) = run(applied)
    if made.dtype.kind == "f":
        terms = zip(applied.case.op.signs, applied.case.arrays, strict=True)
        total = sum(sign * np.asarray(a, made.dtype) for sign, a in terms)
        np.testing.assert_allclose(made, total, rtol=1e-5)


@having(lambda cls: cls.reads_sizes)
@LAWS
@given(data=st.data())
def test_entries_do_not_matter(name: str, data: st.DataObject) -> None:
    applied = draw(data, name)
    for one, other in zip(run(applied), run(applied, np.ones_like), strict=True):
        np.testing.assert_array_equal(one, other)


@having(lambda cls: issubclass(cls, LinearLayer))
@LAWS
@given(data=st.data())
def test_layers_multiply_rows(name: str, data: st.DataObject) -> None:
    applied = draw(data, name)
    op, x, weight = applied.case.op, applied.arrays[0], applied.arrays[1]
    assert isinstance(op, LinearLayer)
    assert applied.outputs[0].shape[op.channel_axis].known == op.channels
    assert weight is not None
    assert x is not None
    rows = op.list_rows(x)
    if op.groups == 1:
        assert weight.shape[op.made_axis] == op.channels
    if rows is not None:
        product = rows @ weight.reshape(len(weight), -1).T.astype(np.float64)
        if op.bias:
            product += np.asarray(applied.arrays[2])
        (made,) = evaluate(op, applied.arrays)
        laid = np.moveaxis(made, op.channel_axis, -1).reshape(-1, op.channels)
        np.testing.assert_allclose(laid, product, rtol=1e-3, atol=1e-4)


@having(lambda cls: cls.broadcasts or cls.noisy or cls.trace_axis is not Op.trace_axis)
@LAWS
@given(data=st.data())
def test_entries_come_from_where_it_says(name: str, data: st.DataObject) -> None:
    applied = draw(data, name)
    op, whole = applied.case.op, run(applied)
    for axis in range(applied.outputs[0].rank):
        trace = op.trace_axis(axis, applied.types, applied.outputs)
        size = whole[0].shape[axis]
        if trace is None or size == 0 or op.random:
            continue
        place = data.draw(st.integers(0, size - 1), label=f"axis {axis}")
        parts = [
            a if a is None or at is None else a.take([place], axis=at)
            for a, at in zip(applied.arrays, trace, strict=True)
        ]
        shape = [dim if a != axis else Dim.of(1) for a, dim in enumerate(applied.outputs[0].shape)]
        for part, array in zip(evaluate(op.reshape(shape), parts), whole, strict=True):
            np.testing.assert_allclose(part, array.take([place], axis=axis), rtol=1e-4, atol=1e-5)


@having(lambda cls: cls.act_on_matrix is not Op.act_on_matrix)
@LAWS
@given(data=st.data())
def test_rows_may_be_a_matrix(name: str, data: st.DataObject) -> None:
    applied = draw(data, name)
    op, rank = applied.case.op, applied.outputs[0].rank
    rows = range(rank - 1)
    if rank < 3 or any(op.trace_axis(a, applied.types, applied.outputs) is None for a in rows):
        return
    whole = evaluate(op, applied.arrays)
    flat = [np.reshape(a, (-1, np.shape(a)[-1])) for a in applied.arrays if a is not None]
    for made, array in zip(evaluate(op.act_on_matrix(), flat), whole, strict=True):
        np.testing.assert_allclose(made.reshape(array.shape), array, rtol=1e-5)
