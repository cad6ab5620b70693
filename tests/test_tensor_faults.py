"""What functions of tensors refuse, what they say, and what they promise where sizes are free."""

from __future__ import annotations

import pytest

from compiler.ir.graph import Op
from compiler.ops.arithmetic import Add, Neg, Sub
from compiler.ops.choosing import Clip, Where
from compiler.ops.compare import LogicalAnd
from compiler.ops.creation import Constant, Full, Zeros
from compiler.ops.cumulative import CumSum
from compiler.ops.gathering import Gather, OneHot, Put, TakeAlong
from compiler.ops.images import Normalize, PixelShuffle, PixelUnshuffle
from compiler.ops.indexing import Index
from compiler.ops.items import NewAxis, Rest, SliceItem, TensorIndex
from compiler.ops.joining import Chunk, Concat, Split, Stack, Unbind
from compiler.ops.linear_algebra import Einsum, MatMul
from compiler.ops.padding import Pad
from compiler.ops.ranges import Arange, Linspace
from compiler.ops.reduction import AllTrue, Mean, Sum
from compiler.ops.repeating import Repeat, RepeatInterleave
from compiler.ops.reshaping import Flatten, Reshape
from compiler.ops.resizing import Resize
from compiler.ops.rounding import Square
from compiler.ops.shaping import Expand, Permute, Squeeze, Transpose, Unsqueeze
from compiler.ops.statistics import ArgMax, L2Normalize, Norm
from compiler.report.diagnostics import MessageKind
from compiler.report.messages import tensor_operands as operands
from compiler.report.messages import tensor_shapes as shapes
from compiler.types.dims import Dim
from compiler.types.tensor import TensorType
from tests.faults import fault_of

NAMES = {name: Dim.of(name) for name in ("batch", "d", "h", "n", "t", "w")}
B, H, T = (NAMES[name] for name in ("batch", "h", "t"))


def read(text: str) -> TensorType:
    """A type from its text: `f32[n, h + 1]`."""
    dtype, _, dims = text.rstrip("]").partition("[")
    return TensorType.of(dtype, eval(f"[{dims}]", {}, NAMES))


def infer(op: Op, *texts: str) -> tuple[list[str], list[str]]:
    """Types of the outputs, and the promises made."""
    promises: list[str] = []
    types = op.infer(lambda a, r, b: promises.append(f"{a} {r} {b}"), *map(read, texts))
    return [str(t) for t in types], promises


REFUSED: list[tuple[Op, tuple[str, ...], MessageKind[...]]] = [
    (Add(), ("f32[n, 3, 8]", "f32[n, 3]"), shapes.shapes_do_not_broadcast),
    (Add(), ("f32[h]", "f32[h + 1]"), shapes.shapes_do_not_broadcast),
    (Add(), ("bool[3]", "bool[3]"), operands.wrong_dtype),
    (Sub(), ("bool[3]", "f32[3]"), operands.wrong_dtype),
    (Neg(), ("bool[3]",), operands.wrong_dtype),
    (Square(), ("bool[3]",), operands.wrong_dtype),
    (Where(), ("f32[3]", "f32[3]", "f32[3]"), operands.wrong_dtype),
    (LogicalAnd(), ("bool[3]", "f32[3]"), operands.wrong_dtype),
    (Clip(), ("f32[3]",), operands.bad_option),
    (Clip(0), ("bool[3]",), operands.wrong_dtype),
    (Mean(2), ("f32[n, 3]",), shapes.no_such_axis),
    (Sum((1, -1)), ("f32[n, 3]",), shapes.repeated_axis),
    (Sum(()), ("f32[n, 3]",), operands.bad_option),
    (Mean(), ("i64[n, 3]",), operands.wrong_dtype),
    (AllTrue(), ("f32[n, 3]",), operands.wrong_dtype),
    (ArgMax(0), ("bool[3]",), operands.wrong_dtype),
    (ArgMax(1), ("f32[]",), shapes.no_such_axis),
    (L2Normalize(3), ("f32[3]",), shapes.no_such_axis),
    (Norm(order=0), ("f32[3]",), operands.bad_option),
    (CumSum(1), ("f32[3]",), shapes.no_such_axis),
    (Reshape((B, Dim.of(5), 2)), ("f32[batch, 12]",), shapes.elements_differ),
    (Reshape((Rest(), 4, 3)), ("f32[batch, 10]",), shapes.no_whole_rest),
    (Reshape((Rest(), -1)), ("f32[batch, 10]",), shapes.no_whole_rest),
    (Reshape((B, -1, 4)), ("f32[batch, 10]",), shapes.no_whole_rest),
    (Reshape((0, 4)), ("f32[4]",), shapes.no_whole_rest),
    (Reshape((3, Rest(), 2)), ("f32[4, 2, 2]",), shapes.no_whole_rest),
    (Flatten(1), ("f32[8]",), shapes.no_such_axis),
    (Flatten(2, 1), ("f32[2, 3, 4]",), operands.bad_option),
    (Transpose(0, 2), ("f32[2, 3]",), shapes.no_such_axis),
    (Permute((0, 1)), ("f32[2, 3, 4]",), operands.bad_option),
    (Permute((0, 0)), ("f32[2, 3]",), shapes.repeated_axis),
    (Squeeze(1), ("f32[n, 3]",), shapes.not_size_one),
    (Unsqueeze(3), ("f32[n]",), shapes.no_such_axis),
    (Expand((B, 6)), ("f32[batch, 3]",), shapes.cannot_expand),
    (Expand((6,)), ("f32[1, 1]",), shapes.cannot_expand),
    (Expand((-1, 3)), ("f32[3]",), shapes.cannot_expand),
    (Repeat((0, 1)), ("f32[1, 1]",), operands.bad_option),
    (RepeatInterleave(2, 2), ("f32[1, 1]",), shapes.no_such_axis),
    (Concat(1), ("f32[n, 3, 8]", "f32[n, 4, 9]"), shapes.cannot_join),
    (Concat(1), ("f32[n, 3, 8]", "f32[n, 4]"), shapes.cannot_join),
    (Concat(0), ("f32[]", "f32[]"), shapes.wrong_rank),
    (Stack(0), ("f32[3]", "f32[4]"), shapes.cannot_join),
    (Stack(2), ("f32[3]", "f32[3]"), shapes.no_such_axis),
    (Split((4, 5), 1), ("f32[n, 10]",), operands.uneven_split),
    (Split((10, 0), 1), ("f32[n, 10]",), operands.uneven_split),
    (Split(4, 0), ("f32[n, 10]",), operands.size_unknown),
    (Chunk(3, 0), ("f32[n, 10]",), operands.uneven_split),
    (Chunk(4, 0), ("f32[9]",), operands.uneven_split),
    (Chunk(0, 0), ("f32[9]",), operands.bad_option),
    (Unbind(1), ("f32[n, t]",), operands.size_unknown),
    (Index((SliceItem(), 3)), ("f32[n, 3]",), operands.index_outside),
    (Index((SliceItem(), -4)), ("f32[n, 3]",), operands.index_outside),
    (Index((0, 0, 0)), ("f32[n, 3]",), operands.too_many_indices),
    (Index((SliceItem(5, 5),)), ("f32[8]",), operands.empty_slice),
    (Index((SliceItem(9, None),)), ("f32[8]",), operands.empty_slice),
    (Index((SliceItem(None, None, -1),)), ("f32[8]",), operands.bad_option),
    (Index((Rest(), Rest())), ("f32[8]",), operands.bad_option),
    (Index((TensorIndex(1),)), ("f32[8]", "f32[3]"), operands.wrong_dtype),
    (Index((TensorIndex(1),)), ("f32[8]", "bool[8]"), operands.wrong_dtype),
    (
        Index((TensorIndex(1), SliceItem(), TensorIndex(2))),
        ("f32[8, 9, 10]", "i64[n]", "i64[n]"),
        operands.indices_apart,
    ),
    (Gather(0), ("f32[8]", "i64[2, 2]"), shapes.wrong_rank),
    (Gather(0), ("f32[8, 2]", "i64[2, 3]"), operands.sizes_disagree),
    (TakeAlong(1), ("f32[n, t, d]", "i64[n, 2, 2]"), shapes.wrong_rank),
    (TakeAlong(1), ("f32[4, t, d]", "i64[5]"), operands.sizes_disagree),
    (Put(1), ("f32[4, 8]", "f32[4, 9]", "i64[]"), operands.sizes_disagree),
    (Put(1), ("f32[4, 8]", "f32[4]", "i64[]"), shapes.wrong_rank),
    (Put(1), ("f32[4, 8]", "f32[4, 1]", "i64[1]"), shapes.wrong_rank),
    (Put(1), ("f32[4, 8]", "f16[4, 1]", "i64[]"), operands.dtypes_differ),
    (OneHot(3), ("f32[4]",), operands.wrong_dtype),
    (OneHot(0), ("i64[4]",), operands.bad_option),
    (Constant((1, 2, 3), shape=(2,)), (), operands.bad_option),
    (Zeros((3, 0)), (), operands.bad_option),
    (Full((Dim.of(-1),), 0), (), operands.bad_option),
    (Arange(0), (), operands.bad_option),
    (Arange(0, 5, 0), (), operands.bad_option),
    (Arange(5, 0), (), operands.bad_option),
    (Arange(0.5, T), (), operands.bad_option),
    (Linspace(0.0, 1.0, 0), (), operands.bad_option),
    (MatMul(), ("f32[n, 3, 4]", "f32[n, 5, 6]"), operands.sizes_disagree),
    (MatMul(), ("f32[3, 4]", "f16[4, 6]"), operands.dtypes_differ),
    (MatMul(), ("f32[2, 3, 4]", "f32[3, 4, 6]"), shapes.shapes_do_not_broadcast),
    (MatMul(), ("f32[]", "f32[4, 6]"), shapes.wrong_rank),
    (Einsum("ni,nj->nik"), ("f32[n, 3]", "f32[n, 4]"), operands.bad_equation),
    (Einsum("ni->n"), ("f32[n, 3]", "f32[n, 4]"), operands.bad_equation),
    (Einsum("ii->i"), ("f32[3, 3]",), operands.bad_equation),
    (Einsum("i3->i"), ("f32[3, 3]",), operands.bad_equation),
    (Einsum("ijk->i"), ("f32[3, 3]",), operands.bad_equation),
    (Einsum("ij->ii"), ("f32[3, 3]",), operands.bad_equation),
    (Einsum("ni,ni->n"), ("f32[n, 3]", "f32[n, 4]"), operands.sizes_disagree),
    (Pad((1, 1, 1)), ("f32[3]",), operands.bad_option),
    (Pad((4, 4), "reflect"), ("f32[1, 1, 4]",), operands.bad_option),
    (Pad((-1, 0), "replicate"), ("f32[1, 1, 4]",), operands.bad_option),
    (Pad((-2, -2)), ("f32[4]",), operands.bad_option),
    (Pad((1, 1), "reflect"), ("f32[4]",), shapes.wrong_rank),
    (Pad((1, 1), "reflect"), ("i64[1, 1, 4]",), operands.wrong_dtype),
    (Resize(scale=2), ("f32[n, 8]",), shapes.wrong_rank),
    (Resize(scale=2, mode="bilinear"), ("f32[n, 3, 8]",), shapes.wrong_rank),
    (Resize(), ("f32[n, 3, 8]",), operands.bad_option),
    (Resize(size=4, scale=2), ("f32[n, 3, 8]",), operands.bad_option),
    (Resize(scale=0.1), ("f32[n, 3, 8]",), operands.bad_option),
    (Resize(scale=2, align_corners=True), ("f32[n, 3, 8]",), operands.bad_option),
    (Resize(scale=2), ("u8[n, 3, 8]",), operands.wrong_dtype),
    (PixelShuffle(2), ("f32[n, 6, 8, 8]",), operands.sizes_disagree),
    (PixelUnshuffle(2), ("f32[n, 6, 7, 8]",), operands.sizes_disagree),
    (PixelUnshuffle(2), ("f32[n, 6, h, 8]",), operands.sizes_disagree),
    (PixelShuffle(0), ("f32[n, 6, 8, 8]",), operands.bad_option),
    (Normalize((0.5, 0.5), 1.0), ("f32[3, 8, 8]",), operands.sizes_disagree),
    (Normalize(0.5, 0.0), ("f32[3, 8, 8]",), operands.bad_option),
    (Normalize(0.5, 1.0), ("u8[3, 8, 8]",), operands.wrong_dtype),
]


@pytest.mark.parametrize(("op", "types", "message"), REFUSED, ids=lambda v: str(v)[:60])
def test_what_is_refused(op: Op, types: tuple[str, ...], message: MessageKind[...]) -> None:
    made = fault_of(lambda: infer(op, *types))
    assert made.kind is message
    assert made.text.title
    assert made.text.label
    assert not made.text.title.endswith(".")


PROMISED = [
    (Add(), ("f32[n, h]", "f32[n, w]"), "f32[n, h]", ["h == w"]),
    (Add(), ("f32[n, h]", "f32[n, 8]"), "f32[n, 8]", ["h == 8"]),
    (Concat(1), ("f32[n, 3, h]", "f32[n, 4, w]"), "f32[n, 7, h]", ["h == w"]),
    (Squeeze(1), ("f32[n, t]",), "f32[n]", ["t == 1"]),
    (Index((SliceItem(), SliceItem(None, 5))), ("f32[n, t]",), "f32[n, 5]", ["5 <= t"]),
    (Index((SliceItem(), SliceItem(-5))), ("f32[n, t]",), "f32[n, 5]", ["0 <= t - 5"]),
    (
        Index((SliceItem(), SliceItem(None, T // 2))),
        ("f32[n, t]",),
        "f32[n, t // 2]",
        ["1 <= t // 2"],
    ),
    (Index((SliceItem(), 4)), ("f32[n, t]",), "f32[n]", ["5 <= t"]),
    (Index((SliceItem(), 0)), ("f32[n, t]",), "f32[n]", []),
    (Index((SliceItem(), -1)), ("f32[n, t]",), "f32[n]", []),
    (Index((SliceItem(), T - 1)), ("f32[n, t]",), "f32[n]", []),
    (Index((SliceItem(None, None, 2),)), ("f32[t]",), "f32[(t + 1) // 2]", []),
    (Index((NewAxis(), Rest(), 0)), ("f32[n, t, 4]",), "f32[1, n, t]", []),
    (MatMul(), ("f32[n, h]", "f32[w, 3]"), "f32[n, 3]", ["h == w"]),
    (Reshape((B, T)), ("f32[batch, 12]",), "f32[batch, t]", ["batch * t == 12 * batch"]),
    (Reshape((Rest(), 3, 4)), ("f32[batch, t, 12]",), "f32[batch, t, 3, 4]", []),
    (Reshape((B, -1)), ("f32[batch, h, w]",), "f32[batch, h * w]", []),
    (Flatten(), ("f32[n, 3, h, w]",), "f32[n, 3 * h * w]", []),
    (Resize(scale=1.5), ("f32[n, 3, h]",), "f32[n, 3, h + h // 2]", ["2 <= h"]),
    (Resize(size=(H * 2,)), ("f32[n, 3, h]",), "f32[n, 3, 2 * h]", []),
    (Chunk(2, -1), ("f32[n, 2 * h]",), "f32[n, h]", []),
    (Arange(0, T, 2), (), "i64[(t + 1) // 2]", []),
    (Pad((0, T % 2)), ("f32[t]",), "f32[2 * t - 2 * (t // 2)]", []),
]


@pytest.mark.parametrize(("op", "types", "made", "promises"), PROMISED, ids=lambda v: str(v)[:60])
def test_what_is_promised(op: Op, types: tuple[str, ...], made: str, promises: list[str]) -> None:
    found, found_promises = infer(op, *types)
    assert found[0] == made
    assert found_promises == promises
