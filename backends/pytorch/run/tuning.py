"""Trains compressed nets on: writes the training of the changed net, runs it, reads the result."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from backends.pytorch.modules import emit_module
from backends.pytorch.run.load import assign_weights, load_module, run_source
from backends.pytorch.run.running import Record, run_training
from backends.pytorch.train.buffers import list_buffers
from backends.pytorch.train.folder import PLAIN, FileWriter, write_training
from backends.pytorch.train.functions import emit_objective
from backends.pytorch.train.models import MASKS, START
from backends.pytorch.train.script_spec import ScriptSpec
from compiler.compression.context import Trainer, Tuning
from compiler.compression.tuning.preparing import TunedTrain, prepare_tuning
from compiler.data.base import HELD
from compiler.data.holding import read_columns
from compiler.ir.weighted_net import WeightedNet
from compiler.ir.weights import read_weights
from compiler.program.train import Train
from compiler.report.diagnostics import CompileError
from compiler.rows.loading import load_data
from compiler.rows.rates import find_rate_faults
from compiler.system.files import read_json, write_text
from compiler.writing.imports import write_imports

if TYPE_CHECKING:
    from torch import Tensor, nn

Array = NDArray[Any]
STATE = "tuning.json"
"""What a folder's training began with, so that it is resumed, or read, only for the same."""


def make_trainer(
    train: Train,
    net_name: str,
    folder: Path,
    *,
    data_root: Path,
    weights: Mapping[str, Array] | None = None,
    device: str = "auto",
    on_progress: Callable[[Record], None] | None = None,
    files: FileWriter = PLAIN,
) -> Trainer:
    """A trainer of one net of a train.

    Args:
        train: the train of the original net.
        net_name: which of its nets is compressed.
        folder: where a folder per training goes, with its code and what it leaves.
        data_root: what paths of data start from.
        weights: trained numbers of the train's other nets, by the train's paths; what else is in
            it is left out.
        device: "auto", "cpu" or "cuda".
        on_progress: called with every finished epoch.
        files: who writes the code.
    """
    return ScriptTrainer(
        train, net_name, folder, data_root, dict(weights or {}), device, on_progress, files
    )


@dataclass(frozen=True)
class ScriptTrainer:
    """Trains by generated scripts, a folder each; see `make_trainer`."""

    train_item: Train
    net_name: str
    folder: Path
    data_root: Path
    weights: Mapping[str, Array] = field(default_factory=dict)
    device: str = "auto"
    on_progress: Callable[[Record], None] | None = None
    files: FileWriter = PLAIN

    def train(self, net: WeightedNet, tuning: Tuning, label: str) -> WeightedNet:
        """The net with the numbers of the best epoch. A training that was interrupted goes on
        after its last finished epoch; one that is done already is read.

        Raises:
            CompileError: the training failed, or the net is applied inside a loop of the step.
        """
        tuned = self._prepare(net, tuning)
        self._check_rates(tuned.train, tuning)
        folder = self.folder / label
        write_training(
            tuned.train,
            folder,
            root=self.data_root,
            start=tuned.weights,
            masks=tuned.masks,
            files=self.files,
        )
        key = self._make_key(folder)
        state = _read_state(folder)
        best = folder / "best.safetensors"
        if state.get("key") != key or not best.is_file() or state.get("best") != _hash(best):
            _write_state(folder, key)
            run_training(
                folder,
                data_root=self.data_root,
                resume=state == {"key": key},
                overwrite=True,
                device=self.device,
                on_progress=self.on_progress,
                span=self.train_item.span,
                source=self.train_item.data.span,
            )
            _write_state(folder, key, _hash(best))
        found = read_weights(best)
        return WeightedNet(net.graph, dict(_take(net, found, tuned.prefix)))

    def gradients(self, net: WeightedNet, rows: int) -> Mapping[str, Array]:
        """The gradient of the objective by parameter that is trained, averaged over training
        rows that are drawn with the train's seed; the net is in evaluation mode.

        Raises:
            CompileError: the data cannot be read, or the net is applied inside a loop.
        """
        tuned = self._prepare(net, Tuning(epochs=1))
        return measure_gradients(tuned, self._draw_columns(tuned.train, rows))

    def _check_rates(self, train: Train, tuning: Tuning) -> None:
        """Refuses a schedule whose factor is below 0 at some step, before any is taken."""
        if any(group.optimizer.schedule.may_fail for group in train.groups):
            rows = len(load_data(train.data, self.data_root).rows["train"])
            name = "finetune" if tuning.teacher is None else "distill"
            faults = list(find_rate_faults(train, rows, trainer=(name, tuning.span)))
            if faults:
                raise CompileError(faults)

    def _prepare(self, net: WeightedNet, tuning: Tuning) -> TunedTrain:
        return prepare_tuning(self.train_item, self.net_name, net, tuning, self.weights)

    def _draw_columns(self, train: Train, rows: int) -> dict[str, Array]:
        """The columns of some training rows."""
        loaded = load_data(train.data, self.data_root)
        training = loaded.rows["train"]
        chosen = training[np.random.default_rng(train.seed).permutation(len(training))[:rows]]
        return read_columns(loaded.columns, chosen)

    def _make_key(self, folder: Path) -> str:
        """What the result of a training follows from: its files and its data."""
        source = self.train_item.data.source
        digest = hashlib.sha256(f"{self.device}{source.fingerprint(self.data_root)}".encode())
        files = [folder / name for name in ("model.py", "train.py", START, MASKS, HELD)]
        files += source.files(self.data_root)
        for path in filter(Path.is_file, files):
            digest.update(f"{path.name} {_hash(path)} ".encode())
        return digest.hexdigest()


def _take(net: WeightedNet, found: Mapping[str, Array], prefix: str) -> Iterator[tuple[str, Array]]:
    """The numbers of a net among those of its train, with the net's own paths and dtypes."""
    for path, before in net.weights.items():
        yield path, np.array(found[prefix + path], dtype=before.dtype)


def _read_state(folder: Path) -> Mapping[str, Any]:
    """The key of a training that was begun in a folder, and the hash of the weights that it left
    if it is finished; nothing where none was, or the file says nothing."""
    found = read_json(folder / STATE)
    return found if isinstance(found, dict) else {}


def _write_state(folder: Path, key: str, best: str | None = None) -> None:
    state = {"key": key} if best is None else {"key": key, "best": best}
    write_text(folder / STATE, json.dumps(state) + "\n")


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


# --- gradients --------------------------------------------------------------------------------


def measure_gradients(tuned: TunedTrain, columns: Mapping[str, Array]) -> dict[str, Array]:
    """The gradient of a train's loss over rows, by parameter of the net under its prefix, as the
    net calls it. Batches are the train's; a loss is taken to be a mean over rows. Draws that stand
    in the train follow from its seed."""
    import torch

    script = ScriptSpec(replace(tuned.train, processes="one"))
    body = "\n".join(emit_objective(script))
    source = "\n".join([*write_imports(body), "", "", body, ""])
    compute_loss = run_source(source, "objective").compute_loss
    step = script.steps[0]
    modules = dict(zip((net.prefix for net in tuned.train.nets), _load_nets(tuned), strict=True))
    nets = [modules[net.prefix] for net in script.find_nets(step.graph)]
    read = [item.name for item in step.graph.inputs]
    given = [torch.from_numpy(np.ascontiguousarray(columns[name])) for name in read]
    rows = len(given[0])
    generator = torch.Generator().manual_seed(tuned.train.seed)
    held = [np.array(tuned.weights[path]) for path in list_buffers(script, step.graph)]
    draws = [generator] if script.draws.list_given(step.graph) else []
    for start in range(0, rows, tuned.train.batch):
        batch = [column[start : start + tuned.train.batch] for column in given]
        result = compute_loss(*nets, *batch, *map(torch.from_numpy, held), *draws)
        loss: Tensor = result[0] if isinstance(result, tuple) else result
        (loss * (len(batch[0]) / rows)).backward()  # type: ignore[no-untyped-call]
    return {
        name: parameter.grad.numpy()
        for name, parameter in modules[tuned.learner].named_parameters()
        if parameter.grad is not None
    }


def _load_nets(tuned: TunedTrain) -> Iterator[nn.Module]:
    """The nets of a train with their weights, in order."""
    graphs = [net.net.graph for net in tuned.train.nets]
    source = emit_module(graphs, title=tuned.train.name)
    for net in tuned.train.nets:
        module = load_module(source, net.net.graph, graphs)
        own = {p.path: tuned.weights[net.prefix + p.path] for p in net.net.graph.parameters}
        assign_weights(module, own)
        yield module
