"""Writes ONNX files with the weights streamed past protobuf.

A protobuf message may be cut anywhere between its fields and a field of type message may be
written as tag, length and bytes. So the model is serialised without its weights, the lengths
are added up, and each weight's memory goes to the file as it is: nothing is copied.
(https://protobuf.dev/programming-guides/encoding/, field numbers from onnx.proto)
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO

import numpy as np
import onnx

from backends.onnx_graph.builder import Initializer
from backends.onnx_graph.dtypes import onnx_dtype
from compiler.files import replacing

LARGEST_FILE = 2**31 - 1
"""Protobuf reads no message of 2 GiB or more."""
ALIGNMENT = 4096
"""Offsets in external data: a page, so that runtimes can map tensors."""

_MODEL_GRAPH = 7
_GRAPH_INITIALIZER = 5
_TENSOR_RAW_DATA = 9

Piece = bytes | memoryview


def write_model(
    path: Path,
    model: onnx.ModelProto,
    initializers: Sequence[Initializer],
    *,
    external_above: int = LARGEST_FILE,
) -> tuple[Path, ...]:
    """Writes a model and its weights, whole or not at all; the files written.

    Args:
        path: the `.onnx` file.
        model: the model without initializers.
        initializers: what to add to its graph.
        external_above: from this many bytes on, the weights go to `PATH.data` beside the file.

    Raises:
        OSError: the folder cannot be written.
    """
    graph = model.graph.SerializeToString()
    rest = onnx.ModelProto()
    rest.CopyFrom(model)
    rest.ClearField("graph")
    pieces = list(_tensor_pieces(initializers))
    size = len(graph) + sum(len(p) for p in pieces)
    with ExitStack() as files:
        target = files.enter_context(replacing(path))
        if size + len(rest.SerializeToString()) + 64 <= external_above:
            _write_pieces(target, _model_pieces(rest, graph, pieces))
            return (path,)
        data_path = path.with_name(path.name + ".data")
        data = files.enter_context(replacing(data_path))
        _write_pieces(data, _data_pieces(initializers))
        pieces = list(_external_pieces(initializers, data_path.name))
        _write_pieces(target, _model_pieces(rest, graph, pieces))
    return path, data_path


def _model_pieces(
    rest: onnx.ModelProto, graph: bytes, initializers: Sequence[Piece]
) -> Iterator[Piece]:
    size = len(graph) + sum(len(piece) for piece in initializers)
    yield rest.SerializeToString() + _field(_MODEL_GRAPH, size) + graph
    yield from initializers


def _tensor_pieces(initializers: Iterable[Initializer]) -> Iterator[Piece]:
    for item in initializers:
        memory = _memory(item)
        header = _describe(item).SerializeToString() + _field(_TENSOR_RAW_DATA, len(memory))
        yield _field(_GRAPH_INITIALIZER, len(header) + len(memory)) + header
        yield memory


def _external_pieces(initializers: Iterable[Initializer], location: str) -> Iterator[Piece]:
    offset = 0
    for item in initializers:
        proto = _describe(item)
        proto.data_location = onnx.TensorProto.EXTERNAL
        size = item.array.nbytes
        entries = {"location": location, "offset": str(offset), "length": str(size)}
        for key, value in entries.items():
            proto.external_data.add(key=key, value=value)
        offset += size + _padding(size)
        content = proto.SerializeToString()
        yield _field(_GRAPH_INITIALIZER, len(content)) + content


def _data_pieces(initializers: Iterable[Initializer]) -> Iterator[Piece]:
    for item in initializers:
        yield _memory(item)
        yield bytes(_padding(item.array.nbytes))


def _describe(item: Initializer) -> onnx.TensorProto:
    assert item.value.name is not None
    return onnx.TensorProto(
        name=item.value.name, dims=item.array.shape, data_type=int(onnx_dtype(item.dtype))
    )


def _memory(item: Initializer) -> memoryview:
    """The bytes of an array, not copied."""
    return item.array.reshape(-1).view(np.uint8).data


def _padding(size: int) -> int:
    return -size % ALIGNMENT


def _field(number: int, size: int) -> bytes:
    """Tag and length of a field of bytes."""
    return _varint(number << 3 | 2) + _varint(size)


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _write_pieces(path: Path, pieces: Iterable[Piece]) -> None:
    with path.open("wb") as file:
        _write_all(file, pieces)


def _write_all(file: BinaryIO, pieces: Iterable[Piece]) -> None:
    for piece in pieces:
        file.write(piece)
