"""Bounds on sizes before any work: what a file weighs at least, whatever the passes find."""

from __future__ import annotations

from collections.abc import Iterator

from compiler.compression.floors import find_floor
from compiler.diagnostics import CompileError, Message
from compiler.messages.contracts import SizeImpossible
from compiler.program import Bound, Computed, Figure, Program, Quantity, Requirement
from compiler.units import format_size


def refuse_impossible(program: Program) -> None:
    """Ends a build whose contracts on sizes no result could hold, before any work.

    Raises:
        CompileError: there is such a contract.
    """
    faults = list(find_impossible(program))
    if faults:
        raise CompileError(faults)


def find_impossible(program: Program) -> Iterator[Message]:
    """The contracts on sizes that no result of the passes can hold."""
    for variant in program.variants.values():
        limits = [(r, limit) for r in variant.requires if (limit := find_limit(r)) is not None]
        if not limits:
            continue
        # The first deployment says what the file is like that contracts speak of.
        deploy = next((d for d in program.deploys if d.variant == variant.name), None)
        floor = find_floor(variant, deploy)
        for requirement, limit in limits:
            if limit >= floor.bytes:
                continue
            reason = f"{floor.numbers:,} numbers at {floor.bits:g} bits"
            reason += " where they are not zero" if floor.sparse else ""
            place = variant.steps[-1].span if variant.steps else None
            yield SizeImpossible(
                requirement.span,
                format_size(limit),
                format_size(floor.bytes),
                f"{reason}, with labels and frame",
                place,
            )


def find_limit(requirement: Requirement) -> float | None:
    """The largest size in bytes that a requirement on the variant's own size leaves; None where
    it is none, or is held against what is not known before work."""
    left, right, relation = requirement.left, requirement.right, requirement.relation
    if relation in (">=", ">"):
        left, right = right, left
    if not isinstance(left, Figure) or left.owner is not None or left.name != "size":
        return None
    return _find_number(right)


def _find_number(bound: Bound) -> float | None:
    match bound:
        case Quantity(value=value):
            return value
        case Computed(operator=operator, left=left, right=right):
            first, second = _find_number(left), _find_number(right)
            if first is None or second is None:
                return None
            return compute(operator, first, second)
    return None


def compute(operator: str, left: float, right: float) -> float:
    """The value of `left operator right`; infinite where something is divided by zero."""
    match operator:
        case "+":
            return left + right
        case "-":
            return left - right
        case "*":
            return left * right
    return left / right if right else float("inf")
