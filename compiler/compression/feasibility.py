"""Bounds on sizes before any work: what a file weighs at least, whatever the passes find."""

from __future__ import annotations

import json
from collections.abc import Iterator
from math import prod

from compiler.compression.base import CompressionPass
from compiler.compression.wording import format_size
from compiler.diagnostics import CompileError, Message
from compiler.messages.contracts import SizeImpossible
from compiler.program import Bound, Computed, Figure, Program, Quantity, Requirement, Variant
from compiler.records import dataclass

FRAME = 180
"""Bytes of the least file: versions, the spec's name and hash, types of inputs and outputs."""
LAYER = 100
"""Bytes that a layer takes besides its numbers: headers and names of its weights, its node with the
line of the spec and the block it came from."""


@dataclass(frozen=True)
class Floor:
    """What a net has at least: numbers in its weights, and bits of each."""

    numbers: int
    bits: float

    @property
    def bytes(self) -> int:
        """Bytes of the weights."""
        return int(self.numbers * self.bits // 8)


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
        floor = find_floor(variant)
        labels = [d.labels for d in program.deploys if d.variant == variant.name]
        text = json.dumps(list(labels[0]), ensure_ascii=False) if labels and labels[0] else ""
        layers = sum(p.trainable and p.value.type.rank > 1 for p in variant.graph.parameters)
        least = floor.bytes + len(text.encode()) + FRAME + LAYER * layers
        for requirement in variant.requires:
            limit = find_limit(requirement)
            if limit is None or limit >= least:
                continue
            reason = f"{floor.numbers:,} numbers at {floor.bits:g} bits, with labels and frame"
            place = variant.steps[-1].span if variant.steps else None
            yield SizeImpossible(
                requirement.span, format_size(limit), format_size(least), reason, place
            )


def find_floor(variant: Variant) -> Floor:
    """The least that the passes of a variant can leave."""
    passes = [step.compression for step in variant.steps]
    numbers = 0
    for parameter in variant.graph.parameters:
        shape = parameter.value.type.known_shape
        if parameter.trainable and shape is not None:
            kept = [1 if _chooses(p) else p.count_least(shape) for p in passes]
            numbers += _combine(prod(shape), kept)
    bits = 32.0
    for compression in passes:
        bits = 1.0 if _chooses(compression) else compression.find_least_bits(bits)
    return Floor(numbers, bits)


def _combine(size: int, kept: list[int]) -> int:
    """What several passes leave: each may take its share of what the one before it left."""
    left = 1.0
    for count in kept:
        left *= count / size
    return max(1, int(left * size))


def _chooses(compression: CompressionPass) -> bool:
    """Whether a pass applies others as it finds best."""
    values = (getattr(compression, option.field) for option in compression.options())
    return any(
        isinstance(item, CompressionPass | type)
        for value in values
        if isinstance(value, tuple)
        for item in value
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
