"""Where the time of a file goes: kernels of ONNX Runtime by the name of their node."""

from __future__ import annotations

import json
import re
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray

Array = NDArray[Any]

ENDING = "_kernel_time"
PATIENCE = 3.0
"""Seconds after which no more calls are made, if there were enough."""
LEAST_ROUNDS = 3
WARM_UP = 3
"""Calls before those that count."""


def profile_kernels(
    model: Path, inputs: Mapping[str, Array], *, threads: int = 1, rounds: int = 20
) -> dict[tuple[str, ...], float]:
    """Microseconds that each kernel takes in a call on the CPU, by the names of the nodes of the
    file that were fused into it, the last one first: the median over calls (`rounds`, fewer where
    they take long) after some that warm up. What the runtime added has its own name.

    Raises:
        RuntimeError: ONNX Runtime refuses the file or the inputs.
    """
    with tempfile.TemporaryDirectory() as folder:
        options = ort.SessionOptions()
        options.log_severity_level = 3
        options.enable_profiling = True
        options.profile_file_prefix = str(Path(folder) / "profile")
        options.intra_op_num_threads = threads
        session = ort.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
        given = {item.name: inputs[item.name] for item in session.get_inputs()}
        start = perf_counter()
        calls = 0
        while calls < WARM_UP + rounds:
            if calls >= WARM_UP + LEAST_ROUNDS and perf_counter() - start > PATIENCE:
                break
            session.run(None, given)
            calls += 1
        events = json.loads(Path(session.end_profiling()).read_text(encoding="utf-8"))
    taken: dict[str, list[float]] = defaultdict(list)
    for name, time in _find_kernels(events):
        taken[name].append(time)
    fused = _Fused(onnx.load(model, load_external_data=False), set(taken))
    spent: dict[tuple[str, ...], float] = defaultdict(float)
    for name, times in taken.items():
        spent[fused.find(name)] += _take_median(times, calls)
    return dict(spent)


def _take_median(times: Sequence[float], calls: int) -> float:
    """The median time of a kernel in a call: in the body of a loop it runs several times in each,
    as often in every call of the same inputs."""
    each = np.array(times).reshape(calls, -1).sum(axis=1)
    return float(np.median(each[WARM_UP:]))


class _Fused:
    """Which nodes of a file went into a kernel: those before it that do not run by themselves."""

    def __init__(self, model: onnx.ModelProto, kernels: set[str]) -> None:
        own = list(_walk_nodes(model.graph))
        self.makers = {name: node for node in own for name in node.output}
        self.nodes = {node.name: node for node in own}
        found = (self.trace(name) for name in kernels)
        self.alone = {node.name for node in found if node is not None}

    def find(self, name: str) -> tuple[str, ...]:
        """The names of the nodes in a kernel."""
        node = self.trace(name)
        if node is None:
            return (name,)
        found = [node.name]
        while node is not None:
            node = self.makers.get(node.input[0]) if node.input else None
            if node is None or node.name in self.alone:
                break
            found.append(node.name)
        return tuple(found)

    def trace(self, name: str) -> onnx.NodeProto | None:
        """The node of the file that a kernel comes from, by the name that the runtime's rewriting
        gave it; None for what the runtime added.

        A name that would stand twice ends with `_token_5`. A convolution in blocks of channels has
        the name of what it puts out and `_nchwc`. A layer with its activation is `fused NAME` of
        the layer; other fusions write more behind the name: `matmul/MatMulScaleFusion/`.
        """
        name = re.sub(r"(_token_\d+)+$", "", name)
        result = name.removesuffix("_nchwc")
        if result != name and result in self.makers:
            return self.makers[result]
        whole = result.removeprefix("fused ")
        starts = [whole, *(whole[: m.start()] for m in re.finditer("[/_]", whole))]
        known = [start for start in starts if start in self.nodes]
        return self.nodes[max(known, key=len)] if known else None


def _walk_nodes(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    """The nodes of a graph and of the bodies of its loops, those of the graph itself last."""
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.GRAPH:
                yield from _walk_nodes(attribute.g)
    yield from graph.node


def _find_kernels(events: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, float]]:
    for event in events:
        if event.get("cat") == "Node" and str(event.get("name", "")).endswith(ENDING):
            yield event["name"].removesuffix(ENDING), float(event["dur"])
