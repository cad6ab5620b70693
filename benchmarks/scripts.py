"""Generated training scripts as modules, for loops beside them that train the same."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from backends.pytorch.train.folder import write_training
from compiler.driver import check
from compiler.report.diagnostics import CompileError, Sink


@dataclass
class Script:
    """A script that has come to where it trains: its module, what its checkpoints hold, and the
    columns of the rows that it trains on."""

    module: ModuleType
    parts: Mapping[str, Any]
    columns: list[Tensor]
    epoch: int = 0

    @property
    def model(self) -> nn.Module:
        """The net, or the nets by name."""
        model = self.parts["model"]
        assert isinstance(model, nn.Module)
        return model

    def run(self) -> float | dict[str, float]:
        """Trains the next epoch; the mean loss, of each step where there are some."""
        self.epoch += 1
        losses: float | dict[str, float] = self.module.train_epoch(
            self.parts, self.columns, self.epoch
        )
        return losses


class Rival:
    """A loop over the same network, weights, batches and draws as a generated one."""

    def __init__(self, script: Script, model: nn.Module) -> None:
        self.seed, self.batch = script.module.SEED, script.module.BATCH
        self.model = model
        self.columns = script.columns
        self.epoch = 0

    def start_epoch(self) -> np.ndarray[Any, Any]:
        """The order of rows in the next epoch, as the generated script draws it."""
        self.epoch += 1
        torch.manual_seed(self.seed + 1000 * self.epoch)
        return np.random.default_rng([self.seed, self.epoch]).permutation(len(self.columns[0]))

    def make_draws(self) -> torch.Generator:
        """The generator of the draws of this epoch, as the generated script seeds it."""
        return torch.Generator().manual_seed(self.seed + 1000 * self.epoch + 500)


class _Captured(Exception):
    """Ends the generated `main` where it would begin to train."""

    def __init__(self, parts: Mapping[str, Any], columns: list[Tensor]) -> None:
        super().__init__("captured")
        self.parts = parts
        self.columns = columns


@contextmanager
def computing_in_double() -> Iterator[None]:
    """Makes double precision that of all new tensors."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


def write_in_double(folder: Path) -> None:
    """Rewrites the code of a folder so that it computes in the default dtype, if that is double,
    where it names single precision."""
    for name in ("train.py", "model.py"):
        text = (folder / name).read_text(encoding="utf-8")
        text = text.replace(".float()", ".double()").replace("torch.float32", "torch.float64")
        (folder / name).write_text(text, encoding="utf-8")


def turn_double(columns: Iterable[Tensor]) -> list[Tensor]:
    """Columns with their numbers in double precision."""
    return [column.double() if column.is_floating_point() else column for column in columns]


def start_script(spec: Path, train: str, *options: str) -> Script:
    """Writes the script of a train beside its spec and runs it up to its first epoch, on the CPU
    with these options; in double precision where that is the default.

    Raises:
        CompileError: the spec has faults.
    """
    sink, folder = Sink(), spec.parent
    program = check(spec, overrides={}, sink=sink)
    if program is None or sink.has_errors:
        raise CompileError(sink.messages)
    write_training(program.trains[train], folder)
    double = torch.get_default_dtype() == torch.float64
    if double:
        write_in_double(folder)
    module = import_script(folder)

    def capture(parts: Mapping[str, Any], splits: Mapping[str, list[Tensor]], *_: Any) -> None:
        columns = splits["train"]
        raise _Captured(parts, turn_double(columns) if double else columns)

    vars(module)["train"] = capture
    before = sys.argv
    sys.argv = ["train.py", "--out", str(folder), "--device", "cpu", *options]
    try:
        module.main()
    except _Captured as captured:
        return Script(module, captured.parts, captured.columns)
    finally:
        sys.argv = before
    raise AssertionError("the generated main does not call train")


def import_script(folder: Path) -> ModuleType:
    """The training script of a folder as a module, with the nets that lie beside it."""
    with _importing_from(folder):
        found = importlib.util.spec_from_file_location("generated", folder / "train.py")
        assert found is not None
        assert found.loader is not None
        module = importlib.util.module_from_spec(found)
        sys.modules["generated"] = module
        found.loader.exec_module(module)
    return module


@contextmanager
def _importing_from(folder: Path) -> Iterator[None]:
    """Puts a folder first on the path of imports, and leaves path and modules as they were: the
    script moves its own folder."""
    path, known = list(sys.path), sys.modules.pop("model", None)
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path[:] = path
        sys.modules.pop("model", None)
        if known is not None:
            sys.modules["model"] = known
