"""Operators: arithmetic and comparisons on numbers, sizes, lists and tensors, `and or not`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache

from compiler.elaborate.calls.gathering import note_joined
from compiler.elaborate.calls.primitives import apply_op, layer_for_tensor
from compiler.elaborate.evaluate.cell_texts import read_texts
from compiler.elaborate.evaluate.conditions import decide
from compiler.elaborate.evaluate.lengths import measure_list
from compiler.elaborate.scopes.application import Application, ExpectedUse
from compiler.elaborate.scopes.context import Body
from compiler.elaborate.scopes.resolve import find_entry, resolve_name
from compiler.elaborate.scopes.sizes import keep, size_of
from compiler.elaborate.scopes.tracing import walk
from compiler.elaborate.values.arithmetic import (
    ArithmeticFault,
    WrongOperands,
    calculate,
    combine_hints,
    compare,
    negative,
    whole,
)
from compiler.elaborate.values.describing import describe
from compiler.elaborate.values.functions import FUNCTIONS
from compiler.elaborate.values.parts import find_hint, is_layer, is_none, plain_items
from compiler.elaborate.values.values import (
    POISON,
    ArgumentValue,
    DTypeValue,
    Known,
    ListValue,
    OpLayer,
    Poison,
    Range,
    Repeat,
    SymbolicCondition,
    Tensor,
    Val,
)
from compiler.ir.graph import Op
from compiler.ir.hint import (
    HINT_FUNCTIONS,
    Hint,
    HintCall,
    HintConst,
    HintItem,
    HintName,
    HintUnary,
    find_readable,
    mark_names,
    whole_hint,
)
from compiler.ops.registry import OPS, load_ops
from compiler.report.diagnostics import Label
from compiler.report.messages.functions import not_whole, unknown_when_compiling
from compiler.report.messages.nets import copies_negative
from compiler.report.messages.values import no_result, wrong_operand
from compiler.report.source import Span
from compiler.text.tree.syntax import (
    Binary,
    Bool,
    Call,
    Expr,
    Group,
    Let,
    Name,
    Number,
    Subscript,
    Unary,
)

_COMPARISONS = ("==", "!=", "<", "<=", ">", ">=")


def evaluate_binary(body: Body, expression: Binary, want: ExpectedUse) -> Val:
    """The value of `left operator right`."""
    symbol = expression.operator
    left = body.evaluate(expression.left)
    if symbol in ("and", "or") and isinstance(left, Known) and isinstance(left.value, bool):
        if left.value is (symbol == "or"):
            whole = combine_hints(symbol, left.hint, read_hint(body, expression.right))
            return Known(left.value, whole or left.hint)
        return _short_circuit(body, expression, left)
    right = body.evaluate(expression.right)
    if isinstance(left, Poison) or isinstance(right, Poison):
        return POISON
    if symbol == "*" and is_layer(right) and not is_layer(left):
        return _repeat(body, expression, left, right)
    return combine(body, symbol, left, right, _Place(expression), want)


class _Place:
    """Where an operator and its operands stand."""

    def __init__(self, expression: Binary) -> None:
        self.operator = expression.operator_span
        self.left = expression.left.span
        self.right = expression.right.span
        self.whole = expression.span


def _short_circuit(body: Body, expression: Binary, left: Known) -> Val:
    """`true and x` and `false or x` are x, with the hint of the whole."""
    right = body.evaluate(expression.right)
    if isinstance(right, Known) and isinstance(right.value, bool):
        hint = combine_hints(expression.operator, left.hint, right.hint)
        return Known(right.value, hint)
    if isinstance(right, SymbolicCondition | Poison | Tensor):
        return right
    decide(body, right, expression.right.span)
    return POISON


def read_hint(body: Body, expression: Expr) -> Hint | None:
    """The hint of an operand that is not evaluated, because the other one decides: printed code
    shows the whole condition. Only the names in it where it is more than arithmetic on names and
    numbers."""
    match expression:
        case Name(text=text):
            found = next((layer[text] for layer in reversed(body.names) if text in layer), None)
            return find_hint(found) if found is not None else _read_let(body, expression)
        case Bool(value=value):
            return HintConst(value)
        case Number(value=value, unit=None):
            return HintConst(value)
        case Group(inner=inner):
            return read_hint(body, inner)
        case Unary(operator="not", operand=operand):
            inside = read_hint(body, operand)
            return HintUnary("not", inside) if inside is not None else None
        case Binary(operator=symbol, left=left, right=right) if symbol in _READABLE:
            return combine_hints(symbol, read_hint(body, left), read_hint(body, right))
        case Subscript(base=base, indices=(Name() | Number() | Binary() as index,)):
            items, place = read_hint(body, base), read_hint(body, index)
            if items is not None and place is not None:
                return HintItem(items, whole_hint(place))
        case Call(function=Name(text=text), arguments=arguments) if _is_function(body, text):
            hints = [read_hint(body, argument.value) for argument in arguments]
            known = tuple(hint for hint in hints if hint is not None)
            return HintCall(text, known) if len(known) == len(hints) else mark_names(*known)
    names = (node for node in walk(expression) if isinstance(node, Name))
    marked = mark_names(*(h for name in names if (h := _read_name(body, name)) is not None))
    return marked if marked.arguments else None


def _read_name(body: Body, name: Name) -> Hint | None:
    """What a name in a longer expression follows: of a list of tensors, how many there are."""
    found = next((layer[name.text] for layer in reversed(body.names) if name.text in layer), None)
    length = measure_list(body, found) if isinstance(found, ListValue) else None
    return length or read_hint(body, name)


def _is_function(body: Body, word: str) -> bool:
    """Whether a word is a function of numbers that Python has too, and means that here."""
    own = any(word in layer for layer in body.names) or body.file.has(word)
    return word in HINT_FUNCTIONS and word in FUNCTIONS and not own


def _read_let(body: Body, name: Name) -> Hint | None:
    """The hint of a number at file level."""
    match find_entry(body.file, name.text, name.span):
        case _, Let():
            value = resolve_name(body.file, name.text, name.span, body.home)
            return value.hint if isinstance(value, Known) else None
    return None


_READABLE = frozenset({*_COMPARISONS, "and", "or", "+", "-", "*", "/", "//", "%", "**"})


def combine(
    body: Body, symbol: str, left: Val, right: Val, place: _Place, want: ExpectedUse
) -> Val:
    """`left symbol right` for values that are no poison."""
    if symbol in ("in", "not in"):
        return _contains(body, symbol, left, right, place)
    if symbol == "..":
        return _range(body, left, right, place)
    if symbol in ("==", "!=") and (is_none(left) or is_none(right)):
        same = is_none(left) and is_none(right)
        hint = combine_hints(symbol, _name_hint(body, left), _name_hint(body, right))
        return Known(same if symbol == "==" else not same, hint)
    if isinstance(left, Tensor) or isinstance(right, Tensor):
        left, right = read_texts(body, symbol, (left, right), (place.left, place.right))
        if isinstance(left, Poison) or isinstance(right, Poison):
            return POISON
        return _apply_tensors(body, symbol, left, right, place, want)
    if isinstance(left, Known) and isinstance(right, Known):
        return _apply_known(body, symbol, left, right, place)
    for value, span in ((left, place.left), (right, place.right)):
        if is_layer(value):
            body.report(layer_for_tensor(ArgumentValue(value, span)))
            return POISON
    body.session.spend(size_of(left) + size_of(right), place.operator)
    lists = _combine_lists(symbol, left, right)
    if isinstance(lists, ListValue):
        return note_joined(body, lists, left, right, place.whole, want)
    if lists is not None:
        return lists
    if (
        symbol == "and"
        and isinstance(left, SymbolicCondition | Known)
        and isinstance(right, SymbolicCondition)
    ):
        return _join(left, right)
    if symbol == "and" and isinstance(left, SymbolicCondition) and right == Known(True):
        return left
    _refuse(body, symbol, left, right, place)
    return POISON


def _name_hint(body: Body, value: Val) -> Hint | None:
    """How a value beside `none` was written; a tensor goes by the parameter that it is."""
    if isinstance(value, Known):
        return value.hint
    name = next((n for n, v in body.names[0].items() if v is value), None)
    return HintName(name) if isinstance(value, Tensor) and name is not None else None


def _join(left: SymbolicCondition | Known, right: SymbolicCondition) -> Val:
    if isinstance(left, Known):
        return right
    return SymbolicCondition((*left.relations, *right.relations), f"{left.text} and {right.text}")


def _apply_known(body: Body, symbol: str, left: Known, right: Known, place: _Place) -> Val:
    try:
        if symbol in _COMPARISONS:
            return compare(symbol, left, right)
        if symbol in ("and", "or", "@"):
            raise WrongOperands
        return keep(body, calculate(symbol, left, right), place.operator)
    except ArithmeticFault as fault:
        rounding = symbol == "/" and "whole" in str(fault)
        body.report(no_result(place.whole, str(fault), rounding=rounding))
    except WrongOperands:
        _refuse(body, symbol, left, right, place)
    return POISON


def _apply_tensors(
    body: Body, symbol: str, left: Val, right: Val, place: _Place, want: ExpectedUse
) -> Val:
    for value, span in ((left, place.left), (right, place.right)):
        if is_layer(value):
            body.report(layer_for_tensor(ArgumentValue(value, span)))
            return POISON
        if not isinstance(value, Tensor | Known) or _is_text(value):
            _refuse(body, symbol, left, right, place)
            return POISON
    cls = _operator_ops()[symbol]
    names = [operand.name for operand in cls.operands]
    given = {names[0]: ArgumentValue(left, place.left), names[1]: ArgumentValue(right, place.right)}
    layer = OpLayer(cls, {}, place.operator, body.frame)
    return apply_op(body, layer, given, Application(place.operator, names=want.names))


@cache
def _operator_ops() -> Mapping[str, type[Op]]:
    """The op that each operator stands for where a tensor is involved."""
    return {cls.operator: cls for cls in load_ops().classes() if cls.operator}


def _is_text(value: Val) -> bool:
    return isinstance(value, Known) and isinstance(value.value, str | None)


def _combine_lists(symbol: str, left: Val, right: Val) -> Val | None:
    if isinstance(left, DTypeValue) and isinstance(right, DTypeValue) and symbol in ("==", "!="):
        return Known((left.dtype is right.dtype) == (symbol == "=="))
    lefts, rights = _list_items(left), _list_items(right)
    if lefts is None or rights is None:
        return None
    if symbol == "+":
        written = mark_names(*_list_hints(left, lefts), *_list_hints(right, rights))
        return ListValue((*lefts, *rights), hint=written if written.arguments else None)
    if symbol in ("==", "!="):
        same = len(lefts) == len(rights) and all(
            isinstance(a, Known) and isinstance(b, Known) and a.value == b.value
            for a, b in zip(lefts, rights, strict=True)
        )
        return Known(same if symbol == "==" else not same)
    return None


def _list_hints(value: Val, items: Iterable[Val]) -> Iterator[Hint]:
    """How a list was written, or else its items."""
    whole = find_hint(value)
    hints = (find_hint(item) for item in items) if whole is None else (whole,)
    return (hint for hint in hints if hint is not None)


def _list_items(value: Val) -> tuple[Val, ...] | None:
    if isinstance(value, ListValue | Range):
        items = plain_items(value)
        return tuple(items) if items is not None else None
    return None


def _contains(body: Body, symbol: str, left: Val, right: Val, place: _Place) -> Val:
    match left, right:
        case Known(str() as part), Known(str() as text):
            return Known((part in text) == (symbol == "in"))
    items = plain_items(right)
    body.session.spend(len(items or ()), place.operator)
    if isinstance(left, Tensor) and items and all(isinstance(i, Known) for i in items):
        return _match_any(body, symbol, left, items, place)
    if items is None or not isinstance(left, Known | DTypeValue):
        _refuse(body, symbol, left, right, place)
        return POISON
    if isinstance(left, DTypeValue):
        found = any(isinstance(i, DTypeValue) and i.dtype is left.dtype for i in items)
    else:
        found = any(isinstance(i, Known) and i.value == left.value for i in items)
    return Known(found == (symbol == "in"))


def _match_any(body: Body, symbol: str, left: Tensor, items: Sequence[Val], place: _Place) -> Val:
    """`kind in ["a", "b"]`, element by element: one equality after the other."""
    want = ExpectedUse()
    single, join = ("==", "or") if symbol == "in" else ("!=", "and")
    found: Val | None = None
    for item in items:
        same = combine(body, single, left, item, place, want)
        found = same if found is None else combine(body, join, found, same, place, want)
        if isinstance(found, Poison):
            return POISON
    assert found is not None, "there are items"
    return found


def _range(body: Body, left: Val, right: Val, place: _Place) -> Val:
    ends = []
    for value, span in ((left, place.left), (right, place.right)):
        end = whole(value) if isinstance(value, Known) else None
        if end is None:
            if isinstance(value, Tensor):
                what = unknown_when_compiling(span, "the end of a range", describe(value))
                body.report(what)
            else:
                body.report(not_whole(span, "the end of a range", describe(value)))
            return POISON
        ends.append(end)
    hints = [find_hint(v) for v in (left, right)]
    known = tuple(whole_hint(h) for h in hints if h is not None)
    shown = known[1:] if known[:1] == (HintConst(0),) else known
    hint = HintCall("range", shown) if len(known) == len(hints) else None
    return Range(ends[0], ends[1], hint=hint)


def _whole_count(value: Val) -> Hint | None:
    """How a number of copies was written."""
    hint = find_readable(find_hint(value))
    return None if hint is None else whole_hint(hint)


def _repeat(body: Body, expression: Binary, left: Val, right: Val) -> Val:
    """`n * layer`."""
    count = whole(left) if isinstance(left, Known) else None
    span = expression.left.span
    if isinstance(left, Tensor):
        body.report(layer_for_tensor(ArgumentValue(right, expression.right.span)))
        return POISON
    if not isinstance(count, int):
        what = "the number of copies"
        if count is not None:
            body.report(unknown_when_compiling(span, what, describe(left)))
        else:
            body.report(not_whole(span, what, describe(left)))
        return POISON
    if count < 1:
        body.report(copies_negative(span, count))
        return POISON
    body.session.spend(count, span)
    copies = Repeat(count, right, expression.span, _whole_count(left))  # type: ignore[arg-type]
    return keep(body, copies, expression.span)


def evaluate_unary(body: Body, expression: Unary, want: ExpectedUse) -> Val:
    """The value of `-x`, `+x` or `not x`."""
    value = body.evaluate(expression.operand)
    symbol = expression.operator
    if isinstance(value, Poison):
        return POISON
    if symbol == "not":
        return _negate(body, expression, value, want)
    if isinstance(value, Tensor):
        return value if symbol == "+" else _apply_one(body, "neg", value, expression, want)
    if isinstance(value, Known) and value.is_number:
        return value if symbol == "+" else negative(value)
    if is_layer(value):
        body.report(layer_for_tensor(ArgumentValue(value, expression.operand.span)))
        return POISON
    label = Label(expression.operand.span, f"this is {describe(value)}")
    body.report(wrong_operand(expression.span, symbol, (label,)))
    return POISON


def _negate(body: Body, expression: Unary, value: Val, want: ExpectedUse) -> Val:
    if isinstance(value, Tensor):
        return _apply_one(body, "logical_not", value, expression, want)
    if isinstance(value, SymbolicCondition) and len(value.relations) == 1:
        left, relation, right = value.relations[0]
        if relation in ("==", "!="):
            opposite = "!=" if relation == "==" else "=="
            return SymbolicCondition(((left, opposite, right),), f"not {value.text}")
        return SymbolicCondition(((right + 1, "<=", left),), f"not {value.text}")
    decided = decide(body, value, expression.operand.span)
    if decided is None:
        return POISON
    hint = value.hint if isinstance(value, Known) else None
    return Known(not decided, None if hint is None else HintUnary("not", hint))


def _apply_one(body: Body, name: str, value: Tensor, expression: Unary, want: ExpectedUse) -> Val:
    cls = OPS.get(name)
    assert cls is not None, f"no op {name}"
    span = Span(expression.span.source, expression.span.start, expression.operand.span.start)
    given = {cls.operands[0].name: ArgumentValue(value, expression.operand.span)}
    layer = OpLayer(cls, {}, span, body.frame)
    return apply_op(body, layer, given, Application(span, names=want.names))


_OPERATOR_HELP = {
    "@": "`@` is the matrix product of tensors",
    "and": "`and` joins booleans",
    "or": "`or` joins booleans",
    "..": "a range has whole numbers at its ends",
}


def _refuse(body: Body, symbol: str, left: Val, right: Val, place: _Place) -> None:
    operands = (
        Label(place.left, f"this is {describe(left)}"),
        Label(place.right, f"this is {describe(right)}"),
    )
    body.report(wrong_operand(place.operator, symbol, operands, _OPERATOR_HELP.get(symbol)))
