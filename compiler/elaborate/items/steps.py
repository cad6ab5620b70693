"""The clause `step` of a train: one of several objectives that take turns."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from compiler.elaborate.items.item_elaborator import ItemElaborator
from compiler.elaborate.items.objective import Objective, read_minimize
from compiler.elaborate.items.operands import read_every
from compiler.elaborate.items.updates import UpdateEntry, read_updates
from compiler.elaborate.scopes.context import Body, FileScope, malformed
from compiler.elaborate.values.values import Val
from compiler.records import dataclass
from compiler.report.messages.training_steps import step_twice
from compiler.text.tree.syntax import Clause, Declare, Name
from compiler.vocabulary.clauses import STEP


@dataclass(frozen=True)
class Head:
    """`step critic, every=5steps`, as it is written."""

    name: Name
    every: int = 1


class StepElaborator(ItemElaborator):
    """The elaboration of one step, in the body of its train. `take_metric` takes the metrics in
    it, which are those of the train."""

    home = STEP

    def __init__(self, scope: FileScope, take_metric: Callable[[Body, Clause], None]) -> None:
        self.take_metric = take_metric  # before the table of clauses is made, which has it
        super().__init__(scope)
        self.objective: Objective | None = None
        self.updates: list[UpdateEntry] = []
        self.bound: dict[str, Val] = {}

    def run(self, body: Body, clause: Clause, before: Sequence[Head]) -> Head | None:
        """Runs the statements of a step; None where its head was refused. Their names are bound
        in it alone, and are `bound` behind it."""
        head = read_head(body, clause)
        if head is not None:
            first = next((h for h in before if h.name.text == head.name.text), None)
            if first is not None:
                body.report(step_twice(head.name.span, head.name.text, first.name.span))
        if clause.body is None:
            malformed(body, clause, clause.word.span, "its objective comes in braces")
            return None
        outer = body.clauses
        body.clauses = self.table
        body.names.append(self.bound)
        body.execute(clause.body)
        if head is not None:
            self.report_missing(body, head.name)
        body.names.pop()
        body.clauses = outer
        if head is None:
            return head
        self.updates = [replace(entry, step=head.name.text) for entry in self.updates]
        if self.objective is None:
            return head
        self.objective = replace(self.objective, name=head.name.text, every=head.every)
        return head

    def take_minimize(self, body: Body, clause: Clause) -> None:
        """`minimize LOSS over NET with OPT`."""
        self.objective = read_minimize(body, clause)

    def take_update(self, body: Body, clause: Clause) -> None:
        """`update gap = 0.9 * gap + 0.1 * mean(C(fake))`."""
        self.updates += read_updates(body, clause, self.updates)


def read_head(body: Body, clause: Clause) -> Head | None:
    """The name of a step, and how often it is taken; None where it was refused, which is
    reported."""
    form = "it has a name: `step critic { … }`"
    if not clause.operands:
        malformed(body, clause, clause.word.span, form)
        return None
    first, *others = clause.operands
    if first.name is not None or not isinstance(first.value, Name):
        malformed(body, clause, first.span, form)
        return None
    every = 1
    for operand in others:
        if operand.name is None or operand.name.text != "every":
            malformed(body, clause, operand.span, "it takes a name and `every=5steps`")
            return None
        if isinstance(operand.value, Declare):
            malformed(body, clause, operand.span, "it takes a value, no type")
            return None
        found = read_every(body, clause, operand.value, "step")
        if found is None:
            return None
        every = found
    for tail in clause.tails:
        malformed(body, clause, tail.span, f"`{tail.word}` belongs to `minimize`")
    return Head(first.value, every)
