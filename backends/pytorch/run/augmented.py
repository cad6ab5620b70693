"""Rows as the function of a training script changes them at random."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

from backends.pytorch.run.load import run_source
from backends.pytorch.train.draws import DRAWS
from backends.pytorch.train.script import emit_script
from backends.pytorch.train.script_spec import ScriptSpec
from compiler.program.train import Train

Array = NDArray[Any]


def augment_rows(train: Train, columns: Mapping[str, Array], seed: int) -> Mapping[str, Array]:
    """The columns of a batch that an augmentation changes, changed with draws from a seed; none
    where nothing is augmented. Numbers that change with the steps have their first value."""
    import torch

    script = ScriptSpec(train)
    made = script.augmentation
    if made is None:
        return {}
    tree = ast.parse(emit_script(script))
    tree.body = [s for s in tree.body if not isinstance(s, ast.ImportFrom) or s.module != "model"]
    module = run_source(ast.unparse(tree), "train")
    draws = torch.Generator().manual_seed(seed)
    given = [torch.from_numpy(columns[item.name]) for item in made.graph.inputs]
    numbers = script.draws.list_given(made.graph, alone=made.alone)
    with torch.no_grad():
        found = getattr(module, made.function)(
            *given, *(draws if n == DRAWS else 1 for n in numbers)
        )
    results = found if isinstance(found, tuple) else (found,)
    names = [output.name for output in made.graph.outputs]
    return {name: result.numpy() for name, result in zip(names, results, strict=True)}
