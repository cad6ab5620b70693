"""Nets of a list in loops of the spec: what a turn makes, nothing else may make."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from backends.pytorch.fold.index import Child, Index
from backends.pytorch.fold.spelled import Spelled
from backends.pytorch.fold.turns import LoopFrame, TurnFrame, Unfoldable
from compiler.ir.frame import Frame


def check_loops(index: Index, frame: Frame) -> None:
    """Holds the loops in a body to modules that no other turn and nothing beside them uses.

    Raises:
        Unfoldable: a net of a list is used twice.
    """
    rows = {child: set(_list_paths(index, child)) for child in index.children[frame]}
    for loop, paths in rows.items():
        if not isinstance(loop, LoopFrame):
            continue
        others = (own for child, own in rows.items() if child is not loop)
        if any(paths & own for own in others) or _meets(index, loop):
            raise Unfoldable({loop.loop})


def _meets(index: Index, loop: LoopFrame) -> bool:
    """Whether turns use the same net of a list; one that all of them use, and that is no item of
    a list, is made before the loop."""
    turns = [set(_list_paths(index, turn)) for turn in index.children[loop]]
    used = Counter(path for paths in turns for path in paths)
    return any(
        count > 1 and (count < len(turns) or path.rpartition(".")[2].isdecimal())
        for path, count in used.items()
    )


def _list_paths(index: Index, child: Child) -> Iterator[str]:
    """The paths of the modules that are called in a child of a body."""
    if isinstance(child, Spelled):
        if child.slot:
            yield child.slot
    elif isinstance(child, LoopFrame | TurnFrame):
        for inner in index.children[child]:
            yield from _list_paths(index, inner)
    elif child not in index.stateless:
        yield child.path
