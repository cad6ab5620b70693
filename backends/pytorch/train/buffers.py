"""Buffers of a training script that belong to no net: attributes of `model` beside its nets."""

from __future__ import annotations

import ast
import re

from backends.pytorch.modules import emit_module
from backends.pytorch.train.code import Statement
from backends.pytorch.train.computed import FunctionSpec
from backends.pytorch.train.inlining import cut_source, rename_variables
from backends.pytorch.train.script_spec import ScriptSpec
from compiler.ir.frame import Frame
from compiler.ir.graph import Graph
from compiler.writing.names import CONTAINER_ATTRIBUTES, is_attribute, is_plain
from compiler.writing.python import write_string

START_SEED = "SEED + 250"
"""The seed of draws that a buffer starts as, apart from those of epochs and evaluations."""


def list_buffers(script: ScriptSpec, graph: Graph) -> list[str]:
    """The paths of the buffers of the train that a graph reads."""
    return [buffer.path for buffer in script.train.buffers if buffer.path in graph.parameter]


def spell_buffer(script: ScriptSpec, path: str) -> str:
    """A buffer of the train where its nets are at hand as `model`."""
    own = script.attributes if script.single else CONTAINER_ATTRIBUTES
    if is_plain(path) and not is_attribute(path) and path not in own:
        return f"model.{path}"
    return f"model._buffers[{write_string(path)}]"


def emit_buffers(script: ScriptSpec) -> list[Statement]:
    """Statements that register the buffers of the train with `model`, beside its nets."""
    buffers = script.train.buffers
    if not buffers:
        return []
    graph = Graph("Buffers", (), (), buffers, (), Frame("Buffers", "", 0))
    text = emit_module([graph], title="")
    made = next(node for node in ast.parse(text).body if isinstance(node, ast.ClassDef))
    (init,) = (node for node in made.body if isinstance(node, ast.FunctionDef))
    return [_write_statement(script, text, statement) for statement in init.body[1:]]


def _call_beginning(script: ScriptSpec, made: FunctionSpec) -> str:
    drawn = f"torch.Generator().manual_seed({START_SEED})"
    return f"{made.function}({drawn if script.draws.list_given(made.graph, alone=True) else ''})"


def _write_statement(script: ScriptSpec, text: str, statement: ast.stmt) -> str:
    """A statement of a constructor, about `model` in place of `self`."""
    match statement:
        case (
            ast.Expr(
                ast.Call(
                    ast.Attribute(attr="register_buffer"), [ast.Constant(str() as path), value]
                )
            )
            # as a module writes it whose own attribute has the name
            | ast.Assign(
                [ast.Subscript(ast.Attribute(attr="_buffers"), ast.Constant(str() as path))],
                value,
            )
        ):
            spelled, value_text = spell_buffer(script, path), cut_source(text, value)
            if path in script.beginnings:
                value_text = _call_beginning(script, script.beginnings[path])
            if spelled == f"model.{path}":
                return f"model.register_buffer({write_string(path)}, {value_text})"
            return f"{spelled} = {value_text}"
    line = rename_variables(cut_source(text, statement), {"self": "model"})
    for path in (buffer.path for buffer in script.train.buffers if not is_attribute(buffer.path)):
        line = re.sub(rf"\bmodel\.{re.escape(path)}\b", spell_buffer(script, path), line)
    return line
