"""Linear algebra of square matrices: det, logdet, inverse, solve and cholesky."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar, final

import numpy as np

from compiler.ir.coupling import Coupling, result, tie_same
from compiler.ir.domain import Domain
from compiler.ir.graph import Op
from compiler.ir.inputs import NodeInput, OnnxInput
from compiler.ir.onnx_builder import OnnxBuilder, Values
from compiler.ir.operands import Array, Arrays, Assume, Results, Types
from compiler.ir.symbols import Slopes, Symbol
from compiler.ops.axes import need_rank, need_single_or_double, operand_type, places
from compiler.ops.gathering import need_one_dtype
from compiler.ops.registry import OPS
from compiler.records import dataclass
from compiler.report.diagnostics import Fault
from compiler.report.messages.tensor_operands import sizes_disagree
from compiler.report.messages.tensor_shapes import wrong_rank
from compiler.types.dims import Dim, equal, product
from compiler.types.tensor import TensorType
from compiler.vocabulary.signature import Operand


def solve_each(function: Callable[..., Array], *arrays: Array) -> Array:
    """A function of matrices, in f64; NaN for those of which there is none, where PyTorch raises an
    error."""
    wide = [a.astype(np.float64) for a in arrays]
    try:
        return function(*wide)
    except np.linalg.LinAlgError:
        made = np.full(wide[-1].shape, np.nan)
    for place in np.ndindex(*wide[0].shape[:-2]):
        try:
            made[place] = function(*(a[place] for a in wide))
        except np.linalg.LinAlgError:
            continue
    return made


@dataclass(frozen=True)
class MatrixOp(Op):
    """Base of ops on square matrices, the last two axes of their first operand."""

    row_axes = ()
    keeps_f32 = True
    operands: ClassVar[tuple[Operand, ...]] = (Operand("x"),)

    def need_square(self, x: TensorType, assume: Assume) -> None:
        """Raises `Fault` where x holds no square matrices of f32 or f64."""
        need_single_or_double(self.name, x)
        need_rank(self.name, x, 2)
        rows, columns = x.shape[-2:]
        same = equal(rows, columns)
        if same is None:
            assume(rows, "==", columns)
        elif not same:
            reason = f"{x} holds matrices of {rows} rows and {columns} columns"
            raise Fault(
                lambda where: sizes_disagree(where.call, self.name, reason, places(where, 1))
            )

    def multiply_adds(self, inputs: Types, outputs: Sequence[TensorType]) -> Dim:
        x = operand_type(inputs, 0)
        return product(x.shape) * x.shape[-1]


def measure_condition(x: Array) -> Array:
    """How much larger the error of what elimination computes is than that of the entries."""
    with np.errstate(all="ignore"):
        return np.asarray(np.linalg.cond(x.astype(np.float64)) * x.shape[-1])


@dataclass(frozen=True)
class OneOperand(MatrixOp):
    """Base of those of a single operand."""

    def couple(self, outputs: Results, x: NodeInput) -> Coupling:
        return Coupling(tie_same(x, x.rank - 2))


class Unexported(MatrixOp):
    """Base of those for which ONNX has no operator."""

    exported = False

    def onnx(self, build: OnnxBuilder, outputs: Results, *_: OnnxInput) -> Values:
        raise AssertionError(f"lowering refuses `{self.name}`")


@OPS.register
@final
@dataclass(frozen=True)
class Det(OneOperand):
    """The determinant of square matrices.

        y = Σ_σ sign(σ) ∏_i x[i, σ(i)]

    over the permutations σ of the columns.

    Shapes: x `f32[..., n, n]` -> `f32[...]`.
    Cost: n³ multiply-adds for each matrix.
    Errors: W0380 for fewer than two axes, W0382 where x is not f32 or f64, W0387 where the
    matrices are not square.
    Example: `volume = det(matrix)`
    Source: https://docs.pytorch.org/docs/stable/generated/torch.linalg.det.html
    """

    name = "det"
    torch_function = "torch.linalg.det"

    def infer(self, assume: Assume, x: TensorType) -> tuple[TensorType, ...]:
        self.need_square(x, assume)
        return (TensorType(x.dtype, x.shape[:-2]),)

    def magnitudes(self, operands: Arrays, results: Sequence[Array]) -> Sequence[Array | float]:
        # Hadamard's bound: no determinant is larger than the product of the lengths of the rows.
        x = np.asarray(operands[0], np.float64)
        return [np.prod(np.linalg.norm(x, axis=-1), axis=-1) * x.shape[-1]]

    def evaluate(self, x: Array) -> tuple[Array, ...]:
        with np.errstate(all="ignore"):
            return (np.asarray(np.linalg.det(x.astype(np.float64)), dtype=x.dtype),)

    def pull_back(self, slope: Symbol, result: Symbol, x: Symbol) -> Slopes:
        factors = (slope * result).unsqueeze([x.rank - 2, x.rank - 1])
        return [factors * x.apply("inverse").swap()]

    def onnx(self, build: OnnxBuilder, outputs: Results, x: OnnxInput) -> Values:
        return [build.op("Det", [x.value])]


@OPS.register
@final
@dataclass(frozen=True)
class LogDet(OneOperand, Unexported):
    """The logarithm of the determinant of square matrices, without overflow: -inf where it is 0,
    NaN where it is negative.

        y = log(det(x))

    ONNX has no operator for it; where matrices are small, `log(det(x))` can be deployed.

    Shapes: x `f32[..., n, n]` -> `f32[...]`.
    Cost: n³ multiply-adds for each matrix.
    Errors: W0380 for fewer than two axes, W0382 where x is not f32 or f64, W0387 where the
    matrices are not square, W1446 where it is deployed.
    Example: `penalty = -logdet(covariance)`
    Source: https://docs.pytorch.org/docs/stable/generated/torch.logdet.html
    """

    name = "logdet"
    torch_function = "torch.logdet"

    def infer(self, assume: Assume, x: TensorType) -> tuple[TensorType, ...]:
        self.need_square(x, assume)
        return (TensorType(x.dtype, x.shape[:-2]),)

    def magnitudes(self, operands: Arrays, results: Sequence[Array]) -> Sequence[Array | float]:
        return [np.abs(results[0]) + measure_condition(np.asarray(operands[0]))]

    def evaluate(self, x: Array) -> tuple[Array, ...]:
        with np.errstate(all="ignore"):
            sign, size = np.linalg.slogdet(x.astype(np.float64))
        return (np.asarray(np.where(sign < 0, np.nan, size), dtype=x.dtype),)

    def pull_back(self, slope: Symbol, result: Symbol, x: Symbol) -> Slopes:
        return [slope.unsqueeze([x.rank - 2, x.rank - 1]) * x.apply("inverse").swap()]


@OPS.register
@final
@dataclass(frozen=True)
class Inverse(OneOperand, Unexported):
    """The inverse of square matrices: `x @ inverse(x)` is the identity.

    `solve(a, b)` is more exact than `inverse(a) @ b`. PyTorch raises an error for a matrix that has
    no inverse.

    Shapes: x `f32[..., n, n]` -> the same.
    Cost: n³ multiply-adds for each matrix.
    Errors: W0380 for fewer than two axes, W0382 where x is not f32 or f64, W0387 where the
    matrices are not square, W1446 where it is deployed.
    Example: `precision = inverse(covariance)`
    Source: https://docs.pytorch.org/docs/stable/generated/torch.linalg.inv.html
    """

    name = "inverse"
    torch_function = "torch.linalg.inv"

    def infer(self, assume: Assume, x: TensorType) -> tuple[TensorType, ...]:
        self.need_square(x, assume)
        return (x,)

    def domains(self, x: NodeInput) -> Mapping[NodeInput, Domain]:
        return {x: Domain(matrices="regular")}

    def magnitudes(self, operands: Arrays, results: Sequence[Array]) -> Sequence[Array | float]:
        return [measure_solution(np.asarray(operands[0]), results[0])]

    def evaluate(self, x: Array) -> tuple[Array, ...]:
        return (solve_each(np.linalg.inv, x).astype(x.dtype),)

    def pull_back(self, slope: Symbol, result: Symbol, x: Symbol) -> Slopes:
        return [-(result.swap() @ slope @ result.swap())]


def measure_solution(x: Array, solution: Array) -> Array:
    """The size of the numbers that a solution of each matrix is computed through."""
    largest = np.abs(solution).max(axis=(-2, -1), initial=0.0)
    return np.asarray(largest * measure_condition(x))[..., None, None]


@OPS.register
@final
@dataclass(frozen=True)
class Solve(Unexported):
    """The solution y of `a @ y = b` for square matrices a.

    The columns of b are right-hand sides; a single one is `solve(a, b[..., none])[..., 0]`. PyTorch
    raises an error for a matrix that has no inverse.

    Shapes: a `f32[..., n, n]`, b `f32[..., n, k]` -> `f32[..., n, k]`.
    Cost: n³ multiply-adds for each matrix.
    Errors: W0380 for fewer than two axes or another number of them in b, W0382 where a is not f32
    or f64, W0387 where the matrices are not square or sizes differ, W0397 where the dtypes differ,
    W1446 where it is deployed.
    Example: `weight = solve(covariance, matrix)`
    Source: https://docs.pytorch.org/docs/stable/generated/torch.linalg.solve.html
    """

    name = "solve"
    torch_function = "torch.linalg.solve"
    operands = (Operand("a"), Operand("b"))

    def infer(self, assume: Assume, a: TensorType, b: TensorType) -> tuple[TensorType, ...]:
        self.need_square(a, assume)
        need_one_dtype(self.name, a, b)
        if b.rank != a.rank:
            needed = f"as many axes for `b` as {a} has"
            raise Fault(lambda where: wrong_rank(where.argument("b"), "solve", needed, b))
        for axis, (left, right) in enumerate(zip(a.shape[:-1], b.shape, strict=False)):
            same = equal(left, right)
            if same is None:
                assume(left, "==", right)
            elif not same:
                reason = f"axis {axis} is {left} in {a} and {right} in {b}"
                raise Fault(
                    lambda where, reason=reason: sizes_disagree(  # type: ignore[misc]
                        where.call, "solve", reason, places(where, 2)
                    )
                )
        return (b,)

    def domains(self, a: NodeInput, b: NodeInput) -> Mapping[NodeInput, Domain]:
        return {a: Domain(matrices="regular")}

    def magnitudes(self, operands: Arrays, results: Sequence[Array]) -> Sequence[Array | float]:
        return [measure_solution(np.asarray(operands[0]), results[0])]

    def evaluate(self, a: Array, b: Array) -> tuple[Array, ...]:
        return (solve_each(np.linalg.solve, a, b).astype(b.dtype),)

    def pull_back(self, slope: Symbol, result: Symbol, a: Symbol, b: Symbol) -> Slopes:
        made = a.swap().apply("solve", slope)
        return [lambda: -(made @ result.swap()), made]

    def couple(self, outputs: Results, a: NodeInput, b: NodeInput) -> Coupling:
        rank = outputs[0].rank
        stacked = tuple((a.axis(i), b.axis(i), result(i)) for i in range(rank - 2))
        return Coupling((*stacked, (b.axis(rank - 1), result(rank - 1))))


@OPS.register
@final
@dataclass(frozen=True)
class Cholesky(OneOperand, Unexported):
    """The lower triangular matrix L with `L @ Lᵀ = x`, for symmetric positive definite matrices.

    What stands above the diagonal of x is not read. PyTorch raises an error for a matrix that is
    not positive definite.

    Shapes: x `f32[..., n, n]` -> the same.
    Cost: n³ multiply-adds for each matrix.
    Errors: W0380 for fewer than two axes, W0382 where x is not f32 or f64, W0387 where the
    matrices are not square, W1446 where it is deployed.
    Example: `input noise: f32[n, 8]`, `sample = (cholesky(covariance) @ noise[..., none])[..., 0]`
    Source: https://docs.pytorch.org/docs/stable/generated/torch.linalg.cholesky.html
    """

    name = "cholesky"
    torch_function = "torch.linalg.cholesky"

    def infer(self, assume: Assume, x: TensorType) -> tuple[TensorType, ...]:
        self.need_square(x, assume)
        return (x,)

    def domains(self, x: NodeInput) -> Mapping[NodeInput, Domain]:
        return {x: Domain(matrices="definite")}

    def magnitudes(self, operands: Arrays, results: Sequence[Array]) -> Sequence[Array | float]:
        whole = np.asarray(results[0]) @ np.swapaxes(results[0], -2, -1)
        return [measure_solution(whole, results[0])]

    def evaluate(self, x: Array) -> tuple[Array, ...]:
        return (solve_each(np.linalg.cholesky, x).astype(x.dtype),)

    def pull_back(self, slope: Symbol, result: Symbol, x: Symbol) -> Slopes:
        """`L⁻ᵀ P(Lᵀ g) L⁻¹` made symmetric, where P keeps the lower triangle and half of the
        diagonal (Murray 2016, https://arxiv.org/abs/1602.07527)."""
        inner = result.swap() @ slope
        low = (inner.apply("tril") + inner.apply("tril", diagonal=-1)) / 2
        inverse = result.apply("inverse")
        made = inverse.swap() @ low @ inverse
        return [(made + made.swap()) / 2]
