"""Trains Body and Head on the data iris.

python train.py                        a line per epoch, results in ./run
python train.py --data DIR             where paths of data start from
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
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
import torch.distributed.nn  # loaded later, it would keep the process group alive
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from tqdm import tqdm

from model import Body, Head

SEED = 0
BATCH = 24  # rows a step, of all processes together
EPOCHS = 4
LEARNING_RATES = [0.01, 0.1]
SETTINGS = {
    "constants": f"{SEED=} {BATCH=} {LEARNING_RATES=}",
    "epochs": f"{EPOCHS}",
    "optimizer": 'adamw(lr=0.01, betas=[0.9, 0.999], eps=1e-8, weight_decay=0.01, amsgrad=false, schedule=constant(warmup=0steps)) over body.*; sgd(lr=0.1, momentum=0.0, nesterov=false, weight_decay=0.0, dampening=0.0, velocity="gradients", schedule=constant(warmup=0steps))',
    "freeze": "frozen.*",
    "processes": "ddp",
    "best epoch": "by val.accuracy, higher is better",
    "nets": "body 5e2ba294ec43, frozen ea397c517f44, head 96b1f72a3e91",
    "objective and metrics": "d43723068cb6",
    "columns": "features, label 0926143d8a69",
    "split": "random, seed 0, train 96, val 27, test 27",
}

RANK = int(os.environ.get("RANK", "0"))  # torchrun sets these
WORLD = int(os.environ.get("WORLD_SIZE", "1"))

Parts = dict[str, Any]  # what a checkpoint holds the state of
Splits = dict[str, list[Tensor]]  # the columns of the rows of each split
History = list[dict[str, float]]  # what each finished epoch gave


def check_range(
    name: str, column: Tensor, low: float, high: float, ignored: float = math.nan
) -> None:
    """Ends the process where data that has changed does not fit the objective."""
    inside = (column >= low - 1e-6) & (column <= high + 1e-6) | (column == ignored)
    if not inside.all():
        found = column[~inside][0].item()
        sys.exit(f"the column {name!r} holds {found:g}: {low:g} to {high:g} are taken")


def load_splits(folder: Path, device: str) -> Splits:
    """The columns `features` and `label` of every split, on the device."""
    with np.load(folder / "iris.npz") as file:
        features = torch.tensor(file["features"].astype(np.float32))
        label = torch.tensor(file["label"].astype(np.int64))
    rows = len(features)
    order = np.random.default_rng(0).permutation(rows)
    splits = {"train": order[:96], "val": order[96:123], "test": order[123:150]}
    for chosen in splits.values():
        check_range("label", label[chosen], 0, 2, -100)
    return {
        split: [features[chosen].to(device), label[chosen].to(device)]
        for split, chosen in splits.items()
    }


def compute_loss(
    body: nn.Module, frozen: nn.Module, head: nn.Module, features: Tensor, label: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    # features: [batch, 4]; label: i64[batch]
    logits = head(body(features))  # [batch, 3]
    twice = head(body(2 * features))
    rest = frozen(features)  # [batch, 16]
    cross_entropy_total = F.cross_entropy(logits, label, reduction="sum")
    cross_entropy_counted = (label != -100).sum().clamp(min=1)
    cross_entropy = cross_entropy_total / cross_entropy_counted
    mse = F.mse_loss(twice, logits)
    mean = (rest**2).mean()
    loss = cross_entropy + mse + mean
    return loss, logits, cross_entropy, mse, mean


def split_parameters(model: nn.Module) -> list[list[nn.Parameter]]:
    """The parameters of each group."""
    groups = [[], []]
    for name, parameter in model.named_parameters():
        if name.startswith("body."):
            groups[0].append(parameter)
        else:
            groups[1].append(parameter)
    return groups


def train_epoch(parts: Parts, columns: list[Tensor], epoch: int) -> float:
    """Trains on full batches of all rows; the order follows from seed and epoch."""
    model, optimizer_1, optimizer_2 = parts.values()
    model.train()
    model["frozen"].eval()
    rows, device = len(columns[0]), columns[0].device
    steps = max(1, rows // BATCH)
    order = np.random.default_rng([SEED, epoch]).permutation(rows)[: steps * BATCH]
    batches = torch.from_numpy(order).to(device).split(BATCH)
    losses = torch.zeros(steps, device=device)
    hidden = RANK > 0 or not sys.stderr or None
    bar = tqdm(batches, f"epoch {epoch}", leave=False, disable=hidden)
    for step, chosen in enumerate(bar):
        features, label = (column[chosen[RANK::WORLD]] for column in columns)
        loss, *_ = compute_loss(
            model["body"], model["frozen"], model["head"], features, label
        )
        model.zero_grad()
        loss.backward()
        if WORLD > 1:
            average_gradients(model.parameters())
        optimizer_1.step()
        optimizer_2.step()
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
    loss_total_1 = loss_count_1 = loss_total_2 = loss_total_3 = correct = undefined = 0
    top_2_correct = 0
    for start in range(0, len(columns[0]), BATCH):
        features, label = (column[start : start + BATCH] for column in columns)
        _, logits, cross_entropy, mse, mean = compute_loss(
            model["body"], model["frozen"], model["head"], features, label
        )
        size = len(features)
        loss_counted_1 = (label != -100).sum()
        ranked = logits.argsort(dim=1, descending=True, stable=True)
        loss_total_1 += torch.where(
            loss_counted_1 > 0, cross_entropy.double() * loss_counted_1, 0
        )
        loss_count_1 += loss_counted_1
        loss_total_2 += mse.double() * size
        loss_total_3 += mean.double() * size
        correct += (logits.argmax(1) == label).sum()
        undefined += ((label != -100) * (~logits.amax(1).isfinite())).sum()
        top_2_correct += (ranked.narrow(1, 0, 2) == label.unsqueeze(1)).sum()
    sums = torch.tensor(
        [
            loss_total_1,
            loss_count_1,
            loss_total_2,
            loss_total_3,
            correct,
            undefined,
            top_2_correct,
        ],
        dtype=torch.float64,
        device=device,
    )
    (
        loss_total_1,
        loss_count_1,
        loss_total_2,
        loss_total_3,
        correct,
        undefined,
        top_2_correct,
    ) = all_sum(sums).tolist()
    return {
        "loss": sum(
            [
                loss_total_1 / loss_count_1 if loss_count_1 else math.nan,
                loss_total_2 / rows,
                loss_total_3 / rows,
            ]
        ),
        "accuracy": correct / loss_count_1 if not undefined else math.nan,
        "top_2": top_2_correct / loss_count_1 if not undefined else math.nan,
    }


def average_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Gives every process the mean of the gradients of all."""
    gradients = [p.grad for p in parameters if p.grad is not None]
    flat = torch.cat([gradient.flatten() for gradient in gradients])
    sizes = [gradient.numel() for gradient in gradients]
    means = all_sum(flat).div_(WORLD).split(sizes)
    for gradient, mean in zip(gradients, means, strict=True):
        gradient.copy_(mean.view_as(gradient))


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
    model, optimizer_1, optimizer_2 = parts.values()
    while len(history) < epochs:
        epoch, started = len(history) + 1, time.perf_counter()
        loss = train_epoch(parts, splits["train"], epoch)
        for name, value in model.named_parameters():
            if not value.isfinite().all():
                sys.exit(f"{name} is not finite after epoch {epoch}")
        record = {"epoch": epoch, "train.loss": loss}
        measured = evaluate(model, splits["val"])
        record |= {f"val.{name}": value for name, value in measured.items()}
        record["lr"] = optimizer_1.param_groups[0]["lr"]
        record["lr.1"] = optimizer_2.param_groups[0]["lr"]
        record["seconds"] = time.perf_counter() - started
        history.append(record)
        if RANK > 0:
            continue
        save(out, parts, history)
        print(*(f"{name} {value:.4g}" for name, value in record.items()), flush=True)


def join_processes(device: str) -> None:
    """Lets the processes of torchrun, if there are several, share the training."""
    if BATCH % WORLD:
        sys.exit(f"a batch of {BATCH} does not divide among {WORLD} processes")
    if WORLD > 1:
        if device == "cuda":
            torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
        dist.init_process_group("nccl" if device == "cuda" else "gloo")


def read_options() -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(
        description="Trains Body and Head on the data iris."
    )
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
    join_processes(device)

    splits = load_splits(options.data, device)
    data = [zlib.crc32(c.cpu().ravel().numpy()) for s in splits.values() for c in s]
    SETTINGS["data"] = repr(data)  # with other numbers it is another training
    torch.manual_seed(SEED)
    model = nn.ModuleDict(
        {"body": Body(width=24), "frozen": Body(), "head": Head(24)}
    ).to(device)
    for name, parameter in model.named_parameters():
        parameter.requires_grad = not name.startswith("frozen.")
    group_1, group_2 = split_parameters(model)
    optimizer_1 = torch.optim.AdamW(group_1, lr=LEARNING_RATES[0], fused=True)
    optimizer_2 = torch.optim.SGD(group_2, lr=LEARNING_RATES[1], fused=True)
    parts = {"model": model, "optimizer_1": optimizer_1, "optimizer_2": optimizer_2}
    epochs = options.epochs or EPOCHS
    SETTINGS["epochs"] = f"{epochs}"
    history = load(last, parts, longer=bool(options.epochs)) if resume else []
    if len(history) > epochs:
        sys.exit(f"{out} has {len(history)} epochs, more than {epochs}")
    if RANK == 0 and resume and options.epochs:
        save_best(out, load_file(out / "best.safetensors"))  # as of this training
    out.mkdir(parents=True, exist_ok=True)
    if RANK == 0 and not resume:  # nothing of an earlier training stays
        for name in ("last.pt", "best.safetensors", "results.json", "metrics.jsonl"):
            (out / name).unlink(missing_ok=True)
    train(parts, splits, history, out, epochs)

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
