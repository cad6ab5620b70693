"""Verification as commands run it: the file, the generated module, the meaning; with progress."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from backends.onnx_runtime.session import Device
from backends.pytorch.modules import emit_module
from backends.pytorch.run.load import assign_weights, load_module
from backends.verification.cases import need_memory
from backends.verification.verify import Progress, VerifyReport, verify
from compiler.ir.graph import Graph
from compiler.report.diagnostics import Sink

Array = NDArray[Any]


def verify_file(
    graph: Graph,
    weights: Mapping[str, Array],
    path: Path,
    device: Device,
    sink: Sink,
    progress: Progress | None = None,
    samples: Mapping[str, Array] | None = None,
) -> VerifyReport:
    """Compares an ONNX file and the PyTorch module generated from a graph with its meaning in
    NumPy. Faults go to `sink`, with the line of the spec where the first value diverges.

    Raises:
        CompileError: the network does not fit into memory, or ONNX Runtime refuses the file.
    """
    need_memory(graph, {})
    module = load_module(emit_module([graph], title=graph.name), graph)
    assign_weights(module, weights)
    return verify(
        graph,
        weights,
        torch_module=module,
        onnx_path=path,
        device=device,
        sink=sink,
        progress=progress,
        samples=samples,
    )


@contextmanager
def keep_if_verified(files: Sequence[Path]) -> Iterator[None]:
    """Takes files away again unless what is done with them ends well: one that differs from the
    spec, or that nobody could judge, must not be taken for the result."""
    verified = False
    try:
        yield
        verified = True
    finally:
        if not verified:
            for file in files:
                file.unlink(missing_ok=True)


def list_onnx(path: Path) -> tuple[Path, Path]:
    """The ONNX file and the file that large weights lie in beside it."""
    return path, path.with_name(f"{path.name}.data")
