"""Products of matrices and vectors: matmul and einsum."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, final

import numpy as np

from compiler.ir.coupling import Coupling, Reading, result, tie_broadcast
from compiler.ir.graph import Node, Op
from compiler.ir.inputs import NodeInput, OnnxInput, Port
from compiler.ir.onnx_builder import OnnxBuilder, Values
from compiler.ir.operands import Array, Arrays, Assume, Results, Types
from compiler.ir.symbols import NoDerivative, Slope, Slopes, Symbol
from compiler.ir.tracing import Trace, align_axis
from compiler.ops.axes import need_number, need_rank, operand_type, places, squeeze, unsqueeze
from compiler.ops.broadcasting import broadcast_shapes, cast, cast_operands
from compiler.ops.choosing import spell_cast
from compiler.ops.magnitudes import measure_terms
from compiler.ops.reduction import write_whole_sum
from compiler.ops.registry import OPS
from compiler.records import dataclass
from compiler.report.diagnostics import Fault
from compiler.report.messages.tensor_operands import bad_equation, dtypes_differ, sizes_disagree
from compiler.types.dims import Dim, equal, product
from compiler.types.tensor import DType, TensorType
from compiler.vocabulary.signature import Operand
from compiler.vocabulary.spelling import Call, In, Infix, Spelling, Term


def whole_kernel_dtype(dtype: DType) -> DType:
    """The dtype in which products of such numbers are computed: ONNX's are for i32 and i64, and
    wrap around as the narrower ones do."""
    return dtype if dtype.is_float or dtype is DType.I64 else DType.I32


def _need_one_dtype(op: str, types: Sequence[TensorType]) -> None:
    for index, found in enumerate(types):
        need_number(op, found, operand=index)
        if found.dtype is not types[0].dtype:
            raise Fault(
                lambda where, found=found, index=index: dtypes_differ(  # type: ignore[misc]
                    where.call, op, types[0], found, (where.operand(0), where.operand(index))
                )
            )


@OPS.register
@final
@dataclass(frozen=True)
class MatMul(Op):
    """The matrix product `a @ b` of the last two axes; the axes before them broadcast.

        y[…, i, j] = Σ_k a[…, i, k] * b[…, k, j]

    `f32[n, t, d] @ f32[n, d, s]` is `f32[n, t, s]`. A tensor of one axis is a row on the left
    and a column on the right, and its axis disappears. Both have one dtype.

    Shapes: a `f32[..., m, k]`, b `f32[..., k, n]` -> `f32[..., m, n]`.
    Cost: one multiply-add for each entry of the result and each of the inner size.
    Errors: W0375 where the first axes do not broadcast, W0380 for a tensor without axes, W0387
    where the inner sizes differ, W0397 where the dtypes differ.
    Example: `scores = q @ transpose(k, -2, -1)`
    Source: https://docs.pytorch.org/docs/stable/generated/torch.matmul.html
    """

    name = "matmul"
    operator = "@"
    zeroed_by = (0, 1)
    onnx_bfloat = True
    operands = (Operand("a"), Operand("b"))

    def infer(self, assume: Assume, a: TensorType, b: TensorType) -> tuple[TensorType, ...]:
        need_rank(self.name, a, 1)
        need_rank(self.name, b, 1, operand=1)
        _need_one_dtype(self.name, (a, b))
        inner = b.shape[-2] if b.rank > 1 else b.shape[0]
        same = equal(a.shape[-1], inner)
        if same is None:
            assume(a.shape[-1], "==", inner)
        elif not same:
            raise _refuse_inner(a, b, inner)
        rows = a.shape[-2:-1] if a.rank > 1 else ()
        columns = b.shape[-1:] if b.rank > 1 else ()
        heads = [TensorType(t.dtype, t.shape[:-2]) for t in (a, b)]
        return (TensorType(a.dtype, (*broadcast_shapes(heads, assume), *rows, *columns)),)

    def magnitudes(self, operands: Arrays, results: Sequence[Array]) -> Sequence[Array | float]:
        return measure_terms(self, operands, results, np.asarray(operands[0]).shape[-1])

    def evaluate(self, a: Array, b: Array) -> tuple[Array, ...]:
        if a.dtype == np.float16:  # sums of products are kept in f32, as on every device
            wide = np.matmul(a.astype(np.float32), b.astype(np.float32))
            return (np.asarray(wide, dtype=a.dtype),)
        return (np.asarray(np.matmul(a, b)),)

    def pull_back(self, slope: Symbol, result: Symbol, a: Symbol, b: Symbol) -> Slopes:
        """Rows and columns get the axis that they lack, and each factor is that of the other."""
        left = a if a.rank > 1 else a.unsqueeze([0])
        right = b if b.rank > 1 else b.unsqueeze([1])
        if b.rank == 1:
            slope = slope.unsqueeze([slope.rank])
        if a.rank == 1:
            slope = slope.unsqueeze([slope.rank - 1])
        return [
            lambda: (slope @ right.swap()).fit(left.type).reshape(a.shape),
            lambda: (left.swap() @ slope).fit(right.type).reshape(b.shape),
        ]

    def find_degree(self, degrees: Sequence[int], numbers: Sequence[float | None]) -> int | None:
        return sum(degrees)

    def multiply_adds(self, inputs: Types, outputs: Sequence[TensorType]) -> Dim:
        return outputs[0].size * operand_type(inputs, 0).shape[-1]

    def couple(self, outputs: Results, a: NodeInput, b: NodeInput) -> Coupling:
        rank = outputs[0].rank
        left, right = a.axis(a.rank - 1), b.axis(max(b.rank - 2, 0))
        reading = (Reading(left, right), Reading(right, left))
        if a.rank < 2 or b.rank < 2:
            return Coupling(((left, right),), read=reading)
        rows = (a.axis(a.rank - 2), result(rank - 2))
        columns = (b.axis(b.rank - 1), result(rank - 1))
        stacked = tie_broadcast((a, b), outputs[0], behind=2)
        made = (columns[0], rows[0])
        return Coupling((*stacked, rows, columns, (left, right)), made=made, read=reading)

    def torch(self, node: Node) -> Spelling:
        return Spelling(Infix("@", In(0), In(1)))

    def onnx(self, build: OnnxBuilder, outputs: Results, a: OnnxInput, b: OnnxInput) -> Values:
        """A vector behind a matrix is a column there (`transpose_before_vector`)."""
        kept = outputs[0].dtype
        wide = whole_kernel_dtype(kept)
        left, right = cast_operands(build, (a, b), wide)
        is_column = a.rank > 1 and b.rank == 1
        if is_column:
            right = unsqueeze(build, right, [1])
        y = build.op("MatMul", [left, right])
        return [cast(build, squeeze(build, y, [-1]) if is_column else y, wide, kept)]

    def over_rows(self, operands: Types, rows: Dim) -> Op | None:
        a, b = operand_type(operands, 0).rank, operand_type(operands, 1).rank
        match a, b:
            case 1, 1:
                return Einsum("ri,ri->r")
            case 1, 2:
                return Einsum("ri,rij->rj")
            case 2, 1:
                return Einsum("rij,rj->ri")
            case _:
                return self if min(a, b) > 1 else None

    def row_ranks(self, operands: Types) -> tuple[int, ...]:
        ranks = tuple(operand_type(operands, i).rank for i in (0, 1))
        return (max(ranks),) * 2 if min(ranks) > 1 else ranks

    def trace_axis(self, axis: int, inputs: Types, outputs: Sequence[TensorType]) -> Trace | None:
        """Rows come from the left factor, columns from the right one; both are stacked alike."""
        left, right = operand_type(inputs, 0), operand_type(inputs, 1)
        rank = outputs[0].rank
        if left.rank < 2 or right.rank < 2:
            return None
        if axis == rank - 2:
            return left.rank - 2, None
        if axis == rank - 1:
            return None, right.rank - 1
        return align_axis(left, axis, rank), align_axis(right, axis, rank)


def _refuse_inner(a: TensorType, b: TensorType, inner: Dim) -> Fault:
    """The fault of inner sizes that differ; says so where a transpose would mend it."""
    hint = None
    if b.rank > 1 and b.shape[-1] == a.shape[-1]:
        hint = "`a @ transpose(b, -2, -1)` multiplies by the transposed matrix"
    reason = f"the last axis of {a} is {a.shape[-1]}, the rows of {b} are {inner}"
    return Fault(lambda where: sizes_disagree(where.call, "@", reason, places(where, 2), hint))


@dataclass(frozen=True)
class Equation:
    """A parsed equation: letters of each operand and of the result; `.` stands for `...`."""

    inputs: tuple[str, ...]
    output: str


@OPS.register
@final
@dataclass(frozen=True)
class Einsum(Op):
    """Sums of products, written with a letter per axis: `"nij,njk->nik"` is a matrix product.

        y[b, h, i, j] = Σ_d q[b, h, i, d] * k[b, h, j, d]

    is what `einsum([q, k], "bhid,bhjd->bhij")` computes.

    One group of letters per operand; letters that the result leaves out are summed over, equal
    letters have equal sizes; `...` stands for axes that are not named. Without `->` the result
    has the letters that occur once, in alphabetical order.

    Shapes: as the equation says.
    Cost: one multiply-add for each choice of all letters, and each operand after the first.
    Example: `y = einsum([q, k], "bhid,bhjd->bhij")`
    Errors: W0387 where two sizes of a letter differ, W0388 for an equation that does not
    describe the operands, W0397 where the dtypes differ.
    Source: https://docs.pytorch.org/docs/stable/generated/torch.einsum.html
    """

    name = "einsum"
    operands = (Operand("tensors", variadic=True),)
    sizing = frozenset({"equation"})

    equation: str

    def find_degree(self, degrees: Sequence[int], numbers: Sequence[float | None]) -> int | None:
        return sum(degrees)

    def _parse(self, types: Sequence[TensorType]) -> Equation:
        text = self.equation.replace(" ", "")
        left, arrow, right = text.partition("->")
        groups = tuple(g.replace("...", ".") for g in left.split(","))
        if len(groups) != len(types):
            raise self._refuse(f"it has {len(groups)} groups for {len(types)} tensors")
        for group, found in zip(groups, types, strict=True):
            self._check_group(group, found)
        letters = "".join(groups)
        if arrow:
            output = right.replace("...", ".")
        else:
            single = sorted(c for c in set(letters) - {"."} if letters.count(c) == 1)
            output = ("." if "." in letters else "") + "".join(single)
        unknown = next((c for c in output if c not in letters), None)
        if unknown is not None:
            raise self._refuse(f"`{unknown}` of the result appears in no operand")
        twice = next((c for c in output if output.count(c) > 1), None)
        if twice is not None:
            raise self._refuse(f"`{twice}` appears twice in the result")
        return Equation(groups, output)

    def _check_group(self, group: str, found: TensorType) -> None:
        named = group.replace(".", "")
        if (named and not (named.isalpha() and named.isascii())) or group.count(".") > 1:
            raise self._refuse(f'"{group.replace(".", "...")}" is not a group of letters')
        twice = next((c for c in named if named.count(c) > 1), None)
        if twice is not None:
            raise self._refuse(f"`{twice}` appears twice in one group: there are no diagonals")
        if len(named) > found.rank or (len(named) < found.rank and "." not in group):
            raise self._refuse(f"`{group}` names {len(named)} axes of {found}")

    def _refuse(self, reason: str) -> Fault:
        equation = self.equation
        return Fault(lambda where: bad_equation(where.argument("equation"), equation, reason))

    def infer(self, assume: Assume, *types: TensorType) -> tuple[TensorType, ...]:
        _need_one_dtype(self.name, types)
        parsed = self._parse(types)
        sizes, rest = self._sizes(parsed, types, assume)
        shape: list[Dim] = []
        for letter in parsed.output:
            shape += rest if letter == "." else [sizes[letter]]
        return (TensorType(types[0].dtype, tuple(shape)),)

    def _sizes(
        self, parsed: Equation, types: Sequence[TensorType], assume: Assume
    ) -> tuple[Mapping[str, Dim], tuple[Dim, ...]]:
        """The size of each letter, and the axes that `...` stands for."""
        sizes: dict[str, Dim] = {}
        rests = []
        for index, (group, found) in enumerate(zip(parsed.inputs, types, strict=True)):
            front, dots, back = group.partition(".")
            if dots:
                shape = found.shape[len(front) : found.rank - len(back)]
                rests.append(TensorType(found.dtype, shape))
            dims = (*found.shape[: len(front)], *found.shape[found.rank - len(back) :])
            for letter, dim in zip(front + back, dims, strict=True):
                known = sizes.setdefault(letter, dim)
                same = equal(known, dim)
                if same is None:
                    assume(known, "==", dim)
                elif not same:
                    raise _refuse_letter(letter, known, dim, index)
        return sizes, broadcast_shapes(rests, assume) if rests else ()

    def magnitudes(self, operands: Arrays, results: Sequence[Array]) -> Sequence[Array | float]:
        terms = int(np.prod([max(np.asarray(a).shape, default=1) for a in operands]))
        return measure_terms(self, operands, results, terms)

    def evaluate(self, *arrays: Array) -> tuple[Array, ...]:
        made = np.einsum(self.equation, *arrays, optimize=len(arrays) > 1)
        return (np.asarray(made, dtype=arrays[0].dtype),)

    def derive(
        self, slopes: Sequence[Symbol | None], results: Sequence[Symbol], *tensors: Symbol
    ) -> Slopes:
        (slope,) = slopes
        assert slope is not None, "what changes nothing is not asked"
        parsed = self._parse([tensor.type for tensor in tensors])
        return [self._pull_operand(slope, parsed, tensors, index) for index in range(len(tensors))]

    def _pull_operand(
        self, slope: Symbol, parsed: Equation, tensors: Sequence[Symbol], index: int
    ) -> Slope:
        """The slope of one operand: that of the result times the others, without letters that only
        the operand has, which are then repeated."""
        others = [n for n in range(len(tensors)) if n != index]
        groups = [parsed.output, *(parsed.inputs[n] for n in others)]
        own = parsed.inputs[index]
        if "." in self.equation and any("." not in g for g in (*parsed.inputs, parsed.output)):
            raise NoDerivative("there is no rule where only some tensors have `...`")
        kept = "".join(letter for letter in own if any(letter in group for group in groups))
        equation = f"{','.join(groups)}->{kept}".replace(".", "...")
        (made,) = slope.build.add(Einsum(equation), [slope, *(tensors[n] for n in others)])
        x = tensors[index]
        behind = len(own) - 1 - own.index(".") if "." in own else 0
        lost = [n for n, letter in enumerate(own) if letter not in kept]
        places = [n if n < len(own) - behind else n + x.rank - len(own) for n in lost]
        return made.unsqueeze(places).expand(x.shape) if lost else made.fit(x.type)

    def multiply_adds(self, inputs: Types, outputs: Sequence[TensorType]) -> Dim:
        types = [operand_type(inputs, i) for i in range(len(inputs))]
        sizes, rest = self._sizes(self._parse(types), types, lambda *_: None)
        return product((*sizes.values(), *rest)) * max(len(types) - 1, 0)

    def couple(self, outputs: Results, *tensors: NodeInput) -> Coupling:
        parsed = self._parse([tensor.type for tensor in tensors])
        if "." in self.equation:
            return Coupling()
        ports: dict[str, list[Port]] = {}
        for tensor, group in zip(tensors, parsed.inputs, strict=True):
            for axis, letter in enumerate(group):
                ports.setdefault(letter, []).append(tensor.axis(axis))
        read, made = [], []
        for letter, found in ports.items():
            if letter in parsed.output:
                made += [found[0]] if len(found) == 1 else []
                found.append(result(parsed.output.index(letter)))
            else:
                others: list[Port | None] = [*found[1:]] or [None]
                read += [Reading(found[0], other) for other in others]
        return Coupling(tuple(map(tuple, ports.values())), made=tuple(made), read=tuple(read))

    def torch(self, node: Node) -> Spelling:
        equation = self.leaf("equation")
        made: Term = Call("torch.einsum", (equation, *map(In, range(len(node.inputs)))))
        kept = node.output.type.dtype
        if kept.is_integer and kept is not DType.I64:  # PyTorch adds whole numbers up in i64
            made = spell_cast(made, kept)
        return Spelling(made)

    def onnx(self, build: OnnxBuilder, outputs: Results, *tensors: OnnxInput) -> Values:
        kept = outputs[0].dtype
        wide = whole_kernel_dtype(kept)
        operands = cast_operands(build, tensors, wide)
        equation = self.equation
        if not kept.is_float:
            known = [tensor.type for tensor in tensors]
            operands, equation = self._sum_alone(build, operands, known)
        made = build.op("Einsum", operands, {"equation": equation})
        return [cast(build, made, wide, kept)]

    def _sum_alone(
        self, build: OnnxBuilder, operands: Sequence[Any], types: Sequence[TensorType]
    ) -> tuple[list[Any], str]:
        """Whole numbers with the axes summed over that no other operand has, which Einsum would
        leave to a reduction (`sum_of_integers`); and the equation of what is left."""
        parsed = self._parse(types)
        made, groups = [], []
        for index, (group, value, found) in enumerate(
            zip(parsed.inputs, operands, types, strict=True)
        ):
            others = "".join((*parsed.inputs[:index], *parsed.inputs[index + 1 :], parsed.output))
            front, _, back = group.partition(".")
            axes = [a for a, letter in enumerate(front) if letter not in others]
            axes += [found.rank - len(back) + a for a, c in enumerate(back) if c not in others]
            made.append(write_whole_sum(build, value, found.rank, axes))
            groups.append("".join(c for c in group if c == "." or c in others))
        equation = f"{','.join(groups)}->{parsed.output}".replace(".", "...")
        return made, equation

    def over_rows(self, operands: Types, rows: Dim) -> Op | None:
        types = [operand_type(operands, i) for i in range(len(operands))]
        parsed = self._parse(types)
        free = next((c for c in "rbnzyxwvuts" if c not in self.equation), None)
        if free is None:
            return None
        groups = (free + g.replace(".", "...") for g in parsed.inputs)
        return Einsum(f"{','.join(groups)}->{free}{parsed.output.replace('.', '...')}")


def _refuse_letter(letter: str, known: Dim, dim: Dim, index: int) -> Fault:
    reason = f"`{letter}` is {known} and {dim}"
    return Fault(
        lambda where: sizes_disagree(where.call, "einsum", reason, (where.operand(index),))
    )
