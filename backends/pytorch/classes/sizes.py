"""Sizes that are known only when running: which tensor at hand shows them."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from backends.pytorch.classes.algebra import write_dim, write_symbols
from backends.pytorch.classes.merged import Formal, Merged, MergedClass
from backends.pytorch.classes.settings import Settings
from backends.pytorch.fold.items import FromOwn
from backends.pytorch.fold.printed import Printed
from backends.pytorch.terms.naming import AXIS_NAMES
from backends.pytorch.terms.setting import Setting
from backends.pytorch.terms.terms import Form, Many, Operand, Tree
from compiler.ir.graph import Node, Value
from compiler.ir.hint import (
    Hint,
    HintName,
    rename_hint,
)
from compiler.ir.operands import Assume
from compiler.report.diagnostics import Fault
from compiler.types.dims import Dim, DimError, Quotient, Symbol
from compiler.types.tensor import TensorType


class Inexpressible(Exception):
    """A symbolic size that no tensor of a class shows: its frames must print inline."""

    def __init__(self, target: MergedClass) -> None:
        super().__init__(target.block)
        self.target = target


class Sizes:
    """Expressions for symbolic sizes in the body of `forward`."""

    def __init__(self, target: MergedClass, settings: Settings) -> None:
        self.target = target
        self.settings = settings

    def solve(self, item: Merged, leaf: Many) -> None:
        """Finds what to print for a leaf whose value is symbolic in some instance.

        Raises:
            Inexpressible: nothing at hand shows it.
        """
        hint = next(
            (h for hint in leaf.hints if (h := self.settings.holds(hint, leaf.values)) is not None),
            None,
        )
        hint = hint or self._find_formal(leaf) or self._write_polynomial(leaf)
        if hint is not None:
            leaf.solution = self.settings.use(hint, in_forward=True)
            return
        shown = self._find_operand(item, leaf)
        if shown is None:
            raise Inexpressible(self.target)
        leaf.solution = shown

    def _find_formal(self, leaf: Many) -> Hint | None:
        """A size of an input that is the same in every instance."""
        for place in range(len(self.target.places)):
            for axis in range(self.target.type_of(Formal(place), 0).rank):
                sizes = {i: self.target.axis(Formal(place), axis, i) for i in leaf.values}
                if sizes == leaf.values:
                    return HintName(self._name(place, axis).name)
        return None

    def _name(self, place: int, axis: int) -> Setting:
        """The setting that stands for a size of an input."""
        known = self.settings.find_size(place, axis)
        if known is not None:
            return known
        size = self.target.axis(Formal(place), axis, 0)
        rank = self.target.type_of(Formal(place), 0).rank
        wish = AXIS_NAMES.get(rank, "")[axis : axis + 1] or "size"
        if isinstance(size, Dim) and size.symbols and size == Dim.of(next(iter(size.symbols))):
            wish = str(size)
        made = self.settings.add_size(self.settings.free(wish), place, axis)
        assert made is not None
        return made

    def _write_polynomial(self, leaf: Many) -> Hint | None:
        """The size as arithmetic on sizes of the inputs."""
        first = leaf.literal
        if not isinstance(first, Dim):
            return None
        instance = next(iter(leaf.values))
        places: dict[Symbol | Quotient, tuple[int, int]] = {}
        for place in range(len(self.target.places)):
            shape = self.target.type_of(Formal(place), instance).shape
            for axis, size in enumerate(shape):
                match size.terms:
                    case ((((atom, 1),), 1),):
                        places.setdefault(atom, (place, axis))
        used: dict[Symbol | Quotient, tuple[int, int]] = {}
        draft = write_dim(first, places, used)
        if draft is None:
            return None
        named: dict[str, Hint] = {
            str(atom): HintName(self._name(*where).name) for atom, where in used.items()
        }
        return self.settings.holds(rename_hint(draft, named), leaf.values)

    def _find_operand(self, item: Merged, leaf: Many) -> Tree | None:
        """`x.shape[1]` of a tensor that the node reads."""
        for index, ref in enumerate(item.refs):
            if isinstance(ref, FromOwn):
                continue
            for axis in range(self.target.type_of(ref, min(leaf.values)).rank):
                if {i: self.target.axis(ref, axis, i) for i in leaf.values} == leaf.values:
                    return size_of(Operand(index), axis)
        return None


def size_of(tensor: Tree | Operand, axis: int) -> Tree:
    """`tensor.shape[axis]`."""
    shape = Tree(Form.ATTRIBUTE, "shape", (tensor,))
    return Tree(Form.INDEX, "", (shape, Tree(Form.LITERAL, str(axis))))


SIZE = "size"
"""What the unknown size is called while shapes are inferred."""


def infer_size(
    nodes: Sequence[Node], source: tuple[str, int], wished: tuple[str, int]
) -> Hint | None:
    """A size of a value as an expression in `SIZE`, which stands for a size of another; None
    where it does not depend on it, or where the operations take that size only."""
    size = infer_dim(nodes, [source], wished, take_promise)
    return None if size is None or SIZE not in size.symbols else write_symbols(size)


def may_follow(nodes: Sequence[Node], source: tuple[str, int], wished: tuple[str, int]) -> bool:
    """Whether a size of a value may depend on a size of another: also where operations take that
    size only together with others, or with their options as they are."""
    return may_follow_all(nodes, [source], wished)


def may_follow_all(
    nodes: Sequence[Node], sources: Collection[tuple[str, int]], wished: tuple[str, int]
) -> bool:
    """The same of a size that several others share."""
    promised: set[str] = set()

    def note(left: Dim, relation: str, right: Dim) -> None:
        promised.update(left.symbols | right.symbols)

    size = infer_dim(nodes, sources, wished, note)
    return size is None or SIZE in size.symbols | promised


def infer_dim(
    nodes: Sequence[Node],
    sources: Collection[tuple[str, int]],
    wished: tuple[str, int],
    assume: Assume,
) -> Dim | None:
    """A size of a value where sizes of others are `SIZE`; None where operations refuse that."""
    types: dict[str, TensorType] = {}
    unknown = Dim.of(SIZE)

    def type_of(value: Value) -> TensorType:
        rank = value.type.rank
        axes = [axis for name, axis in sources if name == value.name and -rank <= axis < rank]
        if not axes:
            return types.get(value.name, value.type)
        shape = list(value.type.shape)
        for axis in axes:
            shape[axis] = unknown
        return TensorType(value.type.dtype, tuple(shape))

    try:
        for node in nodes:
            if isinstance(node.op, Printed):
                return None  # its type is that of what it stands for
            given = [None if v is None else type_of(v) for v in node.inputs]
            made = node.op.infer(assume, *given)
            types.update((v.name, t) for v, t in zip(node.outputs, made, strict=True))
    except (Fault, DimError):
        return None
    found = types.get(wished[0])
    if found is None or not -found.rank <= wished[1] < found.rank:
        return None
    return found.shape[wished[1]]


def take_promise(left: Dim, relation: str, right: Dim) -> None:
    """Sizes for which shapes do not fit are none that the spec takes."""
