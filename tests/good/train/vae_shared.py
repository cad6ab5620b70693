"""Trains Encoder and Decoder on the data digits.

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

from model import Decoder, Encoder

SEED = 3
BATCH = 64  # rows a step, of all processes together
EPOCHS = 3
LEARNING_RATE = 0.001
SETTINGS = {
    "constants": f"{SEED=} {BATCH=} {LEARNING_RATE=}",
    "epochs": f"{EPOCHS}",
    "optimizer": "adam(lr=0.001, betas=[0.9, 0.999], eps=1e-8, weight_decay=0.0, amsgrad=false, schedule=constant(warmup=0steps))",
    "processes": "ddp",
    "best epoch": "by val.elbo, higher is better",
    "nets": "encoder ead5bd793f6b, decoder aee0a2b541fa",
    "objective and metrics": "dbbe68b7087e",
    "columns": "image c36d2f2bc49e",
    "split": "random, seed 0, train 0.8, val 0.1, test 0.1",
}

RANK = int(os.environ.get("RANK", "0"))  # torchrun sets these
WORLD = int(os.environ.get("WORLD_SIZE", "1"))

Parts = dict[str, Any]  # what a checkpoint holds the state of
Splits = dict[str, list[Tensor]]  # the columns of the rows of each split
History = list[dict[str, float]]  # what each finished epoch gave


def check_range(name: str, column: Tensor, low: float, high: float) -> None:
    """Ends the process where data that has changed does not fit the objective."""
    inside = (column >= low - 1e-6) & (column <= high + 1e-6)
    if not inside.all():
        found = column[~inside][0].item()
        sys.exit(f"the column {name!r} holds {found:g}: {low:g} to {high:g} are taken")


def load_splits(folder: Path, device: str) -> Splits:
    """The columns `image` of every split, on the device."""
    with np.load(folder / "digits.npz") as file:
        image = torch.tensor(file["image"].astype(np.uint8))
    rows = len(image)
    order = np.random.default_rng(0).permutation(rows)
    splits = {
        "train": order[: round(0.8 * rows)],
        "val": order[round(0.8 * rows) : round(0.9 * rows)],
        "test": order[round(0.9 * rows) : rows],
    }
    x = image / 16  # [rows, 8, 8]
    image_2 = x.flatten(1)
    for chosen in splits.values():
        check_range("image", image_2[chosen], 0, 1)
    return {split: [image_2[chosen].to(device)] for split, chosen in splits.items()}


def draw(mu: Tensor, logvar: Tensor, draws: torch.Generator, batch_rows: int) -> Tensor:
    # mu: [n, z]; logvar: [n, z]
    x = torch.exp(0.5 * logvar)  # [n, z]
    y = torch.randn(batch_rows, 4, generator=draws, device=mu.device)[RANK::WORLD]
    return mu + x * y


def compute_loss(
    encoder: nn.Module,
    decoder: nn.Module,
    image: Tensor,
    draws: torch.Generator,
    batch_rows: int,
) -> tuple[Tensor, Tensor]:
    # image: [batch, 64]
    mu, logvar = encoder(image)
    code = draw(mu, logvar, draws, batch_rows)  # [batch, 4]
    logits = decoder(code)  # [batch, 64]
    likelihood = F.binary_cross_entropy_with_logits(logits, image, reduction="sum")
    likelihood = likelihood / image.shape[0]
    divergence = -0.5 * (1 + logvar - mu**2 - torch.exp(logvar))  # [batch, 4]
    divergence = divergence.sum(1).mean()
    loss = likelihood + 0.5 * divergence
    elbo = -likelihood - divergence
    return loss, elbo


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
    hidden = RANK > 0 or not sys.stderr or None
    bar = tqdm(batches, f"epoch {epoch}", leave=False, disable=hidden)
    for step, chosen in enumerate(bar):
        batch_rows = len(chosen)
        image = columns[0][chosen[RANK::WORLD]]
        loss, _ = compute_loss(
            model["encoder"], model["decoder"], image, draws, batch_rows
        )
        model.zero_grad()
        loss.backward()
        if WORLD > 1:
            average_gradients(model.parameters())
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
    draws = torch.Generator(device).manual_seed(SEED + 500)
    loss_total = total = 0
    for start in range(0, rows, BATCH):
        batch_rows = len(columns[0][start : start + BATCH])
        if batch_rows <= RANK:
            break  # no row of the last batch is left
        image = columns[0][start : start + BATCH][RANK::WORLD]
        loss, elbo = compute_loss(
            model["encoder"], model["decoder"], image, draws, batch_rows
        )
        size = len(image)
        loss_total += loss.double() * size
        total += elbo.double() * size
    sums = torch.tensor([loss_total, total], dtype=torch.float64, device=device)
    loss_total, total = all_sum(sums).tolist()
    return {"loss": loss_total / rows, "elbo": total / rows}


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
    """The epoch of the best val.elbo; among equals, of the lowest val.loss."""
    scores = [(record["val.elbo"], -record["val.loss"]) for record in history]
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
        description="Trains Encoder and Decoder on the data digits."
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
    model = nn.ModuleDict({"encoder": Encoder(), "decoder": Decoder()}).to(device)
    optimizer = torch.optim.Adam(model.parameters(), lr=LEARNING_RATE, fused=True)
    parts = {"model": model, "optimizer": optimizer}
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
        sys.exit("val.elbo was not a number in any epoch")
    model.load_state_dict(load_file(out / "best.safetensors"))
    results = {"epochs": len(history), "best_epoch": find_best(history)}
    results["draws"] = f"of the train, from seed {SEED + 500} for every split"
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
