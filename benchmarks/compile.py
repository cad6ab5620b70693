"""Spec file to ONNX file, warm and in process, against `torch.onnx.export` of the same network."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from statistics import median

from backends.onnx_graph.compile import compile_onnx
from backends.onnx_runtime.measure import measure
from benchmarks.export import run_export
from benchmarks.networks import NETWORKS, Network, elaborate, weft_paths
from compiler.ir.weights import read_weights

ROUNDS = 15


def compare(network: Network, folder: Path) -> bool:
    """Prints a row of the table; whether the bound holds."""
    exported = median(run_export(network.name, folder))
    mapped = weft_paths(read_weights(folder / f"{network.name}.safetensors"))
    weights = {path: array.copy() for path, array in mapped.items()}
    target = folder / f"{network.name}.onnx"

    def front_end() -> object:
        return elaborate(network)

    def whole() -> object:
        return compile_onnx(elaborate(network), weights, target)

    timings = measure({"front end": front_end, "whole": whole}, rounds=ROUNDS).timings
    low, high = (seconds * 1e3 for seconds in timings["whole"].interval)
    front, total = timings["front end"].median * 1e3, timings["whole"].median * 1e3
    ratio = exported * 1e3 / total
    assert network.compile_bound is not None, "only networks with a bound are compared"
    holds = ratio >= network.compile_bound
    print(
        f"{network.name:10} {front:6.1f} ms {total:7.1f} ms [{low:5.1f}, {high:5.1f}]"
        f" {exported * 1e3:8.0f} ms {ratio:9.1f} {'>=' if holds else '< '}"
        f" {network.compile_bound:g}",
        flush=True,
    )
    return holds


def main() -> int:
    """Compares every network that has a bound."""
    print("network    front end      whole [95 % int.]    torch.onnx  times faster, bound")
    with tempfile.TemporaryDirectory() as folder:
        held = [compare(n, Path(folder)) for n in NETWORKS.values() if n.compile_bound]
    return int(not all(held))


if __name__ == "__main__":
    sys.exit(main())
