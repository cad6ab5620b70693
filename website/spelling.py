"""What examples become: the types of their results, PyTorch, and operators of ONNX."""

from __future__ import annotations

import re
from collections.abc import Iterator
from difflib import SequenceMatcher
from pathlib import Path
from tempfile import TemporaryDirectory
from textwrap import dedent
from typing import Any

from backends.onnx_graph.check import read_structure
from backends.onnx_graph.compile import compile_onnx
from backends.pytorch.modules import emit_module
from backends.pytorch.train.script import emit_script
from backends.pytorch.train.script_spec import ScriptSpec
from compiler.driver import check_source
from compiler.ir.graph import Graph
from compiler.ir.weights import draw_weights
from compiler.program.program import Program
from compiler.report.diagnostics import CompileError, Sink
from compiler.report.source import Source
from compiler.vocabulary.clauses import join_words


def check_example(text: str) -> Program | None:
    """The program of an example; None where it reads files that are not there."""
    return check_source(Source("example.weft", text), sink=Sink())


def tell_results(graph: Graph) -> str:
    """The types of the outputs: "`y: f32[n, 64]`"."""
    return join_words([f"`{o.name}: {o.value.type}`" for o in graph.outputs], "and")


def write_pytorch(graph: Graph) -> str:
    """The classes of the module, without its docstring and imports."""
    text = emit_module([graph], title=graph.name)
    return text[text.index("\nclass ") :].strip()


def tell_operators(graph: Graph) -> str:
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


def write_objective(text: str) -> str:
    """The function of the training script that computes the loss."""
    lines = _emit(text)
    start = next(n for n, line in enumerate(lines) if line.startswith("def compute_loss"))
    end = next(n for n, line in enumerate(lines) if n > start and line[:1] not in ("", " ", ")"))
    return "\n".join(lines[start:end]).strip("\n")


def write_script(text: str, usual: str) -> str:
    """What the training script of an example has that it would not have with what is usual in place
    of a clause."""
    script, without = _emit(text), _emit(usual)
    found: list[str] = []
    for tag, _, _, start, end in SequenceMatcher(None, without, script, False).get_opcodes():
        lines = [line for line in script[start:end] if not _SETTING.match(line)]
        if tag in ("insert", "replace") and any(line.strip() for line in lines):
            found += [*([""] if found else []), *lines]
    return re.sub(r"\n{3,}", "\n\n", dedent("\n".join(found))).strip("\n")


_SETTING = re.compile(r"    [\"'].*,$")
"""A line of the settings that a checkpoint is held to."""


def _emit(text: str) -> list[str]:
    program = check_example(text)
    assert program is not None, "an example is a spec without faults"
    (train,) = program.trains.values()
    lines = emit_script(ScriptSpec(train)).split("\n")
    start = next(number for number, line in enumerate(lines) if line.startswith("import "))
    return lines[start:]
