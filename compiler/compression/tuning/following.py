"""Patterns of a train after a pass has put factors in the place of layers: optimizers and `freeze`
speak of `head.weight`, and the net has `head.0.weight` and `head.1.weight`."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from compiler.ir.graph import Graph
from compiler.ir.weights import path_matches
from compiler.program.train import ParameterGroup, Train, TrainedNet


def follow_paths(train: Train, old: TrainedNet, graph: Graph) -> Train:
    """The train whose patterns name, beside what they named in a net, what took its place in the
    graph that now stands for it."""
    before = [p.path for p in old.net.graph.parameters if p.trainable]
    after = [p.path for p in graph.parameters if p.trainable]
    origins = _find_origins(before, after)
    if not origins:
        return train
    gone = {old.prefix + path for path in before if path not in after}
    moved = {old.prefix + path: old.prefix + origin for path, origin in origins.items()}
    kept = {*train.trainable, *(old.prefix + path for path in after)} - gone - moved.keys()

    def change(groups: tuple[ParameterGroup, ...]) -> tuple[ParameterGroup, ...]:
        return tuple(
            replace(g, patterns=_follow(g.patterns, moved, gone, kept)) if g.patterns else g
            for g in groups
        )

    freeze = _follow(train.freeze, moved, gone, kept)
    return replace(train.change_groups(change), freeze=freeze)


def _find_origins(before: Sequence[str], after: Sequence[str]) -> dict[str, str]:
    """The parameter whose place each new one took: `head.weight` of `head.0.weight`."""
    gone, known = set(before) - set(after), set(before)
    found = {path: _join_parts(path) for path in after if path not in known}
    return {path: origin for path, origin in found.items() if origin in gone}


def _join_parts(path: str) -> str:
    """The path without the numbers of factors."""
    return re.sub(r"(\.\d+)+(?=\.[^.]+$)", "", path)


def _follow(
    patterns: Sequence[str], moved: Mapping[str, str], gone: set[str], kept: Collection[str]
) -> tuple[str, ...]:
    """Patterns with the new parameters that they do not name by themselves; those that named
    nothing but what is gone are left out."""
    found: list[str] = []
    for pattern in patterns:
        new = [path for path, origin in moved.items() if path_matches(origin, pattern)]
        stale = any(path_matches(path, pattern) for path in gone)
        held = any(path_matches(path, pattern) for path in (*kept, *moved))
        found += [pattern] if held or not stale else []
        found += [path for path in new if not path_matches(path, pattern)]
    return tuple(dict.fromkeys(found)) or tuple(patterns)  # no pattern would mean all the rest
