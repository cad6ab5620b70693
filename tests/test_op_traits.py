"""Ops say of themselves what other rooms must know: no room keeps a list of those that there are,
and a new one is known to each analysis by its traits."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, final

import numpy as np
import pytest

from compiler.compression.pruning.dead import remove_dead_neurons
from compiler.compression.quantization.equalize import equalize_layers
from compiler.compression.quantization.half import Float16
from compiler.compression.quantization.placement import find_layers, place
from compiler.compression.registry import load_compression
from compiler.data.registry import load_sources
from compiler.ir.coupling import Coupling, tie_same
from compiler.ir.graph import Node, Op
from compiler.ir.inputs import NodeInput, OnnxInput
from compiler.ir.limits import find_limits
from compiler.ir.onnx_builder import OnnxBuilder, Values
from compiler.ir.operands import NOT_NEGATIVE, Array, Assume, Results
from compiler.ir.weighted_net import WeightedNet
from compiler.ops.activation import Activation
from compiler.ops.convolution import ConvTranspose
from compiler.ops.layers import LinearLayer
from compiler.ops.losses import PairLoss
from compiler.ops.registry import OPS, load_ops
from compiler.records import dataclass
from compiler.training.registry import load_training
from compiler.types.tensor import TensorType
from compiler.vocabulary.signature import Described, Operand, Registry
from compiler.vocabulary.spelling import Call, In, Leaf, Spelling
from tests.elaborating import build, codes
from tests.pytorch_compare import emit
from tests.quantizing import make_net

ROOT = Path(__file__).resolve().parents[1]

# --- no lists -------------------------------------------------------------------------------------

ANYWHERE = {"Scan": "it holds a graph: what walks or rewrites graphs goes into its body"}
SUBJECTS = {
    "compiler.data.given_rows": ("Csv", "cells of rows are read as those of a csv file are"),
    "backends.pytorch.train.averaging": ("Ema", "it moves at every step, by a decay"),
    "backends.pytorch.train.rates": ("Plateau", "the schedule whose state is a scheduler's"),
    "compiler.compression.low_rank.adapting": ("Dense", "adapters are those of dense layers"),
    "compiler.compression.low_rank.convolutions": ("ConvTranspose", "which of its factors is one"),
    "compiler.compression.low_rank.planning": (
        "Conv ConvTranspose Dense Embedding",
        "each has a factoring of its own; other layers are left as they are, and named",
    ),
    "compiler.compression.pruning.importance": ("BatchNorm", "the importance that is its scale"),
    "compiler.compression.quantization.dense_layers": ("Dense", "schemes of dense layers"),
    "compiler.compression.quantization.input_channels": ("Conv", "pads the channels of the first"),
    "compiler.compression.quantization.placement": (
        "Conv",
        "its integer kernel rounds the result, that of a dense layer does not",
    ),
    "compiler.compression.quantization.smooth": ("Dense", "moves scales of norms into them"),
    "compiler.compression.tuning.preparing": ("FakeQuantize", "its scales have a rate"),
    "compiler.compression.tuning.scales": ("FakeQuantize", "its scales learn"),
    "compiler.elaborate.calls.net_functions": (
        "Lora",
        "the functions on nets, and what each makes of one",
    ),
    "compiler.elaborate.calls.primitives": (
        "Constant Full",
        "numbers that are written in the spec; `full` of a tensor is another op",
    ),
    "compiler.elaborate.scopes.lints": ("Conv", "its arguments in PyTorch's order"),
    "compiler.passes.activate_before_pool": ("Conv MaxPool", "the pattern that it rewrites"),
    "compiler.passes.cell_algebra": (
        "Add Constant Dense MatMul Mul Neg Sigmoid Sub Tanh",
        "what known cells are made of",
    ),
    "compiler.passes.demands": ("Index", "reads slices"),
    "compiler.passes.fold_batch_norm": ("BatchNorm", "the norm that it folds"),
    "compiler.passes.half_precision": ("Constant", "a number takes the dtype that it meets"),
    "compiler.passes.hoist_products": (
        "Add Concat Constant Dense Index MatMul",
        "the pattern that it rewrites",
    ),
    "compiler.passes.merge_adapters": ("Add Constant Dense Mul", "the pattern that it rewrites"),
    "compiler.passes.split_projections": ("Dense", "the layer that it splits"),
    "compiler.program.sweep": ("NoPruner Tpe", "what a sweep takes where it says nothing"),
    "compiler.rows.loss_parts": ("Constant Div Mul", "multiples of a loss by a number"),
    "backends.onnx_graph.lower": ("FakeQuantize", "the form in which it is asked for"),
    "backends.pytorch.classes.propagation": ("Flatten", "where the axes begin that it merges"),
    "backends.pytorch.classes.widths": ("Chunk", "the size of a piece, which only it rounds"),
    "backends.pytorch.fold.spelled": ("FakeQuantize", "a layer's module holds its scales"),
    "backends.verification.rounding": (
        "DynamicDense FakeQuantize PackedDense",
        "how far the numbers that each rounds may be moved",
    ),
}
"""The words of the vocabulary that a file may ask for by class, and why they are its subject."""

STRINGS = {
    "backends.pytorch.classes.list_sizes": "lists in generated code",
    "compiler.compression.quantization.automatic": "the schemes that `auto` tries",
    "compiler.elaborate.calls.formulas": "the functions of numbers that a schedule may call",
    "compiler.report.habits": "what other tools call things",
    "compiler.vocabulary.initializers.scaled": "PyTorch's names of gains",
}
"""The files with names of ops or metrics in a comparison or list, and what they mean there."""


@cache
def vocabulary() -> Mapping[str, type[Described]]:
    """Every registered class of an op, metric, initializer, source, … by module and name."""
    load_ops()
    load_training()
    load_sources()
    load_compression()
    classes = [cls for registry in Registry.every for cls in registry.classes()]
    return {f"{cls.__module__}.{cls.__name__}": cls for cls in classes}


def modules() -> Iterator[tuple[str, ast.Module]]:
    """The files outside the rooms that hold nothing but such classes."""
    for top in ("grammar", "compiler", "backends", "weft"):
        for path in sorted((ROOT / top).rglob("*.py")):
            name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
            if not name.startswith(("compiler.ops.", "compiler.training.")):
                yield name, ast.parse(path.read_text(encoding="utf-8"))


def find_questions(tree: ast.Module) -> Iterator[str]:
    """The classes that a file asks values for, or lists; not those that it makes, and no types of
    its own parameters."""
    imported = {
        alias.asname or alias.name: f"{node.module}.{alias.name}"
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    typed = {id(part) for node in ast.walk(tree) for part in _list_types(node)}
    parents = {id(c): p for p in ast.walk(tree) for c in ast.iter_child_nodes(p)}
    for node in ast.walk(tree):
        path = _find_path(node, imported)
        if path not in vocabulary() or id(node) in typed:
            continue
        around = parents[id(node)]
        asked = not isinstance(around, ast.Call) or (
            around.func is not node and ast.unparse(around.func) in ("isinstance", "issubclass")
        )
        if asked:
            yield path.rpartition(".")[2]


def _find_path(node: ast.AST, imported: Mapping[str, str]) -> str:
    """Where what a name stands for is defined."""
    match node:
        case ast.Name(id=name):
            return imported.get(name, "")
        case ast.Attribute(value=ast.Name(id=name), attr=inner):
            return f"{imported[name]}.{inner}" if name in imported else ""
    return ""


def _list_types(node: ast.AST) -> Iterator[ast.AST]:
    match node:
        case ast.arg(annotation=type) | ast.AnnAssign(annotation=type) if type is not None:
            yield from ast.walk(type)
        case ast.FunctionDef(returns=type) if type is not None:
            yield from ast.walk(type)


def test_no_file_lists_ops() -> None:
    found = {name: sorted(set(find_questions(tree)) - ANYWHERE.keys()) for name, tree in modules()}
    allowed = {name: sorted(classes.split()) for name, (classes, _) in SUBJECTS.items()}
    assert {name: classes for name, classes in found.items() if classes} == allowed


def test_no_file_compares_names_of_ops() -> None:
    names = {name for cls in vocabulary().values() for name in (cls.name, *cls.aliases)}
    found = {name for name, tree in modules() if any(True for _ in find_names(tree, names))}
    assert found == STRINGS.keys()


def find_names(tree: ast.Module, names: set[str]) -> Iterator[ast.AST]:
    """Comparisons of an op's name, and lists of nothing but names."""
    for node in ast.walk(tree):
        match node:
            case ast.Compare(left=left, comparators=others):
                told = {c.value for o in others for c in ast.walk(o) if isinstance(c, ast.Constant)}
                if _is_name_of_op(left) and told & names:
                    yield node
            case ast.Tuple(elts=parts) | ast.List(elts=parts) | ast.Set(elts=parts):
                texts = [part.value for part in parts if isinstance(part, ast.Constant)]
                if len(parts) > 1 and len(texts) == len(parts) and names.issuperset(texts):
                    yield node
            case ast.Dict(keys=keys):
                texts = [key.value for key in keys if isinstance(key, ast.Constant)]
                if len(keys) > 1 and len(texts) == len(keys) and names.issuperset(texts):
                    yield node


def _is_name_of_op(node: ast.expr) -> bool:
    match node:
        case ast.Attribute(attr="op") | ast.Name(id="op"):
            return True
        case ast.Attribute(value=ast.Attribute(attr=owner) | ast.Name(id=owner), attr="name"):
            return owner in ("op", "loss", "metric", "optimizer", "schedule", "primitive")
    return False


def test_traits_mean_what_they_say() -> None:
    for cls in load_ops().classes():
        assert (cls.in_integers == "layer") <= issubclass(cls, LinearLayer), cls.name
        assert not (cls.in_integers == "moves" and len(cls.operands) > 1), cls.name
        assert not (cls.clips and not cls.broadcasts), cls.name
        assert not (cls.converts and not cls.broadcasts), cls.name
        assert not (cls.reshapes and not cls.moves), cls.name
        assert not (cls.in_integers and (cls.keeps_f32 or cls.quantized)), cls.name


# --- new ops --------------------------------------------------------------------------------------


@final
@dataclass(frozen=True)
class PeakPool(Op):
    """The largest of every `size` entries along the last axis."""

    name = "peak_pool"
    keeps_channels = True
    axis_by_axis = True
    scales_with_operand = True
    in_integers = "moves"
    operands = (Operand("x"),)
    size: int

    def infer(self, assume: Assume, x: TensorType) -> tuple[TensorType, ...]:
        return (TensorType(x.dtype, (*x.shape[:-1], x.shape[-1] // self.size)),)

    def evaluate(self, x: Array) -> tuple[Array, ...]:
        count = x.shape[-1] // self.size
        pieces = x[..., : count * self.size].reshape(*x.shape[:-1], count, self.size)
        return (np.asarray(pieces.max(axis=-1)),)

    def couple(self, outputs: Results, x: NodeInput) -> Coupling:
        return Coupling(tie_same(x, 2))

    def torch(self, node: Node) -> Spelling:
        return Spelling(Call("F.max_pool1d", (In(0), Leaf(self.size, "size", field="size"))))

    def onnx(self, build: OnnxBuilder, outputs: Results, x: OnnxInput) -> Values:
        return [build.op("MaxPool", [x.value], {"kernel_shape": [self.size]})]


@final
@dataclass(frozen=True)
class HalfWave(Activation):
    """Clips to what lies between 0 and 2."""

    name = "half_wave"
    clips = True
    limits = (0.0, 2.0)
    function = "F.hardtanh"
    module = "nn.Hardtanh"
    onnx_type = "Clip"

    def calculate(self, x: Array) -> Array:
        return np.clip(x, 0, 2)


@final
@dataclass(frozen=True)
class WaveLoss(PairLoss):
    """The distance of a target from the half wave of scores."""

    name = "wave_loss"
    limits = NOT_NEGATIVE
    applies = ("half_wave",)
    function = "F.l1_loss"
    reduction: str = "mean"

    def calculate(self, x: Array, target: Array) -> Array:
        return np.asarray(np.abs(np.clip(x, 0, 2) - target))

    def write(self, build: OnnxBuilder, x: Any, target: Any, type: TensorType) -> Any:
        return build.op("Abs", [build.op("Sub", [x, target])])


@pytest.fixture(autouse=True)
def new_ops(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(OPS, "_classes", {cls.name: cls for cls in load_ops().classes()})
    for cls in (PeakPool, HalfWave, WaveLoss):
        OPS.register(cls)


NET = """
model M() {
    input x: f32[batch, 3, 12]
    h = x -> conv(4, kernel=3, padding=1) as a -> half_wave -> peak_pool(2)
    output y = h -> conv(2, kernel=1) as b
}
"""


def test_pruning_knows_a_new_pool(monkeypatch: pytest.MonkeyPatch) -> None:
    net = make_net(NET)
    weights = {path: np.array(array) for path, array in net.weights.items()}
    weights["a.weight"][1] = 0
    weights["a.bias"][1] = 0
    net = WeightedNet(net.graph, weights)
    assert remove_dead_neurons(net).weights["b.weight"].shape == (2, 3, 1)
    monkeypatch.setattr(PeakPool, "keeps_channels", False)
    assert remove_dead_neurons(net) is net, "nothing is said of its zeros"


def test_quantization_knows_new_ops(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = make_net(NET).graph
    layers, obstacles = find_layers(graph)
    assert [layer.path for layer in layers] == ["a", "b"]
    assert not obstacles
    active, pooled = (node.output.name for node in graph.nodes[1:3])
    assert place(graph, layers, "all", joins=True).rounded == {
        "x": "x",
        active: active,  # the result of the convolution, with the activation that clipping is
        pooled: active,  # with the same scale
        "y": "y",
    }
    monkeypatch.setattr(PeakPool, "in_integers", None)
    monkeypatch.setattr(HalfWave, "clips", False)
    made = graph.nodes[0].output.name
    assert place(graph, layers, "all", joins=True).rounded == {
        "x": "x",
        made: made,
        pooled: pooled,
        "y": "y",
    }


def test_scales_are_moved_past_a_new_pool(monkeypatch: pytest.MonkeyPatch) -> None:
    net = make_net(NET.replace("half_wave", "relu"))
    layers, _ = find_layers(net.graph)
    made, _ = equalize_layers(net, layers, everywhere=True)
    assert not np.array_equal(made.weights["a.weight"], net.weights["a.weight"])
    monkeypatch.setattr(PeakPool, "scales_with_operand", False)
    made, _ = equalize_layers(net, layers, everywhere=True)
    assert np.array_equal(made.weights["a.weight"], net.weights["a.weight"])


DRAWN = """
block draw(z: f32[n, d], width: int = 8) {
    return z -> dense(2 * width * 16) as fc -> reshape([n, 2 * width, 16])
        -> grown(1, kernel=4, stride=2, padding=1) as up
}
model M() {
    input z: f32[batch, 6]
    output drawn = z -> draw as D
}
"""


def test_printed_code_knows_what_a_new_layer_leaves(monkeypatch: pytest.MonkeyPatch) -> None:
    grown = type("Grown", (ConvTranspose,), {"name": "grown"})
    OPS.register(grown)
    size = "# [n, 1, 32]"
    assert size in emit(DRAWN)
    monkeypatch.setattr(grown, "axis_by_axis", False)
    assert size not in emit(DRAWN), "any argument may have made it"


def test_limits_and_precision_of_a_new_op() -> None:
    graph = build(NET).graph
    active, pooled = (node.output for node in graph.nodes[1:3])
    assert find_limits(graph, active) == (0.0, 2.0)
    assert find_limits(graph, pooled) == (-np.inf, np.inf)
    half = Float16()
    assert half.has_kernel(PeakPool(2))
    assert not half.has_kernel(WaveLoss())


def test_a_new_loss_says_what_it_applies(monkeypatch: pytest.MonkeyPatch) -> None:
    text = """
model M() {
    input x: f32[batch, 3]
    input target: f32[batch, 3]
    output loss = wave_loss(half_wave(x), target)
}
"""
    assert codes(text) == ["W1003"]
    monkeypatch.setattr(WaveLoss, "applies", ())
    assert codes(text) == []
