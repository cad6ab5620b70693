"""The body of `forward`: items as statements, short expressions inside the ones that read them."""

from __future__ import annotations

from backends.pytorch.document import STEP
from backends.pytorch.expressions import Expressions, hint_tree, resolve, substitute
from backends.pytorch.flow import Pending
from backends.pytorch.items import FromOwn
from backends.pytorch.loops import ScanWriter, arrange_loops, write_repeat
from backends.pytorch.merged import Choice, Class, Condition, Made, Merged, MergedRef
from backends.pytorch.reading import Reading
from backends.pytorch.statements import Statements
from backends.pytorch.terms import Form, Operand, Tree, operands, subtrees
from compiler.writing.python import WIDTH

DEEPEST = 4
"""Expressions nested deeper than this get a line of their own."""
LONGEST_OPERANDS = 72
"""Columns that expressions inside an expression may take together."""


class Forward:
    """Writes one `forward`, or the function of a block without state."""

    def __init__(
        self, target: Class, reading: Reading, expressions: Expressions, indent: int
    ) -> None:
        self.target = target
        self.reading = reading
        self.out = Statements(target, reading, expressions, indent)
        self.flow = self.out.flow
        self.done: set[Choice] = set()
        self.inside = {
            choice: [m for m in target.items if m.instances == choice.instances]
            for choice in target.choices
        }
        self.scans = ScanWriter(self.out, target.items)

    def write(self) -> list[str]:
        """All statements, `return` included."""
        everyone = self.target.everyone
        for item in arrange_loops(self.target.items):
            if item.instances == everyone:
                for ref in item.refs:
                    self._need(ref)
                self._write_item(item)
        for ref in self.target.outputs:
            self._need(ref)
        self.out.finish(self.target.outputs, LONGEST_OPERANDS)
        return self.out.lines

    def _need(self, ref: MergedRef) -> None:
        if isinstance(ref, Choice) and ref not in self.done:
            self.done.add(ref)
            self._need(ref.base)
            self._write_choice(ref)

    # --- items --------------------------------------------------------------------------------

    def _write_item(self, item: Merged) -> None:
        if item.expression is None:
            return
        tree = resolve(item.expression, lambda label: self.reading.read(item, label))
        assert isinstance(tree, Tree)
        match tree.form:
            case Form.LOOP:
                write_repeat(self.out, item, tree)
            case Form.SCAN:
                self.scans.open(item, tree)
            case Form.SCAN_END:
                self.scans.close(item, tree)
            case _:
                self._write_expression(item, tree)

    def _write_expression(self, item: Merged, tree: Tree) -> None:
        self._settle_operands(item, tree)
        inputs = self.flow.inputs(item)
        depth = max(map(self._depth, inputs), default=0)
        waiting = len(item.refs) == 1 and item.refs[0] in self.flow.pending
        made, reads = self.out.read_operands(item, tree)
        if item.outputs > 1:
            self.out.assign_many(item, made)
            return
        ref = Made(item, 0)
        if self.flow.stays_inline(ref) and not self._interrupts(ref, depth):
            self.flow.pending[ref] = Pending(made, depth + 1, reads)
            return
        single = len(item.refs) == 1 and not isinstance(inputs[0], FromOwn)
        fallback = next(iter(reads)) if (single or waiting) and len(reads) == 1 else ""
        self.out.assign(self.flow.choose(ref, fallback), made, ref)

    def _depth(self, ref: MergedRef) -> int:
        pending = self.flow.pending.get(ref)
        return 0 if pending is None else pending.depth

    def _interrupts(self, ref: Made, depth: int) -> bool:
        """Whether the reader would become hard to read with this expression inside."""
        readers = self.flow.readers.get(ref, [])
        if not readers:
            return False
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
        too_long = len(whole) + self.out.indent + len("return ") > WIDTH
        if sum(map(len, texts)) > LONGEST_OPERANDS or too_long:
            for ref in waiting:
                self.out.flush(ref)

    def _too_deep(self, ref: MergedRef, item: Merged, tree: Tree) -> bool:
        depth = self._depth(ref)
        named = tree.form is Form.CALL and tree.parts[0] != Tree(Form.OWN, item.slot)
        if named and (tree.keys or len(tree.parts) - 1 > len(item.refs)) and depth >= 2:
            return True
        assert isinstance(ref, Made)
        activation = ref.item.sample.module is not None
        return depth >= DEEPEST or bool(depth >= 3 and activation and item.slot)

    def _unclear(self, ref: MergedRef, place: int, tree: Tree) -> bool:
        """Whether an operator would stand before a dot or index, or nest in operators."""
        inner = self.out.peek(ref)
        if isinstance(inner, Tree) and inner.label == "**" and self._depth(ref) == 1:
            return False
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
                return True
        return False

    # --- branches -------------------------------------------------------------------------------

    def _write_choice(self, choice: Choice) -> None:
        """`if cond:` around the items that only some instances have."""
        out = self.out
        inside = self.inside[choice]
        for ref in (r for item in inside for r in item.refs):
            self._need(ref)
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
            out.add(f"{variable} = {base}")
        assert choice.condition is not None
        out.lines += self._test(choice.condition, inside)
        with out.deeper():
            for item in arrange_loops(inside):
                self._write_item(item)
            out.put(variable, out.read(choice.other)[0])
        self.flow.bind(variable, choice)
        out.last_shape = None

    def _test(self, condition: Condition, inside: list[Merged]) -> list[str]:
        """The line of an `if`: whether an optional module is there, or the test itself."""
        slots = [m.slot for m in inside if m.slot and m.variants]
        if slots:
            text = f"{self.out.text(Tree(Form.OWN, slots[0]))} is not None"
        else:
            test = hint_tree(condition.test, self.reading.argument)
            text = self.out.text(test) + (" is not None" if condition.is_set else "")
        return write_test(text, self.out.indent)


def write_test(text: str, indent: int) -> list[str]:
    """`if test:`, in brackets and broken at its `or` or `and` where it is long."""
    line = f"{' ' * indent}if {text}:"
    if len(line) <= WIDTH:
        return [line]
    sign = next((s for s in (" or ", " and ") if s in text), None)
    if sign is None:
        return [line]
    first, *rest = text.split(sign)
    inner = " " * (indent + STEP)
    parts = [f"{inner}{first}", *(f"{inner}{sign.strip()} {part}" for part in rest)]
    return [f"{' ' * indent}if (", *parts, f"{' ' * indent}):"]
