"""Two quantizations in a row: what `check` refuses finds nothing to do, whatever the net."""

from __future__ import annotations

import numpy as np
import pytest

from compiler.compression.base import CompressionContext
from compiler.compression.quantization.base import SCHEMES, Quantize, Scheme
from compiler.compression.quantization.dynamic import Dynamic
from compiler.compression.quantization.half import Float16
from compiler.compression.quantization.weight_only import Weights4
from compiler.compression.registry import load_compression
from compiler.ir.weighted_net import WeightedNet
from compiler.report.diagnostics import CompileError
from tests.quantizing import Drawn, make_net

load_compression()
NETS = {
    "dense": """model M() {
        input x: f32[batch, 64]
        output y = x -> dense(64) as a -> relu -> dense(32) as b -> relu -> dense(10) as c
    }""",
    "embedding": """model M() {
        input t: i64[batch, 8]
        h = t -> embedding(100, 64) as e -> dense(64) as a -> relu -> mean(axis=1)
        output y = h -> dense(10) as c
    }""",
}
KEEPING = (Dynamic(rest="float"), Weights4(rest="float"), Float16(keep=("a",)))
FOLLOWING = [scheme() for scheme in SCHEMES.classes()]


def run(scheme: Scheme, net: WeightedNet) -> WeightedNet:
    return Quantize(scheme).run(net, CompressionContext(samples=Drawn(net.graph, {})))


def does_nothing(scheme: Scheme, net: WeightedNet) -> bool:
    try:
        made = run(scheme, net)
    except CompileError as error:
        return {m.code for m in error.messages} <= {"W1141", "W1155"}
    alike = made.graph.nodes == net.graph.nodes and made.weights.keys() == net.weights.keys()
    return alike and all(np.array_equal(made.weights[p], a) for p, a in net.weights.items())


@pytest.mark.parametrize("net", list(NETS))
@pytest.mark.parametrize("first", [*FOLLOWING, *KEEPING], ids=str)
def test_what_cannot_follow_finds_nothing(net: str, first: Scheme) -> None:
    quantized = run(first, make_net(NETS[net]))
    for second in FOLLOWING:
        if not Quantize(second).can_follow(Quantize(first)):
            assert does_nothing(second, quantized), f"{second} finds something behind {first}"


def test_schemes_that_leave_floats_may_be_followed() -> None:
    for first in KEEPING:
        others = [s for s in FOLLOWING if type(s) is not type(first)]
        assert all(Quantize(second).can_follow(Quantize(first)) for second in others)
    stem = Quantize(FOLLOWING[0], only=("a",))
    assert all(Quantize(second).can_follow(stem) for second in FOLLOWING)
