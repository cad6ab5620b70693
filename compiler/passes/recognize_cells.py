"""Loops that are an LSTM or a GRU, written as that: one op for all steps."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import final

from compiler.ir.graph import Graph, Node, Value
from compiler.ops.fused.cells import GruLoop, LstmLoop
from compiler.ops.scan import Scan
from compiler.passes.base import Context, Pass
from compiler.passes.cell_algebra import BodyAlgebra, Signal, Sum, Unknown
from compiler.passes.cell_patterns import (
    FoundGru,
    FoundLstm,
    list_pieces,
    match_gru,
    match_lstm,
)
from compiler.passes.cell_weights import CellWeights
from compiler.passes.declared_layers import declare_layers
from compiler.passes.rewrite import Rewriter
from compiler.types.dims import equal
from compiler.types.tensor import DType

Found = FoundLstm | FoundGru


@final
@dataclass(frozen=True)
class RecognizeCells(Pass):
    """A `scan` whose body is an LSTM, with or without peepholes, or a GRU becomes one op. The body
    is compared by what it computes, multiplied out: in which order gates stand, and whether their
    weights are one matrix or many, makes no difference.

    - `for_torch`: only what PyTorch has, and layers in the body leave a module behind that holds
      their weights where they were.
    """

    name = "recognize_cells"
    for_torch: bool = False

    def run(self, graph: Graph, context: Context) -> Graph:
        """The graph in which such loops are one op."""
        rewriter = Rewriter(graph)
        for node in graph.nodes:
            if not isinstance(node.op, Scan):
                rewriter.keep(node)
                continue
            try:
                cell = _Cell(node, node.op, for_torch=self.for_torch)
            except Unknown as reason:
                self.leave(context, node, str(reason))
                rewriter.keep(node)
                continue
            cell.write(rewriter)
        return rewriter.graph()


class _Cell:
    """A loop that is a known cell."""

    def __init__(self, node: Node, scan: Scan, *, for_torch: bool) -> None:
        self.node = replace(node, origin=replace(node.origin, picks=()))
        self.scan = scan
        self.for_torch = for_torch
        self.algebra = BodyAlgebra(scan)
        _need_plain(scan, node)
        self.found = self._match()
        self.weights = CellWeights(self.algebra, self.node, self._hidden)
        self._need_whole()

    @property
    def _hidden(self) -> int:
        return self.algebra.rows[self.found.h][0][0]

    def _match(self) -> Found:
        scan, read = self.scan, self.algebra.read
        ends = [read(output.value) for output in scan.body.outputs]
        signals = [self.algebra.read(item.value).single for item in scan.carried]
        states = [s for s in signals if isinstance(s, Signal)]
        if len(states) != scan.states:
            raise Unknown("a state is no row of numbers of f32")
        found: Found
        match states, ends:
            case [h], [new, *_]:
                found = match_gru(h, new)
                if self.for_torch and not found.reset_after:
                    raise Unknown("PyTorch's GRU resets behind the product")
                output = new
            case [a, b], [new_a, new_b, *_]:
                found, output = _match_either((a, new_a), (b, new_b))
                if self.for_torch and any(gate.peephole for gate in found.gates):
                    raise Unknown("PyTorch's LSTM has no peepholes")
            case _:
                raise Unknown(f"it has {len(states)} states")
        if any(end != output for end in ends[scan.states :]):
            raise Unknown("it emits something else than its output")
        return found

    def _need_whole(self) -> None:
        """Raises `Unknown` unless every gate sees the same whole sequences and the state."""
        gates = [*self.found.gates]
        slices = gates[0].inputs.keys()
        for gate in gates:
            if not slices or gate.inputs.keys() != slices:
                raise Unknown("its gates see different sequences")
        holders = gates
        if isinstance(self.found, FoundGru):
            holders = [*gates[:2], self.found.fed]
        if any(holder.state is None for holder in holders):
            raise Unknown("a gate does not see the state")
        for piece in list_pieces([*gates, *holders]):
            self.weights.check(piece)

    def write(self, rewriter: Rewriter) -> None:
        """Adds the cell in place of the loop."""
        node, scan = self.node, self.scan
        if self.for_torch:
            declare_layers(rewriter, node, scan)
        weights, found = self.weights, self.found
        weights.begin(rewriter)
        axis = scan.axis % (scan.slices[0].value.type.rank + 1)
        x = weights.join_sequences(list(found.gates[0].inputs))
        op: LstmLoop | GruLoop
        if isinstance(found, FoundLstm):
            op = LstmLoop(axis, scan.reverse)
            rest = weights.write_lstm(found)
            states = [found.h, found.c]
        else:
            op = GruLoop(axis, scan.reverse, found.reset_after)
            rest = weights.write_gru(found)
            states = [found.h]
        carried = [item.name for item in scan.carried]
        places = [carried.index(name) for name in states]
        first = [rewriter.current(self._start(place)) for place in places]
        stacked = node.outputs[scan.states :]
        ends = [node.outputs[place].name for place in places]
        name = stacked[0].name if stacked else rewriter.free_name(f"%{op.name}")
        aligned = [a % (self.node_rank) == axis for a in scan.emit_axes]
        if stacked and not aligned[0]:
            name = rewriter.free_name(f"%{op.name}")
        y, *_ = rewriter.apply(op, [x, *first, *rest], node, [name, *ends])
        for value, in_place in zip(stacked, aligned, strict=True):
            if value.name == name:
                continue
            made = y if in_place else weights.swap_axes(y)
            rewriter.replace(value, made)

    @property
    def node_rank(self) -> int:
        """The rank of sequences."""
        return self.scan.slices[0].value.type.rank + 1

    def _start(self, place: int) -> Value:
        value = self.node.inputs[self.scan.sequences + place]
        assert value is not None, "a state has a start"
        return value


def _match_either(first: tuple[Signal, Sum], second: tuple[Signal, Sum]) -> tuple[FoundLstm, Sum]:
    """The LSTM whose h is the one state and whose c the other, and its output."""
    (a, new_a), (b, new_b) = first, second
    try:
        return match_lstm(a, b, new_a, new_b), new_a
    except Unknown as reason:
        try:
            return match_lstm(b, a, new_b, new_a), new_b
        except Unknown as other:
            told = str(other) if str(reason).startswith("its cell state") else str(reason)
            raise Unknown(told) from None


def _need_plain(scan: Scan, node: Node) -> None:
    """Raises `Unknown` unless a loop goes over rows of sequences to their end."""
    if scan.count is not None or scan.until:
        raise Unknown("it counts, or may end early")
    slices = [item.value.type for item in scan.slices]
    states = [item.value.type for item in scan.carried]
    if not states or any(t.rank != 2 or t.dtype is not DType.F32 for t in (*slices, *states)):
        raise Unknown("its slices and states are no rows of f32")
    if scan.axis % 3 > 1 or any(axis % 3 > 1 for axis in scan.emit_axes):
        raise Unknown("its steps go along the last axis")
    rows = slices[0].shape[0]
    if any(equal(t.shape[0], rows) is not True for t in (*slices, *states)):
        raise Unknown("its slices and states have different numbers of rows")
    if any(t.shape[1].known is None for t in (*slices, *states)):
        raise Unknown("a size is not known")
