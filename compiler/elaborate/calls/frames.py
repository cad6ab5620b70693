"""Frames: what a call of a block was given, recorded for the code that is generated from it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from compiler.elaborate.calls.signatures import BlockSignature
from compiler.elaborate.scopes.context import Body
from compiler.elaborate.scopes.library import describe_block
from compiler.elaborate.values.describing import describe
from compiler.elaborate.values.parts import find_hint, is_layer, plain_items
from compiler.elaborate.values.values import (
    ArgumentValue,
    BlockLayer,
    DTypeValue,
    InitialValue,
    Known,
    Layer,
    ListValue,
    NetValue,
    OpLayer,
    Range,
    Tensor,
    Val,
)
from compiler.ir.frame import Argument, Frame
from compiler.ir.hint import (
    Hint,
    HintConst,
    HintName,
    HintSize,
    mark_names,
    mark_outer,
    rename_hint,
)
from compiler.report.source import Span
from compiler.text.tree.syntax import (
    Bool,
    Expr,
    Item,
    ListExpr,
    Name,
    NoneLiteral,
    Number,
    String,
    Unary,
)
from compiler.vocabulary.no_default import NO_DEFAULT
from compiler.vocabulary.signature import write_call


def open_frame(
    caller: Body,
    body: Body,
    item: Item,
    signature: BlockSignature,
    given: Mapping[str, ArgumentValue],
    *,
    path: str,
    hinted: bool,
    origin: Span,
    label: Hint | None = None,
) -> Frame:
    """The frame of a call whose parameters are bound in `body`. `hinted` says whether the
    arguments were written in the caller's frame, so that their hints hold there; `label` is how
    its path was written, where that has names in it."""
    assert caller.home is not None
    assert caller.frame is not None
    formals = (*(i.name.text for i in signature.inputs), *(p.name for p in signature.parameters))
    values = ((name, body.names[0].get(name) or _given(given, name)) for name in formals)
    tensors = tuple(
        (name, caller.home.value_of(value).name)
        for name, value in values
        if isinstance(value, Tensor)
    )
    defaults = _write_defaults(body, signature, given, dict(tensors), hinted=hinted)
    arguments = (
        *make_arguments(body, signature, given, defaults, hinted=hinted, caller=caller),
        *(
            Argument(
                name,
                _plain(body.names[0][name]),
                dims=places,
                untraced=signature.untraced.get(name, ()),
            )
            for name, places in body.bound.items()
        ),
    )
    return Frame(
        item.name.text,
        path,
        caller.home.count_call(),
        caller.frame,
        arguments,
        tensors,
        caller.guard,
        describe_block(item),
        origin,
        label,
        caller.turns,
    )


def _given(given: Mapping[str, ArgumentValue], name: str) -> Val | None:
    return given[name].value if name in given else None


def _write_defaults(
    body: Body,
    signature: BlockSignature,
    given: Mapping[str, ArgumentValue],
    tensors: Mapping[str, str],
    *,
    hinted: bool,
) -> dict[str, Hint]:
    """What a call has for arguments that were left out, in terms of what it was given: `out` of
    `out: int = 2 * k` is twice a size of a tensor."""
    found: dict[str, Hint] = {}
    names: dict[str, Hint] = {}
    for name, places in body.bound.items() if body.defaults else ():
        sizes = (HintSize(tensors[formal], axis) for formal, axis in places if formal in tensors)
        names.update((name, size) for size in list(sizes)[:1])
    for spec in signature.parameters if body.defaults else ():
        hint = _hint(given.get(spec.name), hinted=hinted) or _constant(body.names[0][spec.name])
        if spec.name in body.defaults:
            written = rename_hint(body.defaults[spec.name], names)
            hint = found[spec.name] = written if hinted else mark_names(written)
        if hint is not None:
            names[spec.name] = hint
    return found


def _constant(value: Val) -> Hint | None:
    plain = value.value if isinstance(value, Known) else None
    return HintConst(plain) if isinstance(plain, bool | int | float | str) else None


def make_arguments(
    body: Body,
    signature: BlockSignature,
    given: Mapping[str, ArgumentValue],
    defaults: Mapping[str, Hint] | None = None,
    *,
    hinted: bool = True,
    caller: Body | None = None,
) -> Iterator[Argument]:
    """The compile-time arguments of a call, in the order of the signature. `defaults` are what it
    has for arguments that were left out; those of a whole model, which nobody calls, are in its
    own names. `hinted` and `caller` are those of `open_frame`."""
    for spec in signature.parameters:
        value = body.names[0][spec.name]
        tensors = value.items if isinstance(value, ListValue) else (value,)
        if spec.is_tensor or any(isinstance(item, Tensor) for item in tensors):
            continue
        source = given.get(spec.name)
        yield Argument(
            spec.name,
            _plain(value),
            _hint(source, hinted=hinted)
            or (defaults or {}).get(spec.name)
            or _find_passed(source, caller),
            literal_default(spec.syntax.default, spec.kind),
            untraced=signature.untraced.get(spec.name, ()),
        )


def _hint(source: ArgumentValue | None, *, hinted: bool) -> Hint | None:
    hint = find_hint(source.value) if source is not None else None
    return hint if hinted or hint is None else mark_outer(hint)


def _find_passed(source: ArgumentValue | None, caller: Body | None) -> Hint | None:
    """The argument of the caller that a layer is, where it is handed on."""
    if source is None or caller is None or not is_layer(source.value):
        return None
    own = (name for name, value in caller.names[0].items() if value is source.value)
    return next(map(HintName, own), None)


def _plain(value: Val) -> object:
    if is_layer(value):
        return _layer_name(value)  # type: ignore[arg-type]
    return scalars(value)


def _layer_name(layer: Layer) -> str:
    name = scalars(layer)
    return name if isinstance(name, str) else "layer"


def literal_default(default: Expr | None, kind: object = None) -> object:
    """A default that is a literal, or the name of a layer, as the generated constructor shows
    it."""
    if kind == "layer" and isinstance(default, Name):
        return default.text
    match default:
        case Number(value=value) | Bool(value=value):
            return value
        case String(parts=(str() as text,)):
            return text
        case String(parts=()):
            return ""
        case NoneLiteral():
            return None
        case Unary(operator="-", operand=Number(value=value)):
            return -value
        case ListExpr(items=items):
            found = tuple(literal_default(item) for item in items)
            return NO_DEFAULT if NO_DEFAULT in found else found
    return NO_DEFAULT


def scalars(value: Val) -> object:
    """A compile-time value as plain Python data; layers go by their names."""
    match value:
        case Known(scalar):
            return scalar
        case ListValue(items):
            return tuple(scalars(item) for item in items)
        case Range():
            numbers = plain_items(value)
            return describe(value) if numbers is None else tuple(map(scalars, numbers))
        case DTypeValue(dtype):
            return dtype
        case InitialValue(initializer):
            return write_call(initializer)
        case OpLayer(op):
            return op.name
        case BlockLayer(item):
            return item.name.text
        case NetValue(name):
            return name
    return describe(value)


def is_plain(value: object) -> bool:
    """Whether it is a number, a text, a truth value or a list of them."""
    if isinstance(value, tuple):
        return all(map(is_plain, value))
    return isinstance(value, int | float | str)
