"""Trains DigitNet on the data digits.

python train.py                        a line per epoch, results in ./run
python train.py --resume               goes on after the last finished epoch
torchrun --nproc-per-node 2 train.py   shares every batch among processes
"""

import sys

sys.path.append(sys.path.pop(0))  # no file beside this one, json.py say, hides a module

import argparse
import gc
import json
import math
import os
import time
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
import torch.distributed.nn  # loaded later, it would keep the process group alive
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from tqdm import tqdm

from model import DigitNet

SEED = 0
BATCH = 64  # rows a step, of all processes together
EPOCHS = 30
LEARNING_RATE = 0.003
PATIENCE = 8  # epochs without a better val.accuracy
SETTINGS = {
    "constants": f"{SEED=} {BATCH=} {EPOCHS=} {LEARNING_RATE=} {PATIENCE=}",
    "optimizer": "adamw(lr=0.003, betas=[0.9, 0.999], eps=1e-8, weight_decay=0.01, amsgrad=false, schedule=cosine(warmup=5%, minimum=0.0))",
    "processes": "ddp",
    "best epoch": "by val.accuracy, higher is better",
    "nets": "fit 601a478b5dd5",
    "objective and metrics": "af769ccdf8c9",
    "columns": "image, label 306eb36bfb5b",
    "words": '{"label": ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"]}',
    "split": "random, seed 0, train 0.8, val 0.1, test 0.1",
}

RANK = int(os.environ.get("RANK", "0"))  # torchrun sets these
WORLD = int(os.environ.get("WORLD_SIZE", "1"))

Parts = dict[str, Any]  # what a checkpoint holds the state of
Splits = dict[str, list[Tensor]]  # the columns of the rows of each split
History = list[dict[str, float]]  # what each finished epoch gave


def load_splits(device: str) -> Splits:
    """The columns `image` and `label` of every split, on the device."""
    bunch = load_digits()
    image = torch.tensor(bunch.images.astype(np.uint8))
    label = torch.tensor(bunch.target.astype(np.int64))
    rows = len(image)
    order = np.random.default_rng(0).permutation(rows)
    splits = {
        "train": order[: round(0.8 * rows)],
        "val": order[round(0.8 * rows) : round(0.9 * rows)],
        "test": order[round(0.9 * rows) : rows],
    }
    image = image / 16  # [rows, 8, 8]
    image = image.unsqueeze(1)  # [rows, 1, 8, 8]
    return {
        split: [image[chosen].to(device), label[chosen].to(device)]
        for split, chosen in splits.items()
    }


def schedule(step: int, steps: int) -> float:
    """The factor of the learning rate at a step."""
    warmup = round(0.05 * steps)
    if step < warmup:
        return (step + 1) / (warmup + 1)
    progress = (step - warmup) / max(1, steps - warmup)
    return 0.5 * (1 + math.cos(math.pi * progress))


def train_epoch(
    parts: Parts, replica: nn.Module, columns: list[Tensor], epoch: int
) -> float:
    """Trains on full batches of all rows; the order, as are draws, follows from seed and epoch."""
    model, optimizer = parts.values()
    replica.train()
    rows, device = len(columns[0]), columns[0].device
    torch.manual_seed(SEED + 1000 * epoch + RANK)
    steps = max(1, rows // BATCH)
    order = np.random.default_rng([SEED, epoch]).permutation(rows)[: steps * BATCH]
    batches = torch.from_numpy(order).to(device).split(BATCH)
    losses = torch.zeros(steps, device=device)
    hidden = RANK > 0 or not sys.stderr or None
    bar = tqdm(batches, f"epoch {epoch}", leave=False, disable=hidden)
    for step, chosen in enumerate(bar):
        image, label = (column[chosen[RANK::WORLD]] for column in columns)
        loss = F.cross_entropy(replica(image), label)
        model.zero_grad()
        loss.backward()
        rate = LEARNING_RATE * schedule((epoch - 1) * steps + step, EPOCHS * steps)
        optimizer.param_groups[0]["lr"] = rate
        optimizer.step()
        losses[step] = loss.detach()  # read once an epoch: reading makes a GPU wait
    losses = all_sum(losses) / WORLD
    if not losses.isfinite().all():
        step = int(losses.isfinite().logical_not().nonzero()[0])
        sys.exit(f"the loss is {losses[step]:g} at epoch {epoch}, step {step + 1}")
    return losses.mean().item()


@torch.no_grad()
def evaluate(model: nn.Module, columns: list[Tensor]) -> dict[str, float]:
    """Loss and metrics over a split."""
    model.eval()
    rows, device = len(columns[0]), columns[0].device
    columns = [column[RANK::WORLD] for column in columns]
    loss_total = correct = undefined = 0
    for start in range(0, len(columns[0]), BATCH):
        image, label = (column[start : start + BATCH] for column in columns)
        logits = model(image)  # [batch, 10]
        loss = F.cross_entropy(logits, label)
        size = len(image)
        loss_total += loss.double() * size
        correct += (logits.argmax(1) == label).sum()
        undefined += (~logits.amax(1).isfinite()).sum()
    sums = torch.tensor(
        [loss_total, correct, undefined], dtype=torch.float64, device=device
    )
    loss_total, correct, undefined = all_sum(sums).tolist()
    return {
        "loss": loss_total / rows,
        "accuracy": correct / rows if not undefined else math.nan,
    }


def all_sum(tensor: Tensor) -> Tensor:
    """The tensor, added up over all processes, in place."""
    if WORLD > 1:
        dist.all_reduce(tensor)
    return tensor


def find_best(history: History) -> int:
    """The epoch of the best val.accuracy; among equals, of the lowest val.loss."""
    scores = [(record["val.accuracy"], -record["val.loss"]) for record in history]
    known = [score for score in scores if score[0] > -math.inf]
    return scores.index(max(known)) + 1 if known else 0


def save(out: Path, parts: Parts, history: History) -> None:
    """Writes what an epoch leaves, each file whole or not at all."""
    part = out / "last.part"
    part.write_text("".join(json.dumps(record) + "\n" for record in history))
    part.replace(out / "metrics.jsonl")
    if find_best(history) == len(history):
        weights = dict(sorted(parts["model"].state_dict().items()))
        crc = zlib.crc32(json.dumps(SETTINGS).encode())
        for value in weights.values():
            crc = zlib.crc32(value.cpu().flatten().view(torch.uint8).numpy(), crc)
        note = json.dumps({"settings": SETTINGS, "checksum": crc})
        save_file(weights, part, {"training": note})
        part.replace(out / "best.safetensors")
    state = {name: value.state_dict() for name, value in parts.items()}
    torch.save({"settings": SETTINGS, "history": history, **state}, part)
    part.replace(out / "last.pt")


def load(path: Path, parts: Parts) -> History:
    """Restores the parts and returns what the finished epochs gave."""
    state = torch.load(path, map_location="cpu", weights_only=True)
    if state["settings"] != SETTINGS:
        sys.exit(f"{path} was trained with {state['settings']}, not {SETTINGS}")
    for name, part in parts.items():
        part.load_state_dict(state[name])
    return state["history"]


def train(parts: Parts, splits: Splits, history: History, out: Path) -> None:
    """Trains on after the epochs of the history and adds to it."""
    model, optimizer = parts.values()
    replica = model
    if WORLD > 1:
        replica = DistributedDataParallel(model)
    while len(history) < EPOCHS and len(history) - find_best(history) < PATIENCE:
        epoch, started = len(history) + 1, time.perf_counter()
        loss = train_epoch(parts, replica, splits["train"], epoch)
        for name, value in model.named_parameters():
            if not value.isfinite().all():
                sys.exit(f"{name} is not finite after epoch {epoch}")
        for buffer in model.buffers():  # running statistics: each process has its own
            if buffer.is_floating_point():
                all_sum(buffer).div_(WORLD)
        record = {"epoch": epoch, "train.loss": loss}
        measured = evaluate(model, splits["val"])
        record |= {f"val.{name}": value for name, value in measured.items()}
        record["lr"] = optimizer.param_groups[0]["lr"]
        record["seconds"] = time.perf_counter() - started
        history.append(record)
        if RANK > 0:
            continue
        save(out, parts, history)
        print(*(f"{name} {value:.4g}" for name, value in record.items()), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description="Trains DigitNet on the data digits.")
    parser.add_argument("--out", type=Path, default="run", help="folder for results")
    asked = parser.add_mutually_exclusive_group()
    asked.add_argument("--resume", action="store_true", help="go on where it stopped")
    asked.add_argument("--overwrite", action="store_true", help="start anew")
    parser.add_argument("--device", help="cuda where there is one, else cpu")
    options = parser.parse_args()
    device = options.device or ("cuda" if torch.cuda.is_available() else "cpu")
    out, last = options.out, options.out / "last.pt"
    resume = options.resume and last.exists()
    found = last.exists() or (out / "best.safetensors").exists()
    if found and not (resume or options.overwrite):
        sys.exit(f"{out} holds a training: give --resume, --overwrite or another --out")
    if BATCH % WORLD:
        sys.exit(f"a batch of {BATCH} does not divide among {WORLD} processes")
    if WORLD > 1:
        if device == "cuda":
            torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
        dist.init_process_group("nccl" if device == "cuda" else "gloo")

    splits = load_splits(device)
    data = [zlib.crc32(c.cpu().ravel().numpy()) for s in splits.values() for c in s]
    SETTINGS["data"] = repr(data)  # with other numbers it is another training
    torch.manual_seed(SEED)
    model = DigitNet().to(device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE, fused=True)
    parts = {"model": model, "optimizer": optimizer}
    history = load(last, parts) if resume else []
    out.mkdir(parents=True, exist_ok=True)
    if RANK == 0 and not resume:  # nothing of an earlier training stays
        for name in ("last.pt", "best.safetensors", "results.json", "metrics.jsonl"):
            (out / name).unlink(missing_ok=True)
    train(parts, splits, history, out)

    if WORLD > 1:
        dist.barrier()  # until the best weights are written
    if not find_best(history):
        sys.exit("val.accuracy was not a number in any epoch")
    model.load_state_dict(load_file(out / "best.safetensors"))
    results = {"epochs": len(history), "best_epoch": find_best(history)}
    for split in ("val", "test"):
        results[split] = evaluate(model, splits[split])
    if RANK == 0:
        text = json.dumps(results, indent=2)
        print(text)
        (out / "results.json").write_text(text + "\n")


if __name__ == "__main__":
    try:
        main()
    finally:
        if dist.is_initialized():
            gc.collect()  # what holds the group would let its threads outlive it
            dist.destroy_process_group()
