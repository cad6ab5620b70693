"""Stages of ONNX files: written and verified."""

from __future__ import annotations

from collections.abc import Callable

from weft.building.stage import BuildContext, Metadata, Stage
from weft.deployed.exporting import OnnxArtifact, list_onnx
from weft.deployed.measuring import BoundNet, sample_inputs
from weft.deployed.verifying import keep_if_verified, verify_file


def compile_artifact(context: BuildContext, artifact: OnnxArtifact) -> Metadata:
    """Writes an ONNX file.

    Raises:
        CompileError: ONNX cannot say what the graph asks.
    """

    def write() -> Metadata:
        report = artifact.write(context.files)
        return {"bytes": report.bytes, "nodes": report.nodes, "constants": report.parameters}

    spec = artifact.spec
    reads = (artifact.net, spec.opset, spec.options, spec.rows, artifact.beside)
    writes = artifact.files
    name = f"compile {artifact.name}"
    return context.make(Stage(name, reads, write, writes, begins=str(artifact.path)))


def verify_artifact(
    context: BuildContext,
    artifact: OnnxArtifact,
    find_place: Callable[[], BoundNet | None] = lambda: None,
) -> Metadata:
    """Holds a file against the meaning of the graph and the generated PyTorch, on some rows of its
    train too, and takes it away where it differs. With `verify off`, says that this is not done.

    Raises:
        CompileError: a backend differs; the message names the first line that diverges.
    """
    name, net, path = f"verify {artifact.name}", artifact.net, artifact.path
    if not artifact.spec.verify:
        context.echo(f"{name}: OFF, as the spec says")
        return {"off": True}

    def compare() -> Metadata:
        samples = sample_inputs(find_place(), net.graph, dict(artifact.spec.options.fixed))
        with keep_if_verified(list_onnx(path)):
            return verify_file(net.graph, net.weights, path, context.device, samples=samples)

    begins = "comparing NumPy, PyTorch and ONNX Runtime"
    return context.make(Stage(name, (path, net.graph), compare, begins=begins))
