"""The LeNet-5 of the pruning literature on MNIST, and ResNet-20 on CIFAR-10: trained, compressed.

Each builds a spec of `specs/examples/` with everything in it (about five minutes on two cores, and
six for each of three seeds) into `output/`, where an interrupted build goes on; figures are read
from its report. Latencies are taken again here, at both batches, all files in turns on one thread.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from backends.onnx_runtime.session import Device
from benchmarks.compression import case, report
from compiler.driver import check
from compiler.program.program import Program
from compiler.program.variant import Target
from compiler.report.diagnostics import CompileError, Sink
from weft.building.build import Build
from weft.building.timing import draw_inputs, open_on_target, time_undisturbed

ROOT = Path(__file__).resolve().parents[1]
ROUNDS = 50
SEEDS = (0, 1, 2)
TORCH_PRUNING = 10.5e6
"""Products of ResNet-20 at half width as torch-pruning 1.6.1 leaves it."""


@dataclass(frozen=True)
class Built:
    """A spec that was built: its program, its folder, and the figures of its only variant and of
    what that was made from."""

    program: Program
    folder: Path
    small: Mapping[str, Any]
    base: Mapping[str, Any]
    contract: tuple[Mapping[str, Any], ...]


def build(name: str, variant: str, seed: int = 0) -> Built:
    """Builds a spec of `specs/examples/`, or finds it built; a contract that does not hold is
    no end of the benchmark, which prints its own verdicts. Another `seed` is given as the spec's
    `fit.seed`."""
    sink = Sink()
    overrides = {"fit.seed": str(seed)} if seed else {}
    path = ROOT / "specs" / "examples" / f"{name}.weft"
    program = check(path, sink=sink, overrides=overrides)
    if program is None or sink.has_errors:
        raise CompileError(sink.messages)
    folder = ROOT / "output" / (f"{name}_{seed}" if seed else name)
    made = Build(program, folder, device=Device.CPU, echo=_tell).make()
    (section,) = (s for s in json.loads(made.json())["sections"] if s.get("variant") == variant)
    figures = section["figures"]
    return Built(program, folder, figures[variant], figures["fit"], tuple(section["contract"]))


def _tell(text: str) -> None:
    print(f"  {text}", flush=True)


def compare_latency(built: Built, variant: str, batch: int) -> float:
    """Latency of a variant's file as a share of its base's, one thread."""
    (deploy,) = (d for d in built.program.deploys if d.variant == variant)
    target = Target(threads=1, sizes=(("batch", batch), *deploy.fixed))
    files = {"small": built.folder / f"{variant}.onnx", "base": built.folder / "fit.onnx"}
    inputs = draw_inputs(built.program.variants[variant].graph, target)
    timings = time_undisturbed(
        lambda: {name: open_on_target(path, target) for name, path in files.items()},
        dict.fromkeys(files, inputs),
        rounds=ROUNDS,
    ).timings
    return timings["small"].median / timings["base"].median


def print_contract(built: Built) -> None:
    """What the build itself says of each `require`."""
    for item in built.contract:
        print(f"  require {item['require']}: {item['verdict']}", flush=True)


@case("lenet5_mnist")
def compress_lenet() -> bool:
    """At least 80 times smaller and 3.5 times faster at 0.15 points."""
    built = build("lenet5_pruning", "small")
    base, small = (100 * f["test"]["accuracy"] for f in (built.base, built.small))
    held = [
        report("test accuracy of the baseline", base, ">=", 99.3, " %"),
        report("accuracy lost", base - small, "<=", 0.15, " points"),
        report("times smaller on disk", built.base["size"] / built.small["size"], ">=", 80),
    ]
    for batch in (1, 64):
        faster = 1 / compare_latency(built, "small", batch)
        held.append(report(f"times faster at batch {batch}, one thread", faster, ">=", 3.5))
    print_contract(built)
    return all(held)


@case("resnet20_cifar")
def compress_resnet() -> bool:
    """Half the channels, then int8: 0.55 of the latency at 1 point, as a mean of three seeds: a
    thousand test rows alone tell no smaller difference than three points."""
    seeds = [build("resnet20_cifar", "half", seed) for seed in SEEDS]
    lost = []
    for seed, built in zip(SEEDS, seeds, strict=True):
        base, small = (100 * f["test"]["accuracy"] for f in (built.base, built.small))
        print(f"  seed {seed}: test accuracy {base:.1f} % -> {small:.1f} %", flush=True)
        lost.append(base - small)
    built = seeds[0]
    away = abs(built.small["flops"] / 2 / TORCH_PRUNING - 1)
    held = [
        report("accuracy lost, mean", sum(lost) / len(lost), "<=", 1.0, " points"),
        report("products beside torch-pruning's, difference", 100 * away, "<=", 2, " %"),
        report("latency of fp32 at batch 1", compare_latency(built, "half", 1), "<=", 0.55),
    ]
    print_contract(built)
    return all(held)
