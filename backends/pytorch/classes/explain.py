"""Why a literal has its value: each variable of a class becomes an expression in its arguments.

The first that holds: the author's hint, the width of the tensor that comes in, an argument that
only some instances have, a plain literal, a known argument or a multiple of one, a new argument.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import NamedTuple

from backends.pytorch.classes.asserting import find_needed
from backends.pytorch.classes.conditions import ConditionFinder
from backends.pytorch.classes.explained import ExplainedClass, Limits, Local, find_loop
from backends.pytorch.classes.hinted_sizes import HintedSizes
from backends.pytorch.classes.merged import (
    Diverge,
    Formal,
    Merged,
    MergedClass,
    MergedRef,
    OutputRef,
    Variant,
    copy_class,
    spread,
)
from backends.pytorch.classes.new_arguments import NewArguments
from backends.pytorch.classes.options import write_moving_defaults
from backends.pytorch.classes.partial_parameters import find_partial_parameters
from backends.pytorch.classes.propagation import LEAST_TELLING, find_stages
from backends.pytorch.classes.repeats import check_order, find_carried
from backends.pytorch.classes.said import find_said, find_silent
from backends.pytorch.classes.settings import Settings
from backends.pytorch.classes.sizes import Sizes
from backends.pytorch.classes.widths import Widths, is_late
from backends.pytorch.fold.items import FromOwn
from backends.pytorch.fold.turns import Unfoldable, turn_names
from backends.pytorch.terms.setting import Setting
from backends.pytorch.terms.terms import Many, Part, same_value, variables
from compiler.ir.hint import (
    Hint,
    HintBinary,
    HintConst,
    HintName,
    hint_names,
    hint_sizes,
    outer_names,
)
from compiler.report.source import Span
from compiler.types.dims.polynomial import Dim
from compiler.writing.python import CodeName


def explain_class(merged: MergedClass) -> ExplainedClass:
    """The class with every variable and condition solved, and its arguments.

    Raises:
        Diverge: one class cannot serve all its instances.
        Inexpressible: a symbolic size cannot be read off any tensor at hand.
    """
    hidden: set[str] = set()
    silent: set[Span] = set()
    limits = Limits()
    while True:
        target = copy_class(merged)
        said = frozenset(find_said(target) - silent)
        explainer = _Explainer(target, hidden, said)
        explainer.solve()
        arguments = explainer.choose_arguments()
        lost = find_silent(target) - silent
        partial_ones, limits = find_partial_parameters(
            explainer.widths, explainer.hinted, said, limits
        )
        if not partial_ones and not lost:
            for item in target.items:
                write_moving_defaults(item)
            explained = explainer.finish(arguments, limits)
            needed = set() if target.is_turn else find_needed(explained)
            if needed:
                explained = explainer.finish(explainer.choose_arguments(needed), limits)
            check_order(explained)
            return explained
        hidden |= partial_ones
        silent |= lost


class _Arguments(NamedTuple):
    """What a class is given, and the sizes of what it makes in terms of that."""

    settings: list[Setting]
    locals: dict[str, Local]
    widths: dict[tuple[int, int], Hint]
    growth: dict[tuple[int, int | None], tuple[Hint, ...]]


class _Explainer:
    def __init__(self, target: MergedClass, hidden: Collection[str], said: frozenset[Span]) -> None:
        self.target = target
        self.said = said
        self.settings = Settings(target, hidden, said)
        self.widths = Widths(target, self.settings)
        self.sizes = Sizes(target, self.settings)
        self.hinted = HintedSizes(target, self.settings, self.widths)
        self.count = len(target.bodies)
        self.fresh = NewArguments(target, self.settings)

    def solve(self) -> None:
        """Solves all variables and conditions."""
        target = self.target
        for item in target.items:
            self._widen(item)
        for item in self._order():
            for variant in item.variants if item.declares else ():
                self._explain_variant(item, variant)
            for leaf in variables(item.expression):
                self._explain_leaf(item, leaf, in_constructor=False)
            self.widths.explained.add(item)
        self._explain_late()
        self.widths.pins = False
        conditions = ConditionFinder(target, self.settings).find()
        self.widths.dependence.start_anew(conditions)

    def _explain_late(self) -> None:
        """Solves the sizes of weights that are written by tensors made behind them."""
        late = [leaf for item in self.target.items for leaf in item.leaves() if is_late(leaf)]
        solved = bool(late)
        while solved:
            self.widths.known.clear()  # what was asked for too early
            left = [leaf for leaf in late if not self._follow_hints(leaf, in_constructor=True)]
            solved, late = len(left) < len(late), left

    def choose_arguments(self, needed: Iterable[str] = ()) -> _Arguments:
        """What the class is given, `needed` too, and how the sizes of its outputs follow from
        that."""
        for label in needed:
            self.settings.use(HintName(label))
        settings, growth = self.settings, {}
        widths: dict[tuple[int, int], Hint] = {}
        if self.target.is_turn:
            carried = self._find_carried()
            growth = dict(self.widths.lists.find_growth())
            widths = self._turn_widths(carried)
        order = list(settings.found)
        used = sorted(settings.used, key=order.index)
        return _Arguments(
            [s for n in used if not (s := settings.found[n]).local],
            {n: self.widths.locals[n] for n in used if n in self.widths.locals},
            widths if self.target.is_turn else self._output_widths(),
            growth,
        )

    def finish(self, arguments: _Arguments, limits: Limits) -> ExplainedClass:
        """The explained class."""
        return ExplainedClass(
            **spread(self.target),
            formals=self.settings.formals,
            settings=arguments.settings,
            names=self.settings,
            tensors=self.widths,
            conditions=self.widths.dependence.conditions,
            locals=arguments.locals,
            widths=arguments.widths,
            growth=arguments.growth,
            said=self.said,
            limits=limits,
        )

    def _order(self) -> Iterator[Merged]:
        """The items, a weight whose sizes are those of a tensor (`u.shape[1]`) where it is read."""
        late = {item.slot: item for item in self.target.items if _is_sized_by_tensor(item)}
        for item in self.target.items:
            for ref in item.refs:
                if isinstance(ref, FromOwn) and ref.path in late:
                    yield late.pop(ref.path)
            if not _is_sized_by_tensor(item):
                yield item
        yield from late.values()

    def _explain_variant(self, item: Merged, variant: Variant) -> None:
        stages = find_stages(variant.constructor)
        for place, stage in enumerate(stages):
            for leaf in variables(stage):
                inner = leaf.dim is not None and leaf.dim[0] == "inner in"
                if not inner or not self._explain_inner(leaf, stages[:place]):
                    self._explain_leaf(item, leaf, in_constructor=True)
        for leaf in variables(variant.constructor):  # numbers of repeats
            if leaf.role == "count":
                self._explain_leaf(item, leaf, in_constructor=True)
        for start in variant.starts:
            for leaf in variables(start):
                self._explain_leaf(item, leaf, in_constructor=True)

    def _explain_inner(self, leaf: Many, before: list[Part]) -> bool:
        """An input width inside a chain is what the stages before it make of it."""
        assert leaf.dim is not None
        if self._follow_hints(leaf, in_constructor=True):
            return True
        width = self.widths.of_stages(before, leaf.dim[2], leaf.values)
        return width is not None and self._accept_width(leaf, width.hint, in_constructor=True)

    def _widen(self, item: Merged) -> None:
        """A width belongs to a tensor, and the tensor exists in every instance of the item,
        whatever makes it there."""
        for leaf in item.leaves():
            if leaf.dim is None or leaf.dim[0] not in ("in", "out"):
                continue
            side, index, axis = leaf.dim
            if side == "in" and index >= len(item.refs):
                continue
            ref = OutputRef(item, index) if side == "out" else item.refs[index]
            sizes = {i: self.target.axis(ref, axis, i) for i in item.instances}
            if None not in sizes.values() and all(sizes[i] == v for i, v in leaf.values.items()):
                leaf.values = sizes

    # --- one leaf -----------------------------------------------------------------------------

    def _explain_leaf(self, item: Merged, leaf: Many, *, in_constructor: bool) -> None:
        if not in_constructor and any(isinstance(v, Dim) for v in leaf.values.values()):
            self.sizes.solve(item, leaf)
            return
        if self._follow_hints(leaf, in_constructor=in_constructor):
            return
        if leaf.dim is not None and leaf.dim[0] == "in" and leaf.dim[1] < len(item.refs):
            width = self.widths.of(item.refs[leaf.dim[1]], leaf.dim[2])
            if width is not None and self._accept_width(
                leaf, width.hint, in_constructor=in_constructor
            ):
                return
            if width is None and in_constructor:
                self._need_sizes(item, item.refs[leaf.dim[1]], leaf.dim[2])
        named = {name for hint in leaf.hints for name in hint_names(hint)}
        # What the author wrote in this block may hold again where the turns are written out.
        own = named - {name for hint in leaf.hints for name in outer_names(hint)}
        moves = leaf.varies or named & turn_names(self.target.bodies[0].frame)
        if self.target.is_turn and named and (moves or (in_constructor and own)):
            raise Diverge("a number that is not what the author wrote")
        hint = self.fresh.find_optional(leaf)
        if hint is None and not leaf.varies and not self.target.is_turn:
            hint = self._find_size(item, leaf)
        if hint is None and isinstance(leaf.literal, CodeName) and len(leaf.values) < self.count:
            hint = self.fresh.find_function(leaf)
        if hint is None and leaf.varies:
            inner = find_loop(item)
            if self.target.is_turn:
                raise Diverge("a number that changes from turn to turn, and nobody said how")
            if inner is not None:
                raise Unfoldable({inner.repeat.loop})
            hint = self._relate(leaf) or self.fresh.make_fresh(leaf)
        if hint is not None:
            leaf.solution = self.settings.use(hint, in_forward=not in_constructor)

    def _need_sizes(self, item: Merged, ref: MergedRef, axis: int) -> None:
        """Asks for the sizes of lists that a size comes from; a loop that needs all of one does
        not take them as numbers."""
        self.widths.lists.need(ref, axis)
        inner = find_loop(item)
        if inner is not None and self.target.is_list(ref):
            raise Unfoldable({inner.repeat.loop})

    def _follow_hints(self, leaf: Many, *, in_constructor: bool) -> bool:
        for hint in map(self.hinted.write, leaf.hints):
            found = self.settings.holds(hint, leaf.values)
            if found is None or (in_constructor and self.settings.is_runtime(found)):
                continue
            names = any(True for _ in hint_names(found))
            used = self.settings.use(found, in_forward=not in_constructor)
            leaf.solution = used if names else None
            return True
        return False

    def _accept_width(self, leaf: Many, hint: Hint | None, *, in_constructor: bool) -> bool:
        if hint is None:
            return not leaf.varies
        if self.settings.holds(hint, leaf.values) is None or self.settings.is_runtime(hint):
            return False
        leaf.solution = self.settings.use(hint, in_forward=not in_constructor)
        return True

    def _find_size(self, item: Merged, leaf: Many) -> Hint | None:
        """A constant width behind a change of shape is called like the one input size that it
        equals and is made from: what `flatten` makes of heads is the width that was split into
        them."""
        if leaf.dim is None or leaf.dim[0] != "in" or not isinstance(leaf.literal, int):
            return None
        same = [
            s
            for s in self.settings.found.values()
            if s.dim is not None and not (s.runtime or s.hidden)
            if s.constant and s.values[0] == leaf.literal
        ]
        sources: Collection[str] = ()
        if same and leaf.dim[1] < len(item.refs):
            sources = self.widths.dependence.of(item.refs[leaf.dim[1]], leaf.dim[2])
        same = [s for s in same if s.name in sources]
        return HintName(same[0].name) if len(same) == 1 and leaf.literal >= LEAST_TELLING else None

    def _relate(self, leaf: Many) -> Hint | None:
        """A known argument, or a small multiple of one, with these values."""
        known = [s for s in self.settings.found.values() if not (s.runtime or s.hidden or s.local)]
        known.sort(key=lambda s: s.name not in self.settings.used)
        known = [s for s in known if all(s.values[i] is not None for i in leaf.values)]
        for setting in known:
            if all(same_value(setting.values[i], v) for i, v in leaf.values.items()):
                return HintName(setting.name)
        if not all(type(v) is int for v in leaf.values.values()):
            return None
        if leaf.dim is None and leaf.role != "count":
            return None
        for setting in known:
            differ = len({setting.values[i] for i in leaf.values}) > 1
            if setting.name in self.settings.used and setting.annotation == "int" and differ:
                for hint in _multiples(HintName(setting.name)):
                    if (found := self.settings.holds(hint, leaf.values)) is not None:
                        return found
        return None

    def _find_carried(self) -> dict[int, int]:
        """What goes round, of which the sizes are noted that somebody needs after the loop."""
        carried = find_carried(self.target)
        if carried is None:
            raise Diverge("a value that some turns carry on and others do not")
        self._keep_wanted(carried)
        return carried

    def _turn_widths(self, carried: Mapping[int, int]) -> dict[tuple[int, int], Hint]:
        """What the sizes that a turn is made with are after it."""
        target, found = self.target, dict[tuple[int, int], Hint]()
        waiting = [self.settings.found[name] for name in self.settings.used]
        while waiting:
            dim = waiting.pop().dim
            if dim is None or dim[0] not in carried or (carried[dim[0]], dim[1]) in found:
                continue
            output = carried[dim[0]]
            width = self.widths.of(target.outputs[output], dim[1])
            if width is None:
                raise Diverge("a size that changes from turn to turn, and nobody said how")
            size = target.axis(target.outputs[output], dim[1], 0)
            after = width.hint if width.hint is not None else HintConst(size)  # type: ignore[arg-type]
            before = set(self.settings.used)
            found[output, dim[1]] = self.settings.use(after)
            waiting += [self.settings.found[n] for n in self.settings.used if n not in before]
        return found

    def _keep_wanted(self, carried: Iterable[int]) -> None:
        """Notes that the turns keep the sizes of lists that somebody needs after them."""
        for place in carried:
            key = self.target.list_key(Formal(place))
            for span, axis in self.target.bodies[0].index.wanted:
                width = self.widths.of(Formal(place), axis) if span == key else None
                if width is not None and width.hint is not None:
                    self.settings.use(width.hint)

    # --- results --------------------------------------------------------------------------------

    def _output_widths(self) -> dict[tuple[int, int], Hint]:
        found = {}
        chosen = {
            s.name
            for s in self.settings.found.values()
            if not (s.runtime or s.hidden or s.local) and (s.dim or s.name in self.settings.used)
        }
        for output, ref in enumerate(self.target.outputs):
            for axis in range(self.target.type_of(ref, 0).rank):
                width = self.widths.of(ref, axis)
                hint = width.hint if width is not None else None
                hint = None if hint is None else self.widths.close(hint)
                if hint is not None and chosen.issuperset(hint_names(hint)):
                    found[output, axis] = hint
        return found


def _multiples(name: HintName) -> list[Hint]:
    near: list[Hint] = [HintBinary(sign, name, HintConst(1)) for sign in "-+"]
    times: list[Hint] = [HintBinary("*", HintConst(k), name) for k in range(2, 9)]
    shares: list[Hint] = [HintBinary("//", name, HintConst(k)) for k in (2, 4, 8)]
    return near + times + shares


def _is_sized_by_tensor(item: Merged) -> bool:
    """Whether it declares a weight, and the author wrote a size of it by a tensor."""
    hints = (hint for leaf in item.leaves() for hint in leaf.hints)
    return item.sample.op == "declare" and any(any(hint_sizes(hint)) for hint in hints)
