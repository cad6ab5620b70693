"""Sizes that a tensor has from the tensors that it was made from."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from backends.pytorch.classes.explained import Class, Width
from backends.pytorch.classes.merged import (
    Choice,
    Formal,
    Merged,
    MergedClass,
    MergedRef,
    OutputRef,
)
from backends.pytorch.classes.options import decides_size, find_options, keeps_size
from backends.pytorch.classes.sizes import may_follow_all
from backends.pytorch.terms.terms import Form, Part, Tree
from compiler.ir.graph import Node
from compiler.ir.hint import HintName, hint_names
from compiler.ops.reshaping import Flatten
from compiler.ops.scan import Scan

LEAST_TELLING = 8
"""Smaller sizes are equal by chance."""


def propagate_dim(target: MergedClass, ref: MergedRef, axis: int) -> list[tuple[MergedRef, int]]:
    """Tensors and axes whose size this one may have from them: they agree in every instance."""
    match ref:
        case Choice(base, _, _):
            sizes = {i: target.axis(ref, axis, i) for i in sorted(target.everyone)}
            same = all(target.axis(base, axis, i) == sizes[i] for i in sizes)
            return [(base, axis)] if same else []
        case OutputRef(item, output) if item.sample.scan is not None:
            return _pass_loop(target, item, item.sample.scan, output, axis)
        case OutputRef(item, output):
            inner = _find_class(item)
            if inner is not None:
                return _pass_through(inner, item, output, axis)
            if _is_reshaped(target, item, ref, axis):
                return []
            sizes = {i: target.axis(ref, axis, i) for i in sorted(item.instances)}
            options = find_options(item) if all(map(_is_number, sizes.values())) else set()
            if _is_cut(item) or not _keeps_shape(item, output, axis, options):
                return list(_follow(target, ref, axis, sizes, options))
            places = [p for source in item.refs for p in _alike(target, source, ref, axis, sizes)]
            if len(places) != 1 or not _is_sure(target, ref, axis, *places[0]):
                alike = places if _may_be(ref, axis, places) else []
                places = list(_follow(target, ref, axis, sizes)) or alike
            return places
    return []


def _is_number(size: object) -> bool:
    return isinstance(size, int)


def _is_cut(item: Merged) -> bool:
    """Whether an argument says where a tensor is cut: `x[:, :keep]`, which is whole with one
    value only."""
    bounds = (leaf for leaf in item.leaves() if leaf.field)
    written = (hint for leaf in bounds for hint in leaf.hints)
    cuts = item.sample.traits.cuts
    return cuts and any(True for hint in written for _ in hint_names(hint))


def _find_class(item: Merged) -> Class | None:
    """The class or function that an item calls; turns say themselves how sizes change."""
    trees: list[Part | None] = [v.constructor for v in item.variants]
    found = [tree.target for tree in trees or [item.expression] if isinstance(tree, Tree)]
    return next((one for one in found if isinstance(one, Class)), None)


def _pass_through(
    inner: Class, item: Merged, output: int, axis: int
) -> list[tuple[MergedRef, int]]:
    """What is given to a class, where the class hands a size of it on: that both are equal here
    may be chance."""
    origin = inner.tensors.trace(inner.outputs[output], axis)
    dim = None
    match origin.ref, origin.width:
        case Formal(place), _:
            dim = (place, origin.axis)
        case _, Width(HintName(label)):
            known = inner.names.found.get(label)
            dim = None if known is None else known.dim
    if dim is None or dim[0] >= len(item.refs):
        return []
    return [(item.refs[dim[0]], dim[1])]


def _is_reshaped(target: MergedClass, item: Merged, made: OutputRef, axis: int) -> bool:
    """Whether a number is a product of sizes, or what is left of one: that it equals one of them
    where the others are 1 is chance."""
    if not item.sample.traits.reshapes or len(item.refs) != 1:
        return False
    if not isinstance(target.axis(made, axis, min(item.instances)), int):
        return False
    (source,) = item.refs
    if len(find_merged_axes(target, source, made, axis)) > 1:
        return True
    rank = target.type_of(source, min(item.instances)).rank
    return any(axis in find_split_axes(target, source, made, old) for old in range(rank))


def find_merged_axes(target: MergedClass, source: MergedRef, made: OutputRef, axis: int) -> range:
    """The axes that one axis of a reshaped tensor is the product of, where all others stay."""
    instance = min(made.item.instances)
    old, new = target.type_of(source, instance).shape, target.type_of(made, instance).shape
    count = len(old) - len(new) + 1
    if count < 2 or old[:axis] != new[:axis] or old[axis + count :] != new[axis + 1 :]:
        return range(0)
    match made.item.sample.nodes:
        case [Node(op=Flatten(start=start))] if start % len(old) != axis:
            return range(0)
    return range(axis, axis + count)


def find_split_axes(target: MergedClass, source: MergedRef, made: OutputRef, axis: int) -> range:
    """The axes that one axis of a tensor is reshaped into, where all others stay."""
    instance = min(made.item.instances)
    old, new = target.type_of(source, instance).shape, target.type_of(made, instance).shape
    count = len(new) - len(old) + 1
    if count < 2 or old[:axis] != new[:axis] or old[axis + 1 :] != new[axis + count :]:
        return range(0)
    return range(axis, axis + count)


def _alike(
    target: MergedClass, source: MergedRef, made: OutputRef, axis: int, sizes: dict[int, object]
) -> list[tuple[MergedRef, int]]:
    """The same axis of a source, counted from the front or from the end: where all axes before
    or behind it are the same, if there is such an axis."""
    new, old = (target.type_of(ref, min(sizes)).shape for ref in (made, source))
    back = axis - len(new) + len(old)
    found = [
        k
        for k in dict.fromkeys((axis, back))
        if k >= 0 and {i: target.axis(source, k, i) for i in sizes} == sizes
    ]
    firm = [k for k in found if old[:k] == new[:axis] or old[k:] == new[axis:]]
    return [(source, k) for k in firm or found]


def _keeps_shape(item: Merged, output: int, axis: int, options: Collection[str]) -> bool:
    """Whether operations leave shapes as they are, whatever these options are."""
    if not options:
        return True
    nodes = item.sample.nodes
    whole = all(map(keeps_axes, nodes))
    return whole and not decides_size(nodes, (item.sample.outputs[output], axis), options)


def keeps_axes(node: Node) -> bool:
    """Whether an operation leaves the shape of what it reads as it is."""
    first = node.inputs[0] if node.inputs else None
    same = first is not None and first.type.shape == node.outputs[0].type.shape
    return same and not (node.op.moves or node.op.chooses_channels)


def _is_sure(target: MergedClass, made: OutputRef, axis: int, source: MergedRef, k: int) -> bool:
    """Whether operations make an axis from that one: it is not as long by chance."""
    item = made.item
    if not item.sample.nodes or not _is_number(target.axis(made, axis, min(item.instances))):
        return True
    if len(item.refs) == 1 and item.sample.nodes[0].op.broadcasts:
        return True
    names = dict(zip(item.refs, item.sample.reads, strict=True))
    wished = (item.sample.outputs[made.output], axis)
    return keeps_size(item.sample.nodes, (names[source], k), wished, ())


def _may_be(made: OutputRef, axis: int, places: list[tuple[MergedRef, int]]) -> bool:
    """Whether operations make an axis from these together, as far as they tell."""
    item = made.item
    names = dict(zip(item.refs, item.sample.reads, strict=True))
    sources = [(names[source], k) for source, k in places]
    wished = (item.sample.outputs[made.output], axis)
    return may_follow_all(item.sample.nodes, sources, wished)


def _follow(
    target: MergedClass,
    made: OutputRef,
    axis: int,
    sizes: dict[int, object],
    options: Collection[str] = (),
) -> Iterator[tuple[MergedRef, int]]:
    """The axes that an operation makes this one from, whatever their size and its options are."""
    instance, member = next(iter(made.item.members.items()))
    wished = (member.outputs[made.output], axis)
    for source, name in dict(zip(made.item.refs, member.reads, strict=True)).items():
        for k in range(target.type_of(source, instance).rank):
            same = {i: target.axis(source, k, i) for i in sizes} == sizes
            if same and keeps_size(member.nodes, (name, k), wished, options):
                yield source, k


def _pass_loop(
    target: MergedClass, item: Merged, scan: Scan, output: int, axis: int
) -> list[tuple[MergedRef, int]]:
    """Slices have the sizes of their sequence, states those of the first, stacks those of what
    is emitted."""
    rank = target.type_of(OutputRef(item, output), min(item.instances)).rank
    if isinstance(item.expression, Tree) and item.expression.form is Form.SCAN_END:
        if output < scan.states:
            return [(item.refs[1 + output], axis)]
        along = scan.emit_axes[output - scan.states] % rank
        if axis == along:
            return []
        return [(item.refs[1 + output], axis - int(axis > along))]
    place = output - int(scan.count is not None)
    if not 0 <= place < scan.sequences + scan.states:
        return []
    along = scan.axis % (rank + 1)
    return [(item.refs[place], axis + int(place < scan.sequences and axis >= along))]


def find_stages(tree: Part | None) -> list[Part]:
    """The modules of an `nn.Sequential`, those of inner ones too; any other module is one stage."""
    match tree:
        case Tree(Form.CALL, "", (Tree(Form.NAME, "nn.Sequential"), *parts)):
            match parts:
                case [Tree(Form.CALL, "", (Tree(Form.NAME, "OrderedDict"), Tree(parts=pairs)))]:
                    parts = [pair.parts[1] for pair in pairs if isinstance(pair, Tree)]
            return [stage for part in parts for stage in find_stages(_repeated(part))]
        case None:
            return []
    return [tree]


def _repeated(part: Part) -> Part:
    return part.parts[1] if isinstance(part, Tree) and part.form is Form.REPEAT else part
