"""Statements of bodies, in order: bindings, clauses, compile-time `if` and `for`, `return`."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from compiler.elaborate.bodies.code_clauses import check_declared
from compiler.elaborate.bodies.scanning import run_scan
from compiler.elaborate.calls.frames import is_plain, scalars
from compiler.elaborate.calls.modes import (
    evaluate_condition,
    evaluate_whole,
    go_on,
    join_versions,
    put_state,
    run_version,
    take_state,
)
from compiler.elaborate.calls.parameters import convert_known
from compiler.elaborate.calls.results import take_return
from compiler.elaborate.evaluate.conditions import decide, iterate
from compiler.elaborate.evaluate.unpacking import bind_items, note_name, unpack
from compiler.elaborate.scopes.application import ExpectedUse
from compiler.elaborate.scopes.context import Body, find_guard, join_guards
from compiler.elaborate.scopes.later import names_pass
from compiler.elaborate.scopes.modes import asks_mode
from compiler.elaborate.shapes.types import read_type
from compiler.elaborate.values.arithmetic import replace_hint
from compiler.elaborate.values.describing import describe
from compiler.elaborate.values.parts import find_hint
from compiler.elaborate.values.values import POISON, Known, ListValue, Poison, Tensor, Val
from compiler.ir.frame import Turn, TurnName
from compiler.ir.hint import (
    Hint,
    HintBinary,
    HintCall,
    HintConst,
    HintName,
    find_readable,
    hint_atoms,
    outer_names,
)
from compiler.ops.registry import OPS
from compiler.report.messages.names import clause_word_bound, not_available, unknown_clause
from compiler.report.messages.scans import inside_scan
from compiler.report.messages.shapes import not_a_tensor
from compiler.report.messages.sweeps import choice_outside
from compiler.report.messages.syntax_symbols import pass_without_apply
from compiler.report.messages.values import size_too_large
from compiler.report.suggestions import did_you_mean
from compiler.text.tree.syntax import (
    Binding,
    Choice,
    Clause,
    Declare,
    For,
    If,
    Name,
    Return,
    Scan,
    Statement,
    Unpack,
)
from compiler.types.dims import DimTooLarge
from compiler.vocabulary.clauses import find_homes, find_later


def execute(body: Body, statements: Sequence[Statement]) -> None:
    """Runs statements in order, up to a `return`; one that returns under a condition puts what
    follows it under the opposite."""
    for place, statement in enumerate(statements):
        if body.result is not None:
            return
        body.session.spend(1, statement.span)
        try:
            match statement:
                case Binding():
                    _run_binding(body, statement)
                case Unpack():
                    _run_unpack(body, statement)
                case Clause():
                    _run_clause(body, statement)
                case If():
                    _run_if(body, statement, statements[place + 1 :])
                case For():
                    _run_for(body, statement)
                case Scan():
                    run_scan(body, statement)
                case Return():
                    _run_return(body, statement)
                case Choice():
                    _run_choice(body, statement)
        except DimTooLarge as error:
            body.report(size_too_large(statement.span, str(error)))


# --- bindings ---------------------------------------------------------------------------------


def _run_binding(body: Body, statement: Binding) -> None:
    name = statement.name
    if name.text in body.clauses.handlers:
        _refuse_clause_word(body, name, statement.value.span.text)
    value = evaluate_whole(body, statement.value, ExpectedUse((name.text,)))
    value = check_binding(body, statement, value)
    body.bind(name.text, value)
    note_name(body, name.text, value)


def _refuse_clause_word(body: Body, name: Name, value: str) -> None:
    written = body.clauses.forms.get(name.text) or " ".join(f"{name.text} {value}".split())
    if len(written) > 60:
        written = f"{name.text} …"
    body.report(clause_word_bound(name.span, name.text, body.clauses.place, written))


def check_binding(body: Body, statement: Binding, value: Val) -> Val:
    """The value, checked against the type in `name: type = value`; poison where it differs."""
    if statement.type is None:
        return value
    kind = read_type(body.report, statement.type)
    if isinstance(kind, Poison) or isinstance(value, Poison):
        return POISON
    subject = f"`{statement.name.text}`"
    if not isinstance(kind, str):
        declare = Declare(statement.span, statement.name, statement.type, statement.value)
        if not isinstance(value, Tensor):
            body.report(not_a_tensor(statement.value.span, subject, kind.text, describe(value)))
            return POISON
        return check_declared(body, declare, value, subject)
    converted = convert_known(value, kind)
    if converted is None:
        body.report(not_a_tensor(statement.value.span, subject, kind, describe(value)))
        return POISON
    return converted


def _run_unpack(body: Body, statement: Unpack) -> None:
    names = statement.names
    value = evaluate_whole(body, statement.value, ExpectedUse(tuple(n.text for n in names)))
    unpack(body, names, value, statement.value.span)


# --- clauses ----------------------------------------------------------------------------------


def _run_clause(body: Body, statement: Clause) -> None:
    word = statement.word
    handler = body.clauses.handlers.get(word.text)
    if handler is not None:
        handler(body, statement)
        return
    later = find_later(word.text)
    if later is not None:
        body.report(not_available(word.span, word.text, later))
        return
    if body.clauses.place == "a variant" and names_pass(word.text):
        body.report(pass_without_apply(word.span, word.text))
        return
    known = tuple(body.clauses.handlers)
    homes = tuple(home.place for home in find_homes(word.text))
    suggestion = did_you_mean(word.text, known) if not homes else None
    form = body.clauses.forms.get(suggestion) if suggestion is not None else None
    is_op = not homes and OPS.get(word.text) is not None
    place = body.clauses.place
    body.report(unknown_clause(word.span, word.text, place, known, suggestion, form, is_op, homes))
    if suggestion is not None:
        body.bind(suggestion, POISON)  # that the clause is missing is said with this
    if word.text == "output" and place == "a block" and body.result is None:
        body.result = POISON  # a block says it with `return`; that is in the help
    for operand in statement.operands:
        if isinstance(operand.value, Declare):
            body.bind(operand.value.name.text, POISON)
        elif operand.name is not None:
            body.bind(operand.name.text, POISON)


def _run_choice(body: Body, statement: Choice) -> None:
    name = statement.name
    body.report(choice_outside(name.span, name.text, body.clauses.place))


# --- control ----------------------------------------------------------------------------------


def _run_if(body: Body, statement: If, rest: Sequence[Statement] = ()) -> None:
    """An `if`; `rest` is what follows it."""
    if not asks_mode(body, statement.condition):
        _run_branch(body, statement, body.evaluate(statement.condition))
        return
    condition = evaluate_condition(body, statement.condition)
    if condition is None:
        _run_versions(body, statement, rest)
    else:
        _run_branch(body, statement, condition)


def _run_branch(body: Body, statement: If, condition: Val) -> None:
    decided = decide(body, condition, statement.condition.span)
    if decided is None:
        for name in _bound_names((*statement.then, *(statement.otherwise or ()))):
            body.bind(name, POISON)
        return
    assert isinstance(condition, Known)
    guard = find_guard(condition) if body.mode is None else None
    branch = statement.then if decided else statement.otherwise or ()
    if body.mode is None or (condition.hint is not None and any(hint_atoms(condition.hint))):
        body.note_decision(statement.span, condition.hint, outcome=decided)
    returned = body.result is not None
    with body.guarded(guard):
        body.execute(branch)
    other = statement.otherwise if decided else statement.then
    if not returned and body.result is None and _may_return(other or ()):
        body.guard = join_guards(body.guard, guard)


def _run_versions(body: Body, statement: If, rest: Sequence[Statement]) -> None:
    """Both versions of an `if`; `rest` belongs to the one that does not return in it where the
    other does."""
    before = take_state(body)
    run = partial(_run_if, body, statement)
    training = run_version(body, run, mode=True)
    put_state(body, before)
    evaluation = run_version(body, run, mode=False)
    if training.state.result is None and evaluation.state.result is not None:
        training = go_on(body, training, partial(body.execute, rest))
    elif evaluation.state.result is None and training.state.result is not None:
        evaluation = go_on(body, evaluation, partial(body.execute, rest))
    put_state(body, before)
    join_versions(body, before, training, evaluation, statement.condition.span)


def _may_return(statements: Sequence[Statement]) -> bool:
    return any(isinstance(s, Return) for s in statements)


def _bound_names(statements: Sequence[Statement]) -> list[str]:
    """Names that statements bind, for branches that could not be chosen."""
    names = []
    for statement in statements:
        match statement:
            case Binding(name=name):
                names.append(name.text)
            case Unpack(names=several):
                names += [n.text for n in several]
            case If(then=then, otherwise=otherwise):
                names += _bound_names((*then, *(otherwise or ())))
            case For(body=inner) | Scan(body=inner):
                names += _bound_names(inner)
    return names


def _run_for(body: Body, statement: For) -> None:
    iterable = body.evaluate(statement.iterable)
    items = iterate(body, iterable, statement.iterable.span)
    if items is None:
        for name in (*(n.text for n in statement.names), *_bound_names(statement.body)):
            body.bind(name, POISON)
        return
    hint = find_hint(iterable)
    over = find_readable(hint)
    if hint is not None and (over is None or outer_names(over)):
        body.note_decision(statement.span, hint, outcome=True)
    if not items and over is not None:
        body.note_decision(statement.span, _ask_for_turns(over), outcome=False)
    for number, item in enumerate(items):
        bind_items(body, statement.names, item, statement.iterable.span)
        bound = tuple(_rename_bound(body, name.text) for name in statement.names)
        turn = Turn(statement.span, number, tuple(b for b in bound if b is not None), over)
        with body.turning(turn):
            body.execute(statement.body)
        if body.result is not None:
            return


def _ask_for_turns(over: Hint) -> Hint:
    """Whether a loop has any turns."""
    match over:
        case HintCall("range", (stop,)):
            return HintBinary(">", stop, HintConst(0))
        case HintCall("range", (start, stop)):
            return HintBinary(">", stop, start)
        case HintCall("enumerate" | "reversed", (items,)):
            return _ask_for_turns(items)
    return HintBinary(">", HintCall("len", (over,)), HintConst(0))


def _rename_bound(body: Body, name: str) -> TurnName | None:
    """A name of a `for` in one turn: from here on, what it holds is written as the name."""
    value = body.names[-1].get(name)
    hint = find_hint(value) if value is not None else None
    plain = scalars(value) if isinstance(value, Known | ListValue) else None
    if value is None or not is_plain(plain) or body.loop is not None:
        return None
    body.bind(name, replace_hint(value, HintName(name)))
    return TurnName(name, plain, hint)


def _run_return(body: Body, statement: Return) -> None:
    if body.loop is not None:
        body.report(inside_scan(statement.span, "return"))
        return
    body.result = take_return(body, statement)
