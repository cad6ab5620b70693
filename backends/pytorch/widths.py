"""What the sizes of a tensor are called: by its producer, by the signature, by the inputs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from backends.pytorch.items import FromOwn
from backends.pytorch.merged import Choice, Class, Formal, Made, Merged, MergedRef
from backends.pytorch.settings import Settings
from backends.pytorch.terms import Form, Many, Part, Tree, variables
from compiler.ir.hint import Hint, HintBinary, HintConst, HintName
from compiler.ops.scan import Scan

LEAST_TELLING = 8
"""Smaller sizes are equal by chance."""
DEEPEST = 50
"""Nested joins of tensors that are still written as a sum."""


class Width(NamedTuple):
    """What a size is called; None: a literal where it is made, so a literal here too."""

    hint: Hint | None


class Origin(NamedTuple):
    """The tensor and axis that a size comes from, and what it is called there."""

    ref: MergedRef
    axis: int
    width: Width | None


class Widths:
    """Finds what the sizes of a class's tensors are called."""

    def __init__(self, target: Class, settings: Settings) -> None:
        self.target = target
        self.settings = settings
        self.known: dict[tuple[MergedRef, int], Origin] = {}

    def of(self, ref: MergedRef, axis: int, depth: int = 0) -> Width | None:
        """What one size of a tensor is called; None where nobody says. It holds in every
        instance that has the tensor."""
        return self.trace(ref, axis, depth).width

    def trace(self, ref: MergedRef, axis: int, depth: int = 0) -> Origin:
        """Where a size comes from, as far as it is passed on, and what it is called there."""
        visited: list[tuple[MergedRef, int]] = []
        here = (ref, axis)
        while here not in self.known:
            visited.append(here)
            width = self._local(*here, depth)
            above = [] if width is not None else pass_on(self.target, *here)
            others = above[1:] if depth < DEEPEST else []
            named = next((o for o in self._origins(others, depth) if o.width is not None), None)
            if named is not None:
                self.known[here] = named
            elif not above or above[0] in visited:
                self.known[here] = Origin(*here, width)
            else:
                here = above[0]
        found = self.known[here]
        self.known.update((one, found) for one in visited)
        return found

    def _origins(self, places: list[tuple[MergedRef, int]], depth: int) -> Iterator[Origin]:
        """Where further tensors of the same size have it from; names of their own win."""
        return (self.trace(ref, axis, depth + 1) for ref, axis in places)

    def sizes(self, ref: MergedRef, axis: int) -> dict[int, object]:
        """The size in every instance that has the tensor."""
        instances = ref.item.instances if isinstance(ref, Made) else self.target.everyone
        return {i: self.target.axis(ref, axis, i) for i in sorted(instances)}

    def _local(self, ref: MergedRef, axis: int, depth: int) -> Width | None:
        match ref:
            case Formal(place):
                return self._of_formal(place, axis)
            case FromOwn(path):
                return self._of_parameter(path, axis)
            case Made(item, output):
                wanted = self.sizes(ref, axis)
                return self._made(item, output, axis, wanted) or self._joined(
                    item, axis, wanted, depth
                )
        return None

    def _of_formal(self, place: int, axis: int) -> Width | None:
        wanted = self.sizes(Formal(place), axis)
        for setting in self.settings.found.values():
            if setting.dim == (place, axis) and not setting.runtime:
                hint = self.settings.holds(HintName(setting.name), wanted)
                if hint is not None:
                    return Width(hint)
        if self.target.is_root:
            inputs = self.target.bodies[0].index.graph.inputs
            hints = dict(inputs[place].hints) if place < len(inputs) else {}
            hint = hints.get(str(axis))
            if hint is not None and (found := self.settings.holds(hint, wanted)) is not None:
                return Width(found)
        return None

    def _of_parameter(self, path: str, axis: int) -> Width | None:
        declared = self.target.declared.get(path)
        sizes = list(variables(declared))
        if not 0 <= axis < len(sizes) or isinstance(sizes[axis].solution, Tree):
            return None
        return Width(sizes[axis].solution)  # type: ignore[arg-type]

    def _made(
        self, item: Merged, output: int, axis: int, wanted: Mapping[int, object]
    ) -> Width | None:
        trees: list[Part | None] = [v.constructor for v in item.variants]
        for tree in trees or [item.expression]:
            leaf = find_output_leaf(tree, output, axis)
            if leaf is None or not all(leaf.values.get(i, v) == v for i, v in wanted.items()):
                continue
            return None if isinstance(leaf.solution, Tree) else Width(leaf.solution)
        return None

    def _joined(
        self, item: Merged, axis: int, wanted: Mapping[int, object], depth: int
    ) -> Width | None:
        """The sum of the sizes of joined tensors."""
        if item.sample.op != "concat" or depth > DEEPEST:
            return None
        if any(self.sizes(ref, axis) == wanted for ref in item.refs):
            return None  # joined along another axis
        parts: list[Hint] = []
        for ref in item.refs:
            width = self.of(ref, axis, depth + 1)
            if width is None or width.hint is None:
                return None
            parts.append(width.hint)
        if not parts:
            return None
        total = parts[0]
        if len(parts) > 1 and all(part == total for part in parts):
            total = HintBinary("*", HintConst(len(parts)), total)
        else:
            for part in parts[1:]:
                total = HintBinary("+", total, part)
        hint = self.settings.holds(total, wanted)
        return None if hint is None else Width(hint)


def pass_on(target: Class, ref: MergedRef, axis: int) -> list[tuple[MergedRef, int]]:
    """Tensors and axes whose size this one may have from them: they agree in every instance."""
    match ref:
        case Choice(base, _, _):
            return [(base, axis)]
        case Made(item, output) if item.sample.scan is not None:
            return _pass_loop(target, item, item.sample.scan, output, axis)
        case Made(item, _):
            sizes = {i: target.axis(ref, axis, i) for i in sorted(item.instances)}
            rank = target.type_of(ref, min(sizes)).rank
            places = [p for source in item.refs for p in _alike(target, source, axis, rank, sizes)]
            return places or _moved(target, item.refs, sizes)
    return []


def _alike(
    target: Class, source: MergedRef, axis: int, rank: int, sizes: dict[int, object]
) -> list[tuple[MergedRef, int]]:
    """The same axis of a source, counted from the front or from the end."""
    other = axis - rank + target.type_of(source, min(sizes)).rank
    return [
        (source, k)
        for k in dict.fromkeys((axis, other))
        if k >= 0 and {i: target.axis(source, k, i) for i in sizes} == sizes
    ][:1]


def _moved(
    target: Class, refs: list[MergedRef], sizes: dict[int, object]
) -> list[tuple[MergedRef, int]]:
    """The only axis of the only source that has a telling size: `transpose` has moved it."""
    if len(refs) != 1 or any(isinstance(s, int) and s < LEAST_TELLING for s in sizes.values()):
        return []
    rank = target.type_of(refs[0], min(sizes)).rank
    same = [k for k in range(rank) if {i: target.axis(refs[0], k, i) for i in sizes} == sizes]
    return [(refs[0], same[0])] if len(same) == 1 else []


def _pass_loop(
    target: Class, item: Merged, scan: Scan, output: int, axis: int
) -> list[tuple[MergedRef, int]]:
    """Slices have the sizes of their sequence, states those of the first, stacks those of what
    is emitted."""
    rank = target.type_of(Made(item, output), min(item.instances)).rank
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


def find_output_leaf(tree: Part | None, output: int, axis: int) -> Many | None:
    """The variable that decides a size of an output of a module."""
    match tree:
        case Tree(Form.BUILD, "", parts, keys, target):
            label = target.widths.get((output, axis))  # type: ignore[attr-defined]
            if label in keys:
                part = parts[len(parts) - len(keys) + keys.index(label)]
                return part if isinstance(part, Many) else None
            return None
        case Tree(Form.CALL, "", (Tree(Form.NAME, "nn.Sequential"), *_, last)):
            found = find_output_leaf(_last_stage(last), output, axis)
            if found is not None:
                return found
    wanted = ("out", output, axis)
    return next((leaf for leaf in variables(tree) if leaf.dim == wanted), None)


def _last_stage(part: Part) -> Part:
    match part:
        case Tree(Form.CALL, "", (Tree(Form.NAME, "OrderedDict"), Tree(Form.LIST, "", pairs))):
            pair = pairs[-1]
            return pair.parts[1] if isinstance(pair, Tree) else pair
        case Tree(Form.REPEAT, "", (_, body)):
            return body
    return part
