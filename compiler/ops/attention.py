"""Scaled dot-product attention, with masks, order in time and grouped heads."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar, final

import numpy as np

from compiler.ir.coupling import (
    Coupling,
    CutTensor,
    Factors,
    Reading,
    inner,
    result,
    tie_broadcast,
)
from compiler.ir.graph import Op
from compiler.ir.inputs import NodeInput, OnnxInput, list_values
from compiler.ir.onnx_builder import OnnxBuilder, Values
from compiler.ir.operands import Array, Arrays, Assume, Results, Types
from compiler.ir.symbols import Symbol, shorten
from compiler.ir.tracing import Trace, align_axis
from compiler.ops.axes import need_float, need_rank, operand_type, places
from compiler.ops.broadcasting import cast
from compiler.ops.creation import LARGEST, write_full
from compiler.ops.layers import find_place, given, known, widen
from compiler.ops.magnitudes import grow
from compiler.ops.registry import OPS
from compiler.records import dataclass
from compiler.report.diagnostics import Fault
from compiler.report.messages.attention_and_losses import (
    attention_does_not_match,
    mask_does_not_fit,
    two_masks,
)
from compiler.types.dims import Dim, DimError, equal, product
from compiler.types.tensor import DType, TensorType
from compiler.vocabulary.signature import Operand


@OPS.register
@final
@dataclass(frozen=True)
class ScaledDotProductAttention(Op):
    """Attention: every query takes the mean of the values, weighted by how well the keys match.

        y = softmax(query @ keyᵀ * scale + mask) @ value

    Shapes: query `f32[..., t, d]`, key `f32[..., s, d]`, value `f32[..., s, v]` -> `f32[..., t,
    v]`; the leading axes (batch and heads) are the same in all three. The mask broadcasts to
    the scores `[..., t, s]`.

    - `mask`: booleans, `true` where a query may see a key; or floating-point numbers, added to the
      scores. A query that sees nothing gets zeros.
    - `causal`: whether query i sees keys 0 to i only.
    - `scale`: what the products are multiplied by; 1 / √d if left out.
    - `grouped`: whether key and value have fewer heads (axis -3), each for a group of
      neighbouring heads of the query.

    Cost: s * (d + v) multiply-adds for each query, masked or not.
    Example: `y = (q, k, v) -> scaled_dot_product_attention(causal=true)`
    Errors: W0360 where query, key and value do not fit together, W0361 where the mask does not
    fit, W0362 for `causal=true` beside a mask.
    Source: Vaswani et al. 2017, https://arxiv.org/abs/1706.03762
    """

    name = "scaled_dot_product_attention"
    torch_function = "F.scaled_dot_product_attention"
    torch_keywords: ClassVar[Mapping[str, str]] = {
        "mask": "attn_mask",
        "causal": "is_causal",
        "grouped": "enable_gqa",
    }
    zeroed_by = (2,)
    operands = (
        Operand("query"),
        Operand("key"),
        Operand("value"),
        Operand("mask", optional=True),
    )
    masked_by = (3,)
    mixes = 2
    causal: bool = False
    scale: float | None = None
    grouped: bool = False

    def infer(
        self,
        assume: Assume,
        query: TensorType,
        key: TensorType,
        value: TensorType,
        mask: TensorType | None,
    ) -> tuple[TensorType, ...]:
        need_float(self.name, query)
        need_rank(self.name, query, 3 if self.grouped else 2)
        for index, other in ((1, key), (2, value)):
            if other.dtype is not query.dtype or other.rank != query.rank:
                _refuse(f"the query is {query}, this is {other}", index)
        _match(query, key, -1, "the size of a head", (0, 1), assume)
        _match(key, value, -2, "the number of positions", (1, 2), assume)
        for axis in range(-query.rank, -2):
            what = "the number of heads" if axis == -3 else f"axis {axis + query.rank}"
            _match(key, value, axis, what, (1, 2), assume)
            if axis == -3 and self.grouped:
                _match_groups(query, key)
            else:
                _match(query, key, axis, what, (0, 1), assume)
        scores = (*query.shape[:-1], key.shape[-2])
        if mask is not None:
            if self.causal:
                raise Fault(
                    lambda where: two_masks(where.argument("causal"), find_place(where, 3, mask))
                )
            _need_mask(mask, TensorType(query.dtype, scores), assume)
        return (TensorType(query.dtype, (*query.shape[:-1], value.shape[-1])),)

    def magnitudes(self, operands: Arrays, results: Sequence[Array]) -> Sequence[Array | float]:
        # A weighted mean of values, which may cancel.
        query, value = given(operands[0]), np.abs(given(operands[2]))
        largest = value.max(axis=-2, keepdims=True, initial=0.0)
        if self.grouped:
            largest = np.repeat(largest, query.shape[-3] // value.shape[-3], -3)
        return [largest * grow(value.shape[-2], query.dtype)]

    def evaluate(
        self, query: Array, key: Array, value: Array, mask: Array | None
    ) -> tuple[Array, ...]:
        dtype = query.dtype
        query, key, value = widen(query), widen(key), widen(value)
        if self.grouped:
            times = query.shape[-3] // key.shape[-3]
            key, value = np.repeat(key, times, -3), np.repeat(value, times, -3)
        scale = self.scale if self.scale is not None else 1 / math.sqrt(query.shape[-1])
        scores = np.matmul(query, key.swapaxes(-1, -2)) * query.dtype.type(scale)
        if self.causal:
            mask = np.tri(*scores.shape[-2:], dtype=bool)
        if mask is not None:
            scores = np.where(mask, scores, -np.inf) if mask.dtype == bool else scores + mask
        y = np.matmul(_weigh(scores), value)
        return (y.astype(dtype, copy=False),)

    def spell_out(
        self, query: Symbol, key: Symbol, value: Symbol, mask: Symbol | None
    ) -> Sequence[Symbol]:
        if self.grouped:
            times = shorten([query.shape[-3] / key.shape[-3]])[0]
            key, value = (x.apply("repeat_interleave", times=times, axis=-3) for x in (key, value))
        scale = self.scale
        if scale is None:
            scores = query @ key.swap() / query.like(query.shape[-1]).apply("sqrt")
        else:
            scores = query @ key.swap() * scale
        if self.causal:
            rows, columns = query.shape[-2], key.shape[-2]
            mask = _number(rows, query).unsqueeze([1]) >= _number(columns, query)
        if mask is not None and mask.dtype is DType.BOOL:
            scores = mask.choose(scores, -math.inf)
        elif mask is not None:
            scores = scores + mask
        return [_spell_shares(scores) @ value]

    def multiply_adds(self, inputs: Types, outputs: Sequence[TensorType]) -> Dim:
        query, key = operand_type(inputs, 0), operand_type(inputs, 1)
        sizes = query.shape[-1] + outputs[0].shape[-1]
        return product(query.shape[:-1]) * key.shape[-2] * sizes

    def scratch(self, inputs: Types, outputs: Sequence[TensorType]) -> Dim:
        query, key = operand_type(inputs, 0), operand_type(inputs, 1)
        return product(query.shape[:-1]) * key.shape[-2]

    def couple(
        self,
        outputs: Results,
        query: NodeInput,
        key: NodeInput,
        value: NodeInput,
        mask: NodeInput | None,
    ) -> Coupling:
        rank = outputs[0].rank
        scores = Reading(query.axis(rank - 1), key.axis(rank - 1))
        rows, columns = (
            [query.axis(rank - 2), result(rank - 2)],
            [key.axis(rank - 2), value.axis(rank - 2)],
        )
        if mask is not None and mask.shape[-2] != 1:
            rows.append(mask.axis(mask.rank - 2))
        if mask is not None and mask.shape[-1] != 1:
            columns.append(mask.axis(mask.rank - 1))
        ends = ((scores.operand, key.axis(rank - 1)), (value.axis(rank - 1), result(rank - 1)))
        stacked = tie_broadcast(
            (query, key, value, mask), outputs[0], behind=3 if self.grouped else 2
        )
        ties = (*stacked, tuple(rows), tuple(columns), *ends)
        if not self.grouped:
            return Coupling(ties, read=(scores,), mixed=(columns[0],))
        groups, heads = key.shape[-3], query.shape[-3]
        shared = inner(0, known(heads / groups))
        factors = Factors(query.axis(rank - 3), (key.axis(rank - 3), shared), kept=0)
        of_query = [query.axis(rank - 3), result(rank - 3)]
        if mask is not None and mask.rank > 2 and mask.shape[-3] != 1:
            of_query.append(mask.axis(mask.rank - 3))
        pairs = (tuple(of_query), (key.axis(rank - 3), value.axis(rank - 3)))
        return Coupling((*ties, *pairs), factors=(factors,), read=(scores,), mixed=(columns[0],))

    def cut(self, inputs: Sequence[CutTensor | None], outputs: Sequence[CutTensor]) -> Op:
        query = inputs[0]
        assert query is not None, "attention has a query"
        if self.scale is not None or not query.is_cut(query.old.rank - 1):
            return self
        return replace(self, scale=1 / math.sqrt(known(query.old.shape[-1])))

    def onnx(
        self,
        build: OnnxBuilder,
        outputs: Results,
        query: OnnxInput,
        key: OnnxInput,
        value: OnnxInput,
        mask: OnnxInput | None,
    ) -> Values:
        single = outputs[0].dtype is not DType.F64  # whose scale the attribute would round
        if build.opset >= 23 and mask is None and outputs[0].rank == 4 and single:
            attributes: dict[str, object] = {"is_causal": 1} if self.causal else {}
            if self.scale is not None:
                attributes["scale"] = self.scale
            return [build.op("Attention", list_values(query, key, value), attributes)]
        return [_Writer(self, build, outputs[0]).write(query, key, value, mask)]

    def trace_axis(self, axis: int, inputs: Types, outputs: Sequence[TensorType]) -> Trace | None:
        """Each query has its own row of the result, unless its place among the others matters;
        columns are those of the values; batch and heads are apart."""
        mask, rank = inputs[3], outputs[0].rank
        if axis == rank - 1:
            return None, None, axis, None
        if axis == rank - 2:
            return None if self.causal else (axis, None, None, align_axis(mask, axis, rank))
        if axis == rank - 3 and self.grouped:
            return None
        return axis, axis, axis, align_axis(mask, axis, rank)


def _weigh(scores: Array) -> Array:
    """Softmax of the last axis; zeros where all scores are -inf."""
    highest = scores.max(axis=-1, keepdims=True)
    weights = np.exp(scores - np.where(np.isneginf(highest), 0, highest))
    total = weights.sum(axis=-1, keepdims=True)
    shares: Array = weights / np.where(total == 0, 1, total)
    return shares


def _refuse(reason: str, *operands: int) -> None:
    raise Fault(
        lambda where: attention_does_not_match(
            where.call, reason, tuple(where.operand(i) for i in operands)
        )
    )


def _match(
    left: TensorType,
    right: TensorType,
    axis: int,
    what: str,
    operands: tuple[int, int],
    assume: Assume,
) -> None:
    """Two operands have one size; assumed where that cannot be decided."""
    a, b = left.shape[axis], right.shape[axis]
    same = equal(a, b)
    if same is None:
        assume(a, "==", b)
    elif not same:
        names = ("query", "key", "value")
        hint = None
        if axis == -3 and operands == (0, 1):
            hint = "heads of the query that share a key: `grouped=true`"
        raise Fault(
            lambda where: attention_does_not_match(
                where.call,
                f"{what} is {a} in the {names[operands[0]]} and {b} in the {names[operands[1]]}",
                tuple(where.operand(i) for i in operands),
                hint,
            )
        )


def _match_groups(query: TensorType, key: TensorType) -> None:
    heads, groups = query.shape[-3], key.shape[-3]
    try:
        whole = (heads / groups).known is not None
    except DimError:
        whole = False
    if not whole:
        reason = f"{groups} heads of the key do not divide {heads} of the query evenly"
        raise Fault(lambda where: attention_does_not_match(where.call, reason, places(where, 2)))


def _need_mask(mask: TensorType, scores: TensorType, assume: Assume) -> None:
    hint = None
    fits = mask.dtype in (DType.BOOL, scores.dtype) and 2 <= mask.rank <= scores.rank
    if mask.rank == 1:
        hint = "a mask of keys is `mask[none, :]`"
    elif mask.dtype.is_integer:
        hint = "make a boolean tensor of it: `mask != 0`"
    elif _masks_keys(mask, scores):
        fits, hint = False, f"a mask of keys is `mask[:, {'none, ' * (scores.rank - 2)}:]`"
    for axis in range(-min(mask.rank, scores.rank), 0):
        if mask.shape[axis] == 1:
            continue
        same = equal(mask.shape[axis], scores.shape[axis])
        if same is None:
            assume(mask.shape[axis], "==", scores.shape[axis])
        elif not same:
            fits = False
    if not fits:
        raise Fault(
            lambda where: mask_does_not_fit(
                where.argument("mask"), str(scores), find_place(where, 3, mask), hint
            )
        )


def _masks_keys(mask: TensorType, scores: TensorType) -> bool:
    """Whether a mask `[batch, s]` was meant for every query: its first axis could be promised to
    have the number of queries."""
    return (
        mask.rank == 2 < scores.rank
        and mask.shape[0] == scores.shape[0] != scores.shape[-2]
        and mask.shape[0] != 1
        and mask.shape[1] == scores.shape[-1]
    )


@dataclass(frozen=True)
class _Writer:
    """Writes one attention as ONNX nodes."""

    op: ScaledDotProductAttention
    build: OnnxBuilder
    output: TensorType

    def write(self, q: OnnxInput, k: OnnxInput, v: OnnxInput, mask: OnnxInput | None) -> Any:
        """softmax(query @ keyᵀ * scale + mask) @ value."""
        build, query = self.build, q.value
        scores = (*q.shape[:-1], k.shape[-2])
        rows = q.shape
        if self.op.grouped:
            # Heads that share a key stand below each other as rows of one product.
            times = known(q.shape[-3] / k.shape[-3])
            rows = (*k.shape[:-2], q.shape[-2] * times, q.shape[-1])
            query = build.reshape(query, q.shape, rows)
        scaled = build.op("Mul", [query, self.number(self.scale(q.type))])
        turned = build.op("Transpose", [k.value], {"perm": _swap_last(q.rank)})
        made = build.op("MatMul", [scaled, turned])
        made = build.reshape(made, (*rows[:-1], k.shape[-2]), scores)
        shares = self.weigh(made, mask, scores)
        shares = build.reshape(shares, scores, (*rows[:-1], k.shape[-2]))
        y = build.op("MatMul", [shares, v.value])
        return build.reshape(y, (*rows[:-1], v.shape[-1]), self.output.shape)

    def scale(self, query: TensorType) -> Any:
        """What the products are multiplied by."""
        if self.op.scale is not None:
            return self.op.scale
        return 1 / math.sqrt(known(query.shape[-1]))

    def weigh(self, scores: Any, mask: OnnxInput | None, shape: Sequence[Dim]) -> Any:
        """Softmax of the masked scores; zeros where a query sees nothing. Truth values become
        numbers while they are small: adding them broadcasts faster than choosing by them."""
        build = self.build
        if self.op.causal:
            scores = build.op("Add", [scores, self.order(shape[-2], shape[-1])])
        if mask is None:
            return build.op("Softmax", [scores], {"axis": -1})
        zero = self.number(0)
        if mask.dtype is DType.BOOL:
            least = self.number(float(np.finfo(self.output.dtype.numpy).min))
            added = build.op("Where", [mask.value, zero, least])
            shares = build.op("Softmax", [build.op("Add", [scores, added])], {"axis": -1})
            return build.op("Where", [mask.value, shares, zero])
        masked = build.op("Add", [scores, mask.value])
        shares = build.op("Softmax", [masked], {"axis": -1})
        dtype = self.output.dtype
        wide = cast(build, masked, dtype, DType.F64 if dtype is DType.F64 else DType.F32)
        unseen = build.op("IsInf", [wide], {"detect_positive": 0})
        return build.op("Where", [unseen, zero, shares])

    def order(self, queries: Dim, keys: Dim) -> Any:
        """0 where the key does not come after the query, else -inf."""
        build, dtype = self.build, self.output.dtype
        size = (queries * keys).known
        if size is not None and size <= LARGEST:
            seen = np.tri(known(queries), known(keys), dtype=bool)
            return build.constant(np.where(seen, 0, -np.inf).astype(dtype.numpy), dtype)
        whole = write_full(build, True, TensorType(DType.BOOL, (queries, keys)))
        seen = build.op("Trilu", [whole], {"upper": 0})
        return build.op("Where", [seen, self.number(0), self.number(-np.inf)])

    def number(self, value: float) -> Any:
        """A constant without axes in the dtype of the scores."""
        dtype = self.output.dtype
        return self.build.constant(np.array(value, dtype.numpy), dtype)


def _swap_last(rank: int) -> list[int]:
    return [*range(rank - 2), rank - 1, rank - 2]


def _number(size: Dim, like: Symbol) -> Symbol:
    """0, 1, 2 … as a tensor of a size."""
    return like.like(0).expand((size,)).number_entries(Dim.of(0))


def _spell_shares(scores: Symbol) -> Symbol:
    """`softmax` along the last axis, with zeros for a query that sees nothing."""
    top = scores.apply("detach").apply("max", axis=-1, keep=True)
    shares = (scores - top.equals(-math.inf).choose(0, top)).apply("exp")
    total = shares.apply("sum", axis=-1, keep=True)
    return shares / total.equals(0).choose(1, total)
