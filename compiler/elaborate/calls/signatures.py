"""What can be given to ops, blocks, models and nets: their parameters as calls see them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from compiler.elaborate.calls.binding import Formal, Signature
from compiler.elaborate.scopes.context import FileScope, scope_of
from compiler.elaborate.scopes.tracing import find_untraced
from compiler.elaborate.shapes.types import TensorPattern, read_type
from compiler.elaborate.values.parts import is_none
from compiler.elaborate.values.values import (
    ArgumentValue,
    BlockLayer,
    Known,
    Layer,
    ListValue,
    Loaded,
    NetValue,
    OpLayer,
    Poison,
    Record,
    Tensor,
    Val,
)
from compiler.ir.graph import Op
from compiler.ir.operands import names_start
from compiler.records import dataclass
from compiler.report.diagnostics import Message
from compiler.report.messages.names import defined_twice
from compiler.report.source import Span
from compiler.text.tree.syntax import (
    Clause,
    Declare,
    For,
    If,
    Item,
    Model,
    Name,
    NoneLiteral,
    Parameter,
    Statement,
)
from compiler.vocabulary.signature import Operand


@dataclass(frozen=True)
class ParameterSpec:
    """A parameter of a block or model. `kind` is a tensor pattern, the name of a type of known
    values, None where it has no type, or poison where the type was refused."""

    syntax: Parameter
    kind: TensorPattern | str | Poison | None

    @property
    def name(self) -> str:
        """Its name."""
        return self.syntax.name.text

    @property
    def is_tensor(self) -> bool:
        """Whether it takes a tensor: by its type, or without type and default."""
        if self.kind is None:
            return self.syntax.default is None or isinstance(self.syntax.default, NoneLiteral)
        return isinstance(self.kind, TensorPattern)


@dataclass(frozen=True)
class InputSpec:
    """An `input` of a model, as it is declared."""

    name: Name
    declare: Declare
    pattern: TensorPattern | Poison


@dataclass(frozen=True)
class BlockSignature:
    """The inputs (of a model) and parameters of an item. `untraced` are parameters and
    named sizes that act where no hint follows."""

    inputs: tuple[InputSpec, ...]
    parameters: tuple[ParameterSpec, ...]
    untraced: Mapping[str, tuple[Span, ...]]

    @property
    def has_tensors(self) -> bool:
        """Whether tensors go in."""
        return bool(self.inputs) or any(p.is_tensor for p in self.parameters)


def read_signature(file: FileScope, item: Item) -> BlockSignature:
    """The signature of an item; its faults are reported once."""
    session = file.session
    known = session.signatures.get(id(item))
    if known is not None:
        signature: BlockSignature = known[1]
        return signature
    report = session.report
    seen: dict[str, Parameter] = {}
    parameters = []
    for parameter in item.parameters:
        name = parameter.name
        if name.text in seen:
            first = seen[name.text].name.span
            report(defined_twice(name.span, name.text, "parameter", first))
            continue
        seen[name.text] = parameter
        kind = read_type(report, parameter.type) if parameter.type is not None else None
        parameters.append(ParameterSpec(parameter, kind))
    inputs = tuple(_read_inputs(report, item.body)) if isinstance(item, Model) else ()
    signature = BlockSignature(inputs, tuple(parameters), find_untraced(item, file.has, file.find))
    session.signatures[id(item)] = (item, signature)
    return signature


def _read_inputs(
    report: Callable[[Message], None], statements: Sequence[Statement]
) -> Iterator[InputSpec]:
    """Every `input` in a body, those under conditions included."""
    for statement in statements:
        match statement:
            case Clause(word=word, operands=operands) if word.text == "input":
                for operand in operands:
                    if isinstance(operand.value, Declare):
                        pattern = read_type(report, operand.value.type)
                        if not isinstance(pattern, str):
                            yield InputSpec(operand.value.name, operand.value, pattern)
            case If(then=then, otherwise=otherwise):
                yield from _read_inputs(report, then)
                yield from _read_inputs(report, otherwise or ())
            case For(body=body):
                yield from _read_inputs(report, body)


# --- as calls see them ------------------------------------------------------------------------


def sign(layer: Layer) -> Signature | None:
    """The signature of something that takes arguments by name; None for sequences of layers."""
    match layer:
        case OpLayer(op):
            return _sign_op(op)
        case BlockLayer(item):
            return _sign_block(scope_of(layer), item)
        case NetValue(layer=inner) | Loaded(layer=inner):
            return sign(inner)
    return None


def given_of(layer: Layer) -> Mapping[str, ArgumentValue]:
    """The arguments that a layer has already."""
    match layer:
        case OpLayer(given=given) | BlockLayer(given=given):
            return given
        case NetValue(layer=inner) | Loaded(layer=inner):
            return given_of(inner)
    return {}


def takes_initializer(layer: Layer, argument: str) -> bool:
    """Whether an argument of a layer says how weights start: `init` of an op that has no option of
    that name, a parameter of a block that is declared so."""
    match layer:
        case OpLayer(op):
            return names_start(argument) and all(o.name != argument for o in op.options())
        case BlockLayer(item):
            parameters = read_signature(scope_of(layer), item).parameters
            return any(p.name == argument and p.kind == "initializer" for p in parameters)
        case NetValue(layer=inner) | Loaded(layer=inner):
            return takes_initializer(inner, argument)
    return False


def _sign_op(op: type[Op]) -> Signature:
    formals = [_op_formal(operand) for operand in op.operands]
    formals += [Formal(o.name, False, o.required, _is_no_tensor) for o in op.options()]
    names = {f.name for f in formals}
    return Signature(
        op.name,
        tuple(formals),
        None,
        lambda name, value: (
            name not in names
            and (name == "weight" or names_start(name) or isinstance(value, Tensor | Poison))
        ),
    )


def _op_formal(operand: Operand) -> Formal:
    def fits(value: Val) -> bool:
        if isinstance(value, Tensor | Poison) or (operand.number and admits(value)):
            return True
        if operand.variadic or _holds_poison(value):
            return _is_tensor_list(value)
        return operand.optional and is_none(value)

    def admits(value: Val) -> bool:
        return isinstance(value, Known) and value.is_number

    required = not operand.optional
    return Formal(operand.name, True, required, fits, admits, by_name=operand.named)


def _holds_poison(value: Val) -> bool:
    return isinstance(value, ListValue) and any(isinstance(i, Poison) for i in value.items)


def _is_tensor_list(value: Val) -> bool:
    items = value.items if isinstance(value, ListValue) else ()
    if isinstance(value, Record):
        items = value.values
    return bool(items) and any(isinstance(i, Tensor | Poison) for i in items)


def _sign_block(file: FileScope, item: Item) -> Signature:
    signature = read_signature(file, item)
    formals = [
        Formal(spec.name.text, True, True, _fit_pattern(spec.pattern, optional=False), _is_tensor)
        for spec in signature.inputs
    ]
    for parameter in signature.parameters:
        required = parameter.syntax.default is None
        if parameter.is_tensor:
            kind = parameter.kind
            fits = _fit_pattern(None if isinstance(kind, str) else kind, optional=not required)
            formals.append(Formal(parameter.name, True, required, fits, _is_tensor))
        else:
            formals.append(Formal(parameter.name, False, required, _is_no_tensor))
    return Signature(item.name.text, tuple(formals), item.name.span)


def _fit_pattern(
    pattern: TensorPattern | Poison | None, *, optional: bool
) -> Callable[[Val], bool]:
    def fits(value: Val) -> bool:
        match value:
            case Poison():
                return True
            case Tensor():
                return not isinstance(pattern, TensorPattern) or pattern.admits(value.type)
            case Known():
                if value.value is None:
                    return optional
                scalar = isinstance(pattern, TensorPattern) and pattern.dims == ()
                return scalar and pattern.dtype is not None and value.is_number  # type: ignore[union-attr]
        return False

    return fits


def _is_tensor(value: Val) -> bool:
    """A tensor of another type than is declared: it is told of as such."""
    return isinstance(value, Tensor)


def _is_no_tensor(value: Val) -> bool:
    """Whether it may be an option: `gather(x, index)` lacks its axis, and does not wait for x."""
    return not isinstance(value, Tensor)
