"""What values and layers are, in a few words, for messages."""

from __future__ import annotations

from compiler.elaborate.values.values import (
    BlockLayer,
    DTypeValue,
    FunctionLayer,
    InitialValue,
    ItemValue,
    Known,
    Labelled,
    Layer,
    ListValue,
    Loaded,
    LoadFunction,
    Namespace,
    NetValue,
    OpLayer,
    Poison,
    Range,
    Record,
    Refused,
    Repeat,
    Rest,
    SymbolicCondition,
    Tensor,
    Val,
)
from compiler.types.units import NOT_PLAIN, spell_quantity


def describe(value: Val) -> str:
    """What a value is, in a few words, for messages."""
    match value:
        case Poison() | Refused():
            return "something that was refused"
        case Known():
            return _describe_known(value)
        case SymbolicCondition(_, text):
            return f"a comparison of sizes, `{text}`"
        case ListValue():
            return "a list"
        case Rest():
            return "`...`"
        case Range():
            return "a range"
        case DTypeValue(dtype):
            return f"the dtype {dtype}"
        case InitialValue(initializer):
            return f"the initializer {initializer.name}"
        case Tensor():
            return f"a tensor {value.type}"
        case Record(items, called):
            return called or f"a record of {len(items)} results"
        case Namespace(_, name):
            return f"the namespace {name}"
        case ItemValue(kind, name, _):
            return f"the {kind} {name}"
    return describe_layer(value)


def _describe_known(value: Known) -> str:
    if value.unit in NOT_PLAIN and value.is_number:
        return spell_quantity(value.value, value.unit)  # type: ignore[arg-type]
    match value.value:
        case None:
            return "none"
        case bool():
            return "true" if value.value else "false"
        case int():
            return f"the int {value.value}"
        case float():
            return f"the float {value.value!r}"
        case str():
            return f'the string "{value.value}"'
    return f"the size {value.value}"


def describe_layer(value: Layer) -> str:
    """What a layer is, in a few words."""
    match value:
        case OpLayer(op):
            return f"the layer {op.name}"
        case BlockLayer(item):
            return f"the {value.kind} {item.name.text}"
        case FunctionLayer(function):
            return f"the function {function.name}"
        case NetValue(name):
            return f"the net {name}"
        case Labelled(layer) | Loaded(layer):
            return describe_layer(layer)
        case Repeat(count, layer):
            return f"{count} copies of {describe_layer(layer)}"
        case LoadFunction():
            return f"the function {value.name}"
    return "a sequence of layers"
