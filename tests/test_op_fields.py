"""What follows from the fields and operands of an op: each name and each default stands once."""

from __future__ import annotations

import ast
import dataclasses
import inspect
from collections.abc import Iterator
from importlib import import_module
from operator import attrgetter
from pathlib import Path
from pkgutil import walk_packages
from typing import Any

import pytest
import torch
import torch.nn.functional as functional
from torch import nn

import compiler.ops as package
from compiler.ir.graph import Op
from compiler.ops.fitted import Fitted
from compiler.ops.modules import Modular
from compiler.ops.registry import load_ops
from compiler.ops.scan import Scan

HEADS = {"F": functional, "nn": nn, "torch": torch}
FOLDER = Path(package.__file__).parent


def _find(path: str) -> Any:
    """`F.elu`, `nn.ELU`."""
    head, name = path.split(".", 1)
    return attrgetter(name)(HEADS[head])


def _read_defaults(path: str) -> dict[str, object]:
    """Defaults of a function or module of PyTorch; none where it is a built-in one, or hands on
    all that it is given."""
    try:
        parameters = inspect.signature(_find(path)).parameters
    except ValueError:
        return {}
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()):
        return {}
    return {name: parameter.default for name, parameter in parameters.items()}


def _list_calls() -> Iterator[tuple[type[Op], str]]:
    """The functions and modules of ops, but for those that generated code brings along."""
    for op in load_ops().classes():
        for path in (op.torch_function, op.torch_module):
            if "." in path:
                yield op, path.format(axes=2)


def _make(op: type[Op]) -> Op:
    """An op with its defaults."""
    needed = [f for f in dataclasses.fields(op) if f.default is dataclasses.MISSING]  # type: ignore[arg-type]
    return op(**{option.name: 1 for option in needed})


@pytest.mark.parametrize(
    ("op", "path"), [pytest.param(op, path, id=path) for op, path in _list_calls()]
)
def test_defaults_are_those_of_pytorch(op: type[Op], path: str) -> None:
    """What a call leaves out has the value that PyTorch puts there."""
    known = _read_defaults(path)
    function = path == op.torch_function.format(axes=2)
    left_out = op.shaping if issubclass(op, Modular) and function else ()
    for option in dataclasses.fields(op):  # type: ignore[arg-type]
        if option.name in left_out:
            continue
        keyword = op.torch_keywords.get(option.name, option.name)
        if option.default is dataclasses.MISSING or not known:
            continue
        if keyword not in known:
            assert _make(op).spell_option(option.name) is None
            continue
        assert known[keyword] == option.default


def _find_repeated(path: Path) -> Iterator[str]:
    """Leaves of a field that say again what the field says: its name, and its default."""
    module = import_module(f"{package.__name__}.{path.stem}")
    for body in ast.parse(path.read_text(encoding="utf-8")).body:
        if not isinstance(body, ast.ClassDef):
            continue
        made = [op for op in load_ops().classes() if issubclass(op, getattr(module, body.name))]
        for call in ast.walk(body):
            match call:
                case ast.Call(
                    ast.Name("Leaf"),
                    [
                        ast.Attribute(ast.Name("self"), field),
                        _,
                        ast.Constant(default),
                        ast.Constant(key),
                    ],
                ) if field == key and all(getattr(op, field, None) == default for op in made):
                    yield f"{path.name}: {ast.unparse(call)} is self.leaf({field!r})"


def test_a_default_stands_once() -> None:
    repeated = [line for path in sorted(FOLDER.glob("*.py")) for line in _find_repeated(path)]
    assert not repeated


def test_modules_follow_from_the_fields() -> None:
    """An op with weights is written as a module or as a function by one mechanism."""
    for op in load_ops().classes():
        if op.weights is not Op.weights and not issubclass(op, Fitted):
            assert issubclass(op, Modular), op.name


def _list_every_op(base: type[Op] = Op) -> Iterator[type[Op]]:
    """Every op of the compiler, those that only passes make too."""
    for info in walk_packages(package.__path__, f"{package.__name__}."):
        import_module(info.name)
    for op in base.__subclasses__():
        if op.__module__.startswith("compiler.") and "name" in vars(op):
            yield op
        yield from _list_every_op(op)


METHODS = {"infer": 1, "evaluate": 0, "draw": 1, "onnx": 2, "couple": 1, "domains": 0}
"""Methods that take operands, and how many other parameters stand before them."""


@pytest.mark.parametrize("method", METHODS)
def test_operands_are_parameters(method: str) -> None:
    """Methods take each operand by a name of its own; where it may be left out, the parameter says
    so."""
    registered = method in ("infer", "evaluate", "draw")
    for op in load_ops().classes() if registered else _list_every_op():
        if getattr(op, method) is getattr(Op, method) or (method == "onnx" and not op.exported):
            continue
        if method == "evaluate" and op.random:  # which is `draw`, with numbers of its own
            continue
        _, *parameters = inspect.signature(getattr(op, method)).parameters.values()
        named = parameters[METHODS[method] :]
        if any(operand.variadic for operand in op.operands) or op is Scan:
            assert named[-1].kind is inspect.Parameter.VAR_POSITIONAL
            continue
        if [p.kind for p in named] == [inspect.Parameter.VAR_POSITIONAL]:
            assert op.broadcasts, f"{op.name}.{method} does not name its operands"
            continue
        if not op.operands:
            assert not named, op.name
            continue
        if named[-1].kind is inspect.Parameter.VAR_POSITIONAL:  # of classes with more operands, too
            named = [*named[:-1], *[named[-1]] * len(op.operands)]
        assert len(named) >= len(op.operands), op.name
        for operand, parameter in zip(op.operands, named, strict=False):
            assert parameter.default is inspect.Parameter.empty
            assert ("None" in str(parameter.annotation)) == operand.optional, op.name
