"""Augmentation of a batch: the functions of a training script beside torchvision, row by row.

512 images of 32 x 32 on one thread, each with draws of its own: torchvision's transforms draw once
for what they are given, so that they are called for each image, as in a data loader. The
processor's time is taken, medians of five; `times` is how much faster the script is, held to a
bound.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor

from backends.pytorch.run.load import run_source
from backends.pytorch.train.script import emit_script
from backends.pytorch.train.script_spec import ScriptSpec
from compiler.driver import check
from compiler.report.diagnostics import Sink
from tests.torchvision_models import import_models

ROWS = 512
ROUNDS = 5
SPEC = """
use std.augment
model Net {
    input image: f32[batch, 3, h, w]
    output logits: f32[batch, 10] = image -> global_avg_pool -> dense(10)
}
data rows {
    source npz("rows.npz")
    augment { image = image -> CALL }
    split random(seed=0), train=80%, val=20%
}
train fit of Net on rows {
    minimize cross_entropy(logits, label) with adam(lr=1e-3)
    batch 8  epochs 1
}
"""
BOUNDS = {
    "random_crop(32, padding=4) -> random_flip": 2.0,
    "random_resized_crop(32, scale=[0.2, 1.0])": 4.0,
    "random_rotation(15.0)": 4.0,
    "random_affine(10.0, translate=[0.1, 0.1], scale=[0.9, 1.1])": 4.0,
    "random_perspective(0.5)": 3.0,
    "elastic(alpha=34.0, sigma=4.0)": 4.0,
    "color_jitter(0.4, 0.4, 0.4, 0.1)": 2.0,
    "gaussian_blur(50%)": 3.0,
    "random_gray(20%)": 1.2,
    "random_erasing(50%)": 3.0,
}
"""How many times faster each has to be."""


def make_transforms() -> dict[str, Any]:
    """torchvision's counterparts."""
    import_models()
    from torchvision.transforms import v2

    smooth = v2.InterpolationMode.BILINEAR
    made = (
        v2.Compose([v2.RandomCrop(32, padding=4), v2.RandomHorizontalFlip()]),
        v2.RandomResizedCrop(32, (0.2, 1.0)),
        v2.RandomRotation(15, interpolation=smooth),
        v2.RandomAffine(10, (0.1, 0.1), (0.9, 1.1), interpolation=smooth),
        v2.RandomPerspective(0.5),
        v2.ElasticTransform(34.0, 4.0),
        v2.ColorJitter(0.4, 0.4, 0.4, 0.1),
        v2.RandomApply([v2.GaussianBlur(9, (0.1, 2.0))], 0.5),
        v2.RandomGrayscale(0.2),
        v2.RandomErasing(0.5),
    )
    return dict(zip(BOUNDS, made, strict=True))


def write_script(call: str, folder: Path) -> ModuleType:
    """The training script of a spec that augments so, as a module."""
    path = folder / "spec.weft"
    path.write_text(SPEC.replace("CALL", call), encoding="utf-8")
    sink = Sink()
    program = check(path, sink=sink)
    assert program is not None, [message.text.title for message in sink.messages]
    text = emit_script(ScriptSpec(program.trains["fit"]))
    return run_source(text.replace("from model import Net\n", ""), "script")


def clock(work: Callable[[], Tensor]) -> float:
    """Milliseconds of the processor."""
    work()
    taken = []
    for _ in range(ROUNDS):
        began = time.process_time()
        work()
        taken.append(time.process_time() - began)
    return 1e3 * median(taken)


def main() -> int:
    """Prints a row for each augmentation; the exit status is 1 where a bound fails."""
    torch.set_num_threads(1)
    transforms = make_transforms()
    generator = np.random.default_rng(0)
    image = generator.random((ROWS, 3, 32, 32), np.float32)
    rows, draws = torch.from_numpy(image), torch.Generator().manual_seed(0)
    print(f"{'augmentation':62} {'weft':>9} {'rows':>9} {'times':>6} {'bound':>6}")
    held = True
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        label = np.arange(ROWS) % 10
        np.savez(folder / "rows.npz", image=image, label=label)
        for call, bound in BOUNDS.items():
            augment = write_script(call, folder).augment
            transform = transforms[call]
            mine = clock(lambda augment=augment: augment(rows, draws))
            theirs = clock(lambda to=transform: torch.stack([to(row) for row in rows]))
            held = held and theirs / mine >= bound
            times = f"{theirs / mine:6.1f} {bound:6.1f}"
            print(f"{call:62} {mine:6.1f} ms {theirs:6.1f} ms {times}", flush=True)
    return int(not held)


if __name__ == "__main__":
    sys.exit(main())
