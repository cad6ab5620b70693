"""Trees of code before it is text: one small type for calls, operators, literals and names."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum

from compiler.ir.hint import Hint
from compiler.types.dims import Dim
from compiler.vocabulary import spelling
from compiler.vocabulary.no_default import NO_DEFAULT


class Form(Enum):
    """What a tree is; the comment says what its label and parts are."""

    CALL = "call"  # parts: head, arguments, then one part per key
    METHOD = "method"  # label: name; parts: object, arguments, then one part per key
    ATTRIBUTE = "attribute"  # label: name; parts: object
    INDEX = "index"  # parts: object, items
    SLICE = "slice"  # parts: start, stop, step; NOTHING where left out
    INFIX = "infix"  # label: operator; parts: left, right
    PREFIX = "prefix"  # label: operator; parts: operand
    CHOOSE = "choose"  # parts: condition, then, otherwise
    LIST = "list"
    STAR = "star"  # in a list: all items of another; parts: that list
    APPEND = "append"  # a list with more items; parts: that list, the items
    DICT = "dict"  # keys: its keys
    TUPLE = "tuple"
    NAME = "name"  # label: the text
    LITERAL = "literal"  # label: the text
    OWN = "own"  # label: path below self
    BUILD = "build"  # a call of a generated class or function; target: that class
    REPEAT = "repeat"  # parts: count, body: `*[body for _ in range(count)]`
    EACH = "each"  # label: names; parts: body, list of rows: `*[body for names in rows]`
    LOOP = "loop"  # label: path; parts: operands; keys: index of the carried one
    SCAN = (
        "scan"  # opens a loop over steps; label: its options; parts: sequences, states, way, range
    )
    SCAN_END = "scan end"  # closes it; parts: token of the opening, results of the body, way
    FOR = "for"  # modules of a loop of the spec; label: its name; parts: what it goes through,
    # then one part per key; target: the class of its turns
    RUN = "run"  # the loop in `forward`; parts: operands
    DEVICE = "device"  # the device of a tensor in scope
    NOTHING = "nothing"


@dataclass(frozen=True, slots=True)
class Operand:
    """An input of the item that the tree belongs to."""

    index: int


@dataclass(frozen=True, slots=True)
class Hole:
    """A literal of one instance, with what is known about it (see `spelling.Leaf`). In `dim`,
    "inner in" and "inner out" are tensors inside a chain of modules. `field` is the option of the
    op that it is, `kernel.0` for one of a list."""

    value: object
    role: str = ""
    default: object = NO_DEFAULT
    hint: Hint | None = None
    dim: tuple[str, int, int] | None = None
    field: str = ""


@dataclass(eq=False, slots=True)
class Many:
    """A hole over all instances of a class: what anti-unification calls a variable.

    `solution` is an expression in the arguments of the class, or a size of an operand; None
    means a literal.
    """

    values: dict[int, object]
    role: str
    default: object
    hints: tuple[Hint, ...]
    dim: tuple[str, int, int] | None
    slot: str
    solution: Hint | Tree | None = None
    field: str = ""

    @property
    def literal(self) -> object:
        """The value in the first instance."""
        return next(iter(self.values.values()))

    @property
    def varies(self) -> bool:
        """Whether instances differ in it."""
        first = self.literal
        return any(not same_value(v, first) for v in self.values.values())


@dataclass(frozen=True, slots=True)
class Tree:
    """A piece of code; `keys` name the last parts of a call."""

    form: Form
    label: str = ""
    parts: tuple[Part, ...] = ()
    keys: tuple[str, ...] = ()
    target: object = field(default=None, compare=False)


Part = Tree | Operand | Hole | Many

NOTHING = Tree(Form.NOTHING)
IDENTITY = Tree(Form.CALL, "", (Tree(Form.NAME, "nn.Identity"),))


def name(text: str) -> Tree:
    """A name or dotted name."""
    return Tree(Form.NAME, text)


def call(head: str, *args: Part, keys: Mapping[str, Part] | None = None) -> Tree:
    """`head(args, key=…)`."""
    named = keys or {}
    return Tree(Form.CALL, "", (name(head), *args, *named.values()), tuple(named))


def same_value(left: object, right: object) -> bool:
    """Equal and of one type: `True` is not 1 in code."""
    return type(left) is type(right) and left == right


def is_scalar(value: object) -> bool:
    """Whether an argument is a number or a list of them, and chooses no function."""
    return value is None or isinstance(value, (int, float, tuple, list, Dim))


def holes(part: Part) -> Iterator[Hole]:
    """Holes of a tree, in order."""
    if isinstance(part, Hole):
        yield part
    elif isinstance(part, Tree):
        for child in part.parts:
            yield from holes(child)


def operands(part: Part | None) -> Iterator[int]:
    """Indexes of the operands of a tree, in order, with repetitions."""
    match part:
        case Operand(index):
            yield index
        case Tree(parts=parts):
            for child in parts:
                yield from operands(child)
        case Many(solution=Tree() as shown):
            yield from operands(shown)


def variables(part: Part | None) -> Iterator[Many]:
    """Variables of a tree over all instances, in order."""
    if isinstance(part, Many):
        yield part
    elif isinstance(part, Tree):
        for child in part.parts:
            yield from variables(child)


UNREAD = "unread"
"""The side of a size of a weight whose module no output is made from: nobody says what it is."""


def subtrees(part: Part | None) -> Iterator[Tree]:
    """A tree and every tree in it, outermost first."""
    if isinstance(part, Tree):
        yield part
        for child in part.parts:
            yield from subtrees(child)


def rebuild(part: Part, change: Callable[[Part], Part]) -> Part:
    """The tree with `change` applied to every part, innermost first."""
    if isinstance(part, Tree) and part.parts:
        parts = tuple(rebuild(child, change) for child in part.parts)
        if any(new is not old for new, old in zip(parts, part.parts, strict=True)):
            part = replace(part, parts=parts)
    return change(part)


def skeleton(part: Part | None) -> object:
    """The tree without its literals: equal skeletons can share one piece of code. A list of
    numbers that no author wrote is another form than one number: `k×1` stands beside `k×k`."""
    match part:
        case Tree(form, label, parts, keys, target):
            return (form, label, keys, id(target), *map(skeleton, parts))
        case Operand(index):
            return index
        case Hole(value, hint=None) | Many(literal=value, hints=()) if isinstance(value, tuple):
            return ("?", part.role, "list")
        case Hole() | Many():
            return ("?", part.role)
        case None:
            return None


def shift_operands(part: Part, places: Mapping[int, int]) -> Part:
    """The tree with its operands renumbered."""

    def change(item: Part) -> Part:
        return Operand(places[item.index]) if isinstance(item, Operand) else item

    return rebuild(part, change)


# --- from the spelling of an op -------------------------------------------------------------


def read_term(
    term: spelling.Term | spelling.SliceTerm,
    hints: Mapping[str, Hint],
    numbers: Mapping[int, Part] | None = None,
) -> Part:
    """A spelling as a tree: leaves take the author's hints, inputs that are plain numbers are
    replaced by them where a number may stand."""

    def read(item: spelling.Term | spelling.SliceTerm | None) -> Part:
        return NOTHING if item is None else read_term(item, hints, numbers)

    match term:
        case spelling.Leaf():
            return _read_leaf(term, hints)
        case spelling.In(index, number):
            return (numbers or {}).get(index, Operand(index)) if number else Operand(index)
        case spelling.Own(path):
            return Tree(Form.OWN, path)
        case spelling.Call(head, args, kwargs):
            first = name(head) if isinstance(head, str) else read(head)
            return _applied(Form.CALL, "", (first, *map(read, args)), kwargs, read)
        case spelling.Method(owner, label, args, kwargs):
            return _applied(Form.METHOD, label, (read(owner), *map(read, args)), kwargs, read)
        case spelling.Infix(label, left, right):
            return Tree(Form.INFIX, label, (read(left), read(right)))
        case spelling.Prefix(label, operand):
            return Tree(Form.PREFIX, label, (read(operand),))
        case spelling.Choose(condition, then, otherwise):
            return Tree(Form.CHOOSE, "", tuple(map(read, (condition, then, otherwise))))
        case spelling.Name(text):
            return name(text)
        case spelling.SliceTerm(start, stop, step):
            return Tree(Form.SLICE, "", (read(start), read(stop), read(step)))
        case spelling.Index(owner, items):
            return Tree(Form.INDEX, "", (read(owner), *map(read, items)))
        case spelling.Sequence(items, brackets):
            form = Form.LIST if brackets == "[]" else Form.TUPLE
            return Tree(form, "", tuple(map(read, items)))
        case spelling.Attribute(owner, label):
            return Tree(Form.ATTRIBUTE, label, (read(owner),))
        case spelling.Device():
            return Tree(Form.DEVICE)


def _applied(
    form: Form,
    label: str,
    parts: tuple[Part, ...],
    kwargs: tuple[tuple[str, spelling.Term], ...],
    read: Callable[[spelling.Term], Part],
) -> Tree:
    keys = tuple(key for key, _ in kwargs)
    return Tree(form, label, (*parts, *(read(item) for _, item in kwargs)), keys)


def _read_leaf(leaf: spelling.Leaf, hints: Mapping[str, Hint]) -> Part:
    value = plain_value(leaf.value)
    key = leaf.field or ""
    if isinstance(value, tuple):
        marks = [hints.get(f"{key}.{i}") for i in range(len(value))]
        if any(marks) or any(isinstance(v, Dim) for v in value):
            items = zip(value, marks, strict=True)
            holes = (Hole(v, hint=mark, field=f"{key}.{k}") for k, (v, mark) in enumerate(items))
            return Tree(Form.TUPLE, "", tuple(holes))
    return Hole(value, leaf.role, plain_value(leaf.default), hints.get(key), leaf.dim, key)


def plain_value(value: object) -> object:
    """Dims that are known as ints, in tuples too."""
    if isinstance(value, Dim):
        known = value.known
        return value if known is None else known
    if isinstance(value, (tuple, list)):
        return tuple(map(plain_value, value))
    return value
