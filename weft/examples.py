"""What the examples of the manual become: types of results, PyTorch, and operators of ONNX."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import SequenceMatcher
from pathlib import Path
from tempfile import TemporaryDirectory
from textwrap import dedent
from typing import Any

from backends.onnx_graph.check import read_structure
from backends.onnx_graph.compile import compile_onnx
from backends.pytorch.modules import emit_module
from backends.pytorch.train.functions import OBJECTIVE, emit_objective
from backends.pytorch.train.script import emit_script
from backends.pytorch.train.script_spec import ScriptSpec
from compiler.driver import check_source
from compiler.ir.graph import Graph
from compiler.ir.weights import draw_weights
from compiler.manual.pages import Page
from compiler.program.program import Program
from compiler.report.diagnostics import CompileError, Sink
from compiler.report.source import Source
from compiler.training.base import METRICS, OPTIMIZERS, REGULARIZERS, SCHEDULES
from compiler.vocabulary.clauses import join_words

USUAL = {
    OPTIMIZERS.kind: (r"\bwith (?!over).*", "with {other}(lr=1e-3)"),
    SCHEDULES.kind: (r",? ?schedule=\w+\([^()]*\)", ""),
    METRICS.kind: (r"\n *metric .*", ""),
    REGULARIZERS.kind: (r"\n *regularize .*", ""),
}
"""What stands in an example in place of the clause that it is about."""


@dataclass(frozen=True)
class Spelled:
    """An example in other words; what does not apply is empty.

    `results` are the types of the outputs, `pytorch` is code: of the net, of the loss, or what the
    training script has because of the word; `operators` are those of ONNX, or why there are none.
    """

    results: str = ""
    pytorch: str = ""
    operators: str = ""


def spell(page: Page) -> Spelled:
    """What the example of a page becomes."""
    program = check_example(page.example)
    if program is None or program.variants or program.sweeps:
        return Spelled()
    if program.trains:
        return Spelled(pytorch=_write_training(page, program))
    graphs = [net.graph for net in program.models.values()]
    if not graphs:
        return Spelled()
    return Spelled(_tell_results(graphs[0]), _write_net(graphs[0]), _tell_operators(graphs[0]))


def _write_training(page: Page, program: Program) -> str:
    if page.kind not in USUAL:
        return _write_objective(program)
    script = _emit(program)
    pattern, usual = USUAL[page.kind]
    other = usual.format(other="sgd" if page.name == "adamw" else "adamw")
    without = check_example(re.sub(pattern, other, page.example))
    assert without is not None, "what is usual is a spec without faults"
    return _find_added(_emit(without), script)


def check_example(text: str) -> Program | None:
    """The program of an example; None where it reads files that are not there."""
    return check_source(Source("example.weft", text), sink=Sink())


def _tell_results(graph: Graph) -> str:
    """The types of the outputs: "`y: f32[n, 64]`"."""
    return join_words([f"`{o.name}: {o.value.type}`" for o in graph.outputs], "and")


def _write_net(graph: Graph) -> str:
    """The classes of the module, without its docstring and imports."""
    text = emit_module([graph], title=graph.name)
    return text[text.index("\nclass ") :].strip()


def _tell_operators(graph: Graph) -> str:
    """The operators of ONNX that the file has, in order, or the message that says why not."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "example.onnx"
        try:
            compile_onnx(graph, draw_weights(graph), path)
        except CompileError as error:
            message = error.messages[0]
            return f"None ({message.code}): {message.text.title}."
        kinds = dict.fromkeys(_list_operators(read_structure(path).graph))
    return " ".join(f"`{kind}`" for kind in kinds)


def _list_operators(graph: Any) -> Iterator[str]:
    for node in graph.node:
        yield node.op_type
        for attribute in node.attribute:
            if attribute.type == attribute.GRAPH:
                yield from _list_operators(attribute.g)


def _write_objective(program: Program) -> str:
    """The objective of the first train as functions of PyTorch."""
    train = next(iter(program.trains.values()))
    lines = emit_objective(ScriptSpec(train))
    start = next(n for n, line in enumerate(lines) if line.startswith(f"def {OBJECTIVE}"))
    return "\n".join(lines[start:])


def _find_added(usual: list[str], script: list[str]) -> str:
    """The lines of a script that another does not have."""
    found: list[str] = []
    for tag, _, _, start, end in SequenceMatcher(None, usual, script, False).get_opcodes():
        lines = [line for line in script[start:end] if not _SETTING.match(line)]
        if tag in ("insert", "replace") and any(line.strip() for line in lines):
            found += [*([""] if found else []), *lines]
    return re.sub(r"\n{3,}", "\n\n", dedent("\n".join(found))).strip("\n")


_SETTING = re.compile(r"    [\"'].*,$")
"""A line of the settings that a checkpoint is held to."""


def _emit(program: Program) -> list[str]:
    """The lines of the training script, from its imports on."""
    (train,) = program.trains.values()
    lines = emit_script(ScriptSpec(train)).split("\n")
    start = next(number for number, line in enumerate(lines) if line.startswith("import "))
    return lines[start:]
