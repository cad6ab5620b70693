"""Channels that add nothing: removed, with the outputs of the net unchanged."""

from __future__ import annotations

import numpy as np

from compiler.compression.pruning.axes import Place
from compiler.compression.pruning.cutting import cut_net
from compiler.compression.pruning.groups import Channels, find_channels
from compiler.compression.pruning.zeros import collect_zeros, find_zero_entries
from compiler.compression.selecting import is_selected
from compiler.ir.weighted_net import WeightedNet


def remove_dead_neurons(
    net: WeightedNet,
    *,
    tolerance: float = 0.0,
    only: tuple[str, ...] | None = None,
    excluded: tuple[str, ...] = (),
) -> WeightedNet:
    """The net without channels that add nothing to its outputs, because they are zero or because
    every weight that reads them is. One channel of each group stays.

    Channels whose weights were driven to zero while training go like this. A channel that a mean
    or a norm sees is kept: even zeros count there. What is removed may make others dead, so it is
    tried again until nothing is found.

    Args:
        net: the net.
        tolerance: numbers up to this size count as zero.
        only: path patterns of the layers that may lose channels; None for all.
        excluded: patterns of those that may not.
    """
    while True:
        channels = find_channels(net.graph)
        dead = _find_dead(net, channels, tolerance)
        choices = []
        for group in channels.groups:
            allowed = all(is_selected(path, only, excluded) for path in group.makers)
            gone = np.isin(channels.channel_numbers(group), list(dead)) & allowed
            gone[0] &= not gone.all()
            choices.append(gone)
        if not any(gone.any() for gone in choices):
            return net
        net = cut_net(net, channels, channels.mark(choices))


def _find_dead(net: WeightedNet, channels: Channels, tolerance: float) -> set[int]:
    """The channels, by number, that nothing would miss."""
    zeros = find_zero_entries(net, channels, tolerance)
    alive: set[int] = set()
    for operand, weight in channels.readings:
        met = set(channels.channel_of(operand).tolist())
        idle = zeros.get(operand, frozenset())
        if weight is not None:
            idle |= _find_unread(net, channels, weight, tolerance)
        alive |= met - idle
    return {
        number
        for group in channels.groups
        if not group.mixed
        for number in channels.channel_numbers(group).tolist()
        if number not in alive
    }


def _find_unread(
    net: WeightedNet, channels: Channels, weight: Place, tolerance: float
) -> frozenset[int]:
    """The channels whose entries along an axis of a weight are all zero."""
    _, path, axis = weight
    if path not in net.weights:
        return frozenset()
    array = np.asarray(net.weights[path])
    return collect_zeros(channels.channel_of(weight), array, axis, tolerance)
