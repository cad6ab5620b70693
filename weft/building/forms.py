"""What stands around a variant's net in its file: outputs, preprocessing, labels, opset."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from backends.onnx_graph.compile import OnnxReport, compile_onnx
from backends.onnx_graph.metadata import OnnxOptions
from compiler.ir.weighted_net import WeightedNet
from compiler.passes.base import Context
from compiler.passes.dead_code import DeadCode
from compiler.program.data import DataSet
from compiler.program.deploy import Deploy
from compiler.program.variant import Variant
from compiler.report.source import Source
from compiler.rows.preprocess import join_columns
from weft.deployed.compiling import fit_preprocessing
from weft.results.cache import hash_text

Array = NDArray[Any]


@dataclass(frozen=True)
class Form:
    """How a net becomes a file. `fitted` are the statistics of the columns that stand before
    it, by their paths."""

    opset: int = 21
    options: OnnxOptions = field(default_factory=OnnxOptions)
    outputs: tuple[str, ...] = ()
    preprocess: DataSet | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    fitted: Mapping[str, Array] = field(default_factory=dict)

    def wrap(self, net: WeightedNet) -> WeightedNet:
        """The net as it is lowered."""
        graph = net.graph
        if self.outputs:
            known = {o.name: o for o in graph.outputs}
            kept = tuple(known[name] for name in self.outputs)
            graph = DeadCode().run(replace(graph, outputs=kept), Context())
        if self.preprocess is not None:
            graph = join_columns(self.preprocess, graph, self.columns)
        known_paths = {p.path for p in graph.parameters}
        weights = {path: a for path, a in net.weights.items() if path in known_paths}
        return WeightedNet(graph, weights | dict(self.fitted))

    def compile(self, net: WeightedNet, path: Path) -> OnnxReport:
        """Writes the file of a net.

        Raises:
            CompileError: ONNX cannot say what a layer means.
        """
        wrapped = self.wrap(net)
        return compile_onnx(
            wrapped.graph, wrapped.weights, path, opset=self.opset, options=self.options
        )

    def describe(self) -> str:
        """What the file follows from, besides the net, as text."""
        options = replace(self.options, span=None, spec_hash="")
        parts = (self.opset, options, self.outputs, sorted(self.columns.items()))
        name = self.preprocess.name if self.preprocess is not None else ""
        return repr((*parts, name))


def make_form(variant: Variant, deploy: Deploy | None, source: Source) -> Form:
    """The form of a variant as a deployment asks for it; the defaults without one."""
    spec_hash = hash_text(source.text)[:16]
    if deploy is None:
        return Form(options=OnnxOptions(spec_hash=spec_hash, span=variant.span))
    options = OnnxOptions(
        deploy.labels, spec_hash, deploy.dynamic, deploy.fixed, deploy.span or variant.span
    )
    fitted = fit_preprocessing(deploy, source.folder)
    return Form(deploy.opset, options, deploy.outputs, deploy.preprocess, deploy.columns, fitted)
