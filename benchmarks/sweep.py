"""Sweeps: TPE against random search on digits, and workers of which two are killed."""

from __future__ import annotations

import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SEEDS = range(5)
TRIALS = 30
WORKERS, KILLED = 4, 2
SPEC = """
model Net(width: int = 16, depth: int = 1, drop: float = 0.0) {{
    input image: f32[batch, 8, 8]
    h = image -> flatten
    for i in 0..depth {{ h = h -> dense(width) as "hidden{{i}}" -> relu -> dropout(drop) }}
    output logits = h -> dense(10)
}}
data digits {{
    source sklearn("digits")
    image = image / 16
    split random(seed=0), train=50%, val=50%
}}
train fit(
    lr: float = 1e-3, decay: float = 0.01, width: int = 16, depth: int = 1, drop: float = 0.0
) of Net(width=width, depth=depth, drop=drop) on digits {{
    minimize cross_entropy(logits, label) with adamw(lr=lr, weight_decay=decay)
    batch 64  epochs 3
}}
sweep tune of fit {{
    lr in log_uniform(1e-5, 1)
    decay in log_uniform(1e-6, 1)
    width in randint(4, 65)
    depth in 1..4
    drop in uniform(0, 0.6)
    minimize val.loss
    trials {trials}  sampler {sampler}  seed {seed}
}}
"""
"""Ranges as wide as those of someone who knows nothing: most of their volume learns nothing."""


def main() -> int:
    """Both benchmarks, or the one that is named, `workers` or `samplers`; the exit status is 1
    where a bound does not hold."""
    known = {"workers": kill_workers, "samplers": compare_samplers}
    held = [known[name]() for name in sys.argv[1:] or known]
    return int(not all(held))


def compare_samplers() -> bool:
    """The median over seeds of the best loss: that of TPE is lower than that of random search."""
    best: dict[str, list[float]] = {"tpe": [], "random": []}
    for seed in SEEDS:
        for sampler, found in best.items():
            with tempfile.TemporaryDirectory() as folder:
                command = start(Path(folder), sampler, seed)
                subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
                found.append(read_best(Path(folder)))
        print(
            f"  seed {seed}: " + ", ".join(f"{s} {v[-1]:.4f}" for s, v in best.items()), flush=True
        )
    tpe, random = (statistics.median(values) for values in best.values())
    print(f"  median of {len(best['tpe'])}: tpe {tpe:.4f}, random {random:.4f}")
    return tpe < random


def kill_workers() -> bool:
    """Four workers, two of which are killed in the middle of a trial: all trials are finished."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        command = start(folder, "random", 0)
        first = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        others = [
            subprocess.Popen([*command, "--join"], stdout=subprocess.PIPE, text=True)
            for _ in range(WORKERS - 1)
        ]
        begun = time.perf_counter()
        for worker in others[:KILLED]:
            assert worker.stdout is not None
            worker.stdout.readline()  # a trial of its own is finished: it is in another one
            time.sleep(1)
            worker.send_signal(signal.SIGKILL)
        statuses = [process.wait() for process in (first, *others)]
        trials = json.loads(find_results(folder).read_text())["trials"]
        states = [trial["state"] for trial in trials]
        seconds = time.perf_counter() - begun
    killed = sum(status == -signal.SIGKILL for status in statuses)
    counts = ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states))
    print(f"  {killed} of {WORKERS} workers killed: {counts} of {TRIALS} trials, {seconds:.0f} s")
    return sorted(trial["slot"] for trial in trials) == list(range(TRIALS)) and killed == KILLED


def start(folder: Path, sampler: str, seed: int) -> list[str]:
    """The command that runs a sweep in a folder, whose spec is written."""
    spec = folder / "digits.weft"
    spec.write_text(SPEC.format(trials=TRIALS, sampler=sampler, seed=seed))
    command = [sys.executable, "-m", "weft.cli.main", "sweep", str(spec), "-o", str(folder / "out")]
    os.environ["PYTHONPATH"] = str(ROOT)
    return command


def find_results(folder: Path) -> Path:
    """The file with the trials of a sweep."""
    return folder / "out" / "tune" / "trials" / "results.json"


def read_best(folder: Path) -> float:
    """The goal of the best trial."""
    found = json.loads(find_results(folder).read_text())
    return float(found["trials"][found["best"]]["values"][0])


if __name__ == "__main__":
    sys.exit(main())
