"""A pass that is asked for and does nothing is an error that says why; so is a name in `only`."""

from __future__ import annotations

from pathlib import Path

import pytest

from compiler.compression.base import CompressionContext, CompressionPass
from compiler.compression.effects import find_idleness
from compiler.compression.low_rank.low_rank import LowRank
from compiler.compression.pruning.prune import Prune
from compiler.compression.quantization.base import Quantize, Scheme
from compiler.compression.quantization.dynamic import Dynamic
from compiler.compression.quantization.half import Bfloat16, Float16
from compiler.compression.quantization.stored import Stored4, Stored8
from compiler.compression.quantization.weight_only import Weights4, Weights8
from compiler.ir.weighted_net import WeightedNet
from compiler.report.diagnostics import CompileError, Message
from compiler.report.messages.effects import pass_does_nothing, pattern_without_effect
from tests.factoring import build
from tests.variant_folder import Folder

NET = """
model M(c: int = 12) {
    input image: f32[batch, 3, 8, 8]
    x = image -> conv(c, kernel=3, padding=1) as stem -> relu
    y = x -> conv(c, kernel=3, padding=1, groups=c) as depth -> relu
    output logits = y -> conv(16, kernel=3, padding=1) as body -> mean([2, 3]) -> dense(4) as head
}
"""


def hold(step: CompressionPass, net: WeightedNet) -> Message | None:
    context = CompressionContext()
    return find_idleness(step, net, step.run(net, context), context.journal, None)


def test_a_pass_that_does_nothing_says_why() -> None:
    net = build(NET)
    message = hold(LowRank(rank=12, only=("depth",)), net)
    assert message.kind is pass_does_nothing
    assert message.text.title == '`low_rank(rank=12, only=["depth"])` changes nothing'
    assert message.text.label == "`depth`: it is depthwise"
    message = hold(LowRank(rank=400), net)
    assert message.kind is pass_does_nothing
    assert "`stem`: rank 12 would take 468 weights, it has 324" in message.text.label
    assert hold(Prune(channels=0.01), net).kind is pass_does_nothing
    assert hold(Prune(zeros=True), net).kind is pass_does_nothing


def test_every_name_in_only_has_an_effect() -> None:
    net = build(NET)
    message = hold(LowRank(rank=2, only=("body", "depth")), net)
    assert message.kind is pattern_without_effect
    assert message.text.title == '`low_rank` leaves what `only` names by "depth" as it is'
    assert message.text.label == "`depth`: it is depthwise"
    message = hold(Prune(channels=0.5, only=("body", "head")), net)
    assert message.kind is pattern_without_effect
    assert message.text.title.endswith('what `only` names by "head" as it is')
    assert hold(LowRank(rank=2, only=("body", "stem")), net) is None
    assert hold(LowRank(rank=2, only=("*",)), net) is None, "one of what it names is enough"


STORING: list[Scheme] = [
    *(Stored8(), Stored4(), Float16(compute="never"), Bfloat16(compute="never")),
    *(Dynamic(), Dynamic(rest="float"), Weights8(), Weights4(rest="float")),
]
PATTERNS = [None, ("head",), ("depth",), ("body", "head"), ("body", "stem"), ("stem", "depth")]
ASKED = [
    *(
        Prune(pattern=text, only=only)
        for text in ("2:4", "1:3", "3:5", "8:16")
        for only in PATTERNS
    ),
    *(Prune(weights=share, only=only) for share in (0.5, 0.001, 0.005) for only in PATTERNS),
    *(Prune(weights=0.001, ranking="global", only=only) for only in PATTERNS),
    *(Quantize(scheme, only=only) for scheme in STORING for only in PATTERNS),
    *(LowRank(rank=rank, only=only) for rank in (1, 2, 12, 400) for only in PATTERNS),
    *(LowRank(rank=2, method="tucker", only=only) for only in PATTERNS if only != ("head",)),
    *(Prune(channels=share, only=only) for share in (0.5, 0.01, 0.9) for only in PATTERNS),
    *(Prune(channels=0.5, round_to=8, only=only) for only in PATTERNS),
    *(
        Quantize(Stored8(), except_=("body", "stem")),
        Quantize(Float16(compute="never", keep=("*",))),
    ),
]


@pytest.mark.parametrize("layers", ["", "small"])
def test_a_check_tells_what_a_build_would_find_of_shapes(layers: str) -> None:
    text = NET.replace("int = 12", "int = 6").replace("dense(4)", "dense(1)") if layers else NET
    net = build(text)
    refused = 0
    for step in ASKED:
        told = step.find_fault(net.graph, (), None)
        try:
            found = hold(step, net)
        except CompileError as error:
            (found,) = error.messages
        assert (found is None) == (told is None), (step, found, told)
        refused += told is not None
    assert 20 < refused < len(ASKED) - 20


def test_what_may_choose_may_choose_nothing() -> None:
    net = build(NET)
    assert hold(LowRank(rank=400, unless_slower=True), net) is None


def test_a_build_refuses_a_pass_that_does_nothing(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    with pytest.raises(CompileError) as caught:
        folder.build("low_rank(rank=40)", "size <= 80KiB")
    (message,) = caught.value.messages
    assert message.kind is pass_does_nothing
    assert message.span is not None
    assert "`head`: rank 10 would take 420 weights, it has 320" in message.text.label
