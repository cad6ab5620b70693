"""Writes the folder of a training: model.py, train.py, README.md, the weights it starts from."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from backends.pytorch.modules import emit_module
from backends.pytorch.train.loading import reads_folder
from backends.pytorch.train.models import MASKS, START
from backends.pytorch.train.script import emit_script
from backends.pytorch.train.script_spec import ScriptSpec
from compiler.data.base import HELD
from compiler.data.codes import WORDS, find_long_lists
from compiler.ir.weights import write_weights
from compiler.loading import find_loaded
from compiler.program.train import Train
from compiler.system.files import replacing, write_text
from compiler.writing.markup import escape_markdown, write_code

Array = NDArray[Any]


class FileWriter(Protocol):
    """Who writes files that people may have edited."""

    def write(self, path: Path, text: str) -> None:
        """Writes a text file whole or not at all."""

    def replacing(self, *paths: Path) -> AbstractContextManager[None]:
        """Stands around the writing of other files."""


class PlainWriter:
    """Writes files over those that are there."""

    def write(self, path: Path, text: str) -> None:
        """Writes a text file whole or not at all."""
        write_text(path, text)

    def replacing(self, *paths: Path) -> AbstractContextManager[None]:
        """Lets files be replaced."""
        return nullcontext()


PLAIN = PlainWriter()


def write_training(
    train: Train,
    folder: Path,
    *,
    root: Path | None = None,
    start: Mapping[str, Array] | None = None,
    masks: Mapping[str, Array] | None = None,
    files: FileWriter = PLAIN,
) -> None:
    """Writes what is needed to train, each file whole or not at all.

    Args:
        train: a checked train.
        folder: where to.
        root: what the paths of weights that nets load start from; the spec's folder if None.
        start: weights to start from beside those that nets load, as the train calls them.
        masks: which numbers of a weight may change; the others are zero and stay so.
        files: who writes.

    Raises:
        CompileError: weights that a net loads cannot be read or do not fit.
        OSError: the folder cannot be written.
    """
    root = root or (train.span.source.folder if train.span is not None else Path())
    weights = {
        net.prefix + path: array
        for net in train.nets
        for path, array in find_loaded(net.net, root, folder.parent).items()
    }
    weights |= start or {}
    started = weights.keys() >= _list_averaged(train)
    starts, kept = hash_arrays(weights), hash_arrays(masks or {})
    script = ScriptSpec(train, starts=starts, masks=kept, starts_averages=started)
    texts = {
        "model.py": emit_module([net.net.graph for net in train.nets], title=train.name),
        "train.py": emit_script(script),
        "README.md": describe(train),
    }
    read = {item.name for item in script.column_graph.inputs}
    many = find_long_lists(column for column in train.data.schema if column.name in read)
    if many:
        texts[WORDS] = json.dumps(many, ensure_ascii=False, indent=0) + "\n"
    texts |= train.data.source.beside(root)
    for name, text in texts.items():
        files.write(folder / name, text)
    for name, arrays in ((START, weights), (MASKS, masks or {})):
        if arrays:
            with files.replacing(folder / name):
                write_weights(folder / name, arrays, {})
    _write_held(train.data.source.held(root), folder / HELD, files)


def _write_held(held: Mapping[str, Array], path: Path, files: FileWriter) -> None:
    """Rows of a source that no path leads to, beside the script."""
    if held:
        with files.replacing(path), replacing(path) as new:
            np.savez(new, **dict[str, Any](held))


def _list_averaged(train: Train) -> set[str]:
    """Paths of the weights of averages."""
    averages = (net for net in train.nets if net.average is not None)
    return {net.prefix + path for net in averages for path in net.net.graph.parameter}


def hash_arrays(arrays: Mapping[str, Array]) -> str:
    """A short checksum of arrays by name; empty where there are none."""
    digest = hashlib.sha256()
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        digest.update(f"{name} {array.dtype} {array.shape} ".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()[:12] if arrays else ""


def describe(train: Train) -> str:
    """README.md: one paragraph about the files and how to use them."""
    data = " --data FOLDER" if reads_folder(ScriptSpec(train)) else ""
    if not train.learns:
        return _describe_judging(train, data)
    shared = (
        " Under `torchrun` every batch is divided among the processes; batch norms then see their "
        "own process's rows only."
        if train.processes == "ddp"
        else ""
    )
    where = ", where FOLDER is what the paths of the data start from" if data else ""
    return (
        f"# {escape_markdown(train.name)}\n\n"
        f"`model.py` holds the networks as PyTorch modules, `train.py` trains them on the data "
        f"{write_code(train.data.name)}: "
        f"run `python train.py{data} --out RUN`{where}. It needs torch, "
        "numpy, safetensors, tqdm and what the data needs, and nothing of Weft. RUN then holds "
        "`metrics.jsonl` (a line per epoch), `best.safetensors` (the weights of the best epoch), "
        "`last.pt` (all that `--resume` needs to go on exactly where it stopped; "
        "`--overwrite` starts anew) and "
        f"`results.json` (the figures of the best weights).{shared}\n"
    )


def _describe_judging(train: Train, data: str) -> str:
    """README.md of a train that trains nothing."""
    where = ", where FOLDER is what the paths of the data start from" if data else ""
    return (
        f"# {escape_markdown(train.name)}\n\n"
        f"`model.py` holds the networks as PyTorch modules, `train.py` evaluates them on the data "
        f"{write_code(train.data.name)}: run `python train.py{data} --out RUN`{where}. It needs "
        "torch, numpy, safetensors and what the data needs, and nothing of Weft. RUN then holds "
        f"`best.safetensors` (the weights, as they were in `{START}`) and `results.json` (the "
        "figures).\n"
    )
