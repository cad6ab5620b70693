"""Which values of a net can be looked at: layers by their paths, maps, features, attention."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from compiler.compression.selecting import layer_path
from compiler.ir.graph import Graph, Node, Parameter, Value
from compiler.report.diagnostics import CompileError
from compiler.report.messages.files import unknown_item
from compiler.report.messages.inspecting import no_feature_map, no_output_with_rows
from compiler.report.suggestions import did_you_mean


@dataclass(frozen=True)
class Layer:
    """A value of a net, and the path that it is called by."""

    path: str
    value: Value

    @property
    def has_places(self) -> bool:
        """Whether it is a map: `[rows, channels, …places]`, with more than one place."""
        shape = self.value.type.shape
        return len(shape) >= 3 and any(dim.known != 1 for dim in shape[2:])


def list_layers(graph: Graph) -> dict[str, Layer]:
    """The layers and blocks of a net by path, each with its last result, in the order in which
    these are made. Those in loops, which have a value in each turn, are none."""
    found: dict[str, Layer] = {}
    for node in graph.nodes:
        value = node.outputs[0]
        if not value.type.dtype.is_float or not has_rows(value, graph):
            continue
        paths = [frame.path for frame in node.scope.chain if frame.path]
        own = layer_path(node)
        if own not in paths and (node.origin.name or _find_weights(node, graph)):
            paths.append(own)
        for path in paths:
            found.pop(path, None)
            found[path] = Layer(path, value)
    return found


def has_rows(value: Value, graph: Graph) -> bool:
    """Whether a value has an entry for each row: its first axis is that of the inputs."""
    leading = {item.value.type.shape[:1] for item in graph.inputs}
    return value.type.rank > 0 and value.type.shape[:1] in leading


def _find_weights(node: Node, graph: Graph) -> list[Parameter]:
    """The weights of a node that are no vectors."""
    given = (graph.parameter.get(v.name) for v in node.inputs if v is not None)
    return [p for p in given if p is not None and p.trainable and p.value.type.rank > 1]


def find_layer(graph: Graph, path: str) -> Layer:
    """The layer at a path.

    Raises:
        CompileError: there is none.
    """
    layers = list_layers(graph)
    if path not in layers:
        known = tuple(layers)
        raise CompileError([unknown_item(None, "layer", path, known, did_you_mean(path, known))])
    return layers[path]


def choose_map(graph: Graph, path: str | None) -> Layer | None:
    """The layer whose map is looked at: that of the path, else the last one with a map of at least
    two axes. None where there is none and nobody has asked for one.

    Raises:
        CompileError: the layer that was asked for is not there, or has no map.
    """
    maps = [layer for layer in list_layers(graph).values() if layer.has_places]
    if path is None:
        planes = [layer for layer in maps if layer.value.type.rank >= 4]
        return planes[-1] if planes else None
    layer = find_layer(graph, path)
    if not layer.has_places:
        known = tuple(one.path for one in maps)
        raise CompileError([no_feature_map(None, path, str(layer.value.type), known)])
    return layer


def choose_features(graph: Graph, path: str | None, output: Value) -> Layer:
    """What rows are told apart by: the results of the layer at a path, else what the last layer
    with weights is given.

    Raises:
        CompileError: there is no such layer.
    """
    if path is not None:
        return find_layer(graph, path)
    for node in reversed(graph.nodes):
        given = node.inputs[0] if node.inputs else None
        if given is not None and _find_weights(node, graph) and has_rows(given, graph):
            return Layer(f"the input of {layer_path(node)}", given)
    return Layer("the output", output)


def choose_output(graph: Graph, name: str | None) -> Value:
    """The output with the scores: that of the name, else the first with an entry for each row.

    Raises:
        CompileError: there is none.
    """
    outputs = {
        o.name: o.value
        for o in graph.outputs
        if o.value.type.dtype.is_float and has_rows(o.value, graph)
    }
    if not outputs:
        raise CompileError([no_output_with_rows(graph.frame.origin, graph.name)])
    if name is None:
        return next(iter(outputs.values()))
    if name not in outputs:
        known = tuple(outputs)
        raise CompileError([unknown_item(None, "output", name, known, did_you_mean(name, known))])
    return outputs[name]


def find_filters(graph: Graph) -> Parameter | None:
    """The weight of the first layer if it is one of small images: `[filters, channels, h, w]`."""
    for node in graph.nodes:
        for parameter in _find_weights(node, graph):
            shape = parameter.value.type.known_shape
            return parameter if shape is not None and len(shape) == 4 and shape[2] > 1 else None
    return None


@dataclass(frozen=True)
class Attention:
    """A node that takes weighted means of the rows of an operand."""

    path: str
    node: Node


def find_attention(graph: Graph) -> Iterator[Attention]:
    """The attention of a net, in order, outside of loops."""
    nodes = [n for n in graph.nodes if n.op.mixes is not None and has_rows(n.outputs[0], graph)]
    paths = [node.scope.path or layer_path(node) for node in nodes]
    for number, (path, node) in enumerate(zip(paths, nodes, strict=True)):
        again = paths[:number].count(path)
        yield Attention(f"{path}.{again + 1}" if again else path, node)
