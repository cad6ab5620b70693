"""Runs a generated training script and reads what it leaves."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Any
from zipfile import BadZipFile, ZipFile

from backends.pytorch.train.script_spec import ScriptSpec
from backends.pytorch.train.settings import RESULTS, expand_settings, read_settings
from compiler.ir.weights import WeightsError, read_weights
from compiler.loading import read_training
from compiler.program.train import Train
from compiler.report.diagnostics import CompileError, Message
from compiler.report.messages.files import file_unreadable
from compiler.report.messages.holding import disk_full, reader_ended, row_unreadable
from compiler.report.messages.item_names import link_in_folder
from compiler.report.messages.training_machinery import compiler_missing, logger_missing
from compiler.report.messages.training_runs import (
    epochs_followed,
    loss_not_finite,
    no_best_epoch,
    nothing_to_resume,
    other_settings,
    training_device_missing,
    training_failed,
    training_file_missing,
    training_killed,
    training_out_of_memory,
    training_would_be_lost,
    weight_not_finite,
)
from compiler.report.messages.weights import weights_unreadable
from compiler.report.source import Span
from compiler.system.files import parse_json, read_json
from compiler.training.loggers import LOGGERS
from compiler.writing.python import show

Record = Mapping[str, float]
Table = Sequence[Sequence[float]]
"""A line of metrics.jsonl: `epoch`, `train.loss`, `val.loss`, `val.accuracy`, `lr`, `seconds`."""
LOG = "train.log"
"""The file with what the script wrote to its error output."""

NO_COMPILER = (
    r"(No working C\+\+ compiler found|Cannot find a working triton installation|CppCompileError)"
    r"[^\n]*"
)
"""What PyTorch says where it cannot compile a net."""

FOLLOW = """
import os, threading
threading.Thread(target=lambda: os.read(0, 1) or os._exit(1), daemon=True).start()
"""
"""Ends a process when its input does: who started it was killed, and may be followed by another."""
LAUNCH = f"""{FOLLOW}
import importlib.util, pathlib, runpy, sys
folder = pathlib.Path(sys.argv.pop(1))
spec = importlib.util.spec_from_file_location("model", folder / "model.py")
sys.modules["model"] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(sys.modules["model"])
runpy.run_path(str(folder / "train.py"), run_name="__main__")
"""
"""Runs a training script without its folder on the path of modules: `json.py` there, whoever has
put it there, is nobody's `json`, and `model` is the file beside the script and no other."""


WATCHED = Path(__file__).with_name("watched.py")
"""Runs a training script, and looks at the result of every layer."""


@dataclass(frozen=True)
class Results:
    """What a finished training reached: figures of the weights of the best epoch by split, and
    the seconds that its epochs took, those before an interruption included. `charts` are the
    figures that are no numbers, empty where they could not be measured."""

    epochs: int
    best_epoch: int
    figures: Mapping[str, Record]
    charts: Mapping[str, Mapping[str, Table]]
    seconds: float
    weights: Path


def run_training(
    folder: Path,
    *,
    data_root: Path,
    out: Path | None = None,
    resume: bool = False,
    overwrite: bool = False,
    device: str = "auto",
    epochs: int | None = None,
    on_progress: Callable[[Record], None] | None = None,
    span: Span | None = None,
    source: Span | None = None,
) -> Results:
    """Runs `train.py` to its end in a process of its own.

    The process reads from a pipe, so it ends at once, within an epoch too, when this one is
    killed.

    Args:
        folder: where `write_training` wrote.
        data_root: what paths of data start from.
        out: where results go; `folder` itself if None.
        resume: whether to go on after the last finished epoch, if there is one.
        overwrite: whether to start anew where a training was begun; without either, what one left
            is not touched.
        device: "auto", "cpu" or "cuda".
        epochs: how many in all, where those of a training that goes on may be more than before.
        on_progress: called with every finished epoch.
        span: the train in the spec, for messages.
        source: the source of its rows there.

    Raises:
        CompileError: the training failed; finished epochs are kept.
    """
    out = (out or folder).resolve()
    out.mkdir(parents=True, exist_ok=True)
    _refuse_links(out)
    given = ["--device", device] if device != "auto" else []
    command = [sys.executable, "-P", "-c", LAUNCH, str(folder.resolve()), "--out", str(out)]
    if resume and _can_resume(out):
        _refuse_damaged(out, span)
        command.append("--resume")
    elif resume or overwrite:
        command.append("--overwrite")
    command += [*given, *(["--epochs", str(epochs)] if epochs is not None else [])]
    status, said = _run(command, data_root, out, on_progress)
    if status:
        locate = partial(_find_layer, folder, data_root, out, given)
        raise CompileError([explain_failure(status, said, out / LOG, span, locate, source)])
    return read_results(out)


def _can_resume(out: Path) -> bool:
    """Whether there is something to go on from. A training that was killed before its first
    checkpoint begins anew, and so does one that lacks the weights of its best epoch so far: it may
    find no better ones."""
    return all((out / name).is_file() for name in ("last.pt", "best.safetensors"))


def _find_layer(folder: Path, data_root: Path, out: Path, given: Sequence[str]) -> str:
    """The first layer whose results are not finite in the epoch that a training ended in, which
    runs again from the state that it began with; empty where there is none. What the training left
    stays as it is."""
    with tempfile.TemporaryDirectory(prefix="weft-") as name:
        begun = out / "last.pt"
        if begun.is_file():
            shutil.copy(begun, name)
        command = [sys.executable, "-P", str(WATCHED), str(folder.resolve()), "--out", name]
        command += ["--resume"] * begun.is_file()
        done = subprocess.run(
            [*command, *given], cwd=data_root, capture_output=True, text=True, check=False
        )
    return done.stdout.strip().rpartition("\n")[2] if done.returncode == 0 else ""


def refuse_epochs(train: Train, epochs: int) -> None:
    """Refuses another number of epochs where something follows from how many there are.

    Raises:
        CompileError: the training would be another one from its first step on, or there is none.
    """
    if not train.learns or not ScriptSpec(train).extends:
        raise CompileError([epochs_followed(train.span, train.name, epochs, train.epochs)])


def refuse_loss(
    train: Train,
    out: Path,
    *,
    resume: bool = False,
    overwrite: bool = False,
    longer: bool = False,
) -> None:
    """Says before anything is written what `train.py` would refuse of a folder, as far as it
    does not depend on the numbers of the data. One that is to be `longer` may have other epochs.

    Raises:
        CompileError: a training was begun there, and is neither to be gone on with nor to be
            overwritten, or it has other settings.
    """
    found = [name for name in RESULTS if (out / name).exists()]
    if overwrite or not found or (resume and not train.learns):
        return
    if not resume:
        raise CompileError([training_would_be_lost(train.span, str(out))])
    if ("last.pt" in found) != ("best.safetensors" in found):
        raise CompileError([nothing_to_resume(train.span, str(out))])
    _refuse_damaged(out, train.span)
    wanted = read_settings(ScriptSpec(train))
    for name in found:
        if not name.endswith(".safetensors"):
            continue
        found_settings = _find_settings(out / name)
        if longer:
            found_settings = {**found_settings, "epochs": wanted["epochs"]}
        others = tuple(_compare(found_settings, wanted).values())
        if others:
            raise CompileError([other_settings(train.span, str(out / name), others)])


def find_other_settings(train: Train, weights: Path) -> dict[str, str]:
    """How the settings of a training that has left these weights differ from those of a train, by
    name; nothing where the file is of no training."""
    found = _find_settings(weights)
    return _compare(found, read_settings(ScriptSpec(train))) if found else {}


def _refuse_damaged(out: Path, span: Span | None) -> None:
    """Refuses to go on with files that a training did not leave so.

    Raises:
        CompileError: they cannot be read.
    """
    for path in (out / name for name in ("last.pt", "best.safetensors")):
        try:
            if path.suffix == ".pt" and path.exists():
                _check_archive(path)
            elif path.exists():
                read_weights(path)
        except WeightsError as error:
            raise CompileError([weights_unreadable(span, str(error), trained=True)]) from error


def _check_archive(path: Path) -> None:
    """Holds a file of `torch.save` to the checksums in it, which PyTorch does not read.

    Raises:
        WeightsError: the file is none, or a part of it has changed.
    """
    try:
        with ZipFile(path) as archive:
            damaged = archive.testzip()
    except (OSError, BadZipFile, NotImplementedError) as error:
        raise WeightsError(f"{path} is damaged: {error}") from error
    if damaged is not None:
        raise WeightsError(f"{path} is damaged: its part {show(damaged)} is not as it was written")


def _refuse_links(out: Path) -> None:
    """Refuses to write where a link would lead elsewhere; `.part` files are written too.

    Raises:
        CompileError: there is a link.
    """
    stems = {Path(name).stem for name in RESULTS}
    for path in sorted(out.iterdir()):
        if path.stem in stems and path.is_symlink():
            raise CompileError([link_in_folder(None, str(path), str(path.readlink()))])


def _find_settings(path: Path) -> Mapping[str, str]:
    """The settings that a file carries; none where it is not one of a training."""
    return expand_settings(read_training(path))


def _compare(found: Mapping[str, str], wanted: Mapping[str, str]) -> dict[str, str]:
    """How settings of a file differ from others; what only the script knows is left out."""
    unknown = {"data", "start", "masks"}
    return {
        name: f"{name} is {found.get(name)} there and {wanted.get(name)} here"
        for name in {**wanted, **found}
        if name not in unknown and found.get(name) != wanted.get(name)
    }


def _run(
    command: list[str], folder: Path, out: Path, on_progress: Callable[[Record], None] | None
) -> tuple[int, str]:
    """The exit status of a training, and what it wrote to its error output."""
    (out / LOG).unlink(missing_ok=True)  # it may be a link: what that leads to is not touched
    with (out / LOG).open("x+", encoding="utf-8", errors="replace") as log:
        process = subprocess.Popen(
            command,
            cwd=folder,
            stdin=subprocess.PIPE,  # which ends with this process
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
        try:
            assert process.stdin is not None
            assert process.stdout is not None
            _follow(process.stdout, out / "metrics.jsonl", on_progress)
            status = process.wait()
            process.stdin.close()
        except BaseException:
            process.terminate()
            process.wait()
            raise
        log.seek(0)
        return status, log.read()


def _follow(output: IO[str], metrics: Path, on_progress: Callable[[Record], None] | None) -> None:
    """Reports every epoch as soon as its line is printed, after it is in metrics.jsonl."""
    for line in output:
        found = re.match(r"epoch (\d+)\b", line)
        if on_progress is None or found is None:
            continue
        for record in read_metrics(metrics):
            if record["epoch"] == int(found[1]):
                on_progress(record)


def read_metrics(path: Path) -> list[Record]:
    """The records of finished epochs, in order; none where there is no file yet. A line that is
    no record, because it was cut short or is someone else's, is left out."""
    if not path.is_file():
        return []
    lines = path.read_bytes().splitlines(keepends=True)
    found = [_read_record(line) for line in lines if line.endswith(b"\n")]
    return [record for record in found if record is not None]


def _read_record(line: bytes) -> Record | None:
    record = parse_json(line)
    if not isinstance(record, dict) or not {"epoch", "seconds"} <= record.keys():
        return None
    return record if all(map(_is_number, record.values())) else None


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_table(value: object) -> bool:
    """Whether it is lists of numbers, all as long."""
    if not isinstance(value, list) or not all(isinstance(row, list) for row in value):
        return False
    numbers = all(_is_number(number) for row in value for number in row)
    return numbers and len({len(row) for row in value}) <= 1


def read_results(out: Path) -> Results:
    """What a finished training left in its folder.

    Raises:
        CompileError: it is not finished, or what it left is damaged.
    """
    path = out / "results.json"
    found = read_json(path)
    if not isinstance(found, dict) or not all(
        type(found.get(name)) is int for name in ("epochs", "best_epoch")
    ):
        raise CompileError([file_unreadable(None, str(path), "no training has written it so")])
    splits = {name: value for name, value in found.items() if isinstance(value, dict)}
    figures = {split: _choose(measured, _is_number) for split, measured in splits.items()}
    charts = {split: _choose(measured, _is_table) for split, measured in splits.items()}
    if any(len(figures[s]) + len(charts[s]) < len(measured) for s, measured in splits.items()):
        raise CompileError([file_unreadable(None, str(path), "no training has written it so")])
    seconds = sum(record["seconds"] for record in read_metrics(out / "metrics.jsonl"))
    weights = out / "best.safetensors"
    return Results(found["epochs"], found["best_epoch"], figures, charts, seconds, weights)


def _choose(measured: Mapping[str, Any], fits: Callable[[object], bool]) -> dict[str, Any]:
    return {name: value for name, value in measured.items() if fits(value)}


def explain_failure(
    status: int,
    said: str,
    log: Path,
    span: Span | None,
    locate: Callable[[], str] = str,
    source: Span | None = None,
) -> Message:
    """The message for what the script said before it ended with an error; `locate` finds the layer
    in which a loss that is not finite begins. Of rows that cannot be read it stands at the
    `source`."""
    if status < 0:
        return training_killed(span, signal.Signals(-status).name)
    if found := re.search(NO_COMPILER, said):
        return compiler_missing(span, found[0])
    lines = [line for line in said.splitlines() if line.strip()]
    reason = lines[-1].strip() if lines else f"exit status {status}"
    if found := re.fullmatch(r"FileNotFoundError: .*: '(.+)'", reason):
        return training_file_missing(span, found[1])
    if found := re.search(r"^RuntimeError: row (\d+), (.+?): (.*)$", said, re.MULTILINE):
        return row_unreadable(source or span, int(found[1]), found[2], found[3])
    if found := re.search(r"DataLoader worker \(pid.*?\) (?:is killed by|exited)[^\n]*", said):
        return reader_ended(source or span, found[0].rstrip("."))
    if found := re.search(r"^OSError: \[Errno 28\][^\n]*", said, re.MULTILINE):
        return disk_full(span, found[0])
    if found := re.fullmatch(r"(.+) holds a training: .*", reason):
        return training_would_be_lost(span, found[1])
    if found := re.fullmatch(r"(.+) was trained with ({.+}), not ({.+})", reason):
        return other_settings(span, found[1], (f"it has {found[2]}", f"wanted is {found[3]}"))
    if found := re.fullmatch(r"(.+) was not a number in any epoch", reason):
        return no_best_epoch(span, found[1])
    if found := re.fullmatch(
        r"the loss(?: of (.+))? is (\S+) at ((?:epoch \d+, )?step \d+)", reason
    ):
        return loss_not_finite(span, found[2], found[3], found[1], locate())
    if found := re.fullmatch(r"(\S+) is not finite after epoch (\d+)", reason):
        return weight_not_finite(span, found[1], int(found[2]))
    if found := re.fullmatch(r"ModuleNotFoundError: No module named '(.+)'", reason):
        package = found[1].partition(".")[0]
        missing = next((one for one in LOGGERS.values() if one.package == package), None)
        if missing is not None:
            return logger_missing(span, package, missing.install)
    if re.match(r"torch\.(cuda\.)?OutOfMemoryError\b", reason):
        return training_out_of_memory(span)
    if re.search(r"not compiled with CUDA|No CUDA GPUs|no NVIDIA driver", reason):
        return training_device_missing(span)
    return training_failed(span, reason, str(log))
