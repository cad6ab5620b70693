"""Widths that suit the target's kernels: rounded where the meter says that it pays."""

from __future__ import annotations

from collections.abc import Callable

from compiler.compression.base import CompressionContext
from compiler.compression.context import LayerNote
from compiler.compression.devices import BLOCKS
from compiler.ir.cost import summarize
from compiler.ir.weighted_net import WeightedNet

MULTIPLES = (1, *BLOCKS)
"""What widths may be rounded to: not at all, or so that they fill blocks."""
NEAR = 0.1
"""By what share of its parameters a rounded net may differ: it is to lose what was asked for."""
GAIN = 0.9
"""Rounded widths are taken where a call then needs at most this part of the time."""


def align_widths(make: Callable[[int], WeightedNet], context: CompressionContext) -> WeightedNet:
    """The net whose widths are rounded so that it is fastest; as they fall where there is no
    clock, or nothing to gain.

    Args:
        make: cuts a net so that widths are multiples of a number.
        context: has the meter.
    """
    exact = make(1)
    if context.latency_meter is None:
        context.note(LayerNote("prune", "", "", "no clock tells which widths are fastest"))
        return exact
    seen = {count(exact)}
    offered: dict[int, WeightedNet] = {}
    for multiple in BLOCKS:
        net = make(multiple)
        if count(net) not in seen and is_near(net, exact):  # else the same net, or too unlike
            offered[multiple] = net
        seen.add(count(net))
    if not offered:
        reason = "multiples of 8 or 16 leave the same net, or one of another size"
        context.note(LayerNote("prune", "", "widths as they fall", reason))
        return exact
    before, *seconds = context.latency_meter.compare([exact, *offered.values()])
    best, (multiple, net) = min(zip(seconds, offered.items(), strict=True), key=lambda it: it[0])
    reason = f"{best / before:.2f} of the time with widths as they fall"
    if best > GAIN * before:
        left = f"multiples of {multiple} would take {reason}"
        context.note(LayerNote("prune", "", "widths as they fall", left))
        return exact
    context.note(LayerNote("prune", "", f"widths are multiples of {multiple}", reason))
    return net


def is_near(net: WeightedNet, exact: WeightedNet) -> bool:
    """Whether rounding left about as many parameters."""
    return abs(count(net) - count(exact)) <= NEAR * count(exact)


def count(net: WeightedNet) -> int:
    """The number of its parameters."""
    return summarize(net.graph).parameters
