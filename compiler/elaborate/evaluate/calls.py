"""Calls: what is called, with which arguments, and whether it still waits for tensors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from compiler.elaborate.calls.binding import Actual, Match, match_call
from compiler.elaborate.calls.blocks import apply_block
from compiler.elaborate.calls.described import build_described
from compiler.elaborate.calls.initial import evaluate_initializer
from compiler.elaborate.calls.loading import call_load
from compiler.elaborate.calls.net_functions import call_net_function, is_net_function
from compiler.elaborate.calls.nets import apply_net
from compiler.elaborate.calls.primitives import apply_op
from compiler.elaborate.calls.signatures import given_of, sign, takes_initializer
from compiler.elaborate.evaluate.extremes import find_extreme, take_extreme
from compiler.elaborate.evaluate.lengths import measure_list
from compiler.elaborate.evaluate.literals import make_tensor, sum_tensors
from compiler.elaborate.evaluate.pipes import callee_span
from compiler.elaborate.scopes.application import Application, ExpectedUse
from compiler.elaborate.scopes.context import Body
from compiler.elaborate.scopes.lookup import find_train, look_up, stand_for
from compiler.elaborate.scopes.moments import has_time, make_number
from compiler.elaborate.scopes.resolve import find_entry
from compiler.elaborate.scopes.sizes import keep, size_of
from compiler.elaborate.values.arithmetic import (
    ArithmeticFault,
    WrongOperands,
    note_call,
    replace_hint,
)
from compiler.elaborate.values.describing import describe, describe_layer
from compiler.elaborate.values.functions import FUNCTIONS, Refusal, refused_value, takes_known
from compiler.elaborate.values.parts import holds_tensor, is_layer
from compiler.elaborate.values.values import (
    POISON,
    ArgumentValue,
    BlockLayer,
    Function,
    FunctionLayer,
    ItemValue,
    Layer,
    ListValue,
    Loaded,
    LoadFunction,
    NetValue,
    OpLayer,
    Poison,
    Val,
)
from compiler.ops.fused.moments import Ramped
from compiler.report.messages.arguments import not_callable, unknown_argument
from compiler.report.messages.functions import function_refuses, wrong_count
from compiler.report.messages.nets import only_on_nets
from compiler.report.messages.values import no_result
from compiler.report.source import Span
from compiler.text.tree.syntax import Argument, Call, Expr, Group, Name
from compiler.vocabulary.net_functions import LOAD
from compiler.vocabulary.ramps import RAMPS


def evaluate_call(body: Body, expression: Call, want: ExpectedUse) -> Val:
    """The value of `function(arguments)`."""
    function = expression.function
    while isinstance(function, Group):
        function = function.inner
    word = _built_in_word(body, function)
    train = find_train(body, function)
    if train is not None:
        return _call_train(body, train, expression, want)
    ramp = RAMPS.get(word)
    if ramp is not None and has_time(body):
        made = build_described(body, expression, ramp)
        span = callee_span(function)
        return POISON if made is None else make_number(body, Ramped.of(made), span, want.names)
    callee: Val = POISON
    if word not in (LOAD, TENSOR) and not is_net_function(word):
        callee = (
            look_up(body, function, applied=True)
            if isinstance(function, Name)
            else body.evaluate(function, ExpectedUse(supplied=1))
        )
    span = callee_span(function)
    if is_net_function(word):
        return call_net_function(body, expression, word, span)
    actuals = read_arguments(body, expression, callee)
    if word == LOAD:
        return call_load(body, actuals, span)
    if word == TENSOR:
        return make_tensor(body, actuals, span, want.names)
    if isinstance(callee, Poison):
        return POISON
    if not is_layer(callee):
        body.report(not_callable(function.span, describe(callee)))
        return POISON
    if word in FUNCTIONS:
        result = _call_numbers(body, word, callee, actuals, span, want)
        if result is not None:
            return result
    application = Application(span, want.label, want.names)
    return call_layer(body, callee, actuals, application, want)  # type: ignore[arg-type]


def _call_train(body: Body, train: ItemValue, expression: Call, want: ExpectedUse) -> Val:
    """`member(k=0)`, the net of a train with other parameters than its defaults, or `fit(x)`, the
    net applied: parameters are known when compiling, and what a net takes is not."""
    actuals, span = read_arguments(body, expression, train), callee_span(expression.function)
    values = [actual.value for actual in actuals]
    if any(isinstance(value, Poison) for value in values):
        return POISON
    if not any(map(holds_tensor, values)):
        return stand_for(body, train, span, actuals)
    net = stand_for(body, train, span)
    if isinstance(net, Poison):
        return POISON
    if not is_layer(net):
        body.report(not_callable(expression.function.span, describe(net)))
        return POISON
    application = Application(span, want.label, want.names)
    return call_layer(body, net, actuals, application, want)  # type: ignore[arg-type]


TENSOR = "tensor"
"""The word that makes a tensor of a list."""


def _built_in_word(body: Body, function: Expr) -> str:
    """The word that is called, where it is a built-in one: the body and the file give it no
    meaning of their own."""
    if not isinstance(function, Name):
        return ""
    word = function.text
    if any(word in layer and is_layer(layer[word]) for layer in body.names):
        return ""
    return word if find_entry(body.file, word, function.span) is None else ""


def _call_numbers(
    body: Body, word: str, callee: Val, actuals: Sequence[Actual], span: Span, want: ExpectedUse
) -> Val | None:
    """A function on known values, where the arguments are such; None where an op of the same
    name is meant."""
    function = FUNCTIONS[word]
    positional = [ArgumentValue(a.value, a.span) for a in actuals]
    named = next((a.name for a in actuals if a.name is not None), None)
    shared = isinstance(callee, OpLayer)
    if named is not None:
        if shared:
            return None
        body.report(
            unknown_argument(named.span, function.name, named.text, (), None, by_position=True)
        )
        return POISON
    if word == "sum" and len(positional) == 1:
        total = sum_tensors(body, positional[0], span, want.names)
        if total is not None:
            return total
    extreme = find_extreme(word)
    if extreme is not None:
        larger = take_extreme(body, extreme, positional, span, want.names)
        if larger is not None:
            return larger
    if shared and not takes_known(positional):
        return None
    return call_function(body, function, positional, span)


def read_arguments(body: Body, expression: Call, callee: Val) -> list[Actual]:
    """The arguments with their values, in order."""
    return [
        Actual(argument.name, _read_argument(body, argument, callee), argument.value.span)
        for argument in expression.arguments
    ]


def _read_argument(body: Body, argument: Argument, callee: Val) -> Val:
    """The value of an argument: where weights of the callee start as it says, an initializer."""
    name = argument.name.text if argument.name is not None else ""
    if name and is_layer(callee) and takes_initializer(callee, name):  # type: ignore[arg-type]
        return evaluate_initializer(body, argument.value)
    return body.evaluate(argument.value)


def call_function(
    body: Body, function: Function, arguments: Sequence[ArgumentValue], span: Span
) -> Val:
    """The result of a function on known values."""
    if any(isinstance(a.value, Poison) for a in arguments):
        return POISON
    count = len(arguments)
    if count < function.least or (function.most is not None and count > function.most):
        body.report(wrong_count(span, function.name, function.expects, count))
        return POISON
    body.session.spend(count + sum(_items_of(a.value) for a in arguments), span)
    try:
        made = function.call([a.value for a in arguments])
        return keep(body, _note_hint(body, function, made, arguments), span)
    except Refusal as refusal:
        place = arguments[refusal.index].span
        found = refused_value(arguments, refusal)
        body.report(function_refuses(place, function.name, refusal.takes, found))
    except ArithmeticFault as fault:
        body.report(no_result(span, str(fault)))
    except WrongOperands:
        found = describe(arguments[0].value)
        body.report(function_refuses(arguments[0].span, function.name, "numbers", found))
    return POISON


def _note_hint(
    body: Body, function: Function, made: Val, arguments: Sequence[ArgumentValue]
) -> Val:
    """The result of a function with how it was written."""
    if function is FUNCTIONS["len"] and isinstance(arguments[0].value, ListValue):
        length = measure_list(body, arguments[0].value)
        if length is not None:
            return replace_hint(made, length)
    return note_call(function.name, made, arguments)


def _items_of(value: Val) -> int:
    """How many items a function goes through."""
    return len(value.items) if isinstance(value, ListValue) else size_of(value)


# --- calls of layers --------------------------------------------------------------------------


def call_layer(
    body: Body, layer: Layer, actuals: Sequence[Actual], application: Application, want: ExpectedUse
) -> Val:
    """A layer with arguments: applied where it has all its tensors, waiting where it has not."""
    if isinstance(layer, FunctionLayer):
        return call_function(
            body,
            layer.function,
            [ArgumentValue(a.value, a.span) for a in actuals],
            application.span,
        )
    signature = sign(layer)
    if signature is None:
        return _call_sequence(body, layer, actuals, application)
    before = given_of(layer)
    if before:
        kept = tuple(f for f in signature.formals if f.name not in before)
        signature = replace(signature, formals=kept)
    match = match_call(signature, actuals, want.supplied)
    if not match.holds:
        if any(isinstance(a.value, Poison) for a in actuals):
            return POISON
        faults = match.find_faults(signature, application.span)
        for fault in faults:
            body.report(fault)
        if faults:  # else an argument is of another kind, which is told where it is taken
            return POISON
    given = {**before, **match.given}
    if _waits(match, want):
        return _with_given(body, layer, given, application.span)
    if not before and isinstance(layer, OpLayer | BlockLayer):
        layer = replace(layer, frame=body.frame)
    return apply_given(body, layer, given, application)


def _waits(match: Match, want: ExpectedUse) -> bool:
    """Whether tensors are left for `->` to bring."""
    if any(f.required for f in match.left_out):
        return True
    return bool(match.left_out) and want.supplied > 0


def _with_given(body: Body, layer: Layer, given: Mapping[str, ArgumentValue], span: Span) -> Val:
    """A layer with arguments that still waits for tensors."""
    match layer:
        case OpLayer(op):
            return OpLayer(op, given, span, body.frame)
        case BlockLayer(item, file):
            return BlockLayer(item, file, given, span, body.frame)
        case NetValue():
            waiting = [n for n in given if n not in given_of(layer)]
            if not waiting:
                return layer
    body.report(not_callable(span, f"{describe_layer(layer)}, which waits for tensors"))
    return POISON


def _call_sequence(
    body: Body, layer: Layer, actuals: Sequence[Actual], application: Application
) -> Val:
    """A sequence of layers, called with the tensors that its first stage takes."""
    named = next((a for a in actuals if a.name is not None), None)
    if named is not None:
        assert named.name is not None
        callee = describe_layer(layer)
        body.report(
            unknown_argument(named.name.span, callee, named.name.text, (), None, by_position=True)
        )
        return POISON
    if isinstance(layer, LoadFunction):
        body.report(only_on_nets(application.span, layer.name))
        return POISON
    if not actuals:
        return layer
    return body.apply(layer, [ArgumentValue(a.value, a.span) for a in actuals], application)


def apply_given(
    body: Body, layer: Layer, given: Mapping[str, ArgumentValue], application: Application
) -> Val:
    """The result of a layer that has everything it needs."""
    match layer:
        case OpLayer():
            return apply_op(body, layer, given, application)
        case BlockLayer():
            return apply_block(body, layer, given, application)
        case NetValue():
            return apply_net(body, layer, given, application)
        case Loaded():
            body.report(only_on_nets(layer.span, LoadFunction(layer.loads[-1], layer.span).name))
            return POISON
    raise AssertionError(f"{describe_layer(layer)} takes no arguments by name")
