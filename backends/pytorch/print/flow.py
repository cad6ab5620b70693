"""Which value is read where: uses, names and what a name still holds while `forward` is printed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from itertools import chain, count

from backends.pytorch.classes.explained import ExplainedClass
from backends.pytorch.classes.merged import Formal, Merged, MergedRef, OutputRef
from backends.pytorch.fold.holders import HELD, name_held
from backends.pytorch.fold.items import FromOwn
from backends.pytorch.fold.turns import find_owner
from backends.pytorch.terms.naming import user_name
from backends.pytorch.terms.terms import Form, Part, Tree, operands
from compiler.writing.names import safe_name

SPARE_NAMES = ("x", "y", "z", "u", "v")


@dataclass
class Pending:
    """An expression that waits for its only reader."""

    tree: Part
    depth: int
    reads: frozenset[str]


class Flow:
    """Tracks values and variables of one `forward`."""

    def __init__(self, target: ExplainedClass, extra: dict[Merged, list[MergedRef]]) -> None:
        self.target = target
        self.extra = extra
        self.uses: Counter[MergedRef] = Counter()
        self.readers: dict[MergedRef, list[Merged]] = {}
        self.variables: dict[MergedRef, str] = {}
        self.pending: dict[MergedRef, Pending] = {}
        self.bound: dict[str, MergedRef] = {}
        self.reserved: set[str] = set()
        for item in (item for item in target.items if item in target.read):
            inputs = self.inputs(item)
            for index in operands(item.expression):
                self.uses[inputs[index]] += 1
            self.uses.update(extra.get(item, ()))
            for ref in inputs:
                self.readers.setdefault(ref, []).append(item)
        self.uses.update(target.outputs)
        self.bases = {choice.base for choice in target.choices}
        self.others = {choice.other for choice in target.choices}
        for choice in target.choices:
            self.uses[choice.base] += 1
            self.uses[choice.other] += 1
        for place, label in enumerate(target.formals):
            self.bind(label, Formal(place))

    def inputs(self, item: Merged) -> list[MergedRef]:
        """What an item reads, the tensors whose sizes it asks for included."""
        return [*item.refs, *self.extra.get(item, ())]

    def bind(self, name: str, ref: MergedRef) -> None:
        """A variable holds a value from here on."""
        self.variables[ref] = name
        self.bound[name] = ref

    # --- names --------------------------------------------------------------------------------

    def is_live(self, name: str) -> bool:
        """Whether what a variable holds is still needed."""
        if name in self.reserved:
            return True
        ref = self.bound.get(name)
        if ref is None:
            return False
        return self.uses[ref] > 0 or any(name in p.reads for p in self.pending.values())

    def wish(self, ref: MergedRef) -> str:
        """The author's name of a value; "" where there is none, or only the caller has one."""
        if not isinstance(ref, OutputRef):
            return ""
        target = self.target
        if ref in target.outputs:
            if target.is_root and len(target.outputs) > 1:
                outputs = target.bodies[0].index.graph.outputs
                return safe_name(outputs[target.outputs.index(ref)].name)
            if self.uses[ref] <= 1:
                return ""
        for number, member in ref.item.members.items():
            if member.op == HELD:
                return name_held(member.outputs[ref.output])
            name = self._name_in(number, member.outputs[ref.output])
            if name:
                return name
        return ""

    def _name_in(self, instance: int, value: str) -> str:
        """What the author calls a value in the frame: not what an inner call names it, but for the
        output of a net, unless that would hide an argument."""
        body = self.target.bodies[instance]
        maker = body.index.makers.get(value)
        around = body.frame if maker is None else body.index.chain_of(maker)[-1]
        name = self._bound_name(instance, value)
        if name or around is body.frame:
            return name or user_name(value)
        made = user_name(value) if around in body.index.nets else ""
        return "" if made in self.target.formals else made

    def _is_of_net(self, ref: OutputRef) -> bool:
        """Whether a net makes a value that its caller gives no name."""
        for number, member in ref.item.members.items():
            body, value = self.target.bodies[number], member.outputs[ref.output]
            maker = body.index.makers.get(value)
            if maker is None or body.index.chain_of(maker)[-1] not in body.index.nets:
                return False
            if self._bound_name(number, value):
                return False
        return True

    def _bound_name(self, instance: int, value: str) -> str:
        """What the frame calls a value that a call inside it made."""
        body = self.target.bodies[instance]
        maker = body.index.makers.get(value)
        owner = find_owner(body.frame)
        name = body.index.names.get((owner, value), "")
        if not name or maker is None or maker.scope is owner:
            return ""
        return safe_name(name)

    def target_name(self, ref: MergedRef) -> str:
        """The name at the end of the chain of single uses that this value feeds."""
        here = ref
        for _ in range(50):
            name = self.wish(here)
            readers = self.readers.get(here, [])
            if name or self.uses[here] != 1 or len(readers) != 1 or readers[0].outputs != 1:
                return name
            if sum(not isinstance(ref, FromOwn) for ref in readers[0].refs) > 1:
                return ""  # what several tensors become is no name for one of them
            here = OutputRef(readers[0], 0)
        return ""

    def choose(self, ref: MergedRef, fallback: str = "", avoid: Collection[str] = ()) -> str:
        """A variable for a value: its own name, the one it replaces, or a spare one."""
        wish = self.target_name(ref)
        if len(fallback) > 1 and fallback != wish and fallback in self.target.formals:
            fallback = ""  # the name of an input says what that holds
        spare = [n for n in SPARE_NAMES if n not in self.target.formals or n == fallback]
        numbered = (f"{wish or fallback or spare[0]}{k}" for k in count(2))
        names = chain((wish, fallback, *spare), numbered)
        return next(n for n in names if n and n not in avoid and not self.is_live(n))

    def _ends(self, ref: MergedRef) -> bool:
        """Whether a value is only what the result is a function of: `return F.linear(…)`."""
        (reader,) = self.readers.get(ref, [None])[:1] or [None]
        if reader is None or reader.slot or reader.refs[0] != ref or reader.outputs != 1:
            return False
        made, source = OutputRef(reader, 0), ref.item if isinstance(ref, OutputRef) else None
        called = isinstance(reader.expression, Tree) and reader.expression.form is Form.CALL
        return (
            called
            and self.target.outputs == [made]
            and self.uses[made] == 1
            and source is not None
            and bool(source.slot)
        )

    # --- values ---------------------------------------------------------------------------------

    def stays_inline(self, ref: MergedRef) -> bool:
        """Whether an expression may wait for its reader instead of getting a name."""
        readers = self.readers.get(ref, [])
        if self.uses[ref] != 1 or ref in self.bases:
            return False
        assert isinstance(ref, OutputRef)
        named = self.wish(ref) and ref.item.sample.op != HELD and not self._ends(ref)
        named = named and not self._is_of_net(ref)
        ends = ref in self.others or any(reader.sample.traits.of_mode for reader in readers)
        if named and not ends:  # a branch ends in its choice's variable
            return False
        return not readers or readers[0].instances == ref.item.instances
