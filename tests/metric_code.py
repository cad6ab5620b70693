"""Runs the generated lines of a metric, batch by batch, as a training script does."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from compiler.training.base import Measured, Metric, MetricCode


def run_metric(metric: Metric, arrays: Sequence[Any], batch: int) -> Measured:
    """The figure of arrays that are cut into batches; None is an operand that is left out."""
    names = [None if a is None else f"value_{n}" for n, a in enumerate(arrays)]
    given = {n: a for n, a in zip(names, arrays, strict=True) if n is not None}
    rows = len(arrays[0])
    batches = [
        (min(batch, rows - s), {n: a[s : s + batch] for n, a in given.items()})
        for s in range(0, rows, batch)
    ]
    return run_batches(metric.code(names), batches)


def run_batches(code: MetricCode, batches: Sequence[tuple[int, Mapping[str, Any]]]) -> Measured:
    """The figure of batches, each with its rows and its values."""
    sums = {name: 0.0 for name, _ in code.sums}
    kept: dict[str, list[Any]] = {item.name: [] for item in code.kept}
    tables = {t.name: torch.zeros(t.shape, dtype=torch.float64) for t in code.tables}
    functions: dict[str, Any] = {"torch": torch, "Tensor": torch.Tensor, "math": math}
    functions["F"] = torch.nn.functional
    for text in code.functions:
        exec(text, functions)
    for rows, given in batches:
        scope: dict[str, Any] = {name: torch.tensor(value) for name, value in given.items()}
        scope |= {"rows": rows, "math": math, **functions}
        for name, expression in code.steps:
            scope[name] = eval(expression, scope)
        for name, expression in code.sums:
            sums[name] += float(eval(expression, scope))
        for table in code.tables:
            tables[table.name] += eval(table.expression, scope)
        for item in code.kept:
            kept[item.name].append(eval(item.expression, scope).double())
    scope = {**sums, **{name: torch.cat(values) for name, values in kept.items()}}
    scope |= {"rows": sum(rows for rows, _ in batches), "math": math, **tables, **functions}
    for name, expression in code.finals:
        scope[name] = eval(expression, scope)
    result = eval(code.result, scope)
    return np.array(result) if isinstance(result, list) else float(result)
