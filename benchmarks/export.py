"""`python -m benchmarks.export NAME FOLDER`: the rival's ONNX file and weights, and its time.

Runs in a process of its own: for some time after an export, everything in the process is slow.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
import warnings
from pathlib import Path
from typing import Any

from benchmarks.networks import NETWORKS, ROOT, make_input, make_torch_module

ROUNDS = 4
"""Exports; the first is a warm-up."""


def run_export(name: str, folder: Path) -> list[float]:
    """Exports a network in another process; the seconds of each warm export. Leaves
    `NAME.torch.onnx` and `NAME.safetensors` in the folder."""
    command = [sys.executable, "-m", "benchmarks.export", name, str(folder)]
    done = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"the export of {name} failed:\n{done.stderr}")
    seconds: list[float] = json.loads(done.stdout.splitlines()[-1])
    return seconds


def export(module: Any, example: Any, path: Path) -> float:
    """Exports a module with a dynamic batch; the seconds it took."""
    import torch

    dynamic = ({0: torch.export.Dim("batch")},)
    start = time.perf_counter()
    torch.onnx.export(
        module,
        (torch.from_numpy(example),),
        str(path),
        dynamo=True,
        dynamic_shapes=dynamic,
        external_data=False,
        verbose=False,
    )
    return time.perf_counter() - start


def main() -> None:
    """Exports the network several times and prints the seconds of the warm ones."""
    from safetensors.torch import save_file

    warnings.simplefilter("ignore")
    name, folder = sys.argv[1], Path(sys.argv[2])
    network = NETWORKS[name]
    module = make_torch_module(network)
    weights = {path: tensor.contiguous() for path, tensor in module.state_dict().items()}
    save_file(weights, folder / f"{name}.safetensors")
    example = make_input(network, batch=2)
    path = folder / f"{name}.torch.onnx"
    seconds = [export(module, example, path) for _ in range(ROUNDS)]
    print(json.dumps(seconds[1:]))


if __name__ == "__main__":
    main()
