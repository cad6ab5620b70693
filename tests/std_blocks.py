"""Blocks of the library beside someone else's numbers: their meaning, their module, gradients."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from backends.pytorch.modules import emit_module
from backends.pytorch.run.load import load_module
from compiler.ir.evaluate import evaluate
from tests.elaborating import build

Array = NDArray[Any]
TOLERANCE = 2e-5


def type_text(array: Array) -> str:
    dtype = {"float32": "f32", "int64": "i64", "bool": "bool"}[array.dtype.name]
    return f"{dtype}[{', '.join(['batch', *map(str, array.shape[1:])])}]"


def compare_block(
    library: str, call: str, inputs: Mapping[str, Array], oracle: Callable[..., Any]
) -> None:
    """The value of a call of a block without weights of its own, in NumPy and in the generated
    module, and its gradients, are the oracle's, which gets the inputs as tensors in order."""
    lines = [f"    input {name}: {type_text(array)}" for name, array in inputs.items()]
    text = "\n".join([f"use std.{library}", "model M {", *lines, f"    output y = {call}", "}"])
    graph = build(text).graph
    given = [torch.tensor(array) for array in inputs.values()]
    expected = oracle(*(t.double() if t.is_floating_point() else t for t in given)).numpy()
    (meant,) = evaluate(graph, {}, dict(inputs)).values()
    np.testing.assert_allclose(meant, expected, rtol=TOLERANCE, atol=TOLERANCE)
    module = load_module(emit_module([graph], title="M"), graph)
    found = differentiate(module, given)
    wanted = differentiate(oracle, [t.double() if t.is_floating_point() else t for t in given])
    for mine, theirs in zip(found, wanted, strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=TOLERANCE, atol=TOLERANCE)


def differentiate(function: Callable[..., Any], given: list[torch.Tensor]) -> list[Array]:
    """The result, and the gradients of its sum to the inputs that are numbers."""
    tensors = [t.clone().requires_grad_(t.is_floating_point()) for t in given]
    result = function(*tensors)
    result.sum().backward()
    gradients = [t.grad if t.grad is not None else torch.zeros_like(t) for t in tensors]
    return [result.detach().numpy(), *(g.numpy() for g in gradients)]
