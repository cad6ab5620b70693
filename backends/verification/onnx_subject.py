"""The ONNX file under test: runs it, and finds the first node that it computes differently."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from backends.onnx_graph.check import read_structure
from backends.onnx_graph.compile import prepare_graph
from backends.onnx_graph.dtypes import onnx_dtype
from backends.onnx_graph.lower import lower_graph
from backends.onnx_graph.metadata import OnnxOptions
from backends.onnx_runtime.session import Session, open_session
from backends.verification.cases import Case
from backends.verification.margins import Margin
from backends.verification.messages import describe_divergence
from backends.verification.narrow import Divergence, find_divergence, make_probe
from backends.verification.rounding import Reference
from backends.verification.tolerance import Difference
from compiler.data.class_names import ClassNames
from compiler.ir.evaluate import evaluate
from compiler.ir.graph import Graph, Value
from compiler.ops.softmax import softmax
from compiler.passes.base import Context
from compiler.passes.pipeline import ONNX_PASSES
from compiler.report.diagnostics import Message
from compiler.report.messages.verification import optimizer_differs, pass_changed_meaning
from compiler.report.messages.wording import list_words
from compiler.types.tensor import TensorType

Array = NDArray[Any]
CLOSE = 1e-3
"""How far a probability may be off, in half precision too."""


@dataclass(frozen=True)
class OnnxSubject:
    """An ONNX file and what it was made from."""

    graph: Graph
    weights: Mapping[str, Array]
    path: Path
    session: Session
    opset: int
    options: OnnxOptions

    @property
    def name(self) -> str:
        """What messages call it."""
        return f"ONNX Runtime ({self.session.device})"

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """The outputs by name; raises `RuntimeError` where the file is not one of this net."""
        found = self.session.run(inputs)
        wanted = [output.name for output in self.graph.outputs]
        if any(name not in found for name in wanted):
            made = list_words(tuple(found))
            raise RuntimeError(f"the file gives {made}, and not {list_words(wanted)}")
        if self.session.classes is not None:
            check_classes(self.session.classes, self.session.labels, found)
        return found

    def explain(self, margin: Margin, output: str, found: Difference) -> Message:
        """The pass, the node or the optimizer at fault."""
        case, place = margin.case, margin.case.at(found.index)
        changed = self._find_pass(margin)
        if changed is not None:
            return changed
        prepared = prepare_graph(self.graph, self.opset, self.options, Context(self.weights))
        reference = Reference(prepared, {**self.weights, **_constants(prepared)})
        probe = make_probe(replace(margin, reference=reference))
        divergence = find_divergence(probe, lambda values: self._observe(prepared, values, case))
        if divergence is not None:
            return describe_divergence(self.name, divergence, place)
        plain = open_session(self.path, device=self.session.device, optimize=False)
        name, rest = margin.judge(plain.run(case.inputs))
        if rest.share <= 1:
            origin = self.graph.frame.origin
            return optimizer_differs(origin, output, place, found.found, found.expected)
        last = self.graph.producers[self._output_value(name).name]
        return describe_divergence(self.name, Divergence(last, rest), place)

    def _find_pass(self, margin: Margin) -> Message | None:
        context = Context(self.weights)
        graph = self.graph
        for step in ONNX_PASSES:
            made = step.run(graph, context)
            if made is not graph:
                weights = {**self.weights, **_constants(made)}
                output, worst = margin.judge(evaluate(made, weights, margin.case.inputs))
                if worst.share > 1:
                    span, case = graph.frame.origin, margin.case.at(worst.index)
                    return pass_changed_meaning(
                        span, step.name, output, case, worst.found, worst.expected
                    )
            graph = made
        return None

    def _observe(self, prepared: Graph, values: Sequence[Value], case: Case) -> dict[str, Array]:
        """The file's numbers for values of the graph it was made from."""
        lowered = lower_graph(prepared, self.weights, opset=self.opset, options=self.options)
        structure = read_structure(self.path)
        made = {name for node in structure.graph.node for name in node.output}
        made |= set(self.session.inputs)
        found = {v.name: lowered.values[v.name] for v in values if v.name in lowered.values}
        names = {value: name for value, name in found.items() if name in made}
        types = {names[v.name]: v.type for v in values if v.name in names}
        present = {output.name for output in structure.graph.output} | set(self.session.inputs)
        extra = [make_info(name, t) for name, t in types.items() if name not in present]
        with tempfile.TemporaryDirectory() as folder:
            probe = write_probe(self.path, Path(folder), extra)
            results = open_session(probe, device=self.session.device).run(case.inputs)
        results |= {name: np.asarray(case.inputs[name]) for name in self.session.inputs}
        results = {name: array for name, array in results.items() if array.dtype.kind != "U"}
        return {value: results[name] for value, name in names.items()}

    def _output_value(self, name: str) -> Value:
        return next(o.value for o in self.graph.outputs if o.name == name)


def check_classes(names: ClassNames, labels: Sequence[str], found: Mapping[str, Array]) -> None:
    """Holds the outputs that name classes against the scores beside them, which are judged by
    themselves: a tie may be decided either way, as long as the name is that of the best score.

    Raises:
        RuntimeError: which output names another class, or has other probabilities.
    """
    scores = np.moveaxis(found[names.scores], names.axis, -1)
    best = np.argmax(scores, axis=-1)
    named, wanted = found[names.label], np.array(labels)[best]
    wrong = (named != wanted) & np.isfinite(scores).all(axis=-1)
    if wrong.any():
        at = tuple(np.argwhere(wrong)[0])
        best_of = f"and the class with the best score is {wanted[at]}"
        raise RuntimeError(f"the output {names.label} is {named[at]}, {best_of}")
    if names.probabilities:
        shares = np.moveaxis(found[names.probabilities], names.axis, -1)
        expected = softmax(scores.astype(np.float64), -1)
        if not np.allclose(shares, expected, rtol=0, atol=CLOSE, equal_nan=True):
            raise RuntimeError(f"the output {names.probabilities} is not the softmax of its scores")


def make_info(name: str, type: TensorType) -> onnx.ValueInfoProto:
    """The declaration of an output."""
    shape = [d.known if d.known is not None else str(d) for d in type.shape]
    return onnx.helper.make_tensor_value_info(name, int(onnx_dtype(type.dtype)), shape)


def write_probe(path: Path, folder: Path, outputs: Sequence[onnx.ValueInfoProto]) -> Path:
    """A copy of a model with more outputs. Protobuf merges a message that occurs twice, so they
    are appended to the file as one more piece of its graph."""
    probe = folder / path.name
    shutil.copyfile(path, probe)
    with probe.open("ab") as file:
        file.write(onnx.ModelProto(graph=onnx.GraphProto(output=outputs)).SerializeToString())
    data = path.with_name(path.name + ".data")
    if data.exists():
        (folder / data.name).symlink_to(data.resolve())
    return probe


def _constants(graph: Graph) -> dict[str, Any]:
    return dict(graph.constants)
