"""Statements of one `forward`: assignments, the values that wait to be part of one, shapes."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import replace

from backends.pytorch.classes.explained import ExplainedClass
from backends.pytorch.classes.merged import Merged, MergedRef, OutputRef
from backends.pytorch.fold.items import FromOwn
from backends.pytorch.print.flow import SPARE_NAMES, Flow
from backends.pytorch.print.reading import Reading
from backends.pytorch.print.shapes import Shapes
from backends.pytorch.terms.document import STEP, Doc, Group, flat, lay_out
from backends.pytorch.terms.expressions import Expressions, substitute
from backends.pytorch.terms.terms import Form, Part, Tree, name, operands, subtrees
from compiler.writing.names import free_name
from compiler.writing.python import WIDTH

COMPARISONS = frozenset({"==", "!=", "<", "<=", ">", ">="})


class Statements:
    """Collects the lines of one function body."""

    def __init__(
        self, target: ExplainedClass, reading: Reading, expressions: Expressions, indent: int
    ) -> None:
        self.target = target
        self.reading = reading
        self.expressions = expressions
        self.indent = indent
        self.shapes = Shapes(target)
        self.flow = Flow(target, reading.extra)
        self.flow.reserved.update(reading.bound.values(), target.functions)
        if target.is_function:
            self.flow.reserved.update(setting.label for setting in target.settings)
        self.lines: list[str] = []
        self.last_shape: str | None = None

    def add(self, text: str) -> None:
        """A line at the present depth."""
        self.lines.append(f"{' ' * self.indent}{text}")

    @contextmanager
    def deeper(self) -> Iterator[None]:
        """Statements inside a branch or loop."""
        self.indent += STEP
        yield
        self.indent -= STEP

    # --- values ---------------------------------------------------------------------------------

    def text(self, tree: Part) -> str:
        """An expression on one line."""
        return self.expressions.text(tree)

    def peek(self, ref: MergedRef) -> Part:
        """The expression for a value, without spending a use."""
        if isinstance(ref, FromOwn):
            return Tree(Form.OWN, ref.path)
        pending = self.flow.pending.get(ref)
        return pending.tree if pending is not None else name(self.flow.variables[ref])

    def read(self, ref: MergedRef, times: int = 1) -> tuple[Part, frozenset[str]]:
        """The expression for a value, and the variables in it; spends uses."""
        self.flow.uses[ref] -= times
        tree = self.peek(ref)
        pending = self.flow.pending.pop(ref, None)
        if pending is not None:
            return tree, pending.reads
        is_variable = isinstance(tree, Tree) and tree.form is Form.NAME
        return tree, frozenset({self.flow.variables[ref]} if is_variable else ())

    def read_operands(self, item: Merged, tree: Tree) -> tuple[Tree, frozenset[str]]:
        """The expression of an item with its operands in it, and the variables it reads."""
        counts = list(operands(tree))
        reads: frozenset[str] = frozenset()
        trees: list[Part] = []
        for place, ref in enumerate(self.flow.inputs(item)):
            part, names = self.read(ref, counts.count(place))
            trees.append(part)
            reads |= names
        made = substitute(tree, trees)
        assert isinstance(made, Tree)
        return made, reads

    def flush(self, ref: MergedRef) -> None:
        """Gives a waiting expression a name."""
        pending = self.flow.pending.pop(ref, None)
        if pending is not None:
            fallback = next(iter(pending.reads)) if len(pending.reads) == 1 else ""
            self.assign(self.choose(ref, pending.tree, fallback), pending.tree, ref)

    def choose(self, ref: MergedRef, tree: Part, fallback: str, avoid: Collection[str] = ()) -> str:
        """A variable for a value: the one that it is computed from, the fallback, only where more
        of that is read than its size or device; a variable with a name of its own goes to what is
        made of it as a whole."""
        if not _reads_value(tree, fallback):
            fallback = ""
        if len(fallback) > 1 and not _goes_on(tree, fallback):
            fallback = ""
        usual = ref.item.sample.traits.variable if isinstance(ref, OutputRef) else ""
        if usual and not self.flow.target_name(ref):
            fallback = usual
        return self.flow.choose(ref, fallback, avoid)

    # --- statements -----------------------------------------------------------------------------

    def put(self, variable: str, tree: Part) -> None:
        """`variable = expression`, unless that says nothing."""
        if self.text(tree) != variable:
            doc = self.fit(tree, len(variable) + 3)
            self.lines += lay_out(f"{variable} = ", doc, self.indent)

    def assign(self, variable: str, tree: Part, ref: MergedRef) -> None:
        """Gives a value a variable, with its shape in a comment where it is news. What is that
        variable already needs no statement: an op that hands its operand on."""
        if self.text(tree) != variable:
            doc = self.fit(tree, len(variable) + 3)
            lines = lay_out(f"{variable} = ", doc, self.indent)
            self.lines += self.with_shape(lines, ref)
        self.flow.bind(variable, ref)

    def assign_many(self, item: Merged, tree: Tree) -> None:
        """`q, k, v = expression`; outputs that nothing reads are `_`."""
        names: list[str] = []
        for output in range(item.outputs):
            ref = OutputRef(item, output)
            if self.flow.uses[ref]:
                names.append(self.flow.choose(ref))
                self.flow.bind(names[-1], ref)
            else:
                names.append("_")
        targets = ", ".join(names)
        behind = item.sample.nodes[-1].op.paired_results if item.sample.nodes else None
        if behind is not None and len(names) > behind:
            pair = ", ".join(names[behind:]) if set(names[behind:]) != {"_"} else ""
            targets = ", ".join([*names[:behind], f"({pair})" if pair else "_"])
        doc = self.fit(tree, len(targets) + 3)
        self.lines += lay_out(f"{targets} = ", doc, self.indent)
        self.last_shape = None

    def with_shape(self, lines: list[str], ref: MergedRef) -> list[str]:
        """Notes a shape behind a statement where it differs from the one before."""
        shape = self.shapes.text(ref)
        fits = shape is not None and len(lines[-1]) + 4 + len(shape) <= WIDTH
        if fits and shape != self.last_shape:
            lines[-1] += f"  # {shape}"
        self.last_shape = shape
        return lines

    def fit(self, tree: Part, prefix: int) -> Doc:
        """A document for one statement: what no bracket can break is taken apart first."""
        while True:
            doc = self.expressions.write(tree)
            room = WIDTH - self.indent - prefix
            if len(flat(doc)) <= room or not isinstance(tree, Tree):
                return doc
            if tree.form in (Form.CALL, Form.BUILD, Form.LIST, Form.TUPLE):
                return doc
            inner = next(_find_compounds(tree), None)
            if inner is None:
                return doc
            used = {t.label for t in subtrees(tree) if t.form is Form.NAME} | self.live_names()
            spare = (n for n in SPARE_NAMES if n not in used)
            variable = next(spare, None) or free_name("x", used)
            # what the rest of the expression reads must outlive the parts of this one
            held = used - self.flow.reserved
            self.flow.reserved |= held
            self.put(variable, inner)
            self.flow.reserved -= held
            tree = _replace_part(tree, inner, name(variable))

    def live_names(self) -> set[str]:
        """Variables that must not be overwritten."""
        return {n for n in self.flow.bound if self.flow.is_live(n)} | self.flow.reserved

    def assign_results(self, pairs: list[tuple[str, MergedRef]]) -> None:
        """What a turn of a loop hands to the next, in variables."""
        if len(pairs) == 1:
            ((variable, ref),) = pairs
            self.put(variable, self.read(ref)[0])
            return
        texts = [(variable, self.text(self.read(ref)[0])) for variable, ref in pairs]
        moved = [(variable, text) for variable, text in texts if variable != text]
        if moved:
            left, right = (", ".join(side) for side in zip(*moved, strict=True))
            self.add(f"{left} = {right}")

    def finish(self, outputs: list[MergedRef], longest: int) -> None:
        """The `return` statement."""
        waiting = [ref for ref in dict.fromkeys(outputs) if ref in self.flow.pending]
        long = sum(len(self.text(self.peek(ref))) for ref in waiting)
        if len(outputs) > 1 and long > longest:
            for ref in waiting:
                self.flush(ref)
        trees = [self.read(ref)[0] for ref in outputs]
        if len(trees) == 1:
            lines = lay_out("return ", self.fit(trees[0], len("return ")), self.indent)
            self.lines += self.with_shape(lines, outputs[0])
            return
        docs = tuple(map(self.expressions.write, trees))
        text = f"{' ' * self.indent}return {', '.join(map(flat, docs))}"
        group = Group("(", docs, ")", display=True)
        self.lines += [text] if len(text) <= WIDTH else lay_out("return ", group, self.indent)


def _find_compounds(tree: Tree) -> Iterator[Tree]:
    """Parts of an expression that can have a line of their own."""
    for part in tree.parts:
        if isinstance(part, Tree) and part.form is Form.SLICE:
            yield from _find_compounds(part)
        elif isinstance(part, Tree) and part.form not in _SIMPLE:
            yield part


def _reads_value(part: Part, variable: str) -> bool:
    """Whether an expression reads more of a variable than its size or device."""
    match part:
        case Tree(Form.NAME, label):
            return label == variable
        case Tree(Form.ATTRIBUTE, "shape" | "device"):
            return False
        case Tree(parts=parts):
            return any(_reads_value(child, variable) for child in parts)
    return False


def _goes_on(part: Part, variable: str) -> bool:
    """Whether an expression is one step further with a variable: `F.relu(h).mean(1)`, `h + y`; not
    `torch.where(h > 0, 1, 0)`."""
    match part:
        case Tree(Form.NAME, label):
            return label == variable
        case Tree(Form.CALL, parts=(_, first, *_)):
            return _goes_on(first, variable)
        case Tree(Form.INFIX, label, (left, _)) if label not in COMPARISONS:
            return _goes_on(left, variable)
        case Tree(Form.METHOD | Form.INDEX, parts=(owner, *_)):
            return _goes_on(owner, variable)
    return False


_SIMPLE = (Form.NAME, Form.LITERAL, Form.OWN, Form.NOTHING)


def _replace_part(tree: Tree, old: Tree, new: Tree) -> Tree:
    parts = tuple(
        new
        if part is old
        else _replace_part(part, old, new)
        if isinstance(part, Tree) and part.form is Form.SLICE
        else part
        for part in tree.parts
    )
    return replace(tree, parts=parts)
