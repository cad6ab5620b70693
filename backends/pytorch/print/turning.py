"""Loops of the spec in `forward`: over the modules themselves where that says it all."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Protocol

from backends.pytorch.classes.explained import ExplainedClass, TurnClass
from backends.pytorch.classes.merged import Formal, Merged, MergedRef, OutputRef
from backends.pytorch.classes.paths import Kind, Paths
from backends.pytorch.classes.repeats import LOOP, loop_slots
from backends.pytorch.fold.items import FromOwn
from backends.pytorch.print.making import write_header
from backends.pytorch.print.reading import Reading, make_float
from backends.pytorch.print.statements import Statements
from backends.pytorch.terms.document import STEP, lay_out
from backends.pytorch.terms.expressions import Expressions, hint_tree, resolve
from backends.pytorch.terms.naming import singular
from backends.pytorch.terms.terms import NOTHING, Form, Many, Part, Tree, name
from compiler.ir.hint import Hint
from compiler.writing.names import free_name, safe_name


class TurnBody(Protocol):
    """What writes the statements of one turn: a `forward` of its own."""

    out: Statements

    def write_items(self) -> None:
        """All statements but what is handed back."""


class TurnReading(Reading):
    """Names of a turn as the `forward` around it says them."""

    def __init__(
        self, target: ExplainedClass, given: dict[str, Hint | Part], outer: Reading
    ) -> None:
        self.given = given
        self.outer = outer
        super().__init__(target, set())

    def argument(self, label: str, *, as_float: bool = False) -> Part:
        """A name of the loop, or what it takes from around it."""
        known = self.given.get(label)
        if known is None:
            return self.outer.argument(label, as_float=as_float)
        if isinstance(known, Tree):
            return make_float(self.settings.get(label), known, as_float=as_float)
        return hint_tree(known, partial(self.outer.argument, as_float=as_float))  # type: ignore[arg-type]


def write_turns(
    out: Statements, item: Merged, tree: Tree, make: Callable[..., TurnBody], paths: Paths
) -> None:
    """A loop whose body is written by a `forward` of its own."""
    _Turns(out, item, make, paths).write()


class _Turns:
    def __init__(
        self, out: Statements, item: Merged, make: Callable[..., TurnBody], paths: Paths
    ) -> None:
        self.out = out
        self.item = item
        self.make = make
        self.paths = paths
        assert isinstance(item.expression, Tree)
        assert isinstance(item.expression.target, TurnClass)
        self.turns = item.expression.target
        self.repeat = self.turns.repeat
        self.container = self._find_container()
        """The path of what the loop goes over; "" where it goes over numbers."""

    def _find_container(self) -> str:
        """The container that the loop fills, or the list that it fills from `first` on: all its
        modules are members of it."""
        if not self.item.slot.startswith(LOOP):
            return self.item.slot
        numbered = f".{self.repeat.numbered}"
        slots = list(loop_slots(self.turns))
        prefix = slots[0].partition(numbered)[0] if slots else ""
        inside = prefix and all(f"{slot}.".startswith(f"{prefix}{numbered}.") for slot in slots)
        goes_on = inside and self.repeat.first and self.paths.find_kind(prefix) is Kind.LIST
        return prefix if goes_on else ""

    def write(self) -> None:
        """The line of the `for`, its body, and what is left after the last turn."""
        out, names = self.out, self._enter()
        target = replace(self.turns, formals=names)
        given: dict[str, Hint | Part] = {n: name(safe_name(n)) for n in self.repeat.names}
        given.update(self._arguments())
        reading = TurnReading(target, given, out.reading)
        member = self._member(names)
        inner = self.make(target, reading, self._expressions(member), out.indent + STEP)
        inner.out.flow.reserved |= self._reserved(names) | ({member} if member else set())
        inner.write_items()
        self._leave(inner, names)
        body = [*reading.unpack(out.indent + STEP), *inner.out.lines]
        header, over = self._header(member, "\n".join(body))
        out.lines += lay_out(f"for {header} in ", out.expressions.write(over), out.indent, ":")
        out.lines += body
        out.last_shape = None

    # --- going in -----------------------------------------------------------------------------

    def _enter(self) -> list[str]:
        """Variables for what goes in: those that turns change are bound to what comes out."""
        out = self.out
        for ref in self.item.refs:
            out.flush(ref)
        names = []
        for place, ref in enumerate(self.item.refs):
            part, reads = out.read(ref)
            text = out.text(part)
            if place not in self.repeat.carried:
                if isinstance(ref, FromOwn):
                    variable = out.flow.choose(ref, text.rpartition(".")[2])
                    out.add(f"{variable} = {text}")
                    text = variable
                names.append(text)
                continue
            result = OutputRef(self.item, self.repeat.carried[place])
            given = len(text) > 1 and text in self.paths.target.formals
            plain = text in reads and not given
            plain = plain and not out.flow.is_live(text) and text not in names
            fallback = next(iter(reads)) if len(reads) == 1 else ""
            variable = text if plain else out.flow.choose(result, fallback, avoid=names)
            if variable != text and self.turns.is_list(Formal(place)):
                part = Tree(Form.LIST, "", (Tree(Form.STAR, "", (part,)),))
            out.put(variable, part)
            names.append(variable)
            out.flow.reserved.add(variable)
        return names

    def _arguments(self) -> dict[str, Hint | Part]:
        """What a turn takes from around it; `forward` keeps only what it reads."""
        made = self.item.variants[0].constructor if self.item.variants else None
        assert isinstance(made, Tree)
        found: dict[str, Hint | Part] = {}
        for key, part in zip(made.keys, made.parts[1:], strict=True):
            if key in self.repeat.arguments:
                assert isinstance(part, Many)
                found[key] = part.solution if part.solution is not None else resolve(part, name)
        return found

    def _reserved(self, names: list[str]) -> set[str]:
        kept = self.out.live_names() | {safe_name(n) for n in self.repeat.names}
        changed = {names[p] for p in self.repeat.carried}
        stay = {n for p, n in enumerate(names) if p not in self.repeat.carried}
        return (kept - changed) | stay

    # --- the line of the loop ---------------------------------------------------------------------

    def _member(self, formals: list[str]) -> str:
        """What one member is called where the loop goes over the modules; "" where it goes over
        numbers."""
        if not self.container:
            return ""
        last = self.container.rpartition(".")[2]
        one = singular(last) if "{" not in last else "layer"
        taken = self.out.live_names() | {safe_name(n) for n in self.repeat.names}
        return free_name(one, taken | set(formals))

    def _expressions(self, member: str) -> Expressions:
        def attribute(path: str) -> str:
            inside = self.container + "."
            if member and path.startswith(inside):
                _, _, rest = path[len(inside) :].partition(".")
                return f"{member}.{rest}" if rest else member
            return self.paths.read(path)

        return Expressions(attribute)

    def _header(self, member: str, body: str) -> tuple[str, Part]:
        made = self.item.variants[0].constructor
        assert isinstance(made, Tree)
        used = set(re.findall(r"\w+", body))
        read = {safe_name(n) for n in self.repeat.names} & used
        if not member:
            over = resolve(made.parts[0], self.out.reading.argument)
            return write_header(self.repeat.names, over, used)
        modules: Part = Tree(Form.OWN, self.container)
        if self.paths.find_kind(self.container) is Kind.DICT:
            modules = Tree(Form.METHOD, "values", (modules,))
        first = Tree(Form.LITERAL, str(self.repeat.first)) if self.repeat.first else None
        if first is not None and self.container != self.item.slot:
            modules = Tree(
                Form.INDEX, "", (modules, Tree(Form.SLICE, "", (first, NOTHING, NOTHING)))
            )
        if not read:
            return member, modules
        counter = safe_name(self.repeat.counter)
        if read == {counter}:
            given = (modules,) if first is None else (modules, first)
            return f"{counter}, {member}", Tree(Form.CALL, "", (name("enumerate"), *given))
        over = resolve(made.parts[0], self.out.reading.argument)
        names, over = write_header(self.repeat.names, over, used)
        zipped = Tree(Form.CALL, "", (name("zip"), over, modules), ())
        names = f"({names})" if ", " in names else names
        return f"{names}, {member}", zipped

    # --- coming out -----------------------------------------------------------------------------

    def _leave(self, inner: TurnBody, names: list[str]) -> None:
        """What the next turn begins with, and what is left after the last."""
        flow = self.out.flow
        by_output = {q: names[p] for p, q in self.repeat.carried.items()}
        pairs: list[tuple[str, MergedRef]] = []
        for output, ref in enumerate(self.turns.outputs):
            result = OutputRef(self.item, output)
            if output not in by_output and not flow.uses[result]:
                continue
            variable = by_output.get(output) or flow.choose(result, avoid=[*names])
            pairs.append((variable, ref))
        inner.out.assign_results(pairs)
        flow.reserved -= set(by_output.values())
        for (variable, _), output in zip(pairs, self._outputs(by_output), strict=True):
            if flow.uses[OutputRef(self.item, output)]:
                flow.bind(variable, OutputRef(self.item, output))

    def _outputs(self, by_output: dict[int, str]) -> list[int]:
        uses = self.out.flow.uses
        outputs = range(len(self.turns.outputs))
        return [q for q in outputs if q in by_output or uses[OutputRef(self.item, q)]]
