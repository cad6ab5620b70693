"""How much memory data may take: packed files can promise far more than they hold."""

from __future__ import annotations

from compiler.data.files import refuse_file
from compiler.system.memory import find_available
from compiler.types.units import format_size

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
        return f"it promises {format_size(unpacked)} in a file of {format_size(stored)}"
    memory = find_available()
    if unpacked > memory:
        return f"it holds {format_size(unpacked)}, and {format_size(memory)} of memory is free"
    return None
