"""What functions of tensors refuse, what they say, and what they promise where sizes are free."""

from __future__ import annotations

import pytest

from compiler.elaborate.api import elaborate_models, open_file, run_deep
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
from compiler.report.diagnostics import MESSAGES, Message, Sink
from compiler.report.messages import tensor_operands as operands
from compiler.report.messages import tensor_shapes as shapes
from compiler.report.source import Source
from compiler.text.parse import parse
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
    types = op.infer([read(t) for t in texts], lambda a, r, b: promises.append(f"{a} {r} {b}"))
    return [str(t) for t in types], promises


REFUSED: list[tuple[Op, tuple[str, ...], type[Message]]] = [
    (Add(), ("f32[n, 3, 8]", "f32[n, 3]"), shapes.ShapesDoNotBroadcast),
    (Add(), ("f32[h]", "f32[h + 1]"), shapes.ShapesDoNotBroadcast),
    (Add(), ("bool[3]", "bool[3]"), operands.WrongDtype),
    (Sub(), ("bool[3]", "f32[3]"), operands.WrongDtype),
    (Neg(), ("bool[3]",), operands.WrongDtype),
    (Square(), ("bool[3]",), operands.WrongDtype),
    (Where(), ("f32[3]", "f32[3]", "f32[3]"), operands.WrongDtype),
    (LogicalAnd(), ("bool[3]", "f32[3]"), operands.WrongDtype),
    (Clip(), ("f32[3]",), operands.BadOption),
    (Clip(0), ("bool[3]",), operands.WrongDtype),
    (Mean(2), ("f32[n, 3]",), shapes.NoSuchAxis),
    (Sum((1, -1)), ("f32[n, 3]",), shapes.RepeatedAxis),
    (Sum(()), ("f32[n, 3]",), operands.BadOption),
    (Mean(), ("i64[n, 3]",), operands.WrongDtype),
    (AllTrue(), ("f32[n, 3]",), operands.WrongDtype),
    (ArgMax(0), ("bool[3]",), operands.WrongDtype),
    (ArgMax(1), ("f32[]",), shapes.NoSuchAxis),
    (L2Normalize(3), ("f32[3]",), shapes.NoSuchAxis),
    (Norm(order=0), ("f32[3]",), operands.BadOption),
    (CumSum(1), ("f32[3]",), shapes.NoSuchAxis),
    (Reshape((B, Dim.of(5), 2)), ("f32[batch, 12]",), shapes.ElementsDiffer),
    (Reshape((Rest(), 4, 3)), ("f32[batch, 10]",), shapes.NoWholeRest),
    (Reshape((Rest(), -1)), ("f32[batch, 10]",), shapes.NoWholeRest),
    (Reshape((B, -1, 4)), ("f32[batch, 10]",), shapes.NoWholeRest),
    (Reshape((0, 4)), ("f32[4]",), shapes.NoWholeRest),
    (Reshape((3, Rest(), 2)), ("f32[4, 2, 2]",), shapes.NoWholeRest),
    (Flatten(1), ("f32[8]",), shapes.NoSuchAxis),
    (Flatten(2, 1), ("f32[2, 3, 4]",), operands.BadOption),
    (Transpose(0, 2), ("f32[2, 3]",), shapes.NoSuchAxis),
    (Permute((0, 1)), ("f32[2, 3, 4]",), operands.BadOption),
    (Permute((0, 0)), ("f32[2, 3]",), shapes.RepeatedAxis),
    (Squeeze(1), ("f32[n, 3]",), shapes.NotSizeOne),
    (Unsqueeze(3), ("f32[n]",), shapes.NoSuchAxis),
    (Expand((B, 6)), ("f32[batch, 3]",), shapes.CannotExpand),
    (Expand((6,)), ("f32[1, 1]",), shapes.CannotExpand),
    (Expand((-1, 3)), ("f32[3]",), shapes.CannotExpand),
    (Repeat((0, 1)), ("f32[1, 1]",), operands.BadOption),
    (RepeatInterleave(2, 2), ("f32[1, 1]",), shapes.NoSuchAxis),
    (Concat(1), ("f32[n, 3, 8]", "f32[n, 4, 9]"), shapes.CannotJoin),
    (Concat(1), ("f32[n, 3, 8]", "f32[n, 4]"), shapes.CannotJoin),
    (Concat(0), ("f32[]", "f32[]"), shapes.WrongRank),
    (Stack(0), ("f32[3]", "f32[4]"), shapes.CannotJoin),
    (Stack(2), ("f32[3]", "f32[3]"), shapes.NoSuchAxis),
    (Split((4, 5), 1), ("f32[n, 10]",), operands.UnevenSplit),
    (Split((10, 0), 1), ("f32[n, 10]",), operands.UnevenSplit),
    (Split(4, 0), ("f32[n, 10]",), operands.SizeUnknown),
    (Chunk(3, 0), ("f32[n, 10]",), operands.UnevenSplit),
    (Chunk(4, 0), ("f32[9]",), operands.UnevenSplit),
    (Chunk(0, 0), ("f32[9]",), operands.BadOption),
    (Unbind(1), ("f32[n, t]",), operands.SizeUnknown),
    (Index((SliceItem(), 3)), ("f32[n, 3]",), operands.IndexOutside),
    (Index((SliceItem(), -4)), ("f32[n, 3]",), operands.IndexOutside),
    (Index((0, 0, 0)), ("f32[n, 3]",), operands.TooManyIndices),
    (Index((SliceItem(5, 5),)), ("f32[8]",), operands.EmptySlice),
    (Index((SliceItem(9, None),)), ("f32[8]",), operands.EmptySlice),
    (Index((SliceItem(None, None, -1),)), ("f32[8]",), operands.BadOption),
    (Index((Rest(), Rest())), ("f32[8]",), operands.BadOption),
    (Index((TensorIndex(1),)), ("f32[8]", "f32[3]"), operands.WrongDtype),
    (Index((TensorIndex(1),)), ("f32[8]", "bool[8]"), operands.WrongDtype),
    (
        Index((TensorIndex(1), SliceItem(), TensorIndex(2))),
        ("f32[8, 9, 10]", "i64[n]", "i64[n]"),
        operands.IndicesApart,
    ),
    (Gather(0), ("f32[8]", "i64[2, 2]"), shapes.WrongRank),
    (Gather(0), ("f32[8, 2]", "i64[2, 3]"), operands.SizesDisagree),
    (TakeAlong(1), ("f32[n, t, d]", "i64[n, 2, 2]"), shapes.WrongRank),
    (TakeAlong(1), ("f32[4, t, d]", "i64[5]"), operands.SizesDisagree),
    (Put(1), ("f32[4, 8]", "f32[4, 9]", "i64[]"), operands.SizesDisagree),
    (Put(1), ("f32[4, 8]", "f32[4]", "i64[]"), shapes.WrongRank),
    (Put(1), ("f32[4, 8]", "f32[4, 1]", "i64[1]"), shapes.WrongRank),
    (Put(1), ("f32[4, 8]", "f16[4, 1]", "i64[]"), operands.DtypesDiffer),
    (OneHot(3), ("f32[4]",), operands.WrongDtype),
    (OneHot(0), ("i64[4]",), operands.BadOption),
    (Constant((1, 2, 3), shape=(2,)), (), operands.BadOption),
    (Zeros((3, 0)), (), operands.BadOption),
    (Full((Dim.of(-1),), 0), (), operands.BadOption),
    (Arange(0), (), operands.BadOption),
    (Arange(0, 5, 0), (), operands.BadOption),
    (Arange(5, 0), (), operands.BadOption),
    (Arange(0.5, T), (), operands.BadOption),
    (Linspace(0.0, 1.0, 0), (), operands.BadOption),
    (MatMul(), ("f32[n, 3, 4]", "f32[n, 5, 6]"), operands.SizesDisagree),
    (MatMul(), ("f32[3, 4]", "f16[4, 6]"), operands.DtypesDiffer),
    (MatMul(), ("f32[2, 3, 4]", "f32[3, 4, 6]"), shapes.ShapesDoNotBroadcast),
    (MatMul(), ("f32[]", "f32[4, 6]"), shapes.WrongRank),
    (Einsum("ni,nj->nik"), ("f32[n, 3]", "f32[n, 4]"), operands.BadEquation),
    (Einsum("ni->n"), ("f32[n, 3]", "f32[n, 4]"), operands.BadEquation),
    (Einsum("ii->i"), ("f32[3, 3]",), operands.BadEquation),
    (Einsum("i3->i"), ("f32[3, 3]",), operands.BadEquation),
    (Einsum("ijk->i"), ("f32[3, 3]",), operands.BadEquation),
    (Einsum("ij->ii"), ("f32[3, 3]",), operands.BadEquation),
    (Einsum("ni,ni->n"), ("f32[n, 3]", "f32[n, 4]"), operands.SizesDisagree),
    (Pad((1, 1, 1)), ("f32[3]",), operands.BadOption),
    (Pad((4, 4), "reflect"), ("f32[1, 1, 4]",), operands.BadOption),
    (Pad((-1, 0), "replicate"), ("f32[1, 1, 4]",), operands.BadOption),
    (Pad((-2, -2)), ("f32[4]",), operands.BadOption),
    (Pad((1, 1), "reflect"), ("f32[4]",), shapes.WrongRank),
    (Pad((1, 1), "reflect"), ("i64[1, 1, 4]",), operands.WrongDtype),
    (Resize(scale=2), ("f32[n, 8]",), shapes.WrongRank),
    (Resize(scale=2, mode="bilinear"), ("f32[n, 3, 8]",), shapes.WrongRank),
    (Resize(), ("f32[n, 3, 8]",), operands.BadOption),
    (Resize(size=4, scale=2), ("f32[n, 3, 8]",), operands.BadOption),
    (Resize(scale=0.1), ("f32[n, 3, 8]",), operands.BadOption),
    (Resize(scale=0.3), ("f32[n, 3, h]",), operands.BadOption),
    (Resize(scale=2, align_corners=True), ("f32[n, 3, 8]",), operands.BadOption),
    (Resize(scale=2), ("u8[n, 3, 8]",), operands.WrongDtype),
    (PixelShuffle(2), ("f32[n, 6, 8, 8]",), operands.SizesDisagree),
    (PixelUnshuffle(2), ("f32[n, 6, 7, 8]",), operands.SizesDisagree),
    (PixelUnshuffle(2), ("f32[n, 6, h, 8]",), operands.SizesDisagree),
    (PixelShuffle(0), ("f32[n, 6, 8, 8]",), operands.BadOption),
    (Normalize((0.5, 0.5), 1.0), ("f32[3, 8, 8]",), operands.SizesDisagree),
    (Normalize(0.5, 0.0), ("f32[3, 8, 8]",), operands.BadOption),
    (Normalize(0.5, 1.0), ("u8[3, 8, 8]",), operands.WrongDtype),
]


@pytest.mark.parametrize(("op", "types", "message"), REFUSED, ids=lambda v: str(v)[:60])
def test_what_is_refused(op: Op, types: tuple[str, ...], message: type[Message]) -> None:
    made = fault_of(lambda: infer(op, *types))
    assert type(made) is message
    assert made.title()
    assert made.label()
    assert not made.title().endswith(".")


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
    (Resize(scale=1.5), ("f32[n, 3, h]",), "f32[n, 3, h + h // 2]", []),
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


OWN = [
    (code, cls)
    for code, cls in sorted(MESSAGES.items())
    if cls.__module__ in (shapes.__name__, operands.__name__)
]


def codes_of(text: str) -> list[str]:
    sink = Sink()
    file = parse(Source("spec.weft", text), sink)
    if not sink.has_errors:
        run_deep(lambda: elaborate_models(open_file(file, sink)))
    return [message.code for message in sink.messages]


@pytest.mark.parametrize(("code", "cls"), OWN, ids=[code for code, _ in OWN])
def test_examples_of_messages(code: str, cls: type[Message]) -> None:
    assert codes_of(cls.bad) == [code]
    assert codes_of(cls.good) == []
