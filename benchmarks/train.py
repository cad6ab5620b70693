"""Time per training step: the generated loop against the tutorials' loop, and a tuned one.

The tutorials' loop is that of PyTorch's "Training with PyTorch": a DataLoader over a
TensorDataset, AdamW with its defaults, `loss.item()` in each step. The tuned loop is the same with
every trick that the generated script uses, written without it. All three train the network that
was generated, from the same weights on the same batches; their losses are compared first.
"""

from __future__ import annotations

import copy
import importlib.util
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from backends.onnx_runtime.measure import Comparison, measure
from backends.pytorch.train.folder import write_training
from compiler.driver import check
from compiler.report.diagnostics import CompileError, Sink

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


class _Captured(Exception):
    """Ends the generated `main` where it would begin to train."""

    def __init__(self, training: Any, splits: Mapping[str, list[Tensor]]) -> None:
        super().__init__("captured")
        self.training = training
        self.splits = splits


def start_generated(case: Case, folder: Path) -> tuple[ModuleType, Any, list[Tensor]]:
    """The generated script as a module, with the training and the columns its `main` makes."""
    sink = Sink()
    program = check(write_spec(case, folder), overrides={}, sink=sink)
    if program is None or sink.has_errors:
        raise CompileError(sink.messages)
    write_training(program.trains["fit"], folder)
    with importing_from(folder):
        spec = importlib.util.spec_from_file_location("generated", folder / "train.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules["generated"] = module
        spec.loader.exec_module(module)

    def capture(training: Any, splits: Mapping[str, list[Tensor]], out: Path) -> None:
        raise _Captured(training, splits)

    vars(module)["train"] = capture
    sys.argv = ["train.py", "--data", str(folder), "--out", str(folder), "--device", "cpu"]
    try:
        module.main()
    except _Captured as captured:
        return module, captured.training, captured.splits["train"]
    raise AssertionError("the generated main does not call train")


@contextmanager
def importing_from(folder: Path) -> Iterator[None]:
    """Puts a folder first on the path of imports, and forgets what `model` was."""
    sys.path.insert(0, str(folder))
    sys.modules.pop("model", None)
    try:
        yield
    finally:
        sys.path.remove(str(folder))


Objective = Callable[..., Any]


def read_loss(results: Any) -> Tensor:
    """The loss among the results of the generated objective."""
    loss = results[0] if isinstance(results, tuple) else results
    assert isinstance(loss, Tensor)
    return loss


class Rival:
    """A loop over the same network, weights, batches and draws as the generated one."""

    def __init__(self, module: ModuleType, model: nn.Module, columns: list[Tensor]) -> None:
        self.module = module
        self.model = model
        self.columns = columns
        self.epoch = 0

    def start_epoch(self) -> np.ndarray[Any, Any]:
        """The order of rows in the next epoch, as the generated script draws it."""
        self.epoch += 1
        torch.manual_seed(self.module.SEED + 1000 * self.epoch)
        return np.random.default_rng([self.module.SEED, self.epoch]).permutation(
            len(self.columns[0])
        )


class Tutorial(Rival):
    """The loop of the tutorials."""

    def __init__(self, module: ModuleType, model: nn.Module, columns: list[Tensor]) -> None:
        super().__init__(module, model, columns)
        self.dataset = TensorDataset(*columns)
        self.optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)

    def run(self) -> float:
        """One epoch; the mean loss."""
        order = self.start_epoch()
        loader = DataLoader(
            self.dataset,
            batch_size=self.module.BATCH,
            sampler=order.tolist(),
            generator=torch.Generator(),  # draws of dropout stay those of the generated loop
        )
        self.model.train()
        total = 0.0
        for batch in loader:
            loss = read_loss(self.module.compute_loss(self.model, *batch))
            self.optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            self.optimizer.step()
            total += loss.item()
        return total / len(loader)


class Tuned(Rival):
    """The loop of the tutorials with the tricks: columns in memory, the fused optimizer, the
    memory layout that the spec asks for, and losses read once."""

    def __init__(
        self, module: ModuleType, model: nn.Module, columns: list[Tensor], *, channels_last: bool
    ) -> None:
        super().__init__(module, model, columns)
        if channels_last:
            model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, fused=True)

    def run(self) -> float:
        """One epoch; the mean loss."""
        self.model.train()
        losses = []
        for rows in torch.from_numpy(self.start_epoch()).split(self.module.BATCH):
            batch = [column[rows] for column in self.columns]
            loss = read_loss(self.module.compute_loss(self.model, *batch))
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
    module, training, columns = start_generated(case, folder)
    plain = copy.deepcopy(training.model).to(memory_format=torch.contiguous_format)
    tutorial = Tutorial(module, plain, columns)
    channels_last = "channels_last" in case.clauses
    tuned = Tuned(module, copy.deepcopy(plain), columns, channels_last=channels_last)

    def run_generated() -> float:
        training.epoch += 1
        return float(module.train_epoch(training, training.model, columns))

    loops = {"generated": run_generated, "tutorial": tutorial.run, "tuned": tuned.run}
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
