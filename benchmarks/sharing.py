"""The part of `benchmarks/processes.py` that runs in each process: trains the scripts of folders,
one after the other. `python -m benchmarks.sharing NAME FOLDER…` leaves its results in
`FOLDER/NAME`; under torchrun the processes share each training.

Scripts compute in double precision and without what each process does for itself: batch norms take
their running statistics, as in evaluation, and nothing is dropped.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import torch.distributed as dist
from torch import Tensor, nn

from benchmarks.scripts import computing_in_double, import_script, turn_double

ROWS = 3
"""Batches of a split that are kept, and a row more."""
ALONE = int(os.environ.get("WORLD_SIZE", "1")) == 1


def main() -> None:
    """Trains in the folders that are named."""
    name, *folders = sys.argv[1:]
    leave_out_noise()
    if not ALONE:
        dist.init_process_group("gloo", timeout=timedelta(seconds=60))
        vars(dist)["init_process_group"] = lambda *_: None  # all scripts share this one
    for folder in map(Path, folders):
        try:
            with computing_in_double():
                train(folder, name)
        except (Exception, SystemExit):
            (folder / f"{name}-{os.environ.get('RANK', '0')}.txt").write_text(
                traceback.format_exc()
            )
    if not ALONE:
        dist.destroy_process_group()


def leave_out_noise() -> None:
    """Makes batch norms compute as they do in evaluation, and dropout do nothing."""

    def normalize(norm: Any, x: Tensor) -> Tensor:
        mean, variance = norm.running_mean, norm.running_var
        return nn.functional.batch_norm(x, mean, variance, norm.weight, norm.bias, eps=norm.eps)

    for kind in (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d):
        vars_of: Any = kind
        vars_of.forward = normalize
    vars(nn.functional)["dropout"] = lambda x, *_, **__: x


def train(folder: Path, name: str) -> None:
    """Runs the script of a folder on a few of the rows."""
    script = import_script(folder)
    vars(script)["load_splits"] = partial(load_few, script.load_splits, script.BATCH)
    data = (folder / "data.txt").read_text().splitlines()
    sys.argv = ["train.py", "--out", str(folder / name), "--device", "cpu", *data]
    script.main()


def load_few(
    load_splits: Callable[..., dict[str, list[Tensor]]], batch: int, *given: Any
) -> dict[str, list[Tensor]]:
    """The first rows of each split, in double precision."""
    count = ROWS * batch + 1
    splits = load_splits(*given)
    return {split: turn_double(c[:count] for c in columns) for split, columns in splits.items()}


if __name__ == "__main__":
    main()
