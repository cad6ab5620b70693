"""PyTorch spellings as terms: what an op looks like in code, never as text.

The backend explains each leaf (a constructor argument, a literal, a width) before it prints.
"""

from __future__ import annotations

from compiler.records import dataclass
from compiler.vocabulary.no_default import NO_DEFAULT


@dataclass(frozen=True)
class Leaf:
    """A literal of the printed code, with what is known about it.

    `role` is how a constructor parameter made from it would be called; `default` is PyTorch's
    (not printed when equal); `field` is the op's field, the key of the author's hint; `dim` is
    ("in" | "out", index of the tensor, axis) when it is a size of a tensor of the node, and
    ("along", index, axis) when it is computed from sizes of the axes from there on. A value
    may be a `Dim` (printed as `x.shape[0]` and arithmetic where it is symbolic).
    """

    value: object
    role: str = ""
    default: object = NO_DEFAULT
    field: str | None = None
    dim: tuple[str, int, int] | None = None


@dataclass(frozen=True)
class In:
    """The node's input of that index (operands first, then weights).

    `number` says that a plain number may stand here: an input made by a `constant` op then
    prints as its `Spelling.number` (`x * 0.5`), not as a tensor.
    """

    index: int
    number: bool = False


@dataclass(frozen=True)
class Own:
    """`self.<slot>`, or `self.<slot>.<path>`: what the constructor made for this node."""

    path: str = ""


@dataclass(frozen=True)
class Call:
    """`head(args, **kwargs)`; head is a dotted name (`F.relu`), `Own`, or a leaf."""

    head: str | Own | Leaf
    args: tuple[Term, ...] = ()
    kwargs: tuple[tuple[str, Term], ...] = ()


@dataclass(frozen=True)
class Method:
    """`object.name(args, **kwargs)`."""

    object: Term
    name: str
    args: tuple[Term, ...] = ()
    kwargs: tuple[tuple[str, Term], ...] = ()


@dataclass(frozen=True)
class Infix:
    """`left operator right`, with Python's precedence."""

    operator: str
    left: Term
    right: Term


@dataclass(frozen=True)
class Prefix:
    """`-operand`, `~operand`."""

    operator: str
    operand: Term


@dataclass(frozen=True)
class Choose:
    """`then if condition else otherwise`: only one of the two is computed."""

    condition: Term
    then: Term
    otherwise: Term


@dataclass(frozen=True)
class Name:
    """A dotted name that stands for itself: `torch.float32`, `None`, `True`."""

    text: str


@dataclass(frozen=True)
class SliceTerm:
    """`start:stop:step` inside an index."""

    start: Term | None = None
    stop: Term | None = None
    step: Term | None = None


@dataclass(frozen=True)
class Index:
    """`object[items]`; `Name("None")` adds an axis, `Name("...")` is the ellipsis."""

    object: Term
    items: tuple[Term | SliceTerm, ...]


@dataclass(frozen=True)
class Device:
    """The device of the tensors at hand (`x.device` of a tensor in scope), for tensors that an
    expression makes from nothing: `torch.arange(8, device=x.device)`."""


@dataclass(frozen=True)
class Sequence:
    """`(a, b)` or `[a, b]`."""

    items: tuple[Term, ...]
    brackets: str = "()"


@dataclass(frozen=True)
class Attribute:
    """`object.name`."""

    object: Term
    name: str


Term = (
    Leaf
    | In
    | Own
    | Call
    | Method
    | Infix
    | Prefix
    | Choose
    | Name
    | Index
    | Device
    | Sequence
    | Attribute
)


@dataclass(frozen=True)
class Spelling:
    """How a node is written.

    `expression` computes the outputs from `In(k)` and `Own()`; `constructor` makes `self.<slot>`
    (None for stateless ops); `module` is how a stateless op is written inside `nn.Sequential`
    (None where it cannot be); `number` is how a `constant` is written where a plain number may
    stand (`In.number`); `with_number` are expressions to write instead where the input of that
    index is such a number (`x.clamp(min=0.5)` for `torch.maximum`); `general` is a longer form of
    the expression that suits other shapes too, for blocks whose calls would differ in it only.
    """

    expression: Term
    constructor: Term | None = None
    module: Term | None = None
    number: Term | None = None
    with_number: tuple[tuple[int, Term], ...] = ()
    general: Term | None = None
