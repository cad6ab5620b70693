"""Dotted paths that no frame explains become containers: `nn.Sequential`, or a list and a loop.

What cannot be contracted keeps its dotted slot and is called by index (`self.down[0](x)`).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import pairwise

from backends.pytorch.classes.merged import CHAIN
from backends.pytorch.classes.sizes import SIZE, infer_size
from backends.pytorch.fold.items import Item
from backends.pytorch.terms.terms import (
    IDENTITY,
    Form,
    Hole,
    Operand,
    Part,
    Tree,
    call,
    holes,
    name,
    rebuild,
    same_value,
    skeleton,
)
from compiler.ir.graph import Node
from compiler.ir.hint import Hint, HintName, hint_atoms
from compiler.types.tensor import TensorType
from compiler.writing.names import is_key
from compiler.writing.python import write_string

MOST_FILLERS = 2
"""More holes in a numbering than this read better as an `OrderedDict`."""
LEAST_TURNS = 3
"""Fewer calls than this are written out, not looped over."""


def contract(
    items: list[Item],
    results: Iterable[str],
    types: Mapping[str, TensorType],
    declared: Iterable[str] = (),
    names: Collection[str] | None = None,
) -> list[Item]:
    """Items with contained ones contracted; `declared` are slots of what else is in the frame.
    In a turn of a loop, only what lies under `names` is of this turn alone."""
    if not any("." in item.slot for item in items):
        return items
    work = _Contraction(items, results, types, declared)
    if names is not None:
        prefixes = {p for item in items for p in _prefixes(item.slot)}
        work.blocked |= {p for p in prefixes if not _says(p, names)}
    return work.run()


def _says(path: str, names: Collection[str]) -> bool:
    """Whether a path has a name in it."""
    inner = " ".join(part.partition("}")[0] for part in path.split("{")[1:])
    return not set(re.findall(r"\w+", inner)).isdisjoint(names)


def contract_whole(
    items: list[Item], formals: list[str], results: list[str], types: Mapping[str, TensorType]
) -> list[Item]:
    """A body that is nothing but a numbered chain as one item: its class is an `nn.Sequential`."""
    numbered = [m for m in items if m.slot.isdecimal()]
    if len(formals) != 1 or len(results) != 1 or not numbered:
        return items
    moved = [replace(m, slot=f"{CHAIN}.{m.slot}") if m.slot.isdecimal() else m for m in items]
    work = _Contraction(moved, results, types, ())
    work.swallow_tail = True
    made = work.run()
    whole = len(made) == 1 and made[0].reads == tuple(formals)
    return made if whole and made[0].outputs == tuple(results) else items


class _Contraction:
    swallow_tail = False
    """Whether stateless items after the last member become stages too."""

    def __init__(
        self,
        items: list[Item],
        results: Iterable[str],
        types: Mapping[str, TensorType],
        declared: Iterable[str],
    ) -> None:
        self.items = items
        self.types = types
        self.place = {item: place for place, item in enumerate(items)}
        self.instead: dict[Item, Item | None] = {}
        self.makers = {value: item for item in items for value in item.outputs}
        self.readers: dict[str, list[Item | None]] = {}
        for item in items:
            for value in item.reads:
                self.readers.setdefault(value, []).append(item)
        for value in results:
            self.readers.setdefault(value, []).append(None)
        self.blocked = {p for slot in declared for p in _prefixes(slot)}
        self.members: dict[str, list[Item]] = {}
        for item in items:
            if "." in item.slot:
                self.members.setdefault(item.slot.rpartition(".")[0], []).append(item)

    def run(self) -> list[Item]:
        known = dict.fromkeys(p for prefix in self.members for p in (*_prefixes(prefix), prefix))
        for prefix in sorted(known, key=lambda p: -p.count(".")):
            made = None
            if prefix not in self.blocked:
                inside = sorted(self.members.get(prefix, ()), key=self.place.__getitem__)
                made = self._sequential(prefix, inside) or self._loop(prefix, inside)
            if made is None:
                self.blocked.update(_prefixes(prefix))
            elif "." in prefix:
                self.members.setdefault(prefix.rpartition(".")[0], []).append(made)
        return list(self._result())

    def _result(self) -> Iterable[Item]:
        for item in self.items:
            new: Item | None = item
            while new is not None and new in self.instead:
                new = self.instead[new]
            if new is not None:
                yield new

    def _replace(self, members: list[Item], made: Item) -> Item:
        """Puts one item where the first of its members stood: all it reads is made by then."""
        first = min(members, key=self.place.__getitem__)
        for member in members:
            self.instead[member] = None
            for value in set(member.reads):
                self.readers[value] = [r for r in self.readers[value] if r is not member]
        self.instead[first] = made
        self.place[made] = self.place[first]
        for value in made.reads:
            self.readers[value].append(made)
        self.makers.update((value, made) for value in made.outputs)
        return made

    # --- nn.Sequential ------------------------------------------------------------------------

    def _sequential(self, prefix: str, members: list[Item]) -> Item | None:
        """One chain of calls; numbered from 0, unnamed stateless stages fill the gaps."""
        labels = [_label(m) for m in members]
        plain = all(len(m.outputs) == 1 and len(m.reads) == 1 for m in members)
        if not members or not plain or len(set(labels)) < len(members):
            return None
        numbered = all(label.isdecimal() for label in labels)
        if numbered:
            members = sorted(members, key=lambda m: int(_label(m)))
        gaps = self._find_gaps(members)
        if gaps is None:
            return None
        stages = _fill_numbers(members, gaps, self._lead(members[0])) if numbered else None
        if stages is not None:
            if self.swallow_tail:
                stages += [_Stage(item, "") for item in self._tail(members[-1])]
            constructor = call("nn.Sequential", *_join_runs(stages, self._trees(stages)))
        elif any(gaps) or len(members) == 1 or not all(map(is_key, labels)):
            return None
        else:
            stages = [_Stage(m, _label(m)) for m in members]
            parts = [_pair(s.key, t) for s, t in zip(stages, self._trees(stages), strict=True)]
            ordered = call("OrderedDict", Tree(Form.LIST, "", tuple(parts)))
            constructor = call("nn.Sequential", ordered)
        return self._make_chain(prefix, stages, constructor)

    def _make_chain(self, prefix: str, stages: list[_Stage], constructor: Tree) -> Item:
        chain = [s.item for s in stages if s.item is not None]
        guards = dict.fromkeys(item.guard for item in chain if item.guard is not None)
        made = Item(
            prefix,
            constructor,
            Tree(Form.CALL, "", (Tree(Form.OWN, prefix), Operand(0))),
            chain[0].reads,
            chain[-1].outputs,
            next(iter(guards)) if len(guards) == 1 else None,
            None,
            tuple(start for item in chain for start in item.starts),
            "sequential",
            nodes=_join_nodes(chain),
            ignored=tuple(hint for item in chain for hint in item.ignored),
            guards=tuple(guards),
        )
        return self._replace(chain, made)

    def _find_gaps(self, members: list[Item]) -> list[list[Item]] | None:
        """Stateless items between one member and the next; None where it is no chain."""
        gaps: list[list[Item]] = []
        for before, after in pairwise(members):
            gap: list[Item] = []
            value = before.outputs[0]
            while (readers := self.readers.get(value, [])) != [after]:
                if len(readers) != 1 or not _is_stage(readers[0]):
                    return None
                assert readers[0] is not None
                gap.append(readers[0])
                value = readers[0].outputs[0]
            gaps.append(gap)
        return gaps

    def _lead(self, first: Item) -> list[Item]:
        """Stateless items before the first member of a numbering that starts above 0."""
        lead: list[Item] = []
        value = first.reads[0]
        for _ in range(int(_label(first))):
            maker = self.makers.get(value)
            if not _is_stage(maker) or len(self.readers[value]) != 1:
                break
            assert maker is not None
            lead.insert(0, maker)
            value = maker.reads[0]
        return lead

    def _tail(self, last: Item) -> Iterator[Item]:
        """Stateless items after the last member of a numbering."""
        readers = self.readers.get(last.outputs[0], [])
        while len(readers) == 1 and _is_stage(readers[0]):
            assert readers[0] is not None
            yield readers[0]
            readers = self.readers.get(readers[0].outputs[0], [])

    def _trees(self, stages: list[_Stage]) -> list[Part]:
        """Constructors of the stages; sizes of tensors inside the chain are marked as inner."""
        trees = [s.tree for s in stages]
        last = {
            hole.dim[2]: place
            for place, tree in enumerate(trees)
            for hole in holes(tree)
            if hole.dim is not None and hole.dim[0] == "out"
        }
        final = next(s.item for s in reversed(stages) if s.item is not None)
        shape = self.types[final.outputs[0]].shape

        def mark(part: Part, place: int) -> Part:
            if not isinstance(part, Hole) or part.dim is None or part.dim[0].startswith("inner"):
                return part
            side, which, axis = part.dim
            ends = side == "in" and _pass_on(stages[:place], axis)
            if side == "out" and last.get(axis) == place:
                ends = -len(shape) <= axis < len(shape) and shape[axis] == part.value
            return part if ends else replace(part, dim=(f"inner {side}", which, axis))

        return [
            rebuild(tree, lambda part, place=place: mark(part, place))  # type: ignore[misc]
            for place, tree in enumerate(trees)
        ]

    # --- loops ----------------------------------------------------------------------------------

    def _loop(self, prefix: str, members: list[Item]) -> Item | None:
        """The same call with one carried value: an `nn.ModuleList` and a `for`."""
        if len(members) < LEAST_TURNS:
            return None
        members = sorted(members, key=lambda m: (len(_label(m)), _label(m)))
        first = members[0]
        carried = [k for k, v in enumerate(members[1].reads) if v == first.outputs[0]]
        if len(carried) != 1 or any(m.constructor is None for m in members):
            return None
        if [_label(m) for m in members] != [str(k) for k in range(len(members))]:
            return None
        for before, after in pairwise(members):
            if not self._follows(before, after, carried[0]):
                return None
        trees = [m.constructor for m in members if m.constructor is not None]
        parts = _join_runs([_Stage(m, _label(m)) for m in members], trees)
        inputs = tuple(map(Operand, range(len(first.reads))))
        made = Item(
            prefix,
            call("nn.ModuleList", Tree(Form.LIST, "", parts)),
            Tree(Form.LOOP, prefix, inputs, (str(carried[0]),)),
            first.reads,
            members[-1].outputs,
            None,
            None,
            tuple(start for m in members for start in m.starts),
            "loop",
            nodes=_join_nodes(members),
            ignored=tuple(hint for m in members for hint in m.ignored),
        )
        return self._replace(members, made)

    def _follows(self, before: Item, after: Item, carried: int) -> bool:
        """Whether a call is the next turn of a loop: all inputs but the carried one stay."""
        rows = (list(before.reads), list(after.reads))
        if len(rows[0]) != len(rows[1]) or len(before.outputs) != 1 or len(after.outputs) != 1:
            return False
        if rows[1][carried] != before.outputs[0]:
            return False
        if self.readers.get(before.outputs[0]) != [after]:
            return False
        for row in rows:
            del row[carried]
        return rows[0] == rows[1] and skeleton(before.constructor) == skeleton(after.constructor)


def _pass_on(stages: list[_Stage], axis: int) -> bool:
    """Whether a size behind some stages is what goes into the first of them: a dropout or a
    pooling before a convolution."""
    items = [stage.item for stage in stages if stage.item is not None]
    sizes = (infer_size(m.nodes, (m.reads[0], axis), (m.outputs[0], axis)) for m in items)
    return all(size == HintName(SIZE) for size in sizes)


def _join_nodes(items: Iterable[Item]) -> tuple[Node, ...]:
    """The nodes of several items; none where one does not know its own."""
    rows = [item.nodes for item in items]
    return tuple(node for row in rows for node in row) if all(rows) else ()


class _Stage:
    """A stage of a chain: an item, or a filler of its numbering."""

    def __init__(self, item: Item | None, key: str) -> None:
        self.item = item
        self.key = key

    @property
    def tree(self) -> Part:
        """How it is made."""
        tree = IDENTITY if self.item is None else self.item.constructor or self.item.module
        assert tree is not None
        return tree


def _fill_numbers(
    members: list[Item], gaps: list[list[Item]], lead: list[Item]
) -> list[_Stage] | None:
    """Members at their numbers with stateless items, then fillers, between them; None where
    there are too many items or fillers."""
    stages: list[_Stage] = []
    for member, gap in zip(members, [lead, *gaps], strict=True):
        number = int(_label(member))
        stages += [_Stage(item, "") for item in gap]
        missing = number - len(stages)
        if not 0 <= missing <= MOST_FILLERS:
            return None
        stages += [_Stage(None, "")] * missing
        stages.append(_Stage(member, _label(member)))
    return stages


def _join_runs(stages: list[_Stage], trees: list[Part]) -> tuple[Part, ...]:
    """Equal calls of one class in a row become a `REPEAT`, so that their number is a leaf: those
    that are equal for all arguments, not `kernels[1]` and `kernels[2]` that are both 3."""
    parts: list[Part] = []
    for stage, tree in zip(stages, trees, strict=True):
        if stage.item is None or not isinstance(tree, Tree) or tree.form is not Form.BUILD:
            parts.append(tree)
            continue
        last = parts[-1] if parts else None
        if isinstance(last, Tree) and last.form is Form.REPEAT and _equal(last.parts[1], tree):
            count = last.parts[0]
            assert isinstance(count, Hole)
            assert isinstance(count.value, int)
            more = replace(count, value=count.value + 1)
            parts[-1] = replace(last, parts=(more, last.parts[1]))
        else:
            parts.append(Tree(Form.REPEAT, "", (Hole(1, "count"), tree)))
    return tuple(parts)


def _equal(left: Part, right: Part) -> bool:
    if skeleton(left) != skeleton(right):
        return False
    pairs = zip(holes(left), holes(right), strict=True)
    return all(
        same_value(a.value, b.value) and _written(a.hint) == _written(b.hint) for a, b in pairs
    )


def _written(hint: Hint | None) -> Hint | None:
    """What an author wrote for a number that may change."""
    return hint if hint is not None and any(True for _ in hint_atoms(hint)) else None


def _is_stage(item: Item | None) -> bool:
    """Whether it can stand in `nn.Sequential` without a name."""
    return (
        item is not None
        and item.module is not None
        and len(item.outputs) == 1
        and len(item.reads) == 1
    )


def _pair(key: str, tree: Part) -> Tree:
    return Tree(Form.TUPLE, "", (name(write_string(key)), tree))


def _label(item: Item) -> str:
    return item.slot.rpartition(".")[2]


def _prefixes(slot: str) -> list[str]:
    """Paths of the containers around a slot, outermost first."""
    parts = slot.split(".")
    return [".".join(parts[:k]) for k in range(1, len(parts))]
