"""What neither shapes nor names tell: tensors of a file, and the weights that they could be."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from weft.cli.rename_rules import LEAVES, Shapes, renumbers


@dataclass(frozen=True)
class Undecided:
    """Patterns of tensors, and patterns of the weights that each of them could be; the paths of
    both."""

    olds: tuple[str, ...]
    news: tuple[str, ...]
    tensors: frozenset[str]
    weights: frozenset[str]


def find_undecided(found: Shapes, wanted: Shapes, origins: Mapping[str, str]) -> list[Undecided]:
    """Groups of what is left of a file and of a net and could be the same, by shapes and the
    numbers of layers; `origins` has the names in the file."""
    olds, news = _group(found), _group(wanted)
    fitting = {old: [new for new in news if _fits(olds[old], news[new])] for old in olds}
    groups: list[tuple[list[str], list[str]]] = []
    for old, could in fitting.items():
        if not could:
            continue
        near = [group for group in groups if {*group[1]} & {*could}]
        groups = [group for group in groups if group not in near]
        joined = [*(o for group in near for o in group[0]), old]
        groups.append((joined, [n for n in news if n in could or any(n in g[1] for g in near)]))
    return [
        Undecided(
            tuple(dict.fromkeys(_open(origins[path]) for old in these for path in olds[old])),
            tuple(those),
            frozenset(path for old in these for path in olds[old]),
            frozenset(path for new in those for path in news[new]),
        )
        for these, those in groups
    ]


def _open(path: str) -> str:
    """The pattern of a tensor's layer, for all layers of that name."""
    layer, _, leaf = path.rpartition(".")
    name = f"{layer}.*" if layer and leaf in LEAVES else path
    return re.sub(r"(?<![^.])\d+(?![^.])", "*", name)


def _group(shapes: Shapes) -> dict[str, dict[str, tuple[int, ...]]]:
    """The tensors of each pattern."""
    groups: dict[str, dict[str, tuple[int, ...]]] = {}
    for path, shape in shapes.items():
        groups.setdefault(_open(path), {})[path] = tuple(sorted(shape))
    return groups


def _fits(olds: Shapes, news: Shapes) -> bool:
    """Whether tensors could be weights: some have one shape, and none of one leaf have others."""
    leaves = [_find_leaves(side) for side in (olds, news)]
    if any(leaves[0][leaf].isdisjoint(leaves[1][leaf]) for leaf in {*leaves[0]} & {*leaves[1]}):
        return False
    return any(
        shape == other and not renumbers(old, new) and _share_leaf(old, new)
        for old, shape in olds.items()
        for new, other in news.items()
    )


def _find_leaves(shapes: Shapes) -> dict[str, set[tuple[int, ...]]]:
    """The shapes of each leaf that layers have."""
    made: dict[str, set[tuple[int, ...]]] = {}
    for path, shape in shapes.items():
        leaf = path.rpartition(".")[2]
        if leaf in LEAVES:
            made.setdefault(leaf, set()).add(shape)
    return made


def _share_leaf(old: str, new: str) -> bool:
    """Whether both are the weight, or both the bias, of a layer, as far as names tell."""
    ends = [path.rpartition(".")[2] for path in (old, new)]
    return ends[0] == ends[1] or not {*ends} <= {*LEAVES}
