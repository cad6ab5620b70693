"""Every published network through pruning, low rank, int8 and all three, built and verified.

Weights are random, so figures say nothing about accuracy; what counts is that each build ends with
a file that was compared with NumPy and PyTorch, and what its latency is.
"""

from __future__ import annotations

import json
import tempfile
import time
from pathlib import Path

from backends.onnx_runtime.session import Device
from benchmarks.compression import case
from compiler.diagnostics import CompileError, Sink
from compiler.driver import check
from compiler.program import Program
from weft.building.stages import Build

MODELS = Path(__file__).resolve().parents[1] / "specs" / "models"
PIPELINES = {
    "prune": "prune(channels=30%)",
    "low_rank": "low_rank(energy=90%)",
    "int8": "quantize(int8(rows=16))",
    "all": "prune(channels=30%) -> low_rank(energy=90%) -> quantize(int8(rows=16))",
}


def write_spec(model: str, folder: Path) -> Path:
    """A spec with a net of a published model and a variant for each pipeline."""
    path = folder / f"{model}.weft"
    lines = [(MODELS / f"{model}.weft").read_text(encoding="utf-8")]
    name = next(line.split("(")[0][6:] for line in lines[0].splitlines() if line[:6] == "model ")
    lines.append(f"net plain = {name}()")
    for label, passes in PIPELINES.items():
        lines.append(f"variant by_{label} of plain {{ apply {passes}  target cpu(threads=2) }}")
        lines.append(f"deploy by_{label} as onnx")
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def open_spec(path: Path) -> Program:
    """The program of a spec without faults.

    Raises:
        CompileError: it has faults.
    """
    sink = Sink()
    program = check(path, sink=sink)
    if program is None or sink.has_errors:
        raise CompileError(sink.messages)
    return program


def build_network(model: str) -> bool:
    """Builds all variants of a model and prints a line for each."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        start = time.perf_counter()
        try:
            program = open_spec(write_spec(model, folder))
            made = Build(program, folder / "out", device=Device.CPU, echo=lambda _: None).make()
        except CompileError as error:
            print(f"  {model:14} fails: {error}", flush=True)
            return False
        print(f"  {model:14} built and verified in {time.perf_counter() - start:.0f} s", flush=True)
        for section in json.loads(made.json())["sections"]:
            for label in PIPELINES:
                if section.get("variant") == f"by_{label}":
                    print_figures(label, section["figures"][f"by_{label}"], section["figures"])
    return not made.failures


def print_figures(
    label: str, own: dict[str, float], all_figures: dict[str, dict[str, float]]
) -> None:
    """Size and latency of a variant beside those of the net as it was."""
    base = all_figures["plain"]
    size, latency = own["size"] / base["size"], own["latency"] / base["latency"]
    print(
        f"    {label:10} size {size:5.2f}, latency {latency:5.2f} of fp32"
        f" ({own['latency'] * 1e3:.2f} ms)",
        flush=True,
    )


@case("networks")
def build_networks() -> bool:
    """All published networks through all pipelines."""
    held = [build_network(path.stem) for path in sorted(MODELS.glob("*.weft"))]
    return all(held)
