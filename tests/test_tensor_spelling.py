"""How functions of tensors read in the generated PyTorch."""

from __future__ import annotations

import pytest

from backends.pytorch.modules import emit_module
from compiler.ir.builder import Builder
from compiler.ir.frame import Frame, Site
from compiler.ir.graph import Op
from compiler.ops.arithmetic import Add, Div, Mul, Neg, Pow, Sub
from compiler.ops.choosing import Cast, Clip, Maximum, Minimum, Where
from compiler.ops.compare import Equal, LogicalAnd, LogicalNot
from compiler.ops.creation import Constant, Full, Ones, Zeros, ZerosLike
from compiler.ops.cumulative import CumSum
from compiler.ops.elementwise import Exp
from compiler.ops.gathering import Gather, OneHot, Put, TakeAlong
from compiler.ops.images import Normalize, PixelShuffle
from compiler.ops.indexing import Index
from compiler.ops.items import NewAxis, Rest, SliceItem, TensorIndex
from compiler.ops.joining import Chunk, Concat, Split, Stack, Unbind
from compiler.ops.linear_algebra import Einsum, MatMul
from compiler.ops.padding import Pad
from compiler.ops.ranges import Arange, Linspace
from compiler.ops.reduction import Max, Mean, Prod, Sum
from compiler.ops.repeating import Repeat, RepeatInterleave
from compiler.ops.reshaping import Flatten, Reshape
from compiler.ops.resizing import Resize
from compiler.ops.shaping import Expand, Flip, Permute, Squeeze, Transpose, Unsqueeze
from compiler.ops.statistics import ArgMax, L2Normalize, LogSumExp, Norm, Std
from compiler.ops.triangles import Causal, Tril
from compiler.types.dims import Dim
from compiler.types.tensor import DType
from tests.test_tensor_faults import NAMES, read

B, T = NAMES["batch"], NAMES["t"]
ALL = SliceItem()


def spell(op: Op, *operands: str | int | float) -> str:
    """What is returned by a model that applies an op to inputs and numbers."""
    frame = Frame("M", "", 0)
    build = Builder("M", frame)
    types = [read(o) for o in operands if isinstance(o, str)]
    values, names = [], iter("xyz")
    for operand in operands:
        if isinstance(operand, str):
            values.append(build.input(next(names), read(operand)))
        else:
            number = Constant.beside(operand, types)
            values += build.apply(number, (), frame, Site())
    made = build.apply(op, values, frame, Site())
    for index, value in enumerate(made):
        build.output(f"out{index}", value)
    text = emit_module([build.graph()], title="M")
    lines = [line.strip() for line in text.splitlines()]
    found = next(line for line in reversed(lines) if line.startswith("return "))
    if found.startswith("return out") or found == "return x":
        found = lines[lines.index(found) - 1]
    return found.partition("  #")[0].removeprefix("return ").partition(" = ")[-1] or (
        found.partition("  #")[0].removeprefix("return ")
    )


CASES: list[tuple[Op, tuple[str | int | float, ...], str]] = [
    (Add(), ("f32[n, 3]", "f32[3]"), "x + y"),
    (Add(), ("f32[n, 3]", 1), "x + 1"),
    (Sub(), (1, "f32[n, 3]"), "1 - x"),
    (Mul(), ("f32[n, 3]", 0.5), "x * 0.5"),
    (Mul(), ("i64[n, 3]", 0.5), "x * 0.5"),
    (Div(), ("u8[n, 3]", 255), "x / 255"),
    (Pow(), ("f32[n, 3]", 2), "x**2"),
    (Neg(), ("f32[n, 3]",), "-x"),
    (Exp(), ("f32[n, 3]",), "torch.exp(x)"),
    (Equal(), ("i64[n]", 0), "x == 0"),
    (LogicalAnd(), ("bool[n]", "bool[n]"), "x & y"),
    (LogicalNot(), ("bool[n]",), "~x"),
    (Where(), ("bool[n]", "f32[n]", float("-inf")), "torch.where(x, y, -torch.inf)"),
    (Maximum(), ("f32[n]", "f32[n]"), "torch.maximum(x, y)"),
    (Maximum(), ("f32[n]", 0.5), "x.clamp(min=0.5)"),
    (Minimum(), (1, "f32[n]"), "x.clamp(max=1)"),
    (Clip(-1, 1), ("f32[n]",), "x.clamp(-1, 1)"),
    (Clip(0), ("f32[n]",), "x.clamp(min=0)"),
    (Cast(DType.F32), ("i64[n]",), "x.float()"),
    (Cast(DType.U8), ("i64[n]",), "x.to(torch.uint8)"),
    (Mean((2, 3)), ("f32[n, 3, 8, 8]",), "x.mean((2, 3))"),
    (Mean(), ("f32[n, 3]",), "x.mean()"),
    (Sum(-1, keep=True), ("f32[n, 3]",), "x.sum(-1, keepdim=True)"),
    (Max(1), ("f32[n, 3]",), "x.amax(1)"),
    (Max(), ("f32[n, 3]",), "x.max()"),
    (Prod((0, 1)), ("f32[2, 3]",), "x.prod(1).prod(0)"),
    (Std(0), ("f32[5, n]",), "x.std(0)"),
    (Std(0, unbiased=False), ("f32[5, n]",), "x.std(0, unbiased=False)"),
    (Norm(1), ("f32[n, 3]",), "torch.linalg.vector_norm(x, dim=1)"),
    (LogSumExp(-1), ("f32[n, 3]",), "x.logsumexp(-1)"),
    (ArgMax(-1), ("f32[n, 3]",), "x.argmax(-1)"),
    (L2Normalize(), ("f32[n, 3]",), "F.normalize(x, dim=-1)"),
    (L2Normalize(1), ("f32[n, 3]",), "F.normalize(x)"),
    (CumSum(1), ("f32[n, 3]",), "x.cumsum(1)"),
    (Reshape((Rest(), 4, 8)), ("f32[batch, t, 32]",), "x.unflatten(-1, (4, -1))"),
    (Reshape((B, 2, 4, 4)), ("f32[batch, 32]",), "x.unflatten(-1, (2, 4, 4))"),
    (Reshape((B, T, Dim.of(32))), ("f32[batch, t, 4, 8]",), "x.flatten(2)"),
    (Reshape((B * T, Dim.of(32))), ("f32[batch, t, 32]",), "x.flatten(0, 1)"),
    (Reshape((B, 1, 8)), ("f32[batch, 8]",), "x.unsqueeze(1)"),
    (Reshape((B, Dim.of(4), Dim.of(4))), ("f32[batch, 2, 8]",), "x.reshape(-1, 4, 4)"),
    (Flatten(), ("f32[n, 3, 8, 8]",), "x.flatten(1)"),
    (Flatten(0), ("f32[n, 3, 8, 8]",), "x.flatten()"),
    (Transpose(1, 2), ("f32[n, 3, 8]",), "x.transpose(1, 2)"),
    (Permute((0, 3, 1, 2)), ("f32[n, 8, 8, 3]",), "x.permute(0, 3, 1, 2)"),
    (Squeeze(1), ("f32[n, 1]",), "x.squeeze(1)"),
    (Unsqueeze(-1), ("f32[n]",), "x.unsqueeze(-1)"),
    (Expand((5, -1)), ("f32[1, n]",), "x.expand(5, -1)"),
    (Flip(-1), ("f32[n, 3]",), "x.flip(-1)"),
    (Repeat((1, 4)), ("f32[n, 3]",), "x.repeat(1, 4)"),
    (RepeatInterleave(4, 1), ("f32[n, 3]",), "x.repeat_interleave(4, dim=1)"),
    (Concat(1), ("f32[n, 3]", "f32[n, 4]"), "torch.cat([x, y], dim=1)"),
    (Concat(), ("f32[3]", "f32[4]"), "torch.cat([x, y])"),
    (Stack(-1), ("f32[n]", "f32[n]"), "torch.stack([x, y], dim=-1)"),
    (Split((1, 2), -1), ("f32[n, 3]",), "x.split([1, 2], dim=-1)"),
    (Chunk(3, -1), ("f32[n, 6]",), "x.chunk(3, dim=-1)"),
    (Unbind(1), ("f32[n, 2]",), "x.unbind(1)"),
    (Index((ALL, 0)), ("f32[n, 3, 4]",), "x[:, 0]"),
    (Index((Rest(), SliceItem(None, 2))), ("f32[n, 3, 4]",), "x[..., :2]"),
    (Index((ALL, NewAxis(), NewAxis())), ("f32[n]",), "x[:, None, None]"),
    (Index((ALL, SliceItem(1, None, 2))), ("f32[n, 5]",), "x[:, 1::2]"),
    (Index((TensorIndex(1),)), ("f32[9, 4]", "i64[n]"), "x[y]"),
    (Gather(1), ("f32[n, 3]", "i64[n, 1]"), "x.gather(1, y)"),
    (TakeAlong(1), ("f32[4, t, 3]", "i64[4]"), "x[torch.arange(4, device=x.device), y]"),
    (Put(1), ("f32[4, 9]", "f32[4, 2]", "i64[]"),
     "x.index_copy(1, z + torch.arange(2, device=x.device), y)"),
    (OneHot(5), ("i64[n]",), "F.one_hot(x, 5)"),
    (OneHot(5, DType.F32), ("i64[n]",), "F.one_hot(x, 5).float()"),
    (ZerosLike(), ("f32[n]",), "torch.zeros_like(x)"),
    (Tril(), ("f32[3, 3]",), "x.tril()"),
    (MatMul(), ("f32[n, 3]", "f32[3, 4]"), "x @ y"),
    (Einsum("ij,kj->ik"), ("f32[n, 3]", "f32[4, 3]"), 'torch.einsum("ij,kj->ik", x, y)'),
    (Pad((1, 2)), ("f32[n, 3]",), "F.pad(x, (1, 2))"),
    (Pad((1, 2), "reflect"), ("f32[n, 3]",), 'F.pad(x, (1, 2), mode="reflect")'),
    (Resize(scale=2), ("f32[n, 3, 8, 8]",), "F.interpolate(x, scale_factor=2)"),
    (
        Resize(size=(16, 16), mode="bilinear"),
        ("f32[n, 3, 8, 8]",),
        'F.interpolate(x, size=(16, 16), mode="bilinear")',
    ),
    (PixelShuffle(2), ("f32[n, 12, 8, 8]",), "F.pixel_shuffle(x, 2)"),
    (Normalize(0.5, 0.25), ("f32[n, 3, 8, 8]",), "(x - 0.5) / 0.25"),
]  # fmt: skip


@pytest.mark.parametrize(("op", "operands", "text"), CASES, ids=lambda v: str(v)[:50])
def test_reads_as_a_person_writes_it(
    op: Op, operands: tuple[str | int | float, ...], text: str
) -> None:
    assert spell(op, *operands) == text


MADE: list[tuple[Op, str]] = [
    (Constant((0.5, 1, 2), shape=(3,)), "torch.tensor([0.5, 1, 2], device=x.device)"),
    (Zeros((B, 3)), "torch.zeros(x.shape[0], 3, device=x.device)"),
    (Ones((3,), DType.BOOL), "torch.ones(3, dtype=torch.bool, device=x.device)"),
    (Full((3,), 7), "torch.full((3,), 7, device=x.device)"),
    (Arange(8), "torch.arange(8, device=x.device)"),
    (Arange(0, 8, 2), "torch.arange(0, 8, 2, device=x.device)"),
    (Linspace(0.0, 1.0, 5), "torch.linspace(0.0, 1.0, 5, device=x.device)"),
    (Causal(4), "torch.ones(4, 4, dtype=torch.bool, device=x.device).tril()"),
]


@pytest.mark.parametrize(("op", "text"), MADE, ids=lambda v: str(v)[:50])
def test_tensors_from_nothing(op: Op, text: str) -> None:
    frame = Frame("M", "", 0)
    build = Builder("M", frame)
    x = build.input("x", read("f32[batch, t]"))
    (made,) = build.apply(op, (), frame, Site())
    build.output("x", x)
    build.output("made", made)
    code = emit_module([build.graph()], title="M")
    assert text in code.replace("\n", " "), code
