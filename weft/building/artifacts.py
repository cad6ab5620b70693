"""Stages of ONNX files: written and verified."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from numpy.typing import NDArray

from weft.building.stage import BuildContext, Facts, Stage
from weft.deployed.exporting import OnnxArtifact, list_onnx
from weft.deployed.verifying import keep_if_verified, verify_file

Array = NDArray[Any]


def compile_artifact(context: BuildContext, artifact: OnnxArtifact) -> Facts:
    """Writes an ONNX file.

    Raises:
        CompileError: ONNX cannot say what the graph asks.
    """

    def write() -> Facts:
        report = artifact.write(context.files)
        return {"bytes": report.bytes, "nodes": report.nodes, "constants": report.parameters}

    reads = (artifact.net, artifact.spec.opset, artifact.spec.options)
    writes = list_onnx(artifact.path)
    name = f"compile {artifact.name}"
    return context.make(Stage(name, reads, write, writes, begins=str(artifact.path)))


def verify_artifact(
    context: BuildContext,
    artifact: OnnxArtifact,
    find_samples: Callable[[], Mapping[str, Array] | None] = lambda: None,
) -> Facts:
    """Holds a file against the meaning of the graph and the generated PyTorch, and takes it away
    where it differs. With `verify off`, says that this is not done.

    Raises:
        CompileError: a backend differs; the message names the first line that diverges.
    """
    name, net, path = f"verify {artifact.name}", artifact.net, artifact.path
    if not artifact.spec.verify:
        context.echo(f"{name}: OFF, as the spec says")
        return {"off": True}

    def compare() -> Facts:
        samples = find_samples()
        with keep_if_verified(list_onnx(path)):
            return verify_file(net.graph, net.weights, path, context.device, samples=samples)

    begins = "comparing NumPy, PyTorch and ONNX Runtime"
    return context.make(Stage(name, (path, net.graph), compare, begins=begins))
