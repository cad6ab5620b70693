"""Weights beside the graph: drawn, read and written by parameter path, memory-mapped."""

from __future__ import annotations

import errno
import fnmatch
import json
import os
import struct
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from math import prod
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import save_file

from compiler.ir.graph import Graph, Parameter
from compiler.ir.memory import need_weights
from compiler.records import dataclass
from compiler.system.files import need_file, parse_json, replacing
from compiler.types.tensor import MAX_RANK

Array = NDArray[Any]

_DTYPES = {
    "F64": "<f8",
    "F32": "<f4",
    "F16": "<f2",
    "I64": "<i8",
    "I32": "<i4",
    "I16": "<i2",
    "I8": "i1",
    "U8": "u1",
    "BOOL": "?",
}


LONGEST_HEADER = 16 << 20
"""Bytes of a header that is read: enough for a hundred thousand tensors."""

_MOST = 1 << 59
"""Elements of the largest tensor that NumPy counts."""

_PICKLES = (b"PK\x03\x04", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")
"""How the files of `torch.save` begin: archives, and pickles of protocols 2 to 5."""

COUNTER = "num_batches_tracked"
"""A buffer of PyTorch's batch norms that no graph has."""


class _NamedTwice(ValueError):
    """A key that an object of JSON has twice."""


class WeightsError(ValueError):
    """A weights file that is not what its format promises, or does not fit the graph."""


class PickleError(WeightsError):
    """A weights file that is a pickle, which can run code, or an archive with one."""


@dataclass(frozen=True, eq=False)
class StoredTensor:
    """A tensor whose shape and dtype are known, and whose numbers are read when they are needed:
    `read` gives them as an array of that shape and dtype."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    read: Callable[[], Array]
    stored: str = ""
    """What its file calls the dtype: `bf16`, which is read as f32."""


def keep_array(array: Array) -> StoredTensor:
    """An array in memory as a stored tensor."""
    return StoredTensor(tuple(array.shape), array.dtype, lambda: array)


def draw_weights(graph: Graph, seed: int = 0) -> dict[str, Array]:
    """Fresh weights from each parameter's initializer; a parameter's numbers depend on the seed
    and its own path only, so that a new layer leaves the others as they were.

    Raises:
        CompileError: memory does not hold them.
    """
    need_weights(graph)
    drawn: dict[str, Array] = {}
    for parameter in graph.parameters:
        if parameter.path in graph.constants:
            drawn[parameter.path] = np.asarray(graph.constants[parameter.path])
            continue
        shape = parameter.value.type.known_shape
        assert shape is not None, f"{parameter.path} has an unknown shape"
        entropy = [seed, *parameter.path.encode()]
        generator = np.random.default_rng(entropy)
        numbers = parameter.initializer.draw(shape, generator)
        drawn[parameter.path] = parameter.value.type.dtype.round(numbers)
    return drawn


def read_weights(path: Path) -> dict[str, Array]:
    """Every tensor of a safetensors file as a read-only memory map; bf16 is widened to f32.

    Raises:
        WeightsError: the file is missing, cut short or malformed.
    """
    return {name: tensor.read() for name, tensor in open_weights(path).items()}


def open_weights(path: Path) -> dict[str, StoredTensor]:
    """Every tensor of a safetensors file, with nothing of its numbers read.

    Raises:
        WeightsError: the file is missing, cut short or malformed. `read` of a tensor raises it for
            bytes that are no booleans.
    """
    # safetensors' own NumPy loader copies every tensor and refuses bf16; the format is a header
    # and plain memory (https://huggingface.co/docs/safetensors), so it is mapped here.
    try:
        need_file(path)
        with path.open("rb") as file:
            header, start = _read_header(file, path)
        data = np.memmap(path, dtype=np.uint8, mode="r")
    except OSError as error:
        raise WeightsError(f"{path}: {error.strerror or error}") from error
    entries = {name: entry for name, entry in header.items() if name != "__metadata__"}
    tensors = {name: _map_tensor(path, name, entry, data, start) for name, entry in entries.items()}
    _check_ranges(path, entries, len(data) - start)
    _check_training(path, header, entries, data[start:])
    return tensors


def _check_ranges(path: Path, entries: Mapping[str, Any], size: int) -> None:
    """Refuses tensors that share bytes, and bytes of no tensor: the format has neither.

    Raises:
        WeightsError: there are such bytes.
    """
    ranges = [(*entry["data_offsets"], name) for name, entry in entries.items()]
    place, before = 0, ""
    for begin, end, name in sorted(r for r in ranges if r[0] < r[1]):
        if begin < place:
            raise WeightsError(f"{path}: {before} and {name} lie on the same bytes")
        if begin > place:
            reason = f"{begin - place:,} bytes before {name} are of no tensor"
            raise WeightsError(f"{path} is damaged: {reason}")
        place, before = end, name
    if place < size:
        raise WeightsError(f"{path} is damaged: its last {size - place:,} bytes are of no tensor")


def _check_training(
    path: Path, header: Mapping[str, Any], entries: Mapping[str, Any], data: Array
) -> None:
    """Holds a file of a training to the checksum of its settings and tensors that its script has
    left in it.

    Raises:
        WeightsError: they are others.
    """
    note = header.get("__metadata__") or {}
    if not isinstance(note, dict) or not all(isinstance(text, str) for text in note.values()):
        raise WeightsError(f"{path} is not a safetensors file: its metadata is not text by name")
    if not note.get("training", "").startswith("{"):  # the file is of somebody else
        return
    training = parse_json(note["training"])
    known = training if isinstance(training, dict) else {}
    if known.get("checksum") != _add_up(known.get("settings"), entries, data):
        reason = "its settings and numbers are not those that a training wrote"
        raise WeightsError(f"{path} is damaged: {reason}")


def _add_up(settings: Any, entries: Mapping[str, Any], data: Array) -> int | str:
    """The checksum of settings and all tensors in the order of their names, as a training script
    makes it."""
    try:
        found = zlib.crc32(json.dumps(settings).encode())
    except RecursionError:
        return "nested as deep as can just be read"
    for name in sorted(entries):
        begin, end = entries[name]["data_offsets"]
        found = zlib.crc32(data[begin:end].data, found)
    return found


def read_note(path: Path) -> dict[str, Any]:
    """The metadata of a safetensors file; empty for a file that is none."""
    try:
        need_file(path)
        with path.open("rb") as file:
            header, _ = _read_header(file, path)
    except (OSError, WeightsError):
        return {}
    note = header.get("__metadata__")
    return note if isinstance(note, dict) else {}


def _read_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of JSON; of a name that stands there twice, either could be meant."""
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise _NamedTwice(name)
        found[name] = value
    return found


def _read_header(file: BinaryIO, path: Path) -> tuple[dict[str, Any], int]:
    size = os.fstat(file.fileno()).st_size
    prefix = file.read(8)
    if len(prefix) < 8:
        raise WeightsError(f"{path} is not a safetensors file: it has {size} bytes")
    (length,) = struct.unpack("<Q", prefix)
    if length > size - 8 and length > 1 << 40 and prefix.startswith(_PICKLES):
        raise PickleError(f"{path} is a pickle of PyTorch, which could run code")
    if length > size - 8:
        raise WeightsError(f"{path} is not a safetensors file, or it is cut short")
    if length > LONGEST_HEADER:
        raise WeightsError(f"{path} is not a safetensors file: its header has {length:,} bytes")
    try:
        header = json.loads(file.read(length), object_pairs_hook=_read_object)
    except _NamedTwice as error:
        raise WeightsError(f"{path} names {error} twice in its header") from error
    except (ValueError, RecursionError) as error:
        raise WeightsError(f"{path} is not a safetensors file: its header is not JSON") from error
    if not isinstance(header, dict):
        raise WeightsError(f"{path} is not a safetensors file: its header is not an object")
    return header, 8 + length


def _map_tensor(path: Path, name: str, entry: Any, data: Array, start: int) -> StoredTensor:
    try:
        dtype, shape = entry["dtype"], tuple(entry["shape"])
        begin, end = entry["data_offsets"]
        if not isinstance(dtype, str) or not all(type(n) is int for n in (*shape, begin, end)):
            raise TypeError
    except (KeyError, TypeError, ValueError) as error:
        raise WeightsError(f"{path}: the entry of {name} is malformed") from error
    if not 0 <= begin <= end <= len(data) - start:
        raise WeightsError(f"{path} is cut short: {name} lies outside the file")
    raw = data[start + begin : start + end]
    if dtype != "BF16" and dtype not in _DTYPES:
        raise WeightsError(f"{path}: {name} has the dtype {dtype!r}, which Weft does not read")
    width = 2 if dtype == "BF16" else np.dtype(_DTYPES[dtype]).itemsize
    # Of an empty tensor, NumPy takes no axes either whose product no index can count.
    fits = (
        len(shape) <= MAX_RANK and min(shape, default=0) >= 0 and prod(filter(None, shape)) < _MOST
    )
    if not fits or prod(shape) * width != end - begin:
        found = f"{dtype} of the shape {list(shape[:MAX_RANK])}"
        raise WeightsError(f"{path}: {name} is {found}, and has {end - begin:,} bytes")

    def read() -> Array:
        if dtype == "BF16":
            wide = raw.view("<u2").astype("<u4") << 16
            return wide.view("<f4").reshape(shape)
        if dtype == "BOOL" and raw.max(initial=0) > 1:
            raise WeightsError(f"{path}: {name} has bytes that are no booleans")
        return np.asarray(raw).view(_DTYPES[dtype]).reshape(shape)

    found_dtype = np.dtype("<f4" if dtype == "BF16" else _DTYPES[dtype])
    return StoredTensor(shape, found_dtype, read, dtype.lower())


def write_weights(path: Path, weights: Mapping[str, Array], note: Mapping[str, str]) -> None:
    """Writes a safetensors file whole or not at all; `note` becomes its metadata.

    Raises:
        OSError: the folder cannot be written.
    """
    arrays = {name: np.asarray(array, order="C") for name, array in weights.items()}
    with replacing(path) as temporary:
        try:
            save_file(arrays, temporary, dict(note) or None)
        except SafetensorError as error:
            raise OSError(errno.EIO, str(error), str(path)) from error


def match_paths(paths: Iterable[str], patterns: Iterable[str]) -> list[str]:
    """The parameter paths that match any of the patterns (`*.bias`, `layer1.*`); a pattern
    without a wildcard also names everything below it."""
    chosen = tuple(patterns)
    return [p for p in paths if any(path_matches(p, pattern) for pattern in chosen)]


def path_matches(path: str, pattern: str) -> bool:
    """Whether a pattern names a parameter path, by the rule of `match_paths`."""
    return fnmatch.fnmatchcase(path, pattern) or path.startswith(pattern + ".")


def find_misfits(
    parameters: Iterable[Parameter], weights: Mapping[str, Array] | Mapping[str, StoredTensor]
) -> Iterator[tuple[Parameter, tuple[int, ...] | None]]:
    """Parameters that the weights do not serve: each with the shape found, None where missing."""
    for parameter in parameters:
        found = weights.get(parameter.path)
        if found is None:
            yield parameter, None
        elif found.shape != parameter.value.type.known_shape:
            yield parameter, tuple(found.shape)
