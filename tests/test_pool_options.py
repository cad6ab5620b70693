"""Options of `max_pool` in every combination: dilation, padding and what `ceil_mode` adds."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch
from torch.nn import functional

from backends.onnx_graph.single import lower_op
from compiler.ops.pooling import MaxPool
from compiler.report.diagnostics import Fault
from compiler.types.tensor import TensorType
from tests.laws.harness import run_onnx_runtime


@pytest.mark.parametrize("sizes", [(7, 8), ("h", "w")], ids=["known", "free"])
@pytest.mark.parametrize("ceil_mode", [False, True])
@pytest.mark.parametrize("dilation", [1, 2, 3])
def test_dilation_with_padding_and_ceil_mode(
    dilation: int, ceil_mode: bool, sizes: tuple[int | str, ...]
) -> None:
    image = -np.abs(np.random.default_rng(0).standard_normal((2, 2, 7, 8))).astype(np.float32)
    count = 0
    for kernel, stride, padding in product((2, 3, 4), (1, 2, 3, 4), (0, 1, 2)):
        if dilation * (kernel - 1) + 1 > 7 + 2 * padding:
            continue
        op = MaxPool(kernel, stride, padding, dilation, ceil_mode)
        try:
            model = lower_op(op, [TensorType.of("f32", [2, 2, *sizes])])
        except Fault:  # half of the kernel, or a size that is not known, decides
            continue
        options = {"dilation": dilation, "ceil_mode": ceil_mode}
        wanted = functional.max_pool2d(torch.from_numpy(image), kernel, stride, padding, **options)
        (found,) = run_onnx_runtime(model, {"x0": image})
        np.testing.assert_array_equal(found, wanted.numpy(), err_msg=str(op))
        count += 1
    assert count > 12
