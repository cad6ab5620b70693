"""Poolings with places and by powers, local response and weight norm, beside PyTorch's."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import weight_norm

from backends.pytorch.modules import emit_module
from backends.pytorch.run.load import assign_weights, load_module
from compiler.ir.evaluate import evaluate
from compiler.ir.graph import Op
from compiler.ops.local_normalization import LocalResponseNorm
from compiler.ops.unpooling import MaxPoolIndices, MaxUnpool
from compiler.types.tensor import TensorType
from tests.elaborating import build
from tests.faults import fault_of
from tests.pytorch_compare import draw_lively
from tests.std_blocks import compare_block

DRAWN = np.random.default_rng(17)
IMAGES = DRAWN.normal(size=(2, 4, 7, 6)).astype(np.float32)
LINES = DRAWN.normal(size=(2, 4, 9)).astype(np.float32)


def test_equal_entries_come_back_once() -> None:
    image = np.ones((1, 1, 4, 4), np.float32)
    pooled, places = MaxPoolIndices(2).evaluate(image)
    assert places.tolist() == [[[[0, 2], [8, 10]]]]
    (back,) = MaxUnpool(2).evaluate(pooled, places)
    assert back.sum() == 4
    assert back[0, 0, ::2, ::2].all()


@pytest.mark.parametrize(
    ("kernel", "stride", "padding"), [(2, None, 0), (3, 2, 1), ((2, 3), (2, 3), 0), (2, 3, 0)]
)
def test_an_open_size_comes_back(kernel: object, stride: object, padding: int) -> None:
    """A net that pools, and puts back to the size that it had, is PyTorch's at several sizes."""
    written = [f"{list(o) if isinstance(o, tuple) else o}" for o in (kernel, stride)]
    options = f"{written[0]}, stride={written[1].lower()}, padding={padding}"
    text = "\n".join(
        [
            "model M {",
            "    input x: f32[n, 2, h, w]",
            f"    y, at = x -> max_pool_indices({options})",
            f"    output z = exp(y) -> max_unpool(at, {options}, size=x.shape[2:])",
            "}",
        ]
    )
    graph = build(text).graph
    module = load_module(emit_module([graph], title="M"), graph)
    given = {"kernel_size": kernel, "stride": stride, "padding": padding}
    for height, width in ((6, 6), (7, 8), (9, 11)):
        x = torch.tensor(DRAWN.normal(size=(2, 2, height, width)).astype(np.float32).round(1))
        y, at = functional.max_pool2d(x, **given, return_indices=True)  # type: ignore[arg-type]
        expected = functional.max_unpool2d(y.exp(), at, **given, output_size=(height, width))  # type: ignore[arg-type]
        (meant,) = evaluate(graph, {}, {"x": x.numpy()}).values()
        np.testing.assert_allclose(meant, expected.numpy(), rtol=1e-6)
        np.testing.assert_allclose(module(x).numpy(), expected.numpy(), rtol=1e-6)


@pytest.mark.parametrize(
    ("op", "kinds", "code"),
    [
        (MaxUnpool(2, size=(9, 8)), ("f32[n, 2, 3, 4]", "i64[n, 2, 3, 4]"), "W0392"),
        (MaxUnpool(2, size=(6,)), ("f32[n, 2, 3, 4]", "i64[n, 2, 3, 4]"), "W0392"),
        (MaxUnpool(2), ("f32[n, 2, 3, 4]", "i64[n, 2, 4, 4]"), "W0387"),
        (MaxUnpool(2), ("f32[n, 2, 3, 4]", "f32[n, 2, 3, 4]"), "W0382"),
        (MaxPoolIndices(2, padding=2), ("f32[n, 2, 3, 4]",), "W0353"),
        (LocalResponseNorm(0), ("f32[n, 2, 3, 4]",), "W0353"),
        (LocalResponseNorm(3, alpha=-1.0), ("f32[n, 2, 3, 4]",), "W0353"),
        (LocalResponseNorm(3), ("f32[n, 2]",), "W0380"),
    ],
)
def test_what_cannot_be_is_refused(op: Op, kinds: tuple[str, ...], code: str) -> None:
    types = []
    for kind in kinds:
        sizes = kind[4:-1].split(", ")
        shape = [int(size) if size.isdigit() else size for size in sizes]
        types.append(TensorType.of(kind[:3], shape))
    message = fault_of(lambda: op.infer(lambda *_: None, *types))
    assert message.code == code
    assert message.text.label


@pytest.mark.parametrize(("kernel", "stride"), [(2, None), (3, 2), (2, 3)])
@pytest.mark.parametrize("p", [1.0, 2.0, 3.0, 2.5])
def test_lp_pool_is_that_of_absolute_values(p: float, kernel: int, stride: int | None) -> None:
    options = f"{kernel}, p={p}" + (f", stride={stride}" if stride else "")
    compare_block(
        "vision",
        f"lp_pool(x, {options})",
        {"x": IMAGES},
        lambda x: functional.lp_pool2d(x.abs(), p, kernel, stride),
    )
    compare_block(
        "vision",
        f"lp_pool(x, {options})",
        {"x": LINES},
        lambda x: functional.lp_pool1d(x.abs(), p, kernel, stride),
    )


@pytest.mark.parametrize(
    ("call", "make", "given"),
    [
        ("weight_norm_dense(x, 5)", lambda: nn.Linear(9, 5), LINES),
        (
            "weight_norm_conv1d(x, 6, 3, stride=2, dilation=2, groups=2)",
            lambda: nn.Conv1d(4, 6, 3, stride=2, dilation=2, groups=2),
            LINES,
        ),
        (
            "weight_norm_conv2d(x, 6, 3, padding=1)",
            lambda: nn.Conv2d(4, 6, 3, padding=1),
            IMAGES,
        ),
    ],
)
def test_weight_norm_is_pytorchs(
    call: str, make: Callable[[], nn.Module], given: np.ndarray
) -> None:
    shape = ", ".join(map(str, given.shape[1:]))
    lines = ["use std.normalization", "model M {", f"    input x: f32[batch, {shape}]"]
    graph = build("\n".join([*lines, f"    output y = {call} as net", "}"])).graph
    weights = draw_lively(graph)
    oracle = weight_norm(make())
    names = {
        "bias": "bias",
        "parametrizations.weight.original0": "weight_g",
        "parametrizations.weight.original1": "weight_v",
    }
    oracle.load_state_dict(
        {path: torch.tensor(weights[f"net.{name}"]) for path, name in names.items()}
    )
    x: Tensor = torch.tensor(given)
    expected = oracle(x).detach().numpy()
    (meant,) = evaluate(graph, weights, {"x": given}).values()
    np.testing.assert_allclose(meant, expected, atol=2e-5)
    module = load_module(emit_module([graph], title="M"), graph)
    assign_weights(module, weights)
    np.testing.assert_allclose(module(x).detach().numpy(), expected, atol=2e-5)
