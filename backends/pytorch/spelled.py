"""Nodes with their PyTorch spelling: what each reads, what its constructor owns."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from backends.pytorch.terms import Part, operands, read_term, shift_operands
from compiler.ir.graph import Frame, Graph, Node
from compiler.ir.hint import Hint
from compiler.ops.spelling import Spelling


@dataclass(frozen=True, eq=False)
class Spelled:
    """A node as code. Operands of its trees index `reads`, the names of the values it reads;
    `owned` are the parameters that its constructor makes; `OWN` trees are below `slot`."""

    node: Node
    slot: str  # absolute path; "" where it has none
    constructor: Part | None
    expression: Part
    module: Part | None
    reads: tuple[str, ...]
    owned: tuple[str, ...]

    @property
    def scope(self) -> Frame:
        """The frame it stands in."""
        return self.node.scope

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of the values it makes."""
        return tuple(v.name for v in self.node.outputs)


def spell_graph(graph: Graph) -> list[Spelled]:
    """Every node that an output needs, in order. Constants that are read only where a plain
    number may stand have become part of their readers."""
    spellings: dict[str, tuple[Node, Spelling]] = {}
    spelled: list[Spelled] = []
    for node in graph.nodes:
        spelling = node.op.torch(node)
        spelled.append(_spell(node, spelling, graph.parameter.keys(), spellings))
        if spelling.number is not None:
            spellings[node.output.name] = node, spelling
    return _keep_live(spelled, (o.value.name for o in graph.outputs))


def join_path(left: str, right: str) -> str:
    """Two paths with a dot between them, either may be empty."""
    return f"{left}.{right}" if left and right else left or right


def _spell(
    node: Node,
    spelling: Spelling,
    parameters: Iterable[str],
    numbers: Mapping[str, tuple[Node, Spelling]],
) -> Spelled:
    slot = join_path(node.scope.path, node.origin.name) if node.origin.name else ""
    names = [v.name if v is not None else "" for v in node.inputs]
    plain = {i: _number(node, *numbers[n]) for i, n in enumerate(names) if n in numbers}
    hints = node.origin.hint
    expression = read_term(spelling.expression, hints, plain)
    used = sorted(set(operands(expression)))
    owned: tuple[str, ...] = ()
    if spelling.constructor is not None:
        owned = tuple(n for n in names if n in parameters and n.rpartition(".")[0] == slot)
    return Spelled(
        node,
        slot,
        None if spelling.constructor is None else read_term(spelling.constructor, hints),
        shift_operands(expression, {old: new for new, old in enumerate(used)}),
        None if spelling.module is None else read_term(spelling.module, hints),
        tuple(names[i] for i in used),
        owned,
    )


def _number(reader: Node, maker: Node, spelling: Spelling) -> Part:
    """The number that a constant node stands for; its hints hold in its own frame only."""
    hints: Mapping[str, Hint] = maker.origin.hint if maker.scope is reader.scope else {}
    assert spelling.number is not None
    return read_term(spelling.number, hints)


def _keep_live(spelled: list[Spelled], outputs: Iterable[str]) -> list[Spelled]:
    needed = set(outputs)
    live = []
    for item in reversed(spelled):
        if not needed.isdisjoint(item.outputs):
            needed.update(item.reads)
            live.append(item)
    return live[::-1]
