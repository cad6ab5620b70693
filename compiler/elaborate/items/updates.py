"""The clause `update` of a train: what its buffers are behind a step."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from compiler.elaborate.bodies.code_clauses import read_operands
from compiler.elaborate.scopes.application import ExpectedUse
from compiler.elaborate.scopes.context import Body, malformed
from compiler.elaborate.values.describing import describe
from compiler.elaborate.values.values import Poison, Tensor, Val
from compiler.ir.graph import Parameter
from compiler.program.train import Train, Update
from compiler.records import dataclass
from compiler.report.diagnostics import Message
from compiler.report.messages.updates import (
    buffer_never_updated,
    update_differs,
    update_not_shared,
    update_with_fixed_loss,
    updated_twice,
    updates_no_buffer,
)
from compiler.report.source import Span
from compiler.report.suggestions import did_you_mean
from compiler.text.tree.syntax import Clause, Declare, Name


@dataclass(frozen=True)
class UpdateEntry:
    """`update center = EXPR`, as it is written. `step` is the name of the step around it."""

    name: str
    tensor: Tensor
    span: Span
    place: Span
    step: str = ""

    @property
    def made(self) -> Update:
        """The update, as the typed program has it."""
        return Update(self.name, self.step, self.span)


def read_updates(
    body: Body, clause: Clause, before: Sequence[UpdateEntry]
) -> Iterator[UpdateEntry]:
    """What a clause says, behind the updates of the same step that stand `before` it; what is
    refused is reported."""
    known = {entry.name: entry for entry in before}
    for operand in read_operands(body, clause):
        name = operand.name
        if name is None or isinstance(operand.value, Declare):
            malformed(body, clause, operand.span, "a buffer of the train is given a value")
            continue
        # what an earlier update made of a buffer is what later ones read
        body.names.append({entry.name: entry.tensor for entry in known.values()})
        value = body.evaluate(operand.value, ExpectedUse((name.text,)))
        body.names.pop()
        buffer = _find_buffer(body, name)
        if buffer is None:
            continue
        if name.text in known:
            body.report(updated_twice(name.span, name.text, known[name.text].span))
            continue
        if _fits(body, buffer, value, operand.value.span):
            assert isinstance(value, Tensor), "it fits"
            entry = UpdateEntry(name.text, value, name.span, operand.value.span)
            known[name.text] = entry
            yield entry


def _find_buffer(body: Body, name: Name) -> Parameter | None:
    """The buffer of the train that a name stands for; None where it is none, which is reported."""
    value = next((layer[name.text] for layer in reversed(body.names) if name.text in layer), None)
    if isinstance(value, Poison):
        return None
    buffers = find_buffers(body)
    if isinstance(value, Tensor) and value.value.name in buffers:
        return buffers[value.value.name]
    near = did_you_mean(name.text, list(buffers))
    found = "nothing has this name" if value is None else f"this is {_describe(value)}"
    body.report(updates_no_buffer(name.span, name.text, found, tuple(buffers), near))
    return None


def _describe(value: Val) -> str:
    return f"a tensor {value.type}" if isinstance(value, Tensor) else describe(value)


def find_buffers(body: Body) -> Mapping[str, Parameter]:
    """The buffers that the body of a train declares, by name."""
    assert body.home is not None
    root = body.home.root
    own = (path for path, place in root.stages.items() if place == (body.frame, ""))
    found = ((path, root.builder.get_parameter(path)) for path in own)
    return {path: parameter for path, parameter in found if parameter is not None}


def _fits(body: Body, buffer: Parameter, value: Val, span: Span) -> bool:
    """Whether a buffer can become a value; reported where it cannot."""
    if isinstance(value, Poison):
        return False
    if isinstance(value, Tensor) and value.type == buffer.value.type:
        return True
    place = buffer.origin
    assert place is not None, "a spec has declared it"
    wanted = str(buffer.value.type)
    body.report(update_differs(span, buffer.path, wanted, _describe(value), place))
    return False


def find_update_faults(train: Train) -> Iterator[Message]:
    """Buffers that stay as they are, and updates that the train cannot make."""
    fixing = [g.optimizer for g in train.groups if g.optimizer.evaluates or g.optimizer.solves]
    for update in train.updates if fixing else ():
        yield update_with_fixed_loss(update.span, update.buffer, fixing[0].name)
    for update in train.updates if train.processes == "ddp" else ():
        yield update_not_shared(update.span, update.buffer)
    updated = {update.buffer for update in train.updates}
    for buffer in train.buffers if train.learns else ():
        if buffer.path not in updated:
            yield buffer_never_updated(buffer.origin, buffer.path)
