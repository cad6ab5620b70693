"""Trains Net on the data iris.

python train.py              a line per epoch, results in ./run
python train.py --data DIR   where paths of data start from
python train.py --resume     goes on after the last finished epoch
"""

import sys

sys.path.append(sys.path.pop(0))  # no file beside this one, json.py say, hides a module

import argparse
import json
import math
import time
import zlib
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from tqdm import tqdm

from model import Net

SEED = 0
BATCH = 24  # rows a step
EPOCHS = 6
LEARNING_RATE = 1.0
SETTINGS = {
    "constants": f"{SEED=} {BATCH=} {LEARNING_RATE=}",
    "epochs": f"{EPOCHS}",
    "optimizer": "lbfgs(lr=1.0, max_iter=20, max_eval=none, tolerance_grad=1e-7, tolerance_change=1e-9, history_size=100, line_search_fn=none, schedule=constant(warmup=0steps))",
    "best epoch": "by val.accuracy, higher is better",
    "nets": "fit 532ae2a580f9",
    "objective and metrics": "7ee2044129a4",
    "columns": "features, label d7ab40a72e87",
    "split": "random, seed 0, train 96, val 27, test 27",
}

Parts = dict[str, Any]  # what a checkpoint holds the state of
Splits = dict[str, list[Tensor]]  # the columns of the rows of each split
History = list[dict[str, float]]  # what each finished epoch gave


def compute_columns(
    features: Tensor, label: Tensor, training: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    # features: [rows, 4]; label: i64[rows]; training: i64[training]
    features_rows = features[training].double()  # [rows, 4]
    standardize_mean = features_rows.nanmean(0).float()  # [4]
    x = (features_rows - features_rows.nanmean(0)).square().nanmean(0).sqrt()
    spread = x.float()
    standardize_scale = spread.where(spread > 0, 1)
    features = (features - standardize_mean) / standardize_scale  # [rows, 4]
    return features, label, standardize_mean, standardize_scale


def check_range(
    name: str, column: Tensor, low: float, high: float, ignored: float = math.nan
) -> None:
    """Ends the process where data that has changed does not fit the objective."""
    inside = (column >= low - 1e-6) & (column <= high + 1e-6) | (column == ignored)
    if not inside.all():
        found = column[~inside][0].item()
        sys.exit(f"the column {name!r} holds {found:g}: {low:g} to {high:g} are taken")


def load_splits(folder: Path, out: Path, device: str) -> Splits:
    """The columns `features` and `label` of every split, on the device."""
    with np.load(folder / "iris.npz") as file:
        features = torch.tensor(file["features"].astype(np.float32))
        label = torch.tensor(file["label"].astype(np.int64))
    rows = len(features)
    order = np.random.default_rng(0).permutation(rows)
    splits = {"train": order[:96], "val": order[96:123], "test": order[123:150]}
    columns = compute_columns(features, label, torch.from_numpy(splits["train"]))
    columns, figures = columns[:2], columns[2:]
    for chosen in splits.values():
        check_range("label", columns[1][chosen], 0, 2, -100)
    names = ["standardize.mean", "standardize.scale"]
    tensors = dict(zip(names, figures, strict=True))
    save_file(tensors, out / "columns.safetensors")
    return {
        split: [columns[0][chosen].to(device), columns[1][chosen].to(device)]
        for split, chosen in splits.items()
    }


def measure(model: nn.Module, batch: list[Tensor]) -> Tensor:
    """The loss of a batch, whose gradients the parameters have then. The optimizer
    asks for it several times a step.
    """
    features, label = batch
    loss_total = F.cross_entropy(model(features), label, reduction="sum")
    loss_counted = (label != -100).sum().clamp(min=1)
    loss = loss_total / loss_counted
    model.zero_grad()
    loss.backward()
    return loss.detach()


def train_epoch(parts: Parts, columns: list[Tensor], epoch: int) -> float:
    """Trains on full batches of all rows; the order follows from seed and epoch."""
    model, optimizer = parts.values()
    model.train()
    rows, device = len(columns[0]), columns[0].device
    steps = max(1, rows // BATCH)
    order = np.random.default_rng([SEED, epoch]).permutation(rows)[: steps * BATCH]
    batches = torch.from_numpy(order).to(device).split(BATCH)
    losses = torch.zeros(steps, device=device)
    bar = tqdm(batches, f"epoch {epoch}", leave=False, disable=not sys.stderr or None)
    for step, chosen in enumerate(bar):
        batch = [column[chosen] for column in columns]
        loss = optimizer.step(partial(measure, model, batch))
        losses[step] = loss.detach()  # read once an epoch: reading makes a GPU wait
    if not losses.isfinite().all():
        step = int(losses.isfinite().logical_not().nonzero()[0])
        sys.exit(f"the loss is {losses[step]:g} at epoch {epoch}, step {step + 1}")
    return losses.mean().item()


@torch.no_grad()
def evaluate(model: nn.Module, columns: list[Tensor]) -> dict[str, float]:
    """Loss and metrics over a split."""
    model.eval()
    loss_total_2 = loss_count = correct = undefined = 0
    for start in range(0, len(columns[0]), BATCH):
        features, label = (column[start : start + BATCH] for column in columns)
        logits = model(features)  # [batch, 3]
        loss_total = F.cross_entropy(logits, label, reduction="sum")
        loss_counted = (label != -100).sum().clamp(min=1)
        loss = loss_total / loss_counted
        loss_counted_2 = (label != -100).sum()
        loss_total_2 += torch.where(
            loss_counted_2 > 0, loss.double() * loss_counted_2, 0
        )
        loss_count += loss_counted_2
        correct += (logits.argmax(1) == label).sum()
        undefined += ((label != -100) * (~logits.amax(1).isfinite())).sum()
    sums = [loss_total_2, loss_count, correct, undefined]
    loss_total_2, loss_count, correct, undefined = map(float, sums)
    return {
        "loss": loss_total_2 / loss_count if loss_count else math.nan,
        "accuracy": correct / loss_count if not undefined else math.nan,
    }


def find_best(history: History) -> int:
    """The epoch of the best val.accuracy; among equals, of the lowest val.loss."""
    scores = [(record["val.accuracy"], -record["val.loss"]) for record in history]
    known = [score for score in scores if score[0] > -math.inf]
    return scores.index(max(known)) + 1 if known else 0


def save_best(out: Path, weights: dict[str, Tensor]) -> None:
    """Writes the best weights so far, and what they were trained with."""
    part = out / "best.part"
    crc = zlib.crc32(json.dumps(SETTINGS).encode())
    for value in weights.values():
        crc = zlib.crc32(value.cpu().flatten().view(torch.uint8).numpy(), crc)
    note = json.dumps({"settings": SETTINGS, "checksum": crc})
    save_file(weights, part, {"training": note})
    part.replace(out / "best.safetensors")


def save(out: Path, parts: Parts, history: History) -> None:
    """Writes what an epoch leaves, each file whole or not at all."""
    part = out / "last.part"
    part.write_text("".join(json.dumps(record) + "\n" for record in history))
    part.replace(out / "metrics.jsonl")
    if find_best(history) == len(history):
        save_best(out, dict(sorted(parts["model"].state_dict().items())))
    state = {name: value.state_dict() for name, value in parts.items()}
    torch.save({"settings": SETTINGS, "history": history, **state}, part)
    part.replace(out / "last.pt")


def load(path: Path, parts: Parts, longer: bool) -> History:
    """Restores the parts and returns what the finished epochs gave."""
    state = torch.load(path, map_location="cpu", weights_only=True)
    if longer:
        state["settings"]["epochs"] = SETTINGS["epochs"]  # by --epochs
    if state["settings"] != SETTINGS:
        sys.exit(f"{path} was trained with {state['settings']}, not {SETTINGS}")
    for name, part in parts.items():
        part.load_state_dict(state[name])
    return state["history"]


def train(
    parts: Parts, splits: Splits, history: History, out: Path, epochs: int
) -> None:
    """Trains on after the epochs of the history and adds to it."""
    model, optimizer = parts.values()
    while len(history) < epochs:
        epoch, started = len(history) + 1, time.perf_counter()
        loss = train_epoch(parts, splits["train"], epoch)
        for name, value in model.named_parameters():
            if not value.isfinite().all():
                sys.exit(f"{name} is not finite after epoch {epoch}")
        record = {"epoch": epoch, "train.loss": loss}
        measured = evaluate(model, splits["val"])
        record |= {f"val.{name}": value for name, value in measured.items()}
        record["lr"] = optimizer.param_groups[0]["lr"]
        record["seconds"] = time.perf_counter() - started
        history.append(record)
        save(out, parts, history)
        print(*(f"{name} {value:.4g}" for name, value in record.items()), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description="Trains Net on the data iris.")
    parser.add_argument("--data", type=Path, default=".", help="folder of the data")
    parser.add_argument("--out", type=Path, default="run", help="folder for results")
    asked = parser.add_mutually_exclusive_group()
    asked.add_argument("--resume", action="store_true", help="go on where it stopped")
    asked.add_argument("--overwrite", action="store_true", help="start anew")
    parser.add_argument(
        "--epochs", type=int, help="in all, with --resume more than before"
    )
    parser.add_argument("--device", help="cuda where there is one, else cpu")
    options = parser.parse_args()
    device = options.device or ("cuda" if torch.cuda.is_available() else "cpu")
    out, last = options.out, options.out / "last.pt"
    resume = options.resume and last.exists()
    found = last.exists() or (out / "best.safetensors").exists()
    if found and not (resume or options.overwrite):
        sys.exit(f"{out} holds a training: give --resume, --overwrite or another --out")

    out.mkdir(parents=True, exist_ok=True)
    splits = load_splits(options.data, out, device)
    data = [zlib.crc32(c.cpu().ravel().numpy()) for s in splits.values() for c in s]
    SETTINGS["data"] = repr(data)  # with other numbers it is another training
    torch.manual_seed(SEED)
    model = Net().to(device)
    optimizer = torch.optim.LBFGS(model.parameters(), lr=LEARNING_RATE)
    parts = {"model": model, "optimizer": optimizer}
    epochs = options.epochs or EPOCHS
    SETTINGS["epochs"] = f"{epochs}"
    history = load(last, parts, longer=bool(options.epochs)) if resume else []
    if len(history) > epochs:
        sys.exit(f"{out} has {len(history)} epochs, more than {epochs}")
    if resume and options.epochs:
        save_best(out, load_file(out / "best.safetensors"))  # as of this training
    if not resume:  # nothing of an earlier training stays
        for name in ("last.pt", "best.safetensors", "results.json", "metrics.jsonl"):
            (out / name).unlink(missing_ok=True)
    train(parts, splits, history, out, epochs)

    if not find_best(history):
        sys.exit("val.accuracy was not a number in any epoch")
    model.load_state_dict(load_file(out / "best.safetensors"))
    results = {"epochs": len(history), "best_epoch": find_best(history)}
    for split in ("val", "test"):
        results[split] = evaluate(model, splits[split])
    text = json.dumps(results, indent=2)
    print(text)
    (out / "results.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
