"""`scan`: its body elaborated once, as a graph of its own, with carried names as states."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from compiler.elaborate.bodies.loops import (
    bound_names,
    emitted_names,
    is_read_first,
    last_binding,
    loop_clauses,
)
from compiler.elaborate.calls.gathering import note_picks
from compiler.elaborate.calls.primitives import make_constant
from compiler.elaborate.scopes.context import Body
from compiler.elaborate.scopes.ports import Loop
from compiler.elaborate.shapes.types import assume
from compiler.elaborate.values.describing import describe
from compiler.elaborate.values.values import (
    POISON,
    ArgumentValue,
    GraphState,
    Known,
    Poison,
    Range,
    Tensor,
    Val,
)
from compiler.ir.builder import Builder, own_names
from compiler.ir.frame import Site
from compiler.ops.scan import COUNTER
from compiler.ops.scan import Scan as ScanOp
from compiler.records import dataclass
from compiler.report.messages.arguments import unknown_argument, wrong_argument
from compiler.report.messages.nets import foreign_tensor
from compiler.report.messages.scans import (
    carried_not_a_tensor,
    carried_type_changes,
    emit_changes_size,
    lengths_differ,
    nothing_from_scan,
    scan_axis,
    scan_over,
    until_not_bool,
)
from compiler.report.source import Span
from compiler.report.suggestions import did_you_mean
from compiler.text.tree.syntax import Scan
from compiler.types.dims import Dim, equal
from compiler.types.tensor import DType, TensorType


def run_scan(body: Body, statement: Scan) -> None:
    """Elaborates a loop and binds what it carries and emits; where it is refused, to poison."""
    if body.home is None or body.frame is None:
        body.report(foreign_tensor(statement.span))
        return
    names = list(dict.fromkeys(bound_names(statement.body)))
    if not _Scan(body, statement, names).run():
        for name in (*names, *emitted_names(statement.body)):
            body.bind(name, POISON)


@dataclass(frozen=True)
class _Over:
    """A sequence of a scan: the tensor, or a range (`tensor` is None)."""

    name: str
    span: Span
    tensor: Tensor | None
    range: Range | None = None


class _Scan:
    """One `scan` statement."""

    def __init__(self, body: Body, statement: Scan, names: Sequence[str]) -> None:
        self.body = body
        self.statement = statement
        self.names = names
        assert body.home is not None
        assert body.frame is not None
        self.outer = body.home
        self.inner_home = GraphState(Builder("scan", body.frame), body.home)
        self.axis = 0
        self.reverse = False
        self.over: list[_Over] = []
        self.states: dict[str, Tensor] = {}
        self.known: dict[str, Val] = {}

    def run(self) -> bool:
        """Whether the loop was accepted."""
        if not self.read_options() or not self.read_sequences():
            return False
        inner = self.open_body()
        inner.execute(self.statement.body)
        assert inner.loop is not None
        ends = self.close_states(inner)
        emits = self.close_emits(inner.loop)
        until = self.close_until(inner.loop)
        if ends is None or emits is None or until is False:
            return False
        if not ends and not emits:
            self.body.report(nothing_from_scan(self.head))
            return False
        self.add_node(inner, ends, emits, until if isinstance(until, Tensor) else None)
        return True

    @property
    def head(self) -> Span:
        """The first line of the loop."""
        span = self.statement.span
        last = (self.statement.options or self.statement.over)[-1].span
        return Span(span.source, span.start, last.end)

    # --- what it goes over --------------------------------------------------------------------

    def read_options(self) -> bool:
        """`axis=` and `reverse=`."""
        accepted = True
        for option in self.statement.options:
            name = option.name.text if option.name is not None else ""
            value = self.body.evaluate(option.value)
            match name, value:
                case _, Poison():
                    accepted = False
                case "axis", Known(int() as axis) if not isinstance(axis, bool):
                    self.axis = axis
                case "reverse", Known(bool() as reverse):
                    self.reverse = reverse
                case "axis" | "reverse", _:
                    expected = "a whole number" if name == "axis" else "true or false"
                    span, found = option.value.span, describe(value)
                    self.body.report(wrong_argument(span, "scan", name, expected, found))
                    accepted = False
                case _:
                    known = ("axis", "reverse")
                    near = did_you_mean(name, known)
                    self.body.report(unknown_argument(option.span, "scan", name, known, near))
                    accepted = False
        return accepted

    def read_sequences(self) -> bool:
        """The sequences and ranges, all of one length."""
        for item in self.statement.over:
            value = self.body.evaluate(item.sequence)
            span = item.sequence.span
            match value:
                case Poison():
                    return False
                case Tensor():
                    if not -value.type.rank <= self.axis < value.type.rank:
                        self.body.report(scan_axis(span, self.axis, describe(value)))
                        return False
                    self.over.append(_Over(item.name.text, span, value))
                case Range():
                    self.over.append(_Over(item.name.text, span, None, value))
                case _:
                    self.body.report(scan_over(span, describe(value)))
                    return False
        return self.check_lengths()

    def check_lengths(self) -> bool:
        """Whether all sequences have as many steps as the first."""
        first = self.over[0]
        for other in self.over[1:]:
            same = equal(self.length(first), self.length(other))
            if same is False:
                count, expected = str(self.length(other)), str(self.length(first))
                self.body.report(lengths_differ(other.span, count, expected, first.span))
                return False
            if same is None:
                left, right = self.length(first), self.length(other)
                assume(self.body, left, "==", right, other.span)
        return True

    def length(self, over: _Over) -> Dim:
        """The number of steps of one sequence."""
        if over.tensor is not None:
            return over.tensor.type.shape[self.axis]
        assert over.range is not None
        return Dim.of(over.range.length)

    # --- the body -----------------------------------------------------------------------------

    def open_body(self) -> Body:
        """The body with its inputs: the counter, slices, then states."""
        inner = replace(
            self.body,
            home=self.inner_home,
            turns=(),
            names=[*self.body.names, {}],
            clauses=loop_clauses(self.body.clauses),
            loop=Loop(self.axis),
        )
        self.over.sort(key=lambda o: o.tensor is not None)
        for over in self.over:
            inner.bind(over.name, self.add_input(over.name, self.slice_type(over), over.span))
        for name in self.names:
            value = self.find_outside(name)
            if isinstance(value, Tensor):
                self.states[name] = value
                inner.bind(name, self.add_input(name, value.type, value.made))
            elif value is not None:
                self.known[name] = value
        return inner

    def add_input(self, name: str, type: TensorType, span: Span) -> Tensor:
        """An input of the body's graph."""
        value = self.inner_home.builder.input(name, type, "", span)
        return Tensor(value, self.inner_home, span)

    def slice_type(self, over: _Over) -> TensorType:
        """What one step sees of a sequence."""
        if over.tensor is None:
            return COUNTER
        shape = list(over.tensor.type.shape)
        del shape[self.axis]
        return TensorType(over.tensor.type.dtype, tuple(shape))

    def find_outside(self, name: str) -> Val | None:
        """What a name means before the loop, in the body and its parameters."""
        if any(o.name == name for o in self.over):
            return None
        return next((layer[name] for layer in reversed(self.body.names) if name in layer), None)

    # --- what comes out -----------------------------------------------------------------------

    def close_states(self, inner: Body) -> dict[str, Tensor] | None:
        """The states after a step, with the types that they had before."""
        ends: dict[str, Tensor] = {}
        accepted = True
        for name, start in self.states.items():
            end = inner.names[-1][name]
            if isinstance(end, Poison):
                accepted = False
            elif not isinstance(end, Tensor):
                found, outside = describe(end), describe(start)
                self.body.report(carried_not_a_tensor(self.head, name, found, outside))
                accepted = False
            elif not _same_type(start.type, end.type):
                before, after = str(start.type), str(end.type)
                place = last_binding(self.statement.body, name) or end.made
                self.body.report(carried_type_changes(place, name, before, after, start.made))
                accepted = False
            else:
                ends[name] = end
        for name, before_loop in self.known.items():
            ending = inner.names[-1].get(name)
            if ending is not None and is_read_first(self.statement.body, name):
                if not isinstance(ending, Poison):
                    found, outside = describe(ending), describe(before_loop)
                    place = last_binding(self.statement.body, name) or self.head
                    self.body.report(carried_not_a_tensor(place, name, found, outside))
                accepted = False
        return ends if accepted else None

    def close_emits(self, loop: Loop) -> dict[str, tuple[Tensor, int]] | None:
        """What is stacked, with its axis."""
        emits: dict[str, tuple[Tensor, int]] = {}
        for name, (value, axis, span) in loop.emits.items():
            if isinstance(value, Known) and (value.is_number or isinstance(value.value, bool)):
                value = make_constant(self.inner_body(), value, (), ArgumentValue(value, span))
            if not isinstance(value, Tensor):
                if not isinstance(value, Poison):
                    expected, found = "a tensor", describe(value)
                    self.body.report(wrong_argument(span, "emit", name, expected, found))
                return None
            rank = value.type.rank + 1
            if not -rank <= axis < rank:
                self.body.report(scan_axis(span, axis, f"{value.type}, stacked"))
                return None
            open_sizes = self.find_open(value)
            if open_sizes:
                self.body.report(emit_changes_size(span, name, open_sizes[0]))
                return None
            emits[name] = (value, axis)
        return emits

    def find_open(self, tensor: Tensor) -> list[str]:
        """The sizes of a tensor that each step decides anew."""
        decided = set(self.inner_home.builder.graph().run_sizes)
        return sorted({s for dim in tensor.type.shape for s in dim.symbols} & decided)

    def inner_body(self) -> Body:
        """The body with the loop's graph as its home."""
        return replace(self.body, home=self.inner_home)

    def close_until(self, loop: Loop) -> Tensor | bool | None:
        """The condition that ends the loop; False where it is refused."""
        if loop.until is None:
            return None
        value, span = loop.until
        if isinstance(value, Tensor) and value.type == TensorType(DType.BOOL, ()):
            return value
        if not isinstance(value, Poison):
            self.body.report(until_not_bool(span, describe(value)))
        return False

    def add_node(
        self,
        inner: Body,
        ends: dict[str, Tensor],
        emits: dict[str, tuple[Tensor, int]],
        until: Tensor | None,
    ) -> None:
        """Closes the body's graph, adds the loop, and binds its results."""
        home, builder = self.inner_home, self.inner_home.builder
        for name, end in ends.items():
            builder.output(name, home.value_of(end))
        for name, (tensor, _) in emits.items():
            builder.output(name, home.value_of(tensor))
        if until is not None:
            builder.output("until", home.value_of(until))
        op = self.make_op(emits, until)
        given = [o.tensor for o in self.over if o.tensor is not None]
        given += self.states.values()
        inputs = [self.outer.value_of(tensor) for tensor in given]
        inputs += [self.outer.value_of(tensor) for tensor, _ in home.captured.values()]
        names = (*ends, *emits)
        assert self.body.frame is not None
        place = Site(self.head, "", (), self.body.guard, turns=self.body.turns)
        site = replace(place, picks=note_picks(self.body, given))
        made = self.outer.builder.apply(op, inputs, self.body.frame, site, own_names(names))
        for kept in builder.conditions.values():
            self.outer.root.builder.assume(kept.left, kept.relation, kept.right, kept.origin)
        self.body.guard = inner.guard
        for name, value in zip(names, made, strict=True):
            self.body.bind(name, Tensor(value, self.outer, self.head))

    def make_op(self, emits: dict[str, tuple[Tensor, int]], until: Tensor | None) -> ScanOp:
        """The loop as an op."""
        numbers = next((o.range for o in self.over if o.range is not None), None)
        start: int | Dim = 0
        step = 1
        if numbers is not None:
            start, step = numbers.start, numbers.step
            if numbers.backwards:
                start, step = start + (numbers.length - 1) * step, -step
        return ScanOp(
            self.inner_home.builder.graph(),
            sum(o.tensor is not None for o in self.over),
            len(self.states),
            self.axis,
            tuple(axis for _, axis in emits.values()),
            self.reverse,
            None if numbers is None else numbers.length,
            start,
            step,
            until is not None,
            **({"steps": self.name_steps(emits)} if until is not None and emits else {}),
        )

    def name_steps(self, emits: Iterable[str]) -> str:
        """The size that is the number of steps of a loop that ends by a condition."""
        return self.outer.root.builder.name_run_size(f"{next(iter(emits))}_steps")


def _same_type(before: TensorType, after: TensorType) -> bool:
    if before.dtype is not after.dtype or before.rank != after.rank:
        return False
    return all(equal(a, b) is True for a, b in zip(before.shape, after.shape, strict=True))
