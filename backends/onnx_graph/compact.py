"""Makes small files smaller: short names, no metadata on nodes, no documentation.

In a network of some thousand weights, a third of the file says where its nodes come from.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import count

import onnx_ir as ir

NAMED = "ArrayFeatureExtractor"
"""The operator whose name tells the column of an unknown word."""
_DIGITS = "abcdefghijklmnopqrstuvwxyz"


def compact_graph(
    nodes: Sequence[ir.Node], initializers: Iterable[ir.Value], interface: Iterable[ir.Value]
) -> None:
    """Shortens what the file says about nodes and values; values of the interface (inputs and
    outputs) and all inside the bodies of loops keep their names."""
    bodies = [graph for node in nodes for graph in _find_bodies(node)]
    kept = list(interface)
    fixed = {id(value) for value in kept}
    taken = {value.name for value in kept} | {name for body in bodies for name in _names(body)}
    names = (name for name in _make_names() if name not in taken)
    made = [value for node in nodes for value in node.outputs]
    for value in (*initializers, *made):
        if id(value) not in fixed and value.name:
            value.name = next(names)
    for node in (*nodes, *(node for body in bodies for node in body)):
        if node.op_type != NAMED:
            node.name = None
        node.doc_string = None
        node.metadata_props.clear()


def _make_names() -> Iterator[str]:
    """a, b … z, aa, ab …"""
    for number in count(1):
        name = ""
        while number:
            number, digit = divmod(number - 1, len(_DIGITS))
            name = _DIGITS[digit] + name
        yield name


def _find_bodies(node: ir.Node) -> Iterator[ir.Graph]:
    for attribute in node.attributes.values():
        if isinstance(attribute, ir.Attr) and isinstance(attribute.value, ir.Graph):
            yield attribute.value
            for inner in attribute.value:
                yield from _find_bodies(inner)


def _names(body: ir.Graph) -> Iterator[str]:
    """Names of values that the body of a loop makes."""
    values = (*body.inputs, *(value for node in body for value in node.outputs))
    return (value.name for value in values if value.name is not None)
