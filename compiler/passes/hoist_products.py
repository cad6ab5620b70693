"""Products of a loop's inputs, computed for all steps before the loop.

In each step a cell multiplies a weight with `[x_t, h]`, or one with x_t and another with h, and
adds numbers. What it makes of x_t does not depend on the state: one product makes that of all
steps, and the step itself adds a product of the state to its part of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial, reduce
from typing import final

from compiler.ir.graph import Graph, Input, Node, Op, Value
from compiler.ir.hint import Hint, HintBinary, HintSize
from compiler.ops.arithmetic import Add
from compiler.ops.creation import Constant
from compiler.ops.fused.products import Addmm, SplitColumns
from compiler.ops.indexing import Index
from compiler.ops.joining import Chunk, Concat
from compiler.ops.linear import Dense
from compiler.ops.linear_algebra import MatMul
from compiler.ops.scan import Scan
from compiler.ops.shaping import Transpose
from compiler.passes.base import Context, Pass
from compiler.passes.declared_layers import declare_layers
from compiler.passes.rewrite import Rewriter
from compiler.types.tensor import DType, TensorType
from compiler.writing.names import free_name


@final
@dataclass(frozen=True)
class HoistProducts(Pass):
    """Dense layers in a `scan` that see a slice of its sequences do so before the loop, for all
    slices at once; of those that see the state too, the columns for the slice.

    - `for_torch`: layers that are taken apart leave a module behind that holds their weights where
      they were.
    """

    name = "hoist_products"
    for_torch: bool = False

    def run(self, graph: Graph, context: Context) -> Graph:
        """The graph in which loops only multiply what depends on their states."""
        rewriter = Rewriter(graph)
        for node in graph.nodes:
            scan = node.op
            plan = _Plan(node, scan) if isinstance(scan, Scan) else None
            if plan is None:
                rewriter.keep(node)
            elif not plan.works:
                self.leave(context, node, "no product in it depends on its sequences alone")
                rewriter.keep(node)
            else:
                _Writer(rewriter, node, plan, for_torch=self.for_torch).write()
        return rewriter.graph()


@dataclass
class _Mixed:
    """A dense layer that sees slices and states side by side: which of what stands there the loop
    does not change, and whether that comes first."""

    layer: Node
    early: tuple[Value, ...]
    late: tuple[Value, ...]
    first: bool


@dataclass
class _Added:
    """A dense layer of the state whose result is added to what is known before the loop."""

    total: Node
    layer: Node
    base: Value


@dataclass
class _Plan:
    """What of a loop's body is computed before it."""

    node: Node
    scan: Scan
    mixed: dict[str, list[_Mixed]] = field(default_factory=dict)
    """By the place of the first, those that see the same: they become one product."""
    added: dict[str, list[_Added]] = field(default_factory=dict)
    """The same, by what their layers see."""
    hoisted: list[Node] = field(default_factory=list)
    """Nodes whose results are known for all steps, in order."""
    early: dict[str, Value] = field(default_factory=dict)
    """What is known for all steps, by name."""

    def __post_init__(self) -> None:
        scan = self.scan
        self.fixed = {item.name for item in scan.captured}
        self.makers = {v.name: n for n in scan.body.nodes for v in n.outputs}
        self.readers: dict[str, list[Node]] = {}
        for node in scan.body.nodes:
            for value in node.inputs:
                if value is not None:
                    self.readers.setdefault(value.name, []).append(node)
        self.kept = {output.value.name for output in scan.body.outputs}
        self.early = {i.name: i.value for i in scan.slices if _is_rows(i.value.type)}
        if scan.axis % 3 > 1:
            self.early = {}
        self.found_mixed: dict[str, _Mixed] = {}
        self.found_added: dict[str, _Added] = {}
        for node in scan.body.nodes:
            self._look_at(node)
        self._drop_useless()
        for mixed in self.found_mixed.values():
            values = mixed.layer.inputs
            key = values[0].name if values[0] is not None else ""
            self.mixed.setdefault(f"{key} {mixed.layer.output.type} {len(values)}", []).append(
                mixed
            )
        for added in self.found_added.values():
            source = added.layer.inputs[0]
            key = source.name if source is not None else ""
            kind = f"{added.layer.op.name} {added.total.output.type}"
            self.added.setdefault(f"{key} {kind}", []).append(added)

    @property
    def works(self) -> bool:
        """Whether a product is computed before the loop."""
        return bool(self.mixed or self.added or any(_is_product(n) for n in self.hoisted))

    def _look_at(self, node: Node) -> None:
        """Notes what a node is known to make, once for all steps or in part."""
        if self._is_fixed(node):
            self.fixed.update(value.name for value in node.outputs)
            return
        if self._is_early(node):
            self.hoisted.append(node)
            self.early.update((value.name, value) for value in node.outputs)
            return
        mixed = self._find_mixed(node)
        if mixed is not None:
            self.found_mixed[node.output.name] = mixed
            return
        added = self._find_added(node)
        if added is not None:
            self.found_added[node.output.name] = added

    def _is_fixed(self, node: Node) -> bool:
        """Whether a node makes the same in every step, and may do so before the loop."""
        plain = not (node.op.draws or node.op.bodies)
        numbers = isinstance(node.op, Constant) and not node.op.shape
        given = bool(node.inputs) or numbers
        return plain and given and all(v is None or v.name in self.fixed for v in node.inputs)

    def _is_early(self, node: Node) -> bool:
        """Whether a node makes rows of what is known for all steps, each row for itself."""
        values = [value for value in node.inputs if value is not None]
        op = node.op
        if op.draws or not any(value.name in self.early for value in values):
            return False
        if not all(_is_rows(value.type) for value in node.outputs):
            return False
        rows = [value for value in values if value.name in self.early]
        others = [value for value in values if value.name not in self.early]
        if _is_product(node):
            return rows == values[:1] and all(value.name in self.fixed for value in others)
        if op.broadcasts:
            return all(v.name in self.fixed and v.type.rank < 2 for v in others)
        beside = op.join_axis(2) == 1 or op.split_axis(2) == 1
        return beside and not others

    def _find_mixed(self, node: Node) -> _Mixed | None:
        """A dense layer of slices and states side by side; None for any other node."""
        if not self._is_layer(node) or not isinstance(node.op, Dense):
            return None
        source = node.inputs[0]
        joined = self.makers.get(source.name) if source is not None else None
        if joined is None or joined.op.join_axis(2) != 1 or not isinstance(joined.op, Concat):
            return None
        parts = [value for value in joined.inputs if value is not None]
        known = [value.name in self.early for value in parts]
        count = sum(known)
        if not 0 < count < len(parts) or not all(_is_rows(value.type) for value in parts):
            return None
        if all(known[:count]):
            return _Mixed(node, tuple(parts[:count]), tuple(parts[count:]), first=True)
        if all(known[-count:]):
            return _Mixed(node, tuple(parts[-count:]), tuple(parts[:-count]), first=False)
        return None

    def _find_added(self, node: Node) -> _Added | None:
        """A sum of what is known for all steps and a dense layer of the state."""
        if not isinstance(node.op, Add) or not _is_rows(node.output.type):
            return None
        for base, other in (node.inputs, node.inputs[::-1]):
            assert base is not None, "a sum has two operands"
            assert other is not None, "a sum has two operands"
            layer = self.makers.get(other.name)
            alone = len(self.readers.get(other.name, ())) == 1 and other.name not in self.kept
            fits = base.name in self.early and base.type == other.type == node.output.type
            if layer is not None and alone and fits and self._is_layer(layer):
                return None if other.name in self.found_mixed else _Added(node, layer, base)
        return None

    def _is_layer(self, node: Node) -> bool:
        """Whether a node multiplies rows with what is the same in every step."""
        values = [value for value in node.inputs if value is not None]
        return (
            _is_product(node)
            and all(_is_rows(value.type) for value in (*values[:2], node.output))
            and all(value.name in self.fixed for value in values[1:])
        )

    def _drop_useless(self) -> None:
        """Leaves in the loop what no product before it needs and no product makes."""
        needed: set[str] = set()
        for mixed in self.found_mixed.values():
            needed.update(value.name for value in mixed.early)
        for added in self.found_added.values():
            needed.add(added.base.name)
        products: set[str] = set()
        for node in self.hoisted:
            names = {value.name for value in node.inputs if value is not None}
            if _is_product(node) or names & products:
                products.update(value.name for value in node.outputs)
        kept: list[Node] = []
        for node in reversed(self.hoisted):
            names = {value.name for value in node.outputs}
            if names & (needed | products):
                kept.insert(0, node)
                needed.update(v.name for v in node.inputs if v is not None)
        for node in self.hoisted:
            if node not in kept:
                for value in node.outputs:
                    del self.early[value.name]
        self.hoisted = kept


def _is_product(node: Node) -> bool:
    return isinstance(node.op, Dense | MatMul)


def _is_rows(type: TensorType) -> bool:
    return type.rank == 2 and type.dtype is DType.F32


class _Writer:
    """Writes a loop anew, behind what is computed before it."""

    def __init__(self, rewriter: Rewriter, node: Node, plan: _Plan, *, for_torch: bool) -> None:
        self.rewriter = rewriter
        self.node = replace(node, origin=replace(node.origin, picks=()))
        self.plan = plan
        self.scan = plan.scan
        self.for_torch = for_torch
        outside = [None if v is None else rewriter.current(v) for v in node.inputs]
        sequences = outside[: self.scan.sequences]
        self.states = outside[self.scan.sequences :][: self.scan.states]
        first = self.scan.sequences + self.scan.states
        self.known: dict[str, Value] = {}
        """What stands outside for values of the body: sequences, and what no step changes."""
        for items, values in (
            (self.scan.slices, sequences),
            (self.scan.captured, outside[first:]),
        ):
            for item, value in zip(items, values, strict=True):
                assert value is not None, "a scan has all its inputs"
                self.known[item.name] = value
        self.turned = not for_torch and self.scan.axis == 1
        """Whether steps come first: ONNX's Scan brings them there, of wide products at a price."""
        self.inside: list[Node] = []
        self.bound: dict[str, Value] = {}
        """What the body reads from outside under new names."""
        self.slices: dict[str, Value] = {}
        """Sequences of what is new, by the names of their slices."""

    def write(self) -> None:
        """Adds all nodes."""
        plan = self.plan
        if self.for_torch:
            # All of them, so that modules are made in the order of the spec.
            declare_layers(self.rewriter, self.node, self.scan)
        if self.turned:
            for item in self.scan.slices:
                self.known[item.name] = self._apply(Transpose(0, 1), self.known[item.name])
        early = {id(node) for node in plan.hoisted}
        mixed = {id(group[0].layer): group for group in plan.mixed.values()}
        added = {id(group[0].layer): group for group in plan.added.values()}
        gone = {id(one.layer) for group in plan.mixed.values() for one in group}
        for one in plan.found_added.values():
            gone |= {id(one.layer), id(one.total)}
        for node in self.scan.body.nodes:
            if id(node) in early:
                self._hoist(node)
            elif id(node) in mixed:
                self._write_mixed(mixed[id(node)])
            elif id(node) in added:
                self._write_added(added[id(node)])
            elif id(node) not in gone and not self._is_outside(node):
                self.inside.append(node)
        self._close()

    def _is_outside(self, node: Node) -> bool:
        """Whether a node is the same in every step: what reads it reads it before the loop."""
        return bool(node.inputs) and node.outputs[0].name in self.plan.fixed

    def _hoist(self, node: Node) -> None:
        """A node for the whole sequences, or for what is the same in every step."""
        if node.outputs[0].name in self.known:
            return
        op = node.op
        if node.outputs[0].name in self.plan.early and not op.broadcasts:
            op = op if _is_product(node) else op.act_on_matrix()
        inputs = [None if v is None else self._outside(v) for v in node.inputs]
        if isinstance(op, Dense) and inputs[0] is not None and inputs[1] is not None:
            x = inputs[0]
            self.rewriter.hint_size(inputs[1].name, 1, HintSize(x.name, x.type.rank - 1))
        made = self.rewriter.apply(op, inputs, node, self._find_names(node))
        self.known.update(zip((v.name for v in node.outputs), made, strict=True))

    def _find_names(self, node: Node) -> list[str]:
        """Names of what a node makes before the loop: the author's; an entry of a weight is called
        as that, with its place."""
        wishes = [value.name for value in node.outputs]
        source = node.inputs[0] if node.inputs else None
        if source is not None and isinstance(node.op, Index) and wishes[0].startswith("%"):
            places = [str(item) for item in node.op.items if isinstance(item, int)]
            wishes = ["_".join([source.name.rpartition(".")[2], *places])]
        if any(wish.startswith("%") for wish in wishes):
            return []
        return self.rewriter.free_names(wishes)

    def _outside(self, value: Value) -> Value:
        """What stands for a value of the body before the loop."""
        if value.name not in self.known:
            self._hoist(self.plan.makers[value.name])
        return self.known[value.name]

    def _write_mixed(self, group: Sequence[_Mixed]) -> None:
        """The product of the slices before the loop, that of the states in it."""
        mixed, layer = group[0], group[0].layer
        early = [self._outside(value) for value in mixed.early]
        self._hint_columns([one.layer for one in group], mixed, early)
        weight, *bias = self._join_weights([one.layer for one in group])
        x = early[0] if len(early) == 1 else self._apply(Concat(-1), *early)
        labels = ["input_weight", "state_weight"]
        if not mixed.first:
            labels.reverse()
        parts = self.rewriter.apply(
            SplitColumns("after" if mixed.first else "before"),
            [weight, x],
            self.node,
            self.rewriter.free_names(labels),
        )
        own, other = parts if mixed.first else parts[::-1]
        width = weight.type.shape[0].known
        assert width is not None, "sizes of weights are known"
        total = self._apply(Dense(width, bool(bias)), x, own, *bias)
        late = mixed.late[0]
        if len(mixed.late) > 1:
            late = self._join_inside(mixed.late, layer)
        self._add_product([one.layer for one in group], total, late, self._turn(other))

    def _hint_columns(self, layers: Sequence[Node], mixed: _Mixed, early: Sequence[Value]) -> None:
        """A weight has as many columns as what stood side by side where its layer saw it, which
        is taken apart."""
        sizes = [HintSize(value.name, value.type.rank - 1) for value in early]
        late = [HintSize(value.name, value.type.rank - 1) for value in mixed.late]
        parts: list[Hint] = [*sizes, *late] if mixed.first else [*late, *sizes]
        columns = reduce(partial(HintBinary, "+"), parts)
        for layer in layers:
            weight = layer.inputs[1]
            assert weight is not None, "a dense layer has a weight"
            self.rewriter.hint_size(self._outside(weight).name, 1, columns)

    def _write_added(self, group: Sequence[_Added]) -> None:
        """A product of the state on what is known, with its own numbers in that."""
        bases: list[Value] = []
        weights: list[Value] = []
        for one in group:
            _, weight, *bias = (v for v in one.layer.inputs if v is not None)
            base = self._outside(one.base)
            for value in bias:
                base = self._apply(Add(), base, self._outside(value))
            bases.append(base)
            weights.append(self._outside(weight))
        x = group[0].layer.inputs[0]
        assert x is not None, "a dense layer has an operand"
        base, weight = bases[0], weights[0]
        if len(group) > 1:
            axis = int(isinstance(group[0].layer.op, MatMul))
            base, weight = self._apply(Concat(-1), *bases), self._apply(Concat(axis), *weights)
        if isinstance(group[0].layer.op, Dense):
            weight = self._turn(weight)
        self._add_product([one.total for one in group], base, x, weight)

    def _turn(self, weight: Value) -> Value:
        """The weight of a dense layer as the factor on the right of its operand."""
        names = self.rewriter.free_names(["state_weight"])
        (made,) = self.rewriter.apply(Transpose(0, 1), [weight], self.node, names)
        return made

    def _join_weights(self, layers: Sequence[Node]) -> list[Value]:
        """The weights of several layers as those of one."""
        rows = [[self._outside(v) for v in layer.inputs[1:] if v is not None] for layer in layers]
        if len(layers) == 1:
            return rows[0]
        return [self._apply(Concat(0), *parts) for parts in zip(*rows, strict=True)]

    def _join_inside(self, parts: Sequence[Value], like: Node) -> Value:
        width = sum((part.type.shape[1] for part in parts), start=parts[0].type.shape[1] * 0)
        row = TensorType(parts[0].type.dtype, (parts[0].type.shape[0], width))
        joined = Value(self._free_inside("%joined"), row)
        origin = replace(like.origin, name="", hints=(), label=None, picks=())
        self.inside.append(Node(Concat(-1), tuple(parts), (joined,), like.scope, origin))
        return joined

    def _add_product(self, replaced: Sequence[Node], base: Value, x: Value, weight: Value) -> None:
        """`base_t + x @ weight` in the loop: the results of some nodes side by side."""
        like = replaced[0]
        rows = (like.output.type.shape[0], base.type.shape[-1])
        piece = Value(self._free_inside("%mixed"), TensorType(base.type.dtype, rows))
        self.slices[piece.name] = base
        factor = Value(self._free_inside(weight.name), weight.type)
        self.bound[factor.name] = weight
        origin = replace(like.origin, name="", hints=(), label=None, picks=())
        results = tuple(node.output for node in replaced)
        whole = results[0]
        if len(results) > 1:
            whole = Value(self._free_inside("%gates"), piece.type)
        product = Node(Addmm(), (piece, x, factor), (whole,), like.scope, origin)
        self.inside.append(product)
        if len(results) > 1:
            apart = Node(Chunk(len(results), -1), (whole,), results, like.scope, origin)
            self.inside.append(apart)

    def _apply(self, op: Op, *values: Value) -> Value:
        (made,) = self.rewriter.apply(op, values, self.node)
        return made

    def _free_inside(self, wish: str) -> str:
        taken = {*self.plan.makers, *self.slices, *(i.name for i in self.scan.body.inputs)}
        taken.update(node.outputs[0].name for node in self.inside)
        return free_name(wish, {*taken, *self.bound}, ".")

    # --- the loop -------------------------------------------------------------------------------

    def _close(self) -> None:
        """The loop with what is left of its body."""
        scan = self.scan
        nodes = self._list_live()
        made = {value.name for node in nodes for value in node.outputs}
        read = {v.name: v for node in nodes for v in node.inputs if v is not None}
        read.update((output.value.name, output.value) for output in scan.body.outputs)
        carried = {item.name for item in scan.carried}
        counter = [scan.counter] if scan.counter is not None else []
        own = carried | {item.name for item in counter}
        slices: list[Input] = []
        sequences: list[Value] = []
        captured: list[Input] = []
        outside: list[Value] = []
        old = {item.name: item for item in (*scan.slices, *scan.captured)}
        plain = {item.name for item in scan.captured}
        for name, value in read.items():
            if name in made or name in own:
                continue
            sequence = self.slices.get(name)
            if sequence is None and name not in plain and name in self.plan.early:
                sequence = self.known[name]
            if sequence is None and name in old and name not in plain:
                sequence = self.known[name]
            if sequence is not None:
                slices.append(old.get(name, Input(value)))
                sequences.append(sequence)
            else:
                captured.append(old.get(name, Input(value)))
                outside.append(self.bound[name] if name in self.bound else self._outside(value))
        inputs = (*counter, *slices, *scan.carried, *captured)
        body = replace(scan.body, inputs=inputs, nodes=nodes)
        op = replace(scan, body=body, sequences=len(slices))
        if self.turned:
            op = replace(op, axis=0)
        states = [value for value in self.states if value is not None]
        names = [value.name for value in self.node.outputs]
        self.rewriter.apply(op, [*sequences, *states, *outside], self.node, names)

    def _list_live(self) -> tuple[Node, ...]:
        """The nodes of the body that something reads."""
        needed = {output.value.name for output in self.scan.body.outputs}
        kept: list[Node] = []
        for node in reversed(self.inside):
            if any(value.name in needed for value in node.outputs):
                kept.append(node)
                needed.update(value.name for value in node.inputs if value is not None)
        return tuple(reversed(kept))
