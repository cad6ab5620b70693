"""`--weights`: a file, a folder, or a repository that is downloaded."""

from __future__ import annotations

from pathlib import Path

from compiler.program.net import LoadWeights
from compiler.report.diagnostics import CompileError
from compiler.report.messages.repositories import bad_repository
from compiler.weights.files import find_files
from compiler.weights.names import SCHEME, read_name
from weft.cli.printing import say

WEIGHTS_HELP = "A safetensors file, the index of several, a folder, or hf:OWNER/NAME."


def fetch_given(given: Path | None) -> Path | None:
    """The file or index that is given; of a repository, the one in the cache, with its commit
    said.

    Raises:
        CompileError: there is no such repository, or it has no weights.
    """
    name = str(given)
    if given is None or not name.startswith(SCHEME):
        return given
    if read_name(name) is None:
        raise CompileError([bad_repository(None, name)])
    files = find_files(LoadWeights(name), Path())
    say(f"{name} at commit {files.commit}")
    return files.paths[0] if files.index is None else files.index
