"""Loops of the spec in `__init__`: a comprehension where the turns are alike, else statements."""

from __future__ import annotations

import re
from ast import literal_eval
from collections.abc import Callable, Iterator

from backends.pytorch.classes.explained import Condition, ExplainedClass, TurnClass, find_loop
from backends.pytorch.classes.merged import Choice, Formal, Merged, Variant
from backends.pytorch.classes.paths import Kind, Paths, write_key
from backends.pytorch.classes.repeats import is_chain_loop, is_last
from backends.pytorch.print.polish import polish
from backends.pytorch.terms.document import STEP, Doc, Group, lay_out, write_test
from backends.pytorch.terms.expressions import Expressions, hint_tree, resolve
from backends.pytorch.terms.terms import IDENTITY, Form, Part, Tree, call, name, subtrees
from compiler.ir.hint import Hint, hint_names
from compiler.writing.names import free_name, is_attribute, is_plain, safe_name
from compiler.writing.python import write_literal

_CONTAINERS = {
    Kind.LIST: "nn.ModuleList()",
    Kind.DICT: "nn.ModuleDict()",
    Kind.ATTRIBUTE: "nn.Module()",
}

_SIZES = {"in_channels": ("channels", "in_channels"), "in_features": ("width", "features")}
"""What a size that the turns of a loop change is called."""

Read = Callable[[str], Part]
"""What a name of a class is where it is printed."""


class LoopMaker:
    """Writes the loops of one class."""

    def __init__(self, paths: Paths, expressions: Expressions) -> None:
        self.paths = paths
        self.owner = paths.target
        self.expressions = expressions
        self.variables: dict[str, str] = {}
        """Sizes that change, and the variables that hold them."""
        self.settled: dict[str, Part] = {}
        """Sizes that are after a loop what they were before it, and what that is."""
        self.taken = {"self", *(s.label for s in self.owner.settings), *_loop_names(self.owner)}

    def read(self, label: str) -> Part:
        """An argument of the class, or a size that a loop has changed."""
        local = self.owner.locals.get(label)
        if local is not None and local.before:
            return self.read(local.before)
        if label in self.settled:
            return self.settled[label]
        return name(self.variables.get(label) or self.owner.spell(label))

    # --- as one expression --------------------------------------------------------------------

    def as_tree(self, item: Merged, read: Read) -> Tree | None:
        """`nn.ModuleList([Block(dim) for _ in range(layers)])`; None where it takes statements."""
        target, tree = _open(item)
        if not self._is_plain(item, target, tree, read):
            return None
        (inside,) = [m for m in target.items if m.variants]
        within = self._inner(target, tree, read, {})
        if find_loop(inside) is not None:
            body: Part | None = self.as_tree(inside, within)
        else:
            body = polish(resolve(inside.variants[0].constructor, within))
        if body is None:
            return None
        last = inside.slot.rpartition(".")[2]
        keyed = self.paths.find_kind(item.slot) is Kind.DICT
        names, over = self._header(target, tree, read, body, last if keyed else "")
        if keyed:
            return call("nn.ModuleDict", Tree(Form.EACH, names, (body, over), (write_key(last),)))
        each = Tree(Form.EACH, names, (body, over))
        if is_chain_loop(target, item.slot):
            return call("nn.Sequential", each)
        return call("nn.ModuleList", Tree(Form.LIST, "", (each,)))

    def _is_plain(self, item: Merged, target: TurnClass, tree: Tree, read: Read) -> bool:
        """Whether all turns make one module, in the same way but for numbers."""
        inside = [m for m in target.items if m.variants]
        return (
            item.slot != _open(item)[1].label
            and all(self._settle(target, tree, size, read) for size in target.repeat.updates)
            and not target.locals
            and len(inside) == 1
            and len(inside[0].variants) == 1
            and inside[0].instances == target.everyone
            and not inside[0].variants[0].starts
            and inside[0].slot.startswith(item.slot + ".")
        )

    def _header(
        self, target: TurnClass, tree: Tree, read: Read, body: Part | None, text: str
    ) -> tuple[str, Part]:
        """The names of a loop and what it goes through; names that nothing reads are `_`."""
        over = resolve(tree.parts[0], read)
        used = {t.label for t in subtrees(body) if t.form is Form.NAME}
        used |= set(re.findall(r"\w+", text))
        return write_header(target.repeat.names, over, used)

    # --- statements -----------------------------------------------------------------------------

    def write(self, item: Merged, read: Read, indent: int) -> list[str]:
        """All statements of a loop, those before it included."""
        target, tree = _open(item)
        lines = self._hoist(target, tree, read, indent)
        sizes: dict[str, str] = {}
        lines += self._start_sizes(item, read, indent, sizes)
        joined = item.slot != tree.label
        container = ""
        if joined:
            container, made = self._open_container(item, indent)
            lines += made
        within = self._inner(target, tree, read, sizes)
        body = self._body(item, target, within, indent + STEP, container)
        body += self._updates(target, sizes, within, indent + STEP)
        if not body:
            return lines  # it has no modules of its own, and no sizes that change
        used = set(re.findall(r"\w+", "\n".join(body)))
        names, over = write_header(target.repeat.names, resolve(tree.parts[0], read), used)
        lines += lay_out(f"for {names} in ", self.expressions.write(over), indent, ":")
        lines += body
        if joined and "{" in item.slot:
            lines += self.place(item.slot, container, indent)
        return lines

    def _hoist(self, target: TurnClass, tree: Tree, read: Read, indent: int) -> list[str]:
        """Modules that all turns share are made before the loop."""
        within = self._inner(target, tree, read, {})
        lines = []
        before = {item.slot for item in self.owner.items}
        for item in target.items:
            shared = item.variants and "{" not in item.slot and find_loop(item) is None
            if shared and item.slot not in before:
                made = polish(resolve(item.variants[0].constructor, within))
                lines += self.place(item.slot, self.expressions.write(made), indent)
        return lines

    def _start_sizes(
        self, item: Merged, read: Read, indent: int, sizes: dict[str, str]
    ) -> list[str]:
        """`channels = 64`: a variable for each size that the turns change."""
        target, tree = _open(item)
        lines = []
        for size in target.repeat.updates:
            start = resolve(tree.parts[1 + tree.keys.index(size)], read)
            if self._settle(target, tree, size, read):
                continue
            known = isinstance(start, Tree) and start.form is Form.NAME
            if known and isinstance(start, Tree) and start.label in self.variables.values():
                sizes[size] = start.label
            else:
                sizes[size] = self._name_size(size)
                self.taken.add(sizes[size])
                doc = self.expressions.write(_own(start) if _is_list(target, size) else start)
                lines += lay_out(f"{sizes[size]} = ", doc, indent)
            self.variables[f"{tree.label}:{size}"] = sizes[size]
        return lines

    def _name_size(self, size: str) -> str:
        """A free name for a size: the first that no loop or argument has."""
        wishes = _SIZES.get(size, (size,))
        free = (wish for wish in map(safe_name, wishes) if wish not in self.taken)
        return next(free, None) or free_name(safe_name(wishes[0]), self.taken)

    def _settle(self, target: TurnClass, tree: Tree, size: str, read: Read) -> bool:
        """Whether a size begins as what each turn sets it to: then it needs no variable."""
        after = target.repeat.updates[size]
        if not set(target.repeat.arguments).issuperset(hint_names(after)):
            return False
        given = dict(zip(tree.keys, tree.parts[1:], strict=True))
        start = resolve(given[size], read)
        if hint_tree(after, lambda label: resolve(given[label], read)) != start:
            return False
        self.settled[f"{tree.label}:{size}"] = start
        return True

    def _inner(self, target: TurnClass, tree: Tree, read: Read, sizes: dict[str, str]) -> Read:
        """What the names of a turn are inside the loop."""
        given = {
            key: resolve(part, read) for key, part in zip(tree.keys, tree.parts[1:], strict=True)
        }
        given.update((size, name(variable)) for size, variable in sizes.items())
        given.update((n, name(safe_name(n))) for n in target.repeat.names)
        for variable in sizes.values():
            self.variables.setdefault(variable, variable)

        def inside(label: str) -> Part:
            local = target.locals.get(label)
            if local is not None and local.before:
                return inside(local.before)
            return given[label] if label in given else self.read(label)

        return inside

    def _open_container(self, item: Merged, indent: int) -> tuple[str, list[str]]:
        """The container that a loop fills: the attribute itself, or a variable in a loop."""
        target, _ = _open(item)
        kind = _CONTAINERS[self.paths.find_kind(item.slot)]
        if is_chain_loop(target, item.slot):
            kind = "nn.Sequential()"
        if "{" not in item.slot:
            return self.paths.read(item.slot), self.place(item.slot, kind, indent)
        words = re.findall(r"[^\W\d_]+", re.sub(r"{.*?}", "", item.slot.rpartition(".")[2]))
        variable = free_name(safe_name(words[0] if words else "stage"), self.taken)
        return variable, [f"{' ' * indent}{variable} = {kind}"]

    def _body(
        self, loop: Merged, target: TurnClass, read: Read, indent: int, container: str
    ) -> list[str]:
        lines = self._inner_containers(loop, target, indent)
        blocks: list[tuple[list[str], list[str]]] = []
        for item in target.items:
            makes = item.variants and item.declares
            if makes and ("{" in item.slot or find_loop(item) is not None):
                blocks += self._item(loop, item, read, indent, container)
            for label, local in target.locals.items():
                if isinstance(local.source, Choice) and is_last(target, local.source, item):
                    blocks.append(
                        self._change(
                            target.conditions.get(local.source), label, local.after, read, indent
                        )
                    )
        last: list[str] = []
        for test, inner in blocks:
            if test and test != last:
                lines += test
            lines += inner
            last = test
        return lines

    def _inner_containers(self, loop: Merged, target: TurnClass, indent: int) -> list[str]:
        """Containers that each turn makes anew for several modules."""
        slots = {item.slot for item in target.items}
        prefixes: dict[str, None] = {}
        for slot in _slots_inside(target):
            parts = slot.split(".")
            for k in range(1, len(parts)):
                prefix = ".".join(parts[:k])
                inner = " ".join(re.findall(r"{(.*?)}", prefix))
                own = set(re.findall(r"\w+", inner)) & target.repeat.spelled
                if own and prefix not in slots and prefix != loop.slot:
                    prefixes[prefix] = None
        lines = []
        for prefix in prefixes:
            lines += self.place(prefix, _CONTAINERS[self.paths.find_kind(prefix)], indent)
        return lines

    def _item(
        self, loop: Merged, item: Merged, read: Read, indent: int, container: str
    ) -> Iterator[tuple[list[str], list[str]]]:
        if find_loop(item) is not None:
            tree = self.as_tree(item, read)
            if tree is None:
                yield [], self.write(item, read, indent)
            else:
                yield [], self.place(item.slot, self.expressions.write(tree), indent)
            return
        first, *others = item.variants
        test = self._test(_open(loop)[0].conditions.get(first), read, indent)
        yield test, self._assign(loop, item, first, read, indent + STEP * bool(test), container)
        for other in others:
            if other.constructor is not IDENTITY:
                made = self._assign(loop, item, other, read, indent + STEP, container)
                yield [f"{' ' * indent}else:"], made

    def _assign(
        self,
        loop: Merged,
        item: Merged,
        variant: Variant,
        read: Read,
        indent: int,
        container: str,
    ) -> list[str]:
        doc = self.expressions.write(polish(resolve(variant.constructor, read)))
        if container and item.slot.rpartition(".")[0] == loop.slot:
            lines = self._put(container, self.paths.find_kind(loop.slot), item.slot, doc, indent)
        else:
            lines = self.place(item.slot, doc, indent)
        for start in variant.starts:
            lines += lay_out("", self.expressions.write(resolve(start, read)), indent)
        return lines

    def _test(self, condition: Condition | None, read: Read, indent: int) -> list[str]:
        if condition is None:
            return []
        return write_test(self.expressions.text(hint_tree(condition.test, read)), indent)

    def _change(
        self, condition: Condition | None, label: str, after: Hint | None, read: Read, indent: int
    ) -> tuple[list[str], list[str]]:
        """`channels = 2 * channels` at the end of a branch."""
        assert after is not None
        variable, value = read(label), hint_tree(after, read)
        assert isinstance(variable, Tree)
        change = self._rebind(variable.label, value, indent + STEP)
        return self._test(condition, read, indent), change

    def _updates(
        self, target: TurnClass, sizes: dict[str, str], read: Read, indent: int
    ) -> list[str]:
        """Sizes as they are for the next turn."""
        pairs = [
            (sizes[size], hint_tree(after, read))
            for size, after in target.repeat.updates.items()
            if size in sizes
        ]
        moved = [(v, tree) for v, tree in pairs if self.expressions.text(tree) != v]
        lists = [(v, tree) for v, tree in moved if _is_longer(v, tree)]
        lines = [line for pair in lists for line in self._rebind(*pair, indent)]
        moved = [pair for pair in moved if pair not in lists]
        if len(moved) == 1:
            return [*lines, *self._rebind(*moved[0], indent)]
        if not moved:
            return lines
        left = ", ".join(v for v, _ in moved)
        right = ", ".join(self.expressions.text(tree) for _, tree in moved)
        return [*lines, f"{' ' * indent}{left} = {right}"]

    def _rebind(self, variable: str, value: Part, indent: int) -> list[str]:
        """`channels += growth` where that says it, `skip_channels.append(channels)` of a list."""
        match value:
            case Tree(Form.INFIX, "+", (Tree(Form.NAME, left), Tree(Form.LIST, "", (one,)))):
                if left == variable:
                    made = Tree(Form.METHOD, "append", (name(variable), one))
                    return lay_out("", self.expressions.write(made), indent)
        match value:
            case Tree(Form.INFIX, "+" | "-" | "//" | "*" as sign, (Tree(Form.NAME, left), right)):
                if left == variable:
                    return lay_out(f"{variable} {sign}= ", self.expressions.write(right), indent)
        match value:
            case Tree(Form.INFIX, "+" | "*" as sign, (left_part, Tree(Form.NAME, right_name))):
                if right_name == variable:
                    doc = self.expressions.write(left_part)
                    return lay_out(f"{variable} {sign}= ", doc, indent)
        return lay_out(f"{variable} = ", self.expressions.write(value), indent)

    # --- places ---------------------------------------------------------------------------------

    def place(self, slot: str, doc: Doc, indent: int) -> list[str]:
        """`self.blocks[…] = module`, however a member of that container is set."""
        head = slot.rpartition(".")[0]
        if head:
            owner = self.paths.read(head)
            return self._put(owner, self.paths.find_kind(head), slot, doc, indent)
        return self._put("self", Kind.ATTRIBUTE, slot, doc, indent)

    def _put(self, owner: str, kind: Kind, slot: str, doc: Doc, indent: int) -> list[str]:
        last = slot.rpartition(".")[2]
        key = write_key(last)
        if kind is Kind.LIST:
            return lay_out("", (f"{owner}.append", Group("(", (doc,), ")")), indent)
        if kind is Kind.DICT:
            return lay_out(f"{owner}[{key}] = ", doc, indent)
        if is_plain(last) and not is_attribute(last):
            return lay_out(f"{owner}.{last} = ", doc, indent)
        return lay_out("", (f"{owner}.add_module", Group("(", (key, doc), ")")), indent)


def _is_list(target: TurnClass, size: str) -> bool:
    """Whether a size of turns is those of the tensors in a list."""
    return target.is_list(Formal(target.repeat.sizes[size][0]))


def _own(sizes: Part) -> Part:
    """A list of sizes that may grow: a new one where it is not written out."""
    match sizes:
        case Tree(Form.LIST):
            return sizes
        case Tree(Form.LITERAL, text):
            return Tree(Form.LITERAL, write_literal([*literal_eval(text)]))
    return Tree(Form.LIST, "", (Tree(Form.STAR, "", (sizes,)),))


def write_header(names: tuple[str, ...], over: Part, used: set[str]) -> tuple[str, Part]:
    """The names of a loop and what it goes through: `_` for names that nothing reads."""
    shown = [safe_name(n) if safe_name(n) in used else "_" for n in names] or ["_"]
    match over:
        case Tree(Form.LITERAL, text) if text == str(tuple(range(text.count(",") + 1))):
            return ", ".join(shown), call("range", Tree(Form.LITERAL, str(text.count(",") + 1)))
        case Tree(Form.CALL, "", (Tree(Form.NAME, "enumerate"), inner, *_)) if shown[0] == "_":
            return ", ".join(shown[1:]), inner
        case Tree(Form.CALL, "", (Tree(Form.NAME, "enumerate"), inner)) if shown[1:] == ["_"]:
            return shown[0], call("range", call("len", inner))
    return ", ".join(shown), over


def _is_longer(variable: str, value: Part) -> bool:
    """Whether a list of sizes becomes itself with more of them."""
    match value:
        case Tree(Form.INFIX, "+", (Tree(Form.NAME, left), Tree(Form.LIST))):
            return left == variable
    return False


def _open(item: Merged) -> tuple[TurnClass, Tree]:
    tree = item.variants[0].constructor
    assert isinstance(tree, Tree)
    assert isinstance(tree.target, TurnClass)
    return tree.target, tree


def _loop_names(target: ExplainedClass) -> set[str]:
    """Every name that loops inside a class bind."""
    names: set[str] = set()
    for item in target.items:
        inner = find_loop(item)
        if inner is not None:
            names |= {safe_name(n) for n in inner.repeat.names} | _loop_names(inner)
    return names


def _slots_inside(target: TurnClass) -> Iterator[str]:
    for item in target.items:
        inner = find_loop(item)
        if inner is not None:
            yield from _slots_inside(inner)
        if item.variants and (inner is None or item.slot != _open(item)[1].label):
            yield item.slot
