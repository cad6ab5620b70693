"""What the inputs of a net are given in its train: columns, or what the train computes of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field, replace

from compiler.compression.attach import CallOfNet, find_calls
from compiler.compression.copying import find_sizes
from compiler.ir.graph import Graph, Node, Output, Value
from compiler.ir.subgraph import extract_subgraph
from compiler.program.data import DataSet
from compiler.program.train import Train, TrainedNet
from compiler.records import dataclass
from compiler.types.dims import Dim
from compiler.writing.names import free_name

ROWS = Dim.of("rows")


@dataclass(frozen=True)
class GivenInputs:
    """What the first call of a net is given: `columns` by the name of the input, and `computed`,
    the part of the train's graph that makes the other inputs of columns. Its outputs are called
    as the inputs are."""

    columns: Mapping[str, str]
    computed: Graph | None = None
    sizes: Mapping[str, int] = field(default_factory=dict)
    """The open sizes of the net that the data settles."""


def find_given(train: Train, net: TrainedNet, call: CallOfNet | None = None) -> GivenInputs:
    """What a net is given in a call; where the train applies it first, outside of loops, if no
    call is named."""
    calls = [call] if call is not None else find_calls(train.graph, net)
    if not calls:
        return GivenInputs({})
    given = dict(calls[0].frame.tensors)
    columns = {item.name for item in train.graph.inputs}
    inputs = [item.name for item in net.net.graph.inputs if item.name in given]
    found = {name: given[name] for name in inputs if given[name] in columns}
    made = {v.name: v for node in train.graph.nodes for v in node.outputs}
    outputs = [Output(name, made[given[name]]) for name in inputs if given[name] in made]
    part = extract_subgraph(train.graph, (), outputs) if outputs else None
    settled = find_sizes(net.net.graph, calls[0].values).items()
    sizes = {name: dim.known for name, dim in settled if dim.known is not None}
    return GivenInputs(found, part, sizes)


def add_computed(data: DataSet, part: Graph, owner: str = "") -> tuple[DataSet, Mapping[str, str]]:
    """The data set with the outputs of `part`, which holds no weights, as columns, and what these
    are called there. What names of columns begin with where the train has several data sets is
    that of the `owner`."""
    columns = data.columns
    made = {o.name: o.value for o in columns.outputs}
    taken = {v.name for node in columns.nodes for v in node.outputs}
    taken |= {i.name for i in columns.inputs} | set(columns.parameter) | set(made)
    names = {i.name: i.name.removeprefix(owner) for i in part.inputs}
    current: dict[str, Value] = {n: made[name] for n, name in names.items() if name in made}
    nodes = []
    for node in part.nodes:
        new = _move(node, columns, current, taken)
        current |= {old.name: v for old, v in zip(node.outputs, new.outputs, strict=True)}
        nodes.append(new)
    names = {o.name: free_name(o.name, made, ".") for o in part.outputs}
    outputs = (Output(names[o.name], current[o.value.name]) for o in part.outputs)
    joined = replace(columns, nodes=(*columns.nodes, *nodes), outputs=(*columns.outputs, *outputs))
    return replace(data, columns=joined), names


def _move(node: Node, columns: Graph, current: Mapping[str, Value], taken: set[str]) -> Node:
    """A node of a train among those of the columns: of rows, not of a batch."""
    outputs = []
    for value in node.outputs:
        name = free_name(value.name, taken, ".")
        taken.add(name)
        outputs.append(Value(name, value.type.substitute({"batch": ROWS})))
    return replace(
        node,
        op=node.op.substitute({"batch": ROWS}),
        inputs=tuple(None if v is None else current[v.name] for v in node.inputs),
        outputs=tuple(outputs),
        scope=columns.frame,
        origin=replace(node.origin, name="", hints=(), guard=None),
    )
