"""What the sizes of a tensor are called: by its producer, by the signature, by the inputs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from backends.pytorch.classes.algebra import (
    agree_outside,
    count_choices,
    read_symbols,
    shorten,
    write_symbols,
)
from backends.pytorch.classes.closing import close_size
from backends.pytorch.classes.dependence import Dependence
from backends.pytorch.classes.explained import (
    Class,
    Local,
    Origin,
    Repeat,
    TurnClass,
    Width,
    is_loop,
)
from backends.pytorch.classes.joined_sizes import JoinedSizes
from backends.pytorch.classes.list_sizes import ListSizes
from backends.pytorch.classes.merged import (
    Choice,
    Formal,
    Merged,
    MergedClass,
    MergedRef,
    OutputRef,
)
from backends.pytorch.classes.options import decides_size, option_of
from backends.pytorch.classes.propagation import find_merged_axes, find_stages, propagate_dim
from backends.pytorch.classes.settings import Settings, is_size
from backends.pytorch.classes.sizes import SIZE, infer_size
from backends.pytorch.classes.weight_sizes import find_weight_width
from backends.pytorch.fold.items import FromOwn
from backends.pytorch.terms.setting import Setting
from backends.pytorch.terms.terms import IDENTITY, Form, Many, Part, Tree, variables
from compiler.ir.hint import (
    Hint,
    HintChoose,
    HintConst,
    HintName,
    HintUnary,
    hint_names,
    hint_size,
    hint_sizes,
    read_size_name,
    rename_hint,
    whole_hint,
)
from compiler.ops.joining import Chunk
from compiler.types.dims.polynomial import Dim

DEEPEST = 50
"""Tensors joined in tensors that are still written as a sum."""
LONGEST = 20
"""Terms of a size that a reader still follows."""
MOST_CHOICES = 2
"""Choices in a size that a reader still follows: either of two loops in a row may have no turns."""


class Widths:
    """Finds what the sizes of a class's tensors are called."""

    def __init__(self, target: MergedClass, settings: Settings) -> None:
        self.target = target
        self.settings = settings
        self.known: dict[tuple[MergedRef, int], Origin] = {}
        self.locals: dict[str, Local] = {}
        self.lists = ListSizes(self)
        self.joined = JoinedSizes(self)
        self.dependence = Dependence(target, self.of, self.lists.count)
        self.pinned: set[str] = set()
        """Sizes of what the class is given that a number in it was counted from."""
        self.pins = True
        """Whether sizes are still asked for that the class is made with: later ones pin nothing,
        and may not be counted from what changes."""
        self.explained: set[Merged] = set()
        """Items whose numbers are solved: sizes of what others make are not known yet."""
        self.loops = target.is_turn or any(map(is_loop, target.items))
        """Whether loops of the spec are in the class, which may change sizes."""

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
            above = [] if width is not None else propagate_dim(self.target, *here)
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
        instances = ref.item.instances if isinstance(ref, OutputRef) else self.target.everyone
        return {i: self.target.axis(ref, axis, i) for i in sorted(instances)}

    def _local(self, ref: MergedRef, axis: int, depth: int) -> Width | None:
        match ref:
            case Formal(place):
                return self._of_formal(place, axis)
            case FromOwn(path):
                return self._of_parameter(path, axis)
            case OutputRef(item, output):
                return self._made(item, output, axis, depth) or self._computed(
                    item, ref, axis, depth
                )
            case Choice() if self.loops:
                return self._of_choice(ref, axis, depth)
            case Choice():
                return self._choose(ref, axis, depth)
        return None

    def _of_choice(self, choice: Choice, axis: int, depth: int) -> Width | None:
        """A size that changes in a branch: the constructor keeps it in a variable."""
        sizes = self.sizes(choice, axis)
        if depth > DEEPEST or sizes == self.sizes(choice.base, axis):
            return None
        base, other = (self.of(ref, axis, depth + 1) for ref in (choice.base, choice.other))
        if base is None or other is None or not isinstance(base.hint, HintName):
            return None
        known = self.settings.found.get(base.hint.name)
        variable = known is not None and (known.local or (self.target.is_turn and known.dim))
        if not variable:
            return None
        size = self.target.axis(choice, axis, min(choice.instances))
        after = other.hint if other.hint is not None else HintConst(size)  # type: ignore[arg-type]
        number = self.target.choices.index(choice)
        return self._add_local(
            f"choice {number}:{base.hint.name}", Local(choice, base.hint.name, after), sizes
        )

    def _choose(self, choice: Choice, axis: int, depth: int) -> Width | None:
        """A size that only a branch changes, under the author's condition of that branch:
        `2 * width if double else width`, or what both sides are under their conditions."""
        sizes = self.sizes(choice, axis)
        if depth > DEEPEST or sizes == self.sizes(choice.base, axis):
            return None
        base, other = (self.of(ref, axis, depth + 1) for ref in (choice.base, choice.other))
        test = self._find_guard(choice)
        if base is None or other is None or base.hint is None or other.hint is None or not test:
            return None
        if agree_outside(test, other.hint, base.hint):
            return self.accept(other.hint, sizes)
        return self.accept(HintChoose(test, other.hint, base.hint), sizes)

    def _find_guard(self, choice: Choice) -> Hint | None:
        """The author's condition of a branch."""
        inside = [m for m in self.target.items if m.instances == choice.instances]
        guards = dict.fromkeys(m.guard for item in inside for m in item.members.values())
        wanted = {i: i in choice.instances for i in sorted(self.target.everyone)}
        tests = (self.settings.decides(g, wanted) for g in guards if g is not None)
        return next((t for t in tests if t is not None and not self.settings.is_runtime(t)), None)

    def _add_local(self, name: str, local: Local, sizes: Mapping[int, object]) -> Width:
        values = [sizes.get(number) for number in range(len(self.target.bodies))]
        if name not in self.settings.found:
            self.settings.add(Setting(name, values, local=True))
            self.locals[name] = local
            if local.after is not None:
                self.settings.use(local.after)
                self.settings.use(HintName(local.before))
        return Width(HintName(name))

    def _after_loop(
        self,
        item: Merged,
        tree: Tree,
        repeat: Repeat,
        ends: tuple[int, int],
        wanted: Mapping[int, object],
    ) -> Width | None:
        """A size after a loop: what it was before, or a variable that the turns change."""
        output, axis = ends
        place = next((p for p, q in repeat.carried.items() if q == output), None)
        size = next((s for s, dim in repeat.sizes.items() if dim == (place, axis)), None)
        if size is None:
            return None
        if size in repeat.updates:
            closed = self._close(repeat, tree, size, wanted)
            if closed is not None and closed == _read_solved(tree)[size]:
                return Width(closed if any(True for _ in hint_names(closed)) else None)
            local = Local(item, "", closed=closed)
            return self._add_local(f"{tree.label}:{size}", local, wanted)
        part = tree.parts[1 + tree.keys.index(size)]
        if not isinstance(part, Many) or isinstance(part.solution, Tree):
            return None
        return Width(part.solution)

    def _close(
        self, repeat: Repeat, tree: Tree, size: str, wanted: Mapping[int, object]
    ) -> Hint | None:
        """A size after a loop in terms of what is around it."""
        over, given = _solved(tree.parts[0]), _read_solved(tree)
        closed = close_size(repeat, over, size, given)
        if closed is None or closed == given[size]:
            return closed
        short = self.settings.holds(shorten(closed), wanted)
        if short is None or self.settings.is_runtime(short) or count_choices(short) > 1:
            return None
        return short

    def close(self, hint: Hint) -> Hint | None:
        """An expression without variables of the constructor, for others to read; None where it
        cannot be said without them."""
        while names := [n for n in hint_names(hint) if n in self.locals]:
            closed = {n: self.locals[n].closed for n in names}
            known = {n: c for n, c in closed.items() if c is not None}
            if len(known) < len(closed):
                return None
            hint = shorten(rename_hint(hint, known))
        return hint

    def _of_formal(self, place: int, axis: int) -> Width | None:
        wanted = self.sizes(Formal(place), axis)
        setting = self.settings.find_size(place, axis)
        if setting is not None and not setting.runtime:
            hint = self.settings.holds(HintName(setting.name), wanted)
            if hint is not None:
                return Width(hint)
        if self.target.is_turn and all(map(is_size, wanted.values())):
            made = self.settings.add_size(self.settings.name_size(place, axis), place, axis)
            return None if made is None else Width(HintName(made.name))
        if self.target.is_root:
            inputs = self.target.bodies[0].index.graph.inputs
            hints = dict(inputs[place].hints) if place < len(inputs) else {}
            hint = hints.get(str(axis))
            if hint is not None and (found := self.settings.holds(hint, wanted)) is not None:
                return Width(found)
        return None

    def _of_parameter(self, path: str, axis: int) -> Width | None:
        declared = self.target.declared.get(path)
        if declared is None:
            return find_weight_width(self.target, self.explained, path, axis)
        sizes = list(variables(declared))
        if not 0 <= axis < len(sizes) or isinstance(sizes[axis].solution, Tree):
            return None
        if is_late(sizes[axis]):
            return None
        return Width(sizes[axis].solution)  # type: ignore[arg-type]

    # --- what makes a tensor --------------------------------------------------------------------

    def _made(self, item: Merged, output: int, axis: int, depth: int) -> Width | None:
        wanted = self.sizes(OutputRef(item, output), axis)
        trees: list[Part | None] = [v.constructor for v in item.variants]
        match trees:
            case [Tree(Form.FOR, target=TurnClass(repeat=repeat)) as tree, *_]:
                return self._after_loop(item, tree, repeat, (output, axis), wanted)
        refs = item.refs
        found = (self._of_tree(t, output, axis, wanted, refs) for t in trees or [item.expression])
        width = next((width for width in found if width is not None), None)
        if width is None or IDENTITY not in trees or depth > DEEPEST:
            return width
        return self._of_optional(item, width, axis, depth, wanted)

    def _of_optional(
        self, item: Merged, width: Width, axis: int, depth: int, wanted: Mapping[int, object]
    ) -> Width | None:
        """A size behind a module that some instances do not have: there it is what it was, which
        may be the same by chance only."""
        before = self.of(item.refs[0], axis, depth + 1)
        there = next(v.instances for v in item.variants if v.constructor is not IDENTITY)
        guards = (member.guard for number, member in item.members.items() if number in there)
        asked = {i: i in there for i in wanted}
        tests = (self.settings.decides(g, asked) for g in guards if g is not None)
        test = next((t for t in tests if t is not None), None)
        after = width.hint if width.hint is not None else HintConst(wanted[min(there)])  # type: ignore[arg-type]
        if before is None or before.hint is None or test is None:
            return width
        if after == before.hint or agree_outside(test, after, before.hint):
            return width
        return self.accept(HintChoose(test, after, before.hint), wanted)

    def _of_tree(
        self,
        tree: Part | None,
        output: int,
        axis: int,
        wanted: Mapping[int, object],
        refs: Sequence[MergedRef] = (),
    ) -> Width | None:
        match tree:
            case Tree(Form.BUILD, target=Class() as inner):
                return self._of_class(tree, inner, (output, axis), wanted, refs)
            case Tree(Form.CALL, "", (Tree(Form.NAME, "nn.Sequential"), *_)):
                return self.of_stages(find_stages(tree), axis, wanted)
        for leaf in variables(tree):
            decides = leaf.dim in (("out", output, axis), ("inner out", output, axis))
            agrees = all(leaf.values.get(i, v) == v for i, v in wanted.items())
            if decides and agrees and not isinstance(leaf.solution, Tree):
                return None if is_left_open(leaf) else Width(leaf.solution)
        return None

    def of_stages(
        self, stages: list[Part], axis: int, wanted: Mapping[int, object]
    ) -> Width | None:
        """What the last stage of a chain that decides a size calls it."""
        found = (self._of_tree(stage, 0, axis, wanted) for stage in reversed(stages))
        return next((width for width in found if width is not None), None)

    def _of_class(
        self,
        tree: Tree,
        inner: Class,
        ends: tuple[int, int],
        wanted: Mapping[int, object],
        refs: Sequence[MergedRef],
    ) -> Width | None:
        """A width of a generated class in terms of what it is given: arguments and tensors."""
        hint = inner.widths.get(ends)
        if hint is None:
            return None
        given = dict(zip(tree.keys, tree.parts[len(tree.parts) - len(tree.keys) :], strict=True))
        names: dict[str, Hint] = {}
        for label in hint_names(hint):
            part, size = given.get(label), inner.sizes.get(label)
            known = None if part is None else _solved(part)
            if part is None and size is not None and size[0] < len(refs):
                width = self.of(refs[size[0]], size[1])
                known = None if width is None else width.hint
            if known is None:
                return None
            names[label] = known
        return self.accept(rename_hint(hint, names), wanted)

    def accept(self, hint: Hint, wanted: Mapping[int, object]) -> Width | None:
        """A derived expression in its shortest form, if it holds."""
        found = self.settings.holds(shorten(whole_hint(hint)), wanted)
        if found is None or self.settings.is_runtime(found) or count_choices(found) > MOST_CHOICES:
            return None
        return Width(found if any(True for _ in hint_names(found)) else None)

    def _computed(self, item: Merged, ref: OutputRef, axis: int, depth: int) -> Width | None:
        """Sizes that an operation computes from others: sums and products of them."""
        if depth > DEEPEST:
            return None
        wanted = self.sizes(ref, axis)
        if self.lists.holds(item):
            return self.lists.of(ref, axis, depth)
        primitive, rank = item.sample.primitive, self._rank(ref)
        along = primitive.join_axis(rank) if primitive is not None else None
        if along is not None and all(self.sizes(r, axis) != wanted for r in item.refs):
            return self.joined.combine("+", [(r, axis) for r in item.refs], wanted, depth)
        if item.sample.traits.reshapes and len(item.refs) == 1:
            axes = find_merged_axes(self.target, item.refs[0], ref, axis)
            if len(axes) > 1:
                places = [(item.refs[0], k) for k in axes]
                rejoined = self.joined.rejoin(places, depth)
                return rejoined or self.joined.combine("*", places, wanted, depth)
            part = self.joined.split(item.refs[0], ref, axis, depth)
            if part is not None:
                return self.accept(part, wanted)
        ops = [node.op for node in item.sample.nodes]
        if len(ops) == 1 and isinstance(ops[0], Chunk) and axis == ops[0].axis % rank:
            return self.joined.cut(ref, ops[0].parts, axis, depth)
        followed = self._follow_options(item, ref.output, axis, depth, wanted)
        if followed is not None or not self.loops:
            return followed
        return self._inferred(item, ref, axis, depth, wanted)

    def _rank(self, made: OutputRef) -> int:
        return self.target.type_of(made, min(made.item.instances)).rank

    def _follow_options(
        self, item: Merged, output: int, axis: int, depth: int, wanted: Mapping[int, object]
    ) -> Width | None:
        """A size that an operation makes of its input, if it has one, and of options that are
        arguments: `32 // patch` after a convolution with this kernel and stride."""
        nodes = item.sample.nodes
        if len(nodes) != 1 or not all(isinstance(size, int) for size in wanted.values()):
            return None
        symbols: dict[str, Hint] = {}
        options: dict[str, Dim] = {}
        words: set[str] = set()
        for leaf in item.leaves():
            option = _solved(leaf)
            if leaf.field and option is not None and any(True for _ in hint_names(option)):
                options[leaf.field] = read_symbols(option, symbols)
                if isinstance(leaf.literal, str | float | bool):
                    words.add(option_of(leaf))
        if decides_size(nodes, (item.sample.outputs[output], axis), words):
            return None
        op = nodes[0].op
        rule = op.follow_size(output, axis, Dim.of(SIZE), options)
        reads = rule is not None and SIZE in rule.symbols
        size = self.describe(item.refs[0], axis, depth) if reads else HintConst(0)
        if rule is None or size is None or not (options or any(True for _ in hint_names(size))):
            return None
        made = op.follow_size(output, axis, read_symbols(size, symbols), options)
        if made is None:
            return None
        short = write_symbols(made)
        if hint_size(short) > LONGEST:
            return None
        return self.accept(rename_hint(short, symbols), wanted)

    def describe(self, ref: MergedRef, axis: int, depth: int) -> Hint | None:
        """What a size is called, or its number where no argument changes that."""
        if axis >= self.target.type_of(ref, 0).rank:
            return None
        width = self.of(ref, axis, depth + 1)
        if width is not None and width.hint is not None:
            return width.hint
        sizes = set(self.sizes(ref, axis).values())
        size = sizes.pop()
        if sizes or not isinstance(size, int):
            return None
        names = self.dependence.of(ref, axis) if width is None else frozenset()
        own = (self.settings.found.get(n) for n in names if read_size_name(n) is None)
        if any(setting is None or setting.dim is None for setting in own):
            return None
        if names and not self.pins:
            return None
        self.pinned |= names
        return HintConst(size)

    def _inferred(
        self, item: Merged, made: OutputRef, axis: int, depth: int, wanted: Mapping[int, object]
    ) -> Width | None:
        """A size as the shapes of operations make it from one of an operand, where loops of the
        spec depend on it: `size // 4` after a convolution with stride 4."""
        instance, member = next(iter(item.members.items()))
        options = (n for v in item.leaves() if v.dim is None for n in _solved_names(v))
        if not member.nodes or any(True for _ in options):
            return None  # the shapes are those of these options only
        for place, ref in enumerate(item.refs):
            for other in range(self.target.type_of(ref, instance).rank):
                width = self.of(ref, other, depth + 1)
                if width is None or width.hint is None or not any(hint_names(width.hint)):
                    continue
                source, wished = member.reads[place], member.outputs[made.output]
                size = infer_size(member.nodes, (source, other), (wished, axis))
                found = size and self.accept(rename_hint(size, {SIZE: width.hint}), wanted)
                if found:
                    return found
        return None

    def may_change(self, ref: MergedRef, axis: int) -> bool:
        """Whether a size may change with an argument of the class or a size of what it is given."""
        return bool(self.follows(ref, axis))

    def follows(self, ref: MergedRef, axis: int) -> frozenset[str]:
        """What a size may change with: names of arguments, and of sizes of what is given."""
        return frozenset(self.dependence.of(ref, axis))


def _solved(part: Part) -> Hint | None:
    """What a class is given, as an expression in the names around; None where that is unknown."""
    match part:
        case Many(solution=None, varies=False, literal=value):
            return HintConst(value)  # type: ignore[arg-type]
        case Many(solution=solution) if not isinstance(solution, Tree):
            return solution
    return None


def _read_solved(tree: Tree) -> dict[str, Hint]:
    """What a loop takes from around it, as far as that is known."""
    given = ((key, _solved(part)) for key, part in zip(tree.keys, tree.parts[1:], strict=True))
    return {key: hint for key, hint in given if hint is not None}


def is_late(leaf: Many) -> bool:
    """Whether a size of a weight is written by tensors that are made behind it, and not known
    yet."""
    return leaf.solution is None and any(any(hint_sizes(hint)) for hint in leaf.hints)


def is_left_open(leaf: Many) -> bool:
    """Whether a size of what an operation makes is a number that the author did not write: it
    may follow all that the operation reads."""
    out = leaf.dim is not None and leaf.dim[0] == "out" and not leaf.slot
    return out and leaf.solution is None and all(hint == _OPEN for hint in leaf.hints)


_OPEN = HintUnary("-", HintConst(1))
"""A size of a reshaped tensor that PyTorch works out."""


def _solved_names(leaf: Many) -> Iterator[str]:
    """Arguments that an option of an operation is made from."""
    if leaf.solution is not None and not isinstance(leaf.solution, Tree):
        yield from hint_names(leaf.solution)
