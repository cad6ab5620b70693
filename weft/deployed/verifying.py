"""Verification as commands run it: the file, the generated module, the meaning; with progress."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from backends.onnx_runtime.session import Device
from backends.pytorch.modules import emit_module
from backends.pytorch.run.load import assign_weights, load_module
from backends.verification.cases import need_memory
from backends.verification.verify import Progress, verify
from compiler.ir.graph import Graph
from compiler.report.diagnostics import CompileError, Message, Sink

Array = NDArray[Any]


class BackendsDiffer(CompileError):
    """Raised where a file was not verified; `backends` are those that failed or computed something
    else, none where the file cannot be judged."""

    def __init__(self, messages: Sequence[Message], backends: Collection[str]) -> None:
        self.backends = backends
        super().__init__(messages)


def verify_file(
    graph: Graph,
    weights: Mapping[str, Array],
    path: Path,
    device: Device,
    progress: Progress | None = None,
    samples: Mapping[str, Array] | None = None,
) -> dict[str, Any]:
    """Compares an ONNX file and the PyTorch module generated from a graph with its meaning in
    NumPy; what was compared, as data.

    Raises:
        BackendsDiffer: the message names the line of the spec where the first value diverges.
        CompileError: the network does not fit into memory, or ONNX Runtime refuses
            the file.
    """
    need_memory(graph, {})
    module = load_module(emit_module([graph], title=graph.name), graph)
    assign_weights(module, weights)
    sink = Sink()
    report = verify(
        graph,
        weights,
        torch_module=module,
        onnx_path=path,
        device=device,
        sink=sink,
        progress=progress,
        samples=samples,
    )
    if not report.passed:
        raise BackendsDiffer(sink.messages, report.failed)
    worst = report.worst
    return {
        "cases": len({r.case for r in report.results}),
        "backends": sorted({r.backend for r in report.results}),
        "error": worst.error if worst else 0.0,
        "allowed": worst.allowed if worst else 0.0,
    }


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
