"""Draws that stand in a train: from a generator that its script hands to what computes the loss.

Draws inside nets, dropout and samples of a model, come from PyTorch's global generator instead.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from functools import cached_property
from typing import final

from backends.pytorch.fold.printed import Printed
from backends.pytorch.functions import find_calls
from backends.pytorch.train.numbers import TrainNumbers
from compiler.ir.frame import Frame
from compiler.ir.graph import Graph, Node
from compiler.ops.drawing import Draw, Manner
from compiler.ops.scan import Scan
from compiler.program.train import Train
from compiler.records import dataclass
from compiler.vocabulary.spelling import Attribute, Device, Name, Spelling, Term

DRAWS, COUNT = "draws", "batch_rows"
"""The variables of the generator, and of the rows of a batch that processes share."""
TYPES = {DRAWS: "torch.Generator", COUNT: "int"}
"""What functions are given beside nets and columns."""
EPOCH_SEED, EVALUATION_SEED = "SEED + 1000 * epoch + 500", "SEED + 500"
"""Seeds of the generators of an epoch and of an evaluation, apart from those of dropout."""


@final
@dataclass(frozen=True)
class Seeded(Printed):
    """A draw with the script's generator. It exists in generated scripts only."""

    name = "seeded"
    random = True
    op: Draw
    manner: Manner

    def torch(self, node: Node) -> Spelling:
        """`torch.randn(…, generator=draws)`."""
        return Spelling(self.op.spell_draw(node, self.manner))


@dataclass(frozen=True)
class TrainDraws:
    """The draws of a train, those of its own apart from those inside its nets."""

    train: Train

    @cached_property
    def nets(self) -> Mapping[str, Graph]:
        """The graph of each net, by what its paths begin with."""
        return {net.prefix: net.net.graph for net in self.train.nets}

    @cached_property
    def numbers(self) -> TrainNumbers:
        """The numbers that change with the steps."""
        return TrainNumbers(self.train)

    @property
    def shared(self) -> bool:
        """Whether processes share every batch."""
        return self.train.processes == "ddp"

    def augments(self, graph: Graph) -> bool:
        """Whether a graph is the augmentation of the data, which is without nets."""
        whole = self.train.data.augment
        return whole is not None and graph.frame is whole.frame

    def find_own(self, graph: Graph) -> tuple[Node, ...]:
        """The nodes, of what the train computes, that draw outside of every net."""
        drawing = [node for node in graph.nodes if node.op.varies]
        if not drawing:
            return ()
        calls = self._find_calls(graph)
        return tuple(node for node in drawing if _draws_outside(node, calls))

    def find_inner(self, graph: Graph) -> tuple[Node, ...]:
        """The nodes whose draws come from the global generator: those inside nets, and dropout."""
        own = {id(node) for node in self.find_own(graph)}
        return tuple(n for n in graph.nodes if n.op.draws and (id(n) not in own or _has_noise(n)))

    def list_given(self, graph: Graph, *, alone: bool = False) -> tuple[str, ...]:
        """What the function that computes a graph is given beside nets and columns. One that runs
        in one process `alone` shares nothing."""
        numbers = tuple(number.name for number in self.numbers.find(graph))
        if not self.find_own(graph):
            return numbers
        return (DRAWS, COUNT, *numbers) if self.shared and not alone else (DRAWS, *numbers)

    def type_given(self, graph: Graph, *, alone: bool = False) -> dict[str, str]:
        """The types of these."""
        types = TYPES | {number.name: number.type for number in self.numbers.find(graph)}
        return {name: types[name] for name in self.list_given(graph, alone=alone)}

    def seed(self, graph: Graph, *, alone: bool = False) -> Graph:
        """The graph whose own draws come from the script's generator, and whose numbers that change
        are given."""
        graph = self.numbers.give(graph)
        own = self.find_own(graph)
        device: Term = Device() if graph.inputs else Attribute(Name(DRAWS), "device")
        count = Name(COUNT) if self.shared and not alone else None
        manner = Manner((("generator", Name(DRAWS)),), count, device)
        calls = self._find_calls(graph) if own else ()
        nodes = (_seed(node, manner, calls) for node in graph.nodes)
        return replace(graph, nodes=tuple(nodes)) if own else graph

    def _find_calls(self, graph: Graph) -> Collection[Frame]:
        nets = {} if self.augments(graph) else self.nets
        return dict(find_calls(graph, dict.fromkeys(nets, "net"), nets)).keys()


def find_block(node: Node) -> Frame | None:
    """The outermost call of a block or net that a node stands in."""
    return node.scope.chain[1] if len(node.scope.chain) > 1 else None


def _has_noise(node: Node) -> bool:
    inside = (inner for body in node.op.bodies for inner in body.nodes)
    return node.op.noisy or any(map(_has_noise, inside))


def _draws_outside(node: Node, calls: Collection[Frame]) -> bool:
    """Whether it draws, itself or in a loop, outside of the calls of nets."""
    if find_block(node) in calls:
        return False
    inside = (inner for body in node.op.bodies for inner in body.nodes)
    return node.op.random or any(_draws_outside(inner, calls) for inner in inside)


def _seed(node: Node, manner: Manner, calls: Collection[Frame]) -> Node:
    if not _draws_outside(node, calls):
        return node
    match node.op:
        case Draw() as op:
            return replace(node, op=Seeded(op, manner))
        case Scan(body=body) as op:
            inside = tuple(_seed(inner, manner, calls) for inner in body.nodes)
            return replace(node, op=replace(op, body=replace(body, nodes=inside)))
    return node
