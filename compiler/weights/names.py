"""Names of repositories: `hf:OWNER/NAME`."""

from __future__ import annotations

import re

from compiler.records import dataclass

SCHEME = "hf:"
"""What names of repositories begin with."""
WHOLE, INDEX = "model.safetensors", "model.safetensors.index.json"
"""What the files of weights are called that need no name."""
PICKLES = (".bin", ".pt", ".pth", ".ckpt")
"""How the names of PyTorch's own files end, which are pickles."""

_REVISION = re.compile(r"\w[\w./-]*", re.ASCII)
_NAME = re.compile(r"hf:([\w-][\w.-]*/[\w-][\w.-]*)((?:/[\w-][\w.-]*)*)", re.ASCII)


@dataclass(frozen=True)
class Repository:
    """What `hf:OWNER/NAME/FILE` names: a repository and, if it is said, a file of it."""

    name: str
    file: str = ""
    revision: str | None = None


def is_revision(text: str) -> bool:
    """Whether a text can be a branch, a tag or a commit."""
    return _REVISION.fullmatch(text) is not None and ".." not in text


def read_name(text: str, revision: str | None = None) -> Repository | None:
    """The repository that a text names; None where it is no such name."""
    match = _NAME.fullmatch(text)
    if match is None or ".." in text:
        return None
    return Repository(match[1], match[2].lstrip("/"), revision)
