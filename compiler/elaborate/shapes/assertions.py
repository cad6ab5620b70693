"""`assert`: checked when compiling, or kept for the run where sizes leave it open."""

from __future__ import annotations

from compiler.elaborate.scopes.context import Body, malformed
from compiler.elaborate.scopes.tracing import walk
from compiler.elaborate.shapes.types import assume
from compiler.elaborate.values.describing import describe
from compiler.elaborate.values.values import (
    POISON,
    Known,
    ListValue,
    Poison,
    SymbolicCondition,
    Tensor,
    Val,
)
from compiler.ir.graph import Graph
from compiler.ir.hint import Hint, find_readable
from compiler.report.diagnostics import Label
from compiler.report.messages.scans import steps_unknown
from compiler.report.messages.values import assertion_fails, condition_not_bool, condition_undecided
from compiler.report.source import Span
from compiler.text.tree.syntax import Clause, Declare, Expr, Name


def check_promises(body: Body, graph: Graph) -> Graph | None:
    """A finished graph; None where it relies on sizes that nothing can promise, which is
    reported."""
    decided = set(graph.run_sizes)
    broken = [c for c in graph.conditions if decided & {*c.left.symbols, *c.right.symbols}]
    for one in broken:
        body.report(steps_unknown(one.origin, str(one.left), one.relation, str(one.right)))
    return None if broken else graph


def run_assert(body: Body, clause: Clause) -> None:
    """`assert condition, "text"`."""
    expressions = [
        o.value for o in clause.operands if o.name is None and not isinstance(o.value, Declare)
    ]
    if not 1 <= len(expressions) <= 2 or len(expressions) != len(clause.operands):
        malformed(body, clause, clause.word.span, "it takes a condition and a text")
        return
    condition = body.evaluate(expressions[0])
    match condition:
        case Known(True, hint=hint):
            _note(body, clause, hint, expressions)
        case Poison():
            return
        case Known(False):
            text, shown = _text(body, expressions), _show(body, expressions[0])
            span = expressions[0].span
            first, *others = [*_find_arguments(body, expressions[0]), span]
            labels = tuple(Label(o, "asserted here" if o is span else "") for o in others)
            body.report(assertion_fails(first, text, shown, labels))
            body.result = POISON  # what follows relies on it
        case SymbolicCondition(relations, text):
            if body.home is None or any(r not in ("==", "<=") for _, r, _ in relations):
                body.report(condition_undecided(expressions[0].span, text))
                return
            for left, relation, right in relations:
                assume(body, left, relation, right, expressions[0].span)
        case _:
            body.report(condition_not_bool(expressions[0].span, describe(condition)))


def _note(body: Body, clause: Clause, hint: Hint | None, expressions: list[Expr]) -> None:
    """Notes what holds of the arguments of a block or model whatever they are, for the code that
    others make with other arguments. A text with values in it tells of these only."""
    if body.home is None or body.frame is None or body.guard is not None or body.turns:
        return
    plain = len(expressions) > 1 and not any(isinstance(n, Name) for n in walk(expressions[1]))
    text = _text(body, expressions) if plain else ""
    if find_readable(hint) is not None and hint is not None:
        body.home.root.builder.note_assertion(body.frame, clause.word.span, hint, text)


def _text(body: Body, expressions: list[Expr]) -> str:
    if len(expressions) == 1:
        return ""
    text = body.evaluate(expressions[1])
    return text.value if isinstance(text, Known) and isinstance(text.value, str) else ""


def _show(body: Body, condition: Expr) -> str:
    """The names in a condition with their values."""
    shown: dict[str, str] = {}
    for node in walk(condition):
        if isinstance(node, Name) and node.text not in shown:
            value = _find(body, node.text)
            if isinstance(value, Known | Tensor | ListValue):
                shown[node.text] = _value_text(value)
    return ", ".join(f"{name} is {text}" for name, text in shown.items())


def _find_arguments(body: Body, condition: Expr) -> list[Span]:
    """Where the arguments of the call are written that a condition is about."""
    names = dict.fromkeys(node.text for node in walk(condition) if isinstance(node, Name))
    return [found for name in names if (found := _find_argument(body, name)) is not None]


def _find_argument(body: Body, name: str) -> Span | None:
    """Where a call gives an argument that is no tensor; where a block hands on a parameter of its
    own, the place in the call of that block. None where it is not given, or bound anew."""
    found = None
    caller: Body | None = body
    while caller is not None and name in caller.given:
        given = caller.given[name]
        if isinstance(given.value, Tensor) or any(name in layer for layer in caller.names[1:]):
            break
        found, name, caller = given.span, given.span.text, caller.caller
    return found


def _find(body: Body, name: str) -> Val | None:
    return next((layer[name] for layer in reversed(body.names) if name in layer), None)


def _value_text(value: Val) -> str:
    if isinstance(value, Tensor):
        return str(value.type)
    if isinstance(value, ListValue):
        return f"[{', '.join(map(_value_text, value.items))}]"
    if not isinstance(value, Known):
        return describe(value)
    if isinstance(value.value, bool) or value.value is None:
        return str(value.value).lower()
    return str(value.value)
