"""Files that a build makes: written and verified, each when what it follows from has changed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from backends.onnx_graph.compile import compile_onnx
from backends.onnx_graph.metadata import OnnxOptions
from backends.onnx_runtime.session import Device
from backends.verification.verify import VerifyReport
from compiler.ir.graph import Graph
from compiler.ir.printer import print_graph
from compiler.report.diagnostics import CompileError, Sink
from weft.deployed.verifying import keep_if_verified, list_onnx, verify_file
from weft.results.cache import Cache, hash_file, hash_text
from weft.results.generated import GeneratedFiles

Array = NDArray[Any]
Echo = Callable[[str], None]


@dataclass(frozen=True)
class Artifact:
    """A graph with its weights, and the ONNX file that it becomes. `name` is that of the stages
    that make it."""

    name: str
    graph: Graph
    weights: Mapping[str, Array]
    path: Path
    opset: int
    options: OnnxOptions = field(default_factory=OnnxOptions)
    verify: bool = True


@dataclass(frozen=True)
class Workshop:
    """Where files are made: the record of the build, who is told, and who writes."""

    cache: Cache
    device: Device
    echo: Echo
    files: GeneratedFiles

    def compile(self, artifact: Artifact, key: str) -> None:
        """Writes the ONNX file.

        Raises:
            CompileError: ONNX cannot say what the graph asks.
        """
        stage = f"compile {artifact.name}"
        if self.cache.is_fresh(stage, key):
            self.echo(f"{stage}: up to date")
            return
        self.echo(f"{stage}: {artifact.path}")
        with self.files.replacing(*list_onnx(artifact.path)):
            for old in list_onnx(artifact.path):  # what an earlier spec made is not this one's
                old.unlink(missing_ok=True)
            report = compile_onnx(
                artifact.graph,
                artifact.weights,
                artifact.path,
                opset=artifact.opset,
                options=artifact.options,
            )
        facts = {"bytes": report.bytes, "nodes": report.nodes, "constants": report.parameters}
        self.cache.record(stage, key, report.files, facts)

    def verify(
        self, artifact: Artifact, find_samples: Callable[[], Mapping[str, Array] | None]
    ) -> None:
        """Holds the file against the meaning of the graph and the generated PyTorch, and takes
        it away where it differs. With `verify off`, notes that this was not done.

        Raises:
            CompileError: a backend differs; the message names the first line that diverges.
        """
        stage = f"verify {artifact.name}"
        if not artifact.verify:
            self.echo(f"{stage}: OFF, as the spec says")
            self.cache.record(stage, "off", (), {"off": True})
            return
        key = hash_text(hash_file(artifact.path), print_graph(artifact.graph))
        if self.cache.is_fresh(stage, key):
            self.echo(f"{stage}: up to date")
            return
        self.echo(f"{stage}: comparing NumPy, PyTorch and ONNX Runtime")
        with keep_if_verified(list_onnx(artifact.path)):
            report = self._compare(artifact, find_samples())
        worst = report.worst
        facts = {
            "cases": len({r.case for r in report.results}),
            "backends": sorted({r.backend for r in report.results}),
            "error": worst.error if worst else 0.0,
            "allowed": worst.allowed if worst else 0.0,
        }
        self.cache.record(stage, key, (), facts)

    def _compare(self, artifact: Artifact, samples: Mapping[str, Array] | None) -> VerifyReport:
        sink = Sink()
        graph, weights = artifact.graph, artifact.weights
        report = verify_file(graph, weights, artifact.path, self.device, sink, samples=samples)
        if not report.passed:
            raise CompileError(sink.messages)
        return report
