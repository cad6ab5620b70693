"""The body of `forward`: items as statements, short expressions inside the ones that read them."""

from __future__ import annotations

from backends.pytorch.classes.explained import Condition, ExplainedClass
from backends.pytorch.classes.merged import Choice, Merged, MergedRef, OutputRef
from backends.pytorch.classes.paths import Paths
from backends.pytorch.classes.repeats import list_asked
from backends.pytorch.fold.items import FromOwn
from backends.pytorch.print.flow import Pending
from backends.pytorch.print.loops import ScanWriter, arrange_loops, write_append, write_repeat
from backends.pytorch.print.modes import ModeWriter, is_choice, merge_tests
from backends.pytorch.print.reading import Reading
from backends.pytorch.print.statements import COMPARISONS, Statements
from backends.pytorch.print.turning import write_turns
from backends.pytorch.terms.document import write_test
from backends.pytorch.terms.expressions import Expressions, hint_tree, resolve, substitute
from backends.pytorch.terms.terms import Form, Operand, Part, Tree, operands, subtrees
from compiler.writing.python import WIDTH

DEEPEST = 4
"""Expressions nested deeper than this get a line of their own."""
LONGEST_OPERANDS = 72
"""Columns that expressions inside an expression may take together."""


class Forward:
    """Writes one `forward`, or the function of a block without state."""

    def __init__(
        self,
        target: ExplainedClass,
        reading: Reading,
        expressions: Expressions,
        indent: int,
        paths: Paths,
    ) -> None:
        self.target = target
        self.paths = paths
        self.reading = reading
        self.out = Statements(target, reading, expressions, indent)
        self.flow = self.out.flow
        self.done: set[Choice] = set()
        self.written: set[Merged] = set()
        self.scans = ScanWriter(self.out, target.items)
        self.modes = ModeWriter(self.out, self._write_item, self._need)

    def write(self) -> list[str]:
        """All statements, `return` included."""
        self.write_items()
        self.out.finish(self.target.outputs, LONGEST_OPERANDS)
        return self.out.lines

    def write_items(self) -> None:
        """All statements but what is handed back."""
        everyone = self.target.everyone
        items = arrange_loops(self.target.items)
        for place, item in enumerate(items):
            if item.instances != everyone or item not in self.target.read:
                continue
            if self.modes.waits(item):
                continue
            for ref in item.refs:
                self._need(ref)
            if not is_choice(item) or not self.modes.write_choice(item, items[place + 1 :]):
                self._write_item(item)
        for ref in self.target.outputs:
            self._need(ref)

    def _need(self, ref: MergedRef) -> None:
        if not isinstance(ref, Choice) or ref in self.done:
            return
        together = [ref, *(c for c in self.target.choices if c is not ref and self._joins(c, ref))]
        self.done.update(together)
        for choice in together:
            self._need(choice.base)
        self._write_choices(together)

    def _branch(self, choice: Choice) -> list[Merged]:
        """The items that a result of a branch is made from and that nothing has written yet."""
        return self.target.find_branch(choice, self.written)

    def _joins(self, choice: Choice, first: Choice) -> bool:
        """Whether a further result of a branch can be computed where the first one is."""
        if choice in self.done or choice.instances != first.instances:
            return False
        own = {*self._branch(choice), *self._branch(first)}
        needed = [choice.base, *(r for m in self._branch(choice) for r in m.refs)]
        return all(self._is_made(ref, own) for ref in needed)

    def _is_made(self, ref: MergedRef, own: set[Merged]) -> bool:
        match ref:
            case OutputRef(item, _):
                return item in own or item in self.written
            case Choice():
                return ref in self.done
        return True

    # --- items --------------------------------------------------------------------------------

    def _write_item(self, item: Merged) -> None:
        self.written.add(item)
        if is_choice(item) and self.modes.write_choice(item, []):
            return
        if item.expression is None:
            return
        tree = resolve(item.expression, lambda label: self.reading.read(item, label))
        if not isinstance(tree, Tree):
            self._pass_on(item)
            return
        match tree.form:
            case Form.RUN:
                write_turns(self.out, item, tree, self._make_inner, self.paths)
            case Form.LOOP:
                write_repeat(self.out, item, tree)
            case Form.APPEND:
                write_append(self.out, item, owned=self.target.is_turn)
            case Form.SCAN:
                self.scans.open(item, tree)
            case Form.SCAN_END:
                self.scans.close(item, tree)
            case _:
                self._write_expression(item, tree)

    def _make_inner(
        self, target: ExplainedClass, reading: Reading, expressions: Expressions, indent: int
    ) -> Forward:
        return Forward(target, reading, expressions, indent, self.paths)

    def _write_expression(self, item: Merged, tree: Tree) -> None:
        self._settle_operands(item, tree)
        inputs = self.flow.inputs(item)
        depth = max(map(self._depth, inputs), default=0)
        if any(r in self.flow.pending and _goes_on(self.out.peek(r), tree) for r in inputs[:1]):
            depth -= 1
        waiting = len(item.refs) == 1 and item.refs[0] in self.flow.pending
        made, reads = self.out.read_operands(item, tree)
        if item.outputs > 1:
            self.out.assign_many(item, made)
            return
        ref = OutputRef(item, 0)
        if self.flow.stays_inline(ref) and not self._interrupts(ref, depth):
            self.flow.pending[ref] = Pending(made, depth + 1, reads)
            return
        single = len(item.refs) == 1 and not isinstance(inputs[0], FromOwn)
        fallback = next(iter(reads)) if (single or waiting) and len(reads) == 1 else ""
        self.out.assign(self.out.choose(ref, made, fallback), made, ref)

    def _pass_on(self, item: Merged) -> None:
        """An op that leaves its operand as it is, such as a reshape to the same shape: its result
        is the expression of the operand."""
        (source,) = item.refs
        depth, ref = self._depth(source), OutputRef(item, 0)
        made, reads = self.out.read(source)
        if self.flow.stays_inline(ref):
            self.flow.pending[ref] = Pending(made, depth, reads)
        else:
            self.out.assign(self.flow.choose(ref), made, ref)

    def _depth(self, ref: MergedRef) -> int:
        pending = self.flow.pending.get(ref)
        return 0 if pending is None else pending.depth

    def _interrupts(self, ref: OutputRef, depth: int) -> bool:
        """Whether the reader would become hard to read with this expression inside."""
        readers = self.flow.readers.get(ref, [])
        if not readers:
            return False
        if is_choice(readers[0]):
            return False
        if readers[0].slot and is_factory(ref.item.expression):
            return True
        reader = readers[0].expression
        form = reader.form if isinstance(reader, Tree) else None
        if form is Form.LOOP:
            return True
        first = readers[0].refs[0] == ref
        return not first and depth > 1 and form not in (Form.INFIX, Form.SCAN, Form.SCAN_END)

    def _settle_operands(self, item: Merged, tree: Tree) -> None:
        """Gives operands a name that would make the expression too deep, unclear or long."""
        inputs = self.flow.inputs(item)
        for place, ref in enumerate(inputs):
            if ref in self.flow.pending and (
                self._too_deep(ref, item, tree) or self._unclear(ref, place, tree)
            ):
                self.out.flush(ref)
        waiting = [ref for ref in dict.fromkeys(inputs) if ref in self.flow.pending]
        if not waiting:
            return
        texts = [self.out.text(self.out.peek(ref)) for ref in waiting]
        whole = self.out.text(substitute(tree, list(map(self.out.peek, inputs))))
        made = self.flow.target_name(OutputRef(item, 0)) if item.outputs == 1 else ""
        start = max(len("return "), len(made) + len(" = "))
        too_long = len(whole) + self.out.indent + start > WIDTH
        if too_long and self._is_list(tree, waiting):
            too_long = sum(map(len, texts)) + 2 * len(texts) + self.out.indent + 5 > WIDTH
        if sum(map(len, texts)) > LONGEST_OPERANDS or too_long:
            for ref in waiting:
                self.out.flush(ref)

    def _is_list(self, tree: Tree, waiting: list[MergedRef]) -> bool:
        """Whether short expressions are items of a list, which stands on a line of its own."""
        lists = any(isinstance(part, Tree) and part.form is Form.LIST for part in tree.parts)
        return lists and all(self._depth(ref) == 1 for ref in waiting)

    def _too_deep(self, ref: MergedRef, item: Merged, tree: Tree) -> bool:
        depth = self._depth(ref)
        named = tree.form is Form.CALL and tree.parts[0] != Tree(Form.OWN, item.slot)
        inner = self.out.peek(ref)
        compares = isinstance(inner, Tree) and inner.label in COMPARISONS
        most = 3 if compares and not tree.keys else 2
        if named and (tree.keys or len(tree.parts) - 1 > len(item.refs)) and depth >= most:
            return True
        assert isinstance(ref, OutputRef)
        activation = ref.item.sample.module is not None
        return depth >= DEEPEST or bool(depth >= 3 and activation and item.slot)

    def _unclear(self, ref: MergedRef, place: int, tree: Tree) -> bool:
        """Whether an operator would stand before a dot or index, or nest in operators."""
        inner = self.out.peek(ref)
        if isinstance(inner, Tree) and inner.label == "**" and self._depth(ref) == 1:
            return False
        simple = isinstance(inner, Tree) and all(_is_simple(part) for part in inner.parts)
        compares = isinstance(inner, Tree) and inner.label in COMPARISONS
        if simple and compares and tree.form in (Form.METHOD, Form.CALL):
            return False  # `(x >= 1).long()`
        operators = (Form.INFIX, Form.PREFIX, Form.CHOOSE)
        if not isinstance(inner, Tree) or inner.form not in operators:
            return False
        for part in subtrees(tree):
            if Operand(place) not in part.parts:
                continue
            dotted = part.form in (Form.METHOD, Form.ATTRIBUTE, Form.INDEX)
            if dotted and part.parts[0] == Operand(place):
                return True
            if part.form is Form.INFIX and self._depth(ref) > 2:
                return place != 0 or not _goes_on(inner, part)
        return False

    # --- branches -------------------------------------------------------------------------------

    def _write_choices(self, choices: list[Choice]) -> None:
        """`if cond:` around the items that only some instances have."""
        out, condition = self.out, self.target.conditions[choices[0]]
        wanted = {item for choice in choices for item in self._branch(choice)}
        inside = [item for item in self.target.items if item in wanted]
        for ref in (r for item in inside for r in item.refs):
            self._need(ref)
        variables = [self._start_choice(choice, inside) for choice in choices]
        start = len(out.lines)
        out.lines += self._test(condition, inside)
        with out.deeper():
            for item in arrange_loops(inside):
                if not self.modes.waits(item):
                    self._write_item(item)
            for choice, variable in zip(choices, variables, strict=True):
                out.put(variable, out.read(choice.other)[0])
                out.flow.reserved.add(variable)
        merge_tests(out.lines, start, out.indent)
        for choice, variable in zip(choices, variables, strict=True):
            out.flow.reserved.discard(variable)
            self.flow.bind(variable, choice)
        out.last_shape = None

    def _start_choice(self, choice: Choice, inside: list[Merged]) -> str:
        """The variable of a result: it holds what stands where the branch is not taken."""
        out = self.out
        out.flush(choice.base)
        base = out.text(out.read(choice.base)[0])
        within = sum(
            list(operands(item.expression)).count(place)
            for item in inside
            for place, ref in enumerate(item.refs)
            if ref == choice.base
        )
        later = self.flow.uses[choice.base] > within or isinstance(choice.base, FromOwn)
        variable = base
        if later or any(base in p.reads for p in self.flow.pending.values()):
            variable = self.flow.choose(choice)
            is_list = self.target.is_list(choice.base)
            out.add(f"{variable} = [*{base}]" if is_list else f"{variable} = {base}")
        return variable

    def _test(self, condition: Condition, inside: list[Merged]) -> list[str]:
        """The line of an `if`: whether an optional module is there, or the test itself."""
        slots = list_asked(inside)
        if slots and not self.target.is_turn:
            text = f"{self.out.text(Tree(Form.OWN, slots[0]))} is not None"
        else:
            test = hint_tree(condition.test, self.reading.argument)
            text = self.out.text(test) + (" is not None" if condition.is_set else "")
        return write_test(text, self.out.indent)


def is_factory(part: Part | None) -> bool:
    """Whether an expression makes a tensor from sizes and numbers alone."""
    match part:
        case Tree(Form.CALL, "", (_, *given)):
            return all(
                not isinstance(p, Operand) and not is_factory(p) and _shows_size(p) for p in given
            )
    return False


def _shows_size(part: Part) -> bool:
    """Whether of a tensor only the size or the device is read."""
    match part:
        case Operand():
            return False
        case Tree(Form.ATTRIBUTE, "shape" | "device"):
            return True
        case Tree(parts=parts):
            return all(map(_shows_size, parts))
    return True


def _is_simple(part: Part) -> bool:
    """Whether a side of an operator is a name, a number, or a sum of such."""
    match part:
        case Tree(Form.INFIX, "+" | "-", (left, right)):
            return _is_simple(left) and _is_simple(right)
    return isinstance(part, Tree) and part.form in (Form.NAME, Form.LITERAL)


def _goes_on(inner: Part, outer: Tree) -> bool:
    """Whether sums go on from left to right: `a - b + c`."""
    both = isinstance(inner, Tree) and inner.form is outer.form is Form.INFIX
    if not both or not isinstance(inner, Tree) or outer.parts[0] != Operand(0):
        return False
    return {inner.label, outer.label} <= {"+", "-"}
