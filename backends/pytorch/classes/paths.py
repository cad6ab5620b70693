"""How a path below a module is written: `self.layers[0].conv`, and what must go round a clash."""

from __future__ import annotations

import re
from ast import literal_eval
from collections.abc import Iterator
from enum import Enum

from backends.pytorch.classes.explained import Class, ExplainedClass, TurnClass, find_loop
from backends.pytorch.classes.merged import CHAIN, Merged
from backends.pytorch.classes.repeats import LOOP, loop_slots
from backends.pytorch.terms.terms import Form, Hole, Many, Part, Tree
from compiler.writing.names import is_attribute, is_key, is_plain
from compiler.writing.python import write_string


class Table(Enum):
    """Where `torch.nn.Module` keeps a member."""

    MODULES = "_modules"
    PARAMETERS = "_parameters"
    BUFFERS = "_buffers"


class Kind(Enum):
    """How members of a module are read."""

    ATTRIBUTE = "attribute"  # self.block.conv
    LIST = "list"  # self.blocks[0]
    DICT = "dict"  # self.blocks["left"]


class Paths:
    """Writes the paths below one class."""

    def __init__(self, target: ExplainedClass) -> None:
        self.target = target
        self._kinds: dict[str, Kind] = {}

    def read(self, path: str) -> str:
        """The expression for a module or parameter below self."""
        text = "self"
        here = ""
        for part in path.split("."):
            kind = self.find_kind(here)
            here = f"{here}.{part}" if here else part
            if kind is Kind.LIST and (part.isdecimal() or part.startswith("{")):
                text += f"[{part.strip('{}')}]"
            elif kind is Kind.DICT:
                text += f"[{write_key(part)}]"
            elif "{" in part:
                text = f"getattr({text}, {write_key(part)})"
            else:
                text = read_member(text, part, self._find_table(here))
        return text

    def find_kind(self, path: str) -> Kind:
        """How members of the module at a path are read."""
        if path not in self._kinds:
            self._kinds[path] = self._find_kind(path)
        return self._kinds[path]

    def _find_table(self, path: str) -> Table:
        """Whether a path is a module, a parameter or a buffer."""
        declared = self.target.declared.get(path)
        if declared is None:
            return Table.MODULES
        return Table.BUFFERS if is_buffer(declared) else Table.PARAMETERS

    def _find_kind(self, path: str) -> Kind:
        target, items = self.target, self.target.modules
        if target.is_chain:
            return _kind_of_tree(items[CHAIN], path)
        if not path:
            return Kind.ATTRIBUTE
        if path in items:
            return _kind_of_tree(items[path], "")
        for item in target.items:
            inner = find_loop(item)
            if inner is not None and any(s == path for s in loop_slots(inner, joined=True)):
                return Paths(inner).find_kind(path)
        above = path
        while "." in above:
            above = above.rpartition(".")[0]
            if above in items:
                return _kind_of_tree(items[above], path[len(above) + 1 :])
        labels, is_module = find_members(target, path)
        if not is_module:
            return Kind.ATTRIBUTE
        numbers = [str(k) for k in range(len(labels))]
        if labels[:-1] == numbers[:-1] and "{" in labels[-1]:
            goes_on = _counts(target, f"{path}.{labels[-1]}", len(labels) - 1)
            return Kind.LIST if goes_on else Kind.DICT
        return Kind.LIST if labels == numbers else Kind.DICT


def write_key(label: str) -> str:
    """The name of a member as an expression: `"left"`, `str(i)` and `f"layer{i}"` in a loop."""
    if "{" not in label:
        return write_string(label)
    inner = label[1:-1]
    alone = label[0] + label[-1] == "{}" and not set(inner) & set("{}")
    return f"str({inner})" if alone else f'f"{label}"'


def read_member(owner: str, label: str, table: Table) -> str:
    """`owner.label`, whatever the label is."""
    if is_attribute(label):
        return f"{owner}.{table.value}[{write_string(label)}]"
    return f"{owner}.{label}" if is_plain(label) else f"getattr({owner}, {write_string(label)})"


def is_buffer(declaration: Part) -> bool:
    """Whether a declaration is of a buffer."""
    match declaration:
        case Tree(Form.CALL, "", (Tree(Form.NAME, head), *_)):
            return head == "register_buffer"
    return False


def _counts(target: ExplainedClass, path: str, first: int) -> bool:
    """Whether a loop makes the module of a path in each turn, under the number of the turn, which
    it counts from `first` on."""
    for item in target.items:
        inner = find_loop(item)
        if inner is None:
            continue
        last = path.rpartition(".")[2]
        for member in inner.items:
            whole = member.instances == inner.everyone and member.slot == path
            below = member.slot.startswith(path + ".")
            counts = last == inner.repeat.numbered and inner.repeat.first == first
            if (whole or below) and counts:
                return True
        if _counts(inner, path, first):
            return True
    return False


def find_members(target: ExplainedClass, prefix: str) -> tuple[list[str], bool]:
    """Labels right below a path that no module stands at, in order; whether all members are
    modules, so that a ModuleList or ModuleDict can hold them."""
    labels: dict[str, None] = {}
    below: set[str] = set()
    modules = True
    for item in target.items:
        inside = [item.slot, *loop_slots(inner)] if (inner := find_loop(item)) else [item.slot]
        for slot in inside if item.variants else ():
            if slot.startswith(prefix + "."):
                parts = slot[len(prefix) + 1 :].split(".")
                labels[parts[0]] = None
                below.update(parts)
                modules = modules and item.sample.op != "declare"
    names = list(labels)
    if all(label.isdecimal() for label in names):
        names.sort(key=int)
    return names, modules and all(map(is_key, below))


def makes(tree: Part, path: str) -> bool:
    """Whether what a tree makes has a module at a path below it."""
    match tree:
        case Tree(Form.BUILD | Form.FOR, target=Class() | TurnClass() as inner):
            return any(_makes_item(item, path) for item in inner.items if item.declares)
    return False


def _makes_item(item: Merged, path: str) -> bool:
    """Whether an item of a class makes the module at a path, or one on the way to it does."""
    made = [variant.constructor for variant in item.variants]
    inner = find_loop(item)
    if inner is not None:
        return any(_makes_item(one, path) for one in inner.items)
    found = re.match(rf"{open_slot(item.slot)}(?:\.|$)", path) if item.slot and made else None
    if found is None:
        return False
    rest = path[found.end() :]
    return not rest or all(makes(tree, rest) for tree in made)


def open_slot(slot: str) -> str:
    """A pattern of the paths that one in the names of loops stands for."""
    pieces = re.split(r"({.*?})", slot)
    return "".join("[^.]+" if piece[:1] == "{" else re.escape(piece) for piece in pieces)


def _kind_of_tree(tree: Part, path: str) -> Kind:
    """How members of what a tree makes are read, at a path below it."""
    match tree:
        case Tree(Form.BUILD, target=Class() as inner):
            return Paths(inner).find_kind(path)
        case Tree(Form.FOR, target=TurnClass() as turns):
            member = next(_list_made(turns))
            label, _, rest = path.partition(".")
            last = member.slot.rpartition(".")[2]
            if label:
                return _kind_of_tree(member.variants[0].constructor, rest)
            counts = last == turns.repeat.numbered and not turns.repeat.first
            return Kind.LIST if counts else Kind.DICT
        case Tree(Form.CALL, "", (Tree(Form.NAME, "nn.Sequential" | "nn.ModuleList"), *parts)):
            label, _, rest = path.partition(".")
            named = _named_stages(parts)
            if not label:
                return Kind.ATTRIBUTE if named is not None else Kind.LIST
            stage = named.get(label) if named is not None else _numbered_stage(parts, int(label))
            return Kind.ATTRIBUTE if stage is None else _kind_of_tree(stage, rest)
    return Kind.ATTRIBUTE


def _list_made(turns: TurnClass) -> Iterator[Merged]:
    """The modules that the turns of a loop make, containers of inner loops as one."""
    for item in turns.items:
        inner = find_loop(item)
        if inner is not None and item.slot.startswith(LOOP):
            yield from _list_made(inner)
        elif item.variants:
            yield item


def _named_stages(parts: list[Part]) -> dict[str, Part] | None:
    match parts:
        case [Tree(Form.CALL, "", (Tree(Form.NAME, "OrderedDict"), Tree(parts=pairs)))]:
            rows = [pair.parts for pair in pairs if isinstance(pair, Tree)]
            return {literal_eval(k.label): v for k, v in rows if isinstance(k, Tree)}
    return None


def _numbered_stage(parts: list[Part], number: int) -> Part | None:
    if len(parts) == 1 and isinstance(parts[0], Tree) and parts[0].form is Form.LIST:
        parts = list(parts[0].parts)
    for part in parts:
        if isinstance(part, Tree) and part.form is Form.REPEAT:
            count, body = part.parts
            value = count.literal if isinstance(count, Many) else None
            value = count.value if isinstance(count, Hole) else value
            assert isinstance(value, int)
            if number < value:
                return body
            number -= value
        elif number == 0:
            return part
        else:
            number -= 1
    return None
