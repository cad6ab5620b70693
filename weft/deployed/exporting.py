"""The way of a net into its ONNX file: what the file is to be like, and writing it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backends.onnx_graph.compile import OnnxReport, compile_onnx
from backends.onnx_graph.metadata import OnnxOptions
from backends.onnx_graph.opsets import DEFAULT
from compiler.data.drift import describe_training
from compiler.data.raw_columns import RawRows
from compiler.ir.weighted_net import WeightedNet
from compiler.passes.base import Context
from compiler.passes.dead_code import DeadCode
from compiler.program.data import DataSet
from compiler.program.deploy import Deploy
from compiler.program.program import Program
from compiler.report.source import Source, Span
from compiler.rows.loading import load_data
from compiler.rows.preprocess import PREFIX, join_columns
from weft.results.cache import hash_text
from weft.results.generated import GeneratedFiles

Array = NDArray[Any]
ROUNDING = 1e-4
"""What a training script may round a statistic by, relative to it."""
TOKENIZER = "tokenizer.json"
"""What the file of a tokenizer ends with, as `tokenizers` writes it."""


@dataclass(frozen=True)
class ExportSpec:
    """How a net becomes a file. What `wrap` puts around it is there for variants: the graphs of
    other deployments have it. `fitted` are the statistics of the columns that are put before it,
    by their paths, `rows` the raw rows that it then takes, with what those of the training tell."""

    opset: int = DEFAULT
    options: OnnxOptions = field(default_factory=OnnxOptions)
    verify: bool = True
    outputs: tuple[str, ...] = ()
    preprocess: DataSet | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    fitted: Mapping[str, Array] = field(default_factory=dict)
    rows: RawRows | None = None

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

    def write(self, net: WeightedNet, path: Path) -> OnnxReport:
        """Writes the file of a net that was wrapped.

        Raises:
            CompileError: ONNX cannot say what is asked.
            OSError: the folder cannot be written.
        """
        options = replace(self.options, rows=self.rows)
        return compile_onnx(net.graph, net.weights, path, opset=self.opset, options=options)

    @property
    def asked(self) -> tuple[object, ...]:
        """What a deployment asks of the file, without what its data gives."""
        name = self.preprocess.name if self.preprocess is not None else ""
        return self.opset, self.options, self.outputs, self.columns, name


@dataclass(frozen=True)
class OnnxArtifact:
    """A net with its weights, as it is lowered, and the file that it becomes."""

    name: str
    net: WeightedNet
    path: Path
    spec: ExportSpec
    beside: Mapping[str, str] = field(default_factory=dict)
    """Texts that lie beside it, by the names of their files."""

    @property
    def files(self) -> tuple[Path, ...]:
        """The ONNX file, that of large weights, and what else lies beside it."""
        return (*list_onnx(self.path), *(self.path.with_name(name) for name in self.beside))

    def write(self, files: GeneratedFiles) -> OnnxReport:
        """Writes the file in place of an older one.

        Raises:
            CompileError: ONNX cannot say what is asked.
            OSError: the folder cannot be written.
        """
        with files.replacing(*list_onnx(self.path)):
            for old in list_onnx(self.path):  # what an earlier spec made is not this one's
                old.unlink(missing_ok=True)
            report = self.spec.write(self.net, self.path)
        for name, text in self.beside.items():
            files.write(self.path.with_name(name), text)
        return report


def list_onnx(path: Path) -> tuple[Path, Path]:
    """The ONNX file and the file that large weights lie in beside it."""
    return path, path.with_name(f"{path.name}.data")


def make_export_spec(deploy: Deploy | None, source: Source, span: Span | None = None) -> ExportSpec:
    """What a deployment asks of its file; the defaults without one, which are asked for at
    `span`."""
    spec_hash = hash_spec(source)
    if deploy is None:
        return ExportSpec(options=OnnxOptions(spec_hash=spec_hash, span=span))
    options = OnnxOptions(
        deploy.labels,
        spec_hash,
        deploy.dynamic,
        deploy.fixed,
        deploy.span or span,
        classes=deploy.classes,
    )
    return ExportSpec(deploy.opset, options, deploy.verify, rows=deploy.raw_rows)


@dataclass(frozen=True)
class Preprocessing:
    """What the data before a deployed net brings into its file: the statistics of the columns by
    their path in its graph, and the raw rows that it takes, with what the training's hold."""

    fitted: Mapping[str, Array] = field(default_factory=dict)
    rows: RawRows | None = None


def open_preprocessing(
    deploy: Deploy, folder: Path, weights: Mapping[str, Array] | None = None
) -> Preprocessing:
    """What the data before a net brings; nothing where there are no columns before it. Where the
    statistics among its `weights` are not those of the rows at hand, the net was trained on
    others, and what these hold is not known."""
    if deploy.preprocess is None or deploy.raw_rows is None:
        return Preprocessing()
    loaded = load_data(deploy.preprocess, folder)
    known = {PREFIX + path: array for path, array in loaded.statistics.items()}
    own = {path: array for path, array in known.items() if path in deploy.graph.parameter}
    given = weights or {}
    if any(_differs(given[p], array) for p, array in own.items() if p in given):
        return Preprocessing(own, deploy.raw_rows)
    numbers = loaded.divided["train"]
    columns = (describe_training(c, loaded.raw[c.name], numbers) for c in deploy.raw_rows.columns)
    return Preprocessing(own, replace(deploy.raw_rows, columns=tuple(columns)))


def _differs(array: Array, other: Array) -> bool:
    """Whether a statistic is another one, and not the same in another rounding."""
    return not np.allclose(array, other, rtol=ROUNDING, atol=0, equal_nan=True)


def fit_preprocessing(
    deploy: Deploy, folder: Path, fitted: Mapping[str, Array] | None = None
) -> dict[str, Array]:
    """Statistics of the columns that stand before a deployed net, by their path in its graph;
    where a training has `fitted` them, they are its."""
    if deploy.preprocess is None:
        return {}
    statistics = load_data(deploy.preprocess, folder, fitted).statistics
    known = {PREFIX + path: array for path, array in statistics.items()}
    return {path: array for path, array in known.items() if path in deploy.graph.parameter}


def find_beside(deploy: Deploy, program: Program) -> dict[str, str]:
    """What lies beside the file of a deployment: what the source of its data has learned to read
    rows with, under the name of the deployment."""
    train = program.trains.get(deploy.train or "")
    variant = program.variants.get(deploy.variant or "")
    if train is None and variant is not None:
        train = program.trains.get(variant.train or "")
    data = deploy.preprocess or (train.data if train is not None else None)
    found = data.source.beside(program.source.folder) if data is not None else {}
    if len(found) == 1:
        return {f"{deploy.name}.{TOKENIZER}": text for text in found.values()}
    return {f"{deploy.name}.{name}": text for name, text in found.items()}


def hash_spec(source: Source) -> str:
    """What tells in a file which text it was made of."""
    return hash_text(source.text)[:16]
