"""Figures of a deployed file: metrics on a split of the data, latency."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backends.onnx_runtime.cases import make_cases
from backends.onnx_runtime.measure import measure
from backends.onnx_runtime.session import Device, Session, open_session
from backends.onnx_runtime.sizes import SizeSearch
from compiler.data.loading import LoadedData, load_data
from compiler.diagnostics import CompileError, did_you_mean
from compiler.ir.evaluate import evaluate
from compiler.ir.graph import Frame, Graph, Input, Value
from compiler.ir.subgraph import extract_subgraph
from compiler.messages.files import UnknownItem
from compiler.program import Deploy, Train

Array = NDArray[Any]


@dataclass(frozen=True)
class Latency:
    """Median seconds of one call, at which sizes, on which device, with how many threads."""

    seconds: float
    sizes: str
    device: str
    threads: int


def measure_latency(graph: Graph, path: Path, device: Device, fixed: Mapping[str, int]) -> Latency:
    """Latency of a file on the first inputs that verification tries: a batch of 1."""
    threads = os.cpu_count() or 1
    session = open_session(path, device=device, threads=threads)
    case = next(iter(make_cases(graph, SizeSearch(graph, fixed))))
    timing = measure({"file": lambda: session.run(case.inputs)}).timings["file"]
    sizes = ", ".join(f"{name}={size}" for name, size in case.sizes.items())
    return Latency(timing.median, sizes or "fixed sizes", session.device.value, threads)


def measure_deployed(
    deploy: Deploy, train: Train, session: Session, folder: Path, split: str
) -> dict[str, float]:
    """The metrics of a train on a split, computed from what a deployed file puts out.

    The file runs the net; what the objective does after it (a softmax before a metric) runs in
    NumPy. A metric that reads an output which the file does not have is left out.

    Raises:
        CompileError: the data cannot be read, or has no such split.
    """
    loaded = load_data(train.data, folder)
    if split not in loaded.rows:
        known = tuple(loaded.rows)
        raise CompileError([UnknownItem(None, "split", split, known, did_you_mean(split, known))])
    frame = _find_call(train)
    inputs = _take_inputs(deploy, train, loaded, folder, split)
    columns = loaded.split(split)
    results = _run_in_chunks(session, inputs, train.batch)
    outputs = {o.value.name: o.name for o in train.nets[0].net.graph.outputs}
    made = {
        value.name: (value, results[outputs[name]])
        for name, value in _match_values(train, frame).items()
        if outputs.get(name) in results
    }
    return _compute_metrics(train, made, columns)


def take_samples(deploy: Deploy, train: Train, folder: Path, rows: int = 8) -> dict[str, Array]:
    """Inputs of a deployed file from the first rows of the training split."""
    inputs = _take_inputs(deploy, train, load_data(train.data, folder), folder, "train")
    types = {item.name: item.value.type.dtype.numpy for item in deploy.graph.inputs}
    return {name: array[:rows].astype(types[name]) for name, array in inputs.items()}


def _take_inputs(
    deploy: Deploy, train: Train, loaded: LoadedData, folder: Path, split: str
) -> dict[str, Array]:
    """What a deployed file takes: the columns its net was given, or raw ones where the columns
    stand before it."""
    names = [item.name for item in deploy.graph.inputs]
    if deploy.preprocess is not None:
        raw = train.data.source.load(folder)
        return {name: raw[name][loaded.rows[split]] for name in names}
    columns, sources = loaded.split(split), dict(_find_call(train).tensors)
    return {name: columns[sources[name]] for name in names}


def _compute_metrics(
    train: Train, made: Mapping[str, tuple[Value, Array]], columns: Mapping[str, Array]
) -> dict[str, float]:
    """Metrics from the net's outputs (by the name of their value in the step) and columns."""
    figures = {}
    outputs = {o.name: o for o in train.step.outputs}
    for use in train.metrics:
        wanted = [outputs[name] for name in use.arguments]
        starts = [value for value, _ in made.values()]
        part = extract_subgraph(train.step, starts, wanted)
        if part.parameters:
            continue  # it reads an output of the net that the file does not have
        arrays = {value.name: array for value, array in made.values()} | dict(columns)
        part = replace(part, inputs=tuple(i for i in part.inputs if _is_read(part, i)))
        values = evaluate(part, {}, arrays)
        figures[use.name] = float(use.metric.evaluate(*(values[name] for name in use.arguments)))
    return figures


def _is_read(part: Graph, item: Input) -> bool:
    return item.name in part.users or any(o.value.name == item.name for o in part.outputs)


def _find_call(train: Train) -> Frame:
    """The frame of the first call of the train's net."""
    path = train.nets[0].prefix.rstrip(".")
    return next(
        node.scope.chain[1]
        for node in train.step.nodes
        if len(node.scope.chain) > 1 and node.scope.chain[1].path == path
    )


def _match_values(train: Train, frame: Frame) -> dict[str, Value]:
    """Values of the step by the name they have in the net's own graph: the nodes of the call
    are those of the net, in the same order."""
    called = [n for n in train.step.nodes if len(n.scope.chain) > 1 and n.scope.chain[1] is frame]
    own = train.nets[0].net.graph.nodes
    pairs = zip(own, called, strict=True)
    return {a.name: b for x, y in pairs for a, b in zip(x.outputs, y.outputs, strict=True)}


def _run_in_chunks(session: Session, inputs: Mapping[str, Array], size: int) -> dict[str, Array]:
    """The outputs for all rows, a batch at a time."""
    rows = len(next(iter(inputs.values())))
    parts = [
        session.run(session.cast_inputs({n: a[start : start + size] for n, a in inputs.items()}))
        for start in range(0, rows, size)
    ]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
