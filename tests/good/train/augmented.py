"""Trains Net on the data digits.

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

SEED = 4
BATCH = 64  # rows a step
EPOCHS = 3
LEARNING_RATE = 0.001
SETTINGS = {
    "constants": f"{SEED=} {BATCH=} {LEARNING_RATE=}",
    "epochs": f"{EPOCHS}",
    "optimizer": "adam(lr=0.001, betas=[0.9, 0.999], eps=1e-8, weight_decay=0.0, amsgrad=false, schedule=constant(warmup=0steps))",
    "best epoch": "by val.accuracy, higher is better",
    "nets": "fit 2e4beaee48bc",
    "objective and metrics": "a3e444009b24",
    "columns": "image, label 306eb36bfb5b",
    "augmentation": "image 8cd55ac1e802",
    "split": "random, seed 0, train 0.8, val 0.1, test 0.1, stratified by label",
}

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
    """The columns `image` and `label` of every split, on the device."""
    with np.load(folder / "digits.npz") as file:
        image = torch.tensor(file["image"].astype(np.uint8))
        label = torch.tensor(file["label"].astype(np.int64))
    rows = len(image)
    labels = label.numpy()
    order = np.random.default_rng(0).permutation(rows)
    _, classes, counts = np.unique(
        labels[order], return_inverse=True, return_counts=True
    )
    by_class = np.argsort(classes, kind="stable")
    place = np.empty(rows)
    place[by_class] = np.arange(rows) - np.repeat(np.cumsum(counts) - counts, counts)
    order = order[np.argsort((place + 0.5) / counts[classes], kind="stable")]
    splits = {
        "train": order[: round(0.8 * rows)],
        "val": order[round(0.8 * rows) : round(0.9 * rows)],
        "test": order[round(0.9 * rows) : rows],
    }
    image = image / 16  # [rows, 8, 8]
    image = image.unsqueeze(1)  # [rows, 1, 8, 8]
    for chosen in splits.values():
        check_range("label", label[chosen], 0, 9, -100)
    return {
        split: [image[chosen].to(device), label[chosen].to(device)]
        for split, chosen in splits.items()
    }


def join_grid(columns: Tensor, rows: Tensor) -> Tensor:
    """The grid for `grid_sample` of places along both axes of each image: `f32[n, h, w,
    2]`."""
    # columns: [n, w]; rows: [n, h]
    x = columns[:, None, :].expand(-1, rows.shape[1], -1)  # [n, h, w]
    y = rows[:, :, None].expand(-1, -1, columns.shape[1])
    return torch.stack([x, y], dim=-1)


def sample_both(
    x: Tensor, grid: Tensor, mode: str = "bilinear", padding: str = "zeros"
) -> Tensor:
    """Images at the places of a grid, as `grid_sample`, and a mask at the same ones:
    the mask's nearest pixel, 0 beyond its edge. A mask is `[n, h, w]` or `[n, k, h,
    w]`, of any dtype."""
    # x: [n, c, h, w]; grid: [n, 8, 8, 2]
    return F.grid_sample(x, grid, mode=mode, padding_mode=padding, align_corners=False)


def random_crop(
    x: Tensor, draws: torch.Generator, size: int, width: int, padding: int = 0
) -> Tensor:
    """A piece of each image, `size` by `size` pixels or `size` by `width`, at a random
    place. With `padding` the image is first made larger by so many pixels of 0 on every
    side."""
    # x: [n, c, h, w]
    n, _, h, w = x.shape
    top = torch.randint(
        -padding,
        h + padding - size + 1,
        (n,),
        generator=draws,
        device=x.device,
    )  # [n]
    left = torch.randint(
        -padding,
        w + padding - width + 1,
        (n,),
        generator=draws,
        device=x.device,
    )
    columns = 2 * (left[:, None] + torch.arange(width, device=x.device))  # [n, width]
    columns = (columns + 1) / w - 1
    rows = 2 * (top[:, None] + torch.arange(size, device=x.device))  # [n, size]
    rows = (rows + 1) / h - 1
    return sample_both(x, join_grid(columns, rows), mode="nearest")


def random_span(length: Tensor, draws: torch.Generator, size: int) -> Tensor:
    """Which of `size` entries a stretch of some length covers, `bool[n, size]`, at a
    random place."""
    # length: [n]
    x = torch.rand(length.shape[0], generator=draws, device=length.device)  # [n]
    y = size - length + 1
    start = torch.floor(x * y)[:, None]  # [n, 1]
    at = torch.arange(size, device=length.device).float()  # [size]
    x = at < start + length[:, None]  # [n, size]
    return (at >= start) & x


def random_box(
    high: Tensor, wide: Tensor, draws: torch.Generator, h: int, w: int
) -> Tensor:
    """Where a box of whole pixels lies at a random place of an image, `bool[n, h, w]`:
    all places where it fits are as likely."""
    # high: [n]; wide: [n]
    rows = random_span(high, draws, h)  # [n, h]
    columns = random_span(wide, draws, w)  # [n, w]
    return rows[:, :, None] & columns[:, None, :]  # [n, h, w]


def random_erasing(
    x: Tensor,
    draws: torch.Generator,
    p: float = 0.5,
    scale: tuple[float, ...] = (0.02, 0.33),
    ratio: tuple[float, ...] = (0.3, 3.3),
    value: float = 0.0,
) -> Tensor:
    """A rectangle of each image set to `value`, in rows drawn with probability p (Zhong
    et al. 2017). It has a share of the area, drawn from `scale`, and a ratio of height
    to width whose logarithm is drawn evenly from `ratio`; what would be beyond the
    image is cut off."""
    # x: [n, c, h, w]
    n, _, h, w = x.shape
    y = torch.rand(n, generator=draws, device=x.device) < p  # [n]
    z = torch.empty(n, device=x.device).uniform_(scale[0], scale[1], generator=draws)
    y = y.float()
    area = z * y * h * w
    y = torch.empty(n, device=x.device)
    stretch = y.uniform_(math.log(ratio[0]), math.log(ratio[1]), generator=draws)
    stretch = torch.exp(stretch)
    high = torch.round(torch.sqrt(area * stretch)).clamp(max=h)
    wide = torch.round(torch.sqrt(area / stretch)).clamp(max=w)
    inside = random_box(high, wide, draws, h, w)  # [n, h, w]
    return torch.where(inside[:, None], value, x)  # [n, c, h, w]


def augment(image: Tensor, draws: torch.Generator) -> Tensor:
    # image: [batch, 1, 8, 8]
    return random_erasing(random_crop(image, draws, 8, 8, padding=1), draws, p=0.3)


def train_epoch(parts: Parts, columns: list[Tensor], epoch: int) -> float:
    """Trains on full batches of all rows; the order, as are draws, follows from seed and epoch."""
    model, optimizer = parts.values()
    model.train()
    rows, device = len(columns[0]), columns[0].device
    draws = torch.Generator(device).manual_seed(SEED + 1000 * epoch + 500)
    steps = max(1, rows // BATCH)
    order = np.random.default_rng([SEED, epoch]).permutation(rows)[: steps * BATCH]
    batches = torch.from_numpy(order).to(device).split(BATCH)
    losses = torch.zeros(steps, device=device)
    bar = tqdm(batches, f"epoch {epoch}", leave=False, disable=not sys.stderr or None)
    for step, chosen in enumerate(bar):
        image, label = (column[chosen] for column in columns)
        image = augment(image, draws)
        loss_total = F.cross_entropy(model(image), label, reduction="sum")
        loss_counted = (label != -100).sum().clamp(min=1)
        loss = loss_total / loss_counted
        model.zero_grad()
        loss.backward()
        optimizer.step()
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
        image, label = (column[start : start + BATCH] for column in columns)
        logits = model(image)  # [batch, 10]
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
    parser = argparse.ArgumentParser(description="Trains Net on the data digits.")
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

    splits = load_splits(options.data, device)
    data = [zlib.crc32(c.cpu().ravel().numpy()) for s in splits.values() for c in s]
    SETTINGS["data"] = repr(data)  # with other numbers it is another training
    torch.manual_seed(SEED)
    model = Net().to(device)
    optimizer = torch.optim.Adam(model.parameters(), lr=LEARNING_RATE, fused=True)
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
