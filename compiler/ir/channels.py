"""What an analysis tells an op about the channels of its inputs, so that it says which of those of
its results are zero."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from compiler.ir.operands import Array, Types
from compiler.records import dataclass

Numbers = frozenset[int]
"""Channels, by number."""


@dataclass(frozen=True)
class ZeroChannels:
    """The channels of a node's inputs that are zero, whatever the inputs of the net are."""

    names: Sequence[str | None]
    types: Types
    zero: Mapping[str, Numbers]
    """The channels that are zero in each value, by its name."""
    zero_along: Callable[[str, int], Numbers]
    """Those along an axis of a value all of whose entries are."""
    channels_along: Callable[[str, int], Array]
    """The channel of each entry along an axis of a value."""
    weights: Mapping[str, Array]
    tolerance: float
    """What is taken for 0."""

    def of(self, index: int) -> Numbers:
        """The channels that are zero in an input; none of one that is left out."""
        name = self.names[index] if index < len(self.names) else None
        return self.zero.get(name, frozenset()) if name is not None else frozenset()

    def along(self, index: int, axis: int) -> Numbers:
        """The channels along an axis of a weight all of whose entries are zero."""
        return self.zero_along(self.name(index), axis)

    def join(self) -> Numbers:
        """The channels that are zero in every input that has them."""
        zero: Numbers = frozenset()
        alive: Numbers = frozenset()
        for index, kind in enumerate(self.types):
            if kind is not None:
                own = self.of(index)
                axes = (self.channels_along(self.name(index), axis) for axis in range(kind.rank))
                zero |= own
                alive |= frozenset(n for numbers in axes for n in numbers.tolist()) - own
        return zero - alive

    def numbers(self, index: int) -> Array:
        """The channel of each entry along the first axis of an input."""
        return self.channels_along(self.name(index), 0)

    def array(self, index: int) -> Array | None:
        """The entries of an input that is a weight, in f64."""
        found = self.weights.get(self.names[index] or "")
        return None if found is None else np.asarray(found, np.float64)

    def name(self, index: int) -> str:
        """The name of an input that is not left out."""
        name = self.names[index]
        assert name is not None, "what is asked for is there"
        return name
