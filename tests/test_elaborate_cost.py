"""Elaboration of deep networks is fast, and its cost grows with their depth, not faster."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.elaborating import build, elaborate, elaborate_file

PROGRAMS = Path(__file__).parent / "good" / "programs"


def deep(layers: int) -> str:
    return (
        "use std.vision\nmodel M {\n    input image: f32[batch, 16, h, w]\n    x = image\n"
        f"    for i in 0..{layers} {{ x = x -> basic_block(16) as layer[i] }}\n"
        "    output y = x\n}\n"
    )


def seconds(layers: int) -> float:
    start = time.process_time()
    net = build(deep(layers))
    assert len(net.graph.nodes) == 7 * layers
    return time.process_time() - start


def test_cost_grows_with_depth() -> None:
    seconds(20)
    short, long = min(seconds(50) for _ in range(3)), seconds(500)
    assert long < 20 * short
    assert long < 3  # a 1,001-layer network has 500 of these blocks


def test_exponential_recursion_is_given_up() -> None:
    text = (
        "block f(x) { return (x -> f) + (x -> f) }\n"
        "model M {\n    input x: f32[batch, 8]\n    output y = x -> f\n}\n"
    )
    assert [m.code for m in elaborate(text)[1]] == ["W0402"]


@pytest.mark.parametrize(
    ("loop", "code"),
    [
        ("for i in 0..10_000_000_000_000_000_000_000 { x = x -> relu }", "W0401"),
        ("z = sum([i for i in 0..100_000_000])", "W0401"),
        ("x = x -> 100_000_000 * relu", "W0401"),
        ("x = x -> 100_000 * relu", "W0401"),
        ("z = 9 ** 9 ** 9", "W0403"),
        ("for i in 0..2000 { for j in 0..2000 { z = i * j } }", "W0401"),
    ],
)
def test_endless_work_is_refused(loop: str, code: str) -> None:
    text = f"model M {{\n    input x: f32[batch, 8]\n    {loop}\n    output y = x\n}}\n"
    assert [m.code for m in elaborate(text)[1]] == [code]


@pytest.mark.parametrize(
    ("program", "model", "parameters"),
    [
        ("resnet50", "ResNet50", 25_557_032),
        ("mobilenet_v2", "MobileNetV2", 3_504_872),
        ("unet", "UNet", 31_030_658),
        ("digits", "DigitNet", 10_026),
        ("wgan_gp", "Critic", 661_697),
        ("wgan_gp", "Generator", 3_682_049),
        ("llama3", "Llama", 8_030_261_248),
        ("peephole_lstm", "Tagger", 2_828_305),
    ],
)
def test_published_programs(program: str, model: str, parameters: int) -> None:
    graph = elaborate_file(PROGRAMS / f"{program}.weft")[0][model].graph
    sizes = [p.value.type.size.known or 0 for p in graph.parameters if p.trainable]
    assert sum(sizes) == parameters
