"""The words of the classes that are the targets of a train, in the order of their codes."""

from __future__ import annotations

from compiler.ir.graph import Graph, Node, Value
from compiler.program.train import Train
from compiler.records import dataclass


@dataclass(frozen=True)
class ClassWords:
    """The categories of a raw column, in the order of their codes."""

    column: str
    words: tuple[str, ...]


def find_target_words(train: Train, target: Value) -> ClassWords | None:
    """The column of words whose codes are those of a target; None where there is none."""
    code = _find_codes(train.graph, target).name
    column = next((item.name for item in train.graph.inputs if item.value.name == code), None)
    columns = train.data.columns
    given = next((o.value for o in columns.outputs if o.name == column), None)
    if given is None:
        return None
    code = _find_codes(columns, given).name
    raw = next((item.name for item in columns.inputs if item.value.name == code), None)
    words = next((c.categories for c in train.data.schema if c.name == raw), ())
    return ClassWords(raw, words) if raw is not None and words else None


def _find_codes(graph: Graph, value: Value) -> Value:
    """The value that has the same codes. Rows may be moved; the axis of a class may not be."""
    while (maker := graph.producers.get(value.name)) is not None:
        moved = maker.op.moves and value.type.rank <= 1
        source = _find_operand(maker)
        if source is None or not (moved or maker.op.converts or maker.op.encodes):
            break
        value = source
    return value


def _find_operand(node: Node) -> Value | None:
    """The operand of a node that has one."""
    given = [v for v in node.inputs if v is not None]
    return given[0] if len(given) == 1 else None
