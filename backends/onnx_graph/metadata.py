"""What an ONNX model says about where it comes from: spec lines, versions, labels, conditions."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from functools import cache
from importlib.metadata import PackageNotFoundError, version

from compiler.data.class_names import ClassNames
from compiler.data.raw_columns import RawRows
from compiler.ir.frame import Frame
from compiler.ir.graph import Graph, Node
from compiler.report.source import Source, Span


@dataclass(frozen=True)
class OnnxOptions:
    """What a deployment asks of its ONNX file.

    `labels` are the names of the classes, `classes` says which outputs name them, `rows` are the
    raw rows that it takes. `spec_hash` identifies the spec's text, `dynamic` are
    the dims that stay symbolic (None: all of them), `fixed` the sizes of others. `span` is
    where the spec asks for it. `compact` leaves out where nodes come from and shortens the names
    of inner values, which is a third of a file of some kilobytes.
    """

    labels: tuple[str, ...] = ()
    spec_hash: str = field(default="", compare=False)
    dynamic: tuple[str, ...] | None = None
    fixed: tuple[tuple[str, int], ...] = ()
    span: Span | None = None
    classes: ClassNames | None = None
    rows: RawRows | None = None
    compact: bool = False


def node_path(node: Node) -> str:
    """A readable name: the path of the node's parameters, else its block's path and its op."""
    return ".".join(part for part in (node.scope.path, node.origin.name or node.op.name) if part)


def node_metadata(node: Node, graph: Graph) -> Iterator[tuple[str, str]]:
    """`source`: the line of the spec that asked for the node; `library`: the line of a library
    block that it stands in, where that is another file; `scope`: the blocks around it."""
    spec = graph.frame.origin.source if graph.frame.origin else None
    spans = [node.origin.span, *(f.origin for f in reversed(node.scope.chain))]
    found = [span for span in spans if span is not None]
    own = next((span for span in found if span.source is spec), None)
    if own is not None or found:
        yield "source", _line(own or found[0])
    if own is not None and found[0].source is not own.source:
        yield "library", _line(found[0])
    yield "scope", " / ".join(_describe(frame) for frame in node.scope.chain)


def model_metadata(graph: Graph, options: OnnxOptions) -> Iterator[tuple[str, str]]:
    """The model's own properties; labels as a JSON list under `labels`."""
    yield "weft_version", weft_version()
    if options.spec_hash:
        yield "spec_hash", options.spec_hash
    source = _spec_source(graph)
    if source is not None:
        yield "spec", source.path
    if options.labels:
        yield "labels", json.dumps(list(options.labels), ensure_ascii=False)
    if options.classes is not None:
        yield "classes", _write_json(asdict(options.classes))
    for key, value in options.rows.encode() if options.rows is not None else ():
        yield key, _write_json(value)
    for number, condition in enumerate(graph.conditions, 1):
        text = f"{condition.left} {condition.relation} {condition.right}"
        yield f"condition_{number}", text


def _write_json(value: object) -> str:
    """Without spaces: of small files, what they say of themselves is much."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


@cache
def weft_version() -> str:
    """The installed version of Weft, `uninstalled` in a bare checkout."""
    try:
        return version("weft")
    except PackageNotFoundError:
        return "uninstalled"


def _spec_source(graph: Graph) -> Source | None:
    return graph.frame.origin.source if graph.frame.origin else None


def _describe(frame: Frame) -> str:
    return f"{frame.path}: {frame.block}" if frame.path else frame.block


def _line(span: Span) -> str:
    line, _ = span.source.position(span.start)
    return f"{span.source.path}:{line}"
