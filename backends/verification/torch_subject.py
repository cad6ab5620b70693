"""The generated PyTorch module under test: runs it, and finds the first node that differs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backends.pytorch.modules import emit_module
from backends.pytorch.run.load import assign_weights, load_module
from backends.verification.margins import Margin
from backends.verification.messages import describe_divergence
from backends.verification.narrow import Divergence, bisect_divergence, cut_graph, make_probe
from backends.verification.tolerance import Difference
from compiler.ir.evaluate import expand
from compiler.ir.graph import Graph, Value
from compiler.report.diagnostics import Message

Array = NDArray[Any]


@dataclass(frozen=True)
class TorchSubject:
    """A module generated from a graph, with its weights."""

    graph: Graph
    weights: Mapping[str, Array]
    module: Any

    name = "the generated PyTorch module"

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """The outputs by name."""
        return run_module(self.module, self.graph, inputs)

    def explain(self, margin: Margin, output: str, found: Difference) -> Message:
        """The first node at fault, found with modules for parts of the graph."""
        inputs, graph = margin.case.inputs, expand(self.graph)

        def observe(values: Sequence[Value]) -> dict[str, Array]:
            part = cut_graph(graph, values)
            module = load_module(emit_module([part], title=part.name), part)
            assign_weights(module, {p.path: self.weights[p.path] for p in part.parameters})
            made = run_module(module, part, inputs)
            return {v.name: made[o.name] for v, o in zip(values, part.outputs, strict=True)}

        divergence = bisect_divergence(make_probe(margin), observe)
        if divergence is None:
            value = next(o.value for o in graph.outputs if o.name == output)
            divergence = Divergence(graph.producers[value.name], found)
        return describe_divergence(self.name, divergence, margin.case.at(found.index))


def run_module(module: Any, graph: Graph, inputs: Mapping[str, Array]) -> dict[str, Array]:
    """Outputs of a module generated from a graph, in evaluation mode.

    Raises:
        RuntimeError: PyTorch refuses the inputs.
    """
    import torch

    # `ascontiguousarray` would give a number an axis.
    given = [torch.from_numpy(np.array(inputs[i.name], order="C")) for i in graph.inputs]
    try:
        with torch.no_grad():
            made = module.eval()(*given)
    except (TypeError, ValueError, IndexError) as error:
        raise RuntimeError(str(error)) from error
    names = [output.name for output in graph.outputs]
    match made:
        case torch.Tensor():
            return {names[0]: made.detach().numpy()}
        case Mapping():
            return {name: made[name].detach().numpy() for name in names}
    return {name: tensor.detach().numpy() for name, tensor in zip(names, made, strict=True)}
