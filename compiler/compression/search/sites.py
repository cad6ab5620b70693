"""What a search may choose from: for each layer and family of passes, the settings to try."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from compiler.compression.base import CompressionPass
from compiler.compression.low_rank.low_rank import LowRank
from compiler.compression.pruning.prune import Prune
from compiler.compression.quantization.base import Quantize
from compiler.compression.selecting import is_selected, layer_path
from compiler.ir.graph import Graph
from compiler.records import dataclass

CHANNELS = (0.25, 0.5, 0.75)
"""Shares of channels that a bare `prune` is tried with."""
ENERGIES = (0.98, 0.95, 0.9)
"""Shares of energy that a bare `low_rank` is tried with."""

SHARES = tuple(n / 100 for n in range(1, 96))
"""Shares of channels from which a plain baseline takes the least that keeps the goals."""
RETAINED = (*(n / 1000 for n in range(999, 950, -1)), *(n / 200 for n in range(190, 99, -1)))
"""Shares of energy from which a plain baseline takes the most that keeps the goals."""
RANKS = tuple(range(1023, 0, -1))
"""Ranks from which a plain baseline takes the largest."""
BUDGETS = tuple(n / 100 for n in range(99, 0, -1))
"""Shares of the parameters from which a plain baseline takes the largest."""
ORDER = (Prune.name, LowRank.name, Quantize.name)
"""The order that works: quantization is last because all else moves ranges."""

Family = CompressionPass | type[CompressionPass]
"""What a search is given: a pass with settings, or a bare word."""


@dataclass(frozen=True)
class Site:
    """One layer and one family of passes: the settings to choose among, weakest first, each
    restricted to the layer. Leaving the layer alone is always a choice besides."""

    path: str
    family: str
    settings: tuple[CompressionPass, ...]


def find_sites(graph: Graph, families: Sequence[Family]) -> list[Site]:
    """Every layer with a matrix or kernel, with every family that may touch it."""
    paths = list(dict.fromkeys(_find_layers(graph)))
    sites = []
    for family in families:
        ladder = list_settings(family)
        for path in paths:
            if _allows(ladder[0], path):
                sites.append(Site(path, ladder[0].name, tuple(_restrict(s, path) for s in ladder)))
    return sites


def list_settings(family: Family) -> tuple[CompressionPass, ...]:
    """The settings of a family, weakest first: several of a bare `prune` or `low_rank`, else the
    one that is given."""
    if not isinstance(family, type):
        return (family,)
    if family is Prune:
        return tuple(Prune(channels=share) for share in CHANNELS)
    if family is LowRank:
        return tuple(LowRank(energy=share) for share in ENERGIES)
    return (family(),)


def list_scales(family: Family) -> tuple[tuple[CompressionPass, ...], ...]:
    """Settings of a family for all layers alike, weakest first, by each of the options that say
    how far it goes: many of a bare `prune` or `low_rank`, else the one that is given."""
    if family is Prune:
        return (tuple(Prune(channels=share) for share in SHARES),)
    if family is LowRank:
        return (
            tuple(LowRank(energy=share) for share in RETAINED),
            tuple(LowRank(rank=rank) for rank in RANKS),
            tuple(LowRank(budget=share) for share in BUDGETS),
        )
    return (list_settings(family),)


def sort_passes(passes: Iterable[CompressionPass]) -> list[CompressionPass]:
    """Passes in the order that works."""
    places = {name: place for place, name in enumerate(ORDER)}
    return sorted(passes, key=lambda one: places.get(one.name, len(ORDER)))


def combine(settings: Sequence[CompressionPass]) -> list[CompressionPass]:
    """The chosen settings as passes in order. Layers with the same setting share one pass, so
    that activations between two quantized layers are quantized once."""
    merged: dict[Any, list[str]] = {}
    for setting in settings:
        plain: Any = setting
        merged.setdefault(replace(plain, only=None), []).extend(plain.only)
    passes: list[Any] = sort_passes(merged)
    return [replace(p, only=tuple(merged[p])) for p in passes]


def _find_layers(graph: Graph) -> Iterator[str]:
    for node in graph.nodes:
        read = [graph.parameter[v.name] for v in node.inputs if v and v.name in graph.parameter]
        if any(p.trainable and p.value.type.rank >= 2 for p in read):
            yield layer_path(node)


def _allows(family: Any, path: str) -> bool:
    return is_selected(path, family.only, family.except_)


def _restrict(family: Any, path: str) -> CompressionPass:
    made: CompressionPass = replace(family, only=(path,))
    return made
