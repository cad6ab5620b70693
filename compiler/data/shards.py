"""Tar files as shards of samples: which files of them belong together."""

from __future__ import annotations

import tarfile
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path

from compiler.data.files import refuse_file
from compiler.data.frames import Stamps, stamp_files
from compiler.records import dataclass

MOST_MEMBERS = 20_000_000
"""Files of all shards together, at most."""


@dataclass(frozen=True)
class Piece:
    """A file in a shard: where its bytes lie in it."""

    shard: Path
    name: str
    start: int
    size: int

    def read(self) -> bytes:
        """Its bytes.

        Raises:
            Fault: the shard has gone, or has become shorter.
        """
        try:
            with self.shard.open("rb") as file:
                file.seek(self.start)
                data = file.read(self.size)
        except OSError as error:
            refuse_file(self.shard.name, error.strerror or str(error))
        if len(data) < self.size:
            refuse_file(self.shard.name, f"it is cut short in `{self.name}`")
        return data


Samples = tuple[Mapping[str, Piece], ...]
"""The files of each sample by their endings."""


def list_samples(paths: Sequence[Path]) -> Samples:
    """The samples of some shards, in the order in which their first files stand there. Files with
    one name up to its first dot are one sample; those of two shards never are. No file is taken
    out of a shard: a name can lead nowhere.

    Raises:
        Fault: a shard is no tar file, is packed, or is cut short.
    """
    return _list_samples(tuple(paths), stamp_files(paths))


@lru_cache(maxsize=4)  # the schema and the rows come from one reading
def _list_samples(paths: tuple[Path, ...], stamps: Stamps) -> Samples:
    samples: dict[tuple[Path, str], dict[str, Piece]] = {}
    for path, (_, size) in zip(paths, stamps, strict=True):
        for piece in _list_pieces(path, size):
            place, _, name = piece.name.rpartition("/")
            stem, _, ending = name.partition(".")
            if not stem or not ending:  # such as those that macOS puts beside each file
                continue
            pieces = samples.setdefault((path, f"{place}/{stem}"), {})
            if ending.lower() in pieces:
                refuse_file(path.name, f"it holds `{piece.name}` twice")
            pieces[ending.lower()] = piece
        if len(samples) > MOST_MEMBERS:
            refuse_file(path.name, f"the shards hold more than {MOST_MEMBERS:,} samples")
    return tuple(samples.values())


def _list_pieces(path: Path, size: int) -> list[Piece]:
    """The files of a shard, in order; folders and links are none.

    Raises:
        Fault: it is no tar file, is packed, or is cut short.
    """
    pieces = []
    try:
        with tarfile.open(path, "r:") as shard:  # a packed one may hold any number of bytes
            for member in shard:
                if member.issparse():
                    refuse_file(path.name, f"`{member.name}` has holes, which no sample has")
                if member.isfile():
                    if member.offset_data + member.size > size:
                        refuse_file(path.name, f"it is cut short in `{member.name}`")
                    pieces.append(Piece(path, member.name, member.offset_data, member.size))
    except (tarfile.TarError, OSError, ValueError, EOFError) as error:
        advice = "shards are plain tar files: unpack one that is compressed"
        refuse_file(path.name, f"it is not a tar file: {error}", advice)
    if not pieces:
        refuse_file(path.name, "it holds no files")
    return pieces
