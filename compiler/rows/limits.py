"""Which numbers a layer, a loss or a metric takes: entries of tables, classes, probabilities."""

from __future__ import annotations

from collections.abc import Iterator

from compiler.ir.domain import Domain
from compiler.ir.graph import Node
from compiler.ir.target_range import TargetRange


def takes_entries(node: Node, operand: int) -> bool:
    """Whether an operand of a node names entries or classes, and is no size."""
    known = node.op.operands
    if operand < len(known) and known[operand].index:
        return True
    domain = node.op.place_domains(node.types).get(operand)
    return domain is not None and domain.count is not None


def find_counts(node: Node) -> Iterator[tuple[int, TargetRange]]:
    """The operands of a node that name entries or classes, and which."""
    for operand, domain in node.op.place_domains(node.types).items():
        count = domain.count.known if domain.count is not None else None
        if count is not None:
            yield operand, TargetRange(domain.least, count - 1, domain.besides)


def find_divisors(node: Node) -> Iterator[tuple[int, TargetRange]]:
    """The operands of a node that divide whole numbers, and so are not 0."""
    for operand, domain in node.op.place_domains(node.types).items():
        if domain == Domain():
            yield operand, TargetRange(divides=True)


def find_target_range(node: Node) -> TargetRange | None:
    """What the target of a loss may hold, where that is no class number."""
    return node.op.target_range(node.types)
