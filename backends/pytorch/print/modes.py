"""`if self.training:` in `forward`: what only one of the two modes computes stands under it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from backends.pytorch.classes.merged import Choice, Merged, MergedRef, OutputRef
from backends.pytorch.fold.holders import HELD
from backends.pytorch.fold.items import FromOwn
from backends.pytorch.print.loops import arrange_loops
from backends.pytorch.print.statements import Statements
from backends.pytorch.terms.document import STEP, write_test
from backends.pytorch.terms.naming import MARK
from backends.pytorch.terms.terms import Tree, operands

TRAINING, EVALUATION = 0, 1
"""The operands of a value that is another one in training."""


class Side(NamedTuple):
    """One of the two modes. In a function `mode` is the argument that says which holds; None in a
    module, which knows it."""

    mode: MergedRef | None
    place: int


@dataclass(eq=False)
class ModeWriter:
    """Writes what differs between the modes of one `forward`. `write` writes an item, `need` makes
    a value ready that is a choice among instances."""

    out: Statements
    write: Callable[[Merged], None]
    need: Callable[[MergedRef], None]
    sides: dict[Merged, Side] = field(default_factory=dict)
    written: set[Merged] = field(default_factory=set)

    def __post_init__(self) -> None:
        target = self.out.target
        refs = [*target.outputs, *(r for c in target.choices for r in (c.base, c.other))]
        kept = {ref.item for ref in refs if isinstance(ref, OutputRef)}
        for item in reversed(arrange_loops(target.items)):
            if item in target.read and item not in kept and item.sample.op != HELD:
                side = self._find_side(item)
                if side is not None:
                    self.sides[item] = side

    def _find_side(self, item: Merged) -> Side | None:
        """The mode that alone needs an item; None where both do."""
        found = {
            self._ask(reader, OutputRef(item, number))
            for number in range(item.outputs)
            for reader in self.out.flow.readers.get(OutputRef(item, number), [])
        }
        return found.pop() if len(found) == 1 else None

    def _ask(self, reader: Merged, ref: OutputRef) -> Side | None:
        """The mode in which a reader needs a value."""
        item = ref.item
        if reader.instances != item.instances or not _find_loop(item).startswith(
            _find_loop(reader)
        ):
            return None
        if not is_choice(reader):
            return self.sides.get(reader)
        places = [place for place, other in enumerate(reader.refs) if other == ref]
        return Side(_find_mode(reader), places[0]) if len(places) == 1 else None

    # --- writing ------------------------------------------------------------------------------

    def waits(self, item: Merged) -> bool:
        """Whether an item is written where its mode is asked for."""
        return item in self.sides

    def write_choice(self, item: Merged, later: list[Merged]) -> bool:
        """Writes a value that differs, and those of `later` that can stand beside it; False where
        an expression says it."""
        if item in self.written:
            return True
        if not self._list_inside([item]):
            return False
        group = [item]
        for other in later:
            if is_choice(other) and self._joins(other, group):
                group.append(other)
        self.written.update(group)
        self._write_group(group)
        return True

    def _joins(self, other: Merged, group: list[Merged]) -> bool:
        """Whether a further value can be made where the first is."""
        first = group[0]
        if other in self.written or other.instances != first.instances:
            return False
        if _find_mode(other) != _find_mode(first) or _find_loop(other) != _find_loop(first):
            return False
        if self.sides.get(other) != self.sides.get(first):
            return False
        inside = self._list_inside([other])
        refs = [*other.refs, *(r for item in inside for r in self.out.flow.inputs(item))]
        own = set(inside)
        return bool(inside) and all(self._is_made(ref, own) for ref in refs)

    def _is_made(self, ref: MergedRef, own: set[Merged]) -> bool:
        if isinstance(ref, Choice):
            return ref in self.out.flow.variables
        if not isinstance(ref, OutputRef) or ref.item in own:
            return True
        return ref in self.out.flow.variables or ref in self.out.flow.pending

    def _list_inside(self, group: list[Merged], place: int | None = None) -> list[Merged]:
        """What stands under the test for these values, in order: of one mode, or of both."""
        found: set[Merged] = set()
        for item in group:
            for side in (TRAINING, EVALUATION) if place is None else (place,):
                found.update(self._follow(item.refs[side], Side(_find_mode(item), side)))
        return [item for item in self.out.target.items if item in found]

    def _follow(self, ref: MergedRef, side: Side) -> Iterator[Merged]:
        waiting, seen = [ref], set[Merged]()
        while waiting:
            match waiting.pop():
                case OutputRef(item, _) if item not in seen and self.sides.get(item) == side:
                    if item in self.written:
                        continue
                    seen.add(item)
                    yield item
                    waiting += [] if is_choice(item) else self.out.flow.inputs(item)

    def _write_group(self, group: list[Merged]) -> None:
        out = self.out
        sides = [self._list_inside(group, place) for place in (TRAINING, EVALUATION)]
        first = TRAINING if sides[TRAINING] else EVALUATION
        other = EVALUATION if first == TRAINING else TRAINING
        for inside in sides:
            for ref in (r for item in inside for r in item.refs):
                self.need(ref)
            self.written.update(inside)
        for ref in (r for item in group for r in item.refs):
            self.need(ref)
        plain = not sides[other]
        variables = [self._choose(item, sides[first], other, plain=plain) for item in group]
        bases = [out.text(out.peek(item.refs[other])) if plain else "" for item in group]
        tests = [self._read_test(item) for item in group]
        out.lines += write_test(f"{'not ' * (first == EVALUATION)}{tests[0]}", out.indent)
        self._write_branch(group, variables, sides[first], first)
        if variables == bases:
            for item in group:
                out.read(item.refs[other])
        else:
            out.add("else:")
            self._write_branch(group, variables, sides[other], other)
        for item, variable in zip(group, variables, strict=True):
            out.flow.reserved.discard(variable)
            out.flow.bind(variable, OutputRef(item, 0))
        out.last_shape = None

    def _write_branch(
        self, group: list[Merged], variables: list[str], inside: list[Merged], place: int
    ) -> None:
        """The suite of one mode."""
        out = self.out
        out.last_shape = None
        with out.deeper():
            for item in arrange_loops(inside):
                self.write(item)
            refs = [item.refs[place] for item in group]
            out.assign_results(list(zip(variables, refs, strict=True)))

    def _choose(self, item: Merged, inside: list[Merged], other: int, *, plain: bool) -> str:
        """The variable of a value: where the other mode has it already, the one that holds it, as
        long as nobody else reads that."""
        out, base = self.out, item.refs[other]
        if plain:
            out.flush(base)
            variable = out.text(out.peek(base))
            inputs = [list(map(one.refs.__getitem__, operands(one.expression))) for one in inside]
            within = 1 + sum(refs.count(base) for refs in inputs)
            held = any(variable in p.reads for p in out.flow.pending.values())
            free = not isinstance(base, FromOwn) and out.flow.uses[base] <= within and not held
            if free and variable not in out.flow.reserved:
                out.flow.reserved.add(variable)
                return variable
        variable = out.flow.choose(OutputRef(item, 0))
        out.flow.reserved.add(variable)
        return variable

    def _read_test(self, item: Merged) -> str:
        mode = _find_mode(item)
        if mode is not None:
            return self.out.text(self.out.read(mode)[0])
        assert isinstance(item.expression, Tree), "it is a choice"
        return self.out.text(item.expression.parts[0])


def is_choice(item: Merged) -> bool:
    """Whether an item is a value that is another one in training."""
    return item.sample.traits.of_mode


def _find_mode(item: Merged) -> MergedRef | None:
    return item.refs[2] if len(item.refs) > 2 else None


def _find_loop(item: Merged) -> str:
    """The loop that an item stands in, by its mark."""
    value = item.sample.outputs[0] if item.sample.outputs else ""
    return value[value.index(MARK) :] if MARK in value else ""


def merge_tests(lines: list[str], start: int, indent: int) -> None:
    """Makes one test of two where the suite of the first, which begins at `start`, is nothing but
    the second: `if self.deep and self.training:`."""
    outer, *inside = lines[start:]
    inner = " " * (indent + STEP)
    if not outer.endswith(":") or not inside or not inside[0].startswith(f"{inner}if "):
        return
    if not inside[0].endswith(":") or any(not ln.startswith(f"{inner} ") for ln in inside[1:]):
        return
    tests = [ln.strip().removeprefix("if ").removesuffix(":") for ln in (outer, inside[0])]
    text = " and ".join(f"({test})" if " or " in test else test for test in tests)
    lines[start:] = [*write_test(text, indent), *(ln[STEP:] for ln in inside[1:])]
