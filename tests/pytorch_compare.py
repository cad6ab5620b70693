"""Runs generated modules beside the NumPy meaning, and holds generated files to ruff."""

from __future__ import annotations

import ast
import inspect
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from backends.pytorch.modules import emit_module
from backends.pytorch.run.load import assign_weights, load_module, run_source
from compiler.ir.evaluate import evaluate
from compiler.ir.graph import Graph
from compiler.ir.weights import draw_weights
from tests.elaborating import build

Array = NDArray[Any]
TOLERANCE = 1e-5


def draw_lively(graph: Graph, seed: int = 0) -> dict[str, Array]:
    """Weights that leave no parameter without effect: norms and biases are no ones and zeros."""
    weights = draw_weights(graph, seed)
    rng = np.random.default_rng(seed)
    for path, array in weights.items():
        if path.endswith("running_var"):
            weights[path] = rng.uniform(0.5, 1.5, array.shape).astype(array.dtype)
        elif array.dtype.kind == "f" and (array.ndim < 2 or not array.any()):
            weights[path] = (array + rng.normal(0, 0.2, array.shape)).astype(array.dtype)
    return weights


def draw_inputs(graph: Graph, sizes: Mapping[str, int], seed: int = 0) -> dict[str, Array]:
    rng = np.random.default_rng(seed)
    found = {}
    for item in graph.inputs:
        shape = [size.evaluate(sizes) for size in item.value.type.shape]
        dtype = item.value.type.dtype
        drawn = rng.normal(size=shape) if dtype.is_float else rng.integers(0, 2, shape)
        found[item.name] = np.asarray(drawn, dtype.numpy)
    return found


def run(module: torch.nn.Module, inputs: Mapping[str, Array]) -> tuple[Array, ...]:
    with torch.no_grad():
        made = module(*(torch.from_numpy(array) for array in inputs.values()))
    return tuple(t.detach().numpy() for t in (made if isinstance(made, tuple) else (made,)))


def assert_means_the_same(graph: Graph, sizes: Mapping[str, int], seed: int = 0) -> str:
    """The module prints, loads its weights strictly and computes what the graph means; its
    text."""
    text = emit_module([graph], title=graph.name)
    module = load_module(text, graph)
    weights = draw_lively(graph, seed)
    assign_weights(module, weights)
    paths = {p for p in module.state_dict() if not p.endswith("num_batches_tracked")}
    assert paths == set(weights)
    inputs = draw_inputs(graph, sizes, seed)
    wanted = evaluate(graph, weights, inputs)
    for (name, array), found in zip(wanted.items(), run(module, inputs), strict=True):
        assert found.shape == array.shape, name
        scale = max(1.0, float(np.abs(array).max(initial=0)))
        worst = float(np.abs(array - found).max(initial=0)) / scale
        assert worst < TOLERANCE, f"{graph.name}: {name} is off by {worst}"
    return text


def assert_clean(folder: Path) -> None:
    """ruff with its own settings finds nothing in any file of a folder and would change none."""
    for command in (("check",), ("format", "--diff")):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *command, "--isolated", "--no-cache", str(folder)],
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout + done.stderr


def set_defaults(spec: str, model: str, values: Mapping[str, str]) -> str:
    """The text of a spec with other defaults for the parameters of a model."""
    start = spec.index(f"model {model}(")
    end = spec.index("{\n", start)
    head = spec[start:end]
    for name, value in values.items():
        written = rf"\b({name}: \w+ = )(\[(?:[^][]|\[[^]]*\])*\]|[^,)]+)"
        head, count = re.subn(written, rf"\g<1>{value}", head)
        assert count == 1, f"{model} has no parameter {name} with a default"
    return spec[:start] + head + spec[end:]


def emit(spec: str) -> str:
    """The generated module of the model `M`."""
    return emit_module([build(spec).graph], title="M")


def offered(spec: str) -> set[str]:
    """The arguments of the class `M` that is generated for a spec."""
    return set(inspect.signature(run_source(emit(spec)).M).parameters)


def assert_arguments_mean_the_same(
    spec: str, model: str, values: Mapping[str, str], sizes: Mapping[str, int], seed: int = 0
) -> None:
    """The class that is generated for a spec, made with other arguments, is what the spec is
    with these values: it has the same weights and computes the same."""
    module = run_source(emit_module([build(spec, model).graph], title=model), model)
    given = {name: ast.literal_eval(value.capitalize()) for name, value in values.items()}
    made = getattr(module, model)(**given).eval()
    graph = build(set_defaults(spec, model, values), model).graph
    weights = draw_lively(graph, seed)
    assign_weights(made, weights)
    inputs = draw_inputs(graph, sizes, seed)
    wanted = evaluate(graph, weights, inputs)
    for (name, array), found in zip(wanted.items(), run(made, inputs), strict=True):
        assert found.shape == array.shape, name
        scale = max(1.0, float(np.abs(array).max(initial=0)))
        worst = float(np.abs(array - found).max(initial=0)) / scale
        assert worst < TOLERANCE, f"{model}({values}): {name} is off by {worst}"
