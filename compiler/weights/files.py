"""Which files a `load(…)` reads: one, several by a pattern, a folder, the shards of an index, or
those of a repository."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from compiler.ir.weights import PickleError, StoredTensor, WeightsError, open_weights
from compiler.program.net import LoadWeights
from compiler.records import dataclass
from compiler.report.diagnostics import CompileError, Message
from compiler.report.messages.repositories import (
    hub_file_unclear,
    index_false,
    weights_pickled,
)
from compiler.report.messages.weights import weights_unreadable
from compiler.report.source import Span
from compiler.system.files import LONGEST_RECORD, list_names, match_files, need_file
from compiler.weights.hub import fetch, fetch_file
from compiler.weights.names import INDEX, PICKLES, SCHEME, WHOLE, read_name

INDEX_END = ".index.json"


@dataclass(frozen=True)
class WeightFiles:
    """The files of weights that a load reads. `index` says which of them holds which tensor;
    `commit` is that of the repository that they are of."""

    paths: tuple[Path, ...]
    index: Path | None = None
    places: Mapping[str, str] | None = None
    commit: str | None = None

    @property
    def all_paths(self) -> tuple[Path, ...]:
        """The files and their index."""
        return self.paths if self.index is None else (self.index, *self.paths)


def find_files(load: LoadWeights, folder: Path) -> WeightFiles:
    """The files that a load reads, those of a repository downloaded.

    Raises:
        CompileError: a folder, a repository or an index does not have what it should.
    """
    if load.file.startswith(SCHEME):
        repository = read_name(load.file, load.revision)
        assert repository is not None, "names are checked where they are written"
        found = fetch(repository, load.span)
        around = repository.file or found.path.name
        inner = around.rpartition("/")[0]

        def get(shard: str) -> Path:
            name = f"{inner}/{shard}" if inner else shard
            return fetch_file(repository, name, found.commit, load.span)

        return _follow_index(found.path, load.span, get, found.commit)
    return list_files(folder / load.file, load.span, _match(folder, load))


def list_files(path: Path, span: Span | None = None, matched: Iterable[Path] = ()) -> WeightFiles:
    """The files of weights that a path stands for: a file, a folder with one or with an index, an
    index. `matched` are the files of a pattern.

    Raises:
        CompileError: a folder or an index does not have what it should.
    """
    files = tuple(matched)
    if files:
        return WeightFiles(files)
    if path.is_dir():
        path = path / _choose(path, span)
    return _follow_index(path, span, path.with_name)


def open_tensors(files: WeightFiles, span: Span | None) -> dict[str, StoredTensor]:
    """Every tensor of the files, with nothing of their numbers read.

    Raises:
        CompileError: a file cannot be read, a tensor is in two, or the index does not say the
            truth.
    """
    tensors: dict[str, StoredTensor] = {}
    for path in files.paths:
        try:
            found = open_weights(path)
        except WeightsError as error:
            raise CompileError([explain_unreadable(error, path, span)]) from error
        twice = sorted(tensors.keys() & found.keys())
        if twice:
            raise CompileError([weights_unreadable(span, f"{path} has {twice[0]} once more")])
        if files.places is not None:
            assert files.index is not None
            _compare(files.index, files.places, path.name, found, span)
        tensors |= found
    return tensors


def explain_unreadable(error: WeightsError, path: Path, span: Span | None) -> Message:
    """What is said of a file that cannot be read."""
    if isinstance(error, PickleError):
        return weights_pickled(span, str(path))
    return weights_unreadable(span, str(error))


def _match(folder: Path, load: LoadWeights) -> list[Path]:
    if not any(c in load.file for c in "*?["):
        return []
    try:
        return match_files(folder, load.file)
    except ValueError as error:
        raise CompileError([weights_unreadable(load.span, str(error))]) from error


def _choose(folder: Path, span: Span | None) -> str:
    """The file of weights of a folder: the usual one, or the only one."""
    for name in (WHOLE, INDEX):
        if (folder / name).is_file():
            return name
    indexes = list_names(folder, f"*{INDEX_END}")
    found = indexes or list_names(folder, "*.safetensors")
    if len(found) == 1:
        return found[0]
    pickles = [name for end in PICKLES for name in list_names(folder, f"*{end}")]
    raise CompileError([hub_file_unclear(span, str(folder), tuple(found), tuple(pickles))])


def _follow_index(
    path: Path, span: Span | None, get: Callable[[str], Path], commit: str | None = None
) -> WeightFiles:
    """The files that an index names; a file that is none stands for itself."""
    if not path.name.endswith(INDEX_END):
        return WeightFiles((path,), commit=commit)
    places = _read_index(path, span)
    names = tuple(dict.fromkeys(places.values()))
    paths = tuple(get(name) for name in names)
    for found in paths:
        if not found.is_file():
            reason = f"there is no file `{found.name}`"
            raise CompileError([index_false(span, str(path), reason)])
    return WeightFiles(paths, path, places, commit)


def _read_index(path: Path, span: Span | None) -> dict[str, str]:
    """The file of every tensor, as an index has it.

    Raises:
        CompileError: it cannot be read, or names files that do not lie beside it.
    """
    try:
        size = need_file(path)
        text = path.read_bytes() if size <= LONGEST_RECORD else b""
    except OSError as error:
        reason = f"{path}: {error.strerror or error}"
        raise CompileError([weights_unreadable(span, reason)]) from error
    try:
        read = json.loads(text, object_pairs_hook=_read_object)
    except (ValueError, RecursionError) as error:
        reason = str(error) if isinstance(error, _NamedTwice) else "it is not JSON"
        raise CompileError([index_false(span, str(path), reason)]) from error
    places = read.get("weight_map") if isinstance(read, dict) else None
    if not isinstance(places, dict) or not places:
        raise CompileError([index_false(span, str(path), "it has no `weight_map`")])
    for name, file in places.items():
        if not isinstance(file, str) or not _lies_beside(file):
            reason = f"it says that `{name}` is in `{file}`, which does not lie beside it"
            raise CompileError([index_false(span, str(path), reason)])
        if not file.endswith(".safetensors"):
            reason = f"it says that `{name}` is in `{file}`, which is no safetensors file"
            raise CompileError([index_false(span, str(path), reason)])
    return places


class _NamedTwice(ValueError):
    """A key that an object of JSON has twice."""


def _read_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise _NamedTwice(f"it names `{name}` twice")
        found[name] = value
    return found


def _lies_beside(file: str) -> bool:
    """Whether a name is that of a file in the same folder, and no path to elsewhere."""
    return file not in ("", ".", "..") and not any(c in file for c in "/\\\0:")


def _compare(
    index: Path,
    places: Mapping[str, str],
    file: str,
    found: Mapping[str, StoredTensor],
    span: Span | None,
) -> None:
    """Refuses a file that does not hold what its index says.

    Raises:
        CompileError: it lacks a tensor, or holds one that the index has elsewhere or not at all.
    """
    wanted = {name for name, place in places.items() if place == file}
    missing, more = sorted(wanted - found.keys()), sorted(found.keys() - wanted)
    if missing:
        reason = f"`{file}` has no `{missing[0]}`"
    elif more:
        place = places.get(more[0])
        told = f"in `{place}`" if place is not None else "nowhere"
        reason = f"`{file}` holds `{more[0]}`, which it says is {told}"
    else:
        return
    raise CompileError([index_false(span, str(index), reason)])
