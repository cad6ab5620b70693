"""Latency of compiled ONNX files against exported ones, under ONNX Runtime on the CPU."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backends.onnx_graph.compile import compile_onnx
from backends.onnx_graph.metadata import OnnxOptions
from backends.onnx_runtime.measure import Comparison, measure, pool
from backends.onnx_runtime.session import Device, open_session
from benchmarks.export import run_export
from benchmarks.networks import NETWORKS, Network, elaborate, make_input, weft_paths
from compiler.ir.weights import read_weights

Array = NDArray[Any]
OPENINGS = 5
"""How often both files are opened anew. Sessions of one file differ by several percent, as memory
happens to lie: all samples count."""
ROUNDS = 12


def compare(network: Network, folder: Path) -> bool:
    """Prints a row of the table; whether the bound holds."""
    run_export(network.name, folder)
    weights = weft_paths(read_weights(folder / f"{network.name}.safetensors"))
    path = folder / f"{network.name}.onnx"
    graph = elaborate(network)
    # The exported file has a free batch and nothing else that is free; so has this one. (Free
    # heights and widths cost both 2.5 % on ResNet-50: ONNX Runtime then adds out of place.)
    size = network.shape[-1]
    fixed = tuple((name, size) for name in graph.symbols if name != "batch")
    compile_onnx(graph, weights, path, options=OnnxOptions(fixed=fixed))
    example = make_input(network)
    files = {"weft": path, "torch": folder / f"{network.name}.torch.onnx"}
    compared = pool([_measure(network, files, example) for _ in range(OPENINGS)])
    ratio = compared.ratio_within_rounds("weft", "torch")
    low, high = compared.ratio_interval("weft", "torch")
    holds = ratio <= network.latency_bound
    own_ms, rival_ms = (compared.timings[name].median * 1e3 for name in ("weft", "torch"))
    print(
        f"{network.name:10} {network.threads:7} {own_ms:8.2f} ms {rival_ms:8.2f} ms {ratio:6.3f}"
        f" [{low:.3f}, {high:.3f}] {'<=' if holds else '> '} {network.latency_bound:.2f}",
        flush=True,
    )
    return holds


def _measure(network: Network, files: Mapping[str, Path], example: Array) -> Comparison:
    """Times both files in turns, each opened anew, after comparing what they compute."""
    runs = {name: _open(path, network.threads, example) for name, path in files.items()}
    for left, right in zip(runs["torch"]().values(), runs["weft"]().values(), strict=True):
        np.testing.assert_allclose(right, left, atol=1e-4 * max(1.0, float(np.abs(left).max())))
    return measure(runs, rounds=ROUNDS, repeat=1 if network.torch_name else 10)


def _open(path: Path, threads: int, example: Array) -> Callable[[], Mapping[str, Array]]:
    session = open_session(path, device=Device.CPU, threads=threads, spinning=False)
    given = {session.inputs[0]: example}
    return lambda: session.run(given)


def main() -> int:
    """Compares every network, or those named."""
    print(
        f"batch 1, spinning off, {OPENINGS} openings of {ROUNDS} interleaved rounds; median times, "
        "median ratio within a round"
    )
    print("network    threads     weft       torch      ratio [95 % interval]   bound")
    held = []
    for name in sys.argv[1:] or NETWORKS:
        with tempfile.TemporaryDirectory() as folder:
            held.append(compare(NETWORKS[name], Path(folder)))
    return int(not all(held))


if __name__ == "__main__":
    sys.exit(main())
