"""Trains Net on the data iris.

python train.py              a line per epoch, results in ./run
python train.py --data DIR   where paths of data start from
python train.py --resume     goes on after the last finished epoch
"""

import sys

sys.path.append(sys.path.pop(0))  # no file beside this one, json.py say, hides a module

import argparse
import copy
import json
import math
import time
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from tqdm import tqdm

from model import Net

SEED = 2
BATCH = 24  # rows a step
EPOCHS = 5
LEARNING_RATE = 0.1
DECAY = 0.9  # of the moving average of the weights
SETTINGS = {
    "constants": f"{SEED=} {BATCH=} {LEARNING_RATE=}",
    "epochs": f"{EPOCHS}",
    "optimizer": 'sgd(lr=0.1, momentum=0.0, nesterov=false, weight_decay=0.0, dampening=0.0, velocity="gradients", schedule=constant(warmup=0steps))',
    "average key": "ema(decay=0.9, warmup=false) of query",
    "buffers": "queue f32[64, 6] normal(std=0.3, mean=0.0), pointer i64[] constant(value=5.0)",
    "updates": "06a8290b2c36",
    "freeze": "key.*",
    "best epoch": "by val.spread, higher is better",
    "nets": "query e0bcdb17a490, key e0bcdb17a490",
    "objective and metrics": "b4f960dd1f50",
    "columns": "x 8184bbe0c2d5",
    "split": "random, seed 0, train 96, val 27, test 27",
}

Parts = dict[str, Any]  # what a checkpoint holds the state of
Splits = dict[str, list[Tensor]]  # the columns of the rows of each split
History = list[dict[str, float]]  # what each finished epoch gave


def load_splits(folder: Path, device: str) -> Splits:
    """The columns `x` of every split, on the device."""
    with np.load(folder / "iris.npz") as file:
        features = torch.tensor(file["features"].astype(np.float32))
    rows = len(features)
    order = np.random.default_rng(0).permutation(rows)
    splits = {"train": order[:96], "val": order[96:123], "test": order[123:150]}
    return {split: [features[chosen].to(device)] for split, chosen in splits.items()}


def compute_loss(
    query: nn.Module, key: nn.Module, x: Tensor, queue: Tensor, draws: torch.Generator
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    # x: [batch, 4]; queue: [64, 6]
    batch = x.shape[0]
    q = query(x)  # [batch, 6]
    k = key(x + 0.1 * torch.randn(batch, 4, generator=draws, device=x.device))
    same = q * k
    same = same.sum(1, keepdim=True)  # [batch, 1]
    y = q @ queue.transpose(0, 1)  # [batch, 64]
    scores = torch.cat([same, y], dim=1) / 0.2  # [batch, 65]
    zeros = torch.zeros(batch, dtype=torch.int64, device=x.device)  # [batch]
    loss_total = F.cross_entropy(scores, zeros, reduction="sum")
    loss_counted = (zeros != -100).sum().clamp(min=1)
    loss = loss_total / loss_counted
    spread = queue.std(0).mean()
    return loss, spread, zeros, k


@torch.no_grad()
def update_average(average: nn.Module, net: nn.Module, decay: float) -> None:
    """Moves the average towards the net."""
    for own, value in zip(average.parameters(), net.parameters(), strict=True):
        own.lerp_(value, 1 - decay)


@torch.no_grad()
def update_buffers(model: nn.Module, k: Tensor) -> None:
    """Gives `queue` and `pointer` their values after a step."""
    new_queue = torch.cat([k, model.queue])[0:64]  # [64, 6]
    new_pointer = (model.pointer + k.shape[0]) % 64
    model.queue.copy_(new_queue)
    model.pointer.copy_(new_pointer)


def train_epoch(parts: Parts, columns: list[Tensor], epoch: int) -> float:
    """Trains on full batches of all rows; the order, as are draws, follows from seed and epoch."""
    model, optimizer = parts.values()
    model.train()
    model["key"].eval()
    rows, device = len(columns[0]), columns[0].device
    draws = torch.Generator(device).manual_seed(SEED + 1000 * epoch + 500)
    steps = max(1, rows // BATCH)
    order = np.random.default_rng([SEED, epoch]).permutation(rows)[: steps * BATCH]
    batches = torch.from_numpy(order).to(device).split(BATCH)
    losses = torch.zeros(steps, device=device)
    bar = tqdm(batches, f"epoch {epoch}", leave=False, disable=not sys.stderr or None)
    for step, chosen in enumerate(bar):
        x = columns[0][chosen]
        loss, *_, k = compute_loss(model["query"], model["key"], x, model.queue, draws)
        model.zero_grad()
        loss.backward()
        optimizer.step()
        update_average(model["key"], model["query"], DECAY)
        update_buffers(model, k)
        losses[step] = loss.detach()  # read once an epoch: reading makes a GPU wait
    if not losses.isfinite().all():
        step = int(losses.isfinite().logical_not().nonzero()[0])
        sys.exit(f"the loss is {losses[step]:g} at epoch {epoch}, step {step + 1}")
    return losses.mean().item()


@torch.no_grad()
def evaluate(model: nn.Module, columns: list[Tensor]) -> dict[str, float]:
    """Loss and metrics over a split."""
    model.eval()
    rows, device = len(columns[0]), columns[0].device
    draws = torch.Generator(device).manual_seed(SEED + 500)
    loss_total = loss_count = total = 0
    for start in range(0, rows, BATCH):
        x = columns[0][start : start + BATCH]
        loss, spread, zeros, _ = compute_loss(
            model["query"], model["key"], x, model.queue, draws
        )
        size = len(x)
        loss_counted = (zeros != -100).sum()
        loss_total += torch.where(loss_counted > 0, loss.double() * loss_counted, 0)
        loss_count += loss_counted
        total += spread.double() * size
    loss_total, loss_count, total = map(float, (loss_total, loss_count, total))
    return {
        "loss": loss_total / loss_count if loss_count else math.nan,
        "spread": total / rows,
    }


def find_best(history: History) -> int:
    """The epoch of the best val.spread; among equals, of the lowest val.loss."""
    scores = [(record["val.spread"], -record["val.loss"]) for record in history]
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


def read_options() -> argparse.Namespace:
    """What the command line says."""
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
    return parser.parse_args()


def main() -> None:
    options = read_options()
    device = options.device or ("cuda" if torch.cuda.is_available() else "cpu")
    out, last = options.out, options.out / "last.pt"
    resume = options.resume and last.exists()
    found = last.exists() or (out / "best.safetensors").exists()
    if found and not (resume or options.overwrite):
        sys.exit(f"{out} holds a training: give --resume, --overwrite or another --out")

    splits = load_splits(options.data, device)
    data = [zlib.crc32(c.cpu().ravel().numpy()) for s in splits.values() for c in s]
    SETTINGS["data"] = repr(data)  # with other numbers it is another training
    torch.manual_seed(SEED)
    model = nn.ModuleDict({"query": Net()})
    model.register_buffer("queue", torch.empty(64, 6))
    model.register_buffer("pointer", torch.tensor(5, dtype=torch.int64))
    nn.init.normal_(model.queue, std=0.3)
    model.to(device)
    model["key"] = copy.deepcopy(model["query"])
    for name, parameter in model.named_parameters():
        parameter.requires_grad = not name.startswith("key.")
    optimizer = torch.optim.SGD(model.parameters(), lr=LEARNING_RATE, fused=True)
    parts = {"model": model, "optimizer": optimizer}
    epochs = options.epochs or EPOCHS
    SETTINGS["epochs"] = f"{epochs}"
    history = load(last, parts, longer=bool(options.epochs)) if resume else []
    if len(history) > epochs:
        sys.exit(f"{out} has {len(history)} epochs, more than {epochs}")
    if resume and options.epochs:
        save_best(out, load_file(out / "best.safetensors"))  # as of this training
    out.mkdir(parents=True, exist_ok=True)
    if not resume:  # nothing of an earlier training stays
        for name in ("last.pt", "best.safetensors", "results.json", "metrics.jsonl"):
            (out / name).unlink(missing_ok=True)
    train(parts, splits, history, out, epochs)

    if not find_best(history):
        sys.exit("val.spread was not a number in any epoch")
    model.load_state_dict(load_file(out / "best.safetensors"))
    results = {"epochs": len(history), "best_epoch": find_best(history)}
    results["draws"] = f"of the train, from seed {SEED + 500} for every split"
    for split in ("val", "test"):
        results[split] = evaluate(model, splits[split])
    text = json.dumps(results, indent=2)
    print(text)
    (out / "results.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
