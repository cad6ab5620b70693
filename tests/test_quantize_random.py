"""Static int8 on random networks: residuals, concatenations, groups, gates, tokens."""

from __future__ import annotations

import os
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from compiler.compression.base import CompressionContext
from compiler.compression.quantization.calibration import measure_sqnr
from compiler.compression.quantization.int8 import Int8
from compiler.program.variant import Target
from tests.quantizing import Drawn, check_net, make_net

EXAMPLES = settings(
    max_examples=int(os.environ.get("LAWS_EXAMPLES", "8")),
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)


@st.composite
def draw_images(draw: Any) -> str:
    """A convnet of two to four random stages."""
    channels = draw(st.sampled_from((1, 3)))
    width = draw(st.sampled_from((4, 8)))
    norm = draw(st.sampled_from(("", " -> batch_norm")))
    act = draw(st.sampled_from(("relu", "relu6", "silu", "leaky_relu(0.1)", "hard_swish")))
    lines = [f"    x = image -> conv({width}, kernel=3, padding=1){norm} -> {act}"]
    stages = {
        "residual": f"    x = x + (x -> conv({width}, kernel=3, padding=1){norm} -> {act})",
        "relu sum": f"    x = (x + (x -> conv({width}, kernel=1){norm})) -> relu",
        "concat": f"    x = concat([x, x -> conv({width}, kernel=1) -> relu], axis=1)"
        f" -> conv({width}, kernel=1) -> {act}",
        "depthwise": f"    x = x -> conv({width}, kernel=3, padding=1, groups={width}){norm}"
        f" -> {act} -> conv({width}, kernel=1)",
        "grouped": f"    x = x -> conv({width}, kernel=3, padding=1, groups=2) -> {act}",
        "gate": f"    x = x * (x -> conv({width}, kernel=1) -> sigmoid)",
        "max pool": "    x = x -> max_pool(2)",
        "avg pool": "    x = x -> avg_pool(2)",
        "up": f"    x = x -> conv_transpose({width}, kernel=2, stride=2)",
    }
    chosen = draw(st.lists(st.sampled_from(sorted(stages)), min_size=1, max_size=3))
    lines += [stages[name] for name in chosen]
    head = draw(st.sampled_from(("global_avg_pool", "flatten(1)")))
    hidden = draw(st.sampled_from(("", " -> dense(12) -> relu", " -> dense(12) -> gelu")))
    lines.append(f"    output y: f32[batch, 5] = x -> {head}{hidden} -> dense(5)")
    body = "\n".join(lines)
    return f"model M() {{\n    input image: f32[batch, {channels}, 8, 8]\n{body}\n}}\n"


@st.composite
def draw_tokens(draw: Any) -> str:
    """A small transformer, or an MLP over tokens."""
    d = draw(st.sampled_from((8, 16)))
    start = draw(st.sampled_from((f"embedding(8, {d})", "")))
    lines = [f"    x = tokens -> {start}" if start else f"    x = tokens -> dense({d})"]
    lines += [
        f"    q, k, v = x -> layer_norm -> dense(3 * {d}) -> chunk(3, axis=-1)",
        f"    x = x + (scaled_dot_product_attention(q, k, v) -> dense({d}))",
        f"    x = x + (x -> layer_norm -> dense({2 * d}) -> gelu -> dense({d}))",
    ][draw(st.sampled_from((0, 2))) :]
    last = draw(st.sampled_from(("x", "x[:, 0]")))
    shape = "batch, 6, 4" if last == "x" else "batch, 4"
    lines.append(f"    output y: f32[{shape}] = {last} -> dense(4)")
    kind = "i64[batch, 6]" if start else "f32[batch, 6, 5]"
    body = "\n".join(lines)
    return f"model M() {{\n    input tokens: {kind}\n{body}\n}}\n"


def _check(text: str, scheme: Int8) -> None:
    net = make_net(text)
    context = CompressionContext(target=Target(), samples=Drawn(net.graph, {}))
    made = scheme.quantize(net, context, None, ())
    with TemporaryDirectory() as folder:
        report, messages = check_net(made, Path(folder), net.graph)
    assert report.passed, (text, [(m.code, m.text.title, m.text.label) for m in messages])
    batches = list(Drawn(net.graph, {}, seed=1).batches(16))
    assert measure_sqnr(net, made, batches)["output y"] > 12


@EXAMPLES
@given(
    text=draw_images(),
    placement=st.sampled_from(("auto", "all", "layers", "float_depthwise")),
    form=st.sampled_from(("qdq", "qoperator")),
)
def test_convnets_survive(text: str, placement: Any, form: Any) -> None:
    _check(text, Int8(rows=32, placement=placement, form=form))


@EXAMPLES
@given(text=draw_tokens(), per_channel=st.booleans(), form=st.sampled_from(("qdq", "qoperator")))
def test_token_nets_survive(text: str, per_channel: bool, form: Any) -> None:
    _check(text, Int8(rows=32, per_channel=per_channel, form=form))
