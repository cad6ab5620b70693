"""Examples under torchrun: two processes train what one trains.

Every train of every example that learns gets `processes ddp`, few rows and small batches, and is
run by one process and by two, in double precision, without batch norms and dropout, which each
process has for itself. Weights, states of optimizers and figures are then equal but for rounding.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from backends.pytorch.run.running import read_metrics
from backends.pytorch.train.folder import write_training
from backends.pytorch.train.loading import reads_folder
from backends.pytorch.train.script_spec import ScriptSpec
from benchmarks.scripts import write_in_double
from compiler.driver import check
from compiler.program.train import Train
from compiler.report.diagnostics import Message, Severity, Sink

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = ROOT / "specs" / "examples"
TOLERANCE = 1e-10
"""Relative to the largest number of a tensor, or to 1."""
ROWS = 4
"""Rows of a part of a batch."""
EPOCHS = 1
COMPARING = {
    "kernel_regression.fit",
    "simclr_cifar.simclr",
    "split_mnist.learn_task0_rehearsed0p02",
}
"""Trains whose loss is no mean over the rows of a batch: it compares them with each other, or
divides by how many count. A process has its own rows."""
REFUSED = {"transfer_digits.adaptation"}
"""Trains of which the compiler says that processes cannot share them: it draws a permutation."""
ROUNDED = {"wgan_gp_mnist.gan": 1e-6}
"""Bounds of trains some of whose weights follow rounding alone: of a bias before an instance norm
the gradient is 0, and Adam makes steps of what rounding leaves of it."""
ALONE = {"seconds"}
"""Figures that two runs do not share."""


@dataclass(frozen=True)
class Shared:
    """A train of an example that processes share, the folder of its script, and what is said where
    there is none."""

    name: str
    folder: Path
    refusal: str = ""


def write_examples(folder: Path, names: Iterable[str]) -> Iterator[Shared]:
    """Writes the scripts of examples, whose trains that learn are shared by processes."""
    copies = folder / "repository" / "specs" / "examples"
    copies.mkdir(parents=True)
    (folder / "shared").symlink_to(ROOT.parent / "shared")
    for path in EXAMPLES.glob("*.weft"):
        (copies / path.name).write_text(share_trains(path.read_text(encoding="utf-8")))
    for name in names:
        sink = Sink()
        program = check(copies / f"{name}.weft", sink=sink)
        errors = [m for m in sink.messages if m.severity is Severity.ERROR]
        if program is None:
            yield Shared(name, folder, errors[0].text.title)
            continue
        for train in choose_trains(program.trains.values()):
            own = [m.text.title for m in errors if stands_in(m, train)]
            title = f"{name}.{train.name}"
            yield Shared(title, folder, own[0]) if own else write_example(train, title, folder)


def share_trains(text: str) -> str:
    """A spec whose trains that learn say `processes ddp`."""
    return re.sub(
        r"^(train (?:(?!^\}).)*?\bminimize (?:(?!^\}).)*)^\}",
        r"\1    processes ddp\n}",
        text,
        flags=re.M | re.S,
    )


def stands_in(message: Message, train: Train) -> bool:
    """Whether a message is about a train: its place lies in it, or in no train at all."""
    place, item = message.span, train.span
    if place is None or item is None or place.source is not item.source:
        return True
    text = item.source.text
    return item.start <= place.start < text.index("\n}", item.start)


def choose_trains(trains: Iterable[Train]) -> list[Train]:
    """The trains that learn, of several with other arguments the first."""
    return list({train.span: train for train in reversed(list(trains)) if train.learns}.values())


def write_example(train: Train, name: str, folder: Path) -> Shared:
    """Writes the script of a train for small batches, in double precision; nets of other trains
    begin anew."""
    fresh = tuple(replace(net, net=replace(net.net, loads=())) for net in train.nets)
    small = replace(
        train, nets=fresh, batch=ROWS * train.accumulate, epochs=EPOCHS, precision="f32"
    )
    own = folder / name
    write_training(small, own)
    write_in_double(own)
    data = ["--data", str(folder / "repository" / "specs" / "examples")]
    (own / "data.txt").write_text("\n".join(data if reads_folder(ScriptSpec(small)) else []))
    return Shared(name, own)


def run(shared: Iterable[Shared]) -> None:
    """Trains all of them in one process, and then in two."""
    folders = [str(each.folder) for each in shared if not each.refusal]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    module = ["-m", "benchmarks.sharing"]
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    for command in ([*module, "one"], [*launch, *module, "two"]):
        subprocess.run(
            [sys.executable, *command, *folders],
            env=environment,
            check=True,
            stdout=subprocess.DEVNULL,
        )


def measure(folder: Path) -> float:
    """How far what two processes leave is from what one leaves.

    Raises:
        RuntimeError: a training ended with a message.
    """
    for path in sorted(folder.glob("*-?.txt")):
        raise RuntimeError(path.read_text())
    one, two = (
        {
            "state": torch.load(folder / name / "last.pt", weights_only=True),
            "metrics": read_metrics(folder / name / "metrics.jsonl"),
            "results": json.loads((folder / name / "results.json").read_text()),
        }
        for name in ("one", "two")
    )
    return find_difference(one, two)


def find_difference(one: Any, two: Any) -> float:
    """The largest difference of numbers, relative to the largest of a tensor, or to 1."""
    match one:
        case torch.Tensor():
            scale = max(1.0, float(one.abs().max())) if one.numel() else 1.0
            same = one.shape == two.shape and torch.equal(one.isfinite(), two.isfinite())
            off = (one.double() - two.double()).nan_to_num().abs()
            return (
                float(off.max()) / scale if same and one.numel() else 0.0 if same else float("inf")
            )
        case Mapping():
            names = one.keys() - ALONE
            if names != two.keys() - ALONE:
                return float("inf")
            return max((find_difference(one[name], two[name]) for name in names), default=0.0)
        case list() | tuple():
            if len(one) != len(two):
                return float("inf")
            return max(map(find_difference, one, two), default=0.0)
        case float() | int():
            return find_difference(torch.tensor(float(one)), torch.tensor(float(two)))
    return 0.0 if one == two else float("inf")


def main() -> int:
    """Compares all examples, or those that are named; the exit status is 1 where some differ."""
    names = sys.argv[1:] or sorted(path.stem for path in EXAMPLES.glob("*.weft"))
    held = []
    with tempfile.TemporaryDirectory() as folder:
        shared = list(write_examples(Path(folder), names))
        run(shared)
        for each in shared:
            try:
                off = float("nan") if each.refusal else measure(each.folder)
                note = each.refusal
            except RuntimeError as error:
                off, note = float("inf"), str(error).strip().splitlines()[-1]
            if each.name in COMPARING:
                note = "is no mean over the rows of a batch: a process has its own"
            known = each.name in COMPARING or (each.refusal and each.name in REFUSED)
            held.append(bool(off <= ROUNDED.get(each.name, TOLERANCE) or known))
            print(f"{each.name:32} {off:9.1e}  {note}")
    return int(not all(held))


if __name__ == "__main__":
    sys.exit(main())
