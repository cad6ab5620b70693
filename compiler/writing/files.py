"""File names: which names of items can be one, on every system and beside what a build writes."""

from __future__ import annotations

import re
from unicodedata import normalize

from compiler.writing.imports import IMPORTS

LONGEST = 100
"""Bytes of an item's name: a file system takes 255 for a name, of which endings take some."""
OWN_FILES = frozenset({"report"})
"""Files that a build writes under names of its own, without their endings."""
_IMPORTED = frozenset({line.split()[1].split(".")[0] for line in IMPORTS.values()})
_DEVICES = re.compile(r"con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9¹²³]", re.IGNORECASE)
_FORBIDDEN = frozenset('<>:"/\\|?*.%')


def find_name_fault(name: str) -> str | None:
    """Why an item may not have a name, because its files would; None where it may."""
    for char in name:
        if char in _FORBIDDEN or not char.isprintable():
            return f"`{_describe(char)}` cannot be part of a file's name"
    if not name or name != name.strip():
        return "a file's name does not begin or end with a space"
    if name.startswith("-"):
        return "a file whose name begins with `-` is taken for an option"
    if len(name.encode()) > LONGEST:
        return f"it has {len(name.encode())} bytes of {LONGEST} that the name of a file may have"
    if _DEVICES.fullmatch(name):
        return "Windows keeps the name for a device"
    if name.casefold() in OWN_FILES:
        return "a build writes files of that name itself"
    if name in _IMPORTED:
        return "generated code imports a module of that name, which its file would hide"
    return None


def _describe(char: str) -> str:
    return char if char.isprintable() else f"U+{ord(char):04X}"


def file_key(name: str) -> str:
    """What tells the files of items apart on systems that compare names without case."""
    return normalize("NFKC", name).casefold()
