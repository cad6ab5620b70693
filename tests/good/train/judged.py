"""Evaluates Ensemble on the data digits.

python train.py   results in ./run
"""

import sys

sys.path.append(sys.path.pop(0))  # no file beside this one, json.py say, hides a module

import argparse
import json
import math
import zlib
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from sklearn.datasets import load_digits
from torch import Tensor, nn

from model import Ensemble

SEED = 0
BATCH = 256  # rows at once
SETTINGS = {
    "constants": f"{SEED=} {BATCH=}",
    "nets": "judged 4fce40937729",
    "objective and metrics": "4e27958ff768",
    "columns": "image, label 306eb36bfb5b",
    "words": '{"label": ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"]}',
    "split": "random, seed 0, train 0.8, val 0.1, test 0.1",
}

Splits = dict[str, list[Tensor]]  # the columns of the rows of each split


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


@torch.no_grad()
def evaluate(model: nn.Module, columns: list[Tensor]) -> dict[str, float]:
    """Metrics over a split."""
    model.eval()
    rows = len(columns[0])
    correct = undefined = total = nll_undefined = disagreement_total = 0
    for start in range(0, rows, BATCH):
        image, label = (column[start : start + BATCH] for column in columns)
        probability, disagreement = model(image)
        classes = label.long()
        nll_chosen = probability.double().gather(1, classes.unsqueeze(1)).squeeze(1)
        logs = nll_chosen.clamp(min=1e-12).log()
        inside = (probability.amin(1) >= -0.001) & (probability.amax(1) <= 1.001)
        correct += (probability.argmax(1) == label).sum()
        undefined += (~probability.amax(1).isfinite()).sum()
        total += logs.sum()
        nll_undefined += (~inside).sum()
        disagreement_total += disagreement.double().sum()
    sums = [correct, undefined, total, nll_undefined, disagreement_total]
    correct, undefined, total, nll_undefined, disagreement_total = map(float, sums)
    return {
        "accuracy": correct / rows if not undefined else math.nan,
        "nll": -total / rows if not nll_undefined else math.nan,
        "disagreement": disagreement_total / rows,
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description="Evaluates Ensemble on the data digits."
    )
    parser.add_argument("--out", type=Path, default="run", help="folder for results")
    parser.add_argument("--overwrite", action="store_true", help="evaluate anew")
    parser.add_argument("--device", help="cuda where there is one, else cpu")
    options = parser.parse_args()
    device = options.device or ("cuda" if torch.cuda.is_available() else "cpu")
    out, part = options.out, options.out / "best.part"
    if (out / "best.safetensors").exists() and not options.overwrite:
        sys.exit(f"{out} holds a training: give --overwrite or another --out")

    out.mkdir(parents=True, exist_ok=True)
    splits = load_splits(device)
    data = [zlib.crc32(c.cpu().ravel().numpy()) for s in splits.values() for c in s]
    SETTINGS["data"] = repr(data)  # of other numbers there are other figures
    torch.manual_seed(SEED)
    model = Ensemble().to(device)
    weights = dict(sorted(model.state_dict().items()))
    crc = zlib.crc32(json.dumps(SETTINGS).encode())
    for value in weights.values():
        crc = zlib.crc32(value.cpu().flatten().view(torch.uint8).numpy(), crc)
    note = json.dumps({"settings": SETTINGS, "checksum": crc})
    save_file(weights, part, {"training": note})
    part.replace(out / "best.safetensors")
    results = {"epochs": 0, "best_epoch": 0}
    for split in ("val", "test"):
        results[split] = evaluate(model, splits[split])
    text = json.dumps(results, indent=2)
    print(text)
    (out / "results.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
