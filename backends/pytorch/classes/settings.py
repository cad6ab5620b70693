"""Candidates for the arguments of a class, and the question whether an expression in them holds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from backends.pytorch.classes.algebra import simplify
from backends.pytorch.classes.merged import Formal, Merged, MergedClass, MergedRef, OutputRef
from backends.pytorch.fold.holders import is_given, is_mode, name_held
from backends.pytorch.fold.spelled import unmark
from backends.pytorch.terms.naming import AXIS_NAMES, singular, user_name
from backends.pytorch.terms.setting import Setting
from backends.pytorch.terms.terms import Many, plain_value
from compiler.ir.frame import Argument
from compiler.ir.hint import (
    Hint,
    HintConst,
    HintError,
    HintName,
    change_hint,
    evaluate_hint,
    find_readable,
    hint_atoms,
    hint_names,
    read_size_name,
    rename_hint,
)
from compiler.report.source import Span
from compiler.types.dims import Dim
from compiler.vocabulary.no_default import NO_DEFAULT
from compiler.writing.names import free_name, safe_name
from compiler.writing.python import ClassName, CodeName


class Settings:
    """Names that expressions of a class may use, with their values in each instance."""

    def __init__(
        self, target: MergedClass, hidden: Collection[str] = (), said: Collection[Span] = ()
    ) -> None:
        self.target = target
        self.hidden = hidden
        self.said = said
        self.count = len(target.bodies)
        self.formals = _name_formals(target)
        self.found: dict[str, Setting] = {}
        self.used: dict[str, None] = {}
        self.envs: list[dict[str, object]] = [{} for _ in target.bodies]
        self.renamed: dict[Hint, str] = {}
        """Hints that most leaves no longer follow, and the setting that has replaced them."""
        self.same: dict[tuple[int, int], str] = {}
        """Further sizes of formals, by (formal, axis), that the signature gives the same name."""
        self._add_sizes()
        self._add_arguments()
        self._rebind()

    # --- asking -----------------------------------------------------------------------------

    def holds(self, hint: Hint, values: Mapping[int, object]) -> Hint | None:
        """The hint in its shortest form, if it gives these values in every instance."""
        if find_readable(hint) is None:
            return None
        try:
            short = self._shorten(hint, whole=_all_whole(values.values()))
            for number, value in values.items():
                if not _agree(evaluate_hint(short, self.envs[number]), value):
                    return None
        except HintError:
            return None
        return short

    def knows(self, hint: Hint, instances: Iterable[int]) -> bool:
        """Whether the class has all that an expression needs, whatever its value is."""
        if find_readable(hint) is None:
            return False
        try:
            short = self._shorten(hint, whole=True)
            for number in instances:
                evaluate_hint(short, self.envs[number])
        except HintError:
            return False
        return True

    def decides(self, hint: Hint, wanted: Mapping[int, bool]) -> Hint | None:
        """The hint, if it is true exactly where wanted."""
        if find_readable(hint) is None:
            return None
        try:
            short = self._shorten(hint, whole=False)
            for number, value in wanted.items():
                if bool(evaluate_hint(short, self.envs[number])) != value:
                    return None
        except HintError:
            return None
        return short

    def _shorten(self, hint: Hint, *, whole: bool) -> Hint:
        """The shortest form of a hint that the class can say in full: what it would not come to in
        any instance, such as the other branch of a choice, is code as well."""
        short = simplify(self._find_sizes(hint), whole=whole)
        for atom in hint_atoms(short):
            known = self.found.get(atom.name) if isinstance(atom, HintName) else None
            if known is None or known.hidden:
                raise HintError("a name that the class does not have")
        return short

    def _find_sizes(self, hint: Hint) -> Hint:
        """A hint with sizes of formals under the names that the class has for them."""

        def change(part: Hint) -> Hint:
            size = read_size_name(part.name) if isinstance(part, HintName) else None
            return part if size is None else HintName(self._name_size(*size))

        return change_hint(hint, change) if _reads_sizes(hint) else hint

    def _name_size(self, place: int, axis: int) -> str:
        formal = next(p for p, rows in enumerate(self.target.places) if rows[0] == place)
        known = self.find_size(formal, axis)
        if known is not None:
            return known.name
        made = None
        if not self.target.is_root:  # sizes of a model's inputs are numbers, or have names
            made = self.add_size(self.name_size(formal, axis), formal, axis)
        if made is None:
            raise HintError("a size without a name")
        return made.name

    def name_size(self, place: int, axis: int) -> str:
        """A free name for a size of a formal."""
        rank = self.target.type_of(Formal(place), 0).rank
        if self.target.is_list(Formal(place)):
            what = "channels" if axis == 1 and rank > 2 else "widths"
            return self.free(f"{singular(self.formals[place])}_{what}")
        if self.target.is_turn:
            return self.free("side" if rank > 3 else "length" if rank > 2 else "size")
        return self.free(AXIS_NAMES.get(rank, "")[axis : axis + 1] or "size")

    def use(self, hint: Hint, *, in_forward: bool = False) -> Hint:
        """Notes that the class needs the names of an expression; `forward` reads sizes off its
        inputs."""
        for label in hint_names(hint):
            setting = self.found.get(label)
            if setting is not None and not (in_forward and setting.dim is not None):
                self.used[label] = None
                if setting.fallback is not None:
                    self.use(setting.fallback)
        return hint

    def add(self, setting: Setting) -> Setting:
        """Adds a setting; in its environment, None stands for an argument of the author's only."""
        known = self.found.get(setting.name)
        setting.label = known.label if known is not None else self.free(setting.name)
        self.found[setting.name] = setting
        for env, value in zip(self.envs, setting.values, strict=True):
            env.pop(setting.name, None)
            if (value is not None or setting.written) and not setting.hidden:
                env[setting.name] = value
        return setting

    def is_runtime(self, hint: Hint) -> bool:
        """Whether an expression needs sizes that are only known when running."""
        return any(self.found[n].runtime for n in hint_names(hint) if n in self.found)

    def free(self, wish: str) -> str:
        """A name that no setting, tensor or function has."""
        taken = {*self.found, *(s.label for s in self.found.values())}
        return free_name(safe_name(wish), taken.union(self.formals, self.target.functions))

    # --- candidates ---------------------------------------------------------------------------

    def _add_sizes(self) -> None:
        """Sizes that the signature names, then known input widths that modules need."""
        target = self.target
        for body in target.bodies:
            for argument in body.frame.arguments:
                if argument.dims and argument.name not in self.found:
                    self._add_named_size(argument.name, argument.dims)
        if target.is_root:
            self._add_symbols()
            return
        joined = {formal.place for item in target.items for formal, _ in self._find_joined(item)}
        for place, axis in dict.fromkeys(self._needed_widths()):
            if self.find_size(place, axis) is None and target.is_list(Formal(place)):
                self.add_size(self.name_size(place, axis), place, axis)
            elif self.find_size(place, axis) is None:
                self.add_size(self._name_width(place, axis, several=place in joined), place, axis)

    def _name_width(self, place: int, axis: int, *, several: bool) -> str:
        """A free name for a width of what comes in, after its tensor where there are several."""
        rank = self.target.type_of(Formal(place), 0).rank
        what = "channels" if axis == 1 and rank > 2 else "features"
        return self.free(f"{self.formals[place] if several else 'in'}_{what}")

    def _add_named_size(self, name: str, places: Sequence[tuple[str, int]]) -> None:
        """A size that the signature names, of all formals that it gives this name to."""
        formals = self.formals
        for formal, axis in places:
            if safe_name(formal) not in formals:
                continue
            place = formals.index(safe_name(formal))
            known = self.found.get(name)
            if known is None:
                self.add_size(name, place, axis)
            elif self._read_sizes(place, axis) == known.values:
                self.same[place, axis] = name

    def find_size(self, place: int, axis: int) -> Setting | None:
        """The setting that stands for a size of a formal."""
        name = self.same.get((place, axis))
        if name is not None:
            return self.found[name]
        known = [s for s in self.found.values() if s.dim == (place, axis)]
        return next((s for s in known if not s.hidden), next(iter(known), None))

    def _read_sizes(self, place: int, axis: int) -> list[object]:
        """The size of a formal in every instance."""
        return [self.target.axis(Formal(place), axis, i) for i in range(self.count)]

    def add_size(self, name: str, place: int, axis: int) -> Setting | None:
        """A setting for the size of a formal, if every instance has that axis."""
        values = self._read_sizes(place, axis)
        if any(value is None for value in values):
            return None
        runtime = any(isinstance(value, Dim) for value in values)
        hidden = name in self.hidden
        kind = "list[int]" if self.target.is_list(Formal(place)) else "int"
        return self.add(
            Setting(
                name,
                values,
                annotation=kind,
                dim=(place, axis),
                runtime=runtime,
                hidden=hidden,
            )
        )

    def _add_symbols(self) -> None:
        body = self.target.bodies[0]
        for place, item in enumerate(body.index.graph.inputs):
            for axis, size in enumerate(item.value.type.shape):
                name = next(iter(size.symbols), "")
                if size.known is None and size == Dim.of(name) and name not in self.found:
                    self.add_size(name, place, axis)

    def _needed_widths(self) -> Iterable[tuple[int, int]]:
        for item in self.target.items:
            for leaf in item.leaves():
                if leaf.dim is not None and leaf.dim[0] == "in" and leaf.dim[1] < len(item.refs):
                    ref = self._find_source(item.refs[leaf.dim[1]], leaf.dim[2])
                    if isinstance(ref, OutputRef) and not self.target.is_turn:
                        for formal, axis in self._find_joined(ref.item):
                            if axis == leaf.dim[2]:
                                yield formal.place, axis
                    if isinstance(ref, OutputRef) and self._is_joined(ref.item, leaf.dim[2]):
                        (ref,) = ref.item.refs
                    if isinstance(ref, Formal) and all(map(is_size, leaf.values.values())):
                        yield ref.place, leaf.dim[2]

    def _find_joined(self, item: Merged) -> Iterator[tuple[Formal, int]]:
        """What the class is given that an operation puts beside other tensors, and the axis."""
        match [node.op for node in item.sample.nodes]:
            case [op] if op.joins and not any(map(self.target.is_list, item.refs)):
                axis = op.join_axis(
                    self.target.type_of(OutputRef(item, 0), min(item.instances)).rank
                )
                if axis is None:
                    return
                formals = (ref for ref in item.refs if isinstance(ref, Formal))
                for formal in formals:
                    sizes = self._read_sizes(formal.place, axis)
                    said = any(size != sizes[0] for size in sizes) and not self._is_followed()
                    if all(map(is_size, sizes)) and not said:
                        yield formal, axis

    def _is_followed(self) -> bool:
        """Whether what the class is given may follow arguments of the class around. Where it does
        not, sizes that differ from call to call are what arguments with the same values say."""
        frames = [body.frame for body in self.target.bodies]
        around = {argument.name for f in frames if f.parent for argument in f.parent.arguments}
        hints = (argument.hint for f in frames for argument in f.arguments)
        return any(around.intersection(hint_names(hint)) for hint in hints if hint is not None)

    def _is_joined(self, item: Merged, axis: int) -> bool:
        """Whether an operation puts the tensors of a list side by side along an axis."""
        if len(item.refs) != 1 or not self.target.is_list(item.refs[0]):
            return False
        match [node.op for node in item.sample.nodes]:
            case [op] if op.joins:
                rank = self.target.type_of(OutputRef(item, 0), min(item.instances)).rank
                return axis == op.join_axis(rank)
        return False

    def _find_source(self, ref: MergedRef, axis: int) -> MergedRef:
        """In a turn, what a tensor has a size from that operations such as pooling leave alone."""
        while self.target.is_turn and isinstance(ref, OutputRef) and not ref.item.variants:
            instances = sorted(ref.item.instances)
            sizes = [self.target.axis(ref, axis, i) for i in instances]
            if len(ref.item.refs) != 1:
                break
            (above,) = ref.item.refs
            if [self.target.axis(above, axis, i) for i in instances] != sizes:
                break
            ref = above
        return ref

    def _add_arguments(self) -> None:
        frames = [body.frame for body in self.target.bodies]
        if self.target.is_root and self.target.bodies[0].index.as_function:
            return  # a function of the training script: its settings are constants
        hidden = self._find_hidden(frames[0].arguments)
        for argument in frames[0].arguments:
            if argument.name in self.found or (argument.dims and not self._is_unread(argument)):
                continue
            rows = [_find_argument(f.arguments, argument.name) for f in frames]
            values = [plain_value(row.value) if row is not None else None for row in rows]
            if any(isinstance(value, Dim) for value in values):
                continue
            default = plain_value(argument.default)
            note, written = (
                annotate(values, default),
                None not in rows and values != [None] * len(rows),
            )
            setting = Setting(argument.name, values, default, note, written=written)
            places = (place for row in rows if row is not None for place in row.untraced)
            # a loop around a turn says itself what its bounds are
            untraced = not self.target.is_turn and any(p not in self.said for p in places)
            setting.hidden = setting.constant and (untraced or argument.name in hidden)
            self.add(self._follow_default(setting, argument))

    def _is_unread(self, argument: Argument) -> bool:
        """Whether a name of the signature is a size of tensors that the block does not read, so
        that nothing that it is given has it."""
        formals = {safe_name(formal) for formal, _ in argument.dims}
        return not self.target.is_root and formals.isdisjoint(self.formals)

    def _find_hidden(self, arguments: Sequence[Argument]) -> set[str]:
        """Arguments that must not be offered, with those that their defaults follow: a class
        that does not have `inner: int = 2 * width` cannot say what `width` changes."""
        hidden = set(self.hidden)
        for argument in reversed(arguments):
            if self.target.is_root and argument.name in hidden and argument.hint is not None:
                hidden.update(hint_names(argument.hint))
        return hidden

    def _follow_default(self, setting: Setting, argument: Argument) -> Setting:
        """An argument of a model that was left out, where its default uses others: None means
        what they make of it."""
        if not self.target.is_root or argument.hint is None or setting.hidden:
            return setting
        known = {s.name: HintConst(s.values[0]) for s in self.found.values() if s.hidden}  # type: ignore[arg-type]
        hint = rename_hint(argument.hint, known)
        short = self.holds(hint, dict(enumerate(setting.values)))
        if short is None or not any(hint_names(short)):
            return replace(setting, default=setting.values[0]) if setting.constant else setting
        everyone = frozenset(range(self.count))
        note = annotate([*setting.values, None])
        return replace(setting, default=None, annotation=note, fallback=short, followers=everyone)

    def _rebind(self) -> None:
        """An argument whose recorded value explains nothing any more follows its leaves: the
        width of an output first, then what most leaves have."""
        claims: dict[str, list[Many]] = {}
        for item in self.target.items:
            for leaf in item.leaves():
                for hint in leaf.hints:
                    if isinstance(hint, HintName) and hint.name in self.found:
                        claims.setdefault(hint.name, []).append(leaf)
        widths = {tuple(row) for row in self._output_widths()}
        for name, leaves in claims.items():
            setting, hint = self.found[name], HintName(name)
            full = [leaf for leaf in leaves if len(leaf.values) == self.count]
            settled = any(self.holds(hint, leaf.values) is not None for leaf in leaves)
            if setting.dim is not None or setting.hidden or settled:
                continue
            groups = Counter(tuple(leaf.values[i] for i in range(self.count)) for leaf in full)
            if not full:  # a layer that is factored in some instances is two leaves
                groups = Counter({row: _count_agreeing(leaves, row) for row in widths})
            best = max(groups, key=lambda row: (row in widths, groups[row]), default=())
            if not groups[best]:
                continue
            if annotate(best) == annotate(setting.values):
                self.add(self._with_values(setting, best))

    def _with_values(self, setting: Setting, values: Sequence[object]) -> Setting:
        """A setting with other values; a net's own default says what the net is now."""
        outdated = self.target.is_root and setting.default is not NO_DEFAULT
        alike = all(value == values[0] for value in values)
        default = values[0] if outdated and alike else setting.default
        return replace(setting, values=list(values), default=default)

    def _output_widths(self) -> Iterable[list[object]]:
        target = self.target
        for ref in target.outputs:
            for axis in range(target.type_of(ref, 0).rank):
                yield [target.axis(ref, axis, i) for i in range(self.count)]


def _name_formals(target: MergedClass) -> list[str]:
    """Names of the arguments of `forward`: those of the signature where they are free."""
    names: list[str] = []
    functions = target.functions
    for place, rows in enumerate(target.places):
        wish = ""
        for body, column in zip(target.bodies, range(len(target.bodies)), strict=True):
            value = body.formals[rows[column]]
            formals = (f for f, v in body.frame.tensors if v == unmark(value))
            wish = next((f for f in formals if safe_name(f) not in names), "")
            if wish:
                break
        first = target.formal_value(place, 0)
        spoken = () if wish else (safe_name(f) for b in target.bodies for f, _ in b.frame.tensors)
        parameters = target.bodies[0].index.graph.parameter
        if not wish and (is_mode(first) or first in parameters):
            wish = name_held(first)
        if is_given(first):  # all functions call it so, and nothing else
            names.append(name_held(first))
            continue
        taken = functions.union(names, spoken)
        names.append(free_name(safe_name(wish or user_name(first) or "x"), taken))
    return names


def _reads_sizes(hint: Hint) -> bool:
    return any(read_size_name(label) for label in hint_names(hint))


FUNCTION = "Callable[[Tensor], Tensor]"
"""The annotation of an argument that is a function of a tensor."""
MODULE = "Callable[[], nn.Module]"
"""The annotation of an argument that makes a module."""


def _find_argument(arguments: Iterable[Argument], name: str) -> Argument | None:
    return next((a for a in arguments if a.name == name), None)


def _count_agreeing(leaves: Iterable[Many], row: Sequence[object]) -> int:
    """How many leaves have the values of a row in the instances that they are in."""
    return sum(all(row[i] == value for i, value in leaf.values.items()) for leaf in leaves)


def is_size(value: object) -> bool:
    """Whether it is a size that is known, or those of the tensors in a list."""
    if isinstance(value, tuple):
        return all(isinstance(size, int) for size in value)
    return isinstance(value, int)


def _all_whole(values: Iterable[object]) -> bool:
    return all(isinstance(v, (int, Dim)) for v in values)


def _agree(found: object, wanted: object) -> bool:
    found = plain_value(found)
    if isinstance(found, bool) != isinstance(wanted, bool):
        return False
    if isinstance(wanted, int) and not isinstance(found, int):
        return False  # 8.0 in code is no size
    return bool(found == wanted)


def annotate(values: Iterable[object], default: object = NO_DEFAULT) -> str:
    """The type of a parameter, from its values."""
    kinds: dict[str, None] = {}
    for value in (*values, *([] if default is NO_DEFAULT else [default])):
        match value:
            case None:
                kinds["None"] = None
            case ClassName():
                kinds[MODULE] = None
            case CodeName():
                kinds[FUNCTION] = None
            case tuple():
                inner = annotate(value) if value else "int"
                kinds[f"tuple[{inner}, ...]"] = None
            case bool() | int() | float() | str():
                kinds[type(value).__name__] = None
    if "float" in kinds:
        kinds.pop("int", None)
    names = [k for k in kinds if k != "None"] or ["int"]
    return " | ".join([*names, "None"] if "None" in kinds else names)
