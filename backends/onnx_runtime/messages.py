"""Findings of the verification as messages."""

from __future__ import annotations

from backends.onnx_runtime.narrow import Divergence
from compiler.diagnostics import Message
from compiler.messages.verification import BackendsDiffer


def describe_divergence(backend: str, divergence: Divergence, case: str) -> Message:
    """The message about the first node that diverges."""
    node, difference = divergence.node, divergence.difference
    return BackendsDiffer(
        node.origin.span,
        backend,
        node.op.name,
        case,
        difference.found,
        difference.expected,
        difference.allowed,
        difference.index,
        difference.reason,
    )
