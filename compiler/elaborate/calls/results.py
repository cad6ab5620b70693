"""Results of blocks: what `return` hands back, in the names of the caller."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from compiler.elaborate.calls.modes import evaluate_whole
from compiler.elaborate.calls.signatures import BlockSignature
from compiler.elaborate.scopes.application import ExpectedUse
from compiler.elaborate.scopes.context import Body
from compiler.elaborate.scopes.ports import Ports
from compiler.elaborate.values.values import (
    POISON,
    ArgumentValue,
    Known,
    ListValue,
    Poison,
    Record,
    Tensor,
    Val,
)
from compiler.ir.hint import Hint, hint_names, rename_hint
from compiler.report.messages.names import malformed_clause
from compiler.report.messages.nets import two_of_a_name
from compiler.text.tree.syntax import Declare, Name, Operand, Return


def take_return(body: Body, statement: Return) -> Val:
    """The value of a `return`: one value, or a record of several."""
    operands = statement.operands
    if len(operands) == 1:
        return _take_one(body, operands[0], ExpectedUse(body.wanted))
    items: dict[str, Val] = {}
    results: list[tuple[str, Val]] = []
    for index, operand in enumerate(operands):
        name = _result_name(operand)
        wish: tuple[str, ...] = (name,) if name else ()
        if len(body.wanted) == len(operands):
            wish = body.wanted[index : index + 1]
        value = _take_one(body, operand, ExpectedUse(wish))
        if name and name in items:
            first = next(o for o in operands if _result_name(o) == name)
            span = operand.name.span if operand.name is not None else operand.span
            body.report(two_of_a_name(span, "result", name, first.span))
        items[name] = value
        results.append((name, value))
    if any(isinstance(value, Poison) for value in items.values()) and len(results) == 1:
        return POISON
    return Record(tuple(results))


def _take_one(body: Body, operand: Operand, want: ExpectedUse) -> Val:
    if isinstance(operand.value, Declare):
        expected = "a result has a name and a value"
        body.report(malformed_clause(operand.span, "return", expected, "return name=value"))
        return POISON
    value = evaluate_whole(body, operand.value, want)
    name = _result_name(operand)
    if isinstance(value, Tensor) and name:
        return replace(value, result=name)
    return value


def _result_name(operand: Operand) -> str:
    if operand.name is not None:
        return operand.name.text
    return operand.value.text if isinstance(operand.value, Name) else ""


def take_outputs(ports: Ports) -> Val:
    """The results of a model: its only output, or a record. Outputs that were refused are there
    too, so that nothing is said of their names."""
    items: list[tuple[str, Val]] = [
        (o.name, replace(o.tensor, result=o.name)) for o in ports.outputs
    ]
    items += [(name, POISON) for name in sorted(ports.refused)]
    if not items:
        return POISON
    return items[0][1] if len(items) == 1 else Record(tuple(items))


def translate_result(
    result: Val,
    body: Body,
    signature: BlockSignature,
    given: Mapping[str, ArgumentValue],
    *,
    hinted: bool,
) -> Val:
    """A result with what it looked like in the names of the caller: parameters are replaced by
    what was given for them. What cannot be said in the caller's names is forgotten."""
    match result:
        case Known(scalar, hint, unit):
            names = _caller_hints(body, signature, given) if hinted else {}
            return Known(scalar, _translate(hint, names), unit)
        case ListValue(items):
            parts = (translate_result(i, body, signature, given, hinted=hinted) for i in items)
            return ListValue(tuple(parts), source=result.source)
        case Record(items):
            return Record(
                tuple(
                    (name, translate_result(value, body, signature, given, hinted=hinted))
                    for name, value in items
                )
            )
    return result


def _translate(hint: Hint | None, names: Mapping[str, Hint]) -> Hint | None:
    if hint is None or any(name not in names for name in hint_names(hint)):
        return None
    return rename_hint(hint, names)


def _caller_hints(
    body: Body, signature: BlockSignature, given: Mapping[str, ArgumentValue]
) -> dict[str, Hint]:
    hints: dict[str, Hint] = {}
    for spec in signature.parameters:
        source = given.get(spec.name)
        value = source.value if source is not None else None
        if isinstance(value, Known) and value.hint is not None:
            hints[spec.name] = value.hint
    return hints
