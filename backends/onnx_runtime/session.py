"""Sessions of ONNX Runtime on the CPU and on CUDA, chosen by name."""

from __future__ import annotations

import ctypes
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray
from onnxruntime.capi import onnxruntime_pybind11_state as runtime_state

from backends.onnx_runtime.casting import cast_exactly, cast_text, name_dtype
from compiler.data.class_names import ClassNames
from compiler.data.raw_columns import RawRows, decode_rows
from compiler.report.diagnostics import CompileError, Message
from compiler.report.messages.files import bad_input, file_unreadable
from compiler.report.messages.verification import device_missing, model_refused
from compiler.report.messages.wording import list_words
from compiler.system.files import parse_json
from compiler.types.tensor import DType

Array = NDArray[Any]

QUIET = 4
"""The severity from which ONNX Runtime logs: errors arrive as exceptions, warnings are for its
makers."""

REFUSALS: tuple[type[Exception], ...] = (
    RuntimeError,
    ValueError,
    *(
        kind
        for kind in vars(runtime_state).values()
        if isinstance(kind, type) and issubclass(kind, Exception)
    ),
)
"""What ONNX Runtime raises: an exception for each of its status codes, which share no base of their
own, and Python's where inputs have the wrong names or types."""


UNNAMED = "?"
"""How an axis is shown that has neither a size nor a name in the file."""


class Device(StrEnum):
    """Where a model runs; `auto` is CUDA where it works and the CPU elsewhere."""

    AUTO = "auto"
    CPU = "cpu"
    CUDA = "cuda"


@dataclass(frozen=True)
class Port:
    """The type of an input or output of a model: a size is a number, or the model's word for it."""

    dtype: str
    shape: tuple[int | str, ...]

    def __str__(self) -> str:
        return f"{self.dtype}[{', '.join(map(str, self.shape))}]"


@dataclass(frozen=True)
class Session:
    """An ONNX model that is ready to run. `device` is where it runs, never `auto`."""

    runtime: ort.InferenceSession
    device: Device

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the inputs, in order."""
        return tuple(item.name for item in self.runtime.get_inputs())

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of the outputs, in order."""
        return tuple(item.name for item in self.runtime.get_outputs())

    @property
    def fixed_shapes(self) -> Mapping[str, tuple[int | None, ...]]:
        """Sizes of the axes of each input, None where any size will do."""
        return {
            item.name: tuple(d if isinstance(d, int) else None for d in item.shape)
            for item in self.runtime.get_inputs()
        }

    @property
    def batch(self) -> int | None:
        """The size of the first axis of all inputs; None where the file has not fixed it."""
        firsts = {shape[0] if shape else None for shape in self.fixed_shapes.values()}
        return firsts.pop() if len(firsts) == 1 else None

    @property
    def input_ports(self) -> Mapping[str, Port]:
        """What the model takes, by name."""
        return {item.name: _read_port(item) for item in self.runtime.get_inputs()}

    @property
    def output_ports(self) -> Mapping[str, Port]:
        """What the model gives, by name."""
        return {item.name: _read_port(item) for item in self.runtime.get_outputs()}

    @property
    def metadata(self) -> Mapping[str, str]:
        """What the model says of itself."""
        return dict(self.runtime.get_modelmeta().custom_metadata_map)

    @property
    def is_ours(self) -> bool:
        """Whether Weft has written the model."""
        return str(self.runtime.get_modelmeta().producer_name) == "weft"

    @property
    def net_name(self) -> str:
        """What the spec calls the net; empty where Weft did not write the model."""
        return self.runtime.get_modelmeta().graph_name if self.is_ours else ""

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the classes that the model carries; none if it carries none.

        Raises:
            ValueError: what it carries under that name is no list of names.
        """
        text = self.metadata.get("labels", "[]")
        found = parse_json(text)
        if not isinstance(found, list) or not all(isinstance(label, str) for label in found):
            raise ValueError("its labels are not a list of names")
        return tuple(found)

    @property
    def rows(self) -> RawRows | None:
        """The raw rows that it takes; None where the model does not say.

        Raises:
            ValueError: what it says of them is not what Weft writes.
        """
        known = self.metadata if self.is_ours else {}
        return decode_rows({key: parse_json(text) for key, text in known.items()})

    @property
    def classes(self) -> ClassNames | None:
        """The outputs that name the classes of another; None where the model has none.

        Raises:
            ValueError: what it says of them is not what Weft writes.
        """
        text = self.metadata.get("classes") if self.is_ours else None
        if text is None:
            return None
        match parse_json(text):
            case {
                "scores": str(scores),
                "axis": int(axis),
                "label": str(label),
                "probabilities": str(probabilities),
            }:
                return ClassNames(scores, axis, label, probabilities)
        raise ValueError("what it says of its classes is not what Weft writes")

    @cached_property
    def _words(self) -> Mapping[str, tuple[str, ...]]:
        """The words of inputs that take words, by name."""
        taken = {item.name for item in self.runtime.get_inputs() if item.type == TEXT}
        words = self.rows.words if taken and self.rows is not None else {}
        return {name: known for name, known in words.items() if name in taken}

    def spell(self, name: str, array: Array) -> Array:
        """An array as an input takes it: words in the place of codes, where it takes words and
        the array holds codes."""
        words = self._words.get(name)
        if words is None or array.dtype.kind not in "iu":
            return array
        return np.array(words, object)[array]

    def cast_inputs(self, arrays: Mapping[str, Array]) -> dict[str, Array]:
        """Arrays in the dtypes that the model's inputs have.

        Raises:
            CompileError: an input's dtype does not hold the values of its array.
        """
        kinds = {item.name: item.type for item in self.runtime.get_inputs()}
        return {
            name: self._cast(name, np.asarray(a), kinds.get(name)) for name, a in arrays.items()
        }

    def _cast(self, name: str, array: Array, kind: str | None) -> Array:
        """An array in the dtype of an input."""
        if kind == TEXT:
            return cast_text(name, self.spell(name, array))
        dtype = _NUMPY.get(kind or "")
        return array if dtype is None else cast_exactly(name, array, np.dtype(dtype))

    def check_shapes(self, arrays: Mapping[str, Array]) -> None:
        """Holds the shapes of arrays against those of the model's inputs.

        Raises:
            CompileError: an array has other axes than its input, or a named dim has two sizes.
        """
        sizes: dict[str, tuple[int, str]] = {}
        for name, port in self.input_ports.items():
            shape = arrays[name].shape
            if len(shape) != len(port.shape) or any(
                isinstance(dim, int) and dim != size
                for dim, size in zip(port.shape, shape, strict=True)
            ):
                given = Port(name_dtype(arrays[name].dtype), shape)
                reason = f"the input `{name}` is {port} in the file, and the array is {given}"
                raise CompileError([bad_input(None, reason)])
            for dim, size in zip(port.shape, shape, strict=True):
                if not isinstance(dim, str) or dim == UNNAMED:
                    continue
                first, where = sizes.setdefault(dim, (size, name))
                if first != size:
                    reason = f"the dim `{dim}` is {first} in the array of `{where}`, and {size} in "
                    reason += f"that of `{name}`: the input is {port} in the file"
                    raise CompileError([bad_input(None, reason)])

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """The outputs by name.

        Raises:
            RuntimeError: an input is missing, ONNX Runtime refuses them, or a node fails.
        """
        if any(name not in inputs for name in self.inputs):
            wanted, names = list_words(self.inputs), list_words(tuple(inputs))
            raise RuntimeError(f"the file takes {wanted}, and is given {names or 'nothing'}")
        given = {name: self.spell(name, np.asarray(inputs[name])) for name in self.inputs}
        try:
            results = self.runtime.run(None, given)
        except REFUSALS as error:
            raise RuntimeError(clean_reason(str(error))) from error
        found = dict(zip(self.outputs, results, strict=True))
        return {n: a.astype(str) if a.dtype.kind == "O" else a for n, a in found.items()}

    def run_rows(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """The outputs for rows along the first axis of all inputs. A file with a fixed batch gets
        as many at a time as it takes, the last of them filled up with rows that come again.

        Raises:
            RuntimeError: as for `run`.
        """
        given, batch = self.cast_inputs(inputs), self.batch
        count = len(next(iter(given.values())))
        if batch is None or batch == count:
            return self.run(given)
        parts = []
        for start in range(0, count, batch):
            rows = np.arange(start, start + batch) % count
            parts.append(self.run({name: array[rows] for name, array in given.items()}))
        return {
            name: np.concatenate([part[name] for part in parts])[:count] if first.ndim else first
            for name, first in parts[0].items()
        }


def open_session(
    model: Path | bytes,
    *,
    device: Device = Device.AUTO,
    threads: int | None = None,
    spinning: bool = True,
    optimize: bool = True,
) -> Session:
    """A session for a model file, or for a serialised model.

    Args:
        model: path of the `.onnx` file, or its bytes.
        device: where to run it.
        threads: threads of an operator on the CPU; None is one per core.
        spinning: whether idle threads wait actively: faster alone, but two sessions in one
            process then steal each other's cores.
        optimize: whether ONNX Runtime may rewrite the graph.

    Raises:
        CompileError: CUDA is asked for and not there, or the model is refused.
    """
    options = ort.SessionOptions()
    options.log_severity_level = QUIET
    if threads is not None:
        options.intra_op_num_threads = threads
    if not spinning:
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    if not optimize:
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    wanted = _choose_device(device)
    providers = [_PROVIDERS[wanted]]
    if wanted is Device.CUDA:
        # On devices that compute f32 products in tf32 by default, results would have 10 bits.
        providers = [("CUDAExecutionProvider", {"use_tf32": "0"}), "CPUExecutionProvider"]
    source = model if isinstance(model, bytes) else str(model)
    try:
        runtime = ort.InferenceSession(source, options, providers=providers)
    except REFUSALS as error:
        name = "the model" if isinstance(model, bytes) else str(model)
        raise CompileError([describe_refusal(name, error)]) from error
    if _PROVIDERS[wanted] not in runtime.get_providers():
        if device is Device.CUDA:
            raise CompileError([device_missing(None, "its libraries do not load")])
        wanted = Device.CPU
    session = Session(runtime, wanted)
    try:
        session.rows, session.classes  # noqa: B018 - what it says of itself can be read
    except ValueError as error:
        raise CompileError([file_unreadable(None, str(model), str(error))]) from error
    return session


def describe_refusal(name: str, error: Exception) -> Message:
    """What is said of a model that ONNX Runtime does not load."""
    status = _STATUS.match(str(error))
    return model_refused(None, name, clean_reason(str(error)), status[1] if status else "")


def clean_reason(text: str) -> str:
    """What ONNX Runtime says of an error, without its status code and the place in its own code."""
    reason = _OWN_PLACE.sub("", _STATUS.sub("", text))
    return reason.removeprefix("Exception during initialization: ").strip().rstrip(".")


_STATUS = re.compile(r"\[ONNXRuntimeError\] : \d+ : (\w+) : ")
_OWN_PLACE = re.compile(
    r"\S*onnxruntime\S*\.(?:cc|h|hpp|cpp):\d+ .*?\((?:[^()]|\([^()]*\))*\)(?: const)?"
    r"(?: \[with [^\]]*\])? ?",
    re.DOTALL,
)

_PROVIDERS: dict[Device, Any] = {
    Device.CPU: "CPUExecutionProvider",
    Device.CUDA: "CUDAExecutionProvider",
}


def _read_port(item: Any) -> Port:
    """The type of an input or output of ONNX Runtime."""
    kind = _NUMPY.get(item.type)
    dtype = DType.of_numpy(np.dtype(kind)) if kind is not None else None
    shape = (size if isinstance(size, int) else size or UNNAMED for size in item.shape)
    named = "str" if item.type == TEXT else item.type
    return Port(str(dtype) if dtype is not None else named, tuple(shape))


TEXT = "tensor(string)"
"""What ONNX Runtime calls the type of words."""


_NUMPY = {
    "tensor(float)": np.float32,
    "tensor(double)": np.float64,
    "tensor(float16)": np.float16,
    "tensor(int64)": np.int64,
    "tensor(int32)": np.int32,
    "tensor(int16)": np.int16,
    "tensor(int8)": np.int8,
    "tensor(uint8)": np.uint8,
    "tensor(bool)": np.bool_,
}


def _choose_device(device: Device) -> Device:
    """The device to try. CUDA's libraries come from the packages `nvidia-*`, which ONNX Runtime
    finds only after `preload_dlls`."""
    if device is Device.CPU:
        return Device.CPU
    if "CUDAExecutionProvider" not in ort.get_available_providers():
        if device is Device.CUDA:
            raise CompileError([device_missing(None, "this ONNX Runtime is built for the CPU")])
        return Device.CPU
    if not _has_driver():
        if device is Device.CUDA:
            raise CompileError([device_missing(None, "there is no driver of an NVIDIA GPU")])
        return Device.CPU
    ort.preload_dlls()
    return Device.CUDA


def _has_driver() -> bool:
    """Whether the driver's library loads. Without it ONNX Runtime would look for CUDA's libraries
    all the same, and say at length on every machine without a GPU that there are none."""
    names = {"linux": "libcuda.so.1", "win32": "nvcuda.dll"}
    try:
        ctypes.CDLL(names[sys.platform])
    except (KeyError, OSError):
        return False
    return True
