"""The files of the grammar, their digest, and the marks that tables and what makes them share."""

from __future__ import annotations

from pathlib import Path
from zlib import crc32

FOLDER = Path(__file__).parent
GRAMMAR = FOLDER / "weft.lark"
MISTAKES = FOLDER / "mistakes.toml"
TABLES = FOLDER / "weft.json"

END = "$END"
NONE, SPLICE = -1, -2
"""In a recipe: a left-out optional; the next index is a list that is taken apart."""


def digest_sources() -> str:
    """What tells one grammar from another, however the line breaks were checked out. It finds
    edits; nobody forges a grammar, and the module of SHA-256 loads OpenSSL."""
    text = GRAMMAR.read_bytes() + MISTAKES.read_bytes()
    plain = text.replace(b"\r\n", b"\n")
    return f"{crc32(plain):08x}"
