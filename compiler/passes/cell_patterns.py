"""Which known cell a loop's states follow: an LSTM, with or without peepholes, or a GRU."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from compiler.passes.cell_algebra import (
    ONE,
    Atom,
    Monomial,
    Piece,
    Product,
    Signal,
    Squashed,
    Sum,
    Unknown,
)


@dataclass
class Gate:
    """What a gate is squashed from: a piece of a matrix for each sequence, one for the state,
    vectors that are added, and the vector that the cell's own state is multiplied with."""

    inputs: dict[str, Piece] = field(default_factory=dict)
    state: Piece | None = None
    biases: list[Signal] = field(default_factory=list)
    number: float = 0.0
    peephole: Signal | None = None
    negated: bool = False


@dataclass(frozen=True)
class FoundLstm:
    """The states that are h and c, and the gates i, f, g and o."""

    h: str
    c: str
    gates: tuple[Gate, ...]


@dataclass(frozen=True)
class FoundGru:
    """The state, the gates r, z and n, and, where r multiplies what a matrix makes of the state,
    what is added to that."""

    h: str
    gates: tuple[Gate, ...]
    fed: Gate
    """Of the candidate: the piece for the state and what is added inside."""
    reset_after: bool


def match_lstm(h: Signal, c: Signal, new_h: Sum, new_c: Sum) -> FoundLstm:
    """The LSTM with these states.

    Raises:
        Unknown: it is none; says why.
    """
    kept, written = _split_cell(new_c, c)
    f = _gate(kept, "sigmoid")
    i, g = _pair(written, "sigmoid", "tanh")
    o, seen = _pair(new_h, "sigmoid", "tanh")
    if seen != new_c:
        raise Unknown("its output is not the tanh of the new cell state")
    gates = (
        _read_gate(i, h, c),
        _read_gate(f, h, c),
        _read_gate(g, h),
        _read_gate(_factor_peephole(o, new_c, c), h, c),
    )
    return FoundLstm(h.name, c.name, gates)


def match_gru(h: Signal, new_h: Sum) -> FoundGru:
    """The GRU with this state.

    Raises:
        Unknown: it is none; says why.
    """
    z, n, negated = _split_mixture(new_h, h)
    inner, fed, r = _split_candidate(n, h)
    update = _read_gate(z, h)
    update.negated = negated
    reset = _read_gate(r, h)
    candidate = _read_gate(inner, None)
    after = fed is not None
    if fed is not None:
        inside = _read_gate(fed, h)
        if inside.inputs or inside.state is None:
            raise Unknown("its reset gate multiplies something else than the state's product")
    else:
        inside = Gate(state=_find_early(n, h, r))
    return FoundGru(h.name, (reset, update, candidate), inside, after)


# --- sums --------------------------------------------------------------------------------------


def _split_cell(new: Sum, c: Signal) -> tuple[Sum, Sum]:
    """The factor of the old cell state in the new one, and the rest."""
    kept, rest = _divide(new, c)
    if len(kept.terms) != 1 or len(rest.terms) != 1:
        raise Unknown("its cell state is not `f * c + i * g`")
    return kept, rest


def _divide(total: Sum, atom: Atom) -> tuple[Sum, Sum]:
    """`(a, b)` with `total = a * atom + b`, where `b` has no such factor."""
    inside: dict[Monomial, float] = {}
    outside: dict[Monomial, float] = {}
    for term, factor in total.terms:
        powers = dict(term)
        power = powers.pop(atom, 0)
        if power > 1:
            raise Unknown("a state is multiplied with itself")
        made = inside if power else outside
        made[frozenset(powers.items())] = factor
    return Sum.of(inside), Sum.of(outside)


def _gate(total: Sum, function: str) -> Sum:
    """The sum inside a sum that is one gate."""
    atom = total.single
    if not isinstance(atom, Squashed) or atom.function != function:
        raise Unknown(f"a {function} stands where another factor is")
    return atom.inner


def _pair(total: Sum, *functions: str) -> tuple[Sum, ...]:
    """The sums inside a product of two gates with these functions."""
    match [*total.terms]:
        case [(term, 1.0)] if len(term) == 2 and all(power == 1 for _, power in term):
            found = {a.function: a.inner for a, _ in term if isinstance(a, Squashed)}
            if found.keys() == set(functions):
                return tuple(found[name] for name in functions)
    raise Unknown(f"it is no product of {' and '.join(functions)}")


def _factor_peephole(o: Sum, new_c: Sum, c: Signal) -> Sum:
    """The sum inside the output gate, with a peephole to the new cell state written as one to the
    old; one that sees the old state is none."""
    for vector in {a for term, _ in o.terms for a, _ in term if isinstance(a, Signal)}:
        if vector.kind != "fixed":
            continue
        seen, rest = _divide(o, vector)
        if seen == new_c:
            return rest.plus(Sum.atom(vector).times(Sum.atom(c)))
    if any(atom == c for term, _ in o.terms for atom, _ in term):
        raise Unknown("its output gate sees the cell state before the step")
    return o


def _split_mixture(new: Sum, h: Signal) -> tuple[Sum, Sum, bool]:
    """What the update gate and the candidate are squashed from, of `(1 - z) * n + z * h`, and
    whether it is written with the gate of the candidate instead: `z * n + (1 - z) * h`."""
    kept, rest = _divide(new, h)
    gates = [a for term, _ in kept.terms for a, _ in term if isinstance(a, Squashed)]
    if len(gates) == 1 and gates[0].function == "sigmoid":
        (z,) = gates
        gate, one = Sum.atom(z), Sum.number(1.0)
        for part in (gate, one.plus(gate, -1.0)):
            other = one.plus(part, -1.0)
            n = _find_candidate(rest, z)
            if kept == part and n is not None and rest == other.times(Sum.atom(n)):
                return z.inner, n.inner, part != gate
    raise Unknown("its state is no mixture of itself and a candidate")


def _find_candidate(rest: Sum, z: Squashed) -> Squashed | None:
    found = {a for term, _ in rest.terms for a, _ in term if a != z}
    match [*found]:
        case [Squashed("tanh") as n]:
            return n
    return None


def _split_candidate(n: Sum, h: Signal) -> tuple[Sum, Sum | None, Sum]:
    """Of what the candidate is squashed from: what the reset gate has no part in, what it
    multiplies (None where that is the state itself), and what it is squashed from."""
    gates = {a for term, _ in n.terms for a, _ in term if isinstance(a, Squashed)}
    if len(gates) == 1:
        (r,) = gates
        if r.function == "sigmoid":
            fed, rest = _divide(n, r)
            return rest, fed, r.inner
    early = [a for a in _list_products(n) if a.operand.single is None]
    if not gates and len(early) == 1:
        (product,) = early
        kept, rest = _divide(product.operand, h)
        if not rest.terms:
            return _divide(n, product)[1], None, _gate(kept, "sigmoid")
    raise Unknown("its candidate has no reset gate")


def _find_early(n: Sum, h: Signal, r: Sum) -> Piece:
    """The piece that is applied to `r * h`."""
    wanted = Sum.atom(Squashed("sigmoid", r)).times(Sum.atom(h))
    (product,) = [a for a in _list_products(n) if a.operand == wanted]
    if _divide(n, product)[0] != Sum.number(1.0):
        raise Unknown("a product is multiplied with something")
    return product.piece


def _list_products(total: Sum) -> Iterator[Product]:
    return (a for term, _ in total.terms for a, _ in term if isinstance(a, Product))


def _read_gate(total: Sum, h: Signal | None, c: Signal | None = None) -> Gate:
    """A gate as products of sequences and of the state `h`, vectors, and a peephole to `c`."""
    gate = Gate()
    for term, factor in total.terms:
        if term == ONE:
            gate.number += factor
            continue
        atoms = [a for a, power in term for _ in range(power)]
        if factor != 1.0:
            raise Unknown("a part of a gate has a factor")
        match atoms:
            case [Product(operand, piece)]:
                _add_product(gate, operand, piece, h)
            case [Signal("fixed") as vector]:
                gate.biases.append(vector)
            case [Signal(), Signal()] if c is not None and c in atoms and gate.peephole is None:
                (seen,) = [a for a in atoms if a != c]
                if not isinstance(seen, Signal) or seen.kind != "fixed":
                    raise Unknown("a gate multiplies a state with another")
                gate.peephole = seen
            case _:
                raise Unknown("a gate sees something that is neither a sequence nor the state")
    gate.biases.sort(key=lambda vector: (vector.name, vector.start))
    return gate


def _add_product(gate: Gate, operand: Sum, piece: Piece, h: Signal | None) -> None:
    source = operand.single
    if isinstance(source, Signal) and source.kind == "slice":
        if source.name in gate.inputs:
            raise Unknown("a gate sees a sequence twice")
        gate.inputs[source.name] = piece
    elif h is not None and source == h and gate.state is None:
        gate.state = piece
    else:
        raise Unknown("a gate sees another state, or one twice")


def list_pieces(gates: Sequence[Gate]) -> Iterator[Piece]:
    """Every piece of a matrix that gates read."""
    for gate in gates:
        yield from gate.inputs.values()
        if gate.state is not None:
            yield gate.state
