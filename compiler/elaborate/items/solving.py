"""What an optimizer that solves for the weights can take: squares of what is linear in them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import copysign, prod

from compiler.ir.graph import Graph, Node, Parameter
from compiler.ir.limits import find_limits
from compiler.ir.weights import match_paths
from compiler.program.train import Train
from compiler.report.diagnostics import Label, Message
from compiler.report.messages.solving import no_closed_form, not_quadratic

MOST = 10_000
"""The weights that are solved for at once: their equations take 800 MB."""


def find_unsolvable(train: Train) -> Iterator[Message]:
    """What has no closed form, in a train whose optimizer solves for the weights."""
    for group in train.groups:
        if not group.optimizer.solves or len(train.steps) > 1:
            continue
        name = group.optimizer.name
        yield from _find_clauses(train, name)
        paths = [
            n.prefix + p.path for n in train.nets for p in n.net.graph.parameters if p.trainable
        ]
        trained = set(paths) - set(match_paths(paths, train.freeze))
        sizes = (prod(p.value.type.known_shape or ()) for p in _list_trained(train, trained))
        if (count := sum(sizes)) > MOST:
            reason = f"it would solve for {count:,} weights at once, and takes {MOST:,} at most"
            yield no_closed_form(group.span, name, reason)
        degrees, odd = measure_degrees(train.graph, trained)
        if odd is not None:
            reason = f"`{odd.op.name}` of what is trained is not linear"
            place = odd.origin.span
            label = None if place is None else Label(place, "this one")
            yield not_quadratic(group.span, name, reason, label)
            return
        (degree,) = (degrees[o.value.name] for o in train.graph.outputs if o.name in train.losses)
        if degree != 2:
            found = {0: "does not depend on them", 1: "is linear in them"}
            reason = found.get(degree, f"is a polynomial of degree {degree} in them")
            yield not_quadratic(group.span, name, f"the loss {reason}")
        elif find_bend(train.graph, degrees) == -1:
            reason = "the loss is not convex: the factor of its square is negative"
            yield not_quadratic(group.span, name, reason)


def _list_trained(train: Train, trained: set[str]) -> Iterator[Parameter]:
    for net in train.nets:
        yield from (p for p in net.net.graph.parameters if net.prefix + p.path in trained)


def _find_clauses(train: Train, name: str) -> Iterator[Message]:
    if train.clip is not None:
        yield no_closed_form(train.span, name, "`clip` bounds the gradients that it solves with")
    if train.precision != "f32":
        yield no_closed_form(train.span, name, f"the precision is {train.precision}")
    for item in train.regularizers:
        if not item.regularizer.is_square:
            reason = f"`{item.regularizer.name}` is no square of weights"
            yield no_closed_form(item.span, name, reason)


def measure_degrees(step: Graph, trained: set[str]) -> tuple[dict[str, int], Node | None]:
    """The degree of every value in weights that are trained, as far as the values are polynomials;
    and the first node that makes something else of them and that the loss needs."""
    nodes = _find_needed(step)
    degrees = {item.value.name: 0 for item in step.inputs}
    degrees |= {p.value.name: int(p.path in trained) for p in step.parameters}
    numbers = _find_numbers(step)
    for node in nodes:
        names = [value.name for value in node.inputs if value is not None]
        known = [numbers.get(name) for name in names]
        degree = node.op.find_degree([degrees[name] for name in names], known)
        if degree is None:
            return degrees, node
        degrees |= dict.fromkeys((value.name for value in node.outputs), degree)
    return degrees, None


def _find_needed(step: Graph) -> list[Node]:
    """What the loss is computed of, in order."""
    needed = {output.value.name for output in step.outputs if output.name == "loss"}
    found = []
    for node in reversed(step.nodes):
        if any(value.name in needed for value in node.outputs):
            needed.update(value.name for value in node.inputs if value is not None)
            found.append(node)
    return found[::-1]


def _find_numbers(step: Graph) -> dict[str, float]:
    """The values that are always one number."""
    return {n.output.name: n.op.number for n in step.nodes if n.op.number is not None}


def find_bend(step: Graph, degrees: Mapping[str, int]) -> int | None:
    """The sign of what the loss has of degree 2: 1 where it is convex, -1 where its negative is;
    None where the graph alone does not tell."""
    numbers = _find_numbers(step)
    bends: dict[str, int | None] = {}
    for node in _find_needed(step):
        if degrees[node.outputs[0].name] == 2:
            bend = _bend(step, node, degrees, bends, numbers)
            bends |= dict.fromkeys((value.name for value in node.outputs), bend)
    (loss,) = (output.value.name for output in step.outputs if output.name == "loss")
    return bends.get(loss)


def _bend(
    step: Graph,
    node: Node,
    degrees: Mapping[str, int],
    bends: Mapping[str, int | None],
    numbers: Mapping[str, float],
) -> int | None:
    names = [value.name for value in node.inputs if value is not None]
    curved = [name for name in names if degrees[name] == 2]
    if not curved:  # it is this one that makes the square
        low, high = find_limits(step, node.outputs[0])
        return 1 if low >= 0 or len(set(names)) == 1 < len(names) else -1 if high <= 0 else None
    signs = node.op.signs or (1,) * len(names)
    if not (node.op.signs or node.op.linear or node.op.moves or node.op.selects):
        factors = [numbers.get(name) for name in names if name not in curved]
        if len(curved) > 1 or None in factors:
            return None
        sign = int(copysign(1, prod(factor for factor in factors if factor is not None)))
        signs = (sign,) * len(names)
    found = {
        None if (bend := bends[name]) is None else sign * bend
        for sign, name in zip(signs, names, strict=True)
        if name in curved
    }
    return found.pop() if len(found) == 1 else None
