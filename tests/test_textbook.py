"""The textbook: each spec means what its formula says, in every backend, and gives the numbers that
are printed."""

from __future__ import annotations

import ast
import importlib
import inspect
import runpy
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from backends.onnx_graph.compile import compile_onnx
from backends.onnx_runtime.session import Device, open_session
from backends.pytorch.modules import emit_module
from backends.pytorch.run.load import assign_weights, load_module
from backends.pytorch.train.folder import write_training
from compiler.driver import check
from compiler.elaborate.items.deploy import find_unexported
from compiler.ir.evaluate import evaluate
from compiler.ir.graph import Graph
from compiler.ir.weights import draw_weights
from compiler.program.program import Program
from compiler.report.diagnostics import Sink
from compiler.report.render import render
from compiler.report.source import Source
from compiler.text.format.format import format_source
from tests.textbook_pages import CHAPTERS, INDEX, Example, read_chapter

Array = NDArray[Any]
Arrays = Mapping[str, Array]
PAGES = [INDEX, *CHAPTERS]
ORACLES = sorted((Path(__file__).parent / "textbook").glob("*.py"))
EXAMPLES = [example for path in PAGES for example in read_chapter(path)]
COUNT = "parameters"
"""What the number of a net's trainable numbers is called in a chapter."""


def find_oracles(chapter: str) -> Mapping[str, Any]:
    module = importlib.import_module(f"tests.textbook.{chapter.replace('-', '_')}")
    functions = inspect.getmembers(module, inspect.isfunction)
    return {
        name: function
        for name, function in functions
        if not name.startswith("_") and function.__module__ == module.__name__
    }


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_every_spec_has_its_formula_and_every_formula_its_spec(path: Path) -> None:
    names = [example.name for example in read_chapter(path)]
    assert len(names) >= 10 or path == INDEX
    assert len(set(names)) == len(names)
    assert set(names) == set(find_oracles(path.stem))


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_every_definition_is_a_formula_and_a_spec(path: Path) -> None:
    for section in path.read_text(encoding="utf-8").split("\n### ")[1:]:
        assert "\n$$" in section, section.partition("\n")[0]
        assert "\n```weft" in section, section.partition("\n")[0]


@pytest.mark.parametrize("path", ORACLES, ids=lambda path: path.stem)
def test_formulas_are_plain_numpy(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found = {n.module for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)}
    found |= {a.name for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names}
    roots = {str(name).partition(".")[0] for name in found}
    assert roots - {"numpy"} <= sys.stdlib_module_names


def test_the_index_leads_to_every_chapter() -> None:
    index = INDEX.read_text(encoding="utf-8")
    for path in CHAPTERS:
        assert f"]({path.name})" in index


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda e: f"{e.chapter}-{e.name}")
def test_spec_formula_and_printed_numbers_agree(example: Example, tmp_path: Path) -> None:
    program = check_spec(example, tmp_path)
    if program.trains:
        start, found = run_train(program, tmp_path)
    else:
        start, found = run_net(program, example, tmp_path)
    wanted = apply_formula(example, start)
    assert wanted.keys() == example.gives.keys()
    for name, printed in example.gives.items():
        assert np.shape(found[name]) == np.shape(wanted[name]) == printed.numbers.shape, name
        least = 2e-6 * min(1, np.max(np.abs(wanted[name])))
        np.testing.assert_allclose(found[name], wanted[name], rtol=2e-5, atol=least, err_msg=name)
        apart = np.abs(np.asarray(wanted[name], np.float64) - printed.numbers)
        near = (apart <= printed.slack) | (wanted[name] == printed.numbers)
        assert np.all(near), f"{name} is {np.asarray(wanted[name]).tolist()}"


def apply_formula(example: Example, start: Mapping[str, Array]) -> Mapping[str, Any]:
    """What the formula in NumPy makes of the weights that the spec says and of what is given."""
    given = {**start, **example.given}
    oracle = find_oracles(example.chapter)[example.name]
    made = oracle(**{name.replace(".", "_"): array for name, array in given.items()})
    return made if isinstance(made, dict) else dict.fromkeys(example.gives, made)


def check_spec(example: Example, folder: Path) -> Program:
    path = folder / "spec.weft"
    path.write_text(example.text)
    assert format_source(Source(str(path), example.text), Sink()) == example.text
    if "source npz" in example.text:
        np.savez(folder / "rows.npz", **example.given)
    sink = Sink()
    program = check(path, overrides={}, sink=sink)
    assert program is not None and not sink.messages, render(sink.messages)  # noqa: PT018
    return program


def find_fixed(graph: Graph) -> dict[str, Array]:
    """The weights that the spec itself says, as numbers."""
    one, other = (draw_weights(graph, seed) for seed in (0, 1))
    return {path: array for path, array in one.items() if np.array_equal(array, other[path])}


def run_net(
    program: Program, example: Example, folder: Path
) -> tuple[dict[str, Array], dict[str, Array]]:
    """The weights that the spec says, and the outputs; the number of weights alone where no more
    is asked for."""
    ((_, net),) = program.models.items()
    graph = net.graph
    sizes = [p.value.type.size.known or 0 for p in graph.parameters if p.trainable]
    count = {COUNT: np.asarray(sum(sizes))}
    if example.gives.keys() == count.keys():
        return {}, count
    given = {**draw_weights(graph), **example.given}
    weights = {p.path: np.asarray(given[p.path]) for p in graph.parameters}
    outputs = evaluate(graph, weights, example.given)
    inputs = {
        i.name: np.asarray(example.given[i.name], i.value.type.dtype.numpy) for i in graph.inputs
    }
    for backend in (run_module, run_onnx):
        found = backend(graph, weights, inputs, folder)
        for name, array in found.items():
            assert array.dtype == outputs[name].dtype, name
            np.testing.assert_allclose(array, outputs[name], rtol=1e-4, atol=1e-5, err_msg=name)
    return find_fixed(graph), {**count, **outputs}


def run_module(graph: Graph, weights: Arrays, inputs: Arrays, _: Path) -> dict[str, Array]:
    """The outputs of the generated PyTorch module."""
    module = load_module(emit_module([graph], title=graph.name), graph)
    assign_weights(module, weights)
    with torch.no_grad():
        made = module(*map(torch.tensor, inputs.values()))
    outputs = made if isinstance(made, tuple) else (made,)
    return {o.name: y.numpy() for o, y in zip(graph.outputs, outputs, strict=True)}


def run_onnx(graph: Graph, weights: Arrays, inputs: Arrays, folder: Path) -> Arrays:
    """The outputs of the ONNX file; none where ONNX has no operator for a layer."""
    if find_unexported(graph) is not None:
        return {}
    compile_onnx(graph, weights, folder / "net.onnx")
    return open_session(folder / "net.onnx", device=Device.CPU).run(inputs)


def run_train(program: Program, folder: Path) -> tuple[dict[str, Array], dict[str, Array]]:
    """The weights before the training that the spec says, and those after the last epoch."""
    (train,) = program.trains.values()
    fixed = [
        (part.name if len(train.nets) > 1 else "", find_fixed(part.net.graph))
        for part in train.nets
    ]
    write_training(train, folder)
    start = {f"{net}.{path}".lstrip("."): a for net, found in fixed for path, a in found.items()}
    return start, run_script(folder)


def run_script(folder: Path) -> dict[str, Array]:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(sys, "argv", ["train.py", "--out", "run", "--device", "cpu"])
        patch.setattr(sys, "path", [str(folder), *sys.path])
        runpy.run_path("train.py", run_name="__main__")
    sys.modules.pop("model")
    state = torch.load(folder / "run" / "last.pt", weights_only=True)
    return {path: tensor.numpy() for path, tensor in state["model"].items()}
