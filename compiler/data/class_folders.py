"""Folders of files whose subfolders are classes."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

from compiler.data.files import find_folder, refuse_file
from compiler.report.diagnostics import Fault
from compiler.report.messages.data import nothing_in_folder
from compiler.system.files import name_kind


def list_files(folder: Path, path: str, suffixes: Collection[str], kinds: str) -> list[Path]:
    """The files with some suffixes in a folder and its subfolders, in the order of their paths.

    Args:
        folder: what the path is relative to.
        path: the folder that a source names.
        suffixes: what names of files end with, in small letters.
        kinds: what such files are, in a message.

    Raises:
        Fault: there is none, or one is no file.
    """
    root = find_folder(folder, path)
    try:
        paths = sorted(p for p in root.rglob("*") if p.suffix.lower() in suffixes)
    except OSError as error:  # a folder that went away meanwhile
        refuse_file(path, error.strerror or str(error), option="folder")
    if not paths:
        raise Fault(lambda w: nothing_in_folder(w.argument("folder"), path, kinds))
    for found in paths:
        kind = name_kind(found)
        if kind is not None:
            refuse_file(found.name, kind, option="folder")
    return paths


def name_classes(root: Path, path: str, paths: Sequence[Path]) -> tuple[str, ...]:
    """Names of the subfolders that hold files; none where the folder itself holds them.

    Raises:
        Fault: some lie in subfolders, and others beside these.
    """
    parts = [found.relative_to(root).parts for found in paths]
    outside = [p for p in parts if len(p) == 1]
    if not outside:
        return tuple(sorted({p[0] for p in parts}))
    if len(outside) < len(parts):
        reason = f"`{outside[0][0]}` is next to the subfolders of the classes"
        refuse_file(path, reason, option="folder")
    return ()
