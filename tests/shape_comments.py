"""Holds the shapes in comments of a generated module to the tensors of a run."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from typing import Any

from torch import Tensor

SHAPE = re.compile(r"# \[(.*)\]$")
INPUT = re.compile(r"(?:^|; )(\w+): (?:\w+)?\[([^][]*)\]")


class Follower(ast.NodeTransformer):
    """Adds to every statement with a shape behind it a call that holds the tensor to it."""

    def __init__(self, source: str) -> None:
        self.lines = source.splitlines()
        self.inputs: list[tuple[str, str]] = []

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        """Keeps what a module is made with, under the names of its constructor."""
        for method in node.body:
            if isinstance(method, ast.FunctionDef) and method.name == "__init__":
                names = [argument.arg for argument in method.args.args[1:]]
                kept = ", ".join(f"{name!r}: {name}" for name in names)
                method.body += ast.parse(f"self.made_with_ = {{{kept}}}").body
        return self.generic_visit(node)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        """Notes the names that the line above the body gives to sizes of inputs."""
        self.inputs = []
        for line in self.lines[node.lineno - 1 : node.body[-1].end_lineno]:
            if line.strip().startswith("# ") and ": " in line:
                self.inputs = INPUT.findall(line.strip().removeprefix("# "))
                break
        self.generic_visit(node)
        node.body[:0] = ast.parse("given_ = dict(locals())").body
        return node

    def visit_Assign(self, node: ast.Assign) -> ast.AST | list[ast.AST]:
        """`x = …  # [n, c]`."""
        target = node.targets[0]
        first = target.elts[0] if isinstance(target, ast.Tuple) else target
        shape = self.find(node)
        if shape is None:
            return node
        return [node, ast.Expr(self.check(ast.parse(ast.unparse(first), mode="eval").body, shape))]

    def visit_Return(self, node: ast.Return) -> ast.AST:
        """`return …  # [n, c]`."""
        shape = self.find(node)
        if shape is not None and node.value is not None:
            node.value = self.check(node.value, shape)
        return node

    def find(self, node: ast.stmt) -> str | None:
        """The shape in the comment behind a statement."""
        assert node.end_lineno is not None
        found = SHAPE.search(self.lines[node.end_lineno - 1])
        return found[1] if found else None

    def check(self, value: ast.expr, shape: str) -> ast.expr:
        """The call that holds a value to a shape."""
        call = ast.parse(f"hold_shape_(0, {shape!r}, {self.inputs!r}, given_)", mode="eval").body
        assert isinstance(call, ast.Call)
        call.args[0] = value
        return call


class Holder:
    """Counts the comments that a run held true, and says which were not."""

    def __init__(self) -> None:
        self.held: set[str] = set()

    def hold(
        self,
        value: Tensor | tuple[Tensor, ...],
        shape: str,
        inputs: list[tuple[str, str]],
        names: Mapping[str, Any],
    ) -> Tensor | tuple[Tensor, ...]:
        """The value, whose first tensor has the shape of a comment."""
        tensor = value[0] if isinstance(value, tuple) else value
        given = {k: v for k, v in names.items() if not isinstance(v, Tensor)}
        known = dict(given["self"].made_with_ if "self" in given else given)
        for label, written in inputs:
            known.update(read_names(written, names[label], known))
        sizes = split_sizes(shape)
        assert len(sizes) == tensor.ndim, f"[{shape}] is {list(tensor.shape)}"
        for text, size in zip(sizes, tensor.shape, strict=True):
            said = eval(text, {"max": max, "min": min, "len": len, "sum": sum}, known)
            close = abs(said - size) < 1 if "/" in text.replace("//", "") else said == size
            assert close, f"[{shape}] is {list(tensor.shape)}: {text} is {said}"
        self.held.add(shape)
        return value


def split_sizes(shape: str) -> list[str]:
    """The sizes of a shape: commas in brackets part none."""
    tree = ast.parse(f"[{shape}]", mode="eval").body
    assert isinstance(tree, ast.List)
    return [ast.unparse(part) for part in tree.elts]


def read_names(shape: str, given: Tensor, known: Mapping[str, Any]) -> Iterator[tuple[str, object]]:
    """The names that the shape of an input gives its sizes."""
    for text, size in zip(split_sizes(shape), given.shape, strict=True):
        if text.isidentifier() and text not in known:
            yield text, size


def run_followed(source: str) -> tuple[dict[str, object], Holder]:
    """The names of a generated module whose shapes in comments are held true in every run."""
    holder = Holder()
    tree = ast.fix_missing_locations(Follower(source).visit(ast.parse(source)))
    names: dict[str, object] = {"__name__": "followed", "hold_shape_": holder.hold}
    exec(compile(tree, "<followed>", "exec"), names)
    return names, holder
