"""Weights of a net: those that its `load(…)` calls name, and fresh ones for the rest."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compiler.ir.graph import Graph, Parameter
from compiler.ir.operands import UNLIMITED, Limits, describe_limits
from compiler.ir.weights import (
    COUNTER,
    WeightsError,
    draw_weights,
    find_misfits,
    match_paths,
    path_matches,
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
    weights_collide,
    weights_not_finite,
    weights_surplus,
    weights_too_large,
    weights_unreadable,
)
from compiler.report.source import Span
from compiler.report.suggestions import did_you_mean
from compiler.system.files import match_files, parse_json
from compiler.types.tensor import DType

Array = NDArray[Any]


def find_weights(net: Net, folder: Path, seed: int = 0) -> dict[str, Array]:
    """Weights of every parameter of a net: loaded where a `load(…)` asks for it, else drawn.

    Args:
        net: the net and its loads, in order; a later one wins.
        folder: what the paths of the files are relative to.
        seed: of the fresh weights.

    Raises:
        CompileError: a file cannot be read, lacks a weight, or has one of another shape.
    """
    weights = find_loaded(net, folder)
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
    faults: list[Message] = []
    for load in net.loads:
        try:
            weights |= _load(net.graph, _settle(load, results), folder)
        except CompileError as error:
            faults += error.messages
    if faults:
        raise CompileError(faults)
    return weights


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
    return choose_weights(graph, _read([path], None), str(path), known, whole)


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
    chosen = _choose(graph, graph.parameters, {**found, **(known or {})}, name, None)
    surplus = find_surplus(found, (*(p.path for p in graph.parameters), *whole))
    if surplus:
        raise CompileError([weights_surplus(None, name, tuple(surplus))])
    return chosen


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
            name.removeprefix(part.prefix): array
            for name, array in found.items()
            if name.startswith(part.prefix)
        }
        _choose(part.net.graph, part.net.graph.parameters, inner, str(path), span)
    return found


def read_progress(path: Path) -> dict[str, Any]:
    """What a file says of the training that it is of; nothing where it is of none."""
    note = read_note(path).get("progress")
    progress = parse_json(note) if isinstance(note, str) else None
    return progress if isinstance(progress, dict) else {}


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


def _match_files(folder: Path, load: LoadWeights) -> list[Path]:
    if not any(c in load.file for c in "*?["):
        return []
    try:
        return match_files(folder, load.file)
    except ValueError as error:
        raise CompileError([weights_unreadable(load.span, str(error))]) from error


def _load(graph: Graph, load: LoadWeights, folder: Path) -> dict[str, Array]:
    files = _match_files(folder, load)
    found = _read(files or [folder / load.file], load.span)
    inner = {
        path.removeprefix(load.source): array
        for path, array in found.items()
        if path.startswith(load.source)
    }
    renamed = _rename(inner, load)
    prefix = f"{load.prefix}." if load.prefix else ""
    inside = [p.path.removeprefix(prefix) for p in graph.parameters if p.path.startswith(prefix)]
    _check_patterns(load, inside, renamed)
    wanted = set(match_paths(inside, load.only) if load.only else inside)
    wanted -= set(match_paths(inside, load.excluded))
    full = {prefix + path for path in wanted}
    parameters = [p for p in graph.parameters if p.path in full]
    placed = {prefix + path: array for path, array in renamed.items()}
    chosen = _choose(graph, parameters, placed, load.file, load.span)
    if load.train is None and not load.only:
        surplus = find_surplus(renamed, inside)
        surplus = [path for path in surplus if not match_paths([path], load.excluded)]
        if surplus:
            raise CompileError([weights_surplus(load.span, load.file, tuple(surplus))])
    return chosen


def _rename(found: Mapping[str, Array], load: LoadWeights) -> dict[str, Array]:
    """The tensors under the names that the net has for them.

    Raises:
        CompileError: two tensors come under one name.
    """
    renamed: dict[str, Array] = {}
    origins: dict[str, str] = {}
    for path, array in found.items():
        new = rename_path(path, load.rename)
        if new in renamed:
            both = (origins[new], path)
            raise CompileError([weights_collide(load.span, load.file, new, both)])
        renamed[new], origins[new] = array, path
    unused = [old for old, new in load.rename if not _renames(old, found, load.rename)]
    if unused:
        raise CompileError([pattern_unused(load.span, load.file, "rename", tuple(unused))])
    return renamed


def _renames(old: str, found: Iterable[str], rules: Sequence[tuple[str, str]]) -> bool:
    """Whether a rule finds a name to change, after those that stand before it."""
    before = rules[: [pattern for pattern, _ in rules].index(old)]
    names = (rename_path(path, before) for path in found)
    if "*" in old:
        return any(_match_stars(name, old) is not None for name in names)
    return any(path_matches(name, old) for name in names)


def _check_patterns(load: LoadWeights, inside: Sequence[str], found: Mapping[str, Array]) -> None:
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


def find_surplus(found: Iterable[str], known: Iterable[str]) -> list[str]:
    """Paths of a file that a net does not have. The counters of PyTorch's batch norms, which no
    output depends on, may stand beside the statistics that they belong to."""
    paths = set(known)
    return sorted(path for path in found if path not in paths and not _is_counter(path, paths))


def _is_counter(path: str, known: Collection[str]) -> bool:
    layer, _, name = path.rpartition(".")
    return name == COUNTER and f"{layer}.running_mean".lstrip(".") in known


def _read(files: Iterable[Path], span: Span | None) -> dict[str, Array]:
    found: dict[str, Array] = {}
    for file in files:
        try:
            read = read_weights(file)
        except WeightsError as error:
            raise CompileError([weights_unreadable(span, str(error))]) from error
        twice = sorted(found.keys() & read.keys())
        if twice:
            raise CompileError([weights_unreadable(span, f"{file} has {twice[0]} once more")])
        found |= read
    return found


def _choose(
    graph: Graph,
    parameters: Iterable[Parameter],
    found: Mapping[str, Array],
    file: str,
    span: Span | None,
) -> dict[str, Array]:
    wanted = tuple(parameters)
    missing: list[Parameter] = []
    faults: list[Message] = []
    for parameter, shape in find_misfits(wanted, found):
        if shape is None:
            missing.append(parameter)
        else:
            place, expected = span or parameter.origin, str(parameter.value.type)
            fault = weight_shape(place, file, parameter.path, shape, expected, parameter.origin)
            faults.append(fault)
    if missing:
        unused = sorted(found.keys() - {p.path for p in wanted})
        paths, layer = tuple(p.path for p in missing), missing[0].origin
        suggestion = did_you_mean(paths[0], unused)
        faults.insert(0, weight_missing(span or layer, file, paths, suggestion, layer))
    if faults:
        raise CompileError(faults)
    chosen = {p.path: _convert(p, found[p.path], file, span) for p in wanted}
    refuse_numbers(graph, chosen, file, span)
    return chosen


def _convert(parameter: Parameter, array: Array, file: str, span: Span | None) -> Array:
    """Numbers in the dtype of their parameter.

    Raises:
        CompileError: they are of another kind, or larger than it holds.
    """
    dtype, path, layer = parameter.value.type.dtype, parameter.path, parameter.origin
    place = span or layer
    if array.dtype.kind != np.dtype(dtype.numpy).kind:
        found = DType.of_numpy(array.dtype) or array.dtype
        expected = str(parameter.value.type)
        raise CompileError([weight_kind(place, file, path, str(found), expected, layer)])
    with np.errstate(over="ignore"):
        made = array.astype(dtype.numpy, copy=False)
    if made is array or array.dtype.itemsize <= made.dtype.itemsize:
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
            made = node.op.weights([v.type if v is not None else None for v in node.inputs[:count]])
            for weight, value in zip(made, node.inputs[count:], strict=True):
                if value is not None and weight.name in node.op.weight_limits:
                    found[value.name] = node.op.weight_limits[weight.name]
    return found


def rename_path(path: str, rules: Iterable[tuple[str, str]]) -> str:
    """A path of the file as the net calls it. In each rule `old -> new` a `*` stands for the
    same text on both sides, in order, and a pattern without `*` for everything below it; rules
    apply one after another, each at most once."""
    for old, new in rules:
        if "*" not in old:
            path = new + path[len(old) :] if path_matches(path, old) else path
            continue
        texts = _match_stars(path, old)
        if texts is None:
            continue
        parts = new.split("*")
        filled = parts[0]
        for text, part in zip(texts, parts[1:], strict=False):
            filled += text + part
        path = filled
    return path


def _match_stars(path: str, pattern: str) -> list[str] | None:
    """What each `*` of a pattern stands for, earlier ones as short as can be; None where it does
    not match."""
    head, *rest = pattern.split("*")
    if not path.startswith(head):
        return None
    position, texts = len(head), []
    for index, part in enumerate(rest):
        last = index == len(rest) - 1
        end = len(path) - len(part) if last else path.find(part, position)
        if end < position or not path.startswith(part, end):
            return None
        texts.append(path[position:end])
        position = end + len(part)
    return texts if position == len(path) else None
