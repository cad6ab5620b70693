"""Runs an ONNX file in a process that knows ONNX Runtime and NumPy, and nothing of Weft."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

SCRIPT = """
import sys

import numpy as np
import onnxruntime

model, given, made = sys.argv[1:]
session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
arrays = dict(np.load(given))
inputs = {}
for item in session.get_inputs():
    array = arrays[item.name]
    inputs[item.name] = array.astype(object) if item.type == "tensor(string)" else array
names = [output.name for output in session.get_outputs()]
found = dict(zip(names, session.run(None, inputs)))
found = {n: a.astype(str) if a.dtype == object else a for n, a in found.items()}
assert not any(name.partition(".")[0] in ("weft", "compiler", "backends") for name in sys.modules)
np.savez(made, **found)
"""


def run_in_process(path: Path, folder: Path, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """The outputs of a file by name; `folder` takes what goes in and comes out."""
    given, made = folder / "given.npz", folder / "made.npz"
    np.savez(given, **{name: np.asarray(array) for name, array in inputs.items()})
    command = [sys.executable, "-I", "-c", SCRIPT, str(path), str(given), str(made)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder, check=False)
    assert done.returncode == 0, done.stderr
    return dict(np.load(made))
