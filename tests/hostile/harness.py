"""Writes hostile specs as code and compares the statements with those of plain specs."""

from __future__ import annotations

import ast
import sys
import traceback
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

from backends.pytorch import functions
from backends.pytorch.classes.fold import Folded, fold_graphs
from backends.pytorch.print import forward
from backends.pytorch.train import measuring
from backends.pytorch.train.folder import write_training
from compiler.driver import check
from compiler.ir.graph import Graph
from compiler.report.diagnostics import Sink
from compiler.report.render import render
from compiler.writing.python import WIDTH
from tests.hostile.specs import Spec, write_hostile, write_plain

INNER = ("body", "orelse", "finalbody", "handlers")
"""Fields of statements that hold statements."""
MEMBERS = {"add_module", "getattr", "register_buffer", "register_parameter"}


@dataclass
class Tally:
    """What a run met."""

    specs: int = 0
    written: int = 0
    codes: Counter[str] = field(default_factory=Counter)
    failures: dict[str, str] = field(default_factory=dict)
    """A failure of each kind, with the seed of its spec."""


def try_specs(count: int, seed: int) -> Tally:
    """Writes specs as code, each in a folder of its own."""
    tally = Tally()
    for number in range(seed, seed + count):
        tally.specs += 1
        with TemporaryDirectory(prefix="hostile-") as name:
            folder = Path(name)
            spec = write_hostile(folder / "spec", Random(number))
            try:
                _try_spec(spec, folder, tally)
            except Exception as error:  # any fault is a finding
                place = traceback.extract_tb(error.__traceback__)[-1]
                kind = f"{type(error).__name__} {Path(place.filename).name}:{place.lineno}: {error}"
                tally.failures.setdefault(kind[:300], f"seed {number}: {dict(spec.texts)}")
    return tally


def _try_spec(spec: Spec, folder: Path, tally: Tally) -> None:
    sink = Sink()
    program = check(spec.path, sink=sink)
    if program is None or sink.has_errors:
        render(sink.messages).encode()
        tally.codes.update(m.code for m in sink.messages)
        return
    tally.written += 1
    (train,) = program.trains.values()
    out = folder / "out" / train.name
    kept = KeptFolds()
    with patch.object(functions, "fold_graphs", kept.fold):
        write_training(train, out)
    for name, plain in plain_calls().items():
        strange = find_calls((out / name).read_bytes().decode()) - plain
        assert not strange, f"{name} calls {', '.join(sorted(strange))}"
    with wide_lines(), patch.object(functions, "fold_graphs", kept.give):
        write_training(train, out)
    assert {path.name for path in out.iterdir()} == {"model.py", "train.py", "README.md"}
    assert {path.name for path in folder.iterdir()} == {"out", "spec"}
    for name, plain in plain_statements().items():
        tree = ast.parse((out / name).read_bytes())
        check_names(tree)
        strange = list_statements(tree) - plain
        assert not strange, f"{name} has\n" + "\n".join(sorted(strange))


class KeptFolds:
    """The classes of graphs, which are the same however long a line may be: found when code is
    first written, and given when it is written again. Where lines decide which graphs are written
    at all, they are found then."""

    def __init__(self) -> None:
        self._kept: dict[object, list[Folded]] = {}

    def fold(self, graphs: list[Graph], **options: Any) -> Folded:
        found = fold_graphs(graphs, **options)
        self._kept.setdefault(self._key(graphs), []).append(found)
        return found

    def give(self, graphs: list[Graph], **options: Any) -> Folded:
        kept = self._kept.get(self._key(graphs))
        return kept.pop(0) if kept else fold_graphs(graphs, **options)

    def _key(self, graphs: list[Graph]) -> object:
        return tuple((graph.name, tuple(o.name for o in graph.outputs)) for graph in graphs)


@contextmanager
def wide_lines() -> Iterator[None]:
    """Lets no line be too long, because where a long one is taken apart is no matter here."""
    modules = [m for m in sys.modules.values() if m.__name__.startswith(("backends.", "compiler."))]
    with ExitStack() as stack:
        for module in modules:
            if vars(module).get("WIDTH") == WIDTH:
                stack.enter_context(patch.object(module, "WIDTH", 10**6))
        stack.enter_context(patch.object(measuring, "LONGEST", 10**6))
        stack.enter_context(patch.object(forward, "LONGEST_OPERANDS", 10**6))
        yield


@cache
def plain_files() -> dict[str, str]:
    """The files of the plain spec."""
    with TemporaryDirectory(prefix="plain-") as name, wide_lines():
        program = check(write_plain(Path(name) / "spec").path, sink=Sink())
        assert program is not None
        (train,) = program.trains.values()
        write_training(train, Path(name) / "out")
        return {n: (Path(name) / "out" / n).read_text() for n in ("model.py", "train.py")}


@cache
def plain_statements() -> dict[str, frozenset[str]]:
    """The statements of the files of the plain spec."""
    return {name: find_statements(text) for name, text in plain_files().items()}


@cache
def plain_calls() -> dict[str, frozenset[str]]:
    """What the files of the plain spec call."""
    return {name: find_calls(text) | MEMBERS for name, text in plain_files().items()}


def find_calls(source: str) -> frozenset[str]:
    """Functions and methods that a source calls, without its own and members of modules."""
    own: set[str] = set()
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.FunctionDef(name) | ast.ClassDef(name):
                own.add(name)
            case ast.ImportFrom(names=names):
                own.update(alias.name for alias in names)
            case ast.Call(ast.Name(name)):
                found.add(name)
            case ast.Call(ast.Attribute(ast.Name("self"))):
                pass
            case ast.Call(ast.Attribute(ast.Attribute() | ast.Subscript())):
                pass  # a member of a module
            case ast.Call(
                ast.Attribute(ast.Call(ast.Name("getattr"), [ast.Name("self"), ast.Constant()]))
            ):
                pass  # the same of a stage whose name is a keyword of Python
            case ast.Call(ast.Attribute(_, name)):
                found.add(name)
    return frozenset(found) - own


def find_statements(source: str) -> frozenset[str]:
    """The statements of a source without the names and constants in them."""
    return list_statements(ast.parse(source))


def list_statements(tree: ast.Module) -> frozenset[str]:
    """The same of a tree, which is changed."""
    return frozenset(_dump(node) for node in _walk_statements(_Forget().visit(tree)))


def _walk_statements(tree: ast.AST) -> Iterator[ast.stmt]:
    """Every statement; expressions hold none."""
    for name in INNER:
        for node in getattr(tree, name, ()):
            if isinstance(node, ast.stmt):
                yield node
            yield from _walk_statements(node)


def _dump(node: ast.stmt) -> str:
    """A statement without those inside it."""
    fields = ((name, value) for name, value in ast.iter_fields(node) if name not in INNER)
    shown = (f"{name}={_dump_field(value)}" for name, value in fields)
    return f"{type(node).__name__}({', '.join(shown)})"


def _dump_field(value: object) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_dump_field, value))}]"
    return ast.dump(value) if isinstance(value, ast.AST) else repr(value)


class _Forget(ast.NodeTransformer):
    """Replaces what a spec may name or say; a member of a module may be set and read in several
    ways, which count as one."""

    def visit_Name(self, node: ast.Name) -> ast.AST:
        return ast.Name("name", node.ctx)

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        return ast.Constant("text" if isinstance(node.value, str) else node.value)

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        return ast.Attribute(self.visit(node.value), "name", node.ctx)

    def visit_Subscript(self, node: ast.Subscript) -> ast.AST:
        if isinstance(node.value, ast.Attribute) and node.value.attr in ("_modules", "_parameters"):
            return ast.Attribute(self.visit(node.value.value), "name", node.ctx)
        owner = self.visit(node.value)
        if isinstance(owner, ast.Attribute) and isinstance(node.slice, ast.Constant):
            return ast.Attribute(owner, "name", node.ctx)  # `self.heads["left"]`
        return ast.Subscript(owner, self.visit(node.slice), node.ctx)

    def visit_Call(self, node: ast.Call) -> ast.AST:
        if isinstance(node.func, ast.Name) and node.func.id == "getattr":
            return ast.Attribute(self.visit(node.args[0]), "name", ast.Load())
        return self.generic_visit(node)

    def visit_Expr(self, node: ast.Expr) -> ast.AST:
        call = node.value
        match call:
            case ast.Call(ast.Attribute(owner, method), [_, value]) if method in MEMBERS:
                target = ast.Attribute(self.visit(owner), "name", ast.Store())
                return ast.Assign([target], self.visit(value))
        return self.generic_visit(node)

    def visit_FormattedValue(self, node: ast.FormattedValue) -> ast.AST:
        """A name that holds what a terminal would obey is printed as its literal (`!r`)."""
        return ast.FormattedValue(self.visit(node.value), -1, node.format_spec)

    def visit_arg(self, node: ast.arg) -> ast.AST:
        return ast.arg("name", node.annotation and self.visit(node.annotation))

    def visit_keyword(self, node: ast.keyword) -> ast.AST:
        return ast.keyword("name", self.visit(node.value))

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        self.generic_visit(node)
        return ast.FunctionDef("name", node.args, node.body, node.decorator_list, node.returns)

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        self.generic_visit(node)
        return ast.ClassDef("name", node.bases, node.keywords, node.body, node.decorator_list)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.AST:
        if node.module != "model":
            return node
        return ast.ImportFrom(node.module, [ast.alias("name") for _ in node.names], node.level)


def check_names(tree: ast.Module) -> None:
    """No function has two arguments of one name, and nothing is defined twice or imported under a
    name that is defined: the compiler of Python looks at the first, nobody at the others."""
    compile(tree, "generated", "exec")
    defined: Counter[str] = Counter()
    for node in tree.body:
        match node:
            case ast.FunctionDef() | ast.ClassDef():
                defined[node.name] += 1
            case ast.Import() | ast.ImportFrom():
                defined.update((a.asname or a.name).split(".")[0] for a in node.names)
            case ast.Assign(targets=[ast.Name(id=name)]):
                defined[name] += 1
    twice = [name for name, count in defined.items() if count > 1 and name != "torch"]
    assert not twice, f"{twice} are defined twice"
