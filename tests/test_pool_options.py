"""Options of `max_pool` in every combination: dilation, padding and what `ceil_mode` adds; pools
over many parts of an axis."""

from __future__ import annotations

import ast
import time
from itertools import product

import numpy as np
import pytest
import torch
from torch.nn import functional

from backends.onnx_graph.single import lower_op
from compiler.ir.evaluate import evaluate, expand
from compiler.ops.adaptive_pooling import MOST_SLICES, AdaptiveAvgPool, AdaptiveMaxPool
from compiler.ops.pooling import MaxPool
from compiler.report.diagnostics import Fault
from compiler.types.dims import Dim
from compiler.types.tensor import DType, TensorType
from tests.elaborating import build
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


@pytest.mark.parametrize("kernel", [1, 2, 3, 4])
@pytest.mark.parametrize("dilation", [1, 2])
def test_ceil_mode_has_one_formula_for_all_sizes(kernel: int, dilation: int) -> None:
    """The size of the result, for a size that is not known, is PyTorch's at every size."""
    span = dilation * (kernel - 1) + 1
    for stride in range(1, 6):
        for padding in range(kernel // 2 + 1):
            op = MaxPool(kernel, stride, padding, dilation, ceil_mode=True)
            kind = TensorType(DType.F32, (Dim.of(1), Dim.of(1), Dim.of("s")))
            (made,) = op.infer(lambda *_: None, kind)
            for size in range(max(span - 2 * padding, 1), span + 12):
                x = torch.zeros(1, 1, size)
                expected = torch.nn.functional.max_pool1d(
                    x, kernel, stride, padding, dilation, ceil_mode=True
                )
                assert made.shape[2].evaluate({"s": size}) == expected.shape[2], (op, size)


@pytest.mark.parametrize("sizes", [(7, 61), (61, 7), ("h", "w")], ids=["wide", "high", "free"])
@pytest.mark.parametrize("pool", ["avg", "max"])
@pytest.mark.parametrize("parts", [(3, 40), (40, 3), (50, 33)])
def test_many_parts_take_no_more_nodes(
    pool: str, parts: tuple[int, int], sizes: tuple[int | str, ...]
) -> None:
    op = (AdaptiveAvgPool if pool == "avg" else AdaptiveMaxPool)(parts)
    model = lower_op(op, [TensorType.of("f32", [2, 3, *sizes])])
    assert len(model.graph.node) < 2 * MOST_SLICES
    wanted = getattr(functional, f"adaptive_{pool}_pool2d")
    for height, width in [(7, 61), (61, 7), (1, 1), (200, 131)]:
        if sizes not in (("h", "w"), (height, width)):
            continue
        image = np.random.default_rng(0).standard_normal((2, 3, height, width)).astype(np.float32)
        (found,) = run_onnx_runtime(model, {"x0": image})
        expected = wanted(torch.from_numpy(image), parts).numpy()
        np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6)
        (meant,) = op.evaluate(image)
        np.testing.assert_allclose(meant, expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("pool", ["avg", "max"])
@pytest.mark.parametrize("parts", ["5000", "[40, 3]", "[3, 40]"])
def test_many_parts_have_a_derivative_of_few_nodes(pool: str, parts: str) -> None:
    sizes = "9973" if parts == "5000" else "61, 57"
    spec = f"""
    model M {{
        input x: f32[batch, 2, {sizes}]
        y = x -> adaptive_{pool}_pool({parts})
        output slope = grad(sum(y ** 2), x)
    }}
    """
    graph = expand(build(spec, "M").graph)
    assert len(graph.nodes) < 3 * MOST_SLICES
    shape = (2, 2, *map(int, sizes.split(", ")))
    image = np.random.default_rng(1).standard_normal(shape).astype(np.float32)
    started = time.perf_counter()
    (found,) = evaluate(graph, {}, {"x": image}).values()
    assert time.perf_counter() - started < 5, "a second at most on an idle machine"
    x = torch.tensor(image, requires_grad=True)
    wanted = getattr(functional, f"adaptive_{pool}_pool{len(shape) - 2}d")
    (wanted(x, ast.literal_eval(parts)) ** 2).sum().backward()
    assert x.grad is not None
    np.testing.assert_allclose(found, x.grad.numpy(), rtol=1e-5, atol=1e-6)
