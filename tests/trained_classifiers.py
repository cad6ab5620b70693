"""Trains small classifiers and builds them: every file is verified, whatever the training made.

Binary, multi-label and multi-class networks with `sigmoid`, `silu` and `softmax` outputs, at other
seeds, widths, rates and scales of their features, so that logits are small in some and saturated in
others. A handful runs in the suite; all of them with

    python -m tests.trained_classifiers [COUNT] [--first N]
"""

from __future__ import annotations

import argparse
import runpy
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import chdir, redirect_stdout
from io import StringIO
from pathlib import Path
from unittest.mock import patch

import numpy as np

from backends.onnx_runtime.session import Device
from backends.pytorch.run.running import Results, read_results
from compiler.report.diagnostics import CompileError
from tests.checking import check_text
from weft.building import train_stages
from weft.building.build import Build

TASKS = {
    "binary": ("breast_cancer", 30, "y = cast(stack([label]), f32)", 1),
    "multi-label": (
        "digits",
        64,
        "y = cast(stack([label % 2, label // 5, label // 8]), f32)",
        3,
    ),
    "multi-class": ("wine", 13, "y = label", 3),
}


def write_spec(number: int) -> str:
    """The spec of one training."""
    draw = np.random.default_rng(number)
    task = list(TASKS)[number % 3]
    source, size, target, outputs = TASKS[task]
    width = int(draw.choice([3, 8, 17, 32, 64, 130]))
    hidden = draw.choice(["relu", "silu", "sigmoid", "tanh", "gelu"])
    rate = float(draw.choice([1e-3, 1e-2, 5e-2]))
    features = str(draw.choice(["features -> standardize", "features", "features / 16"]))
    if source == "digits":
        features = features.replace("features", "(cast(image, f32) -> reshape([64]))")
    norm = draw.choice(["", " -> batch_norm as norm"])
    if task == "multi-class":
        loss, output, metric = "cross_entropy(score, y)", "softmax(score, axis=-1)", "accuracy"
    else:
        loss, output, metric = "bce_with_logits(score, y)", "sigmoid(score)", "binary_accuracy"
    return f"""
model Net(width: int = {width}) {{
    input x: f32[batch, {size}]
    h = x -> dense(width) as first{norm} -> {hidden}
    score = h -> dense({outputs}) as head
    output score = score
    output p = {output}
    output gate = score -> silu
}}
data rows {{
    source sklearn("{source}")
    x = {features}
    {target}
    split random(seed={number}), train=60%, val=20%, test=20%
}}
train fit of Net on rows {{
    minimize {loss} with adamw(lr={rate})
    metric {metric} = {metric}(score, y)
    batch 32  epochs 2  seed {number}
}}
deploy fit as onnx {{ dynamic batch  outputs p, gate }}
"""


def run_here(folder: Path, **options: object) -> Results:
    """Runs a generated training in this process, which has PyTorch already."""
    sys.modules.pop("model", None)  # that of another script, which this process may have run
    path, modules = list(sys.path), set(sys.modules)
    sys.path.insert(0, str(folder))
    try:
        with (
            chdir(folder),
            patch.object(sys, "argv", ["train.py", "--out", "."]),
            redirect_stdout(StringIO()),
        ):
            try:
                runpy.run_path("train.py", run_name="__main__")
            except SystemExit as end:
                if end.code:
                    raise
    finally:
        sys.path[:] = path
        for name in set(sys.modules) - modules:
            if name in ("model", "data", "train"):
                del sys.modules[name]
    return read_results(folder)


def build(number: int, folder: Path) -> Sequence[str]:
    """The codes of what was found wrong with one training; none if all was verified."""
    program = check_text(write_spec(number), folder=str(folder))
    try:
        with patch.object(train_stages, "run_training", run_here):
            Build(program, folder / "out", Device.CPU, echo=lambda text: None).make()
    except CompileError as error:
        return [f"{m.code} {m.text.title}: {m.text.label}; {m.text.help}" for m in error.messages]
    assert (folder / "out" / "fit.onnx").is_file()
    return []


def main(echo: Callable[[str], None] = print) -> int:
    """Builds many and says which were not verified."""
    parser = argparse.ArgumentParser(prog="python -m tests.trained_classifiers")
    parser.add_argument("count", nargs="?", type=int, default=100)
    parser.add_argument("--first", type=int, default=0)
    wanted = parser.parse_args()
    failed = 0
    for number in range(wanted.first, wanted.first + wanted.count):
        start = time.monotonic()
        with tempfile.TemporaryDirectory() as folder:
            faults = build(number, Path(folder))
        failed += bool(faults)
        echo(f"{number}: {'; '.join(faults) or 'verified'} ({time.monotonic() - start:.1f} s)")
    echo(f"{wanted.count - failed} of {wanted.count} verified")
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
