"""Arguments that a class gets for literals that nothing else explains."""

from __future__ import annotations

from dataclasses import replace

from backends.pytorch.classes.merged import MergedClass
from backends.pytorch.classes.settings import Settings, annotate
from backends.pytorch.terms.setting import Setting
from backends.pytorch.terms.terms import Many, is_scalar
from compiler.ir.hint import Hint, HintName, hint_names
from compiler.vocabulary.no_default import NO_DEFAULT
from compiler.writing.names import safe_name
from compiler.writing.python import CodeName

GENERAL_ROLES = frozenset(
    {"", "channels", "features", "dim", "kernel_size", "stride", "padding", "bias", "count"}
)
"""Roles that many leaves of a class have: an argument made from one is named after its slot."""

Table = list[tuple[object, object]]
"""Values of an argument that is a layer, and the functions of the code that they mean."""


class NewArguments:
    """The arguments that are made for leaves of one class."""

    def __init__(self, target: MergedClass, settings: Settings) -> None:
        self.target = target
        self.settings = settings
        self.count = len(target.bodies)
        self.optional: dict[str, str] = {}
        """The slot of each argument that is None where its leaves are absent."""

    def find_optional(self, leaf: Many) -> Hint | None:
        """A named leaf that only some instances have: `rank: int | None = None`."""
        if len(leaf.values) == self.count or not leaf.hints:
            return None
        hint = leaf.hints[0]
        if not isinstance(hint, HintName) or self._is_required(hint.name):
            return None
        name = hint.name
        if name not in self.settings.found:
            name = self._name_in_slot(name, leaf)
            self._add_optional(name, leaf)
        return self.settings.holds(HintName(name), leaf.values)

    def _name_in_slot(self, label: str, leaf: Many) -> str:
        """`rank` as `conv1_rank`: other modules of the class may get one too. Two forms of one
        module share it."""
        slot = leaf.slot.partition(".")[0]
        wish = f"{slot}_{label}" if slot and not slot.isdecimal() else label
        if self.optional.get(wish) != slot:
            wish = self.settings.free(wish)
            self.optional[wish] = slot
        return wish

    def _add_optional(self, name: str, leaf: Many) -> None:
        """An argument that is None where no leaf has it; what other leaves have stays."""
        values = [leaf.values.get(i) for i in range(self.count)]
        known = self.settings.found.get(name)
        if known is not None:
            pairs = zip(known.values, values, strict=True)
            values = [new if old is None else old for old, new in pairs]
        note = annotate([*values, None])
        self.settings.add(Setting(name, values, None, note, fresh=True))

    def _is_required(self, name: str) -> bool:
        found = self.settings.found.get(name)
        return found is not None and found.dim is None and not found.annotation.endswith("None")

    def make_fresh(self, leaf: Many) -> Hint:
        """A new argument with the values of a leaf that varies."""
        if isinstance(leaf.literal, CodeName):
            return self._make_function(leaf)
        named = next(
            (
                h.name
                for h in leaf.hints
                if isinstance(h, HintName) and h.name not in self.settings.found
            ),
            None,
        )
        slot = leaf.slot.replace(".", "_")
        if not leaf.slot.rpartition(".")[2].isdecimal():
            slot = leaf.slot.partition(".")[0]
        role = named or leaf.role
        wish = role
        if role in GENERAL_ROLES or (slot and (named or role.endswith("channels"))):
            wish = "_".join(p for p in (slot, role) if p)
        if wish in self.settings.found and slot:
            wish = f"{slot}_{role}"
        name = self.settings.free(wish or "size")
        values = [leaf.values.get(i) for i in range(self.count)]
        setting = Setting(name, values, NO_DEFAULT, annotate(leaf.values.values()), fresh=True)
        self.settings.add(self._with_default(setting, leaf))
        if setting.fallback is None:
            self.settings.renamed.update((h, name) for h in leaf.hints)
        return HintName(name)

    def _with_default(self, setting: Setting, leaf: Many) -> Setting:
        """Where most instances still follow the author's expression, the argument is None for
        it; where some have no such leaf at all, None means that."""
        optional = annotate([*leaf.values.values(), None])
        for hint in leaf.hints if None not in leaf.values.values() else ():
            follows = [
                i for i, v in leaf.values.items() if self.settings.holds(hint, {i: v}) is not None
            ]
            short = self.settings.holds(hint, {i: leaf.values[i] for i in follows})
            if short is None or 2 * len(follows) <= len(leaf.values):
                continue
            if all(n in self.settings.found for n in hint_names(short)):
                return replace(
                    setting,
                    default=None,
                    annotation=optional,
                    fallback=self.settings.use(short),
                    followers=frozenset(follows),
                )
        if None in setting.values:
            return replace(setting, default=None, annotation=optional)
        return setting

    def find_function(self, leaf: Many) -> Hint | None:
        """The argument that chooses a function which only some instances call, where others show
        what its values mean."""
        return None if self._find_choice(leaf) is None else self._make_function(leaf)

    def _make_function(self, leaf: Many) -> Hint:
        """Functions that differ take the name of the argument that chooses them."""
        values = [leaf.values.get(i) for i in range(self.count)]
        decided = self._find_choice(leaf)
        if decided is None:
            name = self.settings.free(leaf.role)
            self.settings.add(Setting(name, values, annotation=annotate(values), fresh=True))
            return HintName(name)
        name, table = decided
        frames = [body.frame for body in self.target.bodies]
        chosen = [next(a for a in f.arguments if safe_name(a.name) == name) for f in frames]
        values = [_look_up(table, argument.value) for argument in chosen]
        default = _look_up(table, chosen[0].default)
        default = NO_DEFAULT if default is None else default
        self.settings.add(Setting(name, values, default, annotate(values)))
        return HintName(name)

    def _find_choice(self, leaf: Many) -> tuple[str, Table] | None:
        """The recorded argument whose values go one to one with these functions, and which
        value means which."""
        frames = [body.frame for body in self.target.bodies]
        passed = {hint.name if isinstance(hint, HintName) else "" for hint in leaf.hints}
        for argument in frames[0].arguments:
            if passed not in (set(), {safe_name(argument.name)}):
                continue
            rows = [next((a for a in f.arguments if a.name == argument.name), None) for f in frames]
            if argument.dims or is_scalar(argument.value) or None in rows:
                continue
            given = [row.value for row in rows if row is not None]
            table: Table = []
            for number, function in self._gather_functions(leaf).items():
                pair = (given[number], function)
                if not any(pair[0] == a and pair[1] == b for a, b in table):
                    table.append(pair)
            known = all(_look_up(table, value) is not None for value in given)
            if (
                known
                and len(table) == len({str(b) for _, b in table})
                and all(a != c for k, (a, _) in enumerate(table) for c, _ in table[:k])
            ):
                return safe_name(argument.name), table
        return None

    def _gather_functions(self, leaf: Many) -> dict[int, object]:
        """The functions of a leaf, and in instances without it those of others like it, or that
        come from the same argument."""
        found = dict(leaf.values)
        for item in self.target.items:
            for other in item.leaves():
                shared = found.keys() & other.values.keys()
                same = bool(shared) or (bool(leaf.hints) and leaf.hints == other.hints)
                alike = type(other.literal) is type(leaf.literal) and same
                if alike and all(found[i] == other.values[i] for i in shared):
                    found.update(other.values)
        return found


def _look_up(table: Table, value: object) -> object:
    """The function that a value means; None for a value that no instance has."""
    return next((function for known, function in table if known == value), None)
