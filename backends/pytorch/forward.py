"""The body of `forward`: items as statements, short expressions inside the ones that read them."""

from __future__ import annotations

from dataclasses import replace

from backends.pytorch.document import STEP, WIDTH, Doc, Group, flat, lay_out
from backends.pytorch.expressions import Expressions, hint_tree, resolve, substitute
from backends.pytorch.flow import SPARE_NAMES, Flow, Pending
from backends.pytorch.items import FromOwn
from backends.pytorch.merged import Choice, Class, Condition, Made, Merged, MergedRef
from backends.pytorch.naming import free_name, singular
from backends.pytorch.reading import Reading
from backends.pytorch.shapes import Shapes
from backends.pytorch.terms import Form, Operand, Part, Tree, call, name, operands, subtrees

DEEPEST = 4
"""Expressions nested deeper than this get a line of their own."""
LONGEST_OPERANDS = 60
"""Columns that expressions inside an expression may take together."""


class Forward:
    """Writes one `forward`, or the function of a block without state."""

    def __init__(self, target: Class, reading: Reading, expressions: Expressions) -> None:
        self.target = target
        self.reading = reading
        self.expressions = expressions
        self.shapes = Shapes(target)
        self.flow = Flow(target, reading.extra)
        self.flow.reserved.update(reading.bound.values())
        self.lines: list[str] = []
        self.last_shape: str | None = None
        self.done: set[Choice] = set()
        self.inside = {
            choice: [m for m in target.items if m.instances == choice.instances]
            for choice in target.choices
        }

    def write(self, indent: int) -> list[str]:
        """All statements, `return` included."""
        everyone = self.target.everyone
        for item in self.target.items:
            if item.instances == everyone:
                for ref in item.refs:
                    self._need(ref, indent)
                self._write_item(item, indent)
        for ref in self.target.outputs:
            self._need(ref, indent)
        self._return(indent)
        return self.lines

    def _need(self, ref: MergedRef, indent: int) -> None:
        if isinstance(ref, Choice) and ref not in self.done:
            self.done.add(ref)
            self._need(ref.base, indent)
            self._write_choice(ref, indent)

    # --- items --------------------------------------------------------------------------------

    def _write_item(self, item: Merged, indent: int) -> None:
        if item.expression is None:
            return
        resolved = resolve(item.expression, lambda label: self.reading.read(item, label))
        assert isinstance(resolved, Tree)
        if resolved.form is Form.LOOP:
            self._write_loop(item, resolved, indent)
            return
        self._settle_operands(item, resolved, indent)
        depth = max((self._depth(r) for r in self.flow.inputs(item)), default=0)
        before = self.flow.inputs(item)
        waiting = len(item.refs) == 1 and item.refs[0] in self.flow.pending
        tree, reads = self._read_operands(item, resolved)
        if item.outputs > 1:
            self._assign_many(item, tree, indent)
            return
        ref = Made(item, 0)
        if self.flow.stays_inline(ref) and not self._interrupts(ref, depth):
            self.flow.pending[ref] = Pending(tree, depth + 1, reads)
            return
        single = len(item.refs) == 1 and len(reads) == 1 and not isinstance(before[0], FromOwn)
        fallback = next(iter(reads)) if single or (waiting and len(reads) == 1) else ""
        self._assign(self.flow.choose(ref, fallback), tree, ref, indent)

    def _depth(self, ref: MergedRef) -> int:
        pending = self.flow.pending.get(ref)
        return 0 if pending is None else pending.depth

    def _interrupts(self, ref: Made, depth: int) -> bool:
        """Whether the reader would become hard to read with this expression inside."""
        readers = self.flow.readers.get(ref, [])
        if not readers:
            return False
        reader = readers[0].expression
        if isinstance(reader, Tree) and reader.form is Form.LOOP:
            return True
        first = readers[0].refs[0] == ref
        infix = isinstance(reader, Tree) and reader.form is Form.INFIX
        return not first and depth > 1 and not infix

    def _settle_operands(self, item: Merged, tree: Tree, indent: int) -> None:
        """Gives operands a name that would make the expression too deep, unclear or long."""
        inputs = self.flow.inputs(item)
        for place, ref in enumerate(inputs):
            if ref in self.flow.pending and (
                self._too_deep(ref, item, tree) or self._unclear(ref, place, tree)
            ):
                self._flush(ref, indent)
        waiting = [ref for ref in dict.fromkeys(inputs) if ref in self.flow.pending]
        if not waiting:
            return
        texts = [self.expressions.text(self.flow.pending[ref].tree) for ref in waiting]
        trees = [self._peek(ref) for ref in inputs]
        whole = len(self.expressions.text(substitute(tree, trees))) + indent + len("return ")
        if sum(map(len, texts)) > LONGEST_OPERANDS or whole > WIDTH:
            for ref in waiting:
                if ref in self.flow.pending:
                    self._flush(ref, indent)

    def _too_deep(self, ref: MergedRef, item: Merged, tree: Tree) -> bool:
        pending = self.flow.pending[ref]
        named = tree.form is Form.CALL and tree.parts[0] != Tree(Form.OWN, item.slot)
        if named and (tree.keys or len(tree.parts) - 1 > len(item.refs)) and pending.depth >= 2:
            return True
        assert isinstance(ref, Made)
        activation = ref.item.sample.module is not None
        return pending.depth >= DEEPEST or bool(pending.depth >= 3 and activation and item.slot)

    def _unclear(self, ref: MergedRef, place: int, tree: Tree) -> bool:
        """Whether an operator would stand before a dot or index, or nest in operators."""
        inner = self.flow.pending[ref].tree
        assert isinstance(inner, Tree)
        if inner.form not in (Form.INFIX, Form.PREFIX, Form.CHOOSE):
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

    def _peek(self, ref: MergedRef) -> Part:
        pending = self.flow.pending.get(ref)
        if pending is not None:
            return pending.tree
        if isinstance(ref, FromOwn):
            return Tree(Form.OWN, ref.path)
        return name(self.flow.variables[ref])

    def _read(self, ref: MergedRef, times: int = 1) -> tuple[Part, frozenset[str]]:
        """The expression for a value, and the variables in it; spends uses."""
        self.flow.uses[ref] -= times
        if isinstance(ref, FromOwn):
            return self._peek(ref), frozenset()
        pending = self.flow.pending.pop(ref, None)
        if pending is not None:
            return pending.tree, pending.reads
        variable = self.flow.variables[ref]
        return name(variable), frozenset({variable})

    def _read_operands(self, item: Merged, tree: Tree) -> tuple[Tree, frozenset[str]]:
        inputs = self.flow.inputs(item)
        counts = list(operands(tree))
        reads: frozenset[str] = frozenset()
        trees: list[Part] = []
        for place, ref in enumerate(inputs):
            part, names = self._read(ref, counts.count(place))
            trees.append(part)
            reads |= names
        made = substitute(tree, trees)
        assert isinstance(made, Tree)
        return made, reads

    # --- statements -----------------------------------------------------------------------------

    def _flush(self, ref: MergedRef, indent: int) -> None:
        """Gives a waiting expression a name."""
        pending = self.flow.pending.pop(ref)
        fallback = next(iter(pending.reads)) if len(pending.reads) == 1 else ""
        variable = self.flow.choose(ref, fallback)
        self._assign(variable, pending.tree, ref, indent)

    def _assign(self, variable: str, tree: Part, ref: MergedRef, indent: int) -> None:
        doc = self._fit(tree, len(variable) + 3, indent)
        lines = lay_out(f"{variable} = ", doc, indent)
        self.lines += self._with_shape(lines, self.shapes.text(ref))
        self.flow.bind(variable, ref)

    def _with_shape(self, lines: list[str], shape: str | None) -> list[str]:
        """Notes a shape behind a statement where it differs from the one before."""
        fits = shape is not None and len(lines[-1]) + 4 + len(shape) <= WIDTH
        if fits and shape != self.last_shape:
            lines[-1] += f"  # {shape}"
        self.last_shape = shape
        return lines

    def _assign_many(self, item: Merged, tree: Tree, indent: int) -> None:
        names: list[str] = []
        for output in range(item.outputs):
            ref = Made(item, output)
            if self.flow.uses[ref]:
                names.append(self.flow.choose(ref))
                self.flow.bind(names[-1], ref)
            else:
                names.append("_")
        targets = ", ".join(names)
        doc = self._fit(tree, len(targets) + 3, indent)
        self.lines += lay_out(f"{targets} = ", doc, indent)
        self.last_shape = None

    def _fit(self, tree: Part, prefix: int, indent: int) -> Doc:
        """A document for one statement: what no bracket can break is taken apart first."""
        while True:
            doc = self.expressions.write(tree)
            if indent + prefix + len(flat(doc)) <= WIDTH or not isinstance(tree, Tree):
                return doc
            if tree.form in (Form.CALL, Form.BUILD):
                return doc
            inner = next((p for p in tree.parts if _is_compound(p)), None)
            if inner is None or tree.form in (Form.LIST, Form.TUPLE):
                return doc
            used = {t.label for t in subtrees(tree) if t.form is Form.NAME}
            live = {n for n in self.flow.bound if self.flow.is_live(n)} | self.flow.reserved
            spare = (n for n in SPARE_NAMES if n not in used | live)
            variable = next(spare, None) or free_name("x", used | live)
            inside = self._fit(inner, len(variable) + 3, indent)
            self.lines += lay_out(f"{variable} = ", inside, indent)
            parts = tuple(name(variable) if p is inner else p for p in tree.parts)
            tree = replace(tree, parts=parts)

    def _write_loop(self, item: Merged, tree: Tree, indent: int) -> None:
        """`for block in self.blocks: x = block(x, memory)`."""
        for ref in item.refs:
            if ref in self.flow.pending:
                self._flush(ref, indent)
        parts = [self._read(ref)[0] for ref in item.refs]
        place = int(tree.keys[0])
        carried = self.expressions.text(parts[place])
        ref = Made(item, 0)
        variable = self.flow.choose(ref, carried)
        if variable != carried:
            self.lines.append(f"{' ' * indent}{variable} = {carried}")
        parts[place] = name(variable)
        taken = {n for n in self.flow.bound if self.flow.is_live(n)} | {variable}
        one = free_name(singular(tree.label), taken | self.flow.reserved)
        container = self.expressions.text(Tree(Form.OWN, tree.label))
        self.lines.append(f"{' ' * indent}for {one} in {container}:")
        doc = self.expressions.write(call(one, *parts))
        self.lines += lay_out(f"{variable} = ", doc, indent + STEP)
        self.flow.bind(variable, ref)
        self.last_shape = None

    # --- branches -------------------------------------------------------------------------------

    def _write_choice(self, choice: Choice, indent: int) -> None:
        """`if cond:` around the items that only some instances have."""
        if choice.base in self.flow.pending:
            self._flush(choice.base, indent)
        inside = self.inside[choice]
        base_tree, _ = self._read(choice.base)
        base = self.expressions.text(base_tree)
        within = sum(
            list(operands(m.expression)).count(k)
            for m in inside
            for k, r in enumerate(m.refs)
            if r == choice.base
        )
        later = self.flow.uses[choice.base] > within or isinstance(choice.base, FromOwn)
        variable = base
        if later or any(base in p.reads for p in self.flow.pending.values()):
            variable = self.flow.choose(choice)
            self.lines.append(f"{' ' * indent}{variable} = {base}")
        assert choice.condition is not None
        self.lines += self._test(choice.condition, inside, indent)
        for item in inside:
            self._write_item(item, indent + STEP)
        other, _ = self._read(choice.other)
        if self.expressions.text(other) != variable:
            doc = self._fit(other, len(variable) + 3, indent + STEP)
            self.lines += lay_out(f"{variable} = ", doc, indent + STEP)
        self.flow.bind(variable, choice)
        self.last_shape = None

    def _test(self, condition: Condition, inside: list[Merged], indent: int) -> list[str]:
        """The line of an `if`: whether an optional module is there, or the test itself."""
        slots = [m.slot for m in inside if m.slot and m.variants]
        if slots:
            text = f"{self.expressions.text(Tree(Form.OWN, slots[0]))} is not None"
        else:
            test = hint_tree(condition.test, self.reading.argument)
            text = self.expressions.text(test) + (" is not None" if condition.is_set else "")
        return write_test(text, indent)

    def _return(self, indent: int) -> None:
        outputs = self.target.outputs
        waiting = [ref for ref in dict.fromkeys(outputs) if ref in self.flow.pending]
        long = sum(len(self.expressions.text(self.flow.pending[r].tree)) for r in waiting)
        if len(outputs) > 1 and long > LONGEST_OPERANDS:
            for ref in waiting:
                self._flush(ref, indent)
        trees = [self._read(ref)[0] for ref in outputs]
        if len(trees) == 1:
            shape = self.shapes.text(outputs[0])
            lines = lay_out("return ", self._fit(trees[0], len("return "), indent), indent)
            self.lines += self._with_shape(lines, shape)
            return
        docs = tuple(map(self.expressions.write, trees))
        text = f"{' ' * indent}return {', '.join(map(flat, docs))}"
        group = Group("(", docs, ")", display=True)
        self.lines += [text] if len(text) <= WIDTH else lay_out("return ", group, indent)


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


def _is_compound(part: Part) -> bool:
    return isinstance(part, Tree) and part.form not in (Form.NAME, Form.LITERAL, Form.OWN)
