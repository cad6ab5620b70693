"""From a graph and its weights to an ONNX file: passes, lowering, writing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from backends.onnx_graph.dtypes import Array
from backends.onnx_graph.lower import lower_graph
from backends.onnx_graph.metadata import OnnxOptions
from backends.onnx_graph.opsets import DEFAULT
from backends.onnx_graph.stream import write_model
from compiler.ir.graph import Graph
from compiler.ir.weights import find_misfits
from compiler.passes.base import Context, Explanation
from compiler.passes.pipeline import ONNX_PASSES, run_passes
from compiler.passes.set_sizes import SetSizes
from compiler.program.deploy import NEWEST_OPSET, OLDEST_OPSET
from compiler.report.diagnostics import CompileError, Message
from compiler.report.messages.deployments import dimension_without_size, opset_out_of_range
from compiler.report.messages.lowering import unknown_dimension, weight_does_not_fit


@dataclass(frozen=True)
class OnnxReport:
    """What was written: the files (the model first), their bytes, the numbers of ONNX nodes and
    of weights' elements, and why passes left sites alone."""

    files: tuple[Path, ...]
    bytes: int
    nodes: int
    parameters: int
    opset: int
    explanations: tuple[Explanation, ...] = ()


def compile_onnx(
    graph: Graph,
    weights: Mapping[str, Array],
    path: Path,
    *,
    opset: int = DEFAULT,
    options: OnnxOptions | None = None,
) -> OnnxReport:
    """Writes a graph with its weights as an ONNX file, whole or not at all.

    Args:
        graph: the network, as elaborated.
        weights: an array per parameter path.
        path: the `.onnx` file; from 2 GiB on, the weights go to `PATH.data` beside it.
        opset: version of the default operator set, 18 to the newest.
        options: dims that stay free, labels, the spec's hash.

    Raises:
        CompileError: the opset is out of range, a dim is unknown or left without size, a weight
            is missing or of another shape, or ONNX cannot say what a layer means.
        OSError: the folder cannot be written.
    """
    options = options or OnnxOptions()
    needed = [p for p in graph.parameters if p.path not in graph.constants]
    misfits = [
        weight_does_not_fit(p.origin, p.path, str(p.value.type), shape)
        for p, shape in find_misfits(needed, weights)
    ]
    if misfits:
        raise CompileError(misfits)
    context = Context(weights)
    lowered = lower_graph(
        prepare_graph(graph, opset, options, context), weights, opset=opset, options=options
    )
    files = write_model(path, lowered.proto, lowered.initializers)
    return OnnxReport(
        files,
        sum(file.stat().st_size for file in files),
        len(lowered.proto.graph.node),
        sum(item.array.size for item in lowered.initializers),
        opset,
        tuple(context.explanations),
    )


def prepare_graph(graph: Graph, opset: int, options: OnnxOptions, context: Context) -> Graph:
    """The graph that is written node by node: sizes set, passes run.

    Raises:
        CompileError: the opset is out of range, or a dim is unknown or left without size.
    """
    faults = list(_find_faults(graph, opset, options))
    if faults:
        raise CompileError(faults)
    if options.fixed:
        graph = SetSizes(tuple(options.fixed)).run(graph, context)
    return run_passes(graph, ONNX_PASSES, context)


def _find_faults(graph: Graph, opset: int, options: OnnxOptions) -> Iterator[Message]:
    span = options.span or graph.frame.origin
    if not OLDEST_OPSET <= opset <= NEWEST_OPSET:
        yield opset_out_of_range(span, opset, OLDEST_OPSET, NEWEST_OPSET)
    fixed = dict(options.fixed)
    for name in (*(options.dynamic or ()), *fixed):
        if name not in graph.symbols:
            yield unknown_dimension(span, name, graph.symbols)
    if options.dynamic is not None:
        named = {*options.dynamic, *fixed}
        missing = tuple(name for name in graph.symbols if name not in named)
        if missing:
            yield dimension_without_size(span, missing)
