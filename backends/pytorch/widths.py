"""What the sizes of a tensor are called: by its producer, by the signature, by the inputs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from backends.pytorch.items import FromOwn
from backends.pytorch.merged import Choice, Class, Formal, Made, Merged, MergedRef
from backends.pytorch.settings import Settings
from backends.pytorch.terms import Form, Many, Part, Tree, variables
from compiler.ir.hint import Hint, HintBinary, HintConst, HintName
from compiler.ops.scan import Scan

DEEPEST = 50
"""Nested joins of tensors that are still written as a sum."""


class Width(NamedTuple):
    """What a size is called; None: a literal where it is made, so a literal here too."""

    hint: Hint | None


class Widths:
    """Finds what the sizes of a class's tensors are called."""

    def __init__(self, target: Class, settings: Settings) -> None:
        self.target = target
        self.settings = settings
        self.known: dict[tuple[MergedRef, int], tuple[MergedRef, int, Width | None]] = {}

    def of(self, ref: MergedRef, axis: int, depth: int = 0) -> Width | None:
        """What one size of a tensor is called; None where nobody says. It holds in every
        instance that has the tensor."""
        return self.trace(ref, axis, depth)[2]

    def trace(
        self, ref: MergedRef, axis: int, depth: int = 0
    ) -> tuple[MergedRef, int, Width | None]:
        """The tensor and axis that a size comes from, as far as it is passed on, and what that
        tensor calls it."""
        visited: list[tuple[MergedRef, int]] = []
        here = (ref, axis)
        while here not in self.known:
            visited.append(here)
            width = self._local(*here, depth)
            above = None if width is not None else pass_on(self.target, *here)
            if above is None or above in visited:
                self.known[here] = (*here, width)
            else:
                here = above
        found = self.known[here]
        self.known.update((one, found) for one in visited)
        return found

    def sizes(self, ref: MergedRef, axis: int) -> dict[int, object]:
        """The size in every instance that has the tensor."""
        instances = ref.item.instances if isinstance(ref, Made) else self.target.everyone
        return {i: self.target.axis(ref, axis, i) for i in sorted(instances)}

    def _local(self, ref: MergedRef, axis: int, depth: int) -> Width | None:
        match ref:
            case Formal(place):
                return self._of_formal(place, axis)
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


def pass_on(target: Class, ref: MergedRef, axis: int) -> tuple[MergedRef, int] | None:
    """The tensor and axis whose size this one keeps, as far as can be seen."""
    match ref:
        case Choice(base, _, _):
            return base, axis
        case Made(item, output) if item.sample.scan is not None:
            return _pass_loop(target, item, item.sample.scan, output, axis)
        case Made(item, _):
            sizes = {i: target.axis(ref, axis, i) for i in sorted(item.instances)}
            for source in item.refs:
                if not isinstance(source, FromOwn) and sizes == {
                    i: target.axis(source, axis, i) for i in sizes
                }:
                    return source, axis
    return None


def _pass_loop(
    target: Class, item: Merged, scan: Scan, output: int, axis: int
) -> tuple[MergedRef, int] | None:
    """Slices have the sizes of their sequence, states those of the first, stacks those of what
    is emitted."""
    rank = target.type_of(Made(item, output), min(item.instances)).rank
    if isinstance(item.expression, Tree) and item.expression.form is Form.SCAN_END:
        if output < scan.states:
            return item.refs[1 + output], axis
        along = scan.emit_axes[output - scan.states] % rank
        if axis == along:
            return None
        return item.refs[1 + output], axis - int(axis > along)
    place = output - int(scan.count is not None)
    if not 0 <= place < scan.sequences + scan.states:
        return None
    along = scan.axis % (rank + 1)
    return item.refs[place], axis + int(place < scan.sequences and axis >= along)


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
