"""Lists of tensors that grow in loops: what makes them in code, and what is read off them.

A list is a value of its own here, as a tensor is: one node makes it, others hand on what it is
with more items. So it goes through loops and into calls as every other value does.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from backends.pytorch.fold.turns import Turns, Unfoldable, find_first
from backends.pytorch.terms.naming import MARK
from backends.pytorch.terms.terms import Form, Operand, Part, Tree, rebuild
from compiler.ir.frame import Frame, Listed, Listing, Pick, Reading, Site
from compiler.ir.graph import Graph, Node
from compiler.ir.hint import HintConst, hint_names
from compiler.ir.listings import Record, find_listings
from compiler.report.source import Span

LOST = f"{MARK}lost"

Path = tuple[tuple[Frame | None, Span | None, int], ...]
"""The turns of loops that something stands in."""


class Lists:
    """The lists of one graph that are kept as lists, where these loops print as loops."""

    def __init__(self, graph: Graph, turns: Turns) -> None:
        self.turns = turns
        self.loops: dict[Listing, frozenset[Span]] = {}
        """The loops that each list grows in; none for one that is no more than its items."""
        self.ahead: dict[Listing, frozenset[Span]] = {}
        """The loops in which other lists go on from each."""
        self.items: dict[Listing, tuple[Listed, ...]] = {}
        self.names: dict[Record, str] = {}
        self.paths: dict[Record, Path] = {}
        for record in find_listings(graph):
            self.paths[record] = self._find_path(record.scope, record.origin)
            name = record.origin.name
            if isinstance(record, Listing):
                self._add(record)
                self.names[record] = f"{MARK}list {len(self.names)} {name}"
            else:
                self.names[record] = f"{record.value}{MARK}pick {len(self.names)} {name}"
        self._look_ahead()
        self.examples = self._find_examples()
        """A tensor that each list holds, or that lists hold which go on from it."""

    def _add(self, listing: Listing) -> None:
        loops: set[Span] = set()
        items: list[Listed] = []
        for part in listing.parts:
            if isinstance(part, Listed):
                items.append(part)
                continue
            items += self.items[part]
            loops |= self.loops[part]
            if self.paths[part] != self.paths[listing]:
                turns = {*self.paths[part], *self.paths[listing]}
                loops |= {loop for _, loop, _ in turns if loop is not None}
        self.items[listing], self.loops[listing] = tuple(items), frozenset(loops)

    def _look_ahead(self) -> None:
        for listing in reversed(self.items):
            ahead = self.ahead.setdefault(listing, frozenset())
            for part in listing.parts:
                if isinstance(part, Listing):
                    known = self.ahead.get(part, frozenset())
                    self.ahead[part] = known | ahead | self.loops[listing]

    def _find_examples(self) -> dict[Listing, str]:
        examples: dict[Listing, str] = {}
        for listing, items in reversed(self.items.items()):
            found = items[0].value if items else examples.get(listing)
            for part in listing.parts if found is not None else ():
                if isinstance(part, Listing) and found is not None:
                    examples[part] = found
            if found is not None:
                examples[listing] = found
        return examples

    def _find_path(self, scope: Frame, origin: Site) -> Path:
        rows = [(frame.parent, frame.turns) for frame in scope.chain]
        rows.append((scope, origin.turns))
        return tuple(
            (frame, turn.loop, turn.number)
            for frame, turns in rows
            for turn in turns
            if self.turns.keeps(turn)
        )

    def find_keys(self) -> dict[str, Span]:
        """Where each list begins in the spec, by its name."""
        begins: dict[Listing, Span | None] = {}
        for listing in self.items:
            first = next((p for p in listing.parts if isinstance(p, Listing)), None)
            begins[listing] = begins[first] if first is not None else listing.origin.span
        return {self.names[one]: span for one, span in begins.items() if span is not None}

    # --- reading ------------------------------------------------------------------------------

    def keeps(self, pick: Pick, path: Path) -> bool:
        """Whether code that stands in some turns reads it off the list, and not as the value that
        it is: where the list grows, and where arguments or turns say which item it is."""
        source = pick.source
        if self.loops[source] or (self.ahead[source] and path != self.paths[source]):
            return True
        if pick.index is None:
            return False
        written_out = [turn for turn in pick.origin.turns if not self.turns.keeps(turn)]
        unrolled = [turn for turn in written_out if not self.turns.opens(turn)]
        settled = {bound.name for turn in unrolled for bound in turn.names}
        for turn in set(written_out).difference(unrolled):
            first = find_first(turn).items()
            settled.update(name for name, value in first if isinstance(value, HintConst))
        overs = (turn.over for turn in unrolled if turn.over is not None)
        settled.update(name for over in overs for name in hint_names(over))
        return not settled.issuperset(hint_names(pick.index))

    def read(self, value: str, pick: Pick | None, path: Path) -> str:
        """The name of what code reads that stands in some turns, where its author reads a value
        so."""
        if pick is None or not self.keeps(pick, path):
            return value
        if pick.reading is Reading.LOST or pick.value != value:
            return f"{value}{LOST} {self.names[pick.source]}"
        return self.names[pick]

    def read_items(self, listing: Listing, items: Iterable[Listed]) -> list[str]:
        """The names of what a list takes up."""
        path = self.paths[listing]
        return [self.read(item.value, item.pick, path) for item in items]

    def read_operands(self, node: Node, known: Mapping[str, str]) -> list[str]:
        """The names of what a node reads."""
        names = [known.get(v.name, v.name) if v is not None else "" for v in node.inputs]
        if not node.origin.picks:
            return names
        path = self._find_path(node.scope, node.origin)
        rows: dict[str, list[Pick | None]] = {}
        for value, pick in node.origin.picks:
            rows.setdefault(value, []).append(pick)
        for value, picks in rows.items():
            places = [i for i, v in enumerate(node.inputs) if v is not None and v.name == value]
            if len(places) != len(picks):  # a pass has changed what it reads
                picks = [next((p for p in picks if p is not None), None)] * len(places)
            for place, pick in zip(places, picks, strict=True):
                names[place] = self.read(names[place], pick, path)
        return names

    def read_whole(self, node: Node) -> str | None:
        """The list that a node reads all items of, and nothing else."""
        listed = node.origin.listed
        if listed is None or not (self.loops[listed] or self.ahead[listed]):
            return None
        here = self._find_path(node.scope, node.origin) == self.paths[listed]
        names = [v.name for v in node.inputs if v is not None]
        same = names == [item.value for item in self.items[listed]]
        return self.names[listed] if same and (self.loops[listed] or not here) else None

    def check(self, names: Iterable[str]) -> None:
        """Raises `Unfoldable` where something is read off a list and nobody wrote how: the loops
        that the list grows in must print turn by turn."""
        by_name = {self.names[one]: loops | self.ahead[one] for one, loops in self.loops.items()}
        for name in names:
            _, lost, listing = name.partition(f"{LOST} ")
            if lost:
                raise Unfoldable(by_name[listing])


def take_whole(expression: Part, count: int) -> Part | None:
    """An expression on a list of all its operands as one on an operand that is the list."""
    whole = Tree(Form.LIST, "", tuple(map(Operand, range(count))))
    found = False

    def change(part: Part) -> Part:
        nonlocal found
        if part == whole:
            found = True
            return Operand(0)
        return part

    changed = rebuild(expression, change)
    return changed if found else None
