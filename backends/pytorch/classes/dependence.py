"""Which arguments of a class a size may depend on, where nobody says what it is called."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from backends.pytorch.classes.explained import (
    Class,
    Condition,
    Width,
)
from backends.pytorch.classes.merged import (
    Choice,
    Formal,
    Merged,
    MergedClass,
    MergedRef,
    OutputRef,
    Variant,
)
from backends.pytorch.classes.propagation import keeps_axes, propagate_dim
from backends.pytorch.classes.sizes import may_follow
from backends.pytorch.fold.items import FromOwn
from backends.pytorch.terms.terms import Part, Tree, variables
from compiler.ir.hint import Hint, hint_names, read_size_name, size_name

Names = frozenset[str]
NONE: Names = frozenset()

LENGTH = -1
"""The axis of a list of tensors that counts its items."""


class Dependence:
    """Notes items in order, so that deep networks need no deep recursion."""

    def __init__(
        self,
        target: MergedClass,
        width: Callable[[MergedRef, int], Width | None],
        count: Callable[[MergedRef], Hint | None],
    ) -> None:
        self.target = target
        self.width = width
        self.count = count
        self.known: dict[tuple[MergedRef, int], Names] = {}
        self.place = {item: place for place, item in enumerate(target.items)}
        self.noted = 0
        self.conditions: Mapping[Choice | Variant, Condition] = {}

    def of(self, ref: MergedRef, axis: int) -> Names:
        """Arguments that a size of a tensor may depend on, or the `LENGTH` of a list. All that it
        is made from must be explained. A size of what a class is given that has no name in it is
        called as `size_name` says."""
        if isinstance(ref, Formal) and self.target.is_list(ref):
            return frozenset({size_name(ref.place, axis)})
        if isinstance(ref, Formal) and not self.target.is_root:
            named = self._named(ref, axis)
            return frozenset({size_name(ref.place, axis)}) if named is None else named
        if axis == LENGTH:
            return self._of_length(ref)
        if isinstance(ref, Choice):
            return self.of(ref.base, axis) | self.of(ref.other, axis) | self._of_test(ref)
        if isinstance(ref, OutputRef):
            while self.noted <= self.place[ref.item]:
                item = self.target.items[self.noted]
                self.noted += 1
                self._note(item)
        if isinstance(ref, FromOwn):
            return self._named(ref, axis) or self._of_weight(ref)
        if (ref, axis) in self.known:
            return self.known[ref, axis]
        return self._named(ref, axis) or NONE

    def _of_test(self, choice: Choice) -> Names:
        """What says whether a branch is taken."""
        inside = [item for item in self.target.items if item.instances == choice.instances]
        tests = [guard for item in inside for guard in find_guards(item)]
        if choice in self.conditions:
            tests.append(self.conditions[choice].test)
        return frozenset(name for test in tests for name in hint_names(test))

    def start_anew(self, conditions: Mapping[Choice | Variant, Condition]) -> None:
        """Asks anew for everything: conditions and arguments are known now."""
        self.conditions = conditions
        self.known.clear()
        self.noted = 0

    def _of_length(self, ref: MergedRef) -> Names:
        count = self.count(ref)
        if count is not None:
            return frozenset(hint_names(count))
        arguments = (a for body in self.target.bodies for a in body.frame.arguments)
        return frozenset(argument.name for argument in arguments)

    def _of_weight(self, ref: FromOwn) -> Names:
        """All that the module of a weight is made from."""
        module = ref.path.rpartition(".")[0]
        return frozenset(names_in(self.target.modules.get(module)))

    def _note(self, item: Merged) -> None:
        for output in range(item.outputs):
            ref = OutputRef(item, output)
            if not self.target.value(ref, min(item.instances)):
                continue  # an output of a net that nothing reads
            for axis in range(self._rank(ref)):
                self.known[ref, axis] = self._find(item, ref, axis)

    def _named(self, ref: MergedRef, axis: int) -> Names | None:
        width = self.width(ref, axis)
        if width is None:
            return None
        return NONE if width.hint is None else frozenset(hint_names(width.hint))

    def _find(self, item: Merged, ref: OutputRef, axis: int) -> Names:
        named = self._named(ref, axis)
        if named is not None:
            return named
        sources = propagate_dim(self.target, ref, axis)
        if sources:
            return self.of(*sources[0])
        calls = find_calls(item)
        if calls:
            return frozenset(n for call in calls for n in self._of_call(item, *call, ref, axis))
        return frozenset(self._all(item, ref.output, axis, self._rank(ref)))

    def _of_call(
        self, item: Merged, tree: Tree, inner: Class, made: OutputRef, axis: int
    ) -> Iterator[str]:
        """What a size of a result of a class or function follows of all that this is given."""
        given = dict(zip(tree.keys, tree.parts[len(tree.parts) - len(tree.keys) :], strict=True))
        found = inner.tensors.follows(inner.outputs[made.output], axis)
        settings = inner.names.found
        for label in found:
            size = settings[label].dim if label in settings else read_size_name(label)
            if label in given:
                yield from names_in(given[label])
            elif size is not None and size[0] < len(item.refs):
                yield from self.of(item.refs[size[0]], size[1])
            elif label in inner.tensors.locals:
                yield from self._all(item, made.output, axis, self._rank(made))
        if len(item.variants) > 1:
            yield from self._of_form(item)

    def _of_form(self, item: Merged) -> Iterator[str]:
        """What says which of two forms an item has."""
        tests = [self.conditions[v].test for v in item.variants if v in self.conditions]
        yield from (name for test in (*tests, *find_guards(item)) for name in hint_names(test))

    def _all(self, item: Merged, output: int, axis: int, rank: int) -> Iterator[str]:
        """Everything that an operation may compute a size from."""
        windowed = _is_windowed(item)
        trees = [*(v.constructor for v in item.variants), item.expression]
        for tree in trees:
            yield from names_in(tree, sizes=not windowed)
        if len(item.variants) > 1:
            yield from self._of_form(item)
        for ref in item.refs:
            if item.sample.nodes and self.target.is_list(ref):
                yield from self.of(ref, LENGTH)
            own = self._rank(ref)
            for other in (axis,) if windowed and own == rank else range(own):
                if windowed or self._may_follow(item, ref, other, output, axis):
                    yield from self.of(ref, other)

    def _may_follow(self, item: Merged, ref: MergedRef, other: int, output: int, axis: int) -> bool:
        """Whether an axis of what one operation makes may have its size from one of an operand."""
        member = item.sample
        if len(member.nodes) != 1 or self.target.is_list(ref):
            return True
        source = member.reads[item.refs.index(ref)]
        return may_follow(member.nodes, (source, other), (member.outputs[output], axis))

    def _rank(self, ref: MergedRef) -> int:
        instances = ref.item.instances if isinstance(ref, OutputRef) else self.target.everyone
        return self.target.type_of(ref, min(instances)).rank


def find_calls(item: Merged) -> list[tuple[Tree, Class]]:
    """The calls of a class or function, where an item is nothing but that; turns of loops say
    themselves how sizes change."""
    trees: list[Part | None] = [variant.constructor for variant in item.variants]
    made = [tree for tree in trees or [item.expression] if isinstance(tree, Tree)]
    calls = [(tree, tree.target) for tree in made if isinstance(tree.target, Class)]
    return calls if len(calls) == max(len(trees), 1) else []


def _is_windowed(item: Merged) -> bool:
    """Whether each axis is made from the same axis of what is read, and from options."""
    nodes = item.sample.nodes
    return bool(nodes) and all(node.op.axis_by_axis or keeps_axes(node) for node in nodes)


def find_guards(item: Merged) -> list[Hint]:
    """The author's conditions under which an item has its form, or is there at all."""
    return [member.guard for member in item.members.values() if member.guard is not None]


def names_in(tree: Part | None, *, sizes: bool = True) -> Iterator[str]:
    """Arguments that stand in a tree; without `sizes`, those of its options only."""
    for leaf in variables(tree):
        solved = leaf.solution is not None and not isinstance(leaf.solution, Tree)
        if solved and (sizes or leaf.dim is None):
            yield from hint_names(leaf.solution)  # type: ignore[arg-type]
