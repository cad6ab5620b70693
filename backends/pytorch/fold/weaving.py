"""Nodes that make lists of tensors and read them, at their places among the nodes of a graph."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from backends.pytorch.fold.lists import Lists
from backends.pytorch.fold.spelled import Spelled
from backends.pytorch.terms.terms import Form, Hole, Operand, Part, Tree, call
from compiler.ir.frame import Listed, Listing, Pick, Reading
from compiler.ir.listings import Record
from compiler.ops.scan import COUNTER
from compiler.types.tensor import TensorType


def weave(
    nodes: Iterable[Spelled], outputs: Iterable[str], lists: Lists, types: dict[str, TensorType]
) -> list[Spelled]:
    """The nodes with those of lists: one is begun where it is first needed, and goes on as soon
    as what it takes up is there. Notes the types of lists, which are those of their items."""
    nodes = list(nodes)
    weaver = _Weaver(lists, types, {name for item in nodes for name in item.outputs})
    return list(weaver.run(nodes, outputs))


class _Weaver:
    def __init__(self, lists: Lists, types: dict[str, TensorType], made: set[str]) -> None:
        self.lists = lists
        self.types = types
        self.records = {name: record for record, name in lists.names.items()}
        self.written: set[Record] = set()
        self.missing: dict[Listing, int] = {}
        """How many of the items that a list takes up are not there yet."""
        self.waiting: dict[str, list[Listing]] = {}
        for listing, loops in lists.loops.items():
            if not loops or not listing.grows:
                continue
            items = {p.value for p in listing.parts if isinstance(p, Listed)} & made
            self.missing[listing] = len(items)
            for value in items:
                self.waiting.setdefault(value, []).append(listing)

    def run(self, nodes: Iterable[Spelled], outputs: Iterable[str]) -> Iterator[Spelled]:
        """All nodes in order."""
        for listing in [one for one, count in self.missing.items() if not count]:
            yield from self._demand(self.lists.names[listing])
        for node in nodes:
            for name in node.reads:
                yield from self._demand(name)
            yield node
            for value in node.outputs:
                for listing in self.waiting.get(value, ()):
                    self.missing[listing] -= 1
                    if not self.missing[listing]:
                        yield from self._demand(self.lists.names[listing])
        for name in outputs:
            yield from self._demand(name)

    def _demand(self, name: str) -> Iterator[Spelled]:
        record = self.records.get(name)
        if record is None or record in self.written:
            return
        self.written.add(record)
        made = self._read(record) if isinstance(record, Pick) else self._make(record)
        for other in made.reads:
            yield from self._demand(other)
        yield made

    def _read(self, pick: Pick) -> Spelled:
        name = self.lists.names[pick]
        self.types[name] = self.types[pick.value]
        source = (self.lists.names[pick.source],)
        if pick.reading is Reading.SUM:
            tree = call("sum", Operand(0))
            return Spelled(pick, "", None, tree, None, source, (), (name,), kind="total")
        index = Hole(pick.place, "index", hint=pick.index)
        tree = Tree(Form.INDEX, "", (Operand(0), index))
        return Spelled(pick, "", None, tree, None, source, (), (name,), kind="pick")

    def _make(self, listing: Listing) -> Spelled:
        lists, name = self.lists, self.lists.names[listing]
        items = lists.items[listing]
        example = lists.examples.get(listing)
        self.types[name] = COUNTER if example is None else self.types[example]
        parts: list[Part] = []
        reads: list[str] = []
        for part in listing.parts if lists.loops[listing] else items:
            taken = (part,) if isinstance(part, Listed) else lists.items[part]
            whole = isinstance(part, Listing) and (lists.loops[part] or part is listing.parts[0])
            if isinstance(part, Listing) and whole:
                parts.append(Tree(Form.STAR, "", (Operand(len(reads)),)))
                reads.append(lists.names[part])
                continue
            parts += map(Operand, range(len(reads), len(reads) + len(taken)))
            reads += lists.read_items(listing, taken)
        goes_on = listing.origin.name and len(parts) > 1 and isinstance(parts[0], Tree)
        if goes_on and not any(isinstance(part, Tree) for part in parts[1:]):
            inputs = tuple(map(Operand, range(len(reads))))
            tree = Tree(Form.APPEND, "", inputs)
            return Spelled(listing, "", None, tree, None, tuple(reads), (), (name,), kind="append")
        tree = Tree(Form.LIST, "", tuple(parts))
        return Spelled(listing, "", None, tree, None, tuple(reads), (), (name,), kind="list")
