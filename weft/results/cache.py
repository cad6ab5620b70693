"""Remembers by content what each stage of a build made, so that nothing is made twice."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from compiler.system.files import read_json, write_text

RECORD = Path(".weft") / "build.json"
"""The record of a build in its folder."""
_CHUNK = 1 << 20
_HASH_LIMIT = 256 << 20


def hash_text(*parts: str) -> str:
    """Hash of texts; their borders count."""
    digest = hashlib.sha256()
    for part in parts:
        raw = part.encode("utf-8", "surrogatepass")  # JSON may hold halves of characters
        digest.update(f"{len(raw)}:".encode())
        digest.update(raw)
    return digest.hexdigest()


def hash_file(path: Path) -> str:
    """Hash of a file's content; of its size and time of change where it is larger than 256 MiB,
    because a build must not read gigabytes to find that it has nothing to do."""
    status = path.stat()
    if status.st_size > _HASH_LIMIT:
        return hash_text(str(status.st_size), str(status.st_mtime_ns))
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


class Cache:
    """The record of a build folder: for each stage the key it ran under, and hashes of the files
    it made. A stage is fresh when its key is the same and its files are as it left them. What
    another version of Weft recorded does not count, nor what is not as Weft recorded it: each
    entry carries a hash of itself, so that those who read it need not doubt its form."""

    def __init__(self, folder: Path, version: str = "") -> None:
        self.folder = folder
        self.version = version
        self.path = folder / RECORD
        self._stages: dict[str, dict[str, Any]] = self._read()

    def _read(self) -> dict[str, dict[str, Any]]:
        record = read_json(self.path)
        if not isinstance(record, dict) or record.get("version") != self.version:
            return {}
        stages = record.get("stages")
        if not isinstance(stages, dict):
            return {}
        return {name: entry for name, entry in stages.items() if _is_whole(name, entry)}

    @property
    def stages(self) -> Iterable[str]:
        """The stages that have run."""
        return self._stages.keys()

    def is_fresh(self, stage: str, key: str) -> bool:
        """Whether a stage need not run."""
        return self.has_run(stage, key) and not self.find_changed(stage)

    def find_changed(self, stage: str) -> list[Path]:
        """Files of a stage that has run which are missing or not as it left them."""
        files = self._stages[stage]["files"]
        paths = ((self.folder / name, known) for name, known in files.items())
        return [path for path, known in paths if not path.is_file() or hash_file(path) != known]

    def has_run(self, stage: str, key: str) -> bool:
        """Whether a stage was finished under this key, its files as it left them or not."""
        return stage in self._stages and self._stages[stage]["key"] == key

    def get_metadata(self, stage: str) -> Mapping[str, Any]:
        """What a stage measured when it ran."""
        metadata: Mapping[str, Any] = self._stages[stage]["facts"] if stage in self._stages else {}
        return metadata

    def record(
        self, stage: str, key: str, files: Iterable[Path], metadata: Mapping[str, Any] | None = None
    ) -> None:
        """Notes that a stage has run: written at once, so that an interrupted build goes on."""
        hashes = {str(f.relative_to(self.folder)): hash_file(f) for f in files}
        entry = {"key": key, "files": hashes, "facts": dict(metadata or {})}
        self._stages[stage] = {**entry, "hash": _hash_entry(stage, entry)}
        record = {"version": self.version, "stages": self._stages}
        write_text(self.path, json.dumps(record, indent=1, sort_keys=True) + "\n")


def forget(folder: Path, variants: Iterable[str]) -> None:
    """Takes away what a build remembers in its folder: its record, and in a folder beside it what
    was learned of each variant. Which files are Weft's is not forgotten.

    Raises:
        OSError: a folder is a link, or cannot be removed.
    """
    record = folder / RECORD
    record.unlink(missing_ok=True)
    for name in variants:
        learned = record.with_name(name)
        if learned.is_dir():
            shutil.rmtree(learned)


def _is_whole(stage: str, entry: object) -> bool:
    """Whether an entry is as it was recorded."""
    if not isinstance(entry, dict):
        return False
    rest = {name: value for name, value in entry.items() if name != "hash"}
    try:
        return entry.get("hash") == _hash_entry(stage, rest)
    except RecursionError:  # it is nested as deep as can just be read
        return False


def _hash_entry(stage: str, entry: Mapping[str, Any]) -> str:
    return hash_text(stage, json.dumps(entry, sort_keys=True))
