"""`hf:OWNER/NAME`: repositories of Hugging Face, through `huggingface_hub` and its cache."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from compiler.records import dataclass
from compiler.report.diagnostics import CompileError, Message
from compiler.report.messages.repositories import (
    hub_file_unclear,
    hub_not_found,
    hub_not_installed,
    hub_unreachable,
    weights_pickled,
)
from compiler.report.source import Span
from compiler.weights.names import INDEX, PICKLES, SCHEME, WHOLE, Repository

_COMMIT = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True)
class HubFile:
    """A file of weights in the cache, and the commit that it is of."""

    path: Path
    commit: str


def fetch(repository: Repository, span: Span | None) -> HubFile:
    """The file of weights that is meant, downloaded unless the cache has it. One run sees one
    commit: what is found is kept.

    Raises:
        CompileError: `huggingface_hub` is not installed, the repository, the revision or the file
            is not there, several files are, or nothing can be reached and the cache has nothing.
    """
    with _placing(span):
        return _fetch(repository)


def fetch_file(repository: Repository, file: str, commit: str, span: Span | None) -> Path:
    """A file of a commit, downloaded unless the cache has it.

    Raises:
        CompileError: it is not there, or nothing can be reached and the cache does not have it.
    """
    with _placing(span):
        return _download(repository, file, commit)


@contextmanager
def _placing(span: Span | None) -> Iterator[None]:
    """Gives faults their place, which what is kept does not depend on."""
    try:
        yield
    except CompileError as error:
        raise CompileError([replace(m, span=span) for m in error.messages]) from error


@cache
def _fetch(repository: Repository) -> HubFile:
    if repository.file.endswith(PICKLES):  # before it is downloaded
        raise CompileError([weights_pickled(None, repository.file)])
    revision, names = _resolve(_import_hub(), repository)
    file = repository.file or _choose(repository, names)
    path = _download(repository, file, revision)
    # The cache has a folder for each commit: `…/snapshots/COMMIT/FILE`.
    return HubFile(path, path.parts[-1 - len(Path(file).parts)])


@cache
def _download(repository: Repository, file: str, revision: str) -> Path:
    hub = _import_hub()
    try:
        return Path(hub.hf_hub_download(repository.name, file, revision=revision))
    except _faults(hub) as error:
        raise CompileError([_explain(hub, repository, file, error)]) from error


def _import_hub() -> Any:
    try:
        import huggingface_hub
        import huggingface_hub.constants
        import huggingface_hub.errors
    except ImportError as error:
        raise CompileError([hub_not_installed(None)]) from error
    return huggingface_hub


def _faults(hub: Any) -> tuple[type[Exception], ...]:
    """What calls of the library raise: its own errors, and those of its HTTP client, which
    `huggingface_hub.errors` imports from one package or another."""
    errors = hub.errors
    return (OSError, errors.EntryNotFoundError, errors.HFValidationError, errors.HTTPError)


def _resolve(hub: Any, repository: Repository) -> tuple[str, Sequence[str]]:
    """A revision to download, and the names of its files: the one that is asked for, or the commit
    that the cache has for it where the hub cannot be reached or need not be asked."""
    revision = repository.revision or "main"
    known = _recall(hub, repository.name, revision)
    if known is not None and _COMMIT.fullmatch(revision):
        return known
    try:
        info = hub.HfApi().model_info(repository.name, revision=revision)
    except _faults(hub) as error:
        message = _explain(hub, repository, "", error)
        if known is not None and message.kind is hub_unreachable:
            return known
        raise CompileError([message]) from error
    return revision, [str(sibling.rfilename) for sibling in info.siblings or ()]


def _recall(hub: Any, name: str, revision: str) -> tuple[str, Sequence[str]] | None:
    """The commit of a revision that the cache has, and its files there."""
    root = Path(hub.constants.HF_HUB_CACHE) / f"models--{name.replace('/', '--')}"
    reference = root / "refs" / revision
    commit = reference.read_text().strip() if reference.is_file() else revision
    folder = root / "snapshots" / commit
    if not _COMMIT.fullmatch(commit) or not folder.is_dir():
        return None
    return commit, [p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()]


def _choose(repository: Repository, names: Sequence[str]) -> str:
    """The file of weights of a repository: the usual one, or the only one."""
    for name in (WHOLE, INDEX):
        if name in names:
            return name
    found = [name for name in names if name.endswith(".safetensors")]
    if len(found) == 1:
        return found[0]
    pickles = [name for name in names if name.endswith(PICKLES)]
    raise CompileError(
        [hub_file_unclear(None, f"{SCHEME}{repository.name}", tuple(found), tuple(pickles))]
    )


def _explain(hub: Any, repository: Repository, file: str, error: Exception) -> Message:
    """What is said of an error of the library."""
    errors, name = hub.errors, repository.name
    revision = repository.revision or "main"
    reason = " ".join(str(error).split("\n")[0].split()) or type(error).__name__
    if isinstance(error, errors.RevisionNotFoundError):
        return hub_not_found(None, name, f"the revision `{revision}`")
    if isinstance(error, errors.LocalEntryNotFoundError):
        return hub_unreachable(None, name, _name_cause(error, reason))
    if isinstance(error, errors.EntryNotFoundError):
        return hub_not_found(None, name, f"the file `{file}`")
    if isinstance(error, errors.RepositoryNotFoundError | errors.HFValidationError):
        return hub_not_found(None, name, "")
    if isinstance(error, errors.HfHubHTTPError) and error.response.status_code in (401, 403):
        return hub_not_found(None, name, "")
    return hub_unreachable(None, name, reason)


def _name_cause(error: Exception, reason: str) -> str:
    cause = error.__cause__
    return " ".join(str(cause).split("\n")[0].split()) if cause is not None else reason
