"""Multiply-adds of ops are half of what PyTorch's own counter of FLOPs finds."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from compiler.ir.graph import Op
from compiler.ops.attention import ScaledDotProductAttention
from compiler.ops.convolution import Conv, ConvTranspose
from compiler.ops.linear import Dense
from compiler.ops.linear_algebra import MatMul
from tests.laws.harness import apply_op, make_case, run_torch

CASES: list[tuple[Op, Sequence[tuple[int, ...]]]] = [
    (Conv(8, 3, stride=2, padding=1), [(2, 4, 9, 7)]),
    (Conv(8, 3, groups=4, padding="same"), [(2, 4, 9, 7)]),
    (Conv(8, 5, dilation=2, bias=False), [(2, 4, 16)]),
    (Conv(4, 3), [(1, 2, 5, 6, 7)]),
    (ConvTranspose(8, 4, stride=2, padding=1), [(2, 4, 5, 6)]),
    (ConvTranspose(8, 3, groups=2), [(2, 4, 5)]),
    (Dense(10), [(3, 7)]),
    (Dense(10, bias=False), [(3, 5, 7)]),
    (ScaledDotProductAttention(), [(2, 4, 6, 8), (2, 4, 5, 8), (2, 4, 5, 3)]),
    (MatMul(), [(2, 3, 4), (2, 4, 5)]),
]


@pytest.mark.parametrize(("op", "shapes"), CASES, ids=lambda v: getattr(v, "name", ""))
def test_half_of_pytorchs_flops(op: Op, shapes: Sequence[tuple[int, ...]]) -> None:
    generator = np.random.default_rng(0)
    arrays = [generator.normal(size=s).astype(np.float32) for s in shapes]
    missing = [None] * (len(op.operands) - len(arrays))
    applied = apply_op(make_case(op, *arrays, *missing))
    counter = FlopCounterMode(display=False)
    with counter, torch.no_grad():
        run_torch(applied)
    assert (
        2 * (op.multiply_adds(applied.types, applied.outputs).known or 0)
        == counter.get_total_flops()
    )
