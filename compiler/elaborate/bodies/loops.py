"""Bodies of loops at run time: the names that they bind, and the clauses that stand in them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from compiler.elaborate.bodies.code_clauses import find_runner
from compiler.elaborate.scopes.application import ExpectedUse
from compiler.elaborate.scopes.context import Body, ClauseTable, malformed
from compiler.elaborate.scopes.lints import reads
from compiler.elaborate.values.describing import describe
from compiler.elaborate.values.values import POISON, Known, Poison
from compiler.report.messages.arguments import wrong_argument
from compiler.report.messages.nets import two_of_a_name
from compiler.report.source import Span
from compiler.report.suggestions import did_you_mean
from compiler.text.tree.syntax import Binding, Clause, Declare, For, If, Scan, Statement, Unpack
from compiler.vocabulary.clauses import BLOCK, SCAN, runs

# --- names in the body ------------------------------------------------------------------------


def bound_names(statements: Sequence[Statement]) -> Iterator[str]:
    """Names that a body binds, in order, with repetitions."""
    for statement in statements:
        match statement:
            case Binding(name=name):
                yield name.text
            case Unpack(names=names):
                yield from (n.text for n in names)
            case If(then=then, otherwise=otherwise):
                yield from bound_names((*then, *(otherwise or ())))
            case For(names=names, body=inner):
                yield from (n.text for n in names)
                yield from bound_names(inner)
            case Scan(body=inner):
                yield from bound_names(inner)
                yield from emitted_names(inner)


def emitted_names(statements: Sequence[Statement]) -> Iterator[str]:
    """Names under which a body stacks values."""
    for statement in statements:
        match statement:
            case Clause(word=word, operands=operands) if word.text == "emit":
                yield from (o.name.text for o in operands if o.name is not None)
            case If(then=then, otherwise=otherwise):
                yield from emitted_names((*then, *(otherwise or ())))
            case For(body=inner):
                yield from emitted_names(inner)


def last_binding(statements: Sequence[Statement], name: str) -> Span | None:
    """Where a body binds a name last."""
    found: Span | None = None
    for statement in statements:
        match statement:
            case Binding(name=bound) if bound.text == name:
                found = statement.span
            case Unpack(names=names) if any(n.text == name for n in names):
                found = statement.span
            case If(then=then, otherwise=otherwise):
                found = last_binding((*then, *(otherwise or ())), name) or found
            case For(body=inner):
                found = last_binding(inner, name) or found
    return found


def is_read_first(statements: Sequence[Statement], name: str) -> bool:
    """Whether a body reads a name before it binds it: then the value of the step before is
    meant, and the name is carried."""
    for statement in statements:
        match statement:
            case Binding(name=bound, value=value):
                if name in reads(value):
                    return True
                if bound.text == name:
                    return False
            case Unpack(names=names, value=value):
                if name in reads(value):
                    return True
                if any(n.text == name for n in names):
                    return False
            case _:
                if name in reads(statement):
                    return True
    return False


# --- clauses of the body ----------------------------------------------------------------------


@runs("emit name = value", "a result of each step, stacked along an axis", SCAN)
def _run_emit(body: Body, clause: Clause) -> None:
    """`emit name = value, axis=1`: stacks a value of every step."""
    assert body.loop is not None
    axis = body.loop.axis
    items = []
    for operand in clause.operands:
        if operand.name is None or isinstance(operand.value, Declare):
            malformed(body, clause, operand.span, "what is emitted has a name")
        elif operand.name.text == "axis":
            value = body.evaluate(operand.value)
            if isinstance(value, Known) and isinstance(value.value, int):
                axis = value.value
            elif not isinstance(value, Poison):
                found = describe(value)
                span = operand.value.span
                body.report(wrong_argument(span, "emit", "axis", "a whole number", found))
        else:
            value = body.evaluate(operand.value, ExpectedUse((operand.name.text,)))
            if isinstance(value, Known) and did_you_mean(operand.name.text, ("axis",)):
                malformed(body, clause, operand.name.span, "did you mean `axis`?")
                value = POISON
            items.append((operand.name, value, operand.value.span))
    for name, value, span in items:
        if name.text in body.loop.emits:
            first = body.loop.emits[name.text][2]
            body.report(two_of_a_name(name.span, "result", name.text, first))
        body.loop.emits[name.text] = (value, axis, span)


@runs("until all(done)", "ends the loop after the step in which it is true", SCAN)
def _run_until(body: Body, clause: Clause) -> None:
    """`until condition`: ends the loop after the step in which it is true."""
    assert body.loop is not None
    operands = clause.operands
    if len(operands) != 1 or operands[0].name is not None or isinstance(operands[0].value, Declare):
        malformed(body, clause, clause.word.span, "it takes one condition")
        return
    body.loop.until = (body.evaluate(operands[0].value), operands[0].value.span)


def loop_clauses(outer: ClauseTable) -> ClauseTable:
    """The clauses of the body around, with those of loops; ports and outputs stay outside."""
    table = ClauseTable.of(SCAN, find_runner)
    own = {w: h for w, h in table.handlers.items() if w in outer.handlers or w not in BLOCK.clauses}
    return replace(table, handlers=own)
