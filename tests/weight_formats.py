"""Nets and schemes for the tests of weights in few bits."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from compiler.compression.base import CompressionContext
from compiler.compression.quantization.automatic import Auto
from compiler.compression.quantization.base import Scheme
from compiler.compression.quantization.calibration import measure_sqnr
from compiler.compression.quantization.dynamic import Dynamic
from compiler.compression.quantization.half import Bfloat16, Float16
from compiler.compression.quantization.stored import Stored4, Stored8
from compiler.compression.quantization.weight_only import Weights4, Weights8
from compiler.ir.weighted_net import WeightedNet
from tests.quantizing import Drawn, check_net

IMAGES = """
model M(width: int = 8) {
    input image: f32[batch, 1, 8, 8]
    x = image -> conv(width, kernel=3, padding="same") -> batch_norm -> relu
        -> conv(2 * width, kernel=3, padding="same") as second -> relu -> max_pool(2)
        -> conv_transpose(width, kernel=2, stride=2) as up -> flatten
    output y: f32[batch, 10] = x -> dense(10) as head
}
"""
TOKENS = """
use std.transformer
model M {
    input tokens: i64[batch, 12]
    param position: f32[12, 32] = normal(0.02)
    x = (tokens -> embedding(8, 32) as embed) + position
    x = x -> 2 * encoder_block(4, hidden=64, causal=true) as blocks -> layer_norm as norm
    output logits: f32[batch, 12, 8] = x -> dense(8, bias=false) as head
}
"""
SMALL_LENET = """
model M(a: int, b: int, c: int) {
    input image: f32[batch, 1, 28, 28]
    x = image -> conv(a, kernel=5) as conv1 -> max_pool(2) -> conv(b, kernel=5) as conv2
        -> max_pool(2) -> flatten
    output logits: f32[batch, 10] = x -> dense(c) as fc1 -> relu -> dense(10) as fc2
}
"""
STORED: tuple[Scheme, ...] = (
    Stored8(),
    Stored8(per_channel=False),
    Stored4(),
    Stored4(codebook=True),
    Stored4(rounding="gptq"),
    Float16(),
    Bfloat16(),
    Float16(compute="always"),
)
DENSE: tuple[Scheme, ...] = (
    Dynamic(),
    Dynamic(per_channel=False, smooth=0.5, rest="float"),
    Dynamic(rounding="gptq"),
    Weights4(),
    Weights4(block=16, symmetric=False, accuracy_level=1, rounding="gptq"),
    Weights8(block=64),
    Auto(),
)
LEAST = {"stored4": 12.0, "weights4": 12.0}


def apply(scheme: Scheme, net: WeightedNet, **options: Any) -> WeightedNet:
    return scheme.quantize(
        net, CompressionContext(samples=Drawn(net.graph, {}), **options), None, ()
    )


def check(scheme: Scheme, net: WeightedNet, **options: Any) -> WeightedNet:
    """The net after a scheme; it is verified and near the one before."""
    made = apply(scheme, net, **options)
    with TemporaryDirectory() as folder:
        report, messages = check_net(made, Path(folder), net.graph)
    assert report.passed, [(m.code, m.text.title, m.text.label) for m in messages]
    batches = list(Drawn(net.graph, {}, seed=1).batches(16))
    sqnr = min(measure_sqnr(net, made, batches).values())
    assert sqnr > LEAST.get(scheme.name, 20.0)
    return made
