"""The Python interface: a checked spec, and what can be made of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from compiler.data.loading import LoadedData, load_data
from compiler.data.validation import validate_data
from compiler.diagnostics import CompileError, Message, Severity, Sink, did_you_mean
from compiler.driver import check as check_file
from compiler.ir.graph import Graph
from compiler.loading import find_weights, read_all_weights
from compiler.messages.files import UnknownItem
from compiler.program import Net, Program
from compiler.render import render

if TYPE_CHECKING:
    from weft.building.report import Report

Array = NDArray[Any]
Weights = Mapping[str, Array] | Path | str | None
"""Weights of a net: an array per path, a safetensors file, or None for those that the spec loads
and fresh ones for the rest."""
Columns = Mapping[str, Mapping[str, ArrayLike]]
"""Arrays in place of the sources of data items: `{"digits": {"image": …, "label": …}}`."""


class SpecError(CompileError):
    """A spec has faults; its text shows them as `weft check` does, `messages` holds them."""

    def __str__(self) -> str:
        return f"\n{render(self.messages)}"


def check(
    path: Path | str,
    overrides: Mapping[str, object] | None = None,
    data: Columns | None = None,
) -> Sequence[Message]:
    """Everything wrong with a spec, warnings included; nothing is raised."""
    sink = Sink()
    program = check_file(path, overrides=_as_text(overrides), sink=sink, arrays=_as_arrays(data))
    _find_strays(program, data, sink)
    return tuple(sink.messages)


def load(
    path: Path | str,
    overrides: Mapping[str, object] | None = None,
    data: Columns | None = None,
) -> Spec:
    """A checked spec.

    Args:
        path: a `.weft` file.
        overrides: values of parameters by name, as for `weft --set`: `{"fit.lr": 1e-3}`.
        data: arrays or data frames in place of the sources of data items, by item and column; a
            row is an entry of the first axis. Text is read as the cells of a csv file are, with
            the options of the source that the spec names.

    Raises:
        SpecError: the spec has faults.
        ValueError: arrays of one item differ in their number of rows, or hold neither numbers nor
            text.
    """
    sink = Sink()
    program = check_file(path, overrides=_as_text(overrides), sink=sink, arrays=_as_arrays(data))
    _find_strays(program, data, sink)
    if program is None or sink.has_errors:
        raise SpecError(sink.messages)
    return Spec(program, tuple(sink.messages))


def _find_strays(program: Program | None, data: Columns | None, sink: Sink) -> None:
    """Reports arrays that no data item would take, unless the items themselves have faults."""
    if program is None or sink.has_errors:
        return
    known = tuple(program.data)
    for name in data or {}:
        if name not in known:
            near = did_you_mean(name, known)
            sink.report(UnknownItem(None, "data item", name, known, near))


def _as_text(overrides: Mapping[str, object] | None) -> dict[str, str]:
    """Values as they are written in a spec."""
    return {name: _write(value) for name, value in (overrides or {}).items()}


def _as_arrays(data: Columns | None) -> dict[str, dict[str, Array]]:
    """Columns as arrays of NumPy: lists, tensors on the CPU and columns of data frames become
    such."""
    return {
        item: {str(name): np.asarray(column) for name, column in columns.items()}
        for item, columns in (data or {}).items()
    }


def _write(value: object) -> str:
    match value:
        case None:
            return "none"
        case bool():
            return "true" if value else "false"
        case list() | tuple():
            return f"[{', '.join(_write(item) for item in value)}]"
        case Path():
            return value.as_posix()
    return str(value)


@dataclass(frozen=True)
class Model:
    """A net of a spec: a model with its arguments. `folder` is what paths of weights are relative
    to."""

    net: Net
    folder: Path

    @property
    def graph(self) -> Graph:
        """Its graph."""
        return self.net.graph

    @property
    def parameters(self) -> int:
        """Number of trainable numbers."""
        known = (p.value.type.size.known for p in self.graph.parameters if p.trainable)
        return sum(size or 0 for size in known)

    def weights(self, given: Weights = None, *, seed: int = 0) -> dict[str, Array]:
        """An array for every path.

        Args:
            given: arrays, or a safetensors file; without it what the spec loads, else fresh.
            seed: of the fresh ones.

        Raises:
            SpecError: a file cannot be read, lacks a weight, or has one of another shape.
        """
        try:
            if given is None:
                return find_weights(self.net, self.folder, seed)
            if isinstance(given, Path | str):
                return read_all_weights(self.graph, Path(given))
        except CompileError as error:
            raise SpecError(error.messages) from error
        return dict(given)

    def torch(self, weights: Weights = None, *, seed: int = 0) -> Any:
        """The generated PyTorch module (an `nn.Module`) with weights, in evaluation mode."""
        from backends.pytorch.load import assign_weights, load_module
        from backends.pytorch.modules import emit_module

        module = load_module(emit_module([self.graph], title=self.net.name), self.graph)
        assign_weights(module, self.weights(weights, seed=seed))
        return module

    def source(self) -> str:
        """The generated PyTorch code."""
        from backends.pytorch.modules import emit_module

        return emit_module([self.graph], title=self.net.name)

    def onnx(self, path: Path | str, weights: Weights = None, *, opset: int = 21) -> Path:
        """Writes an ONNX file, in which every symbolic size stays open, and returns its path.

        Raises:
            SpecError: ONNX cannot say what a layer means, or weights do not fit.
        """
        from backends.onnx_graph.compile import compile_onnx

        try:
            compile_onnx(self.graph, self.weights(weights), Path(path), opset=opset)
        except CompileError as error:
            raise SpecError(error.messages) from error
        return Path(path)


@dataclass(frozen=True)
class CompressedModel(Model):
    """The net of a variant after its passes, as a build has left it; `known` are its weights."""

    known: Mapping[str, Array] = field(default_factory=dict)

    @property
    def parameters(self) -> int:
        """Numbers in its weights, as `require params` counts them: codes of rounded weights count
        although they are not trained."""
        from weft.building.figures import count_numbers

        return count_numbers(self.graph)

    def weights(self, given: Weights = None, *, seed: int = 0) -> dict[str, Array]:
        """An array for every path: those of the build, unless others are given."""
        return dict(self.known) if given is None else super().weights(given, seed=seed)


@dataclass(frozen=True)
class Spec:
    """A checked spec. `warnings` are what `weft check` says of it beside errors."""

    program: Program
    warnings: tuple[Message, ...] = ()

    @property
    def folder(self) -> Path:
        """What the paths in the spec are relative to."""
        return self.program.source.folder

    def model(self, name: str) -> Model:
        """A model with its default arguments, a net of the file, or the net of a train (`fit`, or
        `fit.encoder` where it has several).

        Raises:
            SpecError: there is none of that name.
        """
        known = dict(self._nets())
        if name not in known:
            names = tuple(known)
            fault = UnknownItem(None, "model or net", name, names, did_you_mean(name, names))
            raise SpecError([fault])
        return Model(known[name], self.folder)

    def variant(self, name: str, folder: Path | str) -> CompressedModel:
        """The net of a variant after its passes.

        Args:
            name: of the variant.
            folder: of the build that made it.

        Raises:
            SpecError: there is no such variant, or the build in the folder has not finished it.
        """
        from weft.building.finished import recall_variant

        known = self.program.variants
        if name not in known:
            names = tuple(known)
            fault = UnknownItem(None, "variant", name, names, did_you_mean(name, names))
            raise SpecError([fault])
        try:
            net, _ = recall_variant(self.program, known[name], Path(folder))
        except CompileError as error:
            raise SpecError(error.messages) from error
        return CompressedModel(Net(name, known[name].net, net.graph), self.folder, net.weights)

    def _nets(self) -> Mapping[str, Net]:
        nets: dict[str, Net] = {}
        for train in self.program.trains.values():
            for part in train.nets:
                nets[f"{train.name}.{part.name}"] = part.net
            if len(train.nets) == 1:
                nets[train.name] = train.nets[0].net
        return {**nets, **self.program.nets, **self.program.models}

    def graph(self, name: str) -> Graph:
        """The graph of `model(name)`."""
        return self.model(name).graph

    def onnx(
        self, name: str, path: Path | str, weights: Weights = None, *, opset: int = 21
    ) -> Path:
        """Writes the ONNX file of `model(name)`."""
        return self.model(name).onnx(path, weights, opset=opset)

    def data(self, name: str) -> LoadedData:
        """The columns of a data item as arrays, with its splits and fitted statistics.

        Raises:
            SpecError: there is none of that name, or it cannot be loaded.
        """
        known = self.program.data
        if name not in known:
            names = tuple(known)
            fault = UnknownItem(None, "data item", name, names, did_you_mean(name, names))
            raise SpecError([fault])
        try:
            return load_data(known[name])
        except CompileError as error:
            raise SpecError(error.messages) from error

    def check(self) -> Sequence[Message]:
        """What the numbers tell: loads the data of every train and looks for empty splits, NaN
        and labels out of range. Warnings of the spec come first."""
        sink = Sink(list(self.warnings))
        for train in self.program.trains.values():
            validate_data(train, sink)
        return tuple(sink.messages)

    def build(self, folder: Path | str, *, device: str = "auto") -> Report:
        """Trains, compiles, verifies and measures, as `weft build` does, into a folder.

        Raises:
            SpecError: a stage failed; what earlier stages made is kept.
        """
        from backends.onnx_runtime.session import Device
        from weft.building.stages import Build

        faults = [m for m in self.check() if m.severity is Severity.ERROR]
        if faults:
            raise SpecError(faults)
        try:
            return Build(self.program, Path(folder), Device(device), echo=_be_silent).run()
        except CompileError as error:
            raise SpecError(error.messages) from error


def _be_silent(text: str) -> None:
    """Takes the place of printing."""
