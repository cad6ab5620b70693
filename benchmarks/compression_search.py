"""What `search` finds, against the plain recipe of a person: digits, three seeds."""

from __future__ import annotations

import json
import statistics
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from backends.onnx_runtime.session import Device
from benchmarks.compression import case, report
from compiler.driver import check
from compiler.report.diagnostics import CompileError, Sink
from weft.building.build import Build

ROOT = Path(__file__).resolve().parents[1]
SEEDS = (0, 1, 2)
BOUNDS = "require latency <= 0.5 * fit.latency and size <= 60KiB"
TUNING = "finetune(epochs=20, lr=3e-3)"
VARIANTS = f"""
variant plain of fit {{
    apply prune(channels=60%) -> {TUNING} -> quantize(stored8)
    target cpu(threads=1), batch=64
    {BOUNDS}
}}
variant found of fit {{
    apply search([prune, low_rank, quantize(stored8)]) -> {TUNING}
    target cpu(threads=1), batch=64
    {BOUNDS}
}}
"""
ROWS = 180
"""Rows of the test split: one row is 0.56 points."""


@case("search digits")
def search_digits() -> bool:
    """The mean over seeds of what the search loses against the plain recipe, on test rows, which
    neither has seen: at most one row of the test split. Every bound that the plain recipe keeps,
    the search keeps."""
    losses, holds = [], True
    for seed in SEEDS:
        found = build_digits(seed)
        for name in ("plain", "found"):
            figures = found[name]["figures"][name]
            share = figures["latency"] / found[name]["figures"]["fit"]["latency"]
            print(
                f"  seed {seed} {name}: test accuracy {figures['test']['accuracy']:.4f}"
                f" loss {figures['test']['loss']:.4f}, latency {share:.2f} of the train's,"
                f" {figures['size'] / 1024:.1f} KiB",
                flush=True,
            )
        took = next(n["done"] for n in found["found"]["journal"] if n["done"].startswith("took "))
        print(f"  seed {seed}: {took}", flush=True)
        accuracy = [found[name]["figures"][name]["test"]["accuracy"] for name in ("plain", "found")]
        losses.append(accuracy[0] - accuracy[1])
        kept = {n: all(c["verdict"] == "pass" for c in found[n]["contract"]) for n in found}
        print(f"  seed {seed}: bounds kept: {kept}", flush=True)
        holds &= kept["found"] or not kept["plain"]
    lost = ROWS * statistics.mean(losses)
    return report("test rows lost to the plain recipe, mean", lost, "<=", 1.0) and holds


def build_digits(seed: int) -> Mapping[str, Mapping[str, Any]]:
    """The sections of both variants of the digits net, trained with a seed."""
    text = (ROOT / "specs" / "examples" / "digits.weft").read_text(encoding="utf-8")
    text = text[: text.index("## The same net")].replace("    seed 0\n", f"    seed {seed}\n")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "digits.weft"
        path.write_text(text + VARIANTS, encoding="utf-8")
        sink = Sink()
        program = check(path, sink=sink)
        if program is None or sink.has_errors:
            raise CompileError(sink.messages)
        made = Build(program, Path(folder) / "out", device=Device.CPU, echo=lambda _: None).make()
    sections = json.loads(made.json())["sections"]
    return {s["variant"]: s for s in sections if s.get("variant") in ("plain", "found")}
