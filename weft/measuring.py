"""Figures of a deployed file: metrics on a split of the data, latency."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from backends.onnx_runtime.cases import make_cases
from backends.onnx_runtime.measure import measure
from backends.onnx_runtime.session import Device, open_session
from backends.onnx_runtime.sizes import SizeSearch
from compiler.ir.graph import Graph

Array = NDArray[Any]
_CHUNK = 256


@dataclass(frozen=True)
class Latency:
    """Median seconds of one call, at which sizes, on how many threads."""

    seconds: float
    sizes: str
    device: str
    threads: int


def measure_latency(graph: Graph, path: Path, device: Device, fixed: Mapping[str, int]) -> Latency:
    """Latency of a file at the smallest sizes that its graph accepts (batch 1)."""
    import os

    threads = os.cpu_count() or 1
    session = open_session(path, device=device, threads=threads)
    case = next(iter(make_cases(graph, SizeSearch(graph, fixed))))
    timing = measure({"file": lambda: session.run(case.inputs)}).timings["file"]
    sizes = ", ".join(f"{name}={size}" for name, size in case.sizes.items())
    return Latency(timing.median, sizes or "fixed sizes", session.device.value, threads)
