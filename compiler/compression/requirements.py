"""The figures that a requirement names, and the one of the variant itself that it bounds."""

from __future__ import annotations

from collections.abc import Iterator

from compiler.program.requirement import Bound, Computed, Figure, Requirement

TURNED = {"<=": ">=", "<": ">", ">=": "<=", ">": "<"}


def find_all(requirement: Requirement) -> Iterator[Figure]:
    """The figures of both sides."""
    for side in (requirement.left, requirement.right):
        yield from find_figures(side)


def find_figures(bound: Bound) -> Iterator[Figure]:
    """The figures in a side."""
    match bound:
        case Figure():
            yield bound
        case Computed(left=left, right=right):
            yield from find_figures(left)
            yield from find_figures(right)


def isolate(requirement: Requirement) -> tuple[Figure, str, Bound] | None:
    """The variant's own figure, the relation, and what it is held against; None where the figure
    does not stand alone on one side."""
    left, relation, right = requirement.left, requirement.relation, requirement.right
    if _is_own(right) and not _mentions_own(left):
        left, relation, right = right, TURNED[relation], left
    if not isinstance(left, Figure) or left.owner is not None or _mentions_own(right):
        return None
    return left, relation, right


def _is_own(bound: Bound) -> bool:
    return isinstance(bound, Figure) and bound.owner is None


def _mentions_own(bound: Bound) -> bool:
    return any(_is_own(figure) for figure in find_figures(bound))
