"""The law of pruning: what an op's rule says can be cut, the op can do without."""

from __future__ import annotations

import math
from random import Random

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, assume, find, given, settings
from hypothesis import strategies as st
from hypothesis.errors import NoSuchExample

from compiler.compression.pruning.axes import collect_axes
from compiler.compression.pruning.cutting import Cutter
from compiler.compression.pruning.entries import EntryTable
from compiler.compression.pruning.groups import Channels
from compiler.ir.coupling import CutTensor
from compiler.ir.frame import Frame, Site
from compiler.ir.graph import Graph, Node, Value
from compiler.ir.operands import Array
from compiler.ops.group_normalization import GroupNorm
from compiler.ops.registry import OPS, load_ops
from tests.laws.harness import LAWS, Applied, Case, apply_op, load_cases

load_ops()
NAMES = [cls.name for cls in OPS.classes() if not cls.of_graph]
UNCUT = {
    # Losses and figures of a whole batch, positions, sizes and fitted columns have no channels.
    *("bce", "bce_with_logits", "cross_entropy", "ctc", "huber", "kl", "l1", "mse", "nll"),
    # Quantization comes after pruning.
    *("codebook", "dynamic_dense", "fake_quantize", "packed_dense", "stored"),
    *("arange", "causal", "fill", "gather", "linspace", "one_hot", "permutation", "size"),
    "standardize",
    "class_weight",
    *("nms", "smooth_l1", "spectral_norm", "scatter", "scatter_add", "scatter_reduce"),
}
FRAME = Frame("M", "", 0)
SEARCH = settings(
    max_examples=100,
    deadline=None,
    database=None,
    phases=(Phase.generate,),
    suppress_health_check=list(HealthCheck),
)


def fix_sizes(case: Case) -> Applied:
    """The case with numbers for its symbols."""
    types = tuple(None if t is None else t.substitute(case.sizes) for t in case.types)
    return apply_op(Case(case.op.substitute(case.sizes), case.arrays, types))


def make_node(applied: Applied) -> Node:
    inputs = tuple(
        None if made is None else Value(f"x{i}", made) for i, made in enumerate(applied.types)
    )
    outputs = tuple(Value(f"y{i}", made) for i, made in enumerate(applied.outputs))
    return Node(applied.case.op, inputs, outputs, FRAME, Site(name="layer"))


def choose_entries(channels: Channels, entries: EntryTable, rng: np.random.Generator) -> Array:
    """Some channels that can go, so that every axis keeps an entry."""
    roots, free = entries.find_channels()
    cut = np.zeros(len(roots), bool)
    for root in rng.permutation(np.unique(roots[free])):
        more = cut | (roots == root)
        if rng.random() < 0.6 and all(
            not more[start : start + len(entries.entries(axis))].all()
            for axis, start in entries.starts.items()
            if len(entries.entries(axis))
        ):
            cut = more
    return cut


def take(array: Array, tensor: CutTensor) -> Array:
    for axis, kept in enumerate(tensor.kept):
        array = array if kept is None else np.take(array, kept, axis)
    return array


def blank(array: Array, tensor: CutTensor) -> Array:
    """The array with zeros at the entries that go."""
    array = np.array(array)
    for axis, kept in enumerate(tensor.kept):
        if kept is not None:
            gone = np.setdiff1d(np.arange(array.shape[axis]), kept)
            np.moveaxis(array, axis, 0)[gone] = 0
    return array


@pytest.mark.parametrize("name", NAMES)
@LAWS
@given(data=st.data())
def test_an_op_can_do_without_what_its_rule_lets_go(name: str, data: st.DataObject) -> None:
    applied = fix_sizes(data.draw(load_cases()[name], label=name))
    node = make_node(applied)
    axes = collect_axes(Graph("M", (), (), (), (node,), FRAME))
    entries = EntryTable(axes)
    roots, _ = entries.find_channels()
    channels = Channels((), {}, axes, entries, roots)
    rng = np.random.default_rng(data.draw(st.integers(0, 1000)))
    cut = choose_entries(channels, entries, rng)
    cutter = Cutter(channels, cut)
    made = cutter.node(node, "")
    assume(not normalizes_single_entries(made))  # which is refused
    types = made.types
    assert made.op.infer(lambda *_: None, *types) == tuple(v.type for v in made.outputs)
    if any(cut[entry] for axis in axes.mixed for entry in entries.entries(axis)):
        return  # even zeros count there
    if made.op.random or made.op.noisy:
        return
    given_ = [
        (array, cutter.tensor(value, ""))
        for array, value in zip(applied.arrays, node.inputs, strict=True)
        if array is not None and value is not None
    ]
    pairs = iter(given_)
    shown = [next(pairs) if array is not None else None for array in applied.arrays]
    with np.errstate(all="ignore"):
        whole = node.op.evaluate(*(None if p is None else blank(*p) for p in shown))
        found = made.op.evaluate(*(None if p is None else take(*p) for p in shown))
    for array, wanted, value in zip(found, whole, node.outputs, strict=True):
        wanted = take(np.asarray(wanted), cutter.tensor(value, ""))
        np.testing.assert_allclose(array, wanted, rtol=1e-3, atol=1e-4, err_msg=repr(made.op))


def normalizes_single_entries(node: Node) -> bool:
    if not isinstance(node.op, GroupNorm) or node.inputs[0] is None:
        return False
    entries = math.prod(size.evaluate({}) for size in node.inputs[0].type.shape[1:])
    return entries == node.op.groups


def lets_something_go(case: Case) -> bool:
    node = make_node(fix_sizes(case))
    _, free = EntryTable(collect_axes(Graph("M", (), (), (), (node,), FRAME))).find_channels()
    return bool(free.any())


@pytest.mark.parametrize("name", sorted(set(NAMES) - UNCUT))
def test_every_rule_lets_something_go(name: str) -> None:
    """In some of its cases; an op without a rule would keep whole networks as they are."""
    try:
        find(load_cases()[name], lets_something_go, settings=SEARCH, random=Random(0))
    except NoSuchExample:
        pytest.fail(f"nothing of `{name}` can be cut")
