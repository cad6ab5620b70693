"""The weights of a known cell, put together from the matrices and vectors of its gates."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from compiler.ir.graph import Node, Op, Value
from compiler.ops.arithmetic import Add, Neg
from compiler.ops.creation import Constant, ZerosLike
from compiler.ops.fused.products import SplitColumns
from compiler.ops.indexing import Index
from compiler.ops.items import SliceItem
from compiler.ops.joining import Chunk, Concat
from compiler.ops.shaping import Transpose
from compiler.passes.cell_algebra import BodyAlgebra, Piece, Signal, Sum, Unknown
from compiler.passes.cell_patterns import FoundGru, FoundLstm, Gate
from compiler.passes.rewrite import Rewriter


class CellWeights:
    """Writes the weights of one loop before it. `hidden` is the size of its state."""

    def __init__(self, algebra: BodyAlgebra, node: Node, hidden: int) -> None:
        self.algebra = algebra
        self.scan = algebra.scan
        self.node = node
        self.hidden = hidden
        self.outside = {
            item.name: value
            for item, value in zip(
                self.scan.captured,
                node.inputs[self.scan.sequences + self.scan.states :],
                strict=True,
            )
            if value is not None
        }
        self.made: dict[object, tuple[Value, ...]] = {}
        self.rewriter: Rewriter

    def begin(self, rewriter: Rewriter) -> None:
        """Where nodes are added."""
        self.rewriter = rewriter

    def check(self, piece: Piece) -> None:
        """Raises `Unknown` unless a piece is one of equal gates in its matrix, and what stands in
        front of the matrix is whole."""
        size = piece.stop - piece.start
        if size != self.hidden or piece.start % size or piece.total % size:
            raise Unknown("a matrix is not made of gates of one size")
        for part in self.algebra.layouts[piece.name, piece.turned]:
            self._measure(part)

    def _measure(self, part: Sum) -> str:
        """The sequence or state that is as wide as what a matrix is applied to: its name."""
        atoms = {a for term, _ in part.terms for a, _ in term if isinstance(a, Signal)}
        whole = [a for a in atoms if a.kind != "fixed" and self._is_whole(a)]
        if len(part.terms) != 1 or len(whole) != 1:
            raise Unknown("a matrix is applied to something else than sequences and states")
        return whole[0].name

    def _is_whole(self, signal: Signal) -> bool:
        return (signal.start, signal.stop) == (0, self.algebra.rows[signal.name][0][0])

    # --- all of a cell --------------------------------------------------------------------------

    def write_lstm(self, found: FoundLstm) -> list[Value | None]:
        """Both matrices, the bias, and the peepholes of i, o and f."""
        gates = found.gates
        i, f, _, o = gates
        weights = [self._join_inputs(gates), self._join_state(gates, gates)]
        bias, rest = self._take_whole([gate.biases for gate in gates])
        seen: Value | None = None
        peepholes = [gate.peephole for gate in (i, o, f)]
        if any(peepholes):
            vectors = [[vector] if vector is not None else [] for vector in peepholes]
            seen = self._join_vectors(vectors, [Gate() for _ in vectors], "peepholes")
        return [*weights, self._sum([*bias, *self._rest(rest, gates, "bias")], "bias"), seen]

    def write_gru(self, found: FoundGru) -> list[Value | None]:
        """Both matrices and both biases."""
        gates, fed = found.gates, found.fed
        r, z, _ = gates
        inside = (r, z, fed)
        weights = [self._join_inputs(gates), self._join_state(inside, gates)]
        first: list[Value] = []
        second: list[Value] = []
        rest = [gate.biases for gate in gates]
        inner: list[list[Signal]] = [[], [], fed.biases]
        if not z.negated:
            first, rest = self._take_whole(rest)
            second, (*left, inner[2]) = self._take_whole([*rest[:2], fed.biases])
            rest = [*left, rest[2]]
        bias = self._sum([*first, *self._rest(rest, gates, "input_bias")], "input_bias")
        more = self._rest(inner, [Gate(), Gate(), fed], "state_bias")
        return [*weights, bias, self._sum([*second, *more], "state_bias")]

    def join_sequences(self, names: Sequence[str]) -> Value:
        """The sequences that gates see, side by side."""
        values = [self._sequence(name) for name in names]
        return values[0] if len(values) == 1 else self._apply(Concat(-1), *values)

    def swap_axes(self, y: Value) -> Value:
        """The first two axes exchanged."""
        return self._apply(Transpose(0, 1), y)

    # --- matrices -------------------------------------------------------------------------------

    def _join_inputs(self, gates: Sequence[Gate]) -> Value:
        """The matrix of all gates for the sequences."""
        names = list(gates[0].inputs)
        label = "input_weight"
        columns = [
            self._stack([gate.inputs[name] for gate in gates], gates, label) for name in names
        ]
        return columns[0] if len(columns) == 1 else self._apply(Concat(1), *columns, label=label)

    def _join_state(self, holders: Sequence[Gate], gates: Sequence[Gate]) -> Value:
        """The matrix of all gates for the state."""
        pieces = [holder.state for holder in holders]
        found = [piece for piece in pieces if piece is not None]
        return self._stack(found, gates, "state_weight")

    def _stack(self, pieces: Sequence[Piece], gates: Sequence[Gate], label: str) -> Value:
        """The rows of all gates."""
        bases = [self._base(piece) for piece in pieces]
        places = [(p.start // self.hidden, p.total // self.hidden) for p in pieces]
        plain = not any(gate.negated for gate in gates)
        whole = [(place, len(bases)) for place in range(len(bases))]
        if plain and len(set(bases)) == 1 and list(places) == whole:
            return bases[0]
        rows = [self._row(*row) for row in zip(bases, places, strict=True)]
        return self._apply(Concat(0), *map(self._turn, rows, gates), label=label)

    def _turn(self, value: Value, gate: Gate) -> Value:
        """With the sign of its gate."""
        return self._apply(Neg(), value) if gate.negated else value

    def _row(self, base: Value, place: tuple[int, int]) -> Value:
        """One of the equal parts of the rows of a weight."""
        number, parts = place
        if parts == 1:
            return base
        return self._once(("rows", base.name, parts), lambda: self._apply_all(Chunk(parts), base))[
            number
        ]

    def _base(self, piece: Piece) -> Value:
        """The columns of a matrix that are for one of the things side by side in front of it."""
        layout = self.algebra.layouts[piece.name, piece.turned]
        weight = self.fixed(piece.name)
        if piece.turned:
            turned = self._once(
                ("turned", piece.name), lambda: (self._apply(Transpose(0, 1), weight),)
            )
            weight = turned[0]
        if len(layout) == 1:
            return weight
        beside = [self._measure(part) for part in layout]
        labels = [f"{'state' if self._is_state(name) else 'input'}_weight" for name in beside]
        tensors = map(self._measured, beside)
        parts = self._once(
            ("columns", weight.name),
            lambda: self._apply_all(SplitColumns(), weight, *tensors, labels=labels),
        )
        return parts[piece.column]

    def _measured(self, name: str) -> Value:
        """A tensor outside of the loop that is as wide as a slice or state."""
        if not self._is_state(name):
            return self._sequence(name)
        carried = [item.name for item in self.scan.carried]
        value = self.node.inputs[self.scan.sequences + carried.index(name)]
        assert value is not None, "a state has a start"
        return self.rewriter.current(value)

    def _is_state(self, name: str) -> bool:
        return any(item.name == name for item in self.scan.carried)

    def _sequence(self, name: str) -> Value:
        value = self.node.inputs[[item.name for item in self.scan.slices].index(name)]
        assert value is not None, "a scan has its sequences"
        return self.rewriter.current(value)

    # --- vectors --------------------------------------------------------------------------------

    def _take_whole(
        self, biases: Sequence[Sequence[Signal]]
    ) -> tuple[list[Value], list[list[Signal]]]:
        """Vectors that hold a number for every gate, in their order; and what each gate has
        besides."""
        rest = [list(gate) for gate in biases]
        whole: list[Value] = []
        for vector in biases[0]:
            value = self.algebra.rows[vector.name][0][0]
            row = [
                Signal("fixed", vector.name, place * self.hidden, (place + 1) * self.hidden)
                for place in range(len(biases))
            ]
            if value == len(biases) * self.hidden and all(
                own in gate for own, gate in zip(row, rest, strict=True)
            ):
                whole.append(self.fixed(vector.name))
                for own, gate in zip(row, rest, strict=True):
                    gate.remove(own)
        return whole, rest

    def _rest(
        self,
        biases: Sequence[Sequence[Signal]],
        gates: Sequence[Gate],
        label: str,
    ) -> list[Value]:
        """What else is added to gates, as one vector; nothing where nothing is."""
        if not any(biases) and not any(gate.number for gate in gates):
            return []
        return [self._join_vectors(biases, gates, label)]

    def _join_vectors(
        self, vectors: Sequence[Sequence[Signal]], gates: Sequence[Gate], label: str
    ) -> Value:
        """A vector for each gate: the sum of its own, zeros where it has none."""
        known = [[self._vector(own) for own in gate] for gate in vectors]
        like = next((own for gate in known for own in gate), None) or self._column()
        rows: list[Value] = []
        for gate, own in zip(gates, known, strict=True):
            row = self._sum(own)
            if row is None:
                row, *_ = self._once(
                    ("zeros", like.name), lambda: (self._apply(ZerosLike(), like, label="zeros"),)
                )
            if gate.number:
                row = self._apply(Add(), row, self._apply(Constant(gate.number)))
            rows.append(self._turn(row, gate))
        return self._apply(Concat(0), *rows, label=label)

    def _vector(self, signal: Signal) -> Value:
        parts = self.algebra.rows[signal.name][0][0] // self.hidden
        return self._row(self.fixed(signal.name), (signal.start // self.hidden, parts))

    def _column(self) -> Value:
        """A vector as long as the state."""
        value = self.node.inputs[self.scan.sequences]
        assert value is not None, "a state has a start"
        return self._apply(Index((0, SliceItem())), self.rewriter.current(value))

    def _sum(self, values: Sequence[Value], label: str = "") -> Value | None:
        """All values added up; None where there are none."""
        if not values:
            return None
        total = values[0]
        for value in values[1:]:
            total = self._apply(Add(), total, value, label=label)
        return total

    # --- nodes ----------------------------------------------------------------------------------

    def fixed(self, name: str) -> Value:
        """What is the same in every step, outside of the loop."""
        if name in self.outside:
            return self.rewriter.current(self.outside[name])
        node = self.algebra.fixed[name]
        inputs = [None if v is None else self.fixed(v.name) for v in node.inputs]
        made = self._once(
            ("node", node.outputs[0].name), lambda: self.rewriter.apply(node.op, inputs, node)
        )
        return made[[output.name for output in node.outputs].index(name)]

    def _once(self, key: object, make: Callable[[], tuple[Value, ...]]) -> tuple[Value, ...]:
        if key not in self.made:
            self.made[key] = make()
        return self.made[key]

    def _apply(self, op: Op, *values: Value, label: str = "") -> Value:
        return self._apply_all(op, *values, labels=[label] if label else [])[0]

    def _apply_all(self, op: Op, *values: Value, labels: Sequence[str] = ()) -> tuple[Value, ...]:
        return self.rewriter.apply(op, values, self.node, self.rewriter.free_names(labels))
