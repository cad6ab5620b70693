"""The children of a frame as items: nodes, calls of classes, and declarations of parameters."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from backends.pytorch.classes.calls import Call, NetCall, TurnCall
from backends.pytorch.classes.contract import contract, contract_whole
from backends.pytorch.classes.explained import Class
from backends.pytorch.classes.meeting import check_loops
from backends.pytorch.classes.moved_hints import find_tensor_size, lift_hint, translate_hint
from backends.pytorch.classes.repeats import (
    find_loop_slots,
    join_container,
    make_loop_item,
)
from backends.pytorch.fold.holders import HELD
from backends.pytorch.fold.index import Index, needs_device, owns, relative_path
from backends.pytorch.fold.items import Body, FromFormal, FromItem, FromOwn, Item, Ref
from backends.pytorch.fold.spelled import Spelled, unmark
from backends.pytorch.fold.turns import (
    LoopFrame,
    TurnFrame,
    find_owner,
    own_names,
    write_slot,
)
from backends.pytorch.terms.naming import MARK
from backends.pytorch.terms.terms import (
    UNREAD,
    Form,
    Hole,
    Operand,
    Part,
    Tree,
    call,
    holes,
    name,
    read_term,
    rebuild,
    skeleton,
)
from compiler.ir.frame import Frame
from compiler.ir.graph import Node, Parameter
from compiler.ir.hint import (
    Hint,
    HintConst,
    HintName,
    may_be_whole,
    name_sizes,
    rename_hint,
)
from compiler.ops.choosing import torch_dtype
from compiler.types.tensor import DType
from compiler.vocabulary.initializers import Initializer
from compiler.vocabulary.spelling import Own
from compiler.writing.names import free_name
from compiler.writing.python import CodeName


class BodyMaker:
    """Makes the bodies of one graph's frames."""

    def __init__(
        self,
        index: Index,
        calls: Mapping[Frame, Call],
        turns: Mapping[Frame, TurnCall],
        nets: Mapping[Frame, NetCall],
    ) -> None:
        self.index = index
        self.calls = calls
        self.turns = turns
        self.nets = nets

    def make(self, frame: Frame) -> Body:
        """The body of a frame whose inner frames have their classes already."""
        index = self.index
        formals, results = index.formals(frame), index.results(frame)
        check_loops(index, frame)
        items: list[Item] = []
        if frame is index.root:
            held = index.held.items()
            items += (Item("", None, tree, (), (value,), op=HELD) for value, tree in held)
        taken = _Slots(frame, index)
        for child in index.orders[frame]:
            if isinstance(child, Spelled):
                items.append(self._node_item(frame, child, taken, formals))
            elif isinstance(child, LoopFrame):
                items.append(make_loop_item(index, frame, child, self.turns))
            elif child in self.nets:
                items.append(self._net_item(self.nets[child]))
            else:
                items.append(self._call_item(frame, child))
        items = join_container(items)
        is_turn = isinstance(frame, TurnFrame)
        bare = () if is_turn else index.bare.get(frame.path, ())
        declared = [self._declare(frame, p) for p in bare]
        slots = [item.slot for item in declared] + [s for i in items for s in find_loop_slots(i)]
        inside = own_names(frame) if is_turn else None
        items = declared + contract(items, results, index.types, slots, inside)
        if frame is not index.root and not is_turn:
            items = contract_whole(items, formals, results, index.types)
        body = Body(index, frame, _share_equal(items, results), formals, results)
        _resolve(body)
        return body

    # --- items ------------------------------------------------------------------------------

    def _node_item(self, frame: Frame, node: Spelled, taken: _Slots, formals: list[str]) -> Item:
        # hints speak the language of the frame they stand in
        owner = find_owner(frame)
        home = node.scope is owner
        values = self.index.values(node)
        slot = ""
        if node.constructor is not None:
            slot = self._slot(frame, node) if node.slot else taken.invent(node)
        expression, reads = node.expression, node.reads
        if needs_device(node):
            expression, reads = self._find_device(frame, node, formals)
        trees = [node.constructor, expression, node.module, *self._starts(node)]
        sizes = self._find_sizes(frame, formals)

        def read(hint: Hint) -> Hint | None:
            return _rename(hint, values, sizes) if home else self._move(hint, node.scope, frame)

        constructor, expression_, module, *starts = (_localize(t, slot, read) for t in trees)
        guard = node.origin.guard
        if constructor is not None and not node.owned and not node.slot:
            module = constructor
        return Item(
            slot,
            constructor,
            expression_,
            reads,
            node.outputs,
            rename_hint(guard, values) if home and guard is not None else None,
            module,
            tuple(s for s in starts if s is not None),
            node.op,
            node.scan,
            node.nodes,
            _localize(node.general, slot, read),
        )

    def _starts(self, node: Spelled) -> list[Part]:
        """Statements for weights that do not start as PyTorch's module starts them."""
        if not node.owned or not isinstance(node.node, Node):
            return []
        op = node.node.op
        operands = node.node.inputs[: len(op.operands)]
        types = [v.type if v is not None else None for v in operands]
        usual = {w.name: w.initializer for w in op.weights(types)}
        starts = []
        for path in node.owned:
            label = path.rpartition(".")[2]
            parameter = self.index.graph.parameter[path]
            initializer, hints = parameter.initializer, dict(parameter.hints)
            if (
                label in usual
                and initializer != usual[label]
                and path not in self.index.graph.constants
            ):
                starts += [read_term(term, hints) for term in initializer.torch(Own(label))]
        return starts

    def _find_device(
        self, frame: Frame, node: Spelled, formals: list[str]
    ) -> tuple[Part, tuple[str, ...]]:
        """The expression with the device of a tensor in scope: an input of the frame or a
        weight of it, else the node's own operand."""
        own = (
            path
            for child in self.index.children[frame]
            if isinstance(child, Spelled)
            for path in child.owned
        )
        source = next(iter(formals), None) or next(iter(node.reads), None) or next(own, None)
        if source is None:  # a function of nothing: on the CPU
            return rebuild(node.expression, _leave_device_out), node.reads
        reads = node.reads if source in node.reads else (*node.reads, source)
        place = reads.index(source)
        device = Tree(Form.ATTRIBUTE, "device", (Operand(place),))

        def fill(part: Part) -> Part:
            return device if isinstance(part, Tree) and part.form is Form.DEVICE else part

        return rebuild(node.expression, fill), reads

    def _call_item(self, frame: Frame, inner: Frame) -> Item:
        place = self.calls[inner]
        target, number = place.target, place.instance
        written = self._find_written(frame, inner, target)
        hidden = {s.name for s in target.names.found.values() if s.hidden}
        ignored = tuple(h for n, h in written.items() if n in hidden and h is not None)
        nodes = self.index.nodes_under(inner)
        settings = [s for s in target.settings if not s.runtime]
        outward = {
            width.name: ("out", *ends)
            for ends, width in target.widths.items()
            if isinstance(width, HintName)
        }
        holes = tuple(
            Hole(
                setting.argument(number),
                setting.name,
                setting.default,
                written.get(setting.name, _name_layer(setting.argument(number))),
                ("in", *setting.dim) if setting.dim else outward.get(setting.name),
            )
            for setting in settings
        )
        keys = tuple(s.name for s in settings)
        reads = tuple(target.formal_value(p, number) for p in range(len(target.places)))
        outputs = tuple(target.value(ref, number) for ref in target.outputs)
        inputs = tuple(map(Operand, range(len(reads))))
        guard = None
        if inner.parent is find_owner(frame) and inner.guard is not None:
            sizes = self._find_sizes(frame, self.index.formals(frame))
            guard = _rename(inner.guard, self.index.values(inner), sizes)
        if target.is_function:
            made = Tree(Form.BUILD, "", (*inputs, *holes), keys, target)
            return Item(
                "", None, made, reads, outputs, guard, op="call", nodes=nodes, ignored=ignored
            )
        slot = self._slot(frame, inner)
        constructor = Tree(Form.BUILD, "", holes, keys, target)
        expression = Tree(Form.CALL, "", (Tree(Form.OWN, slot), *inputs))
        item = Item(slot, constructor, expression, reads, outputs, guard, op="call", nodes=nodes)
        return replace(item, ignored=ignored)

    def _find_written(self, frame: Frame, inner: Frame, target: Class) -> dict[str, Hint | None]:
        """What the author wrote for the arguments of a call, in the names of the body that it
        stands in; for a size that the call is given no tensor for, that of the caller's tensor."""
        owner, parent = find_owner(frame), inner.parent
        if parent is None:
            return {}
        values = self.index.values(inner)
        sizes = self._find_sizes(frame, self.index.formals(frame))
        plain = {s.name for s in target.settings if s.dim is None}
        tensors = dict(inner.tensors)
        passed = {
            a.name: a.hint or (find_tensor_size(a, tensors) if a.name in plain else None)
            for a in inner.arguments
        }
        return {
            name: _rename(hint, values, sizes)
            if parent is owner
            else self._move(hint, parent, frame)
            for name, hint in passed.items()
            if hint is not None
        }

    def _move(self, hint: Hint, inner: Frame, frame: Frame) -> Hint | None:
        """A hint of a block that prints inside a body, in the names of the body; where it has no
        words for all of it, which names it follows."""
        owner = find_owner(frame)
        moved = translate_hint(hint, inner, owner)
        if moved is None:
            return lift_hint(hint, inner, owner)
        while inner.parent is not None and inner.parent is not owner:
            inner = inner.parent
        sizes = self._find_sizes(frame, self.index.formals(frame))
        return _rename(moved, self.index.values(inner), sizes)

    def _slot(self, frame: Frame, child: Spelled | Frame) -> str:
        """The path of a module below the call that a frame is in, in the names of its loops."""
        owner = find_owner(frame)
        path = child.slot if isinstance(child, Spelled) else child.path
        if owner is not frame:
            scope = child.scope if isinstance(child, Spelled) else child
            parts: list[tuple[str, Hint | None]] = []
            here: Frame | None = scope
            while here is not None and here is not owner:
                assert here.parent is not None
                label = here.label
                if label is not None:
                    label = rename_hint(label, self.index.turns.values(here.turns))
                parts.insert(0, (relative_path(here.parent, here.path), label))
                here = here.parent
            if isinstance(child, Spelled):
                origin = child.origin
                label = origin.label
                if label is not None:
                    label = rename_hint(label, self.index.turns.values(origin.turns))
                parts.append((origin.name, label))
            values = {a.name: a.value for a in frame.arguments}
            written = write_slot(frame, [p for p in parts if p[0]], values)
            if written is not None:
                return written
        return relative_path(owner, path)

    def _find_sizes(self, frame: Frame, formals: list[str]) -> dict[str, int]:
        """Where a frame's formals stand, by the names of their values: sizes of them are written
        by these numbers until the formals have names."""
        return {unmark(name): place for place, name in enumerate(formals)}

    def _net_item(self, net: NetCall) -> Item:
        inputs = tuple(map(Operand, range(len(net.formals))))
        expression = Tree(Form.CALL, "", (name(net.variable), *inputs))
        outputs = tuple(r or "" for r in net.results)
        return Item("", None, expression, net.formals, outputs, op="net")

    # --- declarations -----------------------------------------------------------------------

    def _declare(self, frame: Frame, parameter: Parameter) -> Item:
        slot = relative_path(frame, parameter.path)
        shape = parameter.value.type.known_shape
        assert shape is not None, f"{parameter.path} has an unknown shape"
        places = self._find_sizes(frame, self.index.formals(frame))
        inner = self.index.find_declarer(parameter.path)
        hints = {
            key: moved
            for key, hint in parameter.hints
            if (
                moved := name_sizes(hint, places)
                if inner in (None, frame)
                else self._move(hint, inner, frame)
            )
            is not None
        }
        unread = parameter.path in self.index.unread
        sizes = [
            Hole(
                size,
                f"{slot.rpartition('.')[2]}_{axis}",
                hint=hints.get(str(axis)),
                dim=(UNREAD, 0, axis) if unread else None,
            )
            for axis, size in enumerate(shape)
        ]
        filled, starts = self._fill(parameter, sizes, hints)
        head = "nn.Parameter" if parameter.trainable else "register_buffer"
        starts = [s for one in starts if (s := _localize(one, slot, lambda hint: hint)) is not None]
        return Item(slot, call(head, filled), None, starts=tuple(starts), op="declare")

    def _fill(
        self, parameter: Parameter, sizes: list[Hole], hints: Mapping[str, Hint]
    ) -> tuple[Tree, list[Part]]:
        """`torch.zeros(8, 16)`, and the statements that fill what zeros and ones do not."""
        starts: list[Part] = []
        initializer = parameter.initializer
        dtype = parameter.value.type.dtype
        given = _write_numbers(initializer, sizes, hints.get("value"), dtype)
        if initializer.maker:
            made = initializer.maker
        elif given is not None:
            made = ""
        elif parameter.path in self.index.graph.constants:
            made = "torch.empty"  # a pass has computed its numbers: they are loaded
        else:
            made = "torch.empty"
            starts = [read_term(initializer.spell(Own()), hints)]
        fills = isinstance(initializer.given, int | float)
        whole = fills and may_be_whole(hints.get("value"))
        plain = dtype is DType.F32 and not whole
        keys = {} if plain else {"dtype": name(torch_dtype(dtype).text)}
        if given is not None:
            return replace(given, parts=(*given.parts, *keys.values()), keys=tuple(keys)), starts
        if not sizes:  # a scalar: `torch.zeros(())`
            return call(made, Tree(Form.TUPLE), keys=keys), starts
        return call(made, *sizes, keys=keys), starts


def _leave_device_out(part: Part) -> Part:
    """A call without the argument that says on which device."""
    if not isinstance(part, Tree) or part.form not in (Form.CALL, Form.METHOD):
        return part
    first = len(part.parts) - len(part.keys)
    named = zip(part.keys, part.parts[first:], strict=True)
    kept = [(k, p) for k, p in named if not (isinstance(p, Tree) and p.form is Form.DEVICE)]
    parts = (*part.parts[:first], *(p for _, p in kept))
    return replace(part, parts=parts, keys=tuple(k for k, _ in kept))


def _name_layer(value: object) -> Hint | None:
    """What stands for a layer that a call names itself, and no argument around it brought."""
    return HintConst(value) if isinstance(value, CodeName) else None


def _write_numbers(
    initializer: Initializer, sizes: list[Hole], written: Hint | None, dtype: DType
) -> Tree | None:
    """`torch.tensor([0.1, 0.2])` or `torch.full((8,), 0.1)` for numbers that the spec gives."""

    def spell(number: float) -> float:
        """`5` and not `5.0` of whole numbers, as Python has it."""
        return number if dtype.is_float else dtype.numpy.type(number).item()

    match initializer.given:
        case tuple() as numbers if len(sizes) <= 1:
            items = tuple(Hole(spell(number), "value") for number in numbers)
            return call("torch.tensor", Tree(Form.LIST, "", items) if sizes else items[0])
        case None | tuple():
            return None
        case value if sizes:
            return call(
                "torch.full",
                Tree(Form.TUPLE, "", tuple(sizes)),
                Hole(spell(value), "value", hint=written),
            )
        case value:
            return call("torch.tensor", Hole(spell(value), "value", hint=written))


def _rename(hint: Hint, values: Mapping[str, Hint], sizes: Mapping[str, int]) -> Hint:
    """A hint without the names of unrolled loops, and with sizes of formals by their places."""
    return name_sizes(rename_hint(hint, values) if values else hint, sizes)


def _localize(part: Part | None, slot: str, read: Callable[[Hint], Hint | None]) -> Part | None:
    """A tree with `OWN` under the frame's class, and what is left there of hints."""

    def change(item: Part) -> Part:
        if isinstance(item, Tree) and item.form is Form.OWN:
            return replace(item, label=".".join(p for p in (slot, item.label) if p))
        if isinstance(item, Hole) and item.hint is not None:
            return replace(item, hint=read(item.hint))
        return item

    return None if part is None else rebuild(part, change)


class _Slots:
    """Names for modules without weights and without a name of their own: `dropout`."""

    def __init__(self, frame: Frame, index: Index) -> None:
        self.frame = frame
        self.index = index
        self.taken: set[str] | None = None

    def invent(self, node: Spelled) -> str:
        """A name that no module or parameter of the frame has."""
        if self.taken is None:
            paths = [p.path for p in self.index.graph.parameters if owns(self.frame, p.path)]
            inside = self.index.children[find_owner(self.frame)]
            paths += [c.path if isinstance(c, Frame) else c.slot for c in inside]
            self.taken = {relative_path(self.frame, p).partition(".")[0] for p in paths}
        slot = free_name(node.op, self.taken, "_")
        self.taken.add(slot)
        return slot


def _share_equal(items: list[Item], results: list[str]) -> list[Item]:
    """Items without those that compute again what another has computed, by the same words."""
    known: dict[object, Item] = {}
    instead: dict[str, str] = {}
    kept: list[Item] = []
    for item in items:
        if any(value in instead for value in item.reads):
            item = replace(item, reads=tuple(instead.get(v, v) for v in item.reads))
        expression = item.expression
        plain = not item.slot and item.constructor is None and item.scan is None
        draws = any(node.op.draws for node in item.nodes)
        cheap = not isinstance(expression, Tree) or expression.form is Form.INDEX
        cheap = cheap or any(node.op.fills for node in item.nodes)
        if plain and item.outputs and len(item.nodes) == 1 and not (draws or cheap):
            assert expression is not None
            loop = item.outputs[0].partition(MARK)[2]
            leaves = tuple((repr(h.value), h.hint) for h in holes(expression))
            key = (skeleton(expression), leaves, item.reads, item.guard, loop)
            first = known.setdefault(key, item)
            if first is not item and not set(item.outputs) & set(results):
                instead.update(zip(item.outputs, first.outputs, strict=True))
                continue
        kept.append(item)
    return kept


def _resolve(body: Body) -> None:
    """Turns names of values into references."""
    parameters = body.index.graph.parameter
    where: dict[str, Ref] = {n: FromFormal(place) for place, n in enumerate(body.formals)}
    for place, item in enumerate(body.items):
        for output, value in enumerate(item.outputs):
            where[value] = FromItem(place, output)

    def find(value: str) -> Ref:
        if value in parameters and body.index.owns(body.frame, value):
            return FromOwn(relative_path(body.frame, value))
        return where[value]

    for item in body.items:
        item.refs = [find(value) for value in item.reads]
    body.outputs = [find(value) for value in body.results]
