"""Time per training step: the generated loop against the tutorials' loop, and a tuned one.

The tutorials' loop is that of PyTorch's "Training with PyTorch": a DataLoader over a
TensorDataset, AdamW with its defaults, `loss.item()` in each step. The tuned loop is the same with
every trick that the generated script uses, written without it. All three train the network that
was generated, from the same weights on the same batches; their losses are compared first.
"""

from __future__ import annotations

import copy
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

from backends.onnx_runtime.measure import Comparison, measure
from benchmarks.scripts import Rival, Script, start_script

ROOT = Path(__file__).resolve().parents[1]
THREADS = 2
TUNED_BOUND = 1.02
LOSS_TOLERANCE = 1e-3  # relative, of the mean loss of the first epoch


@dataclass(frozen=True)
class Case:
    """One network to train. `model` is the file its model is taken from; `clauses` go into the
    train beside what is equal for all; an epoch has `steps` steps and is one sample."""

    name: str
    model: str
    net: str
    clauses: str
    batch: int
    steps: int
    rounds: int
    bound: float
    columns: Callable[[np.random.Generator, int], Mapping[str, Any]]
    loss: str = "cross_entropy(logits, label)"

    def compute_loss(self, model: nn.Module, inputs: Tensor, target: Tensor) -> Tensor:
        """The same loss as one would write it in PyTorch."""
        logits = model(inputs)
        return functional.cross_entropy(logits.flatten(0, -2), target.flatten())


def draw_images(size: int, channels: int, classes: int) -> Callable[..., Mapping[str, Any]]:
    """Random images with random labels."""

    def draw(generator: np.random.Generator, rows: int) -> Mapping[str, Any]:
        image = generator.standard_normal((rows, channels, size, size), np.float32)
        return {"image": image, "label": generator.integers(0, classes, rows)}

    return draw


def draw_tokens(generator: np.random.Generator, rows: int) -> Mapping[str, Any]:
    """Random tokens with random successors."""
    return {name: generator.integers(0, 65, (rows, 64)) for name in ("tokens", "target")}


CASES = {
    case.name: case
    for case in (
        Case(
            "lenet",
            "examples/lenet_mnist.weft",
            "LeNet",
            'layout "channels_last"',
            batch=128,
            steps=40,
            rounds=30,
            bound=0.80,
            columns=draw_images(28, 1, 10),
        ),
        Case(
            "resnet18",
            "models/resnet18.weft",
            "ResNet18",
            'layout "channels_last"',
            batch=8,
            steps=2,
            rounds=40,
            bound=0.93,
            columns=draw_images(224, 3, 1000),
        ),
        Case(
            "tiny_gpt",
            "examples/tiny_gpt.weft",
            "TinyGPT",
            "",
            batch=16,
            steps=10,
            rounds=40,
            bound=1.00,
            columns=draw_tokens,
            loss="cross_entropy(logits, target, axis=-1)",
        ),
    )
}


def write_spec(case: Case, folder: Path) -> Path:
    """A spec that trains the network of a case on random columns in a file beside it."""
    rows = case.batch * case.steps
    columns: Any = case.columns(np.random.default_rng(0), rows)
    np.savez(folder / "columns.npz", **columns)
    model = (ROOT / "specs" / case.model).read_text(encoding="utf-8").split("\ndata ")[0]
    path = folder / f"{case.name}.weft"
    path.write_text(
        f"{model}\n"
        'data made { source npz("columns.npz")  split in_order, train=100% }\n'
        f"train fit of {case.net} on made {{\n"
        f"    minimize {case.loss} with adamw(lr=1e-3)\n"
        f"    batch {case.batch}  epochs 1  seed 0  {case.clauses}\n"
        "}\n",
        encoding="utf-8",
    )
    return path


class Tutorial(Rival):
    """The loop of the tutorials."""

    def __init__(self, case: Case, script: Script, model: nn.Module) -> None:
        super().__init__(script, model)
        self.case = case
        self.dataset = TensorDataset(*self.columns)
        self.optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)

    def run(self) -> float:
        """One epoch; the mean loss."""
        order = self.start_epoch()
        loader = DataLoader(
            self.dataset,
            batch_size=self.batch,
            sampler=order.tolist(),
            generator=torch.Generator(),  # draws of dropout stay those of the generated loop
        )
        self.model.train()
        total = 0.0
        for batch in loader:
            loss = self.case.compute_loss(self.model, *batch)
            self.optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            self.optimizer.step()
            total += loss.item()
        return total / len(loader)


class Tuned(Rival):
    """The loop of the tutorials with the tricks: columns in memory, the fused optimizer, the
    memory layout that the spec asks for, and losses read once."""

    def __init__(self, case: Case, script: Script, model: nn.Module) -> None:
        super().__init__(script, model)
        self.case = case
        if "channels_last" in case.clauses:
            model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, fused=True)

    def run(self) -> float:
        """One epoch; the mean loss."""
        self.model.train()
        losses = []
        for rows in torch.from_numpy(self.start_epoch()).split(self.batch):
            inputs, target = (column[rows] for column in self.columns)
            loss = self.case.compute_loss(self.model, inputs, target)
            self.optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            self.optimizer.step()
            losses.append(loss.detach())
        return float(torch.stack(losses).mean())


def compare(case: Case, folder: Path) -> Comparison:
    """Times the three loops in turns, after comparing their losses over one epoch.

    Raises:
        AssertionError: the losses differ.
    """
    script = start_script(write_spec(case, folder), "fit", "--data", str(folder))
    plain = copy.deepcopy(script.model).to(memory_format=torch.contiguous_format)
    tutorial = Tutorial(case, script, plain)
    tuned = Tuned(case, script, copy.deepcopy(plain))
    loops = {"generated": script.run, "tutorial": tutorial.run, "tuned": tuned.run}
    losses = {name: run() for name, run in loops.items()}
    for name, loss in losses.items():
        difference = abs(loss - losses["tutorial"]) / losses["tutorial"]
        assert difference < LOSS_TOLERANCE, f"{case.name}: the loss of {name} differs: {losses}"
    return measure(loops, rounds=case.rounds, warmup=2)


def report(case: Case, comparison: Comparison) -> bool:
    """Prints a row of the table; whether the bounds hold."""
    step = {n: t.median / case.steps * 1e3 for n, t in comparison.timings.items()}
    held = True
    cells = [f"{case.name:9} {step['generated']:8.2f} {step['tutorial']:8.2f} {step['tuned']:8.2f}"]
    for rival, bound in (("tutorial", case.bound), ("tuned", TUNED_BOUND)):
        ratio = comparison.ratio_within_rounds("generated", rival)
        low, high = comparison.ratio_interval("generated", rival)
        cells.append(f"{ratio:6.3f} [{low:.3f}, {high:.3f}] {'<=' if ratio <= bound else '> '}")
        cells[-1] += f" {bound:.2f}"
        held = held and ratio <= bound
    print("   ".join(cells), flush=True)
    return held


def main() -> int:
    """Compares every case, or those named."""
    torch.set_num_threads(THREADS)
    print(f"{THREADS} threads, interleaved epochs; median ms a step, median ratio within a round")
    print("         generated tutorial    tuned   against the tutorial           against the tuned")
    held = []
    for name in sys.argv[1:] or CASES:
        with tempfile.TemporaryDirectory() as folder:
            held.append(report(CASES[name], compare(CASES[name], Path(folder))))
    return int(not all(held))


if __name__ == "__main__":
    sys.exit(main())
