"""`layer_decay=0.75`: a group of parameters whose rate falls from the last layer to the first.

A layer is a stage of a net, by the first part of its path, one of a list by its number too
(`blocks.3`), and has a weight with two axes or more. Layers are counted in the order in which the
graph applies them. Norms between layers, and weights that a model declares itself, count with the
layer before them.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace

from compiler.ir.graph import Parameter
from compiler.program.train import ParameterGroup, Train, TrainStep
from compiler.report.diagnostics import Message
from compiler.report.messages.training import optimizer_takes_all

DIGITS = 6
"""Digits of the rates that layers get: they are read by people."""


def spread_layers(train: Train) -> Train:
    """The train with a group for each layer, in place of each group with a decay."""
    if all(group.layer_decay == 1 for group in train.groups):
        return train
    steps = tuple(
        replace(step, groups=tuple(g for group in step.groups for g in _spread(train, step, group)))
        for step in train.steps
    )
    return replace(train, steps=steps)


def find_whole_optimizers(train: Train) -> Iterator[Message]:
    """Groups with a decay whose optimizer takes all parameters at once."""
    for group in train.groups:
        optimizer = group.optimizer
        if group.layer_decay != 1 and (optimizer.evaluates or optimizer.solves):
            reason = "`layer_decay` makes a group of each layer"
            yield optimizer_takes_all(group.span, optimizer.name, reason)


def _spread(train: Train, step: TrainStep, group: ParameterGroup) -> Iterator[ParameterGroup]:
    held = train.find_held(step, group)
    if group.layer_decay == 1 or not held:
        yield group
        return
    layers = find_layers(train, held)
    for place, paths in enumerate(layers.values(), 1):
        rate = group.optimizer.lr * group.layer_decay ** (len(layers) - place)
        slower = group.optimizer.change(lr=float(f"{rate:.{DIGITS}g}"))
        patterns = tuple(_find_patterns(train, paths))
        yield ParameterGroup(slower, patterns, group.span)


def find_layers(train: Train, held: Mapping[str, Parameter]) -> dict[str, list[str]]:
    """The parameters of each layer, from the first one applied to the last."""
    read = [v.name for node in train.graph.nodes for v in node.inputs if v is not None]
    uses = {name: place for place, name in reversed(list(enumerate(read)))}
    place_of = {path: uses.get(path, len(read)) for path in held}
    units = {path: _find_unit(train, path) for path in held}
    first: dict[str, int] = {}
    for path, parameter in held.items():
        if units[path] and parameter.value.type.rank > 1:
            first[units[path]] = min(first.get(units[path], len(read)), place_of[path])
    if not first:
        return {"": list(held)}
    order = sorted(first, key=first.__getitem__)
    starts = [first[unit] for unit in order]
    layers: dict[str, list[str]] = {unit: [] for unit in order}
    for path in held:
        unit = units[path]
        if unit not in layers:
            unit = order[max(0, bisect_right(starts, place_of[path]) - 1)]
        layers[unit].append(path)
    return layers


def _find_unit(train: Train, path: str) -> str:
    """The stage that a parameter belongs to; empty of one that a model declares itself."""
    prefix = max((n.prefix for n in train.nets if path.startswith(n.prefix)), key=len)
    first, *rest = path.removeprefix(prefix).split(".")
    if not rest:
        return ""
    listed = len(rest) > 1 and rest[0].isdigit()
    return prefix + (f"{first}.{rest[0]}" if listed else first)


def _find_patterns(train: Train, paths: Collection[str]) -> Iterator[str]:
    """What names these parameters and no others: stages by their paths, where all of one is among
    them."""
    named: set[str] = set()
    for path in paths:
        unit = _find_unit(train, path)
        inside = {other for other in train.trainable if unit and other.startswith(f"{unit}.")}
        if inside and inside <= {*paths}:
            if not inside & named:
                yield f"{unit}.*"
            named |= inside
        else:
            yield path
