"""Weights of a net: those that its `load(…)` calls name, and fresh ones for the rest."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compiler.ir.graph import Graph, Parameter
from compiler.ir.operands import UNLIMITED, Limits, describe_limits
from compiler.ir.weights import (
    StoredTensor,
    WeightsError,
    draw_weights,
    find_misfits,
    keep_array,
    match_paths,
    read_note,
    read_weights,
)
from compiler.program.net import LoadWeights, Net
from compiler.program.train import Train
from compiler.report.diagnostics import CompileError, Message
from compiler.report.messages.tuning import train_not_run
from compiler.report.messages.weights import (
    pattern_unused,
    weight_kind,
    weight_missing,
    weight_range,
    weight_shape,
    weights_not_finite,
    weights_surplus,
    weights_too_large,
    weights_unreadable,
)
from compiler.report.source import Span
from compiler.report.suggestions import did_you_mean
from compiler.system.files import parse_json
from compiler.types.tensor import DType
from compiler.weights.files import WeightFiles, find_files, list_files, open_tensors
from compiler.weights.layout import arrange, refuse_unclear
from compiler.weights.left_out import explain_left_out, find_surplus

Array = NDArray[Any]


def find_weights(
    net: Net, folder: Path, seed: int = 0, results: Path | None = None
) -> dict[str, Array]:
    """Weights of every parameter of a net: loaded where a `load(…)` asks for it or a train has
    made it, else drawn.

    Args:
        net: the net and its loads, in order; a later one wins.
        folder: what the paths of the files are relative to.
        seed: of the fresh weights.
        results: where each train has a folder with what it learned.

    Raises:
        CompileError: a file cannot be read, lacks a weight, or has one of another shape; a train
            has not run.
    """
    weights = find_loaded(net, folder, results)
    if weights.keys() >= {p.path for p in net.graph.parameters}:
        return weights
    return draw_weights(net.graph, seed) | weights


def find_loaded(net: Net, folder: Path, results: Path | None = None) -> dict[str, Array]:
    """The weights that the `load(…)` calls of a net give, by path; those of no other parameter.
    `results` is where each train has a folder with what it learned.

    Raises:
        CompileError: a file cannot be read, lacks a weight, or has one of another shape.
    """
    weights: dict[str, Array] = {}
    for source in open_sources(net, folder, results):
        weights |= source.read(net.graph)
    return weights


@dataclass(frozen=True)
class WeightSource:
    """What a `load(…)` takes from its files, with nothing of their numbers read: the tensors of
    the parameters that it serves, by path. `left_out` are those that no parameter takes, and the
    rule by which they may be there."""

    load: LoadWeights
    files: WeightFiles
    parameters: tuple[Parameter, ...]
    tensors: Mapping[str, StoredTensor]
    left_out: Mapping[str, str]

    def read(self, graph: Graph) -> dict[str, Array]:
        """The numbers.

        Raises:
            CompileError: they are not such as their parameters take.
        """
        file, span = self.load.file, self.load.span
        return _read_chosen(graph, self.parameters, self.tensors, file, span)


def find_learned(net: Net) -> list[str]:
    """The trains whose weights a net has, or some part of it, each once."""
    return list(dict.fromkeys(load.train for load in net.loads if load.train is not None))


def open_sources(net: Net, folder: Path, results: Path | None = None) -> list[WeightSource]:
    """What each `load(…)` of a net takes, in order.

    Raises:
        CompileError: a file cannot be read, lacks a weight, or has one of another shape.
    """
    sources: list[WeightSource] = []
    faults: list[Message] = []
    for load in net.loads:
        try:
            sources.append(_open_source(net.graph, _settle(load, results), folder))
        except CompileError as error:
            faults += error.messages
    if faults:
        raise CompileError(faults)
    return sources


def read_all_weights(
    graph: Graph,
    path: Path,
    known: Mapping[str, Array] | None = None,
    whole: Iterable[str] = (),
) -> dict[str, Array]:
    """Weights of every parameter of a graph from one file.

    Args:
        graph: the net.
        path: a safetensors file.
        known: weights that are no part of the file: statistics fitted on data.
        whole: paths that the file may hold besides: those of the whole net where the graph is a
            part of it.

    Raises:
        CompileError: the file cannot be read, lacks a weight, has one of another shape, or one
            that is no part of the net.
    """
    found = open_tensors(list_files(path), None)
    return _choose_all(graph, found, str(path), known, whole)


def choose_weights(
    graph: Graph,
    found: Mapping[str, Array],
    name: str,
    known: Mapping[str, Array] | None = None,
    whole: Iterable[str] = (),
) -> dict[str, Array]:
    """Weights of every parameter of a graph among those found; `name` is what messages call
    these.

    Raises:
        CompileError: a weight is missing, has another shape, or is no part of the net.
    """
    tensors = {path: keep_array(array) for path, array in found.items()}
    return _choose_all(graph, tensors, name, known, whole)


def _choose_all(
    graph: Graph,
    found: Mapping[str, StoredTensor],
    name: str,
    known: Mapping[str, Array] | None,
    whole: Iterable[str],
) -> dict[str, Array]:
    fitted = {path: keep_array(array) for path, array in (known or {}).items()}
    tensors = {**found, **fitted}
    _refuse_misfits(graph.parameters, tensors, name, None)
    surplus = find_surplus(found, (*(p.path for p in graph.parameters), *whole))
    left_out = explain_left_out(surplus, found, tensors)
    surplus = [path for path in surplus if path not in left_out]
    if surplus:
        raise CompileError([weights_surplus(None, name, tuple(surplus))])
    return _read_chosen(graph, graph.parameters, tensors, name, None)


def read_trained(train: Train, path: Path, span: Span | None = None) -> dict[str, Array]:
    """What a training has learned, by the train's paths.

    Raises:
        CompileError: the file cannot be read, or is not what a training of the nets leaves.
    """
    try:
        found = read_weights(path)
    except WeightsError as error:
        raise CompileError([weights_unreadable(span, str(error), trained=True)]) from error
    for part in train.nets:
        inner = {
            name.removeprefix(part.prefix): keep_array(array)
            for name, array in found.items()
            if name.startswith(part.prefix)
        }
        graph = part.net.graph
        _refuse_misfits(graph.parameters, inner, str(path), span)
        _read_chosen(graph, graph.parameters, inner, str(path), span)
    _refuse_misfits(train.buffers, {n: keep_array(a) for n, a in found.items()}, str(path), span)
    return found


def read_training(path: Path) -> dict[str, Any]:
    """The settings of the training that a file is of; none where it is of none."""
    note = read_note(path).get("training")
    training = parse_json(note) if isinstance(note, str) else None
    settings = training.get("settings") if isinstance(training, dict) else None
    return settings if isinstance(settings, dict) else {}


def _settle(load: LoadWeights, results: Path | None) -> LoadWeights:
    """A load of what a train learned as a load of its file.

    Raises:
        CompileError: the train has not run.
    """
    if load.train is None:
        return load
    path = results / load.train / "best.safetensors" if results is not None else None
    if path is None or not path.is_file():
        raise CompileError([train_not_run(load.span, load.train)])
    return replace(load, file=str(path.resolve()))


def _open_source(graph: Graph, load: LoadWeights, folder: Path) -> WeightSource:
    files = find_files(load, folder)
    found = {
        path.removeprefix(load.source): tensor
        for path, tensor in open_tensors(files, load.span).items()
        if path.startswith(load.source)
    }
    prefix = f"{load.prefix}." if load.prefix else ""
    inside = {p.path.removeprefix(prefix): p for p in graph.parameters if p.path.startswith(prefix)}
    shapes = {path: p.value.type.known_shape or () for path, p in inside.items()}
    arranged = arrange(found, load, shapes)
    tensors = arranged.tensors
    _check_patterns(load, list(inside), tensors)
    wanted = set(match_paths(inside, load.only) if load.only else inside)
    wanted -= set(match_paths(inside, load.excluded))
    parameters = tuple(p for path, p in inside.items() if path in wanted)
    placed = {prefix + path: tensor for path, tensor in tensors.items()}
    _refuse_misfits(parameters, placed, load.file, load.span)
    refuse_unclear(load, {path: shapes[path] for path in inside if path in wanted}, arranged)
    left_out: dict[str, str] = {}
    if load.train is None and not load.only:
        surplus = find_surplus(tensors, inside)
        surplus = [path for path in surplus if not match_paths([path], load.excluded)]
        chosen = {path: tensors[path] for path in inside if path in wanted}
        left_out = explain_left_out(surplus, tensors, chosen)
        surplus = [path for path in surplus if path not in left_out]
        if surplus:
            raise CompileError([weights_surplus(load.span, load.file, tuple(surplus))])
    taken = {p.path: placed[p.path] for p in parameters}
    return WeightSource(load, files, parameters, taken, left_out)


def _check_patterns(load: LoadWeights, inside: Sequence[str], found: Iterable[str]) -> None:
    """Refuses patterns that no path of the net matches, nor, for `except=`, one of the file.

    Raises:
        CompileError: there is such a pattern.
    """
    faults: list[Message] = []
    for option, patterns, paths in (
        ("only", load.only, inside),
        ("except", load.excluded, (*inside, *found)),
    ):
        unused = tuple(pattern for pattern in patterns if not match_paths(paths, (pattern,)))
        if unused:
            faults.append(pattern_unused(load.span, load.file, option, unused))
    if faults:
        raise CompileError(faults)


def _refuse_misfits(
    parameters: Iterable[Parameter],
    found: Mapping[str, StoredTensor],
    file: str,
    span: Span | None,
) -> None:
    """Refuses tensors that do not serve parameters.

    Raises:
        CompileError: one is missing, or has another shape.
    """
    wanted = tuple(parameters)
    missing: list[Parameter] = []
    faults: list[Message] = []
    for parameter, shape in find_misfits(wanted, found):
        if shape is None:
            missing.append(parameter)
        else:
            place, expected = span or parameter.origin, str(parameter.value.type)
            turned = shape[::-1] == parameter.value.type.known_shape
            faults.append(
                weight_shape(
                    place, file, parameter.path, shape, expected, parameter.origin, turned=turned
                )
            )
    if missing:
        unused = sorted(found.keys() - {p.path for p in wanted})
        paths, layer = tuple(p.path for p in missing), missing[0].origin
        suggestion = did_you_mean(paths[0], unused)
        faults.insert(0, weight_missing(span or layer, file, paths, suggestion, layer))
    if faults:
        raise CompileError(faults)


def _read_chosen(
    graph: Graph,
    parameters: Iterable[Parameter],
    found: Mapping[str, StoredTensor],
    file: str,
    span: Span | None,
) -> dict[str, Array]:
    """The numbers of parameters, whose shapes are right.

    Raises:
        CompileError: they are of another kind, or such as no layer takes.
    """
    chosen = {p.path: _convert(p, found[p.path], file, span) for p in parameters}
    refuse_numbers(graph, chosen, file, span)
    return chosen


def _convert(parameter: Parameter, tensor: StoredTensor, file: str, span: Span | None) -> Array:
    """Numbers in the dtype of their parameter.

    Raises:
        CompileError: they are of another kind, or larger than it holds.
    """
    dtype, path, layer = parameter.value.type.dtype, parameter.path, parameter.origin
    place = span or layer
    if tensor.dtype.kind != np.dtype(dtype.numpy).kind:
        found = DType.of_numpy(tensor.dtype) or tensor.dtype
        expected = str(parameter.value.type)
        raise CompileError([weight_kind(place, file, path, str(found), expected, layer)])
    try:
        array = tensor.read()
    except WeightsError as error:
        raise CompileError([weights_unreadable(span, str(error))]) from error
    with np.errstate(over="ignore"):
        made = dtype.round(array)
    if made is array or array.dtype.itemsize <= dtype.bytes:
        return made
    lost = np.isinf(made) & np.isfinite(array) if dtype.is_float else made != array
    count = int(np.count_nonzero(lost))
    if count:
        number = float(array[lost].flat[0])
        raise CompileError([weights_too_large(place, file, path, count, number, str(dtype), layer)])
    return made


def refuse_numbers(
    graph: Graph, weights: Mapping[str, Array], file: str, span: Span | None
) -> None:
    """Refuses weights that are infinite or no numbers, or that their layer does not take. Buffers
    may be infinite: a mask of attention is so on purpose.

    Raises:
        CompileError: there are such weights.
    """
    faults: list[Message] = []
    limits = _find_limits(graph)
    for parameter in graph.parameters:
        path, layer = parameter.path, parameter.origin
        if path not in weights or weights[path].dtype.kind != "f":
            continue
        array, place = weights[path], span or layer
        count = _count(~np.isfinite(array) if parameter.trainable else np.isnan(array))
        if count:
            faults.append(weights_not_finite(place, path, count, file, layer))
            continue
        low, high = limits.get(path, UNLIMITED)
        outside = (array < low) | (array > high) if path in limits else np.zeros(0, bool)
        if outside.any():
            number, expected = float(array[outside].flat[0]), describe_limits((low, high))
            count = _count(outside)
            faults.append(weight_range(place, file, path, count, number, expected, layer))
    if faults:
        raise CompileError(faults)


def _count(where: Array) -> int:
    return int(np.count_nonzero(where))


def _find_limits(graph: Graph) -> dict[str, Limits]:
    """What weights lie between, by path, where their ops do not take any numbers."""
    found: dict[str, Limits] = {}
    for node in graph.nodes:
        if node.op.weight_limits:
            count = len(node.op.operands)
            made = node.op.weights(node.types[:count])
            for weight, value in zip(made, node.inputs[count:], strict=True):
                if value is not None and weight.name in node.op.weight_limits:
                    found[value.name] = node.op.weight_limits[weight.name]
    return found
