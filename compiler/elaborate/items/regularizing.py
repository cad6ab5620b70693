"""The clause `regularize`: which weights are penalized, or driven to zero, while training."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from compiler.elaborate.calls.described import build_described, find_class
from compiler.elaborate.items.objective import check_patterns, read_over
from compiler.elaborate.items.operands import read_word, refuse_word
from compiler.elaborate.items.settings import Pattern
from compiler.elaborate.scopes.context import Body, malformed
from compiler.ir.graph import Parameter
from compiler.ir.weights import path_matches
from compiler.program.train import Regularization, TrainedNet
from compiler.records import dataclass
from compiler.report.messages.tuning import nothing_to_regularize
from compiler.report.source import Span
from compiler.text.tree.syntax import Clause, Declare
from compiler.training.base import REGULARIZERS, Regularizer
from compiler.training.registry import load_training


@dataclass(frozen=True)
class Regularizing:
    """`regularize group_lasso(1e-3) over "hidden"`, as it is written; without patterns it is
    meant for every weight."""

    regularizer: Regularizer
    patterns: tuple[Pattern, ...]
    span: Span


def read_regularize(body: Body, clause: Clause) -> Regularizing | None:
    """What a clause says; None where it was refused, which is reported."""
    load_training()
    patterns: list[Pattern] = []
    for tail in clause.tails:
        if tail.word == "over":
            patterns += read_over(body, clause, tail)
        else:
            malformed(body, clause, tail.span, f"`{tail.word}` has no meaning here")
    if len(clause.operands) != 1 or clause.operands[0].name is not None or clause.body is not None:
        malformed(body, clause, clause.word.span, "one regularizer comes after it")
        return None
    expression = clause.operands[0].value
    if isinstance(expression, Declare):
        malformed(body, clause, expression.span, "a regularizer belongs here")
        return None
    cls = find_class(expression, REGULARIZERS)
    if cls is None:
        word = read_word(expression)
        if word is None:
            malformed(body, clause, expression.span, "a regularizer belongs here")
        else:
            refuse_word(body, word, REGULARIZERS.kind, REGULARIZERS.names())
        return None
    made: Regularizer | None = build_described(body, expression, cls)
    return None if made is None else Regularizing(made, tuple(patterns), expression.span)


def settle_regularizers(
    body: Body, found: Sequence[Regularizing], nets: Sequence[TrainedNet], frozen: Sequence[str]
) -> tuple[Regularization, ...]:
    """The regularizers with the parameters that they act on; one that has none is reported."""
    parameters = {n.prefix + p.path: p for n in nets for p in n.net.graph.parameters if p.trainable}
    trained = {
        path: parameter
        for path, parameter in parameters.items()
        if not any(path_matches(path, pattern) for pattern in frozen)
    }
    settled = []
    for item in found:
        if not check_patterns(body, item.patterns, list(parameters)):
            continue
        chosen = {
            path: parameter
            for path, parameter in trained.items()
            if not item.patterns or any(path_matches(path, p.text) for p in item.patterns)
        }
        layers = tuple(_find_layers(item, chosen, trained))
        if layers:
            settled.append(Regularization(item.regularizer, layers, item.span))
        else:
            body.report(nothing_to_regularize(item.span, item.regularizer.name))
    return tuple(settled)


def _find_layers(
    item: Regularizing, chosen: dict[str, Parameter], trained: dict[str, Parameter]
) -> Iterator[tuple[str, ...]]:
    """The weights that were chosen, each with its bias where groups are its first axis. The scale
    of a norm is a weight of one axis, and only acted on where a pattern names it; a bias where one
    names it as such, and each number is for itself."""
    axis = item.regularizer.axis
    least = 1 if axis is None else axis + 1
    for path, parameter in chosen.items():
        slot, _, name = path.rpartition(".")
        named = axis is None and any(
            path_matches(path, p.text) and p.text.rpartition(".")[2] == name for p in item.patterns
        )
        if (name == "bias" and not named) or parameter.value.type.rank < least:
            continue
        if parameter.value.type.rank == 1 and not item.patterns:
            continue
        bias = f"{slot}.bias"
        together = axis == 0 and name == "weight" and bias in trained
        yield (path, bias) if together else (path,)
