"""Copies of a net's graph inside the step of a train, under frames and names of their own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

from compiler.ir.authored import Alias, Decision
from compiler.ir.frame import Argument, Frame, Listed, Listing, Pick, Site
from compiler.ir.graph import Graph, Input, Node, Parameter, Value
from compiler.ir.listings import Record, follow, site_records
from compiler.ops.scan import Scan
from compiler.program.train import TrainedNet
from compiler.types.dims import Dim
from compiler.writing.names import free_name


def find_sizes(graph: Graph, arguments: Mapping[str, Value]) -> dict[str, Dim]:
    """What the symbolic dims of a net are in a call that gives it these tensors."""
    sizes: dict[str, Dim] = {}
    for item in graph.inputs:
        given = arguments.get(item.name)
        if given is None:
            continue
        for own, dim in zip(item.value.type.shape, given.type.shape, strict=True):
            for symbol in own.symbols:
                if own == Dim.of(symbol):
                    sizes.setdefault(symbol, dim)
    return sizes


def prefixed_parameters(net: TrainedNet) -> Iterator[Parameter]:
    """The parameters of a net as its train calls them."""
    for parameter in net.net.graph.parameters:
        value = replace(parameter.value, name=net.prefix + parameter.path)
        yield replace(parameter, value=value)


def copy_graph(net: TrainedNet) -> Graph:
    """A net's graph under frames of its own: graphs that stand side by side in one train share
    none, though passes let a net keep those of the net that it was made from."""
    graph = net.net.graph
    frame = replace(graph.frame)
    taken = {i.name for i in graph.inputs} | set(graph.parameter)
    arguments = {i.name: i.value for i in graph.inputs}
    plain = replace(net, prefix="")
    copy = GraphCopy(plain, frame, arguments, {}, taken, graph.frame.call)
    nodes = tuple(copy.nodes())
    outputs = tuple(
        replace(o, value=copy.value(o.value), pick=copy.pick(o.pick)) for o in graph.outputs
    )
    return replace(
        graph,
        nodes=nodes,
        outputs=outputs,
        frame=frame,
        aliases=tuple(copy.aliases()),
        decisions=tuple(copy.decisions()),
    )


class GraphCopy:
    """A net's graph copied into a step, under a frame, for given tensors.

    Names of values are those of `before`, the counterparts of an older copy, where it has them;
    fresh names are added to `taken`. `serial` is the number of the last call of the step. `shared`
    are nodes of the step by the names of their counterparts' outputs: where they still compute the
    same, they stand for those.
    """

    def __init__(
        self,
        net: TrainedNet,
        frame: Frame,
        arguments: Mapping[str, Value],
        before: Mapping[str, Value],
        taken: set[str],
        serial: int,
        shared: Mapping[str, Node] = MappingProxyType({}),
    ) -> None:
        self.graph = net.net.graph
        self.prefix = net.prefix
        self.before = before
        self.taken = taken
        self.serial = serial
        self.shared = shared
        self.sizes = find_sizes(self.graph, arguments)
        self.frames: dict[Frame, Frame] = {self.graph.frame: frame}
        self.records: dict[Record, Record] = {}
        self.followed: set[Record] = set()
        self.names = {formal: value.name for formal, value in arguments.items()}
        self.names |= {path: net.prefix + path for path in self.graph.parameter}

    def nodes(self) -> Iterator[Node]:
        """The nodes of the copy, in order; nodes of the step that stand for some of them among
        these."""
        for node in self.graph.nodes:
            there = self._find_shared(node)
            if there is not None:
                pairs = zip(node.outputs, there.outputs, strict=True)
                self.names |= {own.name: value.name for own, value in pairs}
                yield there
                continue
            for value in node.outputs:
                self._choose(value.name)
            yield self._node(node)

    def _find_shared(self, node: Node) -> Node | None:
        """The node of the step that computes what a node of the graph does, where it shares it."""
        there = self.shared.get(node.outputs[0].name)
        if there is None or there.op != node.op.substitute(self.sizes):
            return None
        read = [self.names[v.name] if v is not None else None for v in node.inputs]
        return there if read == [v.name if v is not None else None for v in there.inputs] else None

    def value(self, value: Value) -> Value:
        """What stands for a value of the graph."""
        return Value(self.names[value.name], value.type.substitute(self.sizes))

    def pick(self, pick: Pick | None) -> Pick | None:
        """What stands for how a value was read off a list of tensors."""
        if pick is None:
            return None
        self._copy_records((pick,))
        copied = self.records[pick]
        assert isinstance(copied, Pick)
        return copied

    def aliases(self) -> Iterator[Alias]:
        """What the graph's frames call its values, for the copies of both."""
        return self._aliases(self.graph)

    def decisions(self) -> Iterator[Decision]:
        """How the conditions of the graph's frames came out, for their copies."""
        return self._decisions(self.graph)

    def _aliases(self, graph: Graph) -> Iterator[Alias]:
        for alias in graph.aliases:
            if alias.value in self.names:
                yield Alias(self._frame(alias.frame), self.names[alias.value], alias.name)

    def _decisions(self, graph: Graph) -> Iterator[Decision]:
        for decision in graph.decisions:
            yield replace(decision, frame=self._frame(decision.frame))

    def _choose(self, name: str) -> None:
        wish = self.before[name].name if name in self.before else name
        chosen = free_name(wish, self.taken, ".")
        self.names[name] = chosen
        self.taken.add(chosen)

    def _node(self, node: Node) -> Node:
        op = node.op.substitute(self.sizes)
        if isinstance(op, Scan):
            op = replace(op, body=self._body(op.body, op.captured))
        return replace(
            node,
            op=op,
            inputs=tuple(self.value(v) if v is not None else None for v in node.inputs),
            outputs=tuple(map(self.value, node.outputs)),
            scope=self._frame(node.scope),
            origin=self._site(node.origin),
        )

    def _site(self, site: Site) -> Site:
        if not site.picks and site.listed is None:
            return site
        self._copy_records(site_records(site))
        picks = tuple((self.names.get(name, name), self.pick(pick)) for name, pick in site.picks)
        return replace(site, picks=picks, listed=self._list(site.listed))

    def _list(self, listed: Listing | None) -> Listing | None:
        copied = self.records[listed] if listed is not None else None
        assert copied is None or isinstance(copied, Listing)
        return copied

    def _copy_records(self, records: Iterable[Record]) -> None:
        """Copies lists of tensors, and what is read off them, under the frames of the copy."""
        for record in follow(records, self.followed):
            frame = self._frame(record.scope)
            if isinstance(record, Pick):
                source = self._list(record.source)
                assert source is not None
                name = self.names.get(record.value, record.value)
                self.records[record] = replace(record, source=source, value=name, scope=frame)
            else:
                parts = tuple(map(self._part, record.parts))
                self.records[record] = replace(record, parts=parts, scope=frame)

    def _part(self, part: Listed | Listing) -> Listed | Listing:
        if isinstance(part, Listed):
            return Listed(self.names.get(part.value, part.value), self.pick(part.pick))
        copied = self._list(part)
        assert copied is not None
        return copied

    def _body(self, body: Graph, captured: Sequence[Input]) -> Graph:
        """The body of a loop, which has names of its own: only what it reads from outside is
        called as in the copy."""
        frame = self._frame(body.frame)
        outer, taken, before = self.names, self.taken, self.before
        read = {i.name: outer[i.name] for i in captured}
        self.names, self.taken, self.before = read, set(read.values()), {}
        for item in body.inputs:
            if item.name not in read:
                self._choose(item.name)
        nodes = []
        for node in body.nodes:
            for value in node.outputs:
                self._choose(value.name)
            nodes.append(self._node(node))
        made = replace(
            body,
            inputs=tuple(replace(i, value=self.value(i.value)) for i in body.inputs),
            outputs=tuple(replace(o, value=self.value(o.value)) for o in body.outputs),
            nodes=tuple(nodes),
            frame=frame,
            aliases=tuple(self._aliases(body)),
            decisions=tuple(self._decisions(body)),
        )
        self.names, self.taken, self.before = outer, taken, before
        return made

    def _frame(self, frame: Frame) -> Frame:
        """The copy of a frame; one for all nodes under it."""
        if frame not in self.frames:
            assert frame.parent is not None
            parent = self._frame(frame.parent)
            self.serial += 1
            self.frames[frame] = replace(
                frame,
                path=self.prefix + frame.path,
                call=self.serial,
                parent=parent,
                arguments=tuple(map(self._argument, frame.arguments)),
                tensors=tuple((f, self.names.get(v, v)) for f, v in frame.tensors),
            )
        return self.frames[frame]

    def _argument(self, argument: Argument) -> Argument:
        """An argument of a call, with the sizes that it has in the step."""
        value = argument.value
        if not self.sizes or not isinstance(value, Dim):
            return argument
        size = value.substitute(self.sizes)
        return replace(argument, value=size if size.known is None else size.known)
