"""When an optional part of a class is there: each condition as a test on the class's arguments."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from backends.pytorch.classes.asserting import split_guard
from backends.pytorch.classes.explained import Condition, find_loop
from backends.pytorch.classes.merged import (
    CHAIN,
    Choice,
    Diverge,
    Merged,
    MergedClass,
    Variant,
    find_makers,
)
from backends.pytorch.classes.settings import Settings
from backends.pytorch.terms.setting import Instances, Setting
from backends.pytorch.terms.terms import IDENTITY, Form, Many, Tree, variables
from compiler.ir.hint import (
    Hint,
    HintBinary,
    HintChoose,
    HintConst,
    HintName,
    HintUnary,
    hint_names,
    opposite,
)

MOST_CONDITIONS = 4
"""A class with more of them is harder to read than two classes."""


class ConditionFinder:
    """Finds the tests of a class."""

    def __init__(self, target: MergedClass, settings: Settings) -> None:
        self.target = target
        self.settings = settings
        self.found: dict[Choice | Variant, Condition] = {}

    def find(self) -> dict[Choice | Variant, Condition]:
        """The condition of every choice, and of the variants that have one; the first of two
        variants is the one under the condition.

        Raises:
            Diverge: one class would need too many of them, or more forms of one module than two.
        """
        target = self.target
        branches = {choice.instances for choice in target.choices}
        count = sum(len(m.variants) > 1 for m in target.items) + len(branches)
        if count > MOST_CONDITIONS:
            raise Diverge("too many conditions")
        for item in target.items:
            self._find_variants(item)
        for choice in target.choices:
            self._find_choice(choice)
        self._cover_branches()
        variants = (variant for item in target.items for variant in item.variants)
        for one in (*variants, *target.choices):
            if one in self.found:
                self.settings.use(self.found[one].test)
        return self.found

    def _find_variants(self, item: Merged) -> None:
        variants, target = item.variants, self.target
        partial = item.instances != self.target.everyone
        if len(variants) > 2 or (len(variants) == 2 and partial):
            raise Diverge("more than two forms of one module")
        listed = "." in item.slot or item.slot == CHAIN
        if listed and variants and not target.is_turn and (len(variants) > 1 or partial):
            raise Diverge("a member of a list that differs in form")
        if len(variants) == 2:
            self._check_loop(item)
            first, second = variants
            self._check_forms(item, first, second)
            larger = len(first.instances) > len(second.instances)
            if second.constructor is not IDENTITY and larger:
                first, second = second, first
            if second.constructor is not IDENTITY and self._find_known(item, first) is None:
                first, second = (
                    (second, first)
                    if self._find_known(item, second) is not None
                    else (first, second)
                )
            known = self._find_known(item, first)
            self.found[first] = known or self._add_flag(first.instances, item.slot)
            item.variants = [first, second]

    def _check_loop(self, item: Merged) -> None:
        """Holds a loop that some calls do not have to what it goes through: nothing, there; it
        does not stand in a branch."""
        for variant in item.variants:
            match variant.constructor:
                case Tree(Form.FOR, parts=(Many(solution=over), *_)):
                    absent = dict.fromkeys(self.target.everyone - variant.instances, ())
                    if over is None or isinstance(over, Tree):
                        raise Diverge("a loop that some calls do not have")
                    if self.settings.holds(over, absent) is None or not self._is_free(item):
                        raise Diverge("a loop that stands in a branch")

    def _check_forms(self, item: Merged, first: Variant, second: Variant) -> None:
        """Holds two forms of a chain to one condition: where one has a part under one and the
        other a part under another, that these came out alike is chance."""
        own, other = (set(_guards(item, one.instances)) for one in (first, second))
        guards = own ^ other
        alone = [g for g in guards if _parts(g).isdisjoint(guards - {g})]
        if self._differ(alone):
            raise Diverge("forms of a chain under several conditions that came out alike")

    def _is_free(self, item: Merged) -> bool:
        """Whether the branches that an item stands in are taken by all calls."""
        always = dict.fromkeys(sorted(self.target.everyone), True)
        guards = _find_common(item)
        return all(self.settings.decides(guard, always) is not None for guard in guards)

    def _find_known(self, item: Merged, variant: Variant) -> Condition | None:
        rest = self.target.everyone - variant.instances
        own, others = _guards(item, variant.instances), _guards(item, rest)
        guards = [g for g in own if g not in others]
        guards += [opposite(g) for g in others if g not in own]
        return self._find_test(variant.instances, guards, variant)

    def _find_choice(self, choice: Choice) -> None:
        inside = [m for m in self.target.items if m.instances == choice.instances]
        guards = list(dict.fromkeys(g for m in inside for g in _guards(m, choice.instances)))
        if len(guards) > 1 and self._differ(guards):
            raise Diverge("branches of several conditions that came out alike")
        if guards and any(_is_strange(m, guards) for m in self._only_inside(choice)):
            raise Diverge("an optional part that stands in the branch of another by chance")
        slot = inside[-1].slot if inside else ""
        known = self._find_test(choice.instances, guards, None)
        self.found[choice] = known or self._add_flag(choice.instances, slot or "extra")

    def _differ(self, guards: list[Hint]) -> bool:
        """Whether conditions of one branch, as its author wrote them, are not one condition: that
        they came out alike in every call is chance."""
        names = [frozenset(hint_names(guard)) for guard in guards]
        return len(set(names)) > 1

    def _only_inside(self, choice: Choice) -> set[Merged]:
        """What nothing but a branch reads."""
        return find_makers([choice.other]) - find_makers([choice.base])

    def _cover_branches(self) -> None:
        """Modules inside a branch are made under the branch's condition."""
        branches = {choice.instances: choice for choice in self.target.choices}
        for item in self.target.items:
            if item.instances == self.target.everyone:
                continue
            if item.instances not in branches:
                raise Diverge("an item outside every branch")
            for variant in item.variants:
                self.found[variant] = self.found[branches[item.instances]]

    def _find_test(
        self, instances: Instances, guards: Sequence[Hint], variant: Variant | None
    ) -> Condition | None:
        """The first test that is true in exactly these instances: the author's guard, an
        argument that is not None, an argument that is not 0."""
        wanted = {i: i in instances for i in sorted(self.target.everyone)}
        settings = self.settings
        for guard in self._with_renamed(guards):
            test = settings.decides(guard, wanted)
            if test is not None and not settings.is_runtime(test):
                return Condition(test)
        if any(map(self._asks_for_tensor, guards)):
            return None  # an argument that agrees with it does so by chance
        if self.target.is_turn:  # what holds in these turns by chance need not hold in others
            raise Diverge("a condition that nobody wrote")
        leaves = variables(variant.constructor if variant is not None else None)
        inside = {v.solution.name for v in leaves if isinstance(v.solution, HintName)}
        chosen = self._find_optional(wanted, inside)
        if chosen is not None:
            return Condition(HintName(chosen.name), is_set=True)
        changed = self._find_changed(wanted)
        if changed is not None:
            return Condition(changed)
        chosen = self._find_optional(wanted, self.settings.found)
        if chosen is not None:
            return Condition(HintName(chosen.name), is_set=True)
        return self._find_truthy(wanted)

    def _asks_for_tensor(self, guard: Hint) -> bool:
        """Whether a condition of the author's is on a tensor that calls may leave out."""
        tensors = {formal for body in self.target.bodies for formal, _ in body.frame.tensors}
        return not tensors.isdisjoint(set(hint_names(guard)) - self.settings.found.keys())

    def _add_flag(self, instances: Instances, slot: str) -> Condition:
        """A new argument that says it."""
        name = self.settings.free(slot.replace(".", "_"))
        values: list[object] = [i in instances for i in sorted(self.target.everyone)]
        self.settings.add(Setting(name, values, False, "bool", fresh=True))
        return Condition(HintName(name))

    def _find_optional(self, wanted: dict[int, bool], names: Collection[str]) -> Setting | None:
        """Of some arguments, one that is given exactly where wanted."""
        for setting in self._candidates():
            given = all((setting.values[i] is not None) == w for i, w in wanted.items())
            if setting.name in names and setting.annotation.endswith("None") and given:
                return setting
        return None

    def _find_changed(self, wanted: dict[int, bool]) -> Hint | None:
        """An argument of the author's that is not its default exactly where wanted, such as
        `stride != 1`; 0 reads better as plain truth."""
        for setting in self._candidates():
            default = setting.default
            plain = setting.annotation in ("int", "bool") and not setting.fresh
            if not plain or not default or not isinstance(default, int):
                continue
            if all((setting.values[i] != default) == w for i, w in wanted.items()):
                if setting.annotation == "bool":
                    return HintUnary("not", HintName(setting.name))
                return HintBinary("!=", HintName(setting.name), HintConst(default))
        return None

    def _find_truthy(self, wanted: dict[int, bool]) -> Condition | None:
        """An argument that is not 0 exactly where wanted."""
        for setting in self._candidates():
            plain = setting.dim is None and setting.annotation in ("int", "bool")
            if plain and all(bool(setting.values[i]) == w for i, w in wanted.items()):
                return Condition(HintName(setting.name))
        return None

    def _candidates(self) -> list[Setting]:
        return [s for s in self.settings.found.values() if s.fallback is None and not s.hidden]

    def _with_renamed(self, guards: Iterable[Hint]) -> Iterable[Hint]:
        """The author's conditions, also with the names that widths have now."""
        unique = dict.fromkeys(guards)
        yield from unique
        for guard in unique:
            for old, new in self.settings.renamed.items():
                changed = _substitute(guard, old, HintName(new))
                if changed != guard:
                    yield changed


def _is_strange(item: Merged, guards: list[Hint]) -> bool:
    """Whether an optional part in a branch has a condition of its own, without the branch's."""
    return any(not _parts(guard) & set(guards) for guard in _guards(item, item.instances))


def _parts(guard: Hint) -> set[Hint]:
    """A condition, and those that it joins."""
    match guard:
        case HintBinary("and", left, right):
            return {guard} | _parts(left) | _parts(right)
    return {guard}


def _find_common(item: Merged) -> set[Hint]:
    """The author's conditions that all of an item stands under; of a loop, all in its turns."""
    inner = find_loop(item)
    if inner is not None:
        return set.intersection(*map(_find_common, inner.items))
    return set.intersection(*(set(split_guard(m.guard)) for m in item.members.values()))


def _guards(item: Merged, instances: Instances) -> list[Hint]:
    """The author's conditions on an item in some instances; of a chain, on parts of it."""
    members = [m for i, m in item.members.items() if i in instances]
    rows = (m.guards or (m.guard,) for m in members)
    return list(dict.fromkeys(guard for row in rows for guard in row if guard is not None))


def _substitute(hint: Hint, old: Hint, new: HintName) -> Hint:
    """The hint with one sub-expression replaced by a name."""
    if hint == old:
        return new
    match hint:
        case HintUnary(symbol, operand):
            return HintUnary(symbol, _substitute(operand, old, new))
        case HintBinary(symbol, left, right):
            return HintBinary(symbol, _substitute(left, old, new), _substitute(right, old, new))
        case HintChoose(condition, then, otherwise):
            parts = (_substitute(h, old, new) for h in (condition, then, otherwise))
            return HintChoose(*parts)
    return hint
