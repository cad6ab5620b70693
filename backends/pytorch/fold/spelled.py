"""Nodes with their PyTorch spelling: what each reads, what its constructor owns."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

from backends.pytorch.fold.lists import Lists, take_whole
from backends.pytorch.fold.printed import Printed
from backends.pytorch.terms.helpers import LEARNED, ROUNDED
from backends.pytorch.terms.naming import MARK
from backends.pytorch.terms.terms import (
    Form,
    Hole,
    Operand,
    Part,
    Tree,
    operands,
    plain_value,
    read_term,
    shift_operands,
)
from compiler.ir.frame import Frame, Site
from compiler.ir.graph import Graph, Node
from compiler.ir.hint import Hint, mark_outer
from compiler.ir.listings import Record
from compiler.ops.choosing import torch_dtype
from compiler.ops.modules import owns_weights
from compiler.ops.quantization import FakeQuantize
from compiler.ops.scan import COUNTER, Scan
from compiler.types.tensor import DType, TensorType
from compiler.vocabulary.spelling import Call, Leaf, Spelling, Term


@dataclass(frozen=True, eq=False)
class Spelled:
    """A node as code. Operands of its trees index `reads`, the names of the values it reads;
    `owned` are the parameters that its constructor makes; `OWN` trees are below `slot`.

    A `scan` node is two of them: what opens the loop and what closes it. Lists of tensors have no
    nodes, but code.
    """

    node: Node | Record
    slot: str  # absolute path; "" where it has none
    constructor: Part | None
    expression: Part
    module: Part | None
    reads: tuple[str, ...]
    owned: tuple[str, ...]
    outputs: tuple[str, ...]
    general: Part | None = None
    kind: str = ""
    """What it does with a list of tensors."""

    @property
    def scope(self) -> Frame:
        """The frame it stands in."""
        return self.node.scope

    @property
    def origin(self) -> Site:
        """Where it comes from."""
        return self.node.origin

    @property
    def op(self) -> str:
        """What it does."""
        return self.node.op.name if isinstance(self.node, Node) else self.kind

    @property
    def scan(self) -> Scan | None:
        """The loop over steps that it opens or closes."""
        op = self.node.op if isinstance(self.node, Node) else None
        return op if isinstance(op, Scan) else None

    @property
    def nodes(self) -> tuple[Node, ...]:
        """The node that it is the code of."""
        return (self.node,) if isinstance(self.node, Node) and self.scan is None else ()


class SpelledGraph(NamedTuple):
    """The nodes of a graph as code, the types of all values, and what frames call values that
    inner frames make."""

    nodes: list[Spelled]
    types: dict[str, TensorType]
    names: dict[tuple[Frame, str], str]


def spell_graph(
    graph: Graph, nets: Collection[Frame] | None = None, lists: Lists | None = None
) -> SpelledGraph:
    """Every node, in order, reading off the `lists` that are kept as lists. Constants that
    are read only where a plain number may stand have become part of their readers; bodies of
    loops stand between the opening and the closing of their loop. With `nets`, only what stands
    under one of these frames may own weights: all else reads them as tensors."""
    speller = _Speller(graph, nets, lists)
    spelled = list(speller.spell(graph.nodes, {}, ""))
    return SpelledGraph(spelled, speller.types, speller.names)


def join_path(left: str, right: str) -> str:
    """Two paths with a dot between them, either may be empty."""
    return f"{left}.{right}" if left and right else left or right


class _Speller:
    def __init__(self, graph: Graph, nets: Collection[Frame] | None, lists: Lists | None) -> None:
        self.nets = nets
        self.lists = lists
        self.parameters = graph.parameter.keys()
        self.producers = graph.producers
        self.numbers: dict[str, tuple[Node, Spelling]] = {}
        self.types = {i.name: i.value.type for i in graph.inputs}
        self.types.update((p.path, p.value.type) for p in graph.parameters)
        self.loops = 0
        self.names: dict[tuple[Frame, str], str] = {}
        self._note(graph, "")

    def _note(self, graph: Graph, mark: str) -> None:
        for alias in graph.aliases:  # the first of several names is the one that code has
            self.names.setdefault((alias.frame, alias.value + mark), alias.name)

    def spell(
        self, nodes: Iterable[Node], names: Mapping[str, str], mark: str
    ) -> Iterator[Spelled]:
        """Nodes whose values go by `names`; those they make get the mark behind theirs."""
        known = dict(names)
        for node in nodes:
            known.update((v.name, v.name + mark) for v in node.outputs)
            self.types.update((v.name + mark, v.type) for v in node.outputs)
            if isinstance(node.op, Scan):
                yield from self._spell_scan(node, node.op, known, mark)
                continue
            inner = find_rounded(node, self.producers, self.parameters)
            if inner is not None:
                yield self._spell_rounded(inner, node, known)
                continue
            spelling = node.op.torch(node)
            made = self._spell(node, spelling, known)
            if spelling.number is not None:
                self.numbers[made.outputs[0]] = node, spelling
            yield made

    def _spell(self, node: Node, spelling: Spelling, known: Mapping[str, str]) -> Spelled:
        slot = self._find_slot(node, has_weights=spelling.constructor is not None)
        names = self._read(node, known)
        found = {i: self.numbers[n] for i, n in enumerate(names) if n in self.numbers}
        found = {i: made for i, made in found.items() if _is_at_hand(made[0], node)}
        if len(found) == len(names) > 1:
            del found[0]  # two plain numbers would make a third, which is no tensor
        plain = {i: _number(node, *maker) for i, maker in found.items()}
        hints = node.origin.hint
        other = (term for index, term in spelling.with_number if index in plain)
        expression = read_term(next(other, spelling.expression), hints, plain)
        general = spelling.general
        whole = self.lists.read_whole(node) if self.lists is not None else None
        taken = take_whole(expression, len(names)) if whole is not None else None
        if whole is not None and taken is not None:
            expression, names = taken, [whole]
        used = sorted(set(operands(expression)))
        owned: tuple[str, ...] = ()
        if spelling.constructor is not None:
            own = (n for n in names if n in self.parameters)
            owned = tuple(n for n in own if n.rpartition(".")[0] == slot)
        constructor = self._set_dtype(spelling.constructor, owned)
        return Spelled(
            node,
            slot,
            None if constructor is None else read_term(constructor, hints),
            shift_operands(expression, {old: new for new, old in enumerate(used)}),
            None if spelling.module is None else read_term(spelling.module, hints),
            tuple(names[i] for i in used),
            owned,
            tuple(known[v.name] for v in node.outputs),
            None if general is None else read_term(general, hints, plain),
        )

    def _read(self, node: Node, known: Mapping[str, str]) -> list[str]:
        """The names of what a node reads."""
        if self.lists is not None:
            return self.lists.read_operands(node, known)
        return [known.get(v.name, v.name) if v is not None else "" for v in node.inputs]

    def _find_slot(self, node: Node, *, has_weights: bool) -> str:
        """The path of the module of a node; none where it is a function, or a train's own."""
        if self.nets is not None and not any(f in self.nets for f in node.scope.chain):
            return ""
        if node.origin.name or has_weights:  # a net that is one op is called as its frame is
            return join_path(node.scope.path, node.origin.name)
        return ""

    def _set_dtype(self, constructor: Term | None, owned: Collection[str]) -> Term | None:
        """A constructor that makes weights of the dtype that the graph has, where that is not
        PyTorch's default."""
        kinds = {d for d in (self.types[name].dtype for name in owned) if d.is_float} - {DType.F32}
        if not kinds or not isinstance(constructor, Call):
            return constructor
        dtype = ("dtype", torch_dtype(kinds.pop()))
        return replace(constructor, kwargs=(*constructor.kwargs, dtype))

    def _spell_rounded(self, inner: Node, node: Node, known: Mapping[str, str]) -> Spelled:
        """A layer whose module rounds its weight: it holds the scales too."""
        spelling = inner.op.torch(inner)
        made = spelling.constructor
        rounding = node.inputs[1]
        assert isinstance(made, Call), "it owns its weights"
        assert isinstance(made.head, str), "layers are modules of PyTorch"
        assert rounding is not None, "it has a weight"
        maker = self.producers[rounding.name]
        _, scale, zero_point = maker.inputs
        scales = [v for v in (scale, zero_point) if v is not None]
        options = made.kwargs
        if scales[0].type.rank == 0:
            options = (*options, ("per_channel", Leaf(False)))
        learned = isinstance(maker.op, FakeQuantize) and maker.op.learned
        head = (LEARNED if learned else ROUNDED) + made.head.removeprefix("nn.")
        layer = self._spell(
            inner, replace(spelling, constructor=replace(made, head=head, kwargs=options)), known
        )
        return replace(layer, owned=(*layer.owned, *(v.name for v in scales)))

    def _spell_scan(
        self, node: Node, scan: Scan, known: Mapping[str, str], around: str
    ) -> Iterator[Spelled]:
        """The opening of a loop, its body, and its closing."""
        self.loops += 1
        token = mark = f"{around}{MARK}{self.loops}"
        names = self._read(node, known)
        outside = scan.sequences + scan.states
        first = ([scan.counter] if scan.counter is not None else []) + [*scan.slices, *scan.carried]
        inner = {i.name: i.name + mark for i in first}
        inner.update((i.name, n) for i, n in zip(scan.captured, names[outside:], strict=True))
        self.types.update((i.name + mark, i.value.type) for i in first)
        self.types[token] = COUNTER
        self._note(scan.body, mark)
        hints = node.origin.hint
        way = Hole(scan.reverse, "reverse", False, hints.get("reverse"))
        parts: tuple[Part, ...] = (*map(Operand, range(outside)), way)
        if scan.count is not None:
            count = Hole(plain_value(scan.count), "count", hint=hints.get("count"))
            start = Hole(plain_value(scan.start), "start", hint=hints.get("start"))
            parts = (*parts, count, start, Tree(Form.DEVICE))
        begin = Tree(Form.SCAN, _describe(scan), parts)
        made = (*(inner[i.name] for i in first), token)
        yield Spelled(node, "", None, begin, None, tuple(names[:outside]), (), made)
        yield from self.spell(scan.body.nodes, inner, mark)
        inner.update((v.name, v.name + mark) for n in scan.body.nodes for v in n.outputs)
        reads = (token, *(inner[o.value.name] for o in scan.body.outputs))
        end = Tree(Form.SCAN_END, _describe(scan), (*map(Operand, range(len(reads))), way))
        outputs = tuple(known[v.name] for v in node.outputs)
        yield Spelled(node, "", None, end, None, reads, (), outputs)


def unmark(name: str) -> str:
    """The name of a value as the graph around it or the body of its loop says it."""
    return name.partition(MARK)[0]


def find_rounded(
    node: Node, producers: Mapping[str, Node], parameters: Collection[str]
) -> Node | None:
    """A layer as it would read its own weight, where it reads that rounded to i8 in steps that
    lie beside it (`conv.weight_scale`); None for every other node."""
    if node.op.in_integers != "layer" or node.inputs[1] is None:
        return None
    maker = producers.get(node.inputs[1].name)
    if maker is None or not isinstance(maker.op, FakeQuantize) or maker.op.dtype != "i8":
        return None
    weight, *scales = maker.inputs
    assert weight is not None, "it has an operand"
    beside = [f"{weight.name}_scale", f"{weight.name}_zero_point"]
    if weight.name not in parameters or [v and v.name for v in scales] != beside:
        return None
    inner = replace(node, inputs=(node.inputs[0], weight, *node.inputs[2:]))
    return inner if maker.op.axis in (0, None) and owns_weights(inner) else None


def _describe(scan: Scan) -> str:
    """What two loops must share to be one piece of code."""
    fields = (scan.sequences, scan.states, scan.axis, scan.emit_axes, scan.step)
    return repr((*fields, scan.until, scan.count is not None))


def _is_at_hand(maker: Node, reader: Node) -> bool:
    """Whether a node may name a number: what a function of a script is given, its blocks are
    not."""
    return not isinstance(maker.op, Printed) or maker.scope is reader.scope


def _number(reader: Node, maker: Node, spelling: Spelling) -> Part:
    """The number that a constant node stands for; its hints hold in its own frame only, and say
    in a call inside it which names of the code around the number follows."""
    hints: Mapping[str, Hint] = maker.origin.hint
    if maker.scope is not reader.scope:
        inside = maker.scope in reader.scope.chain
        marks = {key: mark_outer(hint) for key, hint in hints.items()} if inside else {}
        hints = {key: mark for key, mark in marks.items() if mark is not None}
    assert spelling.number is not None
    return read_term(spelling.number, hints)
