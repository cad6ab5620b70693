"""An inspection: everything that is asked for of a trained net, written into a folder."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compiler.program.train import Train, TrainedNet
from compiler.report.diagnostics import CompileError
from compiler.report.messages.files import unknown_item
from compiler.report.messages.inspecting import nothing_to_show
from compiler.report.suggestions import did_you_mean
from compiler.system.files import parse_json, replacing, write_text
from compiler.writing.names import name_all, safe_name
from weft.inspection.methods import METHODS, Drawn, Found, NothingToShow, draw_inputs
from weft.inspection.page import SUMMARY, write_inspection
from weft.inspection.pictures import write_png
from weft.inspection.subject import Subject, describe_rows

Array = NDArray[Any]
PAGE = "inspect.html"
INSPECTED = "inspect"
"""The folder of a training that inspections are written to."""


def find_folder(train: Train, net: TrainedNet, folder: Path) -> Path:
    """Where an inspection of a net is written, in the folder of its training: of several nets each
    has its own."""
    if len(train.nets) == 1:
        return folder / INSPECTED
    return folder / INSPECTED / name_all(other.name for other in train.nets)[net.name]


def list_inspected(train: Train, folder: Path) -> list[Path]:
    """Where inspections of the nets of a train would be, in the folder of its training."""
    return [find_folder(train, net, folder) for net in train.nets]


FEATURES, MARKS = "features.npz", "attributions.npz"


def choose_methods(names: Sequence[str]) -> tuple[str, ...]:
    """The ways of looking that were asked for; all, where none was.

    Raises:
        CompileError: there is none of that name.
    """
    known = tuple(METHODS)
    faults = [
        unknown_item(None, "way of looking", name, known, did_you_mean(name, known))
        for name in names
        if name not in METHODS
    ]
    if faults:
        raise CompileError(faults)
    return tuple(name for name in known if name in names) if names else known


def inspect_net(subject: Subject, names: Sequence[str], folder: Path) -> dict[str, Any]:
    """Looks into a net, and writes pictures, numbers and a page into a folder.

    Args:
        subject: the net and the rows.
        names: the ways of looking that were asked for by name; none: all that apply.
        folder: where to; what an earlier inspection has written there is replaced.

    Returns:
        What `inspect.json` holds.

    Raises:
        CompileError: one that was asked for shows nothing, or there is no such layer or class.
        OSError: the folder cannot be written.
    """
    found: dict[str, Found] = {}
    left_out: dict[str, str] = {}
    rows = describe_rows(subject)
    for name in choose_methods(names):
        try:
            found[name] = METHODS[name](subject)
        except NothingToShow as reason:
            if names or (name == "grad-cam" and subject.choice.layer is not None):
                raise CompileError([nothing_to_show(None, name, str(reason))]) from reason
            left_out[name] = str(reason)
    drawn = [*draw_inputs(subject), *(p for one in found.values() for p in one.pictures)]
    files = {_name_file(picture, subject): picture for picture in drawn}
    summary = {
        "net": f"{subject.train.name}.{subject.net.name}"
        if subject.net.prefix
        else (subject.train.name),
        "weights": str(subject.weights_file),
        "sha256": hash_file(subject.weights_file),
        "split": subject.split,
        "rows": rows,
        "methods": {name: dict(one.notes) for name, one in found.items()},
        "left_out": left_out,
        "pictures": [
            {"file": file, "title": picture.title, "row": picture.row}
            for file, picture in files.items()
        ],
        "files": [*files, *_list_numbers(found)],
    }
    _write(folder, summary, files, found, subject.rows)
    return summary


def hash_file(path: Path) -> str:
    """As `sha256sum` says it."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _name_file(picture: Drawn, subject: Subject) -> str:
    row = "" if picture.row is None else f"-{subject.rows[picture.row]}"
    return f"{safe_name(picture.name)}{row}.png"


def _list_numbers(found: Mapping[str, Found]) -> Iterator[str]:
    if any(one.arrays for name, one in found.items() if name != "features"):
        yield MARKS
    if "features" in found:
        yield FEATURES


def _write(
    folder: Path,
    summary: Mapping[str, Any],
    files: Mapping[str, Drawn],
    found: Mapping[str, Found],
    rows: Array,
) -> None:
    """Writes an inspection: the summary last, after what an earlier one has left is gone."""
    _remove_earlier(folder, {*summary["files"], PAGE, SUMMARY})
    for name, picture in files.items():
        write_png(folder / name, picture.picture)
    marks = {
        name: array
        for method, one in found.items()
        if method != "features"
        for name, array in one.arrays.items()
    }
    if marks:
        _write_arrays(folder / MARKS, {"rows": rows, **marks})
    if "features" in found:
        _write_arrays(folder / FEATURES, found["features"].arrays)
    write_text(folder / PAGE, write_inspection(summary))
    text = json.dumps(summary, indent=2, ensure_ascii=False)
    write_text(folder / SUMMARY, text + "\n")


def _write_arrays(path: Path, arrays: Mapping[str, Array]) -> None:
    with replacing(path) as part, part.open("wb") as file:
        np.savez_compressed(file, **arrays)  # type: ignore[arg-type]


def _remove_earlier(folder: Path, kept: set[str]) -> None:
    """Removes the files of an earlier inspection that this one does not write."""
    try:
        found = parse_json((folder / SUMMARY).read_bytes())
    except OSError:
        return
    listed = found.get("files", []) if isinstance(found, dict) else []
    for name in listed if isinstance(listed, list) else []:
        known = isinstance(name, str) and name.endswith((".png", ".npz")) and name not in kept
        if known and Path(name).name == name:
            (folder / name).unlink(missing_ok=True)
