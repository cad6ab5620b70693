"""Lowers a graph to an ONNX model: every op writes itself, names and metadata are added."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import onnx
import onnx_ir as ir

from backends.onnx_graph.attributes import FixedDimension
from backends.onnx_graph.builder import GraphBuilder, Initializer, declare_type
from backends.onnx_graph.compact import compact_graph
from backends.onnx_graph.dtypes import Array
from backends.onnx_graph.integer_form import form_integers
from backends.onnx_graph.kernels import MissingKernel, OldKernel
from backends.onnx_graph.live import find_live, values_read
from backends.onnx_graph.metadata import (
    OnnxOptions,
    model_metadata,
    node_metadata,
    node_path,
    weft_version,
)
from backends.onnx_graph.opsets import DOMAINS, IR_VERSIONS, UnavailableOp
from backends.onnx_graph.qoperator import find_left, write_operators
from backends.onnx_graph.runtime_faults import avoid_fusions, part_draws
from backends.onnx_graph.scans import write_scan
from backends.onnx_graph.sizes import UnboundSymbol
from backends.onnx_graph.stream import serialize_initializer
from backends.onnx_graph.words import name_classes, take_words
from compiler.ir.graph import Graph, Node, Output
from compiler.ir.inputs import list_onnx_inputs
from compiler.ops.quantization import FakeQuantize
from compiler.ops.scan import Scan
from compiler.report.diagnostics import CompileError, Message
from compiler.report.messages.lowering import (
    dimension_fixed,
    dimension_not_readable,
    input_and_output,
    kernel_missing,
    no_operator,
    opset_too_new,
    opset_too_old,
)
from compiler.report.messages.quantization import no_integer_operator


@dataclass(frozen=True)
class LoweredModel:
    """An ONNX model without its initializers, and they beside it. `values` are the names of the
    graph's values in the model, as far as the model has them."""

    proto: onnx.ModelProto
    initializers: tuple[Initializer, ...]
    values: Mapping[str, str]

    def whole(self) -> onnx.ModelProto:
        """The model with its initializers inside; for small models and tests."""
        model = onnx.ModelProto()
        model.CopyFrom(self.proto)
        for item in self.initializers:
            model.graph.initializer.append(serialize_initializer(item))
        return model


def lower_graph(
    graph: Graph, weights: Mapping[str, Array], *, opset: int, options: OnnxOptions
) -> LoweredModel:
    """Writes a graph as an ONNX model.

    Args:
        graph: what to write; what passes should do to it has been done.
        weights: an array per parameter path; the graph's own constants go before them.
        opset: version of the default operator set.
        options: labels and the spec's hash for the metadata.

    Raises:
        CompileError: ONNX, or this opset, cannot say what a node means.
    """
    build = GraphBuilder(opset)
    values = _declare(build, graph, weights, options)
    inputs = build.inputs
    lower_nodes(graph, build, graph.nodes, values)
    form_integers(build)
    avoid_fusions(build)
    asked = [n for n in graph.nodes if isinstance(n.op, FakeQuantize) and n.op.form == "qoperator"]
    if asked:
        instead = write_operators(build)
        values = {name: instead.get(value, value) for name, value in values.items()}
        live = find_live(build.nodes, [values[output.value.name] for output in graph.outputs])
        left = tuple(find_left(build, live))
        if left or not instead:
            raise CompileError([no_integer_operator(asked[0].origin.span, graph.name, left)])
    outputs = _name_outputs(build, graph.outputs, values)
    outputs += _name_classes(build, graph.outputs, outputs, options)
    nodes = find_live(build.nodes, outputs)
    part_draws(nodes)
    read = {value for node in nodes for value in values_read(node)}
    kept = [i for i in build.initializers.values() if i.value in read or i.value in outputs]
    if options.compact:
        compact_graph(nodes, [item.value for item in kept], [*inputs, *outputs])
    proto = _assemble(graph, opset, options, inputs, outputs, nodes)
    made = {*inputs, *(value for node in nodes for value in node.outputs)}
    names = {name: v.name for name, v in values.items() if v in made and v.name is not None}
    return LoweredModel(proto, tuple(kept), names)


def _declare(
    build: GraphBuilder, graph: Graph, weights: Mapping[str, Array], options: OnnxOptions
) -> dict[str, ir.Value]:
    values = {}
    rows = options.rows.columns if options.rows is not None else ()
    words = {column.name: column for column in rows if column.words}
    for item in graph.inputs:
        if item.name in words:
            column, kind = words[item.name], item.value.type
            values[item.name] = take_words(build, column, kind, item.doc)
        else:
            values[item.name] = build.input(item.name, item.value.type, item.doc)
    for name in options.classes.outputs if options.classes is not None else ():
        build.names.hold(name)
    for output in graph.outputs:
        if output.name in values:
            raise CompileError([input_and_output(output.origin, output.name)])
        build.names.hold(output.name)
    for parameter in graph.parameters:
        path = parameter.path
        array: Any = graph.constants[path] if path in graph.constants else weights[path]
        values[parameter.path] = build.weight(parameter.path, parameter.value.type, array)
    return values


def lower_nodes(
    graph: Graph, build: GraphBuilder, nodes: Iterable[Node], values: dict[str, ir.Value]
) -> None:
    """Writes nodes of a graph, or of the body of a loop in it, and adds what they make to
    `values`.

    Raises:
        CompileError: ONNX, or this opset, cannot say what a node means.
    """
    for node in nodes:
        if not node.op.exported:
            raise CompileError([no_operator(node.origin.span, node.op.name)])
        try:
            _lower_node(build, graph, node, values)
        except LOWERING_FAULTS as error:
            raise CompileError([_explain(error, node, build.opset)]) from error


def _lower_node(build: GraphBuilder, graph: Graph, node: Node, values: dict[str, ir.Value]) -> None:
    operands = [values[v.name] if v is not None else None for v in node.inputs]
    results = [v.type for v in node.outputs]
    build.begin(node_path(node), dict(node_metadata(node, graph)))
    made: Sequence[ir.Value]
    if isinstance(node.op, Scan):
        made = write_scan(build, node, operands, partial(lower_nodes, graph))
    else:
        made = node.op.onnx(build, results, *list_onnx_inputs(node.types, operands))
    names = ["" if v.name.startswith("%") else v.name for v in node.outputs]
    build.finish(made, names, results)
    values.update((v.name, value) for v, value in zip(node.outputs, made, strict=True))


LOWERING_FAULTS = (UnavailableOp, MissingKernel, OldKernel, FixedDimension, UnboundSymbol)
"""Why a node cannot be written."""


def _explain(
    error: UnavailableOp | MissingKernel | OldKernel | FixedDimension | UnboundSymbol,
    node: Node,
    opset: int,
) -> Message:
    span, layer = node.origin.span, node.op.name
    match error:
        case UnavailableOp():
            return opset_too_old(span, layer, error.op_type, error.needed, opset)
        case MissingKernel():
            return kernel_missing(span, layer, error.op_type, str(error.dtype))
        case OldKernel():
            return opset_too_new(span, layer, error.op_type, error.newest, opset)
        case FixedDimension():
            return dimension_fixed(span, layer, str(error.dim))
        case UnboundSymbol():
            return dimension_not_readable(span, layer, error.name)


def _name_outputs(
    build: GraphBuilder, outputs: Sequence[Output], values: Mapping[str, ir.Value]
) -> list[ir.Value]:
    """The outputs under the names that callers know them by. An input, a weight or a value that
    is an output already gets an Identity, because a value has one name."""
    made: list[ir.Value] = []
    for output in outputs:
        value = values[output.value.name]
        if value.producer() is None or value in made:
            value = build.add_plain("Identity", [value], {}, output.name)
        value.name = output.name
        declare_type(value, output.value.type)
        value.doc_string = output.doc or None
        made.append(value)
    return made


def _name_classes(
    build: GraphBuilder, graph: Sequence[Output], made: Sequence[ir.Value], options: OnnxOptions
) -> list[ir.Value]:
    """The outputs that name the classes of another, where the file is to have them."""
    names = options.classes
    if names is None:
        return []
    scores, kind = next(
        (value, output.value.type)
        for value, output in zip(made, graph, strict=True)
        if output.name == names.scores
    )
    return list(name_classes(build, names, options.labels, scores, kind, made))


def _assemble(
    graph: Graph,
    opset: int,
    options: OnnxOptions,
    inputs: Sequence[ir.Value],
    outputs: Sequence[ir.Value],
    nodes: Sequence[ir.Node],
) -> onnx.ModelProto:
    own = {node.domain for node in nodes if node.domain}
    domains = {"": opset, **{domain: DOMAINS.get(domain, 1) for domain in sorted(own)}}
    made = ir.Graph(inputs, outputs, nodes=nodes, opset_imports=domains, name=graph.name)
    model = ir.Model(
        made,
        ir_version=IR_VERSIONS[opset],
        producer_name="weft",
        producer_version=weft_version(),
        doc_string=None if options.compact else graph.doc or None,
        metadata_props=dict(model_metadata(graph, options)),
    )
    return ir.serde.serialize_model(model)
