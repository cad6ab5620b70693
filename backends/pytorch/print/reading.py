"""How `forward` reads the arguments of its class and the sizes of its inputs."""

from __future__ import annotations

from collections import Counter

from backends.pytorch.classes.explained import ExplainedClass, find_loop
from backends.pytorch.classes.merged import Formal, Merged, MergedRef, OutputRef
from backends.pytorch.classes.repeats import loop_slots
from backends.pytorch.classes.sizes import size_of
from backends.pytorch.terms.document import lay_out
from backends.pytorch.terms.setting import Setting
from backends.pytorch.terms.terms import Many, Operand, Part, Tree, call, name, subtrees, variables
from compiler.ir.hint import hint_names
from compiler.writing.names import MODULE_ATTRIBUTES, free_name


class Reading:
    """Names of one class as its `forward` says them: `self.heads`, `x.shape[1]`, `batch`.

    Sizes that are read once stand where they are needed; others get a variable at the top.
    """

    def __init__(self, target: ExplainedClass, checked: set[str]) -> None:
        self.target = target
        self.settings = target.names.found
        self.stored: dict[str, str] = {}
        """Settings that `forward` needs, and the attribute that keeps each."""
        self.bound: dict[str, str] = {}
        """Sizes that have a variable."""
        self.floats: set[str] = set()
        """Those of them that are kept as floats, whatever numbers are given."""
        self.extra: dict[Merged, list[MergedRef]] = {}
        self._places: dict[tuple[Merged, str], int] = {}
        self._plan(checked)

    def _plan(self, checked: set[str]) -> None:
        counts: Counter[str] = Counter()
        readers: dict[str, Merged] = {}
        for item in (item for item in self.target.items if item in self.target.read):
            for leaf in variables(item.expression):
                for label in _names(leaf):
                    if label in self.settings and self.settings[label].dim is not None:
                        counts[label] += 1
                        readers[label] = item
        counts.update(dict.fromkeys(checked, 2))
        taken = {*self.target.functions, *self.target.formals}
        for label, count in counts.items():
            if count > 1:
                self.bound[label] = free_name(self.target.spell(label), taken)
                taken.add(self.bound[label])
            else:
                self._read_once(label, readers[label])

    def _read_once(self, label: str, item: Merged) -> None:
        dim = self.settings[label].dim
        assert dim is not None
        extra = self.extra.setdefault(item, [])
        self._places[item, label] = len(item.refs) + len(extra)
        extra.append(Formal(dim[0]))

    # --- names --------------------------------------------------------------------------------

    def read(self, item: Merged, label: str) -> Part:
        """What a name in an expression of an item is."""
        setting = self.settings.get(label)
        if setting is None or setting.dim is None:
            return self.argument(label, as_float=_takes_dtype(self.target, item))
        if label in self.bound:
            return name(self.bound[label])
        return size_of(Operand(self._places[item, label]), setting.dim[1])

    def argument(self, label: str, *, as_float: bool = False) -> Part:
        """`self.heads`; in a function the argument itself. `as_float`: a fraction gives a result
        its dtype, so that a whole number in its place must be a float too."""
        setting = self.settings.get(label)
        if self.target.is_function:
            return make_float(setting, name(self.target.spell(label)), as_float=as_float)
        if as_float and setting is not None and _is_number(setting):
            self.floats.add(label)
        if label not in self.stored:
            paths = [item.slot for item in self.target.items if item.slot]
            loops = (find_loop(item) for item in self.target.items)
            paths += [path for loop in loops if loop is not None for path in loop_slots(loop)]
            slots = {path.partition(".")[0] for path in paths}
            self.stored[label] = free_name(self.target.spell(label), slots | MODULE_ATTRIBUTES, "_")
        as_float = as_float and label not in self.floats
        return make_float(setting, name(f"self.{self.stored[label]}"), as_float=as_float)

    # --- sizes at the top -----------------------------------------------------------------------

    def unpack(self, indent: int) -> list[str]:
        """`n, t, _ = x.shape` for every input whose sizes have variables."""
        rows: dict[int, dict[int, str]] = {}
        for label, variable in self.bound.items():
            dim = self.settings[label].dim
            assert dim is not None
            rows.setdefault(dim[0], {})[dim[1]] = variable
        return [
            line
            for place, axes in sorted(rows.items())
            for line in lay_out("", self._unpack_one(place, axes), indent)
        ]

    def _unpack_one(self, place: int, axes: dict[int, str]) -> str:
        tensor = self.target.formals[place]
        rank = self.target.type_of(Formal(place), 0).rank
        first, last = min(axes), max(axes)
        if len(axes) == 1:
            return f"{axes[first]} = {tensor}.shape[{first}]"
        whole = len(axes) == last - first + 1
        if whole and last == rank - 1 and first:
            names, part = list(range(first, rank)), f"[{first}:]"
        elif whole and not first and last < rank - 1:
            names, part = list(range(last + 1)), f"[:{last + 1}]"
        else:
            names, part = list(range(rank)), ""
        return f"{', '.join(axes.get(k, '_') for k in names)} = {tensor}.shape{part}"


def _takes_dtype(target: ExplainedClass, item: Merged) -> bool:
    """Whether the numbers in an expression make its result one of floats: no operand is."""
    instance = min(item.instances)
    keys = {key for tree in subtrees(item.expression) for key in tree.keys}
    if "dtype" in keys or not target.type_of(OutputRef(item, 0), instance).dtype.is_float:
        return False
    return not any(target.type_of(ref, instance).dtype.is_float for ref in item.refs)


def _is_number(setting: Setting) -> bool:
    """Whether it is one fraction wherever it is read."""
    return setting.annotation.startswith("float") and (
        "None" not in setting.annotation or setting.fallback is not None
    )


def make_float(setting: Setting | None, part: Part, *, as_float: bool) -> Part:
    """`float(gain)`, or a list of floats."""
    if not as_float or setting is None or "float" not in setting.annotation:
        return part
    if setting.annotation.startswith("tuple"):
        return call("tuple", call("map", name("float"), part))
    return call("float", part)


def _names(leaf: Many) -> list[str]:
    solution = leaf.solution
    return [] if solution is None or isinstance(solution, Tree) else list(hint_names(solution))
