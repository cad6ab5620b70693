"""Which channels of an op's tensors go together: the coupling rules that structured pruning needs.

An op says for the axes of its inputs and outputs which entries are the same channel. An axis that
its rule does not name cannot be cut.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from itertools import pairwise
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from compiler.ir.inputs import NodeInput, Port
from compiler.records import dataclass
from compiler.types.dims import Dim, product
from compiler.types.tensor import TensorType

Array = NDArray[Any]


class Part(NamedTuple):
    """Entry j of `part` is entry `start + j` of `whole` (concat, split, slices, padding)."""

    whole: Port
    part: Port
    start: int = 0


class Factors(NamedTuple):
    """`whole` is the product of axes, row by row (flatten, reshape, groups).

    An entry of the whole goes with its entry of one factor; the others are never cut. `kept` is
    that factor's place; None leaves the choice to the analysis: the first that can be cut.
    """

    whole: Port
    factors: tuple[Port, ...]
    kept: int | None = None


class Reading(NamedTuple):
    """`weight` sums over the entries of `operand`: one that is zero in either adds nothing. None
    for a sum without weights."""

    operand: Port
    weight: Port | None = None


@dataclass(frozen=True)
class Coupling:
    """The coupling rule of one application of an op.

    - `ties`: axes whose entries are the same channels; a tie of one axis leaves it free.
    - `parts`, `factors`: axes that are pieces or products of others.
    - `made`: axes of weights whose entries each make one channel.
    - `read`: axes that channels are summed over.
    - `mixed`: axes along which even a channel of zeros counts (means, norms).
    """

    ties: tuple[tuple[Port, ...], ...] = ()
    parts: tuple[Part, ...] = ()
    factors: tuple[Factors, ...] = ()
    made: tuple[Port, ...] = ()
    read: tuple[Reading, ...] = ()
    mixed: tuple[Port, ...] = ()


@dataclass(frozen=True)
class CutTensor:
    """A tensor of which some entries stay: their positions along each axis, None for all."""

    old: TensorType
    kept: tuple[Array | None, ...]

    @property
    def type(self) -> TensorType:
        """The type of what stays."""
        sizes = (
            dim if kept is None else Dim.of(len(kept))
            for dim, kept in zip(self.old.shape, self.kept, strict=True)
        )
        return TensorType(self.old.dtype, tuple(sizes))

    def count_before(self, axis: int, end: int) -> int:
        """How many entries stay of those in front of a position."""
        kept = self.kept[axis]
        return end if kept is None else int(np.searchsorted(kept, end))

    def is_cut(self, axis: int) -> bool:
        """Whether entries along an axis go."""
        return self.kept[axis] is not None


def result(axis: int, index: int = 0) -> Port:
    """An axis of an output."""
    return Port("out", index, axis)


def inner(number: int, size: int) -> Port:
    """An axis that no tensor has."""
    return Port("inner", number, size)


def tie_same(
    x: NodeInput, rank: int, *, outputs: int = 1, without: Collection[int] = ()
) -> tuple[tuple[Port, ...], ...]:
    """Ties of the first axes of an input with the same ones of each output."""
    return tuple(
        (x.axis(axis), *(result(axis, i) for i in range(outputs)))
        for axis in range(rank)
        if axis not in without
    )


def tie_moved(x: NodeInput, pairs: Iterable[tuple[int, int]]) -> tuple[tuple[Port, ...], ...]:
    """Ties of axes of an input with axes of the output."""
    return tuple((x.axis(a), result(b)) for a, b in pairs)


def tie_last(x: NodeInput, output: TensorType) -> tuple[tuple[Port, ...], ...]:
    """Ties of an input's axes with the output's last ones, where these have the same size."""
    fresh = output.rank - x.rank
    same = (a for a in range(x.rank) if x.shape[a] == output.shape[a + fresh])
    return tie_moved(x, ((a, a + fresh) for a in same))


def tie_broadcast(
    inputs: Sequence[NodeInput | None], output: TensorType, *, behind: int = 0
) -> tuple[tuple[Port, ...], ...]:
    """Ties of operands that are broadcast, but for the last `behind` axes of all."""
    ties = []
    for axis in range(output.rank - behind):
        ports = [result(axis)]
        for found in filter(None, inputs):
            own = axis - (output.rank - found.rank)
            if own >= 0 and (found.shape[own] != 1 or output.shape[axis] == 1):
                ports.append(found.axis(own))
        ties.append(tuple(ports))
    return tuple(ties)


def tie_stack(
    rank: int, axis: int, whole: Callable[[int], Port], pieces: Sequence[Callable[[int], Port]]
) -> tuple[tuple[Port, ...], ...]:
    """Ties of a tensor of that rank with the pieces side by side along one of its axes, of which
    an op makes it, or which it takes from it: all are given by what finds their axes."""
    outside = (a for a in range(rank) if a != axis % rank)
    return tuple(
        (whole(place), *(piece(inside) for piece in pieces)) for inside, place in enumerate(outside)
    )


def tie_channels(axis: int, x: NodeInput, *vectors: NodeInput) -> tuple[Port, ...]:
    """The tie of an input's channels with the output's and with vectors of an entry for each."""
    return (x.axis(axis), result(axis), *(vector.axis(0) for vector in vectors))


def lay_parts(whole: Port, parts: Sequence[Port], sizes: Sequence[Dim]) -> tuple[Part, ...]:
    """Parts of an axis, one after the other; none where a size is not known."""
    starts = [sum(sizes[:i], start=Dim.of(0)) for i in range(len(sizes) + 1)]
    if starts[-1].known is None:
        return ()
    return tuple(
        Part(whole, part, start.known or 0) for part, start in zip(parts, starts, strict=False)
    )


def couple_pieces(x: NodeInput, axis: int, outputs: Sequence[TensorType]) -> Coupling:
    """The rule of an op that cuts an axis into pieces, which have all other axes in common."""
    rank = outputs[0].rank
    place = axis % rank
    ties = tie_same(x, rank, outputs=len(outputs), without=(place,))
    ports = [result(place, i) for i in range(len(outputs))]
    return Coupling(ties, lay_parts(x.axis(place), ports, [t.shape[place] for t in outputs]))


def cut_pieces(axis: int, outputs: Sequence[CutTensor]) -> tuple[int, ...] | None:
    """The sizes of the pieces of an axis; None where none of them is cut."""
    place = axis % outputs[0].old.rank
    if not any(piece.is_cut(place) for piece in outputs):
        return None
    return tuple(piece.type.shape[place].known or 0 for piece in outputs)


ShapeField = TypeVar("ShapeField")


def cut_shape(shape: tuple[ShapeField, ...], output: CutTensor) -> tuple[ShapeField | int, ...]:
    """The sizes that an op names for its output, once that is cut. They are lined up with its
    axes from the front; behind an item that stands for other axes than one (`...`), from the
    end."""
    sizes: list[ShapeField | int] = list(shape)
    rank = output.old.rank
    rest = next((i for i, s in enumerate(shape) if not isinstance(s, int | Dim)), len(shape))
    for place, size in enumerate(shape):
        axis = place if place < rest else place + rank - len(shape)
        if place != rest and size != -1 and output.is_cut(axis):
            sizes[place] = output.type.shape[axis].known or 0
    return tuple(sizes)


def group_axis(axis: Port, groups: int, channels: int, index: int = 0) -> Factors:
    """Channels in groups as a product of groups and channels in each, inner ports `index` and
    `index + 1`."""
    pair = (inner(index, groups), inner(index + 1, channels // groups))
    return Factors(axis, pair, 0 if counts_groups(channels, groups) else 1)


def cut_groups(tensor: CutTensor, axis: int, groups: int) -> int:
    """How many groups are left of those along an axis of a tensor."""
    channels = tensor.old.shape[axis].known or 0
    if not counts_groups(channels, groups):
        return groups
    return (tensor.type.shape[axis].known or 0) // (channels // groups)


def couple_convolution(
    x: NodeInput, weight: NodeInput, bias: NodeInput | None, out: int, groups: int, made: int
) -> Coupling:
    """The rule of a convolution whose weight has the output channels on the axis `made`, 0 or 1.

    With groups, one of the two axes of the weight holds the channels of one group only.
    """
    channels = x.shape[1].known or 0
    incoming, outgoing = x.axis(1), result(1)
    wide, narrow = weight.axis(0), weight.axis(1)
    added = (bias.axis(0),) if bias is not None else ()
    batch = (x.axis(0), result(0))
    if groups == 1:
        weight_in, weight_out = (narrow, wide) if made == 0 else (wide, narrow)
        ties = (batch, (incoming, weight_in), (outgoing, weight_out, *added))
        return Coupling(ties, made=(weight_out,), read=(Reading(incoming, weight_in),))
    wide_tie = (outgoing, wide) if made == 0 else (incoming, wide)
    ties = (batch, wide_tie, (outgoing, *added))
    inputs_of_groups = group_axis(incoming, groups, channels)
    whole = inputs_of_groups.kept == 0
    share = inner(2, out // groups)
    outputs_of_groups = Factors(outgoing, (inputs_of_groups.factors[0], share), 0 if whole else 1)
    factors = (inputs_of_groups, outputs_of_groups)
    if whole:  # a group goes with its inputs, its outputs and its weights
        return Coupling(ties, factors=factors, made=(wide,))
    each = share if made == 1 else inputs_of_groups.factors[1]
    reading = Reading(incoming, narrow if made == 0 else wide)
    made_port = wide if made == 0 else narrow
    return Coupling((*ties, (narrow, each)), factors=factors, made=(made_port,), read=(reading,))


def counts_groups(channels: int, groups: int) -> bool:
    """Whether channels in groups are cut by whole groups, or alike in every group: what leaves
    the finer choice."""
    return groups >= channels // groups


def factor_shapes(
    x: NodeInput, target_shape: Sequence[Dim]
) -> tuple[tuple[tuple[Port, ...], ...], tuple[Factors, ...]]:
    """Ties and factors of a reshape: the axes of both shapes as products of common factors."""
    ties: list[tuple[Port, ...]] = []
    factors: list[Factors] = []
    count = 0
    for left, right in _find_blocks(x.shape, target_shape):
        sizes = _refine([x.shape[a] for a in left], [target_shape[a] for a in right])
        places = [inner(count + i, size) for i, size in enumerate(sizes)]
        count += len(sizes)
        sides = [(x.axis(a), x.shape[a]) for a in left]
        for ports in (sides, [(result(a), target_shape[a]) for a in right]):
            rest = list(places)
            for port, size in ports:
                taken = _take(rest, size.known or 0)
                if len(taken) == 1:
                    ties.append((port, taken[0]))
                elif taken:
                    factors.append(Factors(port, taken))
    return tuple(ties), tuple(factors)


def _find_blocks(left: Sequence[Dim], right: Sequence[Dim]) -> list[tuple[range, range]]:
    """The smallest runs of axes of two shapes that hold the same number of elements."""
    held = [product(left[:i]) for i in range(len(left) + 1)]
    wanted = [product(right[:j]) for j in range(len(right) + 1)]
    cuts = [(0, 0)]
    while cuts[-1] != (len(left), len(right)):
        i, j = cuts[-1]
        later = [
            (a, b)
            for a in range(i, len(held))
            for b in range(j, len(wanted))
            if (a, b) != (i, j) and held[a] == wanted[b]
        ]
        if not later:  # equal only by a promise about sizes
            break
        cuts.append(min(later, key=sum))
    return [(range(a[0], b[0]), range(a[1], b[1])) for a, b in pairwise(cuts)]


def _refine(left: Sequence[Dim], right: Sequence[Dim]) -> list[int]:
    """The common factors of two ways to write a product; none where they do not interlock."""
    if len(left) == len(right) == 1:
        return [left[0].known] if left[0].known else []
    if any(size.known is None for size in (*left, *right)):
        return []
    bounds = {1}
    for sizes in (left, right):
        bounds |= {product(sizes[: i + 1]).known or 0 for i in range(len(sizes))}
    ordered = sorted(bounds)
    pairs = list(pairwise(ordered))
    return [b // a for a, b in pairs] if all(b % a == 0 for a, b in pairs) else []


def _take(places: list[Port], size: int) -> tuple[Port, ...]:
    """Takes the next factors off the list until their product is the size."""
    taken: list[Port] = []
    held = 1
    while places and held < size:
        taken.append(places.pop(0))
        held *= taken[-1].axis
    return tuple(taken)
