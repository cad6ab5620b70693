"""How much memory this process may still take: the machine's, its group's and its own limit."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

PROC, GROUPS = Path("/proc"), Path("/sys/fs/cgroup")

_GROUP_FILES = {
    "": ("memory.max", "memory.current", "inactive_file"),
    "memory": ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
}
"""The files of a control group with its limit and its use, and the part of that which the system
would give back, in versions 2 and 1 (https://docs.kernel.org/admin-guide/cgroup-v2.html)."""


def find_available() -> int:
    """Bytes that can be taken before the machine swaps, or the system ends the process."""
    return max(0, min((_find_free(), *_find_group_rooms(), *_find_own_rooms())))


def _find_free() -> int:
    """What is free on the machine: where the system does not say that, all that it has."""
    with suppress(OSError, ValueError, IndexError):
        for line in (PROC / "meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) << 10
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _find_group_rooms() -> Iterator[int]:
    """What the control groups leave that the process is in: containers and services have one."""
    with suppress(OSError):
        for line in (PROC / "self" / "cgroup").read_text().splitlines():
            _, controller, place = line.split(":", 2)
            if controller in _GROUP_FILES:
                top = GROUPS / controller
                inner = top / place.lstrip("/")
                for folder in (inner, *inner.parents):
                    if folder.is_relative_to(top):
                        yield from _find_group_room(folder, *_GROUP_FILES[controller])


def _find_group_room(folder: Path, limit: str, used: str, cached: str) -> Iterator[int]:
    with suppress(OSError, ValueError):  # no such group, or no limit
        room = int((folder / limit).read_text()) - int((folder / used).read_text())
        for line in (folder / "memory.stat").read_text().splitlines():
            name, _, size = line.partition(" ")
            room += int(size) if name == cached else 0
        yield room


def _find_own_rooms() -> Iterator[int]:
    """What the limits leave that were set for the process itself (`ulimit -v`, `ulimit -d`)."""
    with suppress(OSError, ValueError):
        pages = [int(number) for number in (PROC / "self" / "statm").read_text().split()]
        for kind, taken in ((resource.RLIMIT_AS, pages[0]), (resource.RLIMIT_DATA, pages[5])):
            limit, _ = resource.getrlimit(kind)
            if limit != resource.RLIM_INFINITY:
                yield limit - taken * resource.getpagesize()
