"""How much memory data may take: packed files can promise far more than they hold."""

from __future__ import annotations

import os

from compiler.data.files import refuse_file

ROOM = 256 << 20
"""Bytes that any file may unpack to."""
RATIO = 100
"""How many times its own size a file that is larger when unpacked may grow."""


def check_expansion(shown: str, unpacked: int, stored: int, option: str = "path") -> None:
    """Refuses a file that promises more than it can hold, or than memory can.

    Raises:
        Fault: it is too large; nothing has been allocated for it.
    """
    reason = find_excess(unpacked, stored)
    if reason is not None:
        refuse_file(shown, reason, option=option)


def find_excess(unpacked: int, stored: int) -> str | None:
    """Why a file is not unpacked: it promises far more than files of its size hold, or more than
    memory does."""
    if unpacked > ROOM and unpacked > RATIO * stored:
        return f"it promises {_show(unpacked)} in a file of {_show(stored)}"
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if unpacked > memory:
        return f"it holds {_show(unpacked)}, and this machine has {_show(memory)} of memory"
    return None


def _show(size: int) -> str:
    for power, unit in ((40, "TiB"), (30, "GiB"), (20, "MiB"), (10, "KiB")):
        if size >= 1 << power:
            return f"{size / (1 << power):,.1f} {unit}"
    return f"{size:,} bytes"
