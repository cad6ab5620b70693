"""`weft check` as a process, from start to end of the interpreter, against half a second; and
`weft show` of a network of 405 billion parameters against one second and 250 MB."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from benchmarks.networks import ROOT
from tests.long_spec import write_long_spec

ROUNDS = 12
BOUND = 0.5
"""Seconds that a check of 200 lines may take."""
DEEP_BOUND = 3.0
"""Seconds that a check of a network of a thousand convolutions may take."""
SHOW_BOUND = 1.0
"""Seconds that `weft show` of the largest network may take."""
MEMORY_BOUND = 250.0
"""MB that any of these may take."""
DEEP = """\
use std.vision

model Deep {
    input image: f32[batch, 3, h, w]
    x = image -> conv(16, kernel=3) as stem
    for i in 0..500 { x = x -> basic_block(16) as layer[i] }
    output y = x
}
"""

COMMAND = (sys.executable, "-c", "from weft.cli.entry import main; main()")
"""What the command `weft` of an installation does, here with the code beside this file."""


def run_command(command: str, spec: Path) -> tuple[float, float]:
    """Seconds on the clock and of the processor that a command takes, byte code kept on disk."""
    environment = dict(os.environ)
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.perf_counter()
    subprocess.run(
        [*COMMAND, command, str(spec)],
        cwd=ROOT,
        env=environment,
        check=True,
        stdout=subprocess.DEVNULL,
    )
    elapsed = time.perf_counter() - began
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return elapsed, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def measure_check(name: str, spec: Path, bound: float, command: str = "check") -> bool:
    """Prints a row of the table; whether the bound holds."""
    run_command(command, spec)  # writes byte code
    rounds = [run_command(command, spec) for _ in range(ROUNDS)]
    seconds = [elapsed for elapsed, _ in rounds]
    used = median(spent for _, spent in rounds)
    lines = spec.read_text(encoding="utf-8").count("\n")
    middle = median(seconds)
    holds = middle < bound
    print(
        f"{name:10} {lines:5} {middle:9.3f} s {min(seconds):9.3f} s {used:9.3f} s"
        f"   {'<' if holds else '>='} {bound:g} s",
        flush=True,
    )
    return holds


def main() -> int:
    """Measures a published network, a spec with everything in it, and a very deep network."""
    print("spec       lines      median     fastest   processor   bound")
    with tempfile.TemporaryDirectory() as folder:
        long = Path(folder) / "long.weft"
        long.write_text(write_long_spec(), encoding="utf-8")
        network = ROOT / "specs" / "models" / "resnet18.weft"
        deep = Path(folder) / "deep.weft"
        deep.write_text(DEEP, encoding="utf-8")
        held = [
            measure_check("resnet18", network, BOUND),
            measure_check("dense", long, BOUND),
            measure_check("deep", deep, DEEP_BOUND),
            measure_check("show 405B", network.with_name("llama3_405b.weft"), SHOW_BOUND, "show"),
        ]
        megabytes = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
        print(f"at most {megabytes:.0f} MB of memory, bound {MEMORY_BOUND:g} MB")
        held.append(megabytes < MEMORY_BOUND)
    return int(not all(held))


if __name__ == "__main__":
    sys.exit(main())
