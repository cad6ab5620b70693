"""Which layers of a net a pass may touch: `only=` and `except=` with path patterns."""

from __future__ import annotations

from collections.abc import Sequence

from compiler.ir.graph import Node
from compiler.ir.weights import path_matches


def layer_path(node: Node) -> str:
    """The path of a layer: that of its parameters, else its block's path and its op's name."""
    return ".".join(part for part in (node.scope.path, node.origin.name or node.op.name) if part)


def is_selected(path: str, only: Sequence[str] | None, excluded: Sequence[str]) -> bool:
    """Whether patterns let a pass touch the layer at a path (`head`, `layer1.*`, a block's path
    for all inside it). `only` None: every layer that is not excluded."""
    if only is not None and not any(path_matches(path, pattern) for pattern in only):
        return False
    return not any(path_matches(path, pattern) for pattern in excluded)
