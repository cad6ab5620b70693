"""Bounds on sizes before any work: what a file weighs at least, whatever the passes find."""

from __future__ import annotations

from collections.abc import Iterator

from compiler.compression.figures import WORDS
from compiler.compression.floors import find_floor
from compiler.compression.wording import format_value
from compiler.program.program import Program
from compiler.program.requirement import Bound, Computed, Figure, Quantity, Requirement
from compiler.program.variant import Variant
from compiler.report.diagnostics import Message
from compiler.report.messages.contracts import count_impossible, size_impossible
from compiler.types.units import format_size


def find_impossible(program: Program) -> Iterator[Message]:
    """The contracts on counts that no result of the passes can hold."""
    for variant in program.variants.values():
        yield from _find_low_counts(variant)
        limits = [(r, n) for r in variant.requires if (n := find_limit(r, "size")) is not None]
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
            yield size_impossible(
                requirement.span,
                format_size(limit),
                format_size(floor.bytes),
                f"{reason}, with labels and frame",
                place,
            )


def _find_low_counts(variant: Variant) -> Iterator[Message]:
    """Bounds on `params` below what the passes can leave, and bounds on times that no call
    takes."""
    for requirement in variant.requires:
        limit = find_limit(requirement, "params")
        if limit is not None:
            least = find_floor(variant).numbers
            if limit < least:
                needed = f"at least {least:,}"
                yield count_impossible(requirement.span, "params", f"{limit:,.0f}", needed)
        for word in WORDS:
            limit = find_limit(requirement, word.word)
            strict = word.positive or requirement.relation in ("<", ">")
            # Sizes and counts of parameters have bounds of their own.
            if word.word in ("size", "params") or limit is None:
                continue
            if limit < 0 or (limit == 0 and strict):
                shown = format_value(limit, requirement.left)
                yield count_impossible(requirement.span, word.word, shown, "never so low")


def find_limit(requirement: Requirement, name: str) -> float | None:
    """The largest value that a requirement on a figure of the variant's own leaves; None where it
    is none, or is held against what is not known before work."""
    left, right, relation = requirement.left, requirement.right, requirement.relation
    if relation in (">=", ">"):
        left, right = right, left
    if not isinstance(left, Figure) or left.owner is not None or left.name != name:
        return None
    return find_number(right)


def find_number(bound: Bound) -> float | None:
    """The value of a side that names no figure; None where it names one."""
    match bound:
        case Quantity(value=value):
            return value
        case Computed(operator=operator, left=left, right=right):
            first, second = find_number(left), find_number(right)
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
