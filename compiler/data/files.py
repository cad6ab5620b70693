"""Paths of data: found relative to the spec's folder, or refused with what is there instead."""

from __future__ import annotations

import codecs
import re
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from compiler.report.diagnostics import Fault
from compiler.report.messages.data import (
    bad_setting,
    data_file_broken,
    data_file_missing,
    unknown_column,
    wrong_encoding,
)
from compiler.report.suggestions import did_you_mean
from compiler.system.files import list_names, match_files, name_kind, need_file
from compiler.writing.python import write_formatted, write_string

LARGEST_TEXT = 4 << 30
"""Bytes of a text file that are read, at most."""


def find_file(folder: Path, path: str, option: str = "path") -> Path:
    """The file that a source names in its option.

    Raises:
        Fault: it does not exist, or is a folder.
    """
    if "\0" in path:
        refuse_file(path.replace("\0", "\\0"), "no file has a NUL in its name", option=option)
    found = folder / path
    _check(folder, path, found, option, is_folder=False)
    return found


def read_text(path: Path, shown: str, encoding: str = "utf-8") -> str:
    """The text of a file, without a byte order mark. `shown` is the path as it is written.

    Raises:
        Fault: it is larger than `LARGEST_TEXT`, or no text in that encoding.
    """
    size = path.stat().st_size
    if size > LARGEST_TEXT:
        reason = f"it has {size / 2**30:.1f} GiB, and text is read up to {LARGEST_TEXT >> 30} GiB"
        refuse_file(shown, reason, "store it as parquet or npz")
    try:
        data = path.read_bytes()
    except OSError as error:
        refuse_file(shown, error.strerror or str(error))
    name = codecs.lookup(encoding).name
    try:
        text = data.decode("utf-8-sig" if name == "utf-8" else encoding)
    except UnicodeError as error:
        _refuse_encoding(shown, encoding, data, error)
    if name not in ("ascii", "utf-8"):
        _check_letters(shown, name, data, text)
    return text


def _check_letters(shown: str, encoding: str, data: bytes, text: str) -> None:
    """Refuses letters that are others in the encoding that was meant: no text in latin-1 of any
    length happens to be one in UTF-8.

    Raises:
        Fault: which encoding was meant.
    """
    if len(text) == len(data) and not data.isascii():
        try:
            data.decode("utf-8")
        except UnicodeDecodeError:
            pass
        else:
            refuse_file(
                shown, f"its letters are in UTF-8, not in {encoding}", "leave `encoding` out"
            )
    odd = re.search("[\x80-\x9f]", text) if encoding == "iso8859-1" else None
    if odd is not None:
        reason = f"0x{ord(odd[0]):02x} in line {text.count(chr(10), 0, odd.start()) + 1:,}"
        advice = 'programs on Windows write `encoding="cp1252"`'
        refuse_file(shown, f"{reason} is no letter in latin-1", advice)


def _refuse_encoding(shown: str, encoding: str, data: bytes, error: UnicodeError) -> NoReturn:
    start = error.start if isinstance(error, UnicodeDecodeError) else 0
    line = data.count(b"\n", 0, start) + 1
    byte = data[start] if start < len(data) else 0
    raise Fault(
        lambda where: wrong_encoding(where.argument("path"), shown, encoding, start, byte, line)
    )


_NUMBERS = re.compile(r"\{([0-9]+)\.\.([0-9]+)\}")
"""Numbers in the name of a file, `part-{00..15}.csv`, as shells write them."""
MOST_FILES = 100_000


def is_pattern(path: str) -> bool:
    """Whether a path may name several files."""
    return bool(set("*?[") & set(path)) or _NUMBERS.search(path) is not None


def write_files(pattern: str) -> str:
    """The expression of the paths that a pattern names, in order."""
    numbers = _NUMBERS.search(pattern)
    if numbers is not None:
        before, behind = pattern[: numbers.start()], pattern[numbers.end() :]
        first, last = numbers.groups()
        digits = f":0{len(first)}" if len(first) > 1 else ""
        name = f'f"{write_formatted(before)}{{number{digits}}}{write_formatted(behind)}"'
        bounds = f"{int(first)}, {int(last) + 1}" if int(first) else f"{int(last) + 1}"
        return f"[folder / {name} for number in range({bounds})]"
    root = Path(pattern).anchor
    start = f"Path({write_string(root)})" if root else "folder"
    return f"sorted({start}.glob({write_string(str(Path(pattern).relative_to(root or '.')))}))"


def _find_numbered(folder: Path, path: str, option: str) -> list[Path]:
    """The files whose names have each of some numbers.

    Raises:
        Fault: one is missing, or there are no such numbers.
    """
    numbers = _NUMBERS.search(path)
    assert numbers is not None, "only asked of such a name"
    first, last = numbers.groups()
    if set("*?[") & set(path) or not 0 <= int(last) - int(first) < MOST_FILES:
        expected = "numbers from a lower to a higher one, and no `*` beside them"
        refuse_file(path, f"it names no files: {expected}", option=option)
    width = len(first)
    names = [
        f"{path[: numbers.start()]}{number:0{width}}{path[numbers.end() :]}"
        for number in range(int(first), int(last) + 1)
    ]
    return [find_file(folder, name, option) for name in names]


def find_files(folder: Path, path: str, option: str = "path") -> list[Path]:
    """The files that a source names, in the order of their names: one, or those that a pattern
    such as `jets/*.parquet` or `part-{00..15}.csv` matches.

    Raises:
        Fault: there is none, or it is a folder.
    """
    if _NUMBERS.search(path):
        return _find_numbered(folder, path, option)
    if not is_pattern(path) or name_kind(folder / path) is not None:
        return [find_file(folder, path, option)]
    try:
        found = match_files(folder, path)
    except ValueError as error:
        refuse_file(path, str(error), option=option)
    if not found:
        return [find_file(folder, path, option)]
    for match in found:
        _check(folder, match.name, match, option, is_folder=False)
    return found


def find_folder(folder: Path, path: str, option: str = "folder") -> Path:
    """The folder that a source names in its option.

    Raises:
        Fault: it does not exist, or is a file.
    """
    if "\0" in path:
        refuse_file(path.replace("\0", "\\0"), "no folder has a NUL in its name", option=option)
    found = folder / path
    _check(folder, path, found, option, is_folder=True)
    return found


def _check(folder: Path, path: str, found: Path, option: str, *, is_folder: bool) -> None:
    """Refuses a path that is not there, or not what is needed; nothing is opened."""
    try:
        if is_folder and not stat.S_ISDIR(found.stat().st_mode):
            refuse_file(path, "it is a file, and a folder is needed", option=option)
        if not is_folder:
            need_file(found)
    except (FileNotFoundError, NotADirectoryError):
        _refuse_missing(folder, path, option, is_folder=is_folder)
    except OSError as error:
        refuse_file(path, error.strerror or str(error), option=option)


def refuse_file(path: str, reason: str, advice: str = "", option: str = "path") -> NoReturn:
    """Raises the `Fault` of a file that is not what its format promises."""
    raise Fault(lambda where: data_file_broken(where.argument(option), path, reason, advice))


def refuse_setting(owner: str, name: str, value: object, expected: str) -> NoReturn:
    """Raises the `Fault` of a setting that means nothing."""
    raise Fault(lambda where: bad_setting(where.argument(name), owner, name, str(value), expected))


def refuse_column(name: str, known: Sequence[str], option: str = "columns") -> NoReturn:
    """Raises the `Fault` of a column that a source does not have."""
    suggestion = did_you_mean(name, known)
    raise Fault(
        lambda where: unknown_column(where.argument(option), name, tuple(known), suggestion)
    )


def _refuse_missing(folder: Path, path: str, option: str, *, is_folder: bool) -> NoReturn:
    place, suggestion = folder / path, None
    while place != place.parent and not place.parent.is_dir():
        place = place.parent
    names = list_names(place.parent)
    close = did_you_mean(place.name, names)
    if close is not None:
        suggestion = _respell(folder, path, place, close)
    looked_in = str(place.parent)
    if is_folder:
        names = [name for name in names if (place.parent / name).is_dir()]
    else:
        names = [name for name in names if Path(name).suffix == place.suffix]
    raise Fault(
        lambda where: data_file_missing(
            where.argument(option), path, looked_in, suggestion, is_folder, tuple(names)
        )
    )


def _respell(folder: Path, path: str, place: Path, close: str) -> str:
    """The path as written, with the part that does not exist replaced by what does."""
    rest = (folder / path).relative_to(place)
    mended = place.parent / close / rest
    written = Path(path)
    if written.is_absolute():
        return str(mended)
    depth = len(rest.parts)
    parts = list(written.parts)
    parts[len(parts) - 1 - depth] = close
    return str(Path(*parts))
