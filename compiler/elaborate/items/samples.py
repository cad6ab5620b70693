"""The clause `sample` of a train: what is written while training."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite

from compiler.elaborate.bodies.code_clauses import read_operands
from compiler.elaborate.items.operands import read_every
from compiler.elaborate.scopes.context import Body, malformed
from compiler.elaborate.values.describing import describe
from compiler.elaborate.values.values import Known, ListValue, Poison, Tensor
from compiler.ir.graph import Graph
from compiler.ir.limits import find_limits
from compiler.program.train import Sample
from compiler.records import dataclass
from compiler.report.messages.samples import range_unknown, sample_is_no_tensor, sample_twice
from compiler.report.source import Span
from compiler.text.tree.syntax import Clause, Declare, Expr
from compiler.types.tensor import TensorType

CHANNELS = (1, 3)
"""Of images: grey ones and ones in colour."""


@dataclass(frozen=True)
class SampleEntry:
    """`sample grid = EXPR, every=2epochs, range=[-1, 1]`, as it is written."""

    name: str
    tensor: Tensor
    every: int
    limits: tuple[float, float] | None
    span: Span


def read_sample(body: Body, clause: Clause, before: Sequence[SampleEntry]) -> SampleEntry | None:
    """What a clause says; None where it was refused, which is reported."""
    operands = read_operands(body, clause)
    if not operands:
        return None
    first, *options = operands
    name = first.name
    if name is None or isinstance(first.value, Declare):
        malformed(body, clause, first.span, "a sample has a name")
        return None
    known = next((entry for entry in before if entry.name == name.text), None)
    if known is not None:
        body.report(sample_twice(name.span, name.text, known.span))
    every, limits = 1, None
    for option in options:
        word = option.name.text if option.name is not None else ""
        if word not in ("every", "range") or isinstance(option.value, Declare):
            malformed(body, clause, option.span, "it takes `every=` and `range=`")
            return None
        if word == "every":
            every = read_every(body, clause, option.value, "epoch") or 0
        else:
            limits = _read_range(body, clause, option.value)
            every = every if limits is not None else 0
    value = body.evaluate(first.value)
    if isinstance(value, Poison) or not every or known is not None:
        return None
    if not isinstance(value, Tensor):
        body.report(sample_is_no_tensor(first.value.span, name.text, describe(value)))
        return None
    return SampleEntry(name.text, value, every, limits, name.span)


def _read_range(body: Body, clause: Clause, expression: Expr) -> tuple[float, float] | None:
    """The two numbers of `range=[-1, 1]`."""
    value = body.evaluate(expression)
    if isinstance(value, Poison):
        return None
    items = value.items if isinstance(value, ListValue) else ()
    numbers = [i.value for i in items if isinstance(i, Known) and isinstance(i.value, int | float)]
    if len(numbers) == len(items) == 2 and numbers[0] < numbers[1]:
        return float(numbers[0]), float(numbers[1])
    malformed(body, clause, expression.span, "the least and the greatest number: `[-1, 1]`")
    return None


def settle_samples(
    body: Body, entries: Sequence[SampleEntry], graph: Graph
) -> tuple[Sample, ...] | None:
    """The samples, pictures with the range of their numbers; None where one is not known, which
    is reported."""
    outputs = {output.name: output.value for output in graph.outputs}
    made: list[Sample] = []
    accepted = True
    for entry in entries:
        sample = Sample(entry.name, entry.every, span=entry.span)
        value = outputs[sample.output]
        if not is_picture(value.type):
            made.append(sample)
            continue
        low, high = entry.limits or find_limits(graph, value)
        if not (isfinite(low) and isfinite(high)):
            body.report(range_unknown(entry.span, entry.name))
            accepted = False
        made.append(Sample(entry.name, entry.every, low, high, entry.span))
    return tuple(made) if accepted else None


def is_picture(type: TensorType) -> bool:
    """Whether a tensor is written as images: `[count, height, width]`, or with one or three
    channels behind the count."""
    if not type.dtype.is_float or type.rank not in (3, 4):
        return False
    return type.rank == 3 or type.shape[1].known in CHANNELS
