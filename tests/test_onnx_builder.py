"""The ONNX builder: nodes that never come into being, shared constants, computed sizes, names."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest

from backends.onnx_graph.attributes import FixedDimension
from backends.onnx_graph.builder import GraphBuilder
from backends.onnx_graph.live import find_live
from backends.onnx_graph.opsets import UnavailableOp
from backends.onnx_graph.sizes import UnboundSymbol
from compiler.types.dims import Dim
from compiler.types.tensor import DType, TensorType


def dims(*sizes: int | str | Dim) -> tuple[Dim, ...]:
    return tuple(Dim.of(s) for s in sizes)


def start(opset: int = 21, **inputs: TensorType) -> tuple[GraphBuilder, dict[str, Any]]:
    build = GraphBuilder(opset)
    values = {name: build.input(name, given) for name, given in inputs.items()}
    build.begin("layer", {})
    return build, values


def op_types(build: GraphBuilder) -> list[str]:
    return [node.op_type for node in build.nodes]


X = TensorType.of("f32", ["n", "t", 6])


def test_reshapes_of_reshapes_start_at_the_beginning() -> None:
    build, values = start(x=X)
    matrix = build.reshape(values["x"], X.shape, dims(Dim.of("n") * "t", 6))
    heads = build.reshape(matrix, dims(Dim.of("n") * Dim.of("t"), 6), dims("n", "t", 2, 3))
    assert heads.producer().inputs[0] is values["x"]
    assert build.reshape(heads, dims("n", "t", 2, 3), X.shape) is values["x"]


def test_the_same_reshape_is_made_once() -> None:
    build, values = start(x=X)
    target = dims("n", "t", 2, 3)
    assert build.reshape(values["x"], X.shape, target) is build.reshape(
        values["x"], X.shape, target
    )


@pytest.mark.parametrize(
    ("source", "target", "expected"),
    [
        (("n", "t", 6), ("n", "t", 2, 3), [0, 0, 2, 3]),
        (("n", 4, 6), ("n", 24), [0, 24]),
        (("n", 6), (Dim.of("n") * 6,), [-1]),
        ((2, 3), (6,), [6]),
        (("n", "t"), (1, "n", "t"), None),
    ],
)
def test_reshape_targets(
    source: tuple[Any, ...], target: tuple[Any, ...], expected: list[int] | None
) -> None:
    build, values = start(x=TensorType.of("f32", source))
    made = build.reshape(values["x"], dims(*source), dims(*target))
    shape = made.producer().inputs[1]
    constant = next((i.array for i in build.initializers.values() if i.value is shape), None)
    assert (constant is None) == (expected is None)
    if expected is not None:
        assert constant is not None
        assert constant.tolist() == expected


def test_transposes_join_and_vanish() -> None:
    build, values = start(x=X)
    once = build.op("Transpose", [values["x"]], {"perm": (1, 0, 2)})
    twice = build.op("Transpose", [once], {"perm": (0, 2, 1)})
    assert twice.producer().inputs[0] is values["x"]
    assert list(twice.producer().attributes["perm"].as_ints()) == [1, 2, 0]
    assert build.op("Transpose", [twice], {"perm": (2, 0, 1)}) is values["x"]


def test_identities_and_casts_to_the_same_type_vanish() -> None:
    build, values = start(x=X)
    assert build.op("Identity", [values["x"]]) is values["x"]
    assert build.op("Cast", [values["x"]], {"to": DType.F32}) is values["x"]
    whole = build.op("Cast", [values["x"]], {"to": DType.I64})
    assert build.op("Cast", [whole], {"to": DType.I64}) is whole


def test_equal_constants_are_shared_and_unequal_are_not() -> None:
    build, _ = start()
    one = build.constant(np.array([1.0, 2.0], np.float32))
    assert build.constant(np.array([1.0, 2.0], np.float32)) is one
    assert build.constant(np.array([1.0, 2.0], np.float64)) is not one
    assert build.constant(np.array([1.0, 2.0], np.float32), DType.BF16) is not one
    assert build.constant(np.array([[1.0, 2.0]], np.float32)) is not one


def run_shape(shape: tuple[Any, ...], **sizes: int) -> list[int]:
    """What a computed shape comes to at run time."""
    made = TensorType.of("f32", ["a", "b"])
    build, _ = start(x=made)
    value = build.shape(dims(*shape))
    value.name = "y"
    model = onnx.helper.make_model(
        onnx.helper.make_graph(
            [
                onnx.helper.make_node(
                    n.op_type,
                    [v.name for v in n.inputs if v],
                    [v.name for v in n.outputs],
                    **{a.name: a.value for a in n.attributes.values()},
                )
                for n in build.nodes
            ],
            "g",
            [onnx.helper.make_tensor_value_info("x", 1, ["a", "b"])],
            [onnx.helper.make_tensor_value_info("y", 7, [None])],
            [onnx.numpy_helper.from_array(i.array, name) for name, i in build.initializers.items()],
        ),
        opset_imports=[onnx.helper.make_opsetid("", 21)],
        ir_version=10,
    )
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"x": np.zeros((sizes["a"], sizes["b"]), np.float32)})[0].tolist()


A, B = Dim.of("a"), Dim.of("b")


@pytest.mark.parametrize(
    "dim", [A * 2 + 1, A * B - 3, (A + 1) // 2, (A * B) // (B + 1), A**2 - A, A - B + 9]
)
def test_sizes_are_computed(dim: Dim) -> None:
    assert run_shape((dim, 7, "a"), a=5, b=8) == [dim.evaluate({"a": 5, "b": 8}), 7, 5]


def test_sizes_are_computed_once() -> None:
    build, _ = start(x=TensorType.of("f32", ["a", "b"]))
    build.shape(dims(A * 2, 3))
    count = len(build.nodes)
    build.shape(dims(A * 2, 3))
    build.shape(dims(A * 2))
    assert len(build.nodes) == count


def test_a_symbol_that_no_input_shows_is_refused() -> None:
    build, _ = start(x=TensorType.of("f32", [Dim.of("k") * 2]))
    with pytest.raises(UnboundSymbol):
        build.shape(dims("k", 2))


def test_a_dim_in_an_attribute_must_be_known() -> None:
    build, values = start(x=X)
    build.op("Softmax", [values["x"]], {"axis": Dim.of(1)})
    with pytest.raises(FixedDimension):
        build.op("DepthToSpace", [values["x"]], {"blocksize": Dim.of("n")})


def test_operators_of_later_opsets() -> None:
    build, values = start(18, x=X)
    build.op("Gelu", [values["x"]])
    assert "Gelu" not in op_types(build)
    assert "Erf" in op_types(build)
    with pytest.raises(UnavailableOp) as error:
        build.op("RotaryEmbedding", [values["x"]])
    assert error.value.needed == 23
    later, values = start(20, x=X)
    later.op("Gelu", [values["x"]])
    assert op_types(later) == ["Gelu"]


def test_names_are_unique_and_say_where_they_are_from() -> None:
    build, values = start(x=X)
    first = build.op("Relu", [values["x"]])
    build.finish([first], ["y"], [X])
    build.begin("layer", {})
    second = build.op("Relu", [build.op("Neg", [first])])
    build.finish([second], [""], [X])
    assert [node.name for node in build.nodes] == ["layer", "layer/Neg", "layer/Relu"]
    assert [v.name for node in build.nodes for v in node.outputs] == [
        "y",
        "layer/Neg",
        "layer/Relu",
    ]


def test_nodes_that_no_output_needs_are_left_out() -> None:
    build, values = start(x=X)
    build.op("Relu", [values["x"]])
    used = build.op("Neg", [values["x"]])
    assert [n.op_type for n in find_live(build.nodes, [used])] == ["Neg"]
