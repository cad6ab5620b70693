"""Merges adapters into the weights beside them, for passes that begin where `lora` ended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compiler.ir.graph import Graph
from compiler.ir.weighted_net import WeightedNet
from compiler.passes.base import Context
from compiler.passes.dead_code import DeadCode
from compiler.passes.merge_adapters import MergeAdapters
from compiler.passes.pipeline import run_passes

Array = NDArray[Any]


def merge_adapters(graph: Graph, weights: Mapping[str, Array]) -> WeightedNet:
    """The net without adapters; as it is where it has none."""
    context = Context(weights)
    if MergeAdapters().run(graph, context) is graph:
        return WeightedNet(graph, weights)
    made = run_passes(graph, (MergeAdapters(), DeadCode()), context)
    merged = {path: np.asarray(array) for path, array in made.constants.items()}
    numbers = {p.path: merged.get(p.path, weights[p.path]) for p in made.parameters}
    return WeightedNet(replace(made, constants={}), numbers)
