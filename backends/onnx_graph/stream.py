"""Writes ONNX files with the weights streamed past protobuf.

A protobuf message may be cut anywhere between its fields and a field of type message may be
written as tag, length and bytes. So the model is serialised without its weights, the lengths
are added up, and each weight's memory goes to the file as it is: nothing is copied.
(https://protobuf.dev/programming-guides/encoding/, field numbers from onnx.proto)
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import onnx

from backends.onnx_graph.builder import Initializer
from backends.onnx_graph.dtypes import Array, PackedArray
from compiler.passes.scaled import ScaledArray
from compiler.system.files import replacing

LARGEST_FILE = 2**31 - 1
"""Protobuf reads no message of this size or more."""
ALIGNMENT = 4096
"""Offsets in external data: a page, so that runtimes can map tensors."""

_MODEL_GRAPH = 7
_GRAPH_INITIALIZER = 5
_TENSOR_RAW_DATA = 9


@dataclass(frozen=True)
class Numbers:
    """The numbers of an initializer, which are brought into memory when they are written."""

    array: Array | ScaledArray | PackedArray

    def __len__(self) -> int:
        return self.array.nbytes

    def memory(self, scratch: Array) -> memoryview:
        """The bytes: the array's own, or those of a product computed in `scratch`."""
        if isinstance(self.array, ScaledArray):
            place = scratch[: len(self)].view(self.array.dtype).reshape(self.array.shape)
            self.array.write(place)
            return scratch[: len(self)].data
        plain = self.array.memory if isinstance(self.array, PackedArray) else self.array
        return plain.reshape(-1).view(np.uint8).data


Piece = bytes | Numbers


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
        external_above: a file of this size or more has its weights beside it, in `PATH.data`.

    Raises:
        OSError: the folder cannot be written.
    """
    whole = _model_pieces(model, list(_tensor_pieces(initializers)))
    with ExitStack() as files:
        target = files.enter_context(replacing(path))
        if sum(len(piece) for piece in whole) < external_above:
            _write_pieces(target, whole)
            return (path,)
        data_path = path.with_name(path.name + ".data")
        data = files.enter_context(replacing(data_path))
        _write_pieces(data, list(_data_pieces(initializers)))
        places = list(_external_pieces(initializers, data_path.name))
        _write_pieces(target, _model_pieces(model, places))
    return path, data_path


def _model_pieces(model: onnx.ModelProto, initializers: list[Piece]) -> list[Piece]:
    graph = model.graph.SerializeToString()
    rest = onnx.ModelProto()
    rest.CopyFrom(model)
    rest.ClearField("graph")
    size = len(graph) + sum(len(piece) for piece in initializers)
    head = rest.SerializeToString() + _field(_MODEL_GRAPH, size) + graph
    return [head, *initializers]


def _tensor_pieces(initializers: Iterable[Initializer]) -> Iterator[Piece]:
    for item in initializers:
        numbers = Numbers(item.array)
        header = _describe(item).SerializeToString() + _field(_TENSOR_RAW_DATA, len(numbers))
        yield _field(_GRAPH_INITIALIZER, len(header) + len(numbers)) + header
        yield numbers


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
        yield Numbers(item.array)
        yield bytes(_padding(item.array.nbytes))


def _describe(item: Initializer) -> onnx.TensorProto:
    assert item.value.name is not None
    return onnx.TensorProto(name=item.value.name, dims=item.array.shape, data_type=int(item.kind))


def serialize_initializer(item: Initializer) -> onnx.TensorProto:
    """An initializer with its numbers as a message; for small models."""
    proto = _describe(item)
    numbers = Numbers(item.array)
    proto.raw_data = bytes(numbers.memory(np.empty(len(numbers), np.uint8)))
    return proto


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


def _write_pieces(path: Path, pieces: Sequence[Piece]) -> None:
    with path.open("wb") as file:
        _reserve(file, sum(len(piece) for piece in pieces))
        largest = max((len(p) for p in pieces if isinstance(p, Numbers)), default=0)
        scratch = np.empty(largest, np.uint8)
        for piece in pieces:
            file.write(piece if isinstance(piece, bytes) else piece.memory(scratch))


def _reserve(file: BinaryIO, size: int) -> None:
    """Asks for the space beforehand. A file system that allocates late (ext4) would otherwise
    write everything to disk when the file is renamed: 28 ms instead of 9 for 48 MB."""
    if not hasattr(os, "posix_fallocate") or size == 0:
        return
    try:
        os.posix_fallocate(file.fileno(), 0, size)
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise  # other errors say that the file system cannot reserve, and writing still can
