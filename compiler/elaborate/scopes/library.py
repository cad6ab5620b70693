"""The library that comes with Weft: its files, and the blocks in them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import specs
from compiler.records import dataclass
from compiler.report.diagnostics import Message, Sink
from compiler.report.source import LIBRARY, Source
from compiler.text.parse import parse
from compiler.text.tree.syntax import Block, File, Item
from compiler.vocabulary.manual_text import read_manual

STD = LIBRARY
"""The first word of `use std.vision`: the library that comes with Weft."""


@dataclass(frozen=True)
class LibraryBlock:
    """A block of the library: the file that has it, as `use` names it, how it is called, what its
    `##` lines say, and its text."""

    file: str
    name: str
    signature: str
    manual: str
    text: str


def list_library() -> list[str]:
    """The files of the library, as `use` names them."""
    found = (Path(specs.__path__[0]) / STD).glob("*.weft")
    return sorted(f"{STD}.{path.stem}" for path in found)


def open_library(name: str) -> Source | None:
    """A file of the library, as `use` names it; None where there is none."""
    first, *words = name.split(".")
    entry = Path(specs.__path__[0]).joinpath(STD, *words).with_suffix(".weft")
    if first != STD or not words or not entry.is_file():
        return None
    return Source("/".join([STD, *words]) + ".weft", entry.read_text(encoding="utf-8"))


def parse_library(source: Source, sink: Sink) -> File:
    """The tree of a file of the library; it is read once in a process, for all that use it."""
    file, messages = _parse_once(source.path, source.text)
    for message in messages:
        sink.report(message)
    return file


@cache
def _parse_once(path: str, text: str) -> tuple[File, tuple[Message, ...]]:
    sink = Sink()
    return parse(Source(path, text), sink), tuple(sink.messages)


def find_blocks() -> Iterator[LibraryBlock]:
    """Every block of the library, file by file."""
    for name in list_library():
        source = open_library(name)
        assert source is not None, "it was listed"
        for block in _parse_blocks(source):
            signature = _write_signature(block)
            yield LibraryBlock(name, block.name.text, signature, block.doc, block.span.text)


def find_home(word: str) -> str | None:
    """The file of the library that has a block of this name, as `use` names it."""
    for name in list_library():
        source = open_library(name)
        # A file is parsed only where it may have the block: all of them take a second.
        if (
            source is not None
            and re.search(rf"^block {re.escape(word)}\b", source.text, re.MULTILINE)
            and any(block.name.text == word for block in _parse_blocks(source))
        ):
            return name
    return None


def _parse_blocks(source: Source) -> list[Block]:
    return [item for item in parse_library(source, Sink()).items if isinstance(item, Block)]


LOSSES = f"{STD}/losses.weft"
"""The file of the library whose blocks are losses."""


def is_loss(item: Item) -> bool:
    """Whether a block is one of the library's losses: less of it is better."""
    return item.span.source.path == LOSSES


def describe_block(item: Item) -> str:
    """What generated code says of a block: its comment, of one of the library without the example
    and the source, which are for the manual."""
    if not item.span.source.is_library:
        return item.doc
    return read_manual(item.doc).prose


def _write_signature(block: Block) -> str:
    """`mlp(x: f32[..., d], hidden: int)`, on one line."""
    parts = [" ".join(re.split(r"\s+", parameter.span.text)) for parameter in block.parameters]
    return f"{block.name.text}({', '.join(parts)})"
