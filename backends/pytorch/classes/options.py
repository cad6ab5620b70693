"""Options of operations that are arguments of a class: what changes with them besides themselves.

A spelling, a size and the number of results are those of one value of an option. Here operations
are asked what they would be with others.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import fields, replace
from typing import get_args, get_type_hints

from backends.pytorch.classes.explained import Promise
from backends.pytorch.classes.merged import Merged
from backends.pytorch.classes.sizes import SIZE, infer_dim, take_promise
from backends.pytorch.fold.printed import Printed
from backends.pytorch.terms.terms import Hole, Many, Part, Tree, holes, read_term, same_value
from compiler.ir.graph import Node, Op, Value
from compiler.ir.hint import Hint, hint_names
from compiler.ir.operands import Assume
from compiler.report.diagnostics import Fault
from compiler.types.dims import Dim, DimError
from compiler.types.tensor import TensorType
from compiler.vocabulary.no_default import NO_DEFAULT


def find_options(item: Merged) -> set[str]:
    """The options of what an item does that are arguments of the class, by their fields."""
    return {option_of(leaf) for leaf in item.leaves() if leaf.dim is None and _is_named(leaf)} - {
        ""
    }


def option_of(leaf: Many | Hole) -> str:
    """The option that a number is, or is one of."""
    return leaf.field.partition(".")[0]


def _is_named(leaf: Many) -> bool:
    solution = leaf.solution
    return solution is not None and not isinstance(solution, Tree) and any(hint_names(solution))


# --- other values -------------------------------------------------------------------------------


def vary(node: Node, field: str, assume: Assume = take_promise) -> Iterator[Node]:
    """An operation with other values of an option that fit it, or of one number of an option that
    is a list, with the weights and results that it has then."""
    option, _, place = field.partition(".")
    value = getattr(node.op, option, None)
    others = _vary_value(value, node.op, option)
    if place.isdecimal() and isinstance(value, tuple) and int(place) < len(value):
        at = int(place)
        items = _vary_value(value[at], node.op, option)
        others = ((*value[:at], item, *value[at + 1 :]) for item in items)
    for other in others:
        op = replace(node.op, **{option: other})  # type: ignore[type-var]
        made = renew(node, op, assume)
        if made is not None:
            yield made


def _vary_value(value: object, op: Op, option: str) -> Iterator[object]:
    match value:
        case bool():
            yield not value
        case int() | Dim():
            yield from (other for other in (value + 1, 2 * value, 1) if other != value)
        case str():
            words = _find_words(get_type_hints(type(op)).get(option))
            yield from (word for word in words if word != value)
        case tuple():
            for place, item in enumerate(value):
                others = _vary_value(item, op, option)
                yield from ((*value[:place], other, *value[place + 1 :]) for other in others)


def _find_words(kind: object) -> Iterator[str]:
    """The words of a type such as `int | Literal["same", "valid"]`."""
    for part in get_args(kind):
        if isinstance(part, str):
            yield part
        else:
            yield from _find_words(part)


def renew(node: Node, op: Op, assume: Assume = take_promise) -> Node | None:
    """An operation in the place of another; None where it does not take what that one reads, or
    is only printed."""
    if isinstance(op, Printed):
        return None
    count = len(op.operands)
    try:
        made = op.weights([None if v is None else v.type for v in node.inputs[:count]])
        old = node.inputs[count:] if made else ()
        if len(made) != len(old):
            return None
        pairs = zip(old, made, strict=True)
        weights = (None if v is None else Value(v.name, weight.type) for v, weight in pairs)
        inputs = (*node.inputs[:count], *weights) if made else node.inputs
        types = op.infer(assume, *(None if v is None else v.type for v in inputs))
    except (Fault, DimError):
        return None
    first = node.outputs[0].name
    known = {place: value.name for place, value in enumerate(node.outputs)}
    outputs = tuple(Value(known.get(place, first), made_of) for place, made_of in enumerate(types))
    return replace(node, op=op, inputs=inputs, outputs=outputs)


def find_promises(node: Node) -> set[Promise]:
    """The equal sizes that an operation needs where only a run knows them."""
    found: set[Promise] = set()

    def note(left: Dim, relation: str, right: Dim) -> None:
        if relation == "==":
            found.add(reduce_promise(left - right))

    renew(node, node.op, note)
    return found


def reduce_promise(difference: Dim) -> Promise:
    """A difference that is 0, without factors that all its terms have."""
    shared = math.gcd(*(count for _, count in difference.terms)) or 1
    return Dim({term: count // shared for term, count in difference.terms})


def keeps_promise(node: Node, promise: Promise, size: int) -> bool:
    """Whether an operation holds the same where a size is another in all its operands and
    options."""
    inputs = tuple(None if v is None else Value(v.name, _grow(v.type, size)) for v in node.inputs)
    changes: dict[str, object] = {}
    for option in fields(node.op):  # type: ignore[arg-type]
        value = getattr(node.op, option.name)
        if value == size and type(value) is int:
            changes[option.name] = size + 1
        elif isinstance(value, tuple):
            changes[option.name] = tuple(size + 1 if n == size else n for n in value)
    op = replace(node.op, **changes)  # type: ignore[type-var]
    return promise in find_promises(replace(node, op=op, inputs=inputs))


def _grow(type: TensorType, size: int) -> TensorType:
    return TensorType(type.dtype, tuple(d + 1 if d.known == size else d for d in type.shape))


# --- what changes -------------------------------------------------------------------------------


def keeps_size(
    nodes: Sequence[Node], source: tuple[str, int], wished: tuple[str, int], options: Iterable[str]
) -> bool:
    """Whether a size of a value is one of another, whatever these options of the operations are:
    that a tensor is as long as before where it is repeated once is chance."""
    unknown = Dim.of(SIZE)
    if infer_dim(nodes, [source], wished, take_promise) != unknown:
        return False
    for option in options:
        for place, node in enumerate(nodes):
            if _is_open(node, option):
                return False
            for other in vary(node, option):
                varied = [*nodes[:place], other, *nodes[place + 1 :]]
                if infer_dim(varied, [source], wished, take_promise) not in (None, unknown):
                    return False
    return True


def decides_size(nodes: Sequence[Node], wished: tuple[str, int], options: Iterable[str]) -> bool:
    """Whether a size of a value changes with one of these options."""
    size = infer_dim(nodes, [], wished, take_promise)
    for option in options:
        for place, node in enumerate(nodes):
            if _is_open(node, option):
                return True
            for other in vary(node, option):
                varied = [*nodes[:place], other, *nodes[place + 1 :]]
                if infer_dim(varied, [], wished, take_promise) not in (None, size):
                    return True
    return False


def _is_open(node: Node, option: str) -> bool:
    """Whether an option is a word or fraction that sizes follow."""
    return option in node.op.sizing and isinstance(getattr(node.op, option, None), str | float)


def find_reforming(item: Merged) -> set[str]:
    """The options that are arguments and decide how an operation is written, or how many results
    it has: what is written is right for one value of them only."""
    options = find_options(item)
    return {option for node in item.sample.nodes for option in options if _reforms(node, option)}


def find_unspelled(item: Merged) -> Iterator[Hint]:
    """What the author wrote for options that the code does not say, where it would be another
    code with another value: `expand` leaves a size of 1 out."""
    said = {leaf.field for leaf in item.leaves()}
    for node in _own_nodes(item):
        for field, hint in node.origin.hints:
            if field not in said and any(hint_names(hint)):
                others = vary(node, field, _refuse_promise)
                if any(_moves_little(node, o) and _is_other(node, o, "") for o in others):
                    yield hint


def _moves_little(node: Node, other: Node) -> bool:
    """Whether two results differ in one size at most: a size that a reshape leaves open takes up
    what changes beside it."""
    if len(node.outputs) != 1 or len(other.outputs) != 1:
        return True
    pairs = zip(node.output.type.shape, other.output.type.shape, strict=False)
    return sum(one != changed for one, changed in pairs) <= 1


def _own_nodes(item: Merged) -> tuple[Node, ...]:
    """The operation that an item is; none where it calls others."""
    nodes = item.sample.nodes
    return nodes if len(nodes) == 1 and nodes[0].op.name == item.sample.op else ()


def _refuse_promise(left: Dim, relation: str, right: Dim) -> None:
    """Holds that sizes do not fit where nobody knows."""
    raise DimError(f"{left} {relation} {right} is not known")


def _reforms(node: Node, option: str) -> bool:
    return any(_is_other(node, other, option) for other in vary(node, option))


def _is_other(node: Node, other: Node, option: str) -> bool:
    """Whether two operations are written otherwise, all but for an option, or have results of
    other ranks."""
    ranks = [tuple(value.type.rank for value in one.outputs) for one in (node, other)]
    pairs = zip(_spell(node), _spell(other), strict=True)
    return ranks[0] != ranks[1] or not all(_is_alike(a, b, option) for a, b in pairs)


def find_counted(item: Merged) -> Iterator[tuple[int, int]]:
    """The axes whose sizes decide how many results an operation has, by (operand, axis)."""
    for node in _own_nodes(item):
        names = [None if v is None else v.name for v in node.inputs] if node.op.multiple else []
        for place, read in enumerate(item.sample.reads):
            value = node.inputs[names.index(read)] if read in names else None
            for axis in range(0 if value is None else value.type.rank):
                if _counts(node, names.index(read), axis):
                    yield place, axis


def _counts(node: Node, place: int, axis: int) -> bool:
    value = node.inputs[place]
    assert value is not None
    shape = list(value.type.shape)
    if shape[axis].known is None:
        return False
    shape[axis] *= 2
    longer = Value(value.name, TensorType(value.type.dtype, tuple(shape)))
    inputs = (*node.inputs[:place], longer, *node.inputs[place + 1 :])
    made = renew(replace(node, inputs=inputs), node.op)
    return made is not None and len(made.outputs) != len(node.outputs)


def _spell(node: Node) -> tuple[Part | None, Part | None]:
    spelling = node.op.torch(node)
    terms = (spelling.expression, spelling.constructor)
    made = (None if term is None else read_term(term, {}) for term in terms)
    expression, constructor = made
    return expression, constructor


def _is_alike(one: Part | None, other: Part | None, option: str) -> bool:
    """Whether two spellings differ in an option alone, and in sizes of tensors."""
    match one, other:
        case Hole(), Hole():
            if option and option_of(one) == option_of(other) == option:
                return True
            if option and one.dim is not None and one.dim[0] in ("in", "out"):
                return one.dim == other.dim
            return same_value(one.value, other.value) or (_is_default(one) and _is_default(other))
        case Tree(), Tree():
            shape = (one.form, one.label, one.keys, len(one.parts))
            if shape != (other.form, other.label, other.keys, len(other.parts)):
                return False
            return all(_is_alike(a, b, option) for a, b in zip(one.parts, other.parts, strict=True))
    return one == other


def _is_default(hole: Hole) -> bool:
    return hole.default is not NO_DEFAULT and same_value(hole.value, hole.default)


def write_moving_defaults(item: Merged) -> None:
    """Has a number written that is the default of PyTorch for one value of another option only:
    the stride of a pooling, which is its kernel."""
    options = find_options(item)
    moving = {field for node in item.sample.nodes for field in _find_moving(node, options)}
    for leaf in item.leaves():
        if leaf.field and leaf.field in moving:
            leaf.default = NO_DEFAULT


def _find_moving(node: Node, options: Collection[str]) -> Iterator[str]:
    for option in options:
        for other in vary(node, option):
            for one, changed in zip(_spell(node), _spell(other), strict=True):
                for a, b in zip(_holes(one), _holes(changed), strict=False):
                    same = a.field == b.field and option_of(a) != option
                    if same and not same_value(a.default, b.default):
                        yield a.field


def _holes(part: Part | None) -> Iterator[Hole]:
    return iter(()) if part is None else holes(part)
