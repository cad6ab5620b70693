"""Regularizers of a training script: penalties, and what happens to weights after a step."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from backends.pytorch.train.code import Function, Statement, suite
from backends.pytorch.train.rates import group_of
from backends.pytorch.train.script_spec import ScriptSpec
from compiler.ir.weights import path_matches
from compiler.training.base import Penalty, ProximalStep
from compiler.writing.python import write_literal

Lines = list[str]


@dataclass(frozen=True)
class Shrinking:
    """Layers that one regularizer shrinks at the learning rate of one optimizer. `suffix` tells
    its constants from those of others."""

    regularizer: ProximalStep
    layers: tuple[tuple[str, ...], ...]
    optimizer: int
    suffix: str


def find_shrinkings(script: ScriptSpec) -> list[Shrinking]:
    """What is shrunk after a step, in the order of the clauses."""
    found: list[Shrinking] = []
    for regularization in script.train.regularizers:
        rule = regularization.regularizer
        if not isinstance(rule, ProximalStep):
            continue
        for number in range(len(script.train.groups)):
            layers = tuple(
                layer for layer in regularization.layers if _find_group(script, layer[0]) == number
            )
            if layers:
                suffix = f"_{len(found) + 1}" if found else ""
                found.append(Shrinking(rule, layers, number, suffix))
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
    for names, penalty, paths in _name_penalties(script):
        *strengths, penalized = names
        for name, (_, value) in zip(strengths, penalty.strengths, strict=True):
            lines.append(f"{name} = {write_literal(value)}  # strength of the penalty")
        lines.append(f"{penalized} = {write_literal(list(paths))}")
    for item in find_shrinkings(script):
        rule = item.regularizer
        strength = write_literal(rule.strength)
        lines.append(f"{rule.constant}{item.suffix} = {strength}  # strength of the {rule.title}")
        layers = ", ".join(write_literal(list(layer)) for layer in item.layers)
        lines.append(f"SHRUNK{item.suffix} = [{layers}]")
    return lines


def _name_penalties(
    script: ScriptSpec,
) -> Iterator[tuple[tuple[str, ...], Penalty, tuple[str, ...]]]:
    """Each penalty with the paths that it acts on, and the names of its constants, the paths' name
    last."""
    for number, (penalty, paths) in enumerate(script.penalties, 1):
        suffix = f"_{number}" if number > 1 else ""
        labels = (*(name for name, _ in penalty.strengths), "PENALIZED")
        yield tuple(f"{label}{suffix}" for label in labels), penalty, paths


def write_penalty(script: ScriptSpec) -> list[Function]:
    """The function that adds up the penalties; none where there are none."""
    terms = []
    for (*strengths, penalized), penalty, _ in _name_penalties(script):
        term = penalty.code("weights[name]", strengths)
        terms.append(f"[{term} for name in {penalized}]")
    if not terms:
        return []
    return [
        Function(
            "penalize",
            ("model: nn.Module",),
            "Tensor",
            (
                "weights = dict(model.named_parameters())",
                f"terms = {terms[0]}",
                *(f"terms += {term}" for term in terms[1:]),
                "return torch.stack(terms).sum()",
            ),
            ("The penalties of weights, which are added to the loss of a step.",),
        )
    ]


def _list_used(script: ScriptSpec) -> dict[type[ProximalStep], list[ProximalStep]]:
    """The regularizers that shrink something, by their classes."""
    used: dict[type[ProximalStep], list[ProximalStep]] = {}
    for item in find_shrinkings(script):
        used.setdefault(type(item.regularizer), []).append(item.regularizer)
    return used


def emit_shrinking(script: ScriptSpec) -> Iterator[Lines]:
    """The functions that shrink the weights of a layer; none where nothing is shrunk."""
    for cls, used in _list_used(script).items():
        yield ["@torch.no_grad()", *cls.code(used)]


def emit_shrink_calls(script: ScriptSpec) -> list[Statement]:
    """Statements of a training step that shrink weights, after the optimizer's."""
    lines: list[Statement] = []
    items = find_shrinkings(script)
    used = _list_used(script)
    if items:
        lines.append("parameters = dict(model.named_parameters())")
    for item in items:
        rule = item.regularizer
        rate = f'{group_of(script, item.optimizer)}["lr"]'
        given = ("layer", f"{rule.constant}{item.suffix} * {rate}")
        arguments = ", ".join((*given, *rule.arguments(used[type(rule)])))
        call = f"{rule.function}({arguments})"
        body = ["layer = [parameters[name] for name in names]", call]
        lines.append(suite(f"for names in SHRUNK{item.suffix}:", body))
    return lines
