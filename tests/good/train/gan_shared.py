"""Trains Generator and Critic on the data digits.

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

from model import Critic, Generator

SEED = 0
BATCH = 64  # rows a step, of all processes together
EPOCHS = 2
LEARNING_RATES = [0.001, 0.002]
SETTINGS = {
    "constants": f"{SEED=} {BATCH=} {LEARNING_RATES=}",
    "epochs": f"{EPOCHS}",
    "optimizer critic": "adam(lr=0.001, betas=[0.5, 0.9], eps=1e-8, weight_decay=0.0, amsgrad=false, schedule=constant(warmup=0steps))",
    "over critic": "D.*",
    "optimizer generator": "adam(lr=0.002, betas=[0.5, 0.9], eps=1e-8, weight_decay=0.0, amsgrad=false, schedule=constant(warmup=0steps))",
    "over generator": "G.*",
    "every generator": "3",
    "processes": "ddp",
    "best epoch": "the last one is kept",
    "nets": "G 1420c46a3f57, D 472bd87600f3",
    "objective and metrics": "30abdc205304",
    "columns": "image 607ccc40326a",
    "split": "random, seed 0, train 0.8, val 0.1, test 0.1",
}

RANK = int(os.environ.get("RANK", "0"))  # torchrun sets these
WORLD = int(os.environ.get("WORLD_SIZE", "1"))

Parts = dict[str, Any]  # what a checkpoint holds the state of
Splits = dict[str, list[Tensor]]  # the columns of the rows of each split
History = list[dict[str, float]]  # what each finished epoch gave


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
    image_2 = x.unsqueeze(1)
    return {split: [image_2[chosen].to(device)] for split, chosen in splits.items()}


def compute_critic_loss(G: nn.Module, D: nn.Module, image: Tensor) -> Tensor:
    # image: [batch, 1, 8, 8]
    code = image.flatten(1)[:, 16:32]  # [batch, 16]
    fake = G(code)  # [batch, 1, 8, 8]
    x = F.softplus(-D(image)).mean()
    return x + F.softplus(D(fake)).mean()


def compute_generator_loss(G: nn.Module, D: nn.Module, image: Tensor) -> Tensor:
    # image: [batch, 1, 8, 8]
    code = image.flatten(1)[:, 16:32]  # [batch, 16]
    x = F.softplus(-D(G(code)))  # [batch]
    return x.mean()


def compute_figures(G: nn.Module, D: nn.Module, image: Tensor) -> Tensor:
    # image: [batch, 1, 8, 8]
    code = image.flatten(1)[:, 16:32]  # [batch, 16]
    fake = G(code)  # [batch, 1, 8, 8]
    return D(image).mean() - D(fake).mean()


def update(loss: Tensor, optimizer: torch.optim.Optimizer) -> Tensor:
    """Takes a step of an optimizer, for its own parameters alone; returns the loss."""
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    optimizer.zero_grad()
    loss.backward(inputs=parameters)
    if WORLD > 1:
        average_gradients(parameters)
    optimizer.step()
    return loss.detach()  # not read here: reading makes a GPU wait


def train_epoch(parts: Parts, columns: list[Tensor], epoch: int) -> dict[str, float]:
    """Trains on full batches of all rows and returns the mean of each step's loss; the
    order follows from seed and epoch.
    """
    model, critic_optimizer, generator_optimizer = parts.values()
    model.train()
    rows, device = len(columns[0]), columns[0].device
    steps = max(1, rows // BATCH)
    order = np.random.default_rng([SEED, epoch]).permutation(rows)[: steps * BATCH]
    batches = torch.from_numpy(order).to(device).split(BATCH)
    losses: dict[str, dict[int, Tensor]] = {"critic": {}, "generator": {}}
    hidden = RANK > 0 or not sys.stderr or None
    bar = tqdm(batches, f"epoch {epoch}", leave=False, disable=hidden)
    for step, chosen in enumerate(bar, 1 + (epoch - 1) * steps):
        image = columns[0][chosen[RANK::WORLD]]
        loss = compute_critic_loss(model["G"], model["D"], image)
        losses["critic"][step] = update(loss, critic_optimizer)
        if step % 3 == 0:
            loss = compute_generator_loss(model["G"], model["D"], image)
            losses["generator"][step] = update(loss, generator_optimizer)
    return {
        f"{name}.loss": read_mean(name, values)
        for name, values in losses.items()
        if values
    }


def read_mean(name: str, losses: dict[int, Tensor]) -> float:
    """The mean of the losses of a step; ends the training where one is not finite."""
    values = all_sum(torch.stack(list(losses.values()))) / WORLD
    if not values.isfinite().all():
        index = int(values.isfinite().int().argmin())
        step = list(losses)[index]
        sys.exit(f"the loss of {name} is {values[index]:g} at step {step}")
    return values.mean().item()


@torch.no_grad()
def evaluate(model: nn.Module, columns: list[Tensor]) -> dict[str, float]:
    """Loss and metrics over a split."""
    model.eval()
    rows, device = len(columns[0]), columns[0].device
    columns = [column[RANK::WORLD] for column in columns]
    critic_loss_total = generator_loss_total = total = 0
    for start in range(0, len(columns[0]), BATCH):
        image = columns[0][start : start + BATCH]
        critic_loss = compute_critic_loss(model["G"], model["D"], image)
        generator_loss = compute_generator_loss(model["G"], model["D"], image)
        gap = compute_figures(model["G"], model["D"], image)
        size = len(image)
        critic_loss_total += critic_loss.double() * size
        generator_loss_total += generator_loss.double() * size
        total += gap.double() * size
    sums = torch.tensor(
        [critic_loss_total, generator_loss_total, total],
        dtype=torch.float64,
        device=device,
    )
    critic_loss_total, generator_loss_total, total = all_sum(sums).tolist()
    return {
        "critic.loss": critic_loss_total / rows,
        "generator.loss": generator_loss_total / rows,
        "gap": total / rows,
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
    model, critic_optimizer, generator_optimizer = parts.values()
    while len(history) < epochs:
        epoch, started = len(history) + 1, time.perf_counter()
        trained = train_epoch(parts, splits["train"], epoch)
        for name, value in model.named_parameters():
            if not value.isfinite().all():
                sys.exit(f"{name} is not finite after epoch {epoch}")
        for buffer in model.buffers():  # running statistics: each process has its own
            if buffer.is_floating_point():
                all_sum(buffer).div_(WORLD)
        record = {"epoch": epoch}
        record |= {f"train.{name}": value for name, value in trained.items()}
        measured = evaluate(model, splits["val"])
        record |= {f"val.{name}": value for name, value in measured.items()}
        record["lr.critic"] = critic_optimizer.param_groups[0]["lr"]
        record["lr.generator"] = generator_optimizer.param_groups[0]["lr"]
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
        description="Trains Generator and Critic on the data digits."
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
    model = nn.ModuleDict({"G": Generator(), "D": Critic()}).to(device)
    critic_optimizer = torch.optim.Adam(
        model["D"].parameters(), lr=LEARNING_RATES[0], betas=(0.5, 0.9), fused=True
    )
    generator_optimizer = torch.optim.Adam(
        model["G"].parameters(), lr=LEARNING_RATES[1], betas=(0.5, 0.9), fused=True
    )
    parts = {
        "model": model,
        "critic_optimizer": critic_optimizer,
        "generator_optimizer": generator_optimizer,
    }
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
    model.load_state_dict(load_file(out / "best.safetensors"))
    results = {"epochs": len(history), "best_epoch": len(history)}
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
