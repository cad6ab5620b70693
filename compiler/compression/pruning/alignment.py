"""Widths that suit the target's kernels: rounded where the clock says that it pays."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

from compiler.compression.base import WeightedNet
from compiler.compression.world import LayerNote, World
from compiler.ir.cost import summarize

MULTIPLES = (1, 8, 16)
"""What widths are rounded to: not at all, or to the blocks of ONNX Runtime's convolutions (8 floats
with AVX2, 16 with AVX-512). A depthwise convolution whose channels fill no blocks leaves them, and
all around it is laid out anew."""
NEAR = 0.1
"""By what share of its parameters a rounded net may differ: it is to lose what was asked for."""
GAIN = 0.9
"""Rounded widths are taken where a call then needs at most this part of the time."""


def align_widths(make: Callable[[int], WeightedNet], world: World) -> WeightedNet:
    """The net whose widths are rounded so that it is fastest; as they fall where there is no
    clock, or nothing to gain.

    Args:
        make: cuts a net so that widths are multiples of a number.
        world: has the clock.
    """
    exact = make(MULTIPLES[0])
    if world.clock is None:
        return exact
    rounded = {multiple: make(multiple) for multiple in MULTIPLES[1:]}
    # A multiple that changes nothing more than the one before it is the same net.
    order = [exact, *rounded.values()]
    new = {id(after) for before, after in pairwise(order) if count(after) != count(before)}
    offered = {m: net for m, net in rounded.items() if id(net) in new and is_near(net, exact)}
    if not offered:
        return exact
    before, *seconds = world.clock.compare([exact, *offered.values()])
    best, (multiple, net) = min(zip(seconds, offered.items(), strict=True), key=lambda it: it[0])
    if best > GAIN * before:
        return exact
    reason = f"{best / before:.2f} of the time with widths as they fall"
    world.note(LayerNote("prune", "", f"widths are multiples of {multiple}", reason))
    return net


def is_near(net: WeightedNet, exact: WeightedNet) -> bool:
    """Whether rounding left about as many parameters."""
    return abs(count(net) - count(exact)) <= NEAR * count(exact)


def count(net: WeightedNet) -> int:
    """The number of its parameters."""
    return summarize(net.graph).parameters
