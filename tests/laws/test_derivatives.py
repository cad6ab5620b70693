"""The law of derivatives: what an op's rule writes is what PyTorch's autograd computes of the op's
own code, and what central differences of its meaning approach."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from compiler.ir.evaluate import evaluate, expand
from compiler.ir.frame import Frame, Site
from compiler.ir.graph import Graph, Input, Node, Op, Output, Value
from compiler.ir.operands import Array
from compiler.ops.arithmetic import Add, Mul
from compiler.ops.derivative import Grad
from compiler.ops.differentiation import UNFIT
from compiler.ops.reduction import Sum
from compiler.ops.registry import load_ops
from compiler.report.diagnostics import CompileError, Fault, Message
from compiler.report.messages.derivatives import no_derivative
from compiler.types.tensor import DType, TensorType
from tests.laws.harness import LAWS, Applied, apply_op, load_cases
from tests.laws.torch_terms import Runner

CLASSES = load_ops().classes()
STEP = 1e-4
UNSETTLED = {"max_unpool", "cholesky"}
"""Of entries that go to one place the last one stays, and of a symmetric matrix one half is read;
as in PyTorch, each has a gradient."""
MOST = 40
"""Entries of an operand that are moved for central differences."""


SINGLE = (DType.F32,)
NARROW = (DType.F32, DType.F16)


def draw_applied(
    data: st.DataObject, name: str, narrow: Sequence[DType] = SINGLE
) -> Applied | None:
    """A case with what is `narrow` in double precision; None where the op takes no such."""
    case = data.draw(load_cases()[name], label=name)
    if case.op.rounds:  # PyTorch's scales are f32
        return apply_op(case)
    arrays = tuple(
        a.astype(np.float64) if a is not None and DType.of_numpy(a.dtype) in narrow else a
        for a in case.arrays
    )
    types = tuple(
        TensorType(DType.F64, t.shape) if t is not None and t.dtype in narrow else t
        for t in case.types
    )
    try:
        return apply_op(replace(case, arrays=arrays, types=types))
    except Fault:
        return None


class Differentiated:
    """A graph of one op, the sum of its results times given factors, and the derivatives of that
    by all floating-point operands and weights."""

    def __init__(self, applied: Applied) -> None:
        self.applied = applied
        self.frame = Frame("M", "", 0)
        self.nodes: list[Node] = []
        self.values = [
            None if made is None else Value(f"x{i}", made) for i, made in enumerate(applied.types)
        ]
        self.results = self._add(applied.case.op, self.values)
        self.floats = [v for v in self.results if v.type.dtype.is_float]
        self.factors = [Value(f"r{i}", v.type) for i, v in enumerate(self.floats)]
        weights = applied.case.op.weights(applied.case.types)
        learn = [True] * len(applied.case.types) + [weight.trainable for weight in weights]
        pairs = zip(self.values, learn, strict=True)
        self.by = [v for v, on in pairs if v is not None and on and v.type.dtype.is_float]

    def _add(self, op: Op, inputs: Sequence[Value | None]) -> tuple[Value, ...]:
        types = op.infer(lambda *_: None, *(v.type if v is not None else None for v in inputs))
        names = (f"v{len(self.nodes)}.{i}" for i in range(len(types)))
        made = tuple(Value(name, kind) for name, kind in zip(names, types, strict=True))
        self.nodes.append(Node(op, tuple(inputs), made, self.frame, Site()))
        return made

    def make(self, *, twice: bool = False) -> Graph:
        """The graph whose outputs are the derivatives, by the names of what they are by; `twice`,
        those of the sum of their squares."""
        slopes = self._differentiate(self.floats, self.factors)
        if twice:
            slopes = self._differentiate(slopes, slopes)
        outputs = tuple(Output(by.name, slope) for by, slope in zip(self.by, slopes, strict=True))
        inputs = [*(v for v in self.values if v is not None), *self.factors]
        made = tuple(map(Input, inputs))
        return Graph("M", made, outputs, (), tuple(self.nodes), self.frame)

    def _differentiate(self, values: Sequence[Value], factors: Sequence[Value]) -> list[Value]:
        """The derivatives of the sum of all entries times factors."""
        total: Value | None = None
        for value, factor in zip(values, factors, strict=True):
            (weighed,) = self._add(Mul(), [value, factor])
            (part,) = self._add(Sum(), [weighed])
            total = part if total is None else self._add(Add(), [total, part])[0]
        assert total is not None
        return [self._add(Grad(), [total, by])[0] for by in self.by]

    def feeds(self) -> dict[str, Array]:
        """Operands, weights, and factors that differ."""
        arrays = dict(zip((f"x{i}" for i in range(99)), self.applied.arrays, strict=False))
        generator = np.random.default_rng(7)
        sizes = self.applied.case.sizes
        for factor in self.factors:
            shape = tuple(d.evaluate(sizes) for d in factor.type.shape)
            arrays[factor.name] = generator.uniform(0.5, 1.5, shape).astype(factor.type.dtype.numpy)
        return {name: array for name, array in arrays.items() if array is not None}


NO_SECOND = ("must be contiguous", "is not implemented", "not differentiable", "double backwards")
"""What PyTorch says of a derivative that it lacks."""


def by_autograd(
    made: Differentiated, feeds: Mapping[str, Array], *, twice: bool = False
) -> dict[str, Array | None]:
    """The derivatives as PyTorch computes them; None where it has none."""
    op, values = made.applied.case.op, made.values
    node = Node(op, tuple(values), made.results, made.frame, Site(name="elsewhere"))
    node = replace(node, inputs=tuple(v and replace(v, name=f"w.{v.name}") for v in values))
    tensors = {n: torch.from_numpy(np.array(a, copy=True)) for n, a in feeds.items()}
    for value in made.by:
        tensors[value.name].requires_grad_()
    given = [None if v is None else tensors[v.name] for v in values]
    runner = Runner(given, made.applied.case.sizes)
    results = runner.run(op.torch(node).expression)
    flat = [results] if isinstance(results, torch.Tensor) else list(results)
    floats = [r for r in flat if r.is_floating_point()]
    weighed = [r * tensors[f.name] for r, f in zip(floats, made.factors, strict=True)]
    by = [tensors[v.name] for v in made.by]
    try:
        found = differentiate(sum(part.sum() for part in weighed), by, twice=twice)
        if twice:
            squares = [slope.square().sum() for slope in found if slope is not None]
            found = differentiate(sum(squares, torch.zeros(())), by, twice=False)
    except RuntimeError as error:
        if not any(text in str(error) for text in NO_SECOND):
            raise
        return {}
    slopes = zip(made.by, found, strict=True)
    return {v.name: None if g is None else g.numpy(force=True) for v, g in slopes}


def differentiate(
    total: torch.Tensor, by: Sequence[torch.Tensor], *, twice: bool
) -> Sequence[torch.Tensor | None]:
    if not total.requires_grad:
        return [None] * len(by)
    return torch.autograd.grad(total, by, create_graph=twice, allow_unused=True)


def sum_up(made: Differentiated, feeds: Mapping[str, Array]) -> float:
    """What is differentiated, by the meaning of the op."""
    op = made.applied.case.op.substitute(made.applied.case.sizes)
    results = op.evaluate(*(None if v is None else feeds[v.name] for v in made.values))
    floats = [r for r, v in zip(results, made.results, strict=True) if v.type.dtype.is_float]
    return float(sum((r * feeds[f.name]).sum() for r, f in zip(floats, made.factors, strict=True)))


def check_differences(
    made: Differentiated, feeds: Mapping[str, Array], name: str, slope: Array
) -> None:
    """Compares with central differences, but for entries at a kink, where both sides differ."""
    array, middle = feeds[name], sum_up(made, feeds)
    for place in list(np.ndindex(array.shape))[:MOST]:
        sides = []
        for step in (STEP, -STEP):
            moved = array.copy()
            moved[place] += step
            sides.append((sum_up(made, {**feeds, name: moved}) - middle) / step)
        size = max(1.0, *map(abs, sides))
        if not np.isfinite(sides).all() or abs(sides[0] - sides[1]) > 1e-2 * size:
            continue
        central = (sides[0] + sides[1]) / 2
        assert abs(central - slope[place]) <= 1e-3 * size, (
            f"{name}{place}: {slope[place]}, {central}"
        )


def is_exact(made: Differentiated) -> bool:
    """Whether differences of the meaning tell its derivative: it is computed in double precision,
    and its gradient is its own."""
    op = made.applied.case.op
    straight = op.rounds or getattr(op, "straight_through", False)
    kinds = {v.type.dtype for v in (*made.floats, *made.by)}
    return not straight and op.name not in UNSETTLED and kinds == {DType.F64}


def find_refused(graph: Graph) -> Sequence[Message]:
    """Why the derivative is not written out."""
    try:
        expand(graph)
    except CompileError as error:
        return error.messages
    return ()


def is_differentiable(cls: type[Op]) -> bool:
    return not cls.of_graph and not cls.random


@pytest.mark.parametrize("name", [cls.name for cls in CLASSES if is_differentiable(cls)])
@LAWS
@given(data=st.data())
def test_derivatives_agree(name: str, data: st.DataObject) -> None:
    applied = draw_applied(data, name)
    if applied is None:
        return
    made = Differentiated(applied)
    op = applied.case.op
    if not made.by or not made.floats or op.is_flat:
        return
    graph, feeds = made.make(), made.feeds()
    refused = find_refused(graph)
    if refused:
        assert all(m.kind is no_derivative and f"`{name}`" in m.text.title for m in refused)
        assert UNFIT not in {label.text for m in refused for label in m.text.labels}
        return
    found = evaluate(graph, {}, feeds)
    for value in made.by:
        slope = found[value.name]
        assert slope.shape == feeds[value.name].shape
        assert slope.dtype == feeds[value.name].dtype
        if is_exact(made):
            check_differences(made, feeds, value.name, slope)
    if "torch" not in applied.case.skip:
        compare(applied, found, by_autograd(made, feeds))


LARGEST = 6e4
"""Beside 65504, the largest number of half precision."""


def compare(
    applied: Applied, found: Mapping[str, Array], expected: Mapping[str, Array | None]
) -> None:
    """Holds derivatives to those of PyTorch, which may have none at the end of a range."""
    kinds = {t.dtype for t in applied.types if t is not None}
    rtol = 1e-2 if DType.F16 in kinds else 1e-4 if DType.F32 in kinds else 1e-6
    for name, wanted in expected.items():
        if wanted is not None:
            made = np.where(np.isnan(wanted), np.nan, found[name])
            if DType.F16 in kinds:  # what is nearly too large for it rounds either way
                made, wanted = (np.clip(array, -LARGEST, LARGEST) for array in (made, wanted))
            case = f"{applied.case.op} by {name}"
            np.testing.assert_allclose(made, wanted, rtol, rtol / 100, err_msg=case)


@pytest.mark.parametrize("name", [cls.name for cls in CLASSES if is_differentiable(cls)])
@LAWS
@given(data=st.data())
def test_derivatives_of_derivatives_agree(name: str, data: st.DataObject) -> None:
    """What rules write has rules itself, and these agree too."""
    applied = draw_applied(data, name, NARROW)
    if applied is None or "torch" in applied.case.skip:
        return
    made = Differentiated(applied)
    if not made.by or not made.floats or applied.case.op.is_flat or find_refused(made.make()):
        return
    made = Differentiated(applied)
    graph, feeds = made.make(twice=True), made.feeds()
    expected = by_autograd(made, feeds, twice=True)
    if find_refused(graph):
        return
    compare(applied, evaluate(graph, {}, feeds), expected)
