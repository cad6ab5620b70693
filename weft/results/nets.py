"""Weighted nets on disk: what a pass made, so that a build goes on behind it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compiler.compression.context import LayerNote
from compiler.ir.graph import Graph, Parameter
from compiler.ir.printer import print_graph
from compiler.ir.reader import read_graph
from compiler.ir.weighted_net import WeightedNet
from compiler.ir.weights import read_weights, write_weights
from compiler.ops.registry import load_ops
from compiler.report.source import Source, Span
from compiler.system.files import need_file, read_json, write_text

ENDINGS = (".ir", ".safetensors", ".json")
"""The graph, its numbers, and the notes of the pass that made it."""
DAMAGES = (OSError, ValueError, LookupError, TypeError, AttributeError)
"""What reading a file of a build raises where it is not as Weft wrote it."""


Passed = tuple[WeightedNet, Sequence[LayerNote]]
"""A net that a pass has made, and its notes."""


def list_net(path: Path) -> tuple[Path, ...]:
    """The files of a net; `path` has no ending."""
    return tuple(path.with_name(path.name + ending) for ending in ENDINGS)


def write_net(net: WeightedNet, notes: Sequence[LayerNote], path: Path) -> None:
    """Writes a net and the notes of the pass that made it; `path` has no ending.

    Raises:
        OSError: the folder cannot be written.
    """
    paths = list_net(path)
    write_text(paths[0], print_graph(net.graph))
    write_weights(paths[1], {p: np.asarray(a) for p, a in net.weights.items()}, {})
    write_text(paths[2], json.dumps([_encode(note) for note in notes], indent=1) + "\n")


def read_net(path: Path, before: Graph) -> Passed | None:
    """A net and its notes; spans point into the sources of the graph it was made from. None where
    the files are not as `write_net` writes them."""
    paths = list_net(path)
    sources = find_sources(before)
    try:
        need_file(paths[0])
        graph = read_graph(paths[0].read_text(encoding="utf-8"), load_ops(), *sources)
        found = read_weights(paths[1])
        weights = {p.path: _take(found[p.path], p) for p in graph.parameters}
        notes = [_decode(entry, sources) for entry in read_json(paths[2])]
    except DAMAGES:
        return None
    return WeightedNet(graph, weights), notes


def _take(array: NDArray[Any], parameter: Parameter) -> NDArray[Any]:
    """The numbers of a parameter; a `ValueError` where they have another shape."""
    expected = tuple(dim.evaluate({}) for dim in parameter.value.type.shape)
    if array.shape != expected:
        raise ValueError(f"{parameter.path} has shape {array.shape}, not {expected}")
    return np.array(array, dtype=parameter.value.type.dtype.numpy)


def find_sources(graph: Graph) -> tuple[Source, ...]:
    """The texts that the spans of a graph point into, the spec first."""
    return tuple({id(span.source): span.source for span in _find_spans(graph)}.values())


def _find_spans(graph: Graph) -> Iterator[Span]:
    spans: Iterable[Span | None] = (
        graph.frame.origin,
        *(i.origin for i in graph.inputs),
        *(p.origin for p in graph.parameters),
        *(o.origin for o in graph.outputs),
        *(n.origin.span for n in graph.nodes),
        *(frame.origin for n in graph.nodes for frame in n.scope.chain),
    )
    return (span for span in spans if span is not None)


def _encode(note: LayerNote) -> dict[str, Any]:
    entry = {k: v for k, v in asdict(note).items() if k != "span"}
    if note.span is not None:
        entry["span"] = [note.span.source.path, note.span.start, note.span.end]
    return entry


def _decode(entry: dict[str, Any], sources: Sequence[Source]) -> LayerNote:
    span = None
    if "span" in entry:
        path, start, end = entry["span"]
        source = next((s for s in sources if s.path == path), None)
        span = Span(source, start, end) if source is not None else None
    figures = tuple((name, float(value)) for name, value in entry["figures"])
    return LayerNote(
        entry["step"], entry["path"], entry["done"], entry["reason"], figures, span, entry["trial"]
    )
