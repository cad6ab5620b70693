"""Reads ONNX Runtime's optimized graph back: what was planned in integers must run in integers.

A runtime fuses DequantizeLinear, an operator and QuantizeLinear to one integer kernel where it
knows the pattern, and silently computes in floats where it does not: correct, and slow.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import onnx
import onnxruntime as ort

from backends.onnx_graph.integer_form import MOVES
from backends.onnx_graph.metadata import node_path
from backends.onnx_runtime.session import QUIET, REFUSALS, describe_refusal
from compiler.ir.graph import Graph
from compiler.report.diagnostics import CompileError, Message
from compiler.report.messages.quantization import integer_runs_float

LAYERS = ("Conv", "Gemm", "MatMul")
JOINS = ("Add", "Mul", "AveragePool", "GlobalAveragePool", "Concat", "MaxPool")
CUTS = ("Gather", "Slice")
ABSORBED = ("Relu", "Clip")
FLOAT = ("Conv", "FusedConv", "Gemm", "FusedGemm", "MatMul", "FusedMatMul", *JOINS)
"""Operators that a node planned as integer must not be in the optimized graph."""


@dataclass(frozen=True)
class FloatNode:
    """A node that was planned in integers and runs in floats: its name in the file, and what it
    runs as."""

    name: str
    operator: str


def check_integers(graph: Graph, path: Path) -> list[Message]:
    """A message for each node of a compiled graph that was planned in integers and is not.

    Raises:
        RuntimeError: ONNX Runtime refuses the file.
    """
    places = {node_path(node): node.origin.span for node in graph.nodes}
    return [
        integer_runs_float(
            places.get(found.name.partition("/")[0], graph.frame.origin),
            found.name,
            found.operator,
        )
        for found in find_float_nodes(path)
    ]


def find_float_nodes(path: Path) -> list[FloatNode]:
    """The nodes of an ONNX file that read dequantized tensors alone, and whose results are
    rounded where their kernels need it, but that run in floats on the CPU."""
    planned = {node.name for node in _find_planned(onnx.load(path, load_external_data=False))}
    if not planned:
        return []
    found = []
    for node in optimize(path).graph.node:
        name = _original_name(node.name)
        if name in planned and node.op_type in FLOAT and not _is_whole(node):
            found.append(FloatNode(name, node.op_type))
    return found


def optimize(path: Path) -> onnx.ModelProto:
    """The graph as ONNX Runtime runs it on this machine's CPU.

    Raises:
        CompileError: ONNX Runtime refuses the file.
    """
    options = ort.SessionOptions()
    options.log_severity_level = QUIET
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "optimized.onnx"
        options.optimized_model_filepath = str(target)
        try:
            ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except REFUSALS as error:
            raise CompileError([describe_refusal(str(path), error)]) from error
        return onnx.load(target, load_external_data=False)


def _find_planned(model: onnx.ModelProto) -> Iterator[onnx.NodeProto]:
    makers = {name: node for node in model.graph.node for name in node.output}
    readers: dict[str, list[onnx.NodeProto]] = {}
    for node in model.graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    for node in model.graph.node:
        if node.domain or not node.name or node.op_type not in (*LAYERS, *JOINS):
            continue
        count = 2 if node.op_type in LAYERS else len(node.input)
        whole = all(_is_dequantized(name, makers) for name in node.input[:count])
        alone = node.op_type in ("Gemm", "MatMul")
        if whole and (alone or _is_rounded(node, readers)):
            yield node


def _is_dequantized(name: str, makers: dict[str, onnx.NodeProto]) -> bool:
    maker = makers.get(name)
    while maker is not None and maker.op_type in (*MOVES, *CUTS):
        maker = makers.get(maker.input[0])
    return maker is not None and maker.op_type == "DequantizeLinear"


def _is_rounded(node: onnx.NodeProto, readers: dict[str, list[onnx.NodeProto]]) -> bool:
    """Whether the result goes to one QuantizeLinear alone, perhaps through a ReLU."""
    following = readers.get(node.output[0], [])
    while len(following) == 1 and following[0].op_type in ABSORBED:
        following = readers.get(following[0].output[0], [])
    return len(following) == 1 and following[0].op_type == "QuantizeLinear"


def _original_name(name: str) -> str:
    """The name in the file of what the optimizer made: it adds `_token_12`, `_nchwc` …"""
    for mark in ("_token_", "_nchwc", "_nhwc"):
        name = name.partition(mark)[0]
    return name.removeprefix("fused ")


def _is_whole(node: onnx.NodeProto) -> bool:
    """Whether a node that only moves numbers moves whole ones: it reads what is dequantized
    behind it."""
    return node.op_type in ("MaxPool", "Concat") and not any(
        name.endswith("DequantizeLinear") or "_dq" in name for name in node.input
    )
