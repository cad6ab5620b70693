"""Graphs -> PyTorch source: the public face of this backend."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from backends.pytorch.document import flat
from backends.pytorch.expressions import Expressions, literal
from backends.pytorch.fold import Folded, fold_graphs
from backends.pytorch.functions import emit_function, function_arguments
from backends.pytorch.terms import Form, Tree
from backends.pytorch.writer import sort_settings, write_module
from compiler.diagnostics import CompileError, Message
from compiler.ir.graph import NO_DEFAULT, Graph
from compiler.messages.lowering import PathIsWeightAndModule


def emit_module(graphs: Sequence[Graph], *, title: str) -> str:
    """The text of a module with one class per block, that stands alone.

    Args:
        graphs: the nets; classes that several of them need are written once.
        title: the first line of the file's docstring.

    Raises:
        CompileError: a path is a weight and holds others, which no PyTorch module can.
    """
    check_paths(graphs)
    return write_module(_fold(tuple(graphs)).classes, title)


def root_class(graph: Graph, among: Sequence[Graph] = ()) -> str:
    """The name of a graph's class in the module of all `among` (of the graph alone)."""
    return _fold(tuple(among) or (graph,)).root(graph).target.name


def constructor_arguments(graph: Graph, among: Sequence[Graph] = ()) -> dict[str, object]:
    """The arguments that make a graph's class as the graph is: those that differ from the
    default, by name."""
    call = _fold(tuple(among) or (graph,)).root(graph)
    given = {s.name: s.argument(call.instance) for s in sort_settings(call.target)}
    defaults = {s.name: s.default for s in call.target.settings}
    return {
        name: value
        for name, value in given.items()
        if defaults[name] is NO_DEFAULT or defaults[name] != value
    }


def constructor_call(graph: Graph, among: Sequence[Graph] = ()) -> str:
    """`DigitNet(width=16)`: the call that makes a graph's class as the graph is."""
    call = _fold(tuple(among) or (graph,)).root(graph)
    settings = [s for s in call.target.settings if not s.runtime]
    tree = Tree(
        Form.BUILD,
        "",
        tuple(literal(s.argument(call.instance)) for s in settings),
        tuple(s.name for s in settings),
        call.target,
    )
    return flat(Expressions(str).write(tree))


def check_paths(graphs: Sequence[Graph]) -> None:
    """Raises `CompileError` where a path is both a weight and a module."""
    faults: list[Message] = []
    for graph in graphs:
        for inner in graph.parameter:
            outer = inner.rpartition(".")[0]
            while outer and outer not in graph.parameter:
                outer = outer.rpartition(".")[0]
            if outer:
                place = graph.parameter[outer].origin
                faults.append(PathIsWeightAndModule(place, outer, inner))
    if faults:
        raise CompileError(faults)


@lru_cache(maxsize=8)
def _fold_identical(graphs: tuple[_Same, ...]) -> Folded:
    return fold_graphs([same.graph for same in graphs])


class _Same:
    """A graph that is equal to itself only: comparing two node by node would cost more than
    folding them."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph

    def __hash__(self) -> int:
        return id(self.graph)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and other.graph is self.graph


def _fold(graphs: tuple[Graph, ...]) -> Folded:
    return _fold_identical(tuple(map(_Same, graphs)))


__all__ = [
    "constructor_arguments",
    "constructor_call",
    "emit_function",
    "emit_module",
    "function_arguments",
    "root_class",
]
