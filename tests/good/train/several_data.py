"""Trains Net on the data digits, inverted.

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
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from tqdm import tqdm

from model import Net

SEED = 5
BATCH = 64  # rows a step
EPOCHS = 4
LEARNING_RATE = 0.01
SETTINGS = {
    "constants": f"{SEED=} {BATCH=} {LEARNING_RATE=}",
    "epochs": f"{EPOCHS}",
    "optimizer": "adam(lr=0.01, betas=[0.9, 0.999], eps=1e-8, weight_decay=0.0, amsgrad=false, schedule=constant(warmup=0steps))",
    "best epoch": "by val.accuracy, higher is better",
    "nets": "m 04ccda4019a6",
    "objective and metrics": "6824077db100",
    "columns": "digits.image, digits.label, inverted.image, inverted.label 6acef7ec4287",
    "split": "digits, random, seed 0, train 0.6, val 0.2, test 0.2; inverted, random, seed 7, train 200, val 50, test 100",
}

Parts = dict[str, Any]  # what a checkpoint holds the state of
Splits = dict[str, list[Tensor]]  # the columns of the rows of each split
History = list[dict[str, float]]  # what each finished epoch gave


def compute_inverted_columns(
    image: Tensor, label: Tensor, training: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    # image: u8[rows, 8, 8]; label: i64[rows]; training: i64[training]
    x = 1 - image / 16  # [rows, 8, 8]
    x = x.flatten(1)  # [rows, 64]
    x5_rows = x[training].double()
    standardize_mean = x5_rows.nanmean(0).float()  # [64]
    spread = (x5_rows - x5_rows.nanmean(0)).square().nanmean(0).sqrt().float()
    standardize_scale = spread.where(spread > 0, 1)
    image = (x - standardize_mean) / standardize_scale  # [rows, 64]
    return image, label, standardize_mean, standardize_scale


def check_range(
    name: str, column: Tensor, low: float, high: float, ignored: float = math.nan
) -> None:
    """Ends the process where data that has changed does not fit the objective."""
    inside = (column >= low - 1e-6) & (column <= high + 1e-6) | (column == ignored)
    if not inside.all():
        found = column[~inside][0].item()
        sys.exit(f"the column {name!r} holds {found:g}: {low:g} to {high:g} are taken")


def load_digits_rows(folder: Path, device: str) -> Splits:
    """The columns `image` and `label` of every split, on the device."""
    with np.load(folder / "digits.npz") as file:
        image = torch.tensor(file["image"].astype(np.uint8))
        label = torch.tensor(file["label"].astype(np.int64))
    rows = len(image)
    order = np.random.default_rng(0).permutation(rows)
    splits = {
        "train": order[: round(0.6 * rows)],
        "val": order[round(0.6 * rows) : round(0.8 * rows)],
        "test": order[round(0.8 * rows) : rows],
    }
    image = image / 16  # [rows, 8, 8]
    image = image.flatten(1)  # [rows, 64]
    for chosen in splits.values():
        check_range("label", label[chosen], 0, 9, -100)
    return {
        split: [image[chosen].to(device), label[chosen].to(device)]
        for split, chosen in splits.items()
    }


def load_inverted_rows(folder: Path, out: Path, device: str) -> Splits:
    """The columns `image` and `label` of every split, on the device."""
    with np.load(folder / "digits.npz") as file:
        image = torch.tensor(file["image"].astype(np.uint8))
        label = torch.tensor(file["label"].astype(np.int64))
    rows = len(image)
    order = np.random.default_rng(7).permutation(rows)
    splits = {"train": order[:200], "val": order[200:250], "test": order[250:350]}
    columns = compute_inverted_columns(image, label, torch.from_numpy(splits["train"]))
    columns, figures = columns[:2], columns[2:]
    for chosen in splits.values():
        check_range("label", columns[1][chosen], 0, 9, -100)
    names = ["standardize.mean", "standardize.scale"]
    tensors = dict(zip(names, figures, strict=True))
    save_file(tensors, out / "columns_inverted.safetensors")
    return {
        split: [columns[0][chosen].to(device), columns[1][chosen].to(device)]
        for split, chosen in splits.items()
    }


def load_splits(folder: Path, out: Path, device: str) -> Splits:
    """The columns of every split of all data sets, on the device."""
    loaded = [load_digits_rows(folder, device), load_inverted_rows(folder, out, device)]
    return {
        split: [column for columns in loaded for column in columns[split]]
        for split in ("train", "val", "test")
    }


def compute_loss(
    m: nn.Module, digits_image: Tensor, digits_label: Tensor, inverted_image: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    # digits_image: [batch, 64]; digits_label: i64[batch]; inverted_image: [batch, 64]
    h, logits = m(digits_image)
    h_2, _ = m(inverted_image)
    cross_entropy_total = F.cross_entropy(logits, digits_label, reduction="sum")
    cross_entropy_counted = (digits_label != -100).sum().clamp(min=1)
    cross_entropy = cross_entropy_total / cross_entropy_counted
    loss_term = 0.3 * F.mse_loss(h.mean(0), h_2.mean(0))
    loss = cross_entropy + loss_term
    return loss, logits, h, h_2, cross_entropy, loss_term


def compute_figures(m: nn.Module, inverted_image: Tensor) -> Tensor:
    # inverted_image: [batch, 64]
    _, x = m(inverted_image)
    return x  # [batch, 10]


def repeat_rows(columns: list[Tensor], rows: int) -> list[Tensor]:
    """Columns with so many rows: shorter ones begin anew behind their last row, longer
    ones end early.
    """
    order = torch.arange(rows, device=columns[0].device)
    return [c[:rows] if len(c) >= rows else c[order % len(c)] for c in columns]


def cycle_batches(rows: int, steps: int, size: int, epoch: int, place: int) -> Tensor:
    """The rows of each step of an epoch, `[steps, size]`, of the data at a place beside the
    first: after the last row they begin anew in other order, and epochs go on with them.
    """
    begun, taken = (epoch - 1) * steps * size, steps * size
    turns = range(1 + begun // rows, 2 + (begun + taken - 1) // rows)
    order = np.concatenate(
        [np.random.default_rng([SEED, turn, place]).permutation(rows) for turn in turns]
    )
    chosen = order[begun % rows :][:taken].reshape(steps, size)
    return torch.from_numpy(chosen)


def train_epoch(parts: Parts, columns: list[Tensor], epoch: int) -> float:
    """Trains on full batches of all rows of the first data set, and as many of each
    other; the order follows from seed and epoch.
    """
    model, optimizer = parts.values()
    model.train()
    rows, device = len(columns[0]), columns[0].device
    steps = max(1, rows // BATCH)
    order = np.random.default_rng([SEED, epoch]).permutation(rows)[: steps * BATCH]
    batches = torch.from_numpy(order).to(device).split(BATCH)
    inverted_batches = cycle_batches(len(columns[2]), steps, min(BATCH, rows), epoch, 1)
    batches = list(zip(batches, inverted_batches.to(device), strict=True))
    losses = torch.zeros(steps, device=device)
    bar = tqdm(batches, f"epoch {epoch}", leave=False, disable=not sys.stderr or None)
    for step, (chosen, inverted_chosen) in enumerate(bar):
        digits_image, digits_label = (column[chosen] for column in columns[:2])
        inverted_image, inverted_label = (
            column[inverted_chosen] for column in columns[2:]
        )
        loss, *_ = compute_loss(model["m"], digits_image, digits_label, inverted_image)
        model.zero_grad()
        loss.backward()
        optimizer.step()
        losses[step] = loss.detach()  # read once an epoch: reading makes a GPU wait
    if not losses.isfinite().all():
        step = int(losses.isfinite().logical_not().nonzero()[0])
        sys.exit(f"the loss is {losses[step]:g} at epoch {epoch}, step {step + 1}")
    return losses.mean().item()


@torch.no_grad()
def evaluate_digits(model: nn.Module, columns: list[Tensor]) -> dict[str, float]:
    """Figures over the rows of digits: loss, accuracy, apart."""
    model.eval()
    columns = repeat_rows(columns, len(columns[0]))
    rows = len(columns[0])
    loss_total_1 = loss_count_1 = loss_total_2 = correct = undefined = squares = 0
    count = 0
    for start in range(0, rows, BATCH):
        digits_image, digits_label, inverted_image, inverted_label = (
            column[start : start + BATCH] for column in columns
        )
        _, logits, h, h_2, cross_entropy, loss_term = compute_loss(
            model["m"], digits_image, digits_label, inverted_image
        )
        size = len(digits_image)
        loss_counted_1 = (digits_label != -100).sum()
        loss_total_1 += torch.where(
            loss_counted_1 > 0, cross_entropy.double() * loss_counted_1, 0
        )
        loss_count_1 += loss_counted_1
        loss_total_2 += loss_term.double() * size
        correct += (logits.argmax(1) == digits_label).sum()
        undefined += ((digits_label != -100) * (~logits.amax(1).isfinite())).sum()
        squares += (h.double() - h_2).square().sum()
        count += h_2.numel()
    sums = [
        loss_total_1,
        loss_count_1,
        loss_total_2,
        correct,
        undefined,
        squares,
        count,
    ]
    loss_total_1, loss_count_1, loss_total_2, correct, undefined, squares, count = map(
        float, sums
    )
    return {
        "loss": sum(
            [
                loss_total_1 / loss_count_1 if loss_count_1 else math.nan,
                loss_total_2 / rows,
            ]
        ),
        "accuracy": correct / loss_count_1 if not undefined else math.nan,
        "apart": squares / count,
    }


@torch.no_grad()
def evaluate_inverted(model: nn.Module, columns: list[Tensor]) -> dict[str, float]:
    """Figures over the rows of inverted: moved."""
    model.eval()
    columns = repeat_rows(columns, len(columns[2]))
    correct = count = undefined = 0
    for start in range(0, len(columns[0]), BATCH):
        digits_image, digits_label, inverted_image, inverted_label = (
            column[start : start + BATCH] for column in columns
        )
        logits_2 = compute_figures(model["m"], inverted_image)
        correct += (logits_2.argmax(1) == inverted_label).sum()
        count += (inverted_label != -100).sum()
        undefined += ((inverted_label != -100) * (~logits_2.amax(1).isfinite())).sum()
    correct, count, undefined = map(float, (correct, count, undefined))
    return {"moved": correct / count if not undefined else math.nan}


def evaluate(model: nn.Module, columns: list[Tensor]) -> dict[str, float]:
    """Loss and metrics over a split, of each data set over its own rows."""
    return evaluate_digits(model, columns) | evaluate_inverted(model, columns)


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
    parser = argparse.ArgumentParser(
        description="Trains Net on the data digits, inverted."
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
    model = nn.ModuleDict({"m": Net()}).to(device)
    optimizer = torch.optim.Adam(model.parameters(), lr=LEARNING_RATE, fused=True)
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
