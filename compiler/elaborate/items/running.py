"""How a training computes what it does: compiled nets, and results that are computed again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from compiler.elaborate.bodies.code_clauses import read_operands
from compiler.elaborate.items.objective import check_patterns
from compiler.elaborate.items.settings import Pattern, read_patterns
from compiler.elaborate.scopes.context import Body, malformed
from compiler.program.recomputed import find_recomputed, list_blocks
from compiler.program.train import Train, TrainedNet
from compiler.report.diagnostics import Message
from compiler.report.messages.training_machinery import (
    compiled_twice_differentiated,
    norm_recomputed,
)
from compiler.report.suggestions import did_you_mean
from compiler.text.tree.syntax import Clause, Declare, Name
from compiler.training.loggers import LOGGERS
from compiler.vocabulary.clauses import join_words


def read_blocks(body: Body, clause: Clause) -> list[Pattern]:
    """What `checkpoint_activations "blocks.*"` names; what is refused in it is reported."""
    patterns: list[Pattern] = []
    for operand in read_operands(body, clause):
        if operand.name is not None or isinstance(operand.value, Declare):
            malformed(body, clause, operand.span, "a pattern in quotes, or a net, belongs here")
        else:
            patterns += read_patterns(body, clause, operand.value)
    return patterns


def read_loggers(body: Body, clause: Clause, before: Sequence[str]) -> Iterator[str]:
    """What `log tensorboard` names; what is refused in it is reported."""
    known = [*before]
    for operand in read_operands(body, clause):
        expression = operand.value
        word = expression.text if isinstance(expression, Name) else ""
        if operand.name is not None or word not in LOGGERS:
            near = did_you_mean(word, tuple(LOGGERS))
            found = f"`{operand.span.text}`" + (f"; did you mean `{near}`?" if near else "")
            expected = f"{join_words(tuple(LOGGERS))} belongs here, not {found}"
            malformed(body, clause, operand.span, expected)
        elif word in known:
            malformed(body, clause, operand.span, f"`{word}` is named twice")
        else:
            known.append(word)
            yield word


def check_recomputed(body: Body, patterns: Sequence[Pattern], nets: Sequence[TrainedNet]) -> None:
    """Reports patterns that name no block, and blocks that may not be computed twice: the running
    statistics of a batch norm would move twice a step."""
    blocks = list_blocks(nets)
    for pattern in patterns:
        if not check_patterns(body, [pattern], list(blocks), "block or layer"):
            continue
        for path in find_recomputed(nets, [pattern.text]):
            norm = next((node for node in blocks[path] if node.op.over_batch), None)
            if norm is not None:
                body.report(norm_recomputed(pattern.span, path, norm.op.name, norm.origin.span))
                break


def find_uncompiled(train: Train) -> Iterator[Message]:
    """What a compiled net cannot be asked for: a derivative of its derivative."""
    if not train.compiled:
        return
    for node in train.graph.nodes:
        if node.op.of_graph:
            yield compiled_twice_differentiated(node.origin.span or train.span, node.op.name)
            return
