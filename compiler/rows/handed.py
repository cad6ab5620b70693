"""What updates of a train's buffers need of a step: what is handed on to them, and how it is
brought together where a batch is shared by processes, or taken in parts."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import fields, replace
from functools import cached_property
from typing import Literal

from compiler.ir.graph import Graph, Node, Output, Value
from compiler.ir.sizes import ROWS
from compiler.program.train import Train, Update
from compiler.records import dataclass
from compiler.types.dims import Dim

Manner = Literal["same", "rows", "mean", "local"]
"""How a value of one share of a batch, of a process or a part, becomes that of all: it is the same
in each; its rows are gathered; the mean is taken; or there is no way."""
UNGATHERED = "no axis holds rows, or not the first"
"""Why shares of a value cannot be brought together."""


@dataclass(frozen=True)
class Handing:
    """What updates need of a step. A net is applied, and a draw made, in the function of the loss:
    before the optimizer changes anything. So is a mean over rows, which is smaller than these.
    What else the loss needs anyway is handed on too, unless the batch is shared: an update is
    computed of the rows of all processes, and parts, then."""

    train: Train
    graph: Graph
    """That of the train, or one that computes more."""

    @property
    def is_shared(self) -> bool:
        """Whether no step has a whole batch at once."""
        return self.train.processes == "ddp" or self.train.accumulate > 1

    @cached_property
    def seen(self) -> Graph:
        """The graph as updates see it, which keep no gradients: nothing is detached in it."""
        values: dict[str, Value] = {}
        nodes = []
        for node in self.graph.nodes:
            inputs = tuple(v and values.get(v.name, v) for v in node.inputs)
            if node.op.moves and node.op.is_flat and len(inputs) == 1 and inputs[0] is not None:
                values[node.output.name] = inputs[0]
            else:
                nodes.append(replace(node, inputs=inputs))
        outputs = (replace(o, value=values.get(o.value.name, o.value)) for o in self.graph.outputs)
        return replace(self.graph, nodes=tuple(nodes), outputs=tuple(outputs))

    @cached_property
    def outputs(self) -> Mapping[str, Output]:
        """The outputs of that graph by name."""
        return {output.name: output for output in self.seen.outputs}

    def find_read(self, updates: Sequence[Update]) -> tuple[Value, ...]:
        """What updates of one step read of it: what is handed on, then columns."""
        (step,) = {update.step for update in updates}
        losses = [s.loss for s in self.train.steps if s.name == step]
        early = self._find_early(losses) if losses else set[str]()
        wanted = {self.outputs[update.output].value.name: None for update in updates}
        columns = {item.value.name: item.value for item in self.seen.inputs}
        made = {v.name: v for node in self.seen.nodes for v in node.outputs}
        read: dict[str, None] = {}
        for node in reversed(self.seen.nodes):
            for value in node.outputs:
                if value.name in wanted and value.name in early:
                    read[value.name] = None
            if any(v.name in wanted and v.name not in early for v in node.outputs):
                wanted |= dict.fromkeys(v.name for v in node.inputs if v is not None)
        found = [made[name] for name in reversed(read)]
        found += [value for name, value in columns.items() if name in wanted]
        late = (n for n in self.seen.nodes if _makes(n, wanted.keys() - early))
        if any(map(_reads_count, late)) and not any(map(_counts_rows, found)):
            found += [value for value in columns.values() if has_rows(value)][:1]
        return tuple(found)

    def _find_early(self, losses: Sequence[str]) -> set[str]:
        """The values that the function of a loss can hand on."""
        early = {
            v.name
            for node in self.seen.nodes
            if self._is_costly(node) or _makes(node, self._means)
            for v in node.outputs
        }
        if self.is_shared:
            return early
        return early | _find_needed(self.seen, (self.outputs[loss].value.name for loss in losses))

    def _is_costly(self, node: Node) -> bool:
        """Whether a node is of a net, reads a weight of one, or draws."""
        return is_of_net(self.train, self.seen, node) or node.op.draws

    @cached_property
    def _varying(self) -> set[str]:
        """The values that follow from the rows of a batch."""
        found = {item.value.name for item in self.seen.inputs}
        for node in self.seen.nodes:
            read = any(v is not None and v.name in found for v in node.inputs)
            if read or any(_counts_rows(v) for v in node.outputs):
                found |= {v.name for v in node.outputs}
        return found

    @cached_property
    def _bags(self) -> set[str]:
        """The values whose first axis holds rows in an order that does not matter: of nets, of
        the data, drawn, or of one another entry by entry."""
        found = {i.value.name for i in self.seen.inputs if has_rows(i.value)}
        for node in self.seen.nodes:
            if len(node.outputs) > 1 or not _counts_rows(node.output):
                continue
            costly = self._is_costly(node) and has_rows(node.output)
            if costly or self._keeps_bag(node, found):
                found.add(node.output.name)
        return found

    def _keeps_bag(self, node: Node, bags: set[str]) -> bool:
        """Whether each row of a result follows from a row of its operands."""
        given = [v for v in node.inputs if v is not None]
        rank = node.output.type.rank
        rows = [v for v in given if v.name in bags and v.type.rank == rank]
        if node.op.joins:
            joined = sum((v.type.shape[0] for v in rows), start=Dim.of(0)) if rows else None
            return len(rows) == len(given) and node.output.type.shape[0] == joined
        others = [v for v in given if v not in rows]
        return bool(rows and node.op.broadcasts) and self._varying.isdisjoint(
            v.name for v in others
        )

    @cached_property
    def _means(self) -> set[str]:
        """The means over all rows of a batch; none in half precision, where an update takes them
        itself, of the rows and in full precision."""
        if self.train.precision != "f32":
            return set()
        return {
            node.output.name
            for node in self.seen.nodes
            if node.op.averages
            and not _counts_rows(node.output)
            and any(v is not None and v.name in self._bags for v in node.inputs)
        }

    def find_manner(self, value: Value) -> Manner:
        """How a value is brought together that updates read."""
        if value.name not in self._varying:
            return "same"
        if value.name in self._means:
            return "mean"
        return "rows" if has_rows(value) else "local"

    def find_faults(self) -> Iterator[tuple[Update, Value, str]]:
        """The updates that need more than a share of a batch, each with the value of which there
        is no more, and why."""
        for update in self.train.updates:
            beside = all(step.name != update.step for step in self.train.steps)
            found = self._find_beside(update) if beside else self._find_local(update)
            if found is not None:
                yield update, *found

    def _find_local(self, update: Update) -> tuple[Value, str] | None:
        """What an update of a step reads that cannot be brought together."""
        read = self.find_read([update])
        local = next((v for v in read if self.find_manner(v) == "local"), None)
        return (local, UNGATHERED) if local is not None else None

    def _find_beside(self, update: Update) -> tuple[Value, str] | None:
        """The same of an update beside steps, which applies nets and draws for itself, and of
        parts has no rows."""
        columns = {item.value.name for item in self.seen.inputs}
        needed = _find_needed(self.seen, [self.outputs[update.output].value.name])
        for node in self.seen.nodes:
            for value in node.outputs if node.op.draws and _makes(node, needed) else ():
                if _counts_rows(value):
                    return value, "drawn for rows, which an update beside steps cannot share"
        for value in self.find_read([update]):
            if value.name not in columns:
                return value, UNGATHERED
            if self.train.accumulate > 1:
                return value, "rows, of which an update beside steps has no parts"
        return None


def is_of_net(train: Train, graph: Graph, node: Node) -> bool:
    """Whether a node is of a net, or has weights of one: it costs more than others."""
    names = {v.name for v in node.inputs if v is not None}
    nets = {net.prefix.removesuffix(".") for net in train.nets}
    called = len(node.scope.chain) > 1 and node.scope.chain[1].path in nets
    own = {buffer.path for buffer in train.buffers}
    return called or not names.isdisjoint(graph.parameter.keys() - own)


def has_rows(value: Value) -> bool:
    """Whether the first axis of a value holds the rows of a batch, and no other does."""
    shape = value.type.shape
    return (
        bool(shape) and shape[0] == Dim.of(ROWS) and not any(ROWS in d.symbols for d in shape[1:])
    )


def _makes(node: Node, names: Collection[str]) -> bool:
    """Whether a node has one of these results."""
    return any(value.name in names for value in node.outputs)


def _counts_rows(value: Value) -> bool:
    return any(ROWS in dim.symbols for dim in value.type.shape)


def _reads_count(node: Node) -> bool:
    """Whether a node says the number of rows."""
    values = (getattr(node.op, field.name) for field in fields(node.op))  # type: ignore[arg-type]
    told = any(isinstance(value, Dim) and ROWS in value.symbols for value in values)
    return told or any(map(_counts_rows, node.outputs))


def _find_needed(graph: Graph, names: Iterable[str]) -> set[str]:
    """The values that these depend on, and themselves."""
    needed = set(names)
    for node in reversed(graph.nodes):
        if any(value.name in needed for value in node.outputs):
            needed.update(v.name for v in node.inputs if v is not None)
    return needed
