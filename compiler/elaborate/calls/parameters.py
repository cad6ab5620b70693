"""Parameters of a block or model: arguments checked and converted, sizes bound, defaults
computed."""

from __future__ import annotations

from collections.abc import Mapping

from compiler.elaborate.calls.initial import evaluate_initializer
from compiler.elaborate.calls.primitives import layer_for_tensor, make_constant
from compiler.elaborate.calls.signatures import BlockSignature, ParameterSpec
from compiler.elaborate.scopes.context import Body
from compiler.elaborate.shapes.types import Subject, TensorPattern, bind_sizes, check_tensor
from compiler.elaborate.values.arithmetic import whole
from compiler.elaborate.values.describing import describe
from compiler.elaborate.values.parts import find_hint, is_layer, is_none, plain_items, strip_hints
from compiler.elaborate.values.values import (
    POISON,
    ArgumentValue,
    InitialValue,
    Known,
    ListValue,
    OpLayer,
    Poison,
    Range,
    Record,
    Tensor,
    Val,
)
from compiler.ir.hint import HintName, hint_names
from compiler.ops.registry import OPS
from compiler.report.messages.arguments import wrong_argument
from compiler.report.messages.shapes import not_a_tensor
from compiler.report.suggestions import did_you_mean
from compiler.text.tree.syntax import Expr, Item, Name
from compiler.types.tensor import DType, TensorType
from compiler.types.units import NOT_PLAIN
from compiler.vocabulary.initializers.given import Constant


def bind_parameters(
    caller: Body,
    body: Body,
    item: Item,
    signature: BlockSignature,
    given: Mapping[str, ArgumentValue],
) -> bool:
    """Gives every parameter of an item its value in `body`: tensors bind the sizes in their
    types first, then the others in order, with defaults that may use sizes and earlier
    parameters; last, every tensor is checked against its type. False where one was refused."""
    binder = _Binder(caller, body, item, signature, given)
    binder.bind_tensors()
    binder.bind_values()
    binder.check_tensors()
    return binder.accepted


class _Binder:
    """Binds the parameters of one call."""

    def __init__(
        self,
        caller: Body,
        body: Body,
        item: Item,
        signature: BlockSignature,
        given: Mapping[str, ArgumentValue],
    ) -> None:
        self.caller = caller
        self.body = body
        self.item = item
        self.parameters = signature.parameters
        self.given = given
        self.tensors: list[tuple[TensorPattern, Tensor, Subject]] = []
        self.accepted = True

    def bind_tensors(self) -> None:
        """Tensors in order; names in their types become sizes."""
        reserved = {p.name for p in self.parameters}
        for spec in self.parameters:
            item = self.given.get(spec.name)
            if item is None or not spec.is_tensor:
                continue
            value = self.convert_tensor(spec, item)
            self.body.names[0][spec.name] = value
            if isinstance(value, Tensor) and isinstance(spec.kind, TensorPattern):
                text = f"argument `{spec.name}` of `{self.item.name.text}`"
                subject = Subject(text, item.span, spec.name)
                bind_sizes(self.body, spec.kind, value, subject, reserved)
                self.tensors.append((spec.kind, value, subject))

    def convert_tensor(self, spec: ParameterSpec, item: ArgumentValue) -> Val:
        """An argument of a tensor parameter: a tensor, `none` where that is allowed, or a number
        for a single element."""
        value, kind = item.value, spec.kind
        if isinstance(value, Record) and len(value.items) == 1:
            value = value.values[0]
        if isinstance(value, Tensor | Poison):
            return value
        if is_none(value) and spec.syntax.default is not None:
            return Known(None, HintName(spec.name))
        match kind, value:
            case TensorPattern(DType() as dtype, ()), Known() if value.is_number:
                if self.caller.home is not None:
                    return make_constant(self.caller, value, [TensorType(dtype, ())], item)
        self.accepted = False
        if is_layer(value):
            self.body.report(layer_for_tensor(item))
        else:
            subject = f"argument `{spec.name}` of `{self.item.name.text}`"
            declared = kind.text if isinstance(kind, TensorPattern) else "a tensor"
            self.body.report(not_a_tensor(item.span, subject, declared, describe(value)))
        return POISON

    def bind_values(self) -> None:
        """Everything else in order, and the defaults of all."""
        for spec in self.parameters:
            item = self.given.get(spec.name)
            if item is not None and spec.is_tensor:
                continue
            if item is None:
                default = self.default_of(spec)
                if default is None:
                    self.body.names[0][spec.name] = POISON
                    continue
                item = ArgumentValue(self.evaluate_default(spec, default), default.span)
                hint = find_hint(item.value)
                if hint is not None and any(True for _ in hint_names(hint)):
                    self.body.defaults[spec.name] = hint
            value = self.convert_value(spec, item)
            self.body.names[0][spec.name] = value
            self.accepted = self.accepted and not isinstance(value, Poison)
        for spec in self.parameters:
            if spec.name not in self.given and isinstance(spec.kind, TensorPattern):
                self.note_unbound(spec, spec.kind)

    def evaluate_default(self, spec: ParameterSpec, default: Expr) -> Val:
        """A default as a value: that of a parameter for initializers is one."""
        if spec.kind == "initializer":
            return evaluate_initializer(self.body, default)
        return self.body.evaluate(default)

    def default_of(self, spec: ParameterSpec) -> Expr | None:
        """The default of a parameter, or what the command line put in its place."""
        key = (self.item.name.text, spec.name)
        return self.body.session.overrides.get(key, spec.syntax.default)

    def note_unbound(self, spec: ParameterSpec, kind: TensorPattern) -> None:
        """Remembers sizes that have no value because their argument was left out."""
        for dim in kind.dims or ():
            if isinstance(dim, Name) and dim.text not in self.body.names[0]:
                self.body.unbound.setdefault(dim.text, spec.syntax.name)

    def convert_value(self, spec: ParameterSpec, item: ArgumentValue) -> Val:
        """An argument of a parameter that is known when compiling, under the parameter's name."""
        value = item.value
        if isinstance(value, Poison) or isinstance(spec.kind, Poison):
            return POISON
        optional = is_none(value) and spec.syntax.default is not None
        if spec.is_tensor or spec.kind is None or (optional and is_none_default(spec)):
            return rename_value(value, spec.name)
        assert isinstance(spec.kind, str)
        converted = convert_known(value, spec.kind)
        if converted is None:
            self.refuse(spec, item)
            return POISON
        return rename_value(converted, spec.name)

    def refuse(self, spec: ParameterSpec, item: ArgumentValue) -> None:
        """Reports an argument of the wrong kind."""
        assert isinstance(spec.kind, str)
        value, suggestion = item.value, None
        if spec.kind == "layer" and isinstance(value, Known) and isinstance(value.value, str):
            near = did_you_mean(value.value, OPS.names())
            suggestion = f"`{near}`, without quotes" if near is not None else None
        self.body.report(
            wrong_argument(
                item.span,
                self.item.name.text,
                spec.name,
                _EXPECTED[spec.kind],
                describe(value),
                suggestion,
                spec.syntax.span,
            )
        )

    def check_tensors(self) -> None:
        """Every tensor against its type."""
        for kind, tensor, subject in self.tensors:
            self.accepted = check_tensor(self.body, kind, tensor, subject) and self.accepted


_EXPECTED = {
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "str": "a string",
    "list": "a list",
    "layer": "a layer",
    "initializer": "an initializer such as `kaiming_normal()`, or a number",
}


def is_none_default(spec: ParameterSpec) -> bool:
    """Whether a parameter may be left out with the meaning of `none`."""
    return spec.syntax.default is not None and spec.syntax.default.span.text.strip() == "none"


def convert_known(value: Val, kind: str) -> Val | None:
    """A value as one of a type of known values; None where it is none."""
    if isinstance(value, Known) and value.unit in NOT_PLAIN:
        return None
    match kind, value:
        case "initializer", InitialValue(initializer):
            return InitialValue(initializer)
        case "initializer", Known(int() | float() as start) if value.is_number:
            return InitialValue(Constant(float(start)))
        case "layer", _:
            return value if is_layer(value) else None
        case "list", ListValue() | Range() | Record():
            items = plain_items(value)
            if items is None:
                return None
            source = value.source if isinstance(value, ListValue) else None
            return ListValue(tuple(items), hint=find_hint(value), source=source)
        case "int", Known():
            size = whole(value)
            return Known(size, value.hint) if size is not None else None
        case "float", Known() if value.is_number:
            number = value.value
            return Known(float(number), value.hint) if isinstance(number, int) else value
        case "bool", Known(bool()):
            return value
        case "str", Known(str()):
            return value
    return None


def rename_value(value: Val, name: str) -> Val:
    """A value as the parameter that carries it: code that is generated from it says its name."""
    match value:
        case Known(scalar):
            return Known(scalar, HintName(name))
        case ListValue(items):
            plain = tuple(map(strip_hints, items))
            tensors = any(isinstance(item, Tensor) for item in items)
            return ListValue(plain, hint=None if tensors else HintName(name), source=value.source)
        case OpLayer():
            return value
    return value
