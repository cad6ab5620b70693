"""Findings of the verification as messages."""

from __future__ import annotations

import re
from dataclasses import replace

from backends.onnx_graph.metadata import node_path
from backends.verification.narrow import Divergence
from compiler.ir.graph import Graph
from compiler.report.diagnostics import Message
from compiler.report.messages.verification import backends_differ
from compiler.report.source import Span

_NODE = re.compile(
    r"(?:node with name|node\. Name:|node name:|Node:|in node|In Node,|Node)\s*[('\"]*([^\s'\"),]+)"
)


def locate(message: Message, graph: Graph) -> Message:
    """A message about a whole file at the layer of the spec whose node its reason names."""
    span = find_layer(f"{message.text.title}\n{message.text.label}", graph)
    return message if span is None else replace(message, span=span)


def find_layer(reason: str, graph: Graph) -> Span | None:
    """The place of the layer that was written as the node that ONNX or ONNX Runtime names."""
    spans = {node_path(node): node.origin.span for node in graph.nodes}
    for found in _NODE.finditer(reason):
        path, _, _ = found[1].partition("/")
        if spans.get(path) is not None:
            return spans[path]
    return None


def describe_divergence(backend: str, divergence: Divergence, case: str) -> Message:
    """The message about the first node that diverges."""
    node, difference = divergence.node, divergence.difference
    return backends_differ(
        node.origin.span,
        backend,
        node.op.name,
        case,
        difference.found,
        difference.expected,
        difference.allowed,
        difference.index,
        difference.reason,
    )
