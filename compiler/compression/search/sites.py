"""What a search may choose from: for each layer and family of passes, the settings to try."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from compiler.compression.base import CompressionPass
from compiler.compression.selecting import is_selected, layer_path
from compiler.ir.graph import Graph
from compiler.records import dataclass

ORDER = ("widths", "layers", "bits")
"""The order that works, by what passes change: bits are last because all else moves ranges."""

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
    """The settings of a family, weakest first: those of a bare word, else the one that is
    given."""
    return family.list_settings() if isinstance(family, type) else (family,)


def list_scales(family: Family) -> tuple[tuple[CompressionPass, ...], ...]:
    """Settings of a family for all layers alike, weakest first, by each of the options that say
    how far it goes: those of a bare word, else the one that is given."""
    return family.list_scales() if isinstance(family, type) else ((family,),)


def sort_passes(passes: Iterable[CompressionPass]) -> list[CompressionPass]:
    """Passes in the order that works."""
    return sorted(passes, key=lambda one: ORDER.index(one.changes))


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
