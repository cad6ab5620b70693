"""Cases of ops and how each is run: NumPy, PyTorch, ONNX Runtime and onnx.reference."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from backends.verification.tolerance import ROUNDINGS, STEP
from compiler.ir.frame import Frame, Site
from compiler.ir.graph import Node, Op, Value
from compiler.ir.operands import Array
from compiler.types.dims import Dim
from compiler.types.tensor import DType, TensorType
from tests.conftest import NEW_CASES

EXAMPLES = "20" if NEW_CASES in os.environ else "12"
LAWS = settings(
    max_examples=int(os.environ.get("LAWS_EXAMPLES", EXAMPLES)),
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
"""The same cases on every run, and more of new ones. Set LAWS_EXAMPLES to search longer."""


@dataclass(frozen=True)
class Case:
    """One application: an op, its operands, and their types, in which sizes may be symbols.

    `sizes` has a number for every symbol; `arrays` are the operands at those sizes. Weights are
    drawn from the op's own initializers, with noise so that none is trivial. `rtol` and `atol`
    are the tolerances where dtypes are f32 or wider. `oldest` is the first opset that can say it,
    `newest` the last one of which ONNX Runtime has kernels. `skip` names runners ("torch",
    "onnxruntime", "reference", "rows") that cannot be asked, with the reason.
    """

    op: Op
    arrays: tuple[Array | None, ...]
    types: tuple[TensorType | None, ...]
    sizes: Mapping[str, int] = field(default_factory=dict)
    rtol: float = 1e-4
    atol: float = 1e-5
    skip: Mapping[str, str] = field(default_factory=dict)
    oldest: int = 18
    newest: int = 26

    def __repr__(self) -> str:
        types = ", ".join(str(t) for t in self.types)
        return f"Case({self.op}, {types}, sizes={dict(self.sizes)})"

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        """What Hypothesis shows: it reads variables of classes as fields, and some are not set."""
        printer.text(repr(self))


CASES: dict[str, SearchStrategy[Case]] = {}
"""A strategy of cases for each op, by the op's name."""


def cases(*names: str) -> Callable[[Callable[..., Case]], Callable[..., Case]]:
    """Decorator of a function that draws a case of these ops: called with `draw` (and the op's
    name where there are several)."""

    def register(function: Callable[..., Case]) -> Callable[..., Case]:
        composite = st.composite(function)
        for name in names:
            assert name not in CASES, f"{name} has two strategies"
            CASES[name] = composite() if len(names) == 1 else composite(name)
        return function

    return register


@cache
def load_cases() -> Mapping[str, SearchStrategy[Case]]:
    """Every strategy in the `strategies_*.py` beside this file."""
    for path in sorted(Path(__file__).parent.glob("strategies_*.py")):
        import_module(f"{__package__}.{path.stem}")
    return CASES


# --- drawing -----------------------------------------------------------------------------------


def make_case(
    op: Op,
    *arrays: Array | None,
    symbols: Mapping[tuple[int, int], str] | None = None,
    **options: Any,
) -> Case:
    """A case with types read off the arrays; operands that are left out may be left out here.
    `symbols` names sizes: {(operand, axis): name}."""
    arrays = (*arrays, *[None] * (len(op.operands) - len(arrays)))
    names = symbols or {}
    sizes: dict[str, int] = {}
    types: list[TensorType | None] = []
    for index, array in enumerate(arrays):
        if array is None:
            types.append(None)
            continue
        dtype = DType.of_numpy(array.dtype)
        assert dtype is not None
        shape: list[Dim] = []
        for axis, size in enumerate(array.shape):
            name = names.get((index, axis))
            if name is not None:
                assert sizes.setdefault(name, size) == size, f"{name} has two sizes"
            shape.append(Dim.of(name if name is not None else size))
        types.append(TensorType(dtype, tuple(shape)))
    whole = tuple(None if a is None else np.asarray(a) for a in arrays)
    return Case(op, whole, tuple(types), sizes, **options)


def draw_numbers(
    draw: Any,
    shape: Sequence[int],
    dtype: str = "float32",
    low: float = -3.0,
    high: float = 3.0,
) -> Array:
    """Numbers of a shape: uniform from `low` to `high` (whole where the dtype is, `high` left
    out)."""
    generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    kind = np.dtype(dtype).kind
    if kind == "b":
        return generator.random(tuple(shape)) < 0.5
    if kind in "iu":
        return generator.integers(int(low), int(high), tuple(shape)).astype(dtype)
    return np.asarray(generator.uniform(low, high, tuple(shape))).astype(dtype)


def draw_shape(draw: Any, least: int = 1, most: int = 4, largest: int = 5) -> tuple[int, ...]:
    """A shape of `least` to `most` axes with sizes from 1 to `largest`."""
    return tuple(draw(st.lists(st.integers(1, largest), min_size=least, max_size=most)))


# --- running -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Applied:
    """A case with its weights and output types."""

    case: Case
    weights: Mapping[str, Array]
    weight_types: tuple[TensorType, ...]
    outputs: tuple[TensorType, ...]
    promises: tuple[tuple[Dim, str, Dim], ...]

    @property
    def types(self) -> tuple[TensorType | None, ...]:
        """Types of the node's inputs."""
        return (*self.case.types, *self.weight_types)

    @property
    def arrays(self) -> tuple[Array | None, ...]:
        """Operands, then weights."""
        return (*self.case.arrays, *self.weights.values())


def apply_op(case: Case) -> Applied:
    """Makes the weights of a case and infers the types of its outputs."""
    made = case.op.weights(case.types)
    generator = np.random.default_rng(0)
    weights = {}
    for weight in made:
        shape = weight.type.known_shape
        assert shape is not None, f"the weight {weight.name} has no known shape"
        noise = generator.uniform(0.1, 0.5, shape)
        drawn = weight.initializer.draw(shape, generator) + noise
        weights[weight.name] = np.asarray(drawn, dtype=weight.type.dtype.numpy)
    promises: list[tuple[Dim, str, Dim]] = []
    types = tuple(w.type for w in made)
    outputs = case.op.infer(
        lambda left, relation, right: promises.append((left, relation, right)),
        *case.types,
        *types,
    )
    return Applied(case, weights, types, outputs, tuple(promises))


def run_numpy(applied: Applied) -> list[Array]:
    """The meaning."""
    op = applied.case.op.substitute(applied.case.sizes)
    return [np.asarray(a) for a in op.evaluate(*applied.arrays)]


def run_torch(applied: Applied, *, given: bool = False) -> tuple[list[Array], list[Array] | None]:
    """Outputs of the PyTorch expression, and of the stateless module where there is one. With
    `given`, the weights are not the node's own but come from elsewhere."""
    from tests.laws.torch_terms import run_spelling

    case = applied.case
    owner = "elsewhere" if given else "layer"
    names = [f"x{i}" for i in range(len(case.types))] + [f"{owner}.{w}" for w in applied.weights]
    inputs = tuple(
        None if made is None else Value(name, made)
        for name, made in zip(names, applied.types, strict=True)
    )
    outputs = tuple(Value(f"y{i}", t) for i, t in enumerate(applied.outputs))
    node = Node(case.op, inputs, outputs, Frame("M", "", 0), Site(name="layer"))
    return run_spelling(case.op.torch(node), applied.arrays, applied.weights, case.sizes)


def lower(applied: Applied, opset: int, *, given: bool = False) -> Any:
    """The case as an ONNX model: operands are inputs, weights are initializers (or, with
    `given`, inputs too)."""
    from backends.onnx_graph.single import lower_op

    count = len(applied.case.types)
    arrays = () if given else (*[None] * count, *applied.weights.values())
    return lower_op(applied.case.op, applied.types, arrays, opset)


def feeds(applied: Applied) -> dict[str, Array]:
    """The operands and weights by the name that they have where they are inputs of the model."""
    return {f"x{i}": a for i, a in enumerate(applied.arrays) if a is not None}


def run_onnx_runtime(model: Any, inputs: Mapping[str, Array]) -> list[Array]:
    """Outputs under ONNX Runtime on the CPU."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    session = ort.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return list(session.run(None, {i.name: inputs[i.name] for i in session.get_inputs()}))


def run_reference(model: Any, inputs: Mapping[str, Array]) -> list[Array]:
    """Outputs of ONNX's own evaluator."""
    from onnx.reference import ReferenceEvaluator

    names = {i.name for i in model.graph.input}
    return list(
        ReferenceEvaluator(model).run(None, {n: a for n, a in inputs.items() if n in names})
    )


def compare(applied: Applied, found: Sequence[Array], expected: Sequence[Array], who: str) -> None:
    """Fails where outputs differ in number, dtype, shape or value by more than the case says and
    than the rounding that verification allows: some steps of what the op computes through."""
    assert len(found) == len(expected), f"{who} has {len(found)} outputs, not {len(expected)}"
    op = applied.case.op.substitute(applied.case.sizes)
    sizes = op.magnitudes(applied.arrays, expected)
    for left, right, wanted, size in zip(found, expected, applied.outputs, sizes, strict=True):
        left = np.asarray(left)
        assert left.dtype == wanted.dtype.numpy, f"{who} gives {left.dtype}, the type is {wanted}"
        assert left.shape == right.shape, f"{who} gives {left.shape}, not {right.shape}"
        loose = {"float16": 2e-2}.get(str(left.dtype), 0.0)
        rtol, atol = max(applied.case.rtol, loose), max(applied.case.atol, loose)
        explained = np.zeros(left.shape, bool)
        if left.dtype.kind == "f":
            left, right = left.astype(np.float64), right.astype(np.float64)
            rounding = ROUNDINGS[wanted.dtype] * STEP[wanted.dtype] * np.asarray(size, np.float64)
            with np.errstate(invalid="ignore"):  # of infinities that are equal
                explained = np.abs(left - right) <= rounding
        np.testing.assert_allclose(
            np.where(explained, right, left),
            right,
            rtol=rtol,
            atol=atol,
            err_msg=f"{who}: {applied.case}",
        )
