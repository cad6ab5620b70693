"""Every published network through pruning, low rank, int8 and all three, built and verified.

Weights are random, so figures say nothing about accuracy; what counts is that each build ends with
a file of the right shapes that was compared with NumPy and PyTorch, and what its latency is at the
network's own size.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from backends.onnx_runtime.session import Device, open_session
from benchmarks.compression import case
from compiler.compression.contracts import median_interval
from compiler.driver import check
from compiler.ir.graph import Graph
from compiler.program.program import Program
from compiler.program.variant import Target
from compiler.report.diagnostics import CompileError, Sink
from weft.building.build import Build
from weft.building.outcomes import Outcome
from weft.building.timing import draw_inputs

MODELS = Path(__file__).resolve().parents[1] / "specs" / "models"
PIPELINES = {
    "prune": 'prune(channels=30%, round_to="fastest")',
    "low_rank": "low_rank(energy=90%, unless_slower=true)",
    "int8": "quantize(int8)",
    "all": (
        'prune(channels=30%, round_to="fastest") -> low_rank(energy=90%, unless_slower=true)'
        " -> quantize(int8)"
    ),
}
NETWORKS = (
    *("alexnet", "lenet5", "mobilenet_v2", "resnet18"),
    *("resnet20", "resnet50", "vgg16", "vit_b_16"),
)
"""Those of `specs/models/` that are built."""
SIDES = {"resnet18": 224, "resnet20": 32, "resnet50": 224, "mobilenet_v2": 224}
"""Height and width of images in the papers, for networks that take any."""
NOISE = 1.02
"""Up to this ratio, sessions of one and the same file differ, as memory happens to lie."""


@dataclass(frozen=True)
class Result:
    """A variant that was built: what it became, the shapes of its outputs beside those of the
    net before, and seconds of the build."""

    label: str
    outcome: Outcome
    right_shapes: bool
    seconds: float

    @property
    def holds(self) -> bool:
        """Whether it is a verified file of the right shapes with a latency."""
        backends = set(self.outcome.verified.get("backends", ()))
        measured = self.outcome.own.plain["latency"].value > 0
        return self.right_shapes and len(backends) == 2 and measured

    def count_changes(self) -> str:
        """How many layers each pass changed."""
        notes = self.outcome.journal
        steps = dict.fromkeys(step.compression.name for step in self.outcome.variant.steps)
        layers = {s: {n.path for n in notes if n.done and n.step.startswith(s)} for s in steps}
        return ", ".join(f"{name} {len(paths)}" for name, paths in layers.items())

    def describe(self) -> str:
        """A line of the table: layers that each pass changed, then ratios to the net before."""
        own, base = self.outcome.own.plain, self.outcome.figures[self.outcome.base].plain
        size, weights = (own[name].value / base[name].value for name in ("size", "params"))
        pairs = np.asarray(own["latency"].samples) / np.asarray(base["latency"].samples)
        low, high = median_interval(pairs)
        slower = ", SLOWER than fp32" if low > NOISE else ""
        facts = self.outcome.verified
        state = "verified" if self.holds else "NOT RIGHT"
        return (
            f"{self.label:9} {self.count_changes()}: weights {weights:4.2f}  size {size:4.2f}  "
            f"latency {np.median(pairs):4.2f} [{low:.2f}, {high:.2f}] of fp32's "
            f"{base['latency'].value * 1e3:.2f} ms{slower}; output error {own['error'].value:.0%}; "
            f"{state} on {facts['cases']} cases to {facts['error']:.0e}; {self.seconds:.0f} s"
        )


def write_spec(model: str, label: str, folder: Path) -> Path:
    """A spec with the net of a published model and a variant; what the model deploys by itself
    is left out."""
    path = folder / f"{model}.weft"
    text = (MODELS / f"{model}.weft").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if not line.startswith("deploy ")]
    side = SIDES.get(model)
    sizes = f", h={side}, w={side}" if side is not None else ""
    target = f"target cpu(threads=2){sizes}"
    lines.append(f"variant small of {model} {{ apply {PIPELINES[label]}  {target} }}")
    lines.append("deploy small as onnx")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
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


def build_variant(model: str, label: str) -> Result:
    """Builds one variant of a model in an empty folder.

    Raises:
        CompileError: a pass, the file or its verification fails.
    """
    with tempfile.TemporaryDirectory() as place:
        start = time.perf_counter()
        program = open_spec(write_spec(model, label, Path(place)))
        report = Build(program, Path(place) / "out", Device.CPU, echo=lambda _: None).make()
        seconds = time.perf_counter() - start
        (outcome,) = report.outcomes
        graph = program.variants["small"].graph
        right = compare_shapes(graph, outcome.path, outcome.variant.target)
    return Result(label, outcome, right, seconds)


def compare_shapes(graph: Graph, path: Path, target: Target) -> bool:
    """Whether a file gives outputs of the names and shapes that the net before any pass has."""
    session = open_session(path, device=Device.CPU, spinning=False)
    inputs = draw_inputs(graph, target)
    found = {name: array.shape for name, array in session.run(inputs).items()}
    batch = max(len(array) for array in inputs.values())
    wanted = {
        output.name: tuple(dim.known or batch for dim in output.value.type.shape)
        for output in graph.outputs
    }
    return found == wanted


def build_network(model: str) -> bool:
    """Builds all variants of a model and prints a line for each."""
    held = True
    for label in PIPELINES:
        try:
            result = build_variant(model, label)
        except CompileError as error:
            print(f"  {label:9} FAILS: {error}", flush=True)
            held = False
            continue
        print(f"  {result.describe()}", flush=True)
        held &= result.holds
    return held


def add_case(model: str) -> Callable[[], bool]:
    """Registers the case of a model."""

    def build() -> bool:
        return build_network(model)

    return case(f"networks {model}")(build)


for name in NETWORKS:
    add_case(name)
