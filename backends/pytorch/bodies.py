"""The children of a frame as items: nodes, calls of classes, and declarations of parameters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from backends.pytorch.contract import contract, contract_whole
from backends.pytorch.holders import HELD
from backends.pytorch.index import Index, needs_device, owns, relative_path
from backends.pytorch.items import Body, FromFormal, FromItem, FromOwn, Item, Ref
from backends.pytorch.merged import Class
from backends.pytorch.spelled import Spelled
from backends.pytorch.terms import Form, Hole, Operand, Part, Tree, call, name, read_term, rebuild
from compiler.initializers import Constant, Initializer, Values
from compiler.ir.graph import Frame, Parameter
from compiler.ir.hint import HintName
from compiler.ops.choosing import torch_dtype
from compiler.ops.scan import Scan
from compiler.ops.spelling import Own
from compiler.tensor import DType


@dataclass(frozen=True)
class Call:
    """Where a frame's code is: its class, and which instance of it."""

    target: Class
    instance: int


@dataclass(frozen=True)
class NetCall:
    """A call of a module that is made elsewhere: the variable that holds it, and the names of
    the values it returns (None for one that nothing reads)."""

    variable: str
    formals: tuple[str, ...]
    results: tuple[str | None, ...]


class BodyMaker:
    """Makes the bodies of one graph's frames."""

    def __init__(
        self, index: Index, calls: Mapping[Frame, Call], nets: Mapping[Frame, NetCall]
    ) -> None:
        self.index = index
        self.calls = calls
        self.nets = nets

    def make(self, frame: Frame) -> Body:
        """The body of a frame whose inner frames have their classes already."""
        index = self.index
        formals, results = index.formals(frame), index.results(frame)
        items: list[Item] = []
        if frame is index.root:
            held = index.held.items()
            items += (Item("", None, tree, (), (value,), op=HELD) for value, tree in held)
        taken = _Slots(frame, index)
        for child in index.orders[frame]:
            if isinstance(child, Spelled):
                items.append(self._node_item(frame, child, taken, formals))
            elif child in self.nets:
                items.append(self._net_item(self.nets[child]))
            else:
                items.append(self._call_item(frame, child))
        declared = [self._declare(frame, p) for p in index.bare.get(frame.path, ())]
        slots = [item.slot for item in declared]
        items = declared + contract(items, results, index.types, slots)
        if frame is not index.root:
            items = contract_whole(items, formals, results, index.types)
        body = Body(index, frame, items, formals, results)
        _resolve(body)
        return body

    # --- items ------------------------------------------------------------------------------

    def _node_item(self, frame: Frame, node: Spelled, taken: _Slots, formals: list[str]) -> Item:
        home = node.scope is frame  # hints speak the language of the frame they stand in
        slot = ""
        if node.constructor is not None:
            slot = relative_path(frame, node.slot) if node.slot else taken.invent(node)
        expression, reads = node.expression, node.reads
        if needs_device(node):
            expression, reads = self._find_device(frame, node, formals)
        trees = [node.constructor, expression, node.module, *self._starts(node)]
        constructor, expression_, module, *starts = (_localize(t, slot, home) for t in trees)
        if constructor is not None and not node.owned and not node.slot:
            module = constructor
        return Item(
            slot,
            constructor,
            expression_,
            reads,
            node.outputs,
            node.node.origin.guard if home else None,
            module,
            tuple(s for s in starts if s is not None),
            node.node.op.name,
            node.node.op if isinstance(node.node.op, Scan) else None,
        )

    def _starts(self, node: Spelled) -> list[Part]:
        """Statements for weights that do not start as PyTorch's module starts them."""
        if not node.owned:
            return []
        op = node.node.op
        operands = node.node.inputs[: len(op.operands)]
        types = [v.type if v is not None else None for v in operands]
        usual = {w.name: w.initializer for w in op.weights(types)}
        starts = []
        for path in node.owned:
            label = path.rpartition(".")[2]
            initializer = self.index.graph.parameter[path].initializer
            if (
                label in usual
                and initializer != usual[label]
                and path not in self.index.graph.constants
            ):
                term = initializer.torch(Own(label))
                starts += [] if term is None else [read_term(term, {})]
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
        source = next(iter(formals), None) or next(iter(node.reads), None) or next(own)
        reads = node.reads if source in node.reads else (*node.reads, source)
        place = reads.index(source)
        device = Tree(Form.ATTRIBUTE, "device", (Operand(place),))

        def fill(part: Part) -> Part:
            return device if isinstance(part, Tree) and part.form is Form.DEVICE else part

        return rebuild(node.expression, fill), reads

    def _call_item(self, frame: Frame, inner: Frame) -> Item:
        place = self.calls[inner]
        target, number = place.target, place.instance
        written = {a.name: a.hint for a in inner.arguments} if inner.parent is frame else {}
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
                written.get(setting.name),
                ("in", *setting.dim) if setting.dim else outward.get(setting.name),
            )
            for setting in settings
        )
        keys = tuple(s.name for s in settings)
        reads = tuple(target.formal_value(p, number) for p in range(len(target.places)))
        outputs = tuple(target.value(ref, number) for ref in target.outputs)
        inputs = tuple(map(Operand, range(len(reads))))
        guard = inner.guard if inner.parent is frame else None
        if target.is_function:
            made = Tree(Form.BUILD, "", (*inputs, *holes), keys, target)
            return Item("", None, made, reads, outputs, guard, op="call")
        slot = relative_path(frame, inner.path)
        constructor = Tree(Form.BUILD, "", holes, keys, target)
        expression = Tree(Form.CALL, "", (Tree(Form.OWN, slot), *inputs))
        return Item(slot, constructor, expression, reads, outputs, guard, op="call")

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
        hints = dict(parameter.hints)
        sizes = [
            Hole(size, f"{slot.rpartition('.')[2]}_{axis}", hint=hints.get(str(axis)))
            for axis, size in enumerate(shape)
        ]
        filled, starts = self._fill(parameter, sizes)
        head = "nn.Parameter" if parameter.trainable else "register_buffer"
        starts = [s for one in starts if (s := _localize(one, slot, True)) is not None]
        return Item(slot, call(head, filled), None, starts=tuple(starts), op="declare")

    def _fill(self, parameter: Parameter, sizes: list[Hole]) -> tuple[Tree, list[Part]]:
        """`torch.zeros(8, 16)`, and the statements that fill what zeros and ones do not."""
        starts: list[Part] = []
        initializer = parameter.initializer
        given = _write_numbers(initializer, sizes)
        if initializer.name in ("zeros", "ones"):
            made = f"torch.{initializer.name}"
        elif given is not None:
            made = ""
        elif parameter.path in self.index.graph.constants:
            made = "torch.empty"  # a pass has computed its numbers: they are loaded
        else:
            made = "torch.empty"
            starts = [read_term(initializer.spell(Own()), {})]
        dtype = parameter.value.type.dtype
        keys = {} if dtype is DType.F32 else {"dtype": name(torch_dtype(dtype).text)}
        if given is not None:
            return replace(given, parts=(*given.parts, *keys.values()), keys=tuple(keys)), starts
        if not sizes:  # a scalar: `torch.zeros(())`
            return call(made, Tree(Form.TUPLE), keys=keys), starts
        return call(made, *sizes, keys=keys), starts


def _write_numbers(initializer: Initializer, sizes: list[Hole]) -> Tree | None:
    """`torch.tensor([0.1, 0.2])` or `torch.full((8,), 0.1)` for numbers that the spec gives."""
    match initializer:
        case Values(numbers) if len(sizes) <= 1:
            items = tuple(Hole(number, "value") for number in numbers)
            return call("torch.tensor", Tree(Form.LIST, "", items) if sizes else items[0])
        case Constant(value) if sizes:
            return call("torch.full", Tree(Form.TUPLE, "", tuple(sizes)), Hole(value, "value"))
        case Constant(value):
            return call("torch.tensor", Hole(value, "value"))
    return None


def _localize(part: Part | None, slot: str, home: bool) -> Part | None:
    """A tree with `OWN` under the frame's class; hints of other frames are dropped."""

    def change(item: Part) -> Part:
        if isinstance(item, Tree) and item.form is Form.OWN:
            return replace(item, label=".".join(p for p in (slot, item.label) if p))
        if isinstance(item, Hole) and not home and item.hint is not None:
            return replace(item, hint=None)
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
            paths += [
                c.path if isinstance(c, Frame) else c.slot for c in self.index.children[self.frame]
            ]
            self.taken = {relative_path(self.frame, p).partition(".")[0] for p in paths}
        base = slot = node.node.op.name
        count = 2
        while slot in self.taken:
            slot, count = f"{base}_{count}", count + 1
        self.taken.add(slot)
        return slot


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
