"""Checks an ONNX file without reading its weights: ONNX's full check and strict inference."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from onnx.shape_inference import InferenceError

from backends.onnx_graph.dtypes import name_type

LARGE = 1024
"""Initializers with more bytes than this are weights; smaller ones may be shapes that shape
inference reads."""

_MODEL_GRAPH = 7
_GRAPH_INITIALIZER = 5
_BYTES = 2
_TENSOR_LARGE_FIELDS = (4, 5, 6, 7, 9, 10, 11)  # every field that holds an array's numbers


class MalformedModel(Exception):
    """A file that is no valid ONNX model."""


def check_onnx(path: Path) -> onnx.ModelProto:
    """Runs `onnx.checker` with full check and strict shape inference with data propagation on a
    file; weights are declared as inputs instead of being read (0.9 s on ViT-B/16 otherwise).
    Returns the checked model without its weights, its shapes inferred.

    Raises:
        MalformedModel: the file breaks a rule of ONNX, types contradict what is declared, or a
            dimension that is declared to be free is fixed.
        OSError: the file cannot be read.
    """
    model = read_structure(path)
    try:
        onnx.checker.check_model(model, full_check=True)
        inferred = onnx.shape_inference.infer_shapes(
            model, check_type=True, strict_mode=True, data_prop=True
        )
    except (onnx.checker.ValidationError, InferenceError, ValueError) as error:
        # A ValueError is raised for names that are not UTF-8, and for types that are none.
        raise MalformedModel(str(error).strip()) from error
    _check_free_dims(model.graph.output, inferred.graph.output)
    return inferred


def read_input_shapes(model: onnx.ModelProto) -> dict[str, tuple[int | None, ...]]:
    """The sizes of the axes of each input of a model, None where any size will do."""
    return {
        item.name: tuple(
            dim.dim_value if dim.HasField("dim_value") else None
            for dim in item.type.tensor_type.shape.dim
        )
        for item in model.graph.input
    }


def _check_free_dims(
    declared: Sequence[onnx.ValueInfoProto], inferred: Sequence[onnx.ValueInfoProto]
) -> None:
    """A dimension that an output declares to be free must not turn out to be a number."""
    for before, after in zip(declared, inferred, strict=True):
        dims = before.type.tensor_type.shape.dim, after.type.tensor_type.shape.dim
        for free, found in zip(*dims, strict=True):
            if free.dim_param and found.HasField("dim_value"):
                size = f"`{free.dim_param}` of output `{before.name}`"
                raise MalformedModel(f"the size {size} is fixed to {found.dim_value}")


def read_types(path: Path) -> dict[str, tuple[str, tuple[int, ...]]]:
    """Dtypes and shapes of the constants of a model by name, without what lies beside the file."""
    model = onnx.load(path, load_external_data=False)
    return {
        item.name: (name_type(item.data_type), tuple(item.dims)) for item in model.graph.initializer
    }


def read_opset(path: Path) -> int:
    """The version of the default operator set that a file uses.

    Raises:
        MalformedModel: the bytes are no ONNX model.
        OSError: the file cannot be read.
    """
    for entry in read_structure(path).opset_import:
        if entry.domain in ("", "ai.onnx"):
            return int(entry.version)
    raise MalformedModel(f"{path} names no version of ONNX's operators")


def read_structure(path: Path) -> onnx.ModelProto:
    """The model of a file with every large initializer turned into a graph input.

    Raises:
        MalformedModel: the bytes are no ONNX model.
        OSError: the file cannot be read.
    """
    try:
        return _read_model(np.memmap(path, dtype=np.uint8, mode="r").data)
    except (ValueError, IndexError, DecodeError) as error:
        raise MalformedModel(f"{path} is not an ONNX model: {str(error).strip()}") from error


def _read_model(data: memoryview) -> onnx.ModelProto:
    model = onnx.ModelProto()
    for number, whole, content in _fields(data):
        if number == _MODEL_GRAPH:
            _read_graph(content, model.graph)
        else:
            model.MergeFromString(bytes(whole))
    return model


def _read_graph(data: memoryview, graph: onnx.GraphProto) -> None:
    for number, whole, content in _fields(data):
        if number == _GRAPH_INITIALIZER:
            _read_tensor(content, graph)
        else:
            graph.MergeFromString(bytes(whole))


def _read_tensor(data: memoryview, graph: onnx.GraphProto) -> None:
    if len(data) <= LARGE:
        tensor = onnx.TensorProto.FromString(bytes(data))
        if tensor.data_location != onnx.TensorProto.EXTERNAL:
            graph.initializer.append(tensor)
            return
    else:
        tensor = onnx.TensorProto()
        for number, whole, _ in _fields(data):
            if number not in _TENSOR_LARGE_FIELDS:
                tensor.MergeFromString(bytes(whole))
    graph.input.append(
        onnx.helper.make_tensor_value_info(tensor.name, tensor.data_type, list(tensor.dims))
    )


def _fields(data: memoryview) -> Iterator[tuple[int, memoryview, memoryview]]:
    """Fields of a protobuf message: number, tag and content together, and content alone.
    (https://protobuf.dev/programming-guides/encoding/)"""
    position = 0
    while position < len(data):
        start = position
        tag, position = _varint(data, position)
        match tag & 7:
            case 0:
                _, end = _varint(data, position)
            case 1:
                end = position + 8
            case 2:
                size, position = _varint(data, position)
                end = position + size
            case 5:
                end = position + 4
            case kind:
                raise ValueError(f"a field of wire type {kind}")
        if end > len(data):
            raise ValueError("the file is cut short")
        yield tag >> 3, data[start:end], data[position:end]
        position = end


def _varint(data: memoryview, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[position]
        value |= (byte & 0x7F) << shift
        position += 1
        if not byte & 0x80:
            return value, position
        shift += 7
