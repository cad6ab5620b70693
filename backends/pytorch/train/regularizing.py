"""Regularizers of a training script: what they do to weights after the optimizer's step."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from backends.pytorch.train.rates import group_of
from backends.pytorch.train.script_spec import ScriptSpec
from compiler.ir.weights import path_matches
from compiler.program.train import Regularization
from compiler.training.base import Regularizer
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
    def regularizer(self) -> Regularizer:
        """What shrinks them."""
        return self.regularization.regularizer


def find_shrinkings(script: ScriptSpec) -> list[Shrinking]:
    """What is shrunk after a step, in the order of the clauses."""
    found: list[Shrinking] = []
    for regularization in script.train.regularizers:
        for number in range(len(script.train.groups)):
            layers = tuple(
                layer for layer in regularization.layers if _find_group(script, layer[0]) == number
            )
            if layers:
                suffix = f"_{len(found) + 1}" if found else ""
                found.append(Shrinking(regularization, layers, number, suffix))
    return found


def _find_group(script: ScriptSpec, path: str) -> int:
    """The number of the group of parameters that a weight belongs to."""
    groups = script.train.groups
    rest = next((n for n, g in enumerate(groups) if not g.patterns), 0)
    claimed = (n for n, g in enumerate(groups) if any(path_matches(path, p) for p in g.patterns))
    return next(claimed, rest)


def emit_strengths(script: ScriptSpec) -> Lines:
    """Constants: the strength of each regularizer, and the layers it acts on."""
    lines: Lines = []
    for item in find_shrinkings(script):
        rule = item.regularizer
        strength = write_literal(rule.strength)
        lines.append(f"{rule.constant}{item.suffix} = {strength}  # strength of the {rule.title}")
        layers = ", ".join(write_literal(list(layer)) for layer in item.layers)
        lines.append(f"SHRUNK{item.suffix} = [{layers}]")
    return lines


def _list_used(script: ScriptSpec) -> dict[type[Regularizer], list[Regularizer]]:
    """The regularizers that shrink something, by their classes."""
    used: dict[type[Regularizer], list[Regularizer]] = {}
    for item in find_shrinkings(script):
        used.setdefault(type(item.regularizer), []).append(item.regularizer)
    return used


def emit_shrinking(script: ScriptSpec) -> Iterator[Lines]:
    """The functions that shrink the weights of a layer; none where nothing is shrunk."""
    for cls, used in _list_used(script).items():
        yield ["@torch.no_grad()", *cls.code(used)]


def emit_shrink_calls(script: ScriptSpec) -> Lines:
    """Lines of a training step that shrink weights, after the optimizer's."""
    lines: Lines = []
    items = find_shrinkings(script)
    used = _list_used(script)
    if items:
        lines.append("parameters = dict(training.model.named_parameters())")
    for item in items:
        rule = item.regularizer
        rate = f'{group_of(script, item.optimizer)}["lr"]'
        given = ("parts", f"{rule.constant}{item.suffix} * {rate}")
        arguments = ", ".join((*given, *rule.arguments(used[type(rule)])))
        lines += [
            f"for names in SHRUNK{item.suffix}:",
            "    parts = [parameters[name] for name in names]",
            f"    {rule.function}({arguments})",
        ]
    return lines
