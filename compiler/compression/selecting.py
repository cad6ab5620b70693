"""Which layers of a net a pass may touch: `only=` and `except=` with path patterns."""

from __future__ import annotations

import re
from collections.abc import Sequence

from compiler.ir.graph import Node
from compiler.ir.weights import path_matches
from compiler.ops.modules import owns_weights

KEPT_OUT = "`only` or `except` says so"
"""The reason of a layer that the patterns of a pass keep out of it."""


def layer_path(node: Node) -> str:
    """The path of a layer: that of its parameters, else its block's path and its op's name. A net
    of one op holds its weights itself (`net tower = dense(8)` has `tower.weight`): its path is
    the net's."""
    name = node.origin.name
    if not name and not _holds_weights(node):
        name = node.op.name
    return ".".join(part for part in (node.scope.path, name) if part)


def _holds_weights(node: Node) -> bool:
    """Whether a layer has weights, and they are its own."""
    types = node.types[: len(node.op.operands)]
    return bool(node.op.weights(types)) and owns_weights(node)


def is_selected(path: str, only: Sequence[str] | None, excluded: Sequence[str]) -> bool:
    """Whether patterns let a pass touch the layer at a path (`head`, `layer1.*`, a block's path
    for all inside it). `only` None: every layer that is not excluded."""
    if only is not None and not any(path_matches(path, pattern) for pattern in only):
        return False
    return not any(path_matches(path, pattern) for pattern in excluded)


def is_adapter(path: str) -> bool:
    """Whether a path is that of a factor of an adapter."""
    slot, _, last = path.rpartition(".")
    return last in ("0", "1") and re.fullmatch(r"(.*\.)?([^.]*_lora|lora_\d+)", slot) is not None
