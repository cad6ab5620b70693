"""Hints: compile-time expressions as the spec's author wrote them, kept beside their values.

A hint is never trusted: whoever prints one first evaluates it in every instance. They are terms,
not text, so that folding cannot rewrite digits inside strings and parentheses come out right.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from compiler.records import dataclass

Scalar = int | float | bool | str | None


@dataclass(frozen=True)
class HintName:
    """A parameter or bound dim of the enclosing block, e.g. `channels`."""

    name: str


@dataclass(frozen=True)
class HintConst:
    """A literal."""

    value: Scalar | tuple[Scalar, ...]


@dataclass(frozen=True)
class HintBinary:
    """`left operator right`; Python's operators, with `and`, `or` and comparisons among them."""

    operator: str
    left: Hint
    right: Hint


@dataclass(frozen=True)
class HintUnary:
    """`-operand` or `not operand`."""

    operator: str
    operand: Hint


@dataclass(frozen=True)
class HintChoose:
    """`then if condition else otherwise`."""

    condition: Hint
    then: Hint
    otherwise: Hint


@dataclass(frozen=True)
class HintCall:
    """A function of numbers and lists that Python has too: `range(layers)`, `len(depths)`."""

    function: str
    arguments: tuple[Hint, ...]


@dataclass(frozen=True)
class HintItem:
    """An item of a list: `depths[i]`."""

    items: Hint
    index: Hint


@dataclass(frozen=True)
class HintList:
    """A list as it was written out: `[width, 2 * width]`."""

    items: tuple[Hint, ...]


@dataclass(frozen=True)
class HintText:
    """Text with values in it: `"layer{i + 1}"`."""

    parts: tuple[Hint, ...]


@dataclass(frozen=True)
class HintSize:
    """A size of a tensor at hand, by the name of its value: `x.shape[1]`."""

    value: str
    axis: int


Hint = (
    HintName
    | HintSize
    | HintConst
    | HintBinary
    | HintUnary
    | HintChoose
    | HintCall
    | HintItem
    | HintList
    | HintText
)


class HintError(Exception):
    """A hint that cannot be evaluated: a name without value, a division by zero."""


_APPLY: dict[str, Callable[[Any, Any], Any]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "//": operator.floordiv,
    "%": operator.mod,
    "**": operator.pow,
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
HINT_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "range": lambda *ends: tuple(range(*ends)),
    "enumerate": lambda items, start=0: tuple(enumerate(items, start)),
    "zip": lambda *lists: tuple(zip(*lists, strict=False)),
    "reversed": lambda items: tuple(reversed(items)),
    "len": len,
    "sum": sum,
    "max": max,
    "min": min,
    "abs": abs,
    "round": round,
    "floor": math.floor,
    "ceil": math.ceil,
    "sqrt": math.sqrt,
    "log": math.log,
    "log2": math.log2,
    "exp": math.exp,
    "sin": math.sin,
    "cos": math.cos,
    "slice": slice,
}
"""Functions that a hint may call: they mean in Python what they mean in a spec. `slice` is an
index of a list, which is written with colons."""


def python_function(function: str) -> str:
    """A function of hints as Python calls it: `len`, `math.ceil`."""
    meaning = HINT_FUNCTIONS.get(function)
    is_math = meaning is not None and getattr(math, function, None) is meaning
    return f"math.{function}" if is_math else function


_LEVELS: tuple[tuple[str, ...], ...] = (
    ("or",),
    ("and",),
    ("not",),
    ("==", "!=", "<", "<=", ">", ">="),
    ("+", "-"),
    ("*", "/", "//", "%"),
    ("neg",),
    ("**",),
)
_LEVEL = {op: level for level, ops in enumerate(_LEVELS) for op in ops}


def evaluate_hint(hint: Hint, names: Mapping[str, object]) -> object:
    """The value of a hint.

    Raises:
        HintError: a name is missing or the arithmetic fails.
    """
    try:
        return _evaluate(hint, names)
    except (LookupError, TypeError, ArithmeticError, ValueError) as error:
        raise HintError(str(error)) from error


def _evaluate(hint: Hint, names: Mapping[str, object]) -> object:
    match hint:
        case HintConst(value):
            return value
        case HintName(name):
            return names[name]
        case HintSize():
            return names[hint_text(hint)]
        case HintUnary("not", operand):
            return not _evaluate(operand, names)
        case HintUnary(_, operand):
            return operator.neg(_evaluate(operand, names))  # type: ignore[arg-type]
        case HintChoose(condition, then, otherwise):
            return _evaluate(then if _evaluate(condition, names) else otherwise, names)
        case HintBinary("and", left, right):
            return _evaluate(left, names) and _evaluate(right, names)
        case HintBinary("or", left, right):
            return _evaluate(left, names) or _evaluate(right, names)
        case HintBinary(symbol, left, right):
            return _APPLY[symbol](_evaluate(left, names), _evaluate(right, names))
        case HintCall(function, arguments):
            return HINT_FUNCTIONS[function](*(_evaluate(a, names) for a in arguments))
        case HintItem(items, index):
            return _evaluate(items, names)[_evaluate(index, names)]  # type: ignore[index]
        case HintList(parts):
            return tuple(_evaluate(part, names) for part in parts)
        case HintText(parts):
            return "".join(str(_evaluate(part, names)) for part in parts)


OUTER = "outer"
"""What a hint calls that only says which names of a block around this one a number follows."""


FOLLOWS = "follows"
"""What a hint calls that is too long for a person to write: it says which names it follows."""


def mark_names(*hints: Hint) -> HintCall:
    """What is left of hints that are too long together: their names and sizes, those of blocks
    around as such."""
    atoms = tuple(dict.fromkeys(atom for hint in hints for atom in _marks(hint)))
    return HintCall(FOLLOWS, atoms)


def _marks(hint: Hint) -> Iterator[Hint]:
    outer = isinstance(hint, HintCall) and hint.function == OUTER
    if outer or isinstance(hint, HintName | HintSize):
        yield hint
    for part in () if outer else _inner(hint):
        yield from _marks(part)


def find_readable(hint: Hint | None) -> Hint | None:
    """The hint, if a person can read it: not where it only says which names it follows."""
    return hint if hint is not None and _is_readable(hint) else None


def _is_readable(hint: Hint) -> bool:
    marked = isinstance(hint, HintCall) and hint.function == FOLLOWS
    return not marked and all(map(_is_readable, _inner(hint)))


def mark_outer(hint: Hint) -> Hint | None:
    """What is left of a hint in another block than the one it was written in: the names and sizes
    that it reads there, which mean something else here or nothing. None for a plain number."""
    atoms = tuple(dict.fromkeys(hint_atoms(hint)))
    return HintCall(OUTER, atoms) if atoms else None


def outer_names(hint: Hint) -> frozenset[str]:
    """Names of a block around this one that a number follows."""
    if isinstance(hint, HintCall) and hint.function == OUTER:
        return frozenset(hint_names(hint))
    return frozenset(name for part in _inner(hint) for name in outer_names(part))


def hint_names(hint: Hint) -> Iterator[str]:
    """Every name a hint reads, in order, with repetitions."""
    return (atom.name for atom in hint_atoms(hint) if isinstance(atom, HintName))


def hint_sizes(hint: Hint) -> Iterator[HintSize]:
    """Every size of a tensor that a hint reads, in order, with repetitions."""
    return (atom for atom in hint_atoms(hint) if isinstance(atom, HintSize))


def hint_atoms(hint: Hint) -> Iterator[HintName | HintSize]:
    """Every name and size that a hint reads, in order, with repetitions."""
    if isinstance(hint, HintName | HintSize):
        yield hint
    for part in _inner(hint):
        yield from hint_atoms(part)


def _inner(hint: Hint) -> tuple[Hint, ...]:
    match hint:
        case HintUnary(_, operand):
            return (operand,)
        case HintBinary(_, left, right):
            return (left, right)
        case HintChoose(condition, then, otherwise):
            return (condition, then, otherwise)
        case HintCall() | HintItem() | HintList() | HintText():
            return _parts(hint)
    return ()


def _parts(hint: HintCall | HintItem | HintList | HintText) -> tuple[Hint, ...]:
    match hint:
        case HintCall(_, parts) | HintList(parts) | HintText(parts):
            return parts
        case HintItem(items, index):
            return (items, index)


def change_parts(
    hint: HintCall | HintItem | HintList | HintText, change: Callable[[Hint], Hint]
) -> Hint:
    """A hint about lists or text with each of its parts changed."""
    parts = tuple(map(change, _parts(hint)))
    match hint:
        case HintCall(function):
            return HintCall(function, parts)
        case HintList():
            return HintList(parts)
        case HintText():
            return HintText(parts)
        case HintItem():
            return HintItem(*parts)


_WHOLE = frozenset({"+", "-", "*", "//", "%", "**"})
"""Operators that give a whole number of whole numbers."""


def may_be_whole(written: Hint | None) -> bool:
    """Whether what an author wrote for a fraction may come to a whole number, as an argument does
    that somebody gives 2: PyTorch would fill a tensor of whole numbers."""
    match written:
        case None:
            return False
        case HintConst(value):
            return isinstance(value, int)
        case HintUnary(_, operand):
            return may_be_whole(operand)
        case HintChoose(_, then, otherwise):
            return may_be_whole(then) or may_be_whole(otherwise)
        case HintBinary("/", _, _):
            return False
        case HintBinary("+" | "-" | "*", left, right):
            return may_be_whole(left) and may_be_whole(right)
    return True


def whole_hint(hint: Hint) -> Hint:
    """Arithmetic whose result is a whole number as code that gives an int: its quotients leave no
    remainder, so they are written `//`, behind what they are multiplied with."""
    match hint:
        case HintBinary("/", left, right):
            return HintBinary("//", whole_hint(left), right)
        case HintBinary("*", HintBinary("/", above, below), right):
            return whole_hint(HintBinary("/", HintBinary("*", above, right), below))
        case HintBinary("*", left, HintBinary("/", above, below)):
            return whole_hint(HintBinary("/", HintBinary("*", left, above), below))
        case HintBinary(symbol, left, right) if symbol in _WHOLE:
            return HintBinary(symbol, whole_hint(left), whole_hint(right))
        case HintUnary("-", operand):
            return HintUnary("-", whole_hint(operand))
        case HintChoose(condition, then, otherwise):
            return HintChoose(condition, whole_hint(then), whole_hint(otherwise))
        case HintCall("max" | "min"):
            return change_parts(hint, whole_hint)
    return hint


def hint_size(hint: Hint) -> int:
    """Number of terms in a hint."""
    return 1 + sum(map(hint_size, _inner(hint)))


def count_items(over: Hint) -> Hint | None:
    """How many items a list or a range has; None where nobody writes it so."""
    match over:
        case HintCall("range", (HintName() | HintConst() as stop,)):
            return stop
        case HintCall("enumerate" | "reversed", (inner,)):
            return count_items(inner)
        case HintList(items):
            return HintConst(len(items))
        case HintName() | HintItem() | HintCall("range", _):
            return HintCall("len", (over,))
    return None


def rename_hint(hint: Hint, names: Mapping[str, Hint]) -> Hint:
    """The hint with names replaced by other hints."""
    return change_hint(hint, lambda h: names.get(h.name, h) if isinstance(h, HintName) else h)


def name_sizes(hint: Hint, places: Mapping[str, int]) -> Hint:
    """The hint with sizes of some tensors as names: `size_name` of their places."""

    def change(part: Hint) -> Hint:
        if isinstance(part, HintSize) and part.value in places:
            return HintName(size_name(places[part.value], part.axis))
        return part

    return change_hint(hint, change)


def size_name(place: int, axis: int) -> str:
    """What a size of a tensor is called as long as the tensor has no name but its place."""
    return f"{place}{_SIZE}{axis}"


def read_size_name(name: str) -> tuple[int, int] | None:
    """The place and the axis that `size_name` was made of; None for every other name."""
    place, sign, axis = name.partition(_SIZE)
    return (int(place), int(axis)) if sign else None


_SIZE = "\nshape "
"""What only the name of a size holds: no name of a spec holds a line break."""


def change_hint(hint: Hint, change: Callable[[Hint], Hint]) -> Hint:
    """The hint with `change` applied to every name and size in it."""
    match hint:
        case HintUnary(symbol, operand):
            return HintUnary(symbol, change_hint(operand, change))
        case HintBinary(symbol, left, right):
            return HintBinary(symbol, change_hint(left, change), change_hint(right, change))
        case HintChoose(condition, then, otherwise):
            parts = (change_hint(h, change) for h in (condition, then, otherwise))
            return HintChoose(*parts)
        case HintCall() | HintItem() | HintList() | HintText():
            return change_parts(hint, lambda part: change_hint(part, change))
        case HintName() | HintSize():
            return change(hint)
    return hint


def hint_text(hint: Hint, level: int = 0) -> str:
    """A hint as a Python expression; `level` is the binding strength of what stands around it."""
    match hint:
        case HintConst(value):
            return repr(value)
        case HintName(name):
            return name
        case HintSize(value, axis):
            return f"{value}.shape[{axis}]"
        case HintUnary(symbol, operand):
            own = _LEVEL["not" if symbol == "not" else "neg"]
            text = ("not " if symbol == "not" else "-") + hint_text(operand, own)
        case HintChoose(condition, then, otherwise):
            own = -1
            text = (
                f"{hint_text(then, 0)} if {hint_text(condition, 0)} else {hint_text(otherwise, -1)}"
            )
        case HintBinary(symbol, left, right):
            own = _LEVEL[symbol]
            right_level = own if symbol in ("**", "and", "or") else own + 1
            left_level = own + 1 if symbol == "**" or own == _LEVEL["=="] else own
            plain = symbol == "**" and all(
                isinstance(x, HintName | HintConst) for x in (left, right)
            )
            sign = symbol if plain else f" {symbol} "  # as formatters write powers
            text = f"{hint_text(left, left_level)}{sign}{hint_text(right, right_level)}"
        case HintCall(function, arguments):
            return f"{function}({', '.join(map(hint_text, arguments))})"
        case HintItem(items, HintCall("slice", bounds)):
            texts = ("" if b == HintConst(None) else hint_text(b) for b in bounds)
            return f"{hint_text(items, len(_LEVELS))}[{':'.join(texts)}]"
        case HintItem(items, index):
            return f"{hint_text(items, len(_LEVELS))}[{hint_text(index)}]"
        case HintList(parts):
            return f"[{', '.join(map(hint_text, parts))}]"
        case HintText(parts):
            return f'f"{text_inside(parts)}"'
    return f"({text})" if own < level else text


def text_inside(parts: tuple[Hint, ...]) -> str:
    """Parts of a text as they stand inside an f-string."""
    texts = (str(part.value) if isinstance(part, HintConst) else None for part in parts)
    return "".join(
        f"{{{hint_text(part)}}}" if text is None else text
        for part, text in zip(parts, texts, strict=True)
    )


_OPPOSITE = {"==": "!=", "!=": "==", "<": ">=", ">=": "<", ">": "<=", "<=": ">"}


def opposite(condition: Hint) -> Hint:
    """The opposite of a condition, as a person writes it."""
    match condition:
        case HintUnary("not", operand):
            return operand
        case HintBinary(symbol, left, right) if symbol in _OPPOSITE:
            return HintBinary(_OPPOSITE[symbol], left, right)
    return HintUnary("not", condition)
