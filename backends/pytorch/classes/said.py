"""Which loops and conditions of the spec a class says as the spec says them."""

from __future__ import annotations

from collections.abc import Iterator

from backends.pytorch.classes.explained import ExplainedClass, find_loop
from backends.pytorch.classes.merged import MergedClass
from backends.pytorch.fold.turns import TurnFrame, find_owner
from backends.pytorch.terms.terms import Tree, subtrees, variables
from compiler.ir.authored import Decision
from compiler.ir.frame import Frame
from compiler.ir.hint import hint_names
from compiler.report.source import Span


def find_said(target: MergedClass) -> set[Span]:
    """Loops and conditions that a class may say as the spec says them."""
    found: set[Span] = set()
    for item in target.items:
        inner = find_loop(item)
        if inner is not None:
            found |= {inner.repeat.loop, *inner.said}
        for variant in item.variants:  # a net is made of layers that are written here
            for tree in subtrees(variant.constructor):
                found |= tree.target.said if isinstance(tree.target, ExplainedClass) else set()
    outcomes: dict[Span, dict[Frame, set[bool]]] = {}
    frame = target.bodies[0].frame
    loop = frame.turn.loop if isinstance(frame, TurnFrame) else None
    for decision in find_decisions(target):
        if loop is not None and not loop.start <= decision.place.start < loop.end:
            continue  # the turns of a loop say what is in it
        rows = outcomes.setdefault(decision.place, {})
        rows.setdefault(decision.frame, set()).add(decision.outcome)
    return found | {p for p, rows in outcomes.items() if _is_branch(target, list(rows.values()))}


def _is_branch(target: MergedClass, rows: list[set[bool]]) -> bool:
    """Whether a condition that came out so in each call is a branch of the class: what differs
    within a call does so from turn to turn of a loop, and a class of turns must say it."""
    alike = target.is_turn or all(len(row) == 1 for row in rows)
    return alike and len(set[bool]().union(*rows)) > 1


def find_decisions(target: MergedClass) -> Iterator[Decision]:
    """How conditions came out in the calls of a class."""
    frames = {find_owner(body.frame) for body in target.bodies}
    for graph in {id(b.index.graph): b.index.graph for b in target.bodies}.values():
        yield from (decision for decision in graph.decisions if decision.frame in frames)


def find_silent(target: MergedClass) -> set[Span]:
    """Loops that go through written-out numbers where the spec says how these come about."""
    found: set[Span] = set()
    for item in target.items:
        inner = find_loop(item)
        if inner is None:
            continue
        for variant in item.variants:
            assert isinstance(variant.constructor, Tree)
            for over in variables(variant.constructor.parts[0]):
                names = any(True for hint in over.hints for _ in hint_names(hint))
                if over.solution is None and names:
                    found |= {inner.repeat.loop}
    return found
