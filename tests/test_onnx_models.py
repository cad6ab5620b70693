"""Published architectures as ONNX: no node more than an expert would write."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from backends.onnx_graph.check import check_onnx
from backends.onnx_graph.compile import compile_onnx
from compiler.ir.graph import Graph
from compiler.ir.weights import draw_weights
from tests.elaborating import elaborate

SPECS = Path(__file__).resolve().parents[1] / "specs"
RESNET = {"Conv": 20, "Relu": 17, "Add": 8, "MaxPool": 1, "GlobalAveragePool": 1} | {
    "Flatten": 1,
    "Gemm": 1,
}
# Three blocks. Each projection is split in three: by a Split, and in the last block, of which
# one token is read, by three Gemms. The first reshape flattens patches and comes with the
# convolution; one brings tokens to rows; each block reshapes q, k and v to heads and the result
# back to rows; the last one takes rows to tokens twice, for its query and for its residual.
VIT = {"Conv": 1, "Expand": 1, "Shape": 1, "Concat": 2, "Gather": 2, "Split": 2} | {
    "Add": 1,
    "Sum": 3 * 2,  # residuals, each in front of a norm
    "LayerNormalization": 3 * 2 + 1,
    "Gemm": 2 * 4 + 6 + 1,
    "Reshape": 2 + 3 * 4 + 2,
    "Transpose": 1 + 3 * 4,
    "Mul": 3,
    "MatMul": 3 * 2,
    "Softmax": 3,
    "Gelu": 3,
}


def find_graph(file: str, net: str) -> Graph:
    """The graph of a net declared behind a spec's own text."""
    text = (SPECS / file).read_text(encoding="utf-8") + f"\nnet small = {net}\n"
    nets, messages = elaborate(text, str(SPECS / file))
    assert not messages
    return nets["small"].graph


@pytest.mark.parametrize(
    ("file", "net", "expected"),
    [
        ("models/resnet18.weft", "ResNet18(classes=10)", RESNET),
        ("models/vit_b_16.weft", "ViT(size=32, d=32, layers=3, heads=4, classes=10)", VIT),
    ],
)
def test_nodes(file: str, net: str, expected: dict[str, int], tmp_path: Path) -> None:
    graph = find_graph(file, net)
    path = tmp_path / "net.onnx"
    compile_onnx(graph, draw_weights(graph), path)
    model = check_onnx(path)
    assert Counter(node.op_type for node in model.graph.node) == expected
    for node in model.graph.node:
        keys = {entry.key for entry in node.metadata_props}
        assert node.name.startswith("sizes/") or {"source", "scope"} <= keys, node.name
