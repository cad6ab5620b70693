"""Networks in double precision: weights, code and files have the dtype of their inputs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import weft
from backends.onnx_graph.compile import compile_onnx
from backends.onnx_runtime.session import Device
from backends.verification.verify import verify
from compiler.ir.weights import draw_weights
from compiler.report.diagnostics import CompileError, Sink
from compiler.report.messages.lowering import kernel_missing
from tests.elaborating import build
from weft.api import Model

ROWS = "f64[b, 3, 8]"
IMAGES = "f64[b, 4, h, 8]"
CHAINS = [
    *((ROWS, f"{layer} as d") for layer in ("dense(3)", "prelu", "batch_norm", "layer_norm")),
    *(
        (ROWS, f"{layer} as d")
        for layer in ("rms_norm", "rms_norm(eps=1e-3)", "layer_norm(axes=2)")
    ),
    *((ROWS, name) for name in ("elu(alpha=0.3)", "selu", "celu(alpha=0.7)", "leaky_relu(0.1)")),
    *((ROWS, name) for name in ("softplus", "softsign", "mish", "log_sigmoid", "silu", "sigmoid")),
    *(
        (ROWS, name)
        for name in (
            "hard_sigmoid",
            "hard_swish",
            "hard_tanh",
            "tanh",
            "relu6",
            "softplus(threshold=3)",
            "clip(maximum=1)",
        )
    ),
    *((ROWS, name) for name in ("softmax(axis=1)", "var(axis=-1)", "std", "logsumexp(axis=1)")),
    (IMAGES, "batch_norm as d"),
    (IMAGES, "group_norm(2) as d"),
    (IMAGES, "instance_norm(affine=true) as d"),
    (IMAGES, "prelu(per_channel=true) as d"),
    (IMAGES, "global_avg_pool -> dense(2) as d"),
    (IMAGES, "global_max_pool"),
    (IMAGES, "adaptive_avg_pool([1, 3])"),
    (IMAGES, "pixel_shuffle(2)"),
    (IMAGES, "max_pool(2)"),
]
REFUSED = [
    (ROWS, "gelu", "Erf"),
    (ROWS, "erf", "Erf"),
    (ROWS, "conv(3, kernel=3) as d", "Conv"),
    (IMAGES, "conv_transpose(3, kernel=3) as d", "ConvTranspose"),
    (IMAGES, "avg_pool(2)", "AveragePool"),
]


def make(type: str, chain: str) -> Model:
    text = f"model M {{\n    input x: {type}\n    output y = x -> relu -> {chain}\n}}"
    return Model(build(text), Path())


@pytest.mark.parametrize(("type", "chain"), CHAINS)
def test_every_backend_computes_in_double_precision(type: str, chain: str, tmp_path: Path) -> None:
    model = make(type, chain)
    weights = draw_weights(model.graph)
    assert all(array.dtype == np.float64 for array in weights.values())
    module = model.torch(weights)
    assert {str(t.dtype) for t in module.state_dict().values()} <= {"torch.float64", "torch.int64"}
    compile_onnx(model.graph, weights, tmp_path / "net.onnx")
    sink = Sink()
    report = verify(
        model.graph,
        weights,
        torch_module=module,
        onnx_path=tmp_path / "net.onnx",
        device=Device.CPU,
        sink=sink,
    )
    assert report.passed, [(m.text.title, m.text.label) for m in sink.messages]


@pytest.mark.parametrize(("type", "chain", "operator"), REFUSED)
def test_what_has_no_kernel_is_refused_at_its_layer(
    type: str, chain: str, operator: str, tmp_path: Path
) -> None:
    model = make(type, chain)
    module = model.torch()
    assert all(p.dtype.itemsize == 8 for p in module.parameters())
    with pytest.raises(weft.WeftError) as caught:
        model.onnx(tmp_path / "net.onnx")
    (message,) = caught.value.messages
    assert message.kind is kernel_missing
    assert message.text.label.startswith(f"is written as {operator},")
    assert message.span is not None
    assert message.span.location.endswith(":3:29")
    assert not list(tmp_path.iterdir())


def test_a_cast_before_it_is_the_way_around(tmp_path: Path) -> None:
    model = make(ROWS, "cast(f32) -> gelu")
    assert model.onnx(tmp_path / "net.onnx").exists()


def test_half_precision_is_kept_too() -> None:
    source = make("f16[b, 8]", "dense(3) as d").source()
    assert "nn.Linear(8, 3, dtype=torch.float16)" in source


def test_compiling_raises_before_anything_is_written(tmp_path: Path) -> None:
    model = make(ROWS, "gelu")
    with pytest.raises(CompileError):
        compile_onnx(model.graph, {}, tmp_path / "net.onnx")
    assert not list(tmp_path.iterdir())
