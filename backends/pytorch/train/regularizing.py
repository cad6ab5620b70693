"""Regularizers of a training script: the proximal step of a group lasso after the optimizer's."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from backends.pytorch.train.facts import Facts
from backends.pytorch.train.optimizing import optimizer_of
from compiler.ir.weights import path_matches
from compiler.program.train import Regularization
from compiler.writing.python import write_literal

Lines = list[str]


@dataclass(frozen=True)
class Shrinking:
    """Layers that one regularizer shrinks at the learning rate of one optimizer. `suffix` tells
    its constants from those of others."""

    regularization: Regularization
    layers: tuple[tuple[str, ...], ...]
    optimizer: int
    suffix: str

    @property
    def axis(self) -> int:
        """The axis of the groups."""
        return self.regularization.regularizer.axis


def find_shrinkings(facts: Facts) -> list[Shrinking]:
    """What is shrunk after a step, in the order of the clauses."""
    found: list[Shrinking] = []
    for regularization in facts.train.regularizers:
        for number in range(len(facts.train.groups)):
            layers = tuple(
                layer for layer in regularization.layers if _find_group(facts, layer[0]) == number
            )
            if layers:
                suffix = f"_{len(found) + 1}" if found else ""
                found.append(Shrinking(regularization, layers, number, suffix))
    return found


def _find_group(facts: Facts, path: str) -> int:
    """The number of the group of parameters that a weight belongs to."""
    groups = facts.train.groups
    rest = next((n for n, g in enumerate(groups) if not g.patterns), 0)
    claimed = (n for n, g in enumerate(groups) if any(path_matches(path, p) for p in g.patterns))
    return next(claimed, rest)


def emit_lasso_constants(facts: Facts) -> Lines:
    """Constants: the strength of each regularizer, and the layers it acts on."""
    lines: Lines = []
    for item in find_shrinkings(facts):
        strength = write_literal(item.regularization.regularizer.strength)
        lines.append(f"LASSO{item.suffix} = {strength}  # strength of the group lasso")
        layers = ", ".join(write_literal(list(layer)) for layer in item.layers)
        lines.append(f"SHRUNK{item.suffix} = [{layers}]")
    return lines


def emit_shrinking(facts: Facts) -> Iterator[Lines]:
    """The function that shrinks the groups of a layer; none where nothing is shrunk."""
    axes = {item.axis for item in find_shrinkings(facts)}
    if not axes:
        return
    what = "entries along an axis of weights"
    if axes == {0}:
        what = "rows of weights, each with its bias,"
    elif axes == {1}:
        what = "columns of weights"
    several = len(axes) > 1
    axis = "axis" if several else str(min(axes))
    moved = "part" if axis == "0" else f"part.movedim({axis}, 0)"
    yield [
        "@torch.no_grad()",
        "def shrink_groups("
        + ("parts: list[Tensor], amount: float" + (", axis: int" if several else ""))
        + ") -> None:",
        f'    """The proximal step of a group lasso: {what}',
        "    become shorter by the amount times the root of their size, or zero.",
        '    """',
        *([] if axis == "0" else [f"    parts = [{moved} for part in parts]"]),
        "    rows = torch.cat([part.reshape(len(part), -1) for part in parts], 1)",
        "    factor = 1 - amount * rows.shape[1] ** 0.5 / rows.norm(dim=1).clamp(min=1e-12)",
        "    for part in parts:",
        "        part.mul_(factor.clamp(min=0).view(-1, *[1] * (part.ndim - 1)))",
    ]


def emit_shrink_calls(facts: Facts) -> Lines:
    """Lines of a training step that shrink groups, after the optimizer's."""
    lines: Lines = []
    items = find_shrinkings(facts)
    several = len({item.axis for item in items}) > 1
    if items:
        lines.append("parameters = dict(training.model.named_parameters())")
    for item in items:
        rate = f'{optimizer_of(facts, item.optimizer)}.param_groups[0]["lr"]'
        axis = f", {item.axis}" if several else ""
        lines += [
            f"for names in SHRUNK{item.suffix}:",
            "    parts = [parameters[name] for name in names]",
            f"    shrink_groups(parts, LASSO{item.suffix} * {rate}{axis})",
        ]
    return lines
