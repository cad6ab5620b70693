"""Keeps what a training has left when another one begins in its folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from backends.pytorch.script.settings import RESULTS
from weft.building.cache import hash_file

CODE = ("model.py", "train.py")
"""What says what was trained."""
EARLIER = "earlier"
"""The folder inside that of a train with a folder for each training before."""


def set_aside(folder: Path, code: Mapping[str, bytes]) -> Path | None:
    """Moves what a training has left, finished or not, into a folder of its own, beside the code
    that it was trained by. Where it went; None where there are no weights."""
    weights = [folder / name for name in ("best.safetensors", "last.safetensors")]
    found = next((path for path in weights if path.is_file()), None)
    if found is None:
        return None
    kept = folder / EARLIER / hash_file(found)[:12]
    kept.mkdir(parents=True, exist_ok=True)
    for name, text in code.items():
        (kept / name).write_bytes(text)
    # The file that names the folder goes last: a move that was interrupted goes on.
    others = [folder / name for name in (*RESULTS, "columns.safetensors", "train.log")]
    for path in (*(p for p in others if p != found and p.is_file()), found):
        path.replace(kept / path.name)
    return kept
