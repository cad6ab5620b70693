"""Symbolic links below a folder of results: whatever they lead to is not Weft's to write."""

from __future__ import annotations

import os
from collections.abc import Iterable
from itertools import chain
from pathlib import Path

from compiler.report.diagnostics import CompileError
from compiler.report.messages.item_names import link_in_folder

ENDINGS = ("", ".py", ".onnx", ".onnx.data", ".safetensors")
"""What is added to the name of an item in the names of what is made of it."""


def refuse_links(root: Path, names: Iterable[str]) -> None:
    """Refuses links before anything is written: among what has these names in a folder, and in
    all that lies below. The folder itself was named by the user, and may be a link.

    Raises:
        CompileError: there is one.
        OSError: a folder cannot be looked into.
    """
    for name in names:
        refuse_link_to(root, root / name)
        for folder, inner, files in os.walk(root / name, onerror=_raise):
            for entry in chain(inner, files):
                refuse_link_to(Path(folder), Path(folder, entry))


def refuse_link_to(root: Path, path: Path) -> None:
    """Refuses a path below a folder that is a link, or leads through one.

    Raises:
        CompileError: it is, or does.
    """
    place = root
    for part in path.relative_to(root).parts:
        place = place / part
        if place.is_symlink():
            raise CompileError([link_in_folder(None, str(place), str(place.readlink()))])


def name_outputs(items: Iterable[str]) -> list[str]:
    """The names of what is made of items in a folder of results."""
    return [item + ending for item in items for ending in ENDINGS]


def _raise(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError | NotADirectoryError):
        raise error
