"""Trains with draws, gradients in the loss and several steps, against loops written by hand.

The loops are what one would write in PyTorch of the same recipe: nets, weights, batches and draws
are those of the generated script. Over the first twenty steps the loss of each step, and then the
weights, are compared; then epochs are timed in turns.
"""

from __future__ import annotations

import copy
import re
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from backends.onnx_runtime.measure import measure
from benchmarks.by_hand import (
    Autoencoder,
    Contrast,
    Diffusion,
    Gan,
    SelfDistillation,
    WassersteinGan,
)
from benchmarks.scripts import Rival, Script, computing_in_double, start_script

ROOT = Path(__file__).resolve().parents[1]
THREADS = 2
STEPS = 20
"""Steps of an epoch: what is compared, and one sample of the time."""
BOUND = 1.02
"""Of the time of a step, as a part of the loop's by hand."""


@dataclass(frozen=True)
class Case:
    """A spec whose train is taken, the shape of its images, their least value, and the loop."""

    spec: str
    train: str
    shape: tuple[int, int, int]
    least: float
    rival: Callable[[Script, nn.Module], Rival]
    batch: int
    rounds: int
    double: bool = False
    """Whether losses are compared in double precision. Both loops round views in another order, and
    batch norms and Adam make more of that from step to step."""

    @property
    def tolerance(self) -> float:
        """Relative, of the loss of each step of the first epoch; of the weights then, of their
        size."""
        return 1e-9 if self.double else 1e-5


CASES = {
    "gan": Case("benchmarks/specs/gan", "gan", (1, 28, 28), 0.0, Gan, 64, 12),
    "wgan_gp": Case(
        "specs/examples/wgan_gp_mnist", "gan", (1, 32, 32), -1.0, WassersteinGan, 64, 12
    ),
    "vae": Case("specs/examples/vae_mnist", "vae", (1, 28, 28), 0.0, Autoencoder, 128, 30),
    "ddpm": Case("benchmarks/specs/ddpm", "ddpm", (1, 28, 28), 0.0, Diffusion, 64, 6),
    "simclr": Case(
        "specs/examples/simclr_cifar", "simclr", (3, 32, 32), 0.0, Contrast, 200, 6, double=True
    ),
    "dino": Case(
        "specs/examples/dino_cifar", "dino", (3, 32, 32), 0.0, SelfDistillation, 200, 6, double=True
    ),
}

STANDARD = "use std.augment\nuse std.losses"
ITEM = re.compile(r"^(?:model|block|let|train) (\w+)[^\n]*(?:\n(?:[ )}][^\n]*)?)*", re.MULTILINE)
"""An item of a spec, up to the next line that is not indented."""


def read_items(path: Path) -> dict[str, str]:
    """The models, blocks, numbers and trains of a spec and of those that it uses, by name."""
    text = path.read_text(encoding="utf-8")
    used = re.findall(r'^use "([^"]+)"', text, re.MULTILINE)
    items = {name: item for file in used for name, item in read_items(path.parent / file).items()}
    return items | {match[1]: match[0].strip() for match in ITEM.finditer(text)}


def write_spec(case: Case, folder: Path) -> Path:
    """The train of a spec and what it is made of, on random images in a file beside it."""
    shape = (case.batch * STEPS, *case.shape)
    image = np.random.default_rng(0).random(shape, np.float32)
    np.savez(folder / "images.npz", image=image * (1 - case.least) + case.least)
    items = read_items(ROOT / f"{case.spec}.weft")
    train = re.sub(r" on \w+ \{", " on made {", items[case.train], count=1)
    train = re.sub(r"\bbatch \d+", f"batch {case.batch}", train)
    train = re.sub(r"\n *precision \w+", "", train)  # the loops are in single precision
    needed, waiting = {case.train: train}, [train]
    while waiting:
        for name in re.findall(r"\b\w+\b", waiting.pop()):
            if name in items and name not in needed:
                needed[name] = items[name]
                waiting.append(items[name])
    path = folder / "spec.weft"
    data = 'data made { source npz("images.npz")  split in_order, train=100% }'
    path.write_text("\n\n".join([STANDARD, data, *needed.values()]) + "\n", encoding="utf-8")
    return path


@contextmanager
def record_losses() -> Iterator[list[float]]:
    """Notes the value of everything that is differentiated, in order."""
    found: list[float] = []
    backward = Tensor.backward

    def note(loss: Tensor, *args: Any, **options: Any) -> None:
        found.append(loss.item())
        backward(loss, *args, **options)  # type: ignore[no-untyped-call]

    Tensor.backward = note  # type: ignore[method-assign]
    try:
        yield found
    finally:
        Tensor.backward = backward  # type: ignore[method-assign]


def compare(case: Case, script: Script, rival: Any) -> None:
    """Holds the losses of the steps of the first epoch, and the weights then, against those of the
    loop by hand.

    Raises:
        AssertionError: they differ.
    """
    with record_losses() as made:
        script.run()
    with record_losses() as wanted:
        rival.run()
    assert len(made) == len(wanted) >= STEPS, f"{case.train}: {len(made)} and {len(wanted)}"
    for step, (loss, by_hand) in enumerate(zip(made, wanted, strict=True), 1):
        off = abs(loss - by_hand) / max(1.0, abs(by_hand))
        assert off < case.tolerance, f"{case.train}: loss {step} is {loss}, by hand {by_hand}"
    weights = script.model.state_dict()
    for name, value in rival.model.state_dict().items():
        off = float((weights[name] - value).abs().max())
        assert off < case.tolerance * max(1.0, float(value.abs().max())), f"{name} is off by {off}"


def start(case: Case, folder: Path) -> tuple[Script, Any]:
    """The script of a case and its rival, with equal weights."""
    script = start_script(write_spec(case, folder), case.train, "--data", str(folder))
    return script, case.rival(script, copy.deepcopy(script.model))


def check(case: Case, folder: Path) -> tuple[Script, Any]:
    """Compares a case in its precision; the script and the loop, behind their first epoch.

    Raises:
        AssertionError: they differ.
    """
    with computing_in_double() if case.double else nullcontext():
        script, rival = start(case, folder)
        compare(case, script, rival)
    return script, rival


def main() -> int:
    """Compares every case, or those named."""
    torch.set_num_threads(THREADS)
    print(
        f"{THREADS} threads, epochs of {STEPS} steps in turns; median ms a step, ratio in a round"
    )
    print("          generated   by hand   ratio [95 % interval]")
    held = []
    for name in sys.argv[1:] or CASES:
        case = CASES[name]
        with tempfile.TemporaryDirectory() as folder:
            script, rival = check(case, Path(folder))
        if case.double:
            with tempfile.TemporaryDirectory() as folder:
                script, rival = start(case, Path(folder))
        loops = {"generated": script.run, "by hand": rival.run}
        found = measure(loops, rounds=case.rounds, warmup=2)
        made, hand = (found.timings[n].median / STEPS * 1e3 for n in loops)
        ratio = found.ratio_within_rounds("generated", "by hand")
        low, high = found.ratio_interval("generated", "by hand")
        held.append(ratio <= BOUND)
        sign = "<=" if held[-1] else ">"
        print(
            f"{name:9} {made:9.2f} {hand:9.2f}   {ratio:.3f} [{low:.3f}, {high:.3f}] {sign} {BOUND}"
        )
    return int(not all(held))


if __name__ == "__main__":
    sys.exit(main())
