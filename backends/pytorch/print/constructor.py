"""The body of `__init__`: arguments that are kept, modules, containers, and how weights start."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field

from backends.pytorch.classes.explained import Condition, ExplainedClass, find_loop
from backends.pytorch.classes.merged import Merged, Variant
from backends.pytorch.classes.paths import (
    Kind,
    Paths,
    Table,
    find_members,
    is_buffer,
    read_member,
)
from backends.pytorch.classes.repeats import LOOP, list_asked, loop_slots
from backends.pytorch.print.asserting import write_asserts
from backends.pytorch.print.making import LoopMaker
from backends.pytorch.print.polish import polish
from backends.pytorch.terms.document import STEP, Doc, Group, lay_out, write_test
from backends.pytorch.terms.expressions import Expressions, hint_tree, resolve
from backends.pytorch.terms.terms import IDENTITY, Form, Part, Tree, call, name
from compiler.writing.names import is_attribute, is_plain
from compiler.writing.python import write_string

INDENT = 8
LEAST_ALIKE = 3
"""So many weights that start alike are started in a loop."""


@dataclass
class _Block:
    """Statements, and an `if` that may follow them."""

    before: list[str]
    test: list[str] = field(default_factory=list)
    inner: list[str] = field(default_factory=list)
    other: list[str] = field(default_factory=list)

    def lines(self) -> list[str]:
        """All of it."""
        alternative = [f"{' ' * INDENT}else:", *self.other] if self.other else []
        return [*self.before, *self.test, *self.inner, *alternative]


def _join(blocks: list[_Block]) -> list[_Block]:
    """Modules that stand one after the other under one test share its `if`."""
    joined: list[_Block] = []
    for block in blocks:
        last = joined[-1] if joined else None
        if last is not None and block.test and last.test == block.test and not block.before:
            last.inner += block.inner
            last.other += block.other
        else:
            joined.append(block)
    return joined


class Constructor:
    """Writes one `__init__`."""

    def __init__(self, paths: Paths, expressions: Expressions) -> None:
        self.paths = paths
        self.target = paths.target
        self.expressions = expressions
        self.maker = LoopMaker(paths, expressions)
        self.written: set[str] = set()
        """Slots of modules that a container is made with."""
        self.started: set[str] = set()
        """Slots of modules whose weights are drawn in the branch that makes them."""
        self.late = _find_late(self.target)
        self.absent = set(_find_absent(self.target))
        """Modules of a branch that `forward` asks for: None where the branch is not taken."""

    def write(self, stored: Mapping[str, str], floats: Collection[str]) -> list[str]:
        """All statements after `super().__init__()`; `stored` are the attributes that keep
        arguments, of which `floats` are kept as floats."""
        lines = []
        for label, attribute in stored.items():
            value = self.target.spell(label)
            value = f"float({value})" if label in floats else value
            lines.append(f"{' ' * INDENT}self.{attribute} = {value}")
        return self._defaults() + self._asserts() + lines + self._modules() + self._starts()

    def _defaults(self) -> list[str]:
        """Statements that give arguments which were left out what follows from others."""
        lines: list[str] = []
        for setting in self.target.settings:
            if setting.fallback is not None:
                label = setting.label
                test = hint_tree(setting.fallback, self.maker.read)
                lines.append(f"{' ' * INDENT}if {label} is None:")
                doc = self.expressions.write(test)
                lines += lay_out(f"{label} = ", doc, INDENT + STEP)
        return lines

    def _asserts(self) -> list[str]:
        return write_asserts(self.target, self.expressions, self.maker.read, INDENT)

    def chain(self) -> list[str]:
        """What a class that is an `nn.Sequential` begins with: `super().__init__(…)`."""
        tree = self._tree(self.target.items[0].variants[0].constructor)
        assert isinstance(tree, Tree)
        made = Tree(Form.CALL, "", (name("super().__init__"), *tree.parts[1:]))
        made_lines = lay_out("", self.expressions.write(made), INDENT)
        return self._defaults() + self._asserts() + made_lines + self._starts()

    def _tree(self, tree: Part) -> Part:
        return polish(resolve(tree, self.maker.read))

    # --- modules --------------------------------------------------------------------------------

    def _modules(self) -> list[str]:
        blocks: list[_Block] = []
        seen: set[str] = set()
        for item in self.target.items:
            if not (item.slot and item.variants and item.declares) or item.slot in seen:
                continue
            seen.add(item.slot)
            heads = {s.partition(".")[0]: None for s in _find_slots(item) if "." in s}
            for head in heads:
                if head not in seen and "{" not in head:
                    seen.add(head)
                    blocks.append(_Block(self._container(head)))
            if item.slot in self.written:
                continue
            if find_loop(item) is not None:
                blocks += self._make_loop(item)
            elif "." not in item.slot:
                blocks.append(self._assign_variants(item))
            else:
                blocks.append(_Block(self._member(item)))
        return [line for block in _join(blocks) for line in block.lines()]

    def _member(self, item: Merged) -> list[str]:
        """A module in a container that loops fill too, or the container in it that holds it."""
        path = ".".join(item.slot.split(".")[:2])
        if path == item.slot:
            tree: Part = self._tree(item.variants[0].constructor)
        else:
            tree = polish(self._container_tree(path))
        return self.maker.place(path, self.expressions.write(tree), INDENT)

    def _make_loop(self, item: Merged) -> Iterator[_Block]:
        """The modules of a loop of the spec, which may stand in a branch."""
        condition = self.target.conditions.get(item.variants[0])
        inside = condition is not None and item.instances != self.target.everyone
        lines = self._loop(item, INDENT + STEP if inside else INDENT)
        if condition is None or not inside:
            yield from [_Block(lines)] if lines else []
            return
        absent = [f"{' ' * INDENT}self.{item.slot} = None"] if item.slot in self.absent else []
        if lines:
            yield _Block(absent, self._test(condition), lines)

    def _loop(self, item: Merged, indent: int) -> list[str]:
        tree = self.maker.as_tree(item, self.maker.read)
        if tree is None:
            return self.maker.write(item, self.maker.read, indent)
        return self.maker.place(item.slot, self.expressions.write(tree), indent)

    def _assign_variants(self, item: Merged) -> _Block:
        first, *others = item.variants
        if first not in self.target.conditions:
            return _Block(self._assign(item, first, INDENT))
        self.started.add(item.slot)
        test = self._test(self.target.conditions[first])
        inner = self._assign(item, first, INDENT + STEP) + self._start(first)
        if not others:
            absent = [f"{' ' * INDENT}self.{item.slot} = None"]
            return _Block(absent if item.slot in self.absent else [], test, inner)
        (second,) = others
        if second.constructor is IDENTITY:
            return _Block(self._assign(item, second, INDENT), test, inner)
        other = self._assign(item, second, INDENT + STEP) + self._start(second)
        return _Block([], test, inner, other)

    def _test(self, condition: Condition) -> list[str]:
        text = self.expressions.text(hint_tree(condition.test, self.maker.read))
        return write_test(text + (" is not None" if condition.is_set else ""), INDENT)

    def _assign(self, item: Merged, variant: Variant, indent: int) -> list[str]:
        return self._assign_member("self", item.slot, self._tree(variant.constructor), indent)

    def _assign_member(self, owner: str, label: str, tree: Part, indent: int) -> list[str]:
        """`owner.label = module`, or what it takes for a label that cannot follow a dot."""
        plain = is_plain(label) and not is_attribute(label)
        if is_buffer(tree):
            assert isinstance(tree, Tree)
            doc = self.expressions.write(tree.parts[1])
            if is_attribute(label):
                return lay_out(f"{owner}._buffers[{write_string(label)}] = ", doc, indent)
            made = (f"{owner}.register_buffer", Group("(", (write_string(label), doc), ")"))
            return lay_out("", made, indent)
        doc = self.expressions.write(tree)
        if plain:
            return lay_out(f"{owner}.{label} = ", doc, indent)
        parameter = isinstance(tree, Tree) and tree.parts[:1] == (name("nn.Parameter"),)
        if is_attribute(label):
            table = "_parameters" if parameter else "_modules"
            return lay_out(f"{owner}.{table}[{write_string(label)}] = ", doc, indent)
        method = "register_parameter" if parameter else "add_module"
        made = (f"{owner}.{method}", Group("(", (write_string(label), doc), ")"))
        return lay_out("", made, indent)

    # --- containers -----------------------------------------------------------------------------

    def _container(self, head: str) -> list[str]:
        """Members with dotted slots that are called one by one."""
        if self.paths.find_kind(head) is Kind.ATTRIBUTE:
            return self._namespace(head, read_member("self", head, Table.MODULES))
        return self._hold(head, self.expressions.write(polish(self._container_tree(head))))

    def _hold(self, head: str, doc: Doc) -> list[str]:
        if is_plain(head) and not is_attribute(head):
            return lay_out(f"self.{head} = ", doc, INDENT)
        if is_attribute(head):
            return lay_out(f"self._modules[{write_string(head)}] = ", doc, INDENT)
        return lay_out("", ("self.add_module", Group("(", (write_string(head), doc), ")")), INDENT)

    def _container_tree(self, prefix: str) -> Tree:
        """`nn.ModuleList([…])` or `nn.ModuleDict({…})`."""
        known = find_members(self.target, prefix)[0]
        members = [m for m in known if "{" not in m]
        is_list = self.paths.find_kind(prefix) is Kind.LIST
        if "." not in prefix and any(slot.startswith(prefix + ".") for slot in self.late):
            # the first of a list stands before all else, and what it needs is there
            members = members[:1] if is_list and known[0] in members else []
        found = {label: self._member_tree(f"{prefix}.{label}") for label in members}
        trees = {label: tree for label, tree in found.items() if tree is not None}
        labels, parts = tuple(trees), tuple(trees.values())
        if not parts:
            return call("nn.ModuleList" if is_list else "nn.ModuleDict")
        if is_list:
            return call("nn.ModuleList", Tree(Form.LIST, "", parts))
        return call("nn.ModuleDict", Tree(Form.DICT, "", parts, labels))

    def _member_tree(self, path: str) -> Part | None:
        """The constructor of a member, or the container that it is; None for one that is set
        later, when loops have made what stands before it."""
        item = next((m for m in self.target.items if m.slot == path and m.variants), None)
        if item is None:
            return self._container_tree(path)
        tree: Part | None = item.variants[0].constructor
        if find_loop(item) is not None:
            tree = self.maker.as_tree(item, self.maker.read)
        if tree is None:
            return None
        self.written.add(path)
        return tree if find_loop(item) is not None else resolve(tree, self.maker.read)

    def _namespace(self, path: str, owner: str) -> list[str]:
        """A module that only holds others, because parameters stand beside modules in it."""
        lines = self._hold(path, call_text("nn.Module")) if "." not in path else []
        labels, _ = find_members(self.target, path)
        for label in (label for label in labels if "{" not in label):
            inner = f"{path}.{label}"
            tree = self.target.modules.get(inner) or self.target.declared.get(inner)
            if isinstance(tree, Tree) and tree.form is Form.FOR:
                continue
            self.written.add(inner)
            if tree is not None:
                lines += self._assign_member(owner, label, self._tree(tree), INDENT)
            elif self.paths.find_kind(inner) is Kind.ATTRIBUTE:
                made = call("nn.Module")
                lines += self._assign_member(owner, label, made, INDENT)
                lines += self._namespace(inner, read_member(owner, label, Table.MODULES))
            else:
                lines += self._assign_member(
                    owner, label, polish(self._container_tree(inner)), INDENT
                )
        return lines

    # --- weights --------------------------------------------------------------------------------

    def _starts(self) -> list[str]:
        """Statements that draw weights otherwise than PyTorch's modules do."""
        lines: list[str] = []
        alike: dict[str, list[str]] = {}
        seen = set(self.started)
        for item in self.target.items:
            if item.slot in seen:
                continue
            seen.add(item.slot)
            if item.variants and item.variants[0] in self.target.conditions:
                lines += self._start_variants(*item.variants)
                continue
            for start in (start for variant in item.variants for start in variant.starts):
                tree = resolve(start, self.maker.read)
                assert isinstance(tree, Tree)
                open_, weight = _open_start(tree)
                text = self.expressions.text(open_)
                alike.setdefault(text, []).append(self.expressions.text(weight))
        for text, weights in alike.items():
            lines += _start_alike(text, weights)
        return lines

    def _start(self, variant: Variant) -> list[str]:
        """The statements of one way, in its branch."""
        trees = (resolve(start, self.maker.read) for start in variant.starts)
        rows = (lay_out("", self.expressions.write(tree), INDENT + STEP) for tree in trees)
        return [line for row in rows for line in row]

    def _start_variants(self, first: Variant, *others: Variant) -> list[str]:
        """The statements of a module that is made in one way or another, or not at all."""
        inner, *rest = map(self._start, (first, *others))
        other = [line for lines in rest for line in lines]
        if not inner and not other:
            return []
        return _Block(
            [],
            self._test(self.target.conditions[first]),
            inner or [f"{' ' * (INDENT + STEP)}pass"],
            other,
        ).lines()


def _find_slots(item: Merged) -> list[str]:
    """The path of a module, or of all that a loop makes."""
    inner = find_loop(item)
    if inner is None:
        return [item.slot]
    return [*loop_slots(inner), *([] if item.slot.startswith(LOOP) else [item.slot])]


def _find_absent(target: ExplainedClass) -> Iterator[str]:
    """The first module of each result of a branch."""
    taken: set[Merged] = set()
    for choice in target.choices:
        inside = target.find_branch(choice, taken)
        taken.update(inside)
        yield from list_asked(inside)[:1]


def _find_late(target: ExplainedClass) -> set[str]:
    """Modules in containers that loops fill too: they are put there one by one."""
    filled: set[str] = set()
    for item in target.items:
        if find_loop(item) is not None and item.slot.startswith(LOOP):
            filled |= {s.partition(".")[0] for s in _find_slots(item) if "." in s}
    return {
        item.slot
        for item in target.items
        if item.variants and "." in item.slot and item.slot.partition(".")[0] in filled
    }


def _open_start(tree: Tree) -> tuple[Tree, Part]:
    """A start of `weight`, and the weight that it is for."""
    head, weight, *rest = tree.parts
    return Tree(tree.form, tree.label, (head, name("weight"), *rest), tree.keys), weight


def _start_alike(text: str, weights: list[str]) -> list[str]:
    """`nn.init.normal_(self.p, std=0.02)`, or a loop over many."""
    head, _, rest = text.partition("(weight")
    if len(weights) < LEAST_ALIKE:
        return [line for w in weights for line in _start_one(head, w, rest)]
    group = Group("[", tuple(weights), "]", display=True)
    return [
        *lay_out("for weight in ", group, INDENT, ":"),
        f"{' ' * (INDENT + STEP)}{text}",
    ]


def _start_one(head: str, weight: str, rest: str) -> list[str]:
    items = (weight, *(part for part in rest.removesuffix(")").removeprefix(", ").split(", ")))
    return lay_out("", (head, Group("(", tuple(i for i in items if i), ")")), INDENT)


def call_text(head: str) -> Doc:
    """`head()`."""
    return f"{head}()"
