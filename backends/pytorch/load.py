"""Generated code as live modules: the one place where this backend runs what it has written."""

from __future__ import annotations

import importlib.util
import linecache
import sys
import tempfile
from collections.abc import Mapping, Sequence
from itertools import count
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from backends.pytorch.modules import constructor_arguments, root_class
from compiler.ir.graph import Graph
from compiler.ir.weights import COUNTER

if TYPE_CHECKING:
    from torch import nn

_serial = count(1)


class WeightsMisfit(ValueError):
    """Weights that are not those of a module."""


def run_source(source: str, name: str = "model") -> ModuleType:
    """Executes generated source from a file of its own; tracebacks show its lines."""
    label = f"weft_generated_{name}_{next(_serial)}"
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{name}.py"
        path.write_text(source, encoding="utf-8")
        spec = importlib.util.spec_from_file_location(label, path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[label] = module  # where pickle and torch.compile look for its classes
        spec.loader.exec_module(module)
        lines = source.splitlines(keepends=True)
        # Without a time stamp the lines stay known after the file is gone.
        linecache.cache[str(path)] = (len(source), None, lines, str(path))
    return module


def load_module(source: str, graph: Graph, among: Sequence[Graph] = ()) -> nn.Module:
    """The module of a graph, made by its generated source, in evaluation mode.

    Args:
        source: the text that `emit_module` wrote for `among` (for the graph alone).
        graph: which of the nets in it.
        among: the nets that the source was written for.
    """
    module = run_source(source, graph.name)
    made = getattr(module, root_class(graph, among))
    built: nn.Module = made(**constructor_arguments(graph, among))
    return built.eval()


def assign_weights(module: nn.Module, weights: Mapping[str, NDArray[Any]]) -> None:
    """Copies weights into a module by path, strictly: every parameter and buffer gets its own.

    Raises:
        WeightsMisfit: a path is missing, unknown, or of another shape.
    """
    import torch

    own = module.state_dict()
    wanted = {path for path in own if path.rpartition(".")[2] != COUNTER or path in weights}
    missing, unknown = sorted(wanted - weights.keys()), sorted(weights.keys() - own.keys())
    if missing or unknown:
        raise WeightsMisfit(f"missing: {', '.join(missing)}; unknown: {', '.join(unknown)}")
    for path in sorted(wanted):
        if tuple(own[path].shape) != weights[path].shape:
            found, needed = weights[path].shape, tuple(own[path].shape)
            raise WeightsMisfit(f"{path} has the shape {found}, not {needed}")
    tensors = {p: torch.from_numpy(np.array(weights[p])).to(own[p].dtype) for p in wanted}
    counters = {path: own[path] for path in own if path not in wanted}
    module.load_state_dict({**counters, **tensors}, strict=True)
