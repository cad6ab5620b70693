"""Generated code as live modules: the one place where this backend runs what it has written."""

from __future__ import annotations

import hashlib
import importlib.util
import linecache
import sys
import tempfile
from collections.abc import Mapping, Sequence
from functools import partialmethod
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from backends.pytorch.modules import constructor_arguments, root_class
from compiler.ir.graph import Graph
from compiler.ir.weights import COUNTER
from compiler.writing.names import safe_name

if TYPE_CHECKING:
    from torch import nn


class WeightsMisfit(ValueError):
    """Weights that are not those of a module."""


def run_source(source: str, name: str = "model") -> ModuleType:
    """Executes generated source from a file of its own; tracebacks show its lines. The module is
    called by what is in it, and the same source is executed once."""
    digest = hashlib.sha256(source.encode()).hexdigest()[:16]
    label = f"weft_generated_{digest}"
    if label in sys.modules:
        return sys.modules[label]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{safe_name(name)}.py"
        path.write_text(source, encoding="utf-8")
        spec = importlib.util.spec_from_file_location(label, path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[label] = module  # where pickle and torch.compile look for its classes
        try:
            spec.loader.exec_module(module)
        except BaseException:
            del sys.modules[label]
            raise
        lines = source.splitlines(keepends=True)
        # Without a time stamp the lines stay known after the file is gone.
        linecache.cache[str(path)] = (len(source), None, lines, str(path))
    for made in vars(module).values():
        if isinstance(made, type) and made.__module__ == label:
            made.__reduce_ex__ = partialmethod(_reduce, source)  # type: ignore[assignment]
    return module


def _reduce(self: Any, source: str, protocol: int) -> tuple[Any, ...]:
    """How an object of a generated class is pickled: with the source of its class, because
    another process has no module to import it from."""
    return _remake, (source, type(self).__qualname__), self.__dict__


def _remake(source: str, name: str) -> Any:
    """An object of a generated class without its state."""
    made = getattr(run_source(source), name)
    return made.__new__(made)


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
