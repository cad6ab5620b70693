"""Paths of data: found relative to the spec's folder, or refused with what is there instead."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from compiler.diagnostics import Fault, did_you_mean
from compiler.messages.data import BadSetting, DataFileBroken, DataFileMissing, UnknownColumn


def find_file(folder: Path, path: str, option: str = "path") -> Path:
    """The file that a source names in its option.

    Raises:
        Fault: it does not exist, or is a folder.
    """
    found = folder / path
    if found.is_dir():
        refuse_file(path, "it is a folder", option=option)
    if not found.is_file():
        _refuse_missing(folder, path, option, is_folder=False)
    return found


def find_files(folder: Path, path: str, option: str = "path") -> list[Path]:
    """The files that a source names, in the order of their names: one, or those that a pattern
    such as `jets/*.parquet` matches.

    Raises:
        Fault: there is none, or it is a folder.
    """
    if not set("*?[") & set(path) or (folder / path).exists():
        return [find_file(folder, path, option)]
    root = Path(Path(path).anchor)  # empty where the path is relative
    start = root if root.is_absolute() else folder
    found = sorted(start.glob(str(Path(path).relative_to(root))))
    if not found:
        _refuse_missing(folder, path, option, is_folder=False)
    return found


def find_folder(folder: Path, path: str, option: str = "folder") -> Path:
    """The folder that a source names in its option.

    Raises:
        Fault: it does not exist, or is a file.
    """
    found = folder / path
    if found.is_file():
        refuse_file(path, "it is a file, and a folder is needed", option=option)
    if not found.is_dir():
        _refuse_missing(folder, path, option, is_folder=True)
    return found


def refuse_file(path: str, reason: str, advice: str = "", option: str = "path") -> NoReturn:
    """Raises the `Fault` of a file that is not what its format promises."""
    raise Fault(lambda where: DataFileBroken(where.argument(option), path, reason, advice))


def refuse_setting(owner: str, name: str, value: object, expected: str) -> NoReturn:
    """Raises the `Fault` of a setting that means nothing."""
    raise Fault(lambda where: BadSetting(where.argument(name), owner, name, str(value), expected))


def refuse_column(name: str, known: Sequence[str], option: str = "columns") -> NoReturn:
    """Raises the `Fault` of a column that a source does not have."""
    suggestion = did_you_mean(name, known)
    raise Fault(lambda where: UnknownColumn(where.argument(option), name, tuple(known), suggestion))


def _refuse_missing(folder: Path, path: str, option: str, *, is_folder: bool) -> NoReturn:
    place, suggestion = folder / path, None
    while place != place.parent and not place.parent.is_dir():
        place = place.parent
    if place.parent.is_dir():
        names = sorted(entry.name for entry in place.parent.iterdir())
        close = did_you_mean(place.name, names)
        if close is not None:
            suggestion = _respell(folder, path, place, close)
    looked_in = str(place.parent)
    raise Fault(
        lambda where: DataFileMissing(
            where.argument(option), path, looked_in, suggestion, is_folder
        )
    )


def _respell(folder: Path, path: str, place: Path, close: str) -> str:
    """The path as written, with the part that does not exist replaced by what does."""
    rest = (folder / path).relative_to(place)
    mended = place.parent / close / rest
    written = Path(path)
    if written.is_absolute():
        return str(mended)
    depth = len(rest.parts)
    parts = list(written.parts)
    parts[len(parts) - 1 - depth] = close
    return str(Path(*parts))
