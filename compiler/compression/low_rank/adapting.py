"""Puts adapters beside dense layers of a graph, and tells their parameters from others."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from compiler.compression.low_rank.layers import slot_of, walk_nodes
from compiler.compression.selecting import is_adapter, is_selected, layer_path
from compiler.ir.frame import Site
from compiler.ir.graph import Graph, Node, Op, Parameter, Value
from compiler.ir.hint import HintName
from compiler.ir.weights import match_paths
from compiler.ops.arithmetic import Add, Mul
from compiler.ops.creation import Constant
from compiler.ops.linear import Dense
from compiler.ops.modules import owns_weights
from compiler.ops.regularization import Dropout
from compiler.types.dims import Dim
from compiler.vocabulary.initializers.given import Zeros
from compiler.vocabulary.net_functions import Lora
from compiler.writing.names import free_name


def adapter_slot(name: str) -> str:
    """Where the adapter of a layer lives: `q_lora` beside `q`, `lora_0` beside `0`."""
    head, dot, last = name.rpartition(".")
    return head + dot + (f"lora_{last}" if last.isdecimal() else f"{last or 'own'}_lora")


def find_adaptable(graph: Graph, lora: Lora, prefix: str = "") -> list[Node]:
    """The calls of dense layers that get an adapter. Patterns are relative to `prefix`, the path
    of the part of the net that is adapted, with its dot."""
    found = []
    for node in graph.nodes:
        path = slot_of(node)
        if not isinstance(node.op, Dense) or not path.startswith(prefix):
            continue
        inner = path.removeprefix(prefix)
        if is_adapter(path) or f"{adapter_slot(path)}.0.weight" in graph.parameter:
            continue  # once is enough
        if owns_weights(node) and is_selected(inner, lora.only, lora.except_):
            found.append(node)
    return found


def find_left_out(graph: Graph, lora: Lora, prefix: str = "") -> list[tuple[Node, str]]:
    """The dense layers that get no adapter though no `except` keeps them out, and the reason. A
    layer with a tied weight has no path of its own, so that `only` cannot name it: it counts where
    there is none."""
    found = []
    for node, in_loop in walk_nodes(graph):
        inner = layer_path(node).removeprefix(prefix)
        if not isinstance(node.op, Dense) or not layer_path(node).startswith(prefix):
            continue
        if not is_selected(inner, lora.only, lora.except_):
            continue
        weight = node.inputs[1]
        if in_loop:
            found.append((node, "it runs in the body of a `scan`"))
        elif weight is None or weight.name not in graph.parameter:
            found.append((node, "its weight is computed"))
        elif not owns_weights(node):
            found.append((node, f"its weight is tied to `{weight.name.removeprefix(prefix)}`"))
    return found


def add_adapters(graph: Graph, lora: Lora, prefix: str = "") -> Graph:
    """The graph with adapters; the same one where no layer is adapted."""
    chosen = {id(node) for node in find_adaptable(graph, lora, prefix)}
    work = _Adapting(graph, lora)
    nodes: list[Node] = []
    for node in graph.nodes:
        nodes += work.expand(node) if id(node) in chosen else [node]
    if not chosen:
        return graph
    return replace(graph, nodes=tuple(nodes), parameters=tuple(work.order()))


def find_frozen(graph: Graph, lora: Lora, prefix: str = "") -> list[str]:
    """The parameters of a graph that are not trained once a part of it has adapters: all of that
    part but what `train` names."""
    inside = [p.path for p in graph.parameters if p.trainable and p.path.startswith(prefix)]
    kept = set(match_paths([p.removeprefix(prefix) for p in inside], lora.train))
    return [p for p in inside if p.removeprefix(prefix) not in kept]


class _Adapting:
    def __init__(self, graph: Graph, lora: Lora) -> None:
        self.graph = graph
        self.lora = lora
        self.names = set(graph.producers) | set(graph.parameter)
        self.names |= {i.name for i in graph.inputs}
        self.made: dict[str, tuple[Parameter, Parameter]] = {}  # by the path of the weight

    def order(self) -> Iterator[Parameter]:
        """All parameters, adapters behind the weights that they belong to."""
        for parameter in self.graph.parameters:
            yield parameter
            yield from self.made.get(parameter.path, ())

    def expand(self, node: Node) -> Iterator[Node]:
        """A dense layer with its adapter."""
        assert isinstance(node.op, Dense), "only dense layers are adapted"
        base = Value(self._name(f"{node.output.name}.frozen"), node.output.type)
        yield replace(node, outputs=(base,))
        down, up = self._declare(node)
        current = node.inputs[0]
        assert current is not None, "a layer has an input"
        if self.lora.dropout:
            yield (made := self._apply(Dropout(self.lora.dropout), [current], node, ""))
            current = made.output
        slot = adapter_slot(node.origin.name)
        inner = replace(node.op, out=self.lora.rank, bias=False)
        outer = replace(node.op, bias=False)
        yield (made := self._apply(inner, [current, down.value], node, f"{slot}.0"))
        yield (made := self._apply(outer, [made.output, up.value], node, f"{slot}.1"))
        if self.lora.scale != 1:
            number = Constant(self.lora.scale, node.output.type.dtype)
            yield (scale := self._apply(number, [], node, ""))
            yield (made := self._apply(Mul(), [made.output, scale.output], node, ""))
        added = self._apply(Add(), [base, made.output], node, "")
        yield replace(added, outputs=(node.output,))

    def _declare(self, node: Node) -> tuple[Parameter, Parameter]:
        weight = node.inputs[1]
        assert weight is not None, "a layer has a weight"
        if weight.name not in self.made:
            assert isinstance(node.op, Dense), "only dense layers are adapted"
            like = self.graph.parameter[weight.name]
            out, inputs = weight.type.shape
            rank = Dim.of(self.lora.rank)
            parts = (node.scope.path, adapter_slot(node.origin.name))
            slot = ".".join(p for p in parts if p)
            source = node.inputs[0]
            (draw,) = replace(node.op, bias=False).weights([source.type if source else None])
            down = Value(f"{slot}.0.weight", replace(weight.type, shape=(rank, inputs)))
            up = Value(f"{slot}.1.weight", replace(weight.type, shape=(out, rank)))
            self.made[weight.name] = (
                Parameter(down, draw.initializer, True, like.origin),
                Parameter(up, Zeros(), True, like.origin),
            )
            self.names |= {down.name, up.name}
        return self.made[weight.name]

    def _apply(self, op: Op, inputs: Sequence[Value], node: Node, name: str) -> Node:
        (made,) = op.infer(_ignore_promise, *(v.type for v in inputs))
        hints = tuple(h for h in node.origin.hints if h[0] == "out")
        if not name.endswith(".1"):
            hints = (("out", HintName("rank")),) if name else ()
        value = Value(self._name(f"%{op.name}"), made)
        site = Site(node.origin.span, name, hints, node.origin.guard)
        return Node(op, tuple(inputs), (value,), node.scope, site)

    def _name(self, wish: str) -> str:
        name = free_name(wish, self.names, ".")
        self.names.add(name)
        return name


def _ignore_promise(left: Dim, relation: str, right: Dim) -> None:
    """Adapters have the sizes of the layer they stand beside."""
