"""Keeps what a training has left when another one begins in its folder."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain, count
from pathlib import Path

from backends.pytorch.train.settings import RESULTS
from compiler.data.codes import WORDS
from weft.results.cache import hash_file
from weft.results.generated import EARLIER

CODE = ("model.py", "train.py", WORDS)
"""What says what was trained, and on which words."""


def set_aside(folder: Path, code: Mapping[str, bytes]) -> Path | None:
    """Moves what a training has left, finished or not, into a folder of its own, beside the code
    that it was trained by. Where it went; None where there are no weights."""
    weights = [folder / name for name in ("best.safetensors", "last.pt")]
    found = next((path for path in weights if path.is_file()), None)
    if found is None:
        return None
    kept = _choose_folder(folder / EARLIER / hash_file(found)[:12], found.name)
    kept.mkdir(parents=True, exist_ok=True)
    for name, text in code.items():
        if not (kept / name).exists():  # a move that goes on finds newer code
            (kept / name).write_bytes(text)
    # The file that names the folder goes last: a move that was interrupted goes on.
    fitted = sorted(folder.glob("columns*.safetensors"))
    others = [*(folder / name for name in (*RESULTS, "train.log")), *fitted]
    for path in (*(p for p in others if p != found and p.is_file()), found):
        path.replace(kept / path.name)
    return kept


def _choose_folder(wanted: Path, last: str) -> Path:
    """A folder of this name, with a number where another training with the same weights, but
    maybe other figures and code, is kept there already: its file `last` is in place."""
    names = chain([wanted], (wanted.with_name(f"{wanted.name}-{n}") for n in count(2)))
    return next(path for path in names if not (path / last).exists())
