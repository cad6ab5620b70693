"""Loops in `forward`: over a list of blocks, and over the steps of a `scan`."""

from __future__ import annotations

import re
from dataclasses import dataclass

from backends.pytorch.classes.merged import Choice, Formal, Merged, MergedRef, OutputRef
from backends.pytorch.fold.items import FromOwn
from backends.pytorch.print.flow import Pending
from backends.pytorch.print.statements import Statements
from backends.pytorch.terms.document import STEP, Doc, Group, lay_out
from backends.pytorch.terms.expressions import substitute
from backends.pytorch.terms.naming import MARK, singular
from backends.pytorch.terms.terms import Form, Part, Tree, call, name, operands
from compiler.ops.scan import Scan
from compiler.writing.names import free_name, safe_name


def write_repeat(out: Statements, item: Merged, tree: Tree) -> None:
    """`for block in self.blocks: x = block(x, memory)`."""
    for ref in item.refs:
        out.flush(ref)
    parts = [out.read(ref)[0] for ref in item.refs]
    place = int(tree.keys[0])
    carried = out.text(parts[place])
    ref = OutputRef(item, 0)
    variable = out.flow.choose(ref, carried)
    out.put(variable, parts[place])
    parts[place] = name(variable)
    one = free_name(singular(tree.label), out.live_names() | {variable})
    out.add(f"for {one} in {out.text(Tree(Form.OWN, tree.label))}:")
    doc = out.expressions.write(call(one, *parts))
    out.lines += lay_out(f"{variable} = ", doc, out.indent + STEP)
    out.flow.bind(variable, ref)
    out.last_shape = None


def write_append(out: Statements, item: Merged, *, owned: bool) -> None:
    """`skips.append(x)`; a new list where somebody still needs the old one, or the caller has it:
    `owned` says that what comes in is the list of the code around."""
    base, *added = item.refs
    flow, ref = out.flow, OutputRef(item, 0)
    out.flush(base)
    variable = flow.variables[base]
    given = isinstance(base, Formal) and not owned
    parts = [out.read(one)[0] for one in added]
    out.read(base)
    if given or flow.is_live(variable):
        star = Tree(Form.STAR, "", (name(variable),))
        out.assign(flow.choose(ref), Tree(Form.LIST, "", (star, *parts)), ref)
        return
    if len(parts) == 1:
        doc = out.expressions.write(Tree(Form.METHOD, "append", (name(variable), *parts)))
        out.lines += lay_out("", doc, out.indent)
    else:
        doc = out.expressions.write(Tree(Form.LIST, "", tuple(parts)))
        out.lines += lay_out(f"{variable} += ", doc, out.indent)
    flow.bind(variable, ref)
    out.last_shape = None


# --- scans ------------------------------------------------------------------------------------


def find_pairs(items: list[Merged]) -> dict[Merged, Merged]:
    """The closing of each loop by its opening."""
    pairs = {}
    for item in items:
        expression = item.expression
        if isinstance(expression, Tree) and expression.form is Form.SCAN_END:
            token = item.refs[0]
            assert isinstance(token, OutputRef)
            pairs[token.item] = item
    return pairs


def find_region(begin: Merged, items: list[Merged]) -> list[Merged]:
    """The body of a loop, in order: what makes values that carry its mark."""
    mark = begin.sample.outputs[-1]
    return [
        item
        for item in items
        if item is not begin and any(_is_inside(v, mark) for v in item.sample.outputs)
    ]


def _is_inside(value: str, mark: str) -> bool:
    found = value.find(MARK)
    return found >= 0 and f"{value[found:]}{MARK}".startswith(f"{mark}{MARK}")


def arrange_loops(items: list[Merged]) -> list[Merged]:
    """Items with the body of every loop right between its opening and its closing."""
    pairs = find_pairs(items)
    for begin, end in pairs.items():
        region = find_region(begin, items)
        moved = {begin, *region}
        rest = [item for item in items if item not in moved]
        place = rest.index(end)
        items = [*rest[:place], begin, *region, *rest[place:]]
    return items


@dataclass
class _Open:
    """A loop whose body is being written."""

    end: Merged
    variables: list[str]
    lists: list[str]
    kept: list[MergedRef]


class ScanWriter:
    """Writes the loops over steps of one `forward`."""

    def __init__(self, out: Statements, items: list[Merged]) -> None:
        self.out = out
        self.items = items
        self.pairs = find_pairs(items)
        self.opened: list[_Open] = []
        self.orders: dict[str, str] = {}

    # --- opening --------------------------------------------------------------------------------

    def open(self, item: Merged, tree: Tree) -> None:
        """First states, empty lists, and the line of the `for`."""
        scan = item.sample.scan
        assert scan is not None
        out, end = self.out, self.pairs[item]
        kept = self._keep_outside(item, end)
        way = self._way(tree.parts[scan.sequences + scan.states])
        for ref in item.refs[: scan.sequences]:  # all of them, before one of them is read
            pending = out.flow.pending.get(ref)
            if pending is not None and pending.depth > 1:
                out.flush(ref)
        overs = [f"{self._sequence(r, scan.axis)}{way}" for r in item.refs[: scan.sequences]]
        if scan.count is not None:
            counter = self._range(item, tree, scan)
            overs.insert(0, f"list({counter}){way}" if way else counter)
        variables = self._start_states(item, scan)
        lists = self._start_lists(end, scan, set(re.findall(r"\w+", " ".join(overs))))
        self.opened.append(_Open(end, variables, lists, kept))
        names = []
        for number in range(len(overs)):
            ref = OutputRef(item, number)
            names.append(out.flow.choose(ref) if out.flow.uses[ref] else "_")
            out.flow.bind(names[-1], ref)
        over: Doc = overs[0]
        if len(overs) > 1:
            over = ("zip", Group("(", (*overs, "strict=True"), ")"))
        out.lines += lay_out(f"for {', '.join(names)} in ", over, out.indent, ":")
        out.indent += STEP
        out.last_shape = None

    def _keep_outside(self, begin: Merged, end: Merged) -> list[MergedRef]:
        """Values from before the loop stay what they are until it ends, whatever step reads
        them last."""
        region = find_region(begin, self.items)
        inner = {begin, *region}
        refs = dict.fromkeys(
            ref for item in (*region, end) for ref in self._leaves(self.out.flow.inputs(item))
        )
        kept = [r for r in refs if not (isinstance(r, OutputRef) and r.item in inner)]
        kept = [r for r in kept if not isinstance(r, FromOwn)]
        for ref in kept:
            self.out.flush(ref)
            self.out.flow.uses[ref] += 1
        return kept

    def _leaves(self, refs: list[MergedRef]) -> list[MergedRef]:
        """References, and both sides of those that are choices inside the loop."""
        return [r for r in refs if not isinstance(r, Choice) or r in self.out.flow.variables] + [
            side
            for r in refs
            if isinstance(r, Choice) and r not in self.out.flow.variables
            for side in self._leaves([r.base, r.other])
        ]

    def _way(self, part: Part) -> str:
        """A slice that turns the order of steps round, where the loop goes backwards."""
        match part:
            case Tree(Form.LITERAL, "False"):
                return ""
            case Tree(Form.LITERAL, "True"):
                return "[::-1]"
        text = f"-1 if {self.out.text(part)} else 1"
        if text not in self.orders:
            self.orders[text] = free_name("order", self.out.live_names())
            self.out.flow.reserved.add(self.orders[text])
            self.out.add(f"{self.orders[text]} = {text}")
        return f"[::{self.orders[text]}]"

    def _sequence(self, ref: MergedRef, axis: int) -> str:
        """`x.unbind(1)`: one tensor for each step."""
        tree, _ = self.out.read(ref)
        return self.out.text(Tree(Form.METHOD, "unbind", (tree, Tree(Form.LITERAL, str(axis)))))

    def _range(self, item: Merged, tree: Tree, scan: Scan) -> str:
        """`torch.arange(n, device=x.device)`: the counter is a tensor, as in the graph; a plain
        range where nobody reads it."""
        out = self.out
        inputs = out.flow.inputs(item)
        shown = Tree(Form.TUPLE, "", tree.parts[-3:])
        for index in operands(shown):
            out.flush(inputs[index])
        parts = substitute(shown, list(map(out.peek, inputs)))
        assert isinstance(parts, Tree)
        for index in operands(shown):
            out.flow.uses[inputs[index]] -= 1
        count, first, device = map(out.text, parts.parts)
        stop = count if scan.step == 1 else f"{scan.step} * {count}"
        end = count.removesuffix(f" - {first}") if scan.step == 1 else count
        end = end if end != count and re.fullmatch(r"[\w.]+", end) else f"{first} + {stop}"
        bounds = stop if first == "0" else f"{first}, {end}"
        if scan.step != 1:
            bounds = f"{first}, {end}" if first != "0" else f"0, {stop}"
            bounds = f"{bounds}, {scan.step}"
        if not out.flow.uses[OutputRef(item, 0)]:
            return f"range({bounds})"
        return f"torch.arange({bounds}, device={device})"

    def _start_states(self, item: Merged, scan: Scan) -> list[str]:
        """`h = torch.zeros(…)`: one variable for a state through all steps."""
        out = self.out
        first = int(scan.count is not None) + scan.sequences
        variables: list[str] = []
        for number in range(scan.states):
            carried = OutputRef(item, first + number)
            tree, reads = out.read(item.refs[scan.sequences + number])
            fallback = next(iter(reads)) if len(reads) == 1 else ""
            variable = out.choose(carried, tree, fallback, avoid=variables)
            if out.text(tree) == variable:
                out.flow.bind(variable, carried)
            else:
                out.assign(variable, tree, carried)
            variables.append(variable)
        return variables

    def _start_lists(self, end: Merged, scan: Scan, read: set[str]) -> list[str]:
        """Empty lists; `read` are names in the line of the loop, which comes after them."""
        lists = []
        for number in range(len(scan.emit_axes)):
            wish = safe_name(scan.emitted[number].name)
            variable = free_name(wish, self.out.live_names() | read)
            self.out.add(f"{variable} = []")
            self.out.flow.reserved.add(variable)
            lists.append(variable)
        return lists

    # --- closing --------------------------------------------------------------------------------

    def close(self, item: Merged, tree: Tree) -> None:
        """What a step appends and hands on, and what is left after the last."""
        scan = item.sample.scan
        assert scan is not None
        loop = self.opened.pop()
        out = self.out
        results = item.refs[1:]
        for ref in results[: scan.states]:
            out.flush(ref)
        for variable, ref in zip(loop.lists, results[scan.states :], strict=False):
            out.add(f"{variable}.append({out.text(out.read(ref)[0])})")
        if scan.until:
            out.flush(results[-1])
        pairs = [
            (variable, out.text(out.read(ref)[0]))
            for variable, ref in zip(loop.variables, results, strict=False)
        ]
        moved = [(variable, text) for variable, text in pairs if variable != text]
        if moved:
            left, right = (", ".join(side) for side in zip(*moved, strict=True))
            out.add(f"{left} = {right}")
        if scan.until:
            out.add(f"if {out.text(out.read(results[-1])[0])}:")
            out.add(f"{' ' * STEP}break")
        out.indent -= STEP
        out.flow.uses[item.refs[0]] -= 1
        for ref in loop.kept:
            out.flow.uses[ref] -= 1
        self._finish(item, scan, loop, self._way(tree.parts[-1]))

    def _finish(self, item: Merged, scan: Scan, loop: _Open, way: str) -> None:
        """Last states under their variables; what was appended as one tensor."""
        out = self.out
        out.flow.reserved.difference_update(loop.lists)
        for number, variable in enumerate(loop.variables):
            if out.flow.uses[OutputRef(item, number)]:
                out.flow.bind(variable, OutputRef(item, number))
        for number, (variable, axis) in enumerate(zip(loop.lists, scan.emit_axes, strict=True)):
            ref = OutputRef(item, scan.states + number)
            made = Tree(
                Form.CALL,
                "",
                (name("torch.stack"), name(f"{variable}{way}"), Tree(Form.LITERAL, str(axis))),
                ("dim",),
            )
            if not out.flow.uses[ref]:
                continue
            if out.flow.stays_inline(ref):
                out.flow.pending[ref] = Pending(made, 1, frozenset({variable}))
            else:
                out.assign(variable, made, ref)
        out.last_shape = None
