"""Subscripts: `x[:, 0]`, `x[..., 2:5]`, `x[none]`, and tensors as positions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, final

import numpy as np

from compiler.ir.coupling import Coupling, CutTensor, Part, result
from compiler.ir.domain import Domain
from compiler.ir.graph import Node, Op
from compiler.ir.inputs import NodeInput, OnnxInput, Port, list_values
from compiler.ir.onnx_builder import OnnxBuilder, Values
from compiler.ir.operands import Array, Assume, Results, Types
from compiler.ops.axes import need_index, operand_type, places, squeeze, unsqueeze
from compiler.ops.broadcasting import broadcast_shapes
from compiler.ops.gathering import TakeAlong, gather_together
from compiler.ops.items import IndexItem, NewAxis, Rest, SliceItem, TensorIndex
from compiler.ops.registry import OPS
from compiler.records import dataclass
from compiler.report.diagnostics import Fault
from compiler.report.messages.tensor_operands import (
    bad_option,
    empty_slice,
    index_outside,
    indices_apart,
    too_many_indices,
)
from compiler.types.dims import Dim, at_most
from compiler.types.tensor import DType, TensorType
from compiler.vocabulary.signature import Operand
from compiler.vocabulary.spelling import In, Leaf, Name, SliceTerm, Spelling, Term
from compiler.vocabulary.spelling import Index as IndexTerm

END = np.iinfo(np.int64).max
FULL = SliceItem()


@dataclass(frozen=True)
class Entry:
    """One item of a subscript without `...`: what it is and the axis of x that it takes."""

    item: int | Dim | SliceItem | NewAxis | TensorIndex
    axis: int | None  # None for a new axis


def lay_out(items: Sequence[IndexItem], x: TensorType) -> tuple[Entry, ...]:
    """The items with their axes, `...` and what is left out written as whole axes.

    Raises:
        Fault: there are more items than axes, or `...` stands twice.
    """
    taken = sum(not isinstance(i, NewAxis | Rest) for i in items)
    rests = sum(isinstance(i, Rest) for i in items)
    if taken > x.rank:
        raise Fault(lambda where: too_many_indices(where.call, taken, x, places(where, 1)))
    if rests > 1:
        raise Fault(lambda where: bad_option(where.call, "index", "...", "it can appear only once"))
    whole = [FULL] * (x.rank - taken)
    written: list[int | Dim | SliceItem | NewAxis | TensorIndex] = []
    for item in (*items, *(() if rests else (Rest(),))):
        if isinstance(item, Rest):
            written += whole
        else:
            written.append(item)
    entries, axis = [], 0
    for piece in written:
        if isinstance(piece, NewAxis):
            entries.append(Entry(piece, None))
        else:
            entries.append(Entry(piece, axis))
            axis += 1
    return tuple(entries)


def _slice_length(item: SliceItem, x: TensorType, axis: int, assume: Assume) -> Dim:
    """How many entries a slice takes.

    Raises:
        Fault: none, or the step is not above 0.
    """
    if item.step < 1:
        hint = "`flip` turns an axis round" if item.step < 0 else None
        reason = f"{item.step} is not above 0"
        raise Fault(lambda where: bad_option(where.call, "index", "step", reason, hint))
    size = x.shape[axis]
    start = Dim.of(0) if item.start is None else _bound(Dim.of(item.start), size, assume)
    stop = size if item.stop is None else _bound(Dim.of(item.stop), size, assume)
    some = at_most(start + 1, stop)
    if some is False:
        raise Fault(lambda where: empty_slice(where.call, str(item), axis, x, places(where, 1)))
    if some is None:
        assume(start + 1, "<=", stop)
    return stop - start if item.step == 1 else (stop - start + item.step - 1) // item.step


def _bound(bound: Dim, size: Dim, assume: Assume) -> Dim:
    """A bound counted from the front, cut off at the ends of the axis as in Python. Where it is
    not known on which side of an end it lies, it is assumed to be inside."""
    least = at_most(Dim.of(0), bound)
    if least is None:
        assume(Dim.of(0), "<=", bound)
    elif not least:
        bound = size + bound
        inside = at_most(Dim.of(0), bound)
        if inside is None:
            assume(Dim.of(0), "<=", bound)
        elif not inside:
            return Dim.of(0)
    inside = at_most(bound, size)
    if inside is None:
        assume(bound, "<=", size)
    return size if inside is False else bound


def _check_index(item: int | Dim, x: TensorType, axis: int, assume: Assume) -> None:
    index, size = Dim.of(item), x.shape[axis]
    negative = at_most(index, -1) is True
    needed = -index if negative else index + 1
    inside = at_most(needed, size)
    if inside is None:
        assume(needed, "<=", size)
    elif not inside:
        raise Fault(lambda where: index_outside(where.call, str(item), axis, x, places(where, 1)))
    if not negative and at_most(Dim.of(0), index) is None:
        assume(Dim.of(0), "<=", index)


@OPS.register
@final
@dataclass(frozen=True)
class Index(Op):
    """Entries of a tensor: what `x[…]` stands for.

    A number takes one entry and drops the axis (below 0 from the end), `start:stop:step` takes
    a range, `none` adds an axis of size 1, `...` stands for the axes that are not named. A
    tensor of whole numbers takes an entry for each of them: `f32[v, d]` indexed by `i64[n, t]`
    is `f32[n, t, d]`; several such tensors stand side by side and pick together.

    Shapes: as the items say.
    Errors: W0384 outside the axis, W0385 for too many items, W0386 for an empty slice, W0382
    for a tensor that holds no positions, W0396 for tensors that stand apart.
    Example:

        input table: f32[100, 8]
        first = x[:, 0]
        some = x[..., 2:5]
        rows = table[tokens]

    Source: https://numpy.org/doc/stable/user/basics.indexing.html
    """

    name = "index"
    cuts = True
    onnx_bfloat = True
    moves = True
    operands = (Operand("tensors", variadic=True),)

    items: tuple[IndexItem, ...]

    def infer(self, assume: Assume, x: TensorType, *indices: TensorType) -> tuple[TensorType, ...]:
        entries = lay_out(self.items, x)
        picked = self._picked(entries, x, indices, assume)
        shape: list[Dim] = []
        for entry in entries:
            match entry.item:
                case NewAxis():
                    shape.append(Dim.of(1))
                case SliceItem() as item if item == FULL:
                    shape.append(x.shape[entry.axis or 0])
                case SliceItem() as item:
                    shape.append(_slice_length(item, x, entry.axis or 0, assume))
                case TensorIndex():
                    shape += picked
                    picked = ()
                case number:
                    _check_index(number, x, entry.axis or 0, assume)
        return (TensorType(x.dtype, tuple(shape)),)

    def _picked(
        self, entries: Sequence[Entry], x: TensorType, indices: Types, assume: Assume
    ) -> tuple[Dim, ...]:
        """The common shape of the tensors that index."""
        at = [i for i, e in enumerate(entries) if isinstance(e.item, TensorIndex)]
        if not at:
            return ()
        between = [e for e in entries[at[0] : at[-1]] if not isinstance(e.item, int | Dim)]
        if any(not isinstance(e.item, TensorIndex) for e in between):
            raise Fault(lambda where: indices_apart(where.call, x, places(where, 1)))
        types = []
        for entry in entries:
            if isinstance(entry.item, TensorIndex):
                found = operand_type(indices, entry.item.operand - 1)
                need_index(self.name, found, operand=entry.item.operand)
                types.append(found)
        return broadcast_shapes(types, assume)

    def domains(self, x: NodeInput, *indices: NodeInput) -> Mapping[NodeInput, Domain]:
        return {
            indices[entry.item.operand - 1]: Domain(x.shape[entry.axis])
            for entry in lay_out(self.items, x.type)
            if isinstance(entry.item, TensorIndex) and entry.axis is not None
        }

    def evaluate(self, x: Array, *indices: Array) -> tuple[Array, ...]:
        entries = lay_out(self.items, TensorType.of(DType.F32, x.shape))
        basic = x[tuple(_numpy_item(e.item) for e in entries)]
        kept = [e for e in entries if not isinstance(e.item, int | Dim)]
        at = [i for i, e in enumerate(kept) if isinstance(e.item, TensorIndex)]
        if not at:
            return (basic,)
        tensors = [indices[e.item.operand - 1] for e in kept if isinstance(e.item, TensorIndex)]
        return (basic[(*[slice(None)] * at[0], *tensors)],)

    def couple(self, outputs: Results, x: NodeInput, *indices: NodeInput) -> Coupling:
        at = 0
        ties: list[tuple[Port, ...]] = []
        parts = []
        for entry in lay_out(self.items, x.type):
            match entry.item, entry.axis:
                case SliceItem() as item, int() as axis:
                    start, size = _first(item, x.shape[axis]), x.shape[axis].known
                    if item == FULL:
                        ties.append((x.axis(axis), result(at)))
                    elif item.step == 1 and start is not None and size is not None:
                        parts.append(Part(x.axis(axis), result(at), start))
                    at += 1
                case NewAxis(), _:
                    at += 1
                case TensorIndex(), _:
                    return self._couple_rest(x, outputs[0])
        return Coupling(tuple(ties), tuple(parts))

    def _couple_rest(self, x: NodeInput, y: TensorType) -> Coupling:
        """The rule where tensors index: whole axes behind the last of them."""
        entries = lay_out(self.items, x.type)
        behind = 0
        while (
            isinstance(entries[-1 - behind].item, SliceItem) and entries[-1 - behind].item == FULL
        ):
            behind += 1
        axes = range(1, behind + 1)
        return Coupling(tuple((x.axis(x.rank - a), result(y.rank - a)) for a in axes))

    def cut(self, inputs: Sequence[CutTensor | None], outputs: Sequence[CutTensor]) -> Op:
        x = inputs[0]
        assert x is not None, "a subscript has a tensor"
        items = list(self.items)
        places = [i for i, item in enumerate(items) if not isinstance(item, Rest)]
        entries = lay_out(self.items, x.old)
        rest = len(entries) - len(places)
        for place in places:
            hidden = any(isinstance(i, Rest) for i in items[:place])
            entry = entries[place - 1 + rest if hidden else place]
            if isinstance(entry.item, SliceItem) and entry.item != FULL and entry.axis is not None:
                items[place] = _cut_slice(entry.item, x, entry.axis)
        return replace(self, items=tuple(items))

    def torch(self, node: Node) -> Spelling:
        items = list(enumerate(self.items))
        if all(item == FULL or isinstance(item, Rest) for _, item in items):
            return Spelling(In(0))
        return Spelling(IndexTerm(In(0), tuple(_torch_item(i, item) for i, item in items)))

    def onnx(
        self, build: OnnxBuilder, outputs: Results, x: OnnxInput, *indices: OnnxInput
    ) -> Values:
        entries = lay_out(self.items, x.type)
        value = _write_slices(build, x.value, entries)
        kept = [e for e in entries if not isinstance(e.item, int | Dim | NewAxis)]
        at = [i for i, e in enumerate(kept) if isinstance(e.item, TensorIndex)]
        chosen = [indices[e.item.operand - 1] for e in kept if isinstance(e.item, TensorIndex)]
        picked: tuple[Dim, ...] = ()
        if chosen:
            index_types = [index.type for index in chosen]
            picked = broadcast_shapes(index_types, lambda *_: None)
            rank = len(kept)
            value = gather_together(
                build, value, rank, at[0], list_values(*chosen), index_types, picked
            )
        return [unsqueeze(build, value, _new_axes(entries, len(picked)))]

    def over_rows(self, operands: Types, rows: Dim) -> Op | None:
        tensors = [i for i, item in enumerate(self.items) if isinstance(item, TensorIndex)]
        if not tensors:
            return Index((FULL, *self.items))
        others = [i for i in self.items[1:] if i != FULL and not isinstance(i, Rest)]
        single = len(operands) == 2 and operand_type(operands, 1).rank < 2
        return TakeAlong(axis=1) if single and tensors == [0] and not others else None


def _first(item: SliceItem, size: Dim) -> int | None:
    """Where a slice of an axis begins, counted from the front; None where that is not known."""
    start = Dim.of(item.start or 0)
    least = start if start.known is None or start.known >= 0 else size + start
    return None if least.known is None else max(least.known, 0)


def _cut_slice(item: SliceItem, x: CutTensor, axis: int) -> SliceItem:
    """The slice that takes what is left of what it took."""
    if not x.is_cut(axis):
        return item
    size = x.old.shape[axis]
    bounds = [
        None if bound is None else x.count_before(axis, _first(SliceItem(bound), size) or 0)
        for bound in (item.start, item.stop)
    ]
    return SliceItem(bounds[0], bounds[1], item.step)


def _numpy_item(item: object) -> Any:
    match item:
        case SliceItem(start, stop, step):
            return slice(_number(start), _number(stop), step)
        case NewAxis():
            return None
        case TensorIndex():
            return slice(None)
        case int() | Dim():
            return _number(item)
    raise TypeError(f"{item!r} is not an index")


def _number(bound: int | Dim | None) -> int | None:
    return None if bound is None else Dim.of(bound).evaluate({})


def _torch_item(place: int, item: IndexItem) -> Term | SliceTerm:
    field = f"items.{place}"
    match item:
        case SliceItem(start, stop, step):
            return SliceTerm(
                None if start is None else Leaf(start, "start", field=f"{field}.start"),
                None if stop is None else Leaf(stop, "stop", field=f"{field}.stop"),
                None if step == 1 else Leaf(step, "step", field=f"{field}.step"),
            )
        case NewAxis():
            return Name("None")
        case Rest():
            return Name("...")
        case TensorIndex(operand):
            return In(operand)
        case number:
            return Leaf(number, "index", field=field)


def _write_slices(build: OnnxBuilder, x: Any, entries: Sequence[Entry]) -> Any:
    """The slices in one node, and the numbers with them, or by a Gather if there is one."""
    numbers = [e for e in entries if isinstance(e.item, int | Dim)]
    single = numbers[0] if len(numbers) == 1 else None
    index = None if single is None else Dim.of(single.item).known  # type: ignore[arg-type]
    bounds: list[tuple[int, Dim, Dim, int]] = []
    for entry in entries:
        axis = entry.axis or 0
        match entry.item:
            case SliceItem(start, stop, step) as item if item != FULL:
                low = Dim.of(0 if start is None else start)
                bounds.append((axis, low, Dim.of(END if stop is None else stop), step))
            case int() | Dim() as item if index is None:
                low = Dim.of(item)
                bounds.append((axis, low, Dim.of(END) if low == -1 else low + 1, 1))
    value = _slice(build, x, bounds) if bounds else x
    if single is not None and index is not None:
        place = build.constant(np.array(index, np.int64))
        return build.op("Gather", [value, place], {"axis": single.axis})
    return squeeze(build, value, [e.axis or 0 for e in numbers]) if numbers else value


def _slice(build: OnnxBuilder, x: Any, bounds: Sequence[tuple[int, Dim, Dim, int]]) -> Any:
    axes, starts, stops, steps = zip(*bounds, strict=True)
    inputs = [x, build.shape(starts), build.shape(stops), build.shape([Dim.of(a) for a in axes])]
    if any(step != 1 for step in steps):
        inputs.append(build.shape([Dim.of(s) for s in steps]))
    return build.op("Slice", inputs)


def _new_axes(entries: Sequence[Entry], picked: int) -> list[int]:
    """Where new axes stand in the result; the tensors that index made `picked` axes together."""
    axes: list[int] = []
    at, done = 0, False
    for entry in entries:
        match entry.item:
            case NewAxis():
                axes.append(at)
                at += 1
            case SliceItem():
                at += 1
            case TensorIndex() if not done:
                at += picked
                done = True
    return axes
