"""The same elements in another shape: reshape and flatten."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Self, final

from compiler.ir.coupling import Coupling, CutTensor, cut_shape, factor_shapes
from compiler.ir.graph import Node, Op
from compiler.ir.hint import hint_names
from compiler.ir.inputs import NodeInput, OnnxInput
from compiler.ir.onnx_builder import OnnxBuilder, Values
from compiler.ir.operands import Array, Assume, Results, Types
from compiler.ir.symbols import Slopes, Symbol
from compiler.ir.tracing import Trace
from compiler.ops.axes import operand_type, places, resolve_axis
from compiler.ops.items import Rest, ShapeItem
from compiler.ops.registry import OPS
from compiler.records import dataclass
from compiler.report.diagnostics import Fault
from compiler.report.messages.tensor_operands import bad_option
from compiler.report.messages.tensor_shapes import elements_differ, no_whole_rest
from compiler.types.dims import Dim, DimError, equal, product
from compiler.types.tensor import DType, TensorType
from compiler.vocabulary import spelling
from compiler.vocabulary.signature import Operand
from compiler.vocabulary.spelling import Call, In, Leaf, Method, Spelling, Term

Shape = tuple[Dim, ...]


def shape_text(shape: Sequence[ShapeItem]) -> str:
    """A shape as specs write it."""
    return f"[{', '.join(map(str, shape))}]"


def resolve_shape(x: TensorType, shape: Sequence[ShapeItem], assume: Assume) -> Shape:
    """The sizes that a shape with `...` or -1 stands for when `x` is reshaped to it.

    Raises:
        Fault: the number of elements differs, or what is left for `...` or -1 is not whole.
    """
    open_items = [i for i, d in enumerate(shape) if isinstance(d, Rest) or d == -1]
    if len(open_items) > 1:
        raise _refusal(x, shape, "only one of its sizes can be left open, as `...` or -1")
    small = next(
        (d for d in shape if not isinstance(d, Rest) and (Dim.of(d).known or 1) < -1), None
    )
    if small is not None or 0 in shape:
        raise _refusal(x, shape, f"{0 if small is None else small} is not a size")
    if not open_items:
        return _check_elements(x, tuple(_size(d) for d in shape), assume)
    place = open_items[0]
    before = tuple(_size(d) for d in shape[:place])
    after = tuple(_size(d) for d in shape[place + 1 :])
    if isinstance(shape[place], Rest):
        return _resolve_rest(x, shape, before, after, assume)
    others = product((*before, *after))
    try:
        return (*before, x.size / others, *after)
    except DimError:
        reason = f"{x.size} elements are not provably a multiple of {others}"
        raise _refusal(x, shape, reason) from None


def _is_size(item: int | Dim) -> bool:
    number = Dim.of(item).known
    return number is None or number > 0 or number == -1


def _size(item: ShapeItem) -> Dim:
    assert not isinstance(item, Rest)
    return Dim.of(item)


def _check_elements(x: TensorType, target: Shape, assume: Assume) -> Shape:
    elements = product(target)
    same = elements == x.size or equal(elements, x.size)
    if same is None:
        assume(elements, "==", x.size)
    elif not same:
        text = shape_text(target)
        raise Fault(
            lambda where: elements_differ(
                where.argument("shape"), x, text, str(elements), places(where, 1)
            )
        )
    return target


def _resolve_rest(
    x: TensorType, shape: Sequence[ShapeItem], before: Shape, after: Shape, assume: Assume
) -> Shape:
    """`...` stands for as many axes of `x`, following those named before it, as leave the
    elements that the sizes after it hold."""
    if len(before) > x.rank:
        raise _refusal(x, shape, f"{len(before)} sizes are before `...`")
    for wanted, found in zip(before, x.shape, strict=False):
        same = equal(wanted, found)
        if same is None:
            assume(wanted, "==", found)
        elif not same:
            raise _refusal(x, shape, f"{wanted} is before `...`, where {x} has {found}")
    wanted = product(after)
    for end in range(x.rank, len(before) - 1, -1):
        if product(x.shape[end:]) == wanted:
            return (*before, *x.shape[len(before) : end], *after)
    raise _refusal(x, shape, f"the sizes after `...` hold {wanted}, and no last axes of {x} do")


def _refusal(x: TensorType, shape: Sequence[ShapeItem], reason: str) -> Fault:
    text = shape_text(shape)
    return Fault(
        lambda where: no_whole_rest(where.argument("shape"), x, text, reason, places(where, 1))
    )


@dataclass(frozen=True)
class Change:
    """Where two shapes differ: axes [start, source_end) became axes [start, target_end)."""

    start: int
    source_end: int
    target_end: int


def find_change(source: Shape, target: Shape) -> Change:
    """The smallest range of axes outside of which two shapes of equal size are the same."""
    start = 0
    while start < min(len(source), len(target)) and source[start] == target[start]:
        start += 1
    back = 0
    room = min(len(source), len(target)) - start
    while back < room and source[-1 - back] == target[-1 - back]:
        back += 1
    return Change(start, len(source) - back, len(target) - back)


def _trace_shape(axis: int, source: Shape, target: Shape) -> Trace | None:
    """The same axis, where all sizes before it, or all behind it, stay."""
    if source[: axis + 1] == target[: axis + 1]:
        return (axis,)
    behind = len(target) - axis
    if source[-behind:] == target[-behind:] and behind <= len(source):
        return (len(source) - behind,)
    return None


@OPS.register
@final
@dataclass(frozen=True)
class Reshape(Op):
    """The same elements, in the same order, in another shape.

    The number of elements must be provably the same. One size may be -1: it is computed from
    the others. One `...` keeps leading axes: as many as leave what the sizes after it hold;
    sizes before it repeat those of x. `f32[n, t, 12]` with `[..., 3, 4]` is `f32[n, t, 3, 4]`.

    Shapes: x `f32[...]` -> `f32[shape…]`.
    Errors: W0378 where the elements differ, W0379 where `...` or -1 stands for nothing whole.
    Example: `y = sequence -> reshape([n, t, 4, 16])`
    Source: https://docs.pytorch.org/docs/stable/generated/torch.reshape.html
    """

    name = "reshape"
    keeps_channels = True
    reshapes = True
    onnx_bfloat = True
    in_integers = "moves"
    moves = True
    operands = (Operand("x"),)

    shape: tuple[ShapeItem, ...]

    def infer(self, assume: Assume, x: TensorType) -> tuple[TensorType, ...]:
        return (TensorType(x.dtype, resolve_shape(x, self.shape, assume)),)

    def evaluate(self, x: Array) -> tuple[Array, ...]:
        type_ = TensorType.of(DType.F32, x.shape)
        target = resolve_shape(type_, self.shape, lambda *_: None)
        return (x.reshape([d.evaluate({}) for d in target]),)

    def pull_back(self, slope: Symbol, result: Symbol, x: Symbol) -> Slopes:
        return [slope.reshape(x.shape)]

    def couple(self, outputs: Results, x: NodeInput) -> Coupling:
        ties, factors = factor_shapes(x, outputs[0].shape)
        return Coupling(ties, factors=factors)

    def cut(self, inputs: Sequence[CutTensor | None], outputs: Sequence[CutTensor]) -> Op:
        shape, x = cut_shape(self.shape, outputs[0]), inputs[0]
        assert x is not None, "a reshape has an input"
        wanted = outputs[0].type.shape
        # What `...` stands for may be another number of axes once sizes are 1.
        found = resolve_shape(x.type, shape, lambda *_: None)
        return replace(self, shape=shape if found == wanted else wanted)

    def torch(self, node: Node) -> Spelling:
        value = node.inputs[0]
        assert value is not None
        source, target = value.type.shape, node.output.type.shape
        leaves, change = self._leaves(node), find_change(source, target)
        fresh = change.source_end == change.start == change.target_end - 1
        if fresh and change.start < len(source) and self._is_named(node, change.start):
            short = _spell_unflatten(leaves, change.start, change.target_end + 1, len(source))
        else:
            short = spell_reshape(source, target, leaves)
        return replace(short, general=Method(In(0), "reshape", _leave_one_open(leaves, 0)))

    def _is_named(self, node: Node, axis: int) -> bool:
        """Whether the author wrote the size of an axis as an expression: `heads` that is 1 splits
        an axis like any other number of heads."""
        hint = node.origin.hint.get(f"shape.{axis}")
        return hint is not None and any(True for _ in hint_names(hint))

    def _leaves(self, node: Node) -> tuple[Leaf, ...]:
        """The new sizes as leaves, with the entry of the field that each came from. A known one
        that the author left open stays open: it may change with the arguments of a class."""
        value = node.inputs[0]
        assert value is not None
        source, target = value.type.shape, node.output.type.shape
        shown = all(d.known is not None or d in source for d in target)
        rest = next((i for i, d in enumerate(self.shape) if isinstance(d, Rest)), len(target))
        behind = len(target) - len(self.shape)
        leaves = []
        for axis, dim in enumerate(target):
            entry = axis if axis < rest else axis - behind if axis - behind > rest else None
            if entry is not None and self.shape[entry] == -1 and dim.known is not None and shown:
                leaves.append(Leaf(-1))
                continue
            field = None if entry is None else f"shape.{entry}"
            leaves.append(Leaf(dim, f"dim{axis}", field=field, dim=("out", 0, axis)))
        return tuple(leaves)

    def onnx(self, build: OnnxBuilder, outputs: Results, x: OnnxInput) -> Values:
        return [build.reshape(x.value, x.shape, outputs[0].shape)]

    def over_rows(self, operands: Types, rows: Dim) -> Self:
        return replace(self, shape=(rows, *self.shape))

    def trace_axis(self, axis: int, inputs: Types, outputs: Sequence[TensorType]) -> Trace | None:
        return _trace_shape(axis, operand_type(inputs, 0).shape, outputs[0].shape)

    def reshape(self, shape: Sequence[Dim]) -> Op:
        return replace(self, shape=tuple(shape))


def spell_reshape(source: Shape, target: Shape, leaves: tuple[Leaf, ...]) -> Spelling:
    """How a person writes a reshape: `flatten` where axes merge, `unflatten` where one splits,
    `unsqueeze` and `squeeze` for axes of size 1, `reshape` for the rest."""
    change = find_change(source, target)
    merged = change.source_end - change.start
    made = change.target_end - change.start
    if merged == 0 and made == 0:
        return Spelling(In(0))
    if merged == 0 and made == 1:
        return Spelling(Method(In(0), "unsqueeze", (_axis(change.start, len(target)),)))
    if merged == 1 and made == 0:
        return Spelling(Method(In(0), "squeeze", (_axis(change.start, len(source)),)))
    if made == 1 and merged > 1:
        return _spell_flatten(change.start, change.source_end - 1, len(source))
    if merged == 1 and made > 1:
        return _spell_unflatten(leaves, change.start, change.target_end, len(source))
    return Spelling(Method(In(0), "reshape", _leave_one_open(leaves, 0)))


def _spell_unflatten(leaves: Sequence[Leaf], start: int, end: int, rank: int) -> Spelling:
    """The axis `start` of a tensor of that rank becomes the axes [start, end) of the result."""
    sizes = spelling.Sequence(_leave_one_open(leaves[start:end], end - start))
    module = Call("nn.Unflatten", (Leaf(start), sizes))
    return Spelling(Method(In(0), "unflatten", (_axis(start, rank), sizes)), module=module)


def _axis(axis: int, rank: int) -> Leaf:
    """-1 for the last axis, as people write it."""
    return Leaf(-1 if axis == rank - 1 and axis > 0 else axis)


def _spell_flatten(start: int, end: int, rank: int) -> Spelling:
    last = -1 if end == rank - 1 else end
    args: tuple[Term, ...] = (Leaf(start, "start", field="start"),)
    if last != -1:
        args = (*args, Leaf(last, "end", field="end"))
    bounds = () if (start, last) == (1, -1) else args
    if (start, last) == (0, -1):
        return Spelling(Method(In(0), "flatten"), module=Call("nn.Flatten", args))
    return Spelling(Method(In(0), "flatten", args), module=Call("nn.Flatten", bounds))


def _leave_one_open(leaves: Sequence[Leaf], pair: int) -> tuple[Term, ...]:
    """Sizes with -1 for the one that PyTorch can work out: the symbolic one that takes the most
    words; of two that split an axis, the second. None where one is open already."""
    if any(leaf.value == -1 for leaf in leaves):
        return tuple(leaves)
    unknown = [i for i, leaf in enumerate(leaves) if _known(leaf) is None]
    if unknown:
        place = max(unknown, key=lambda i: (len(str(leaves[i].value)), -i))
    elif pair == 2:
        place = 1
    else:
        return tuple(leaves)
    return tuple(Leaf(-1) if i == place else leaf for i, leaf in enumerate(leaves))


def _known(leaf: Leaf) -> int | None:
    return Dim.of(leaf.value).known if isinstance(leaf.value, int | Dim) else None


@OPS.register
@final
@dataclass(frozen=True)
class Flatten(Op):
    """Neighbouring axes made one: those from `start` to `end`, both included.

    With the defaults everything behind the first axis becomes one: `f32[n, c, h, w]` is
    `f32[n, c * h * w]` then.

    Shapes: x `f32[a…, b…, c…]` -> `f32[a…, product of b…, c…]`.
    Errors: W0376 where there is no such axis, W0392 where `end` stands before `start`.
    Example: `y = image -> flatten -> dense(10)`
    Source: https://docs.pytorch.org/docs/stable/generated/torch.flatten.html
    """

    name = "flatten"
    row_axes = ("start", "end")
    keeps_channels = True
    reshapes = True
    onnx_bfloat = True
    in_integers = "moves"
    moves = True
    operands = (Operand("x"),)

    start: int = 1
    end: int = -1

    def infer(self, assume: Assume, x: TensorType) -> tuple[TensorType, ...]:
        start = resolve_axis(self.name, self.start, x, option="start")
        end = resolve_axis(self.name, self.end, x, option="end")
        if end < start:
            reason = f"axis {self.end} is before axis {self.start} in {x}"
            raise Fault(lambda where: bad_option(where.argument("end"), "flatten", "end", reason))
        merged = product(x.shape[start : end + 1])
        return (TensorType(x.dtype, (*x.shape[:start], merged, *x.shape[end + 1 :])),)

    def evaluate(self, x: Array) -> tuple[Array, ...]:
        start, end = self.start % x.ndim, self.end % x.ndim
        return (x.reshape(*x.shape[:start], -1, *x.shape[end + 1 :]),)

    def pull_back(self, slope: Symbol, result: Symbol, x: Symbol) -> Slopes:
        return [slope.reshape(x.shape)]

    def couple(self, outputs: Results, x: NodeInput) -> Coupling:
        ties, factors = factor_shapes(x, outputs[0].shape)
        return Coupling(ties, factors=factors)

    def torch(self, node: Node) -> Spelling:
        value = node.inputs[0]
        assert value is not None
        rank = value.type.rank
        return _spell_flatten(self.start % rank, self.end % rank, rank)

    def onnx(self, build: OnnxBuilder, outputs: Results, x: OnnxInput) -> Values:
        if x.rank > 2 and self.start % x.rank == 1 and self.end % x.rank == x.rank - 1:
            return [build.op("Flatten", [x.value])]
        return [build.reshape(x.value, x.shape, outputs[0].shape)]

    def trace_axis(self, axis: int, inputs: Types, outputs: Sequence[TensorType]) -> Trace | None:
        return _trace_shape(axis, operand_type(inputs, 0).shape, outputs[0].shape)
