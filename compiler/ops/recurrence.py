"""What recurrent layers share: a cell goes over the places of a sequence, in layers and both
directions."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np

from compiler.ir.coupling import Coupling, Reading
from compiler.ir.domain import Domain
from compiler.ir.graph import Node
from compiler.ir.inputs import NodeInput, OnnxInput
from compiler.ir.onnx_builder import OnnxBuilder, Values
from compiler.ir.operands import Array, Arrays, Assume, Results, Types, Weight
from compiler.ops.axes import need_float, operand_type
from compiler.ops.layers import (
    need_known,
    need_least,
    need_rate,
    need_weights,
    refuse_option,
    widen,
)
from compiler.ops.magnitudes import grow
from compiler.ops.modules import Modular, input_type
from compiler.records import dataclass
from compiler.report.diagnostics import Fault
from compiler.report.messages.recurrent import sequence_does_not_fit
from compiler.types.dims import Dim, equal
from compiler.types.tensor import DType, TensorType
from compiler.vocabulary.initializers.modules import ModuleUniform
from compiler.vocabulary.signature import Operand
from compiler.vocabulary.spelling import Call, In, Index, Leaf, Method, Name, Own, Spelling, Term
from compiler.vocabulary.spelling import Sequence as Items

State = tuple[Array, ...]
X, LENGTHS, START = 0, 1, 2
"""Places of the operands: the sequence, its lengths, and the first of the initial states."""


PEEPHOLE_ORDER = (0, 2, 1)
"""The gates that see the cell as ONNX orders them: input, output, forget."""
_START = {
    "weight_ih": "init",
    "weight_hh": "recurrent_init",
    "weight_ch": "peephole_init",
    "bias_ih": "bias_init",
    "bias_hh": "bias_init",
}
"""The argument of a call that says how a weight starts, by the beginning of its name."""
_SIGNATURE = ("num_layers", "bias", "batch_first", "dropout", "bidirectional", "nonlinearity")
"""The options of PyTorch's modules, in their order."""


@dataclass(frozen=True)
class Recurrent(Modular):
    """Base of recurrent layers. Of a sequence `[n, t, d]` each layer makes one `[n, t, hidden]`, or
    both directions beside each other; its weights are those of PyTorch's module."""

    keeps_f32 = True
    axis_by_axis = True
    gates: ClassVar[int]
    """Rows of `hidden` in each weight."""
    order: ClassVar[tuple[int, ...]]
    """The gates as ONNX orders them, by their places in PyTorch's weights."""
    onnx_type: ClassVar[str]
    torch_sizes: ClassVar[Mapping[str, int]] = {"input_size": 2}
    torch_widths: ClassVar[Mapping[str, int]] = {"hidden": 2}
    torch_roles: ClassVar[Mapping[str, str]] = {"hidden": "hidden_size", "layers": "num_layers"}
    torch_keywords: ClassVar[Mapping[str, str]] = {"layers": "num_layers", "act": "nonlinearity"}
    state_names: ClassVar[tuple[str, ...]]
    hidden: int
    layers: int = 1
    bidirectional: bool = False
    bias: bool = True
    states: bool = False
    dropout: float = 0.0

    @abstractmethod
    def step(self, mixed: Array, state: State, bias: Array, *weights: Array) -> State:
        """The states behind one place: from the input times its weights `[n, gates * hidden]`, the
        states before it, and the bias and weights of the feedback. The first is the output."""

    @property
    @abstractmethod
    def function_name(self) -> str:
        """PyTorch's function, under `torch`; or that of a layer which PyTorch lacks."""

    def onnx_attributes(self) -> dict[str, object]:
        """Attributes of ONNX's operator, besides those that all have."""
        return {}

    def write_feedback(self, build: OnnxBuilder, weight: Any, dtype: DType) -> Any:
        """The weight of the feedback as ONNX's operator takes it, before its gates are ordered."""
        return weight

    @property
    def own_class(self) -> str:
        """The class that generated code brings along for a layer that PyTorch lacks."""
        return ""

    @property
    def draws(self) -> bool:
        return self.dropout > 0

    @property
    def directions(self) -> int:
        """How often each layer goes over the sequence."""
        return 2 if self.bidirectional else 1

    @property
    def passes(self) -> Iterator[tuple[int, bool, str]]:
        """The layer, whether it goes backwards, and the suffix of its weights, in order."""
        for layer in range(self.layers):
            for reverse in range(self.directions):
                yield layer, bool(reverse), f"l{layer}{'_reverse' if reverse else ''}"

    @property
    def names(self) -> tuple[str, ...]:
        """The weights of one pass: of the input, those of the feedback, and the biases."""
        weights = ("weight_ih", *self.fed_names)
        return (*weights, "bias_ih", "bias_hh") if self.bias else weights

    @property
    def fed_names(self) -> tuple[str, ...]:
        """The weights of the feedback."""
        return ("weight_hh",)

    def find_shape(self, name: str, width: int) -> tuple[int, ...]:
        """The shape of a weight of a pass over `width` features."""
        rows = self.gates * self.hidden
        return {"weight_ih": (rows, width), "weight_hh": (rows, self.hidden)}.get(name, (rows,))

    def weights(self, operands: Types) -> tuple[Weight, ...]:
        x = operand_type(operands, X)
        need_float(self.name, x)
        if x.rank != 3:
            reason = f"{x} is no sequence: its axes are rows, places and features"
            raise Fault(
                lambda where: sequence_does_not_fit(where.operand(X).span, self.name, reason)
            )
        need_least(self.name, "hidden", self.hidden, 1)
        need_least(self.name, "layers", self.layers, 1)
        need_rate(self.name, "dropout", self.dropout)
        if self.dropout and self.layers == 1:
            needed = "0 in a single layer: it acts between layers"
            refuse_option(self.name, "dropout", self.dropout, needed)
        size = need_known(self.name, x, -1, "the features")
        draw, found = ModuleUniform(self.hidden), []
        for layer, _, suffix in self.passes:
            width = size if layer == 0 else self.directions * self.hidden
            for name in self.names:
                kind = TensorType.of(x.dtype, self.find_shape(name, width))
                found.append(Weight(f"{name}_{suffix}", kind, draw, starts_by=_START[name]))
        return tuple(found)

    def infer_sequence(
        self,
        assume: Assume,
        x: TensorType,
        lengths: TensorType | None,
        starts: Types,
        weights: Types,
    ) -> tuple[TensorType, ...]:
        """Types of the results; raises `Fault` where the operands do not fit."""
        need_weights(self, (x, lengths, *starts, *weights))
        n, t, _ = x.shape
        if lengths is not None:
            if not lengths.dtype.is_integer or lengths.rank != 1:
                self._refuse(LENGTHS, f"`lengths` is {lengths}: one whole number for each row")
            self._need_size(LENGTHS, "lengths", lengths.shape[0], n, assume)
        count = self.layers * self.directions
        for place, (name, state) in enumerate(
            zip(self.state_names, starts, strict=True), start=START
        ):
            if (state is None) != (starts[0] is None):
                both = " and ".join(f"`{each}`" for each in self.state_names)
                self._refuse(place if state is not None else START, f"{both} go together")
            if state is None:
                continue
            if state.dtype is not x.dtype or state.rank != 3:
                self._refuse(place, f"`{name}` is {state}: its axes are layers, rows and features")
            wanted = (Dim.of(count), n, Dim.of(self.hidden))
            for size, needed in zip(state.shape, wanted, strict=True):
                self._need_size(place, name, size, needed, assume)
        y = TensorType(x.dtype, (n, t, Dim.of(self.directions * self.hidden)))
        state = TensorType(x.dtype, (Dim.of(count), n, Dim.of(self.hidden)))
        return (y, *[state] * len(self.state_names)) if self.states else (y,)

    def _need_size(self, place: int, name: str, size: Dim, needed: Dim, assume: Assume) -> None:
        same = equal(size, needed)
        if same is None:
            assume(size, "==", needed)
        elif not same:
            self._refuse(place, f"`{name}` has an axis of {size} where {needed} is needed")

    def _refuse(self, place: int, reason: str) -> None:
        raise Fault(
            lambda where: sequence_does_not_fit(where.operand(place).span, self.name, reason)
        )

    def domains(
        self, x: NodeInput, lengths: NodeInput | None, *_: NodeInput | None
    ) -> Mapping[NodeInput, Domain]:
        found = {x: Domain(finite=True)} if self.gates > 1 else {}
        return found if lengths is None else {**found, lengths: Domain(x.shape[1] + 1, least=1)}

    def compute_sequence(
        self, x: Array, lengths: Array | None, starts: Arrays, weights: Sequence[Array]
    ) -> tuple[Array, ...]:
        """The results."""
        made = list(self._go_over(x, lengths, starts, weights))
        sides = [y for _, _, y, _ in made[-self.directions :]]
        results = [np.concatenate(sides, axis=-1)]
        if self.states:
            results += [np.stack(kept) for kept in zip(*(s for *_, s in made), strict=True)]
        return tuple(result.astype(x.dtype, copy=False) for result in results)

    def _go_over(
        self, x: Array, lengths: Array | None, starts: Arrays, weights: Sequence[Array]
    ) -> Iterator[tuple[Array, Sequence[Array], Array, State]]:
        """The input of each pass, its weights, its output, and the last states."""
        x, seen = widen(x), np.ones(x.shape[:2], bool)
        if lengths is not None:
            seen = np.arange(x.shape[1]) < lengths[:, None]
        empty = np.zeros((len(x), self.hidden), x.dtype)
        sides: list[Array] = []
        for number, (_, reverse, _) in enumerate(self.passes):
            own = [widen(w) for w in weights[number * len(self.names) :][: len(self.names)]]
            state = tuple(empty if s is None else widen(s)[number] for s in starts)
            y, state = self._run(x, seen, state, own, reverse=reverse)
            yield x, own, y, state
            sides.append(y)
            if len(sides) == self.directions:
                x, sides = np.concatenate(sides, axis=-1), []

    def _run(
        self, x: Array, seen: Array, state: State, weights: Sequence[Array], *, reverse: bool
    ) -> tuple[Array, State]:
        """One pass over the places that are seen of each row; others keep the state, and give 0."""
        mixed = x @ weights[0].T
        fed = weights[1 : 1 + len(self.fed_names)]
        bias = np.zeros(self.gates * self.hidden, x.dtype)
        if self.bias:
            mixed, bias = mixed + weights[-2], weights[-1]
        y = np.zeros((*x.shape[:2], self.hidden), x.dtype)
        for place in range(x.shape[1])[:: -1 if reverse else 1]:
            new = self.step(mixed[:, place], state, bias, *fed)
            here = seen[:, place, None]
            state = tuple(np.where(here, n, s) for n, s in zip(new, state, strict=True))
            y[:, place] = np.where(here, new[0], 0)
        return y, state

    def magnitudes(self, operands: Arrays, results: Sequence[Array]) -> Sequence[Array | float]:
        # A gate is a sum of large terms, which may cancel; what it is off by goes on through all
        # places and layers.
        x, lengths, *others = operands
        assert x is not None, "a sequence is always given"
        count = len(self.state_names)
        largest = np.ones(len(x))
        weights = [weight for weight in others[count:] if weight is not None]
        for read, own, y, _ in self._go_over(x, lengths, others[:count], weights):
            terms = np.abs(read) @ np.abs(own[0]).T
            terms = terms + np.abs(y).max(initial=1.0) * self.weigh_feedback(own[1:], x.shape[1])
            terms = terms + sum(np.abs(bias) for bias in own[1 + len(self.fed_names) :])
            largest = np.maximum(largest, terms.max(axis=(1, 2), initial=0.0))
        grown = largest * x.shape[1] * grow(self.hidden + x.shape[-1], x.dtype)
        rows = [grown[:, None, None], *[grown[:, None]] * count]
        return [np.maximum(np.abs(r), m) for r, m in zip(results, rows, strict=False)]

    def weigh_feedback(self, weights: Sequence[Array], places: int) -> Array:
        """How much states of 1 add to each gate at most, behind so many places."""
        return np.asarray(np.abs(weights[0]).sum(1))

    def follow_size(
        self, output: int, axis: int, size: Dim, options: Mapping[str, Dim]
    ) -> Dim | None:
        hidden = options.get("hidden", Dim.of(self.hidden))
        if output:  # last states: layers and directions, rows, units
            return hidden if axis == 2 else None
        return size if axis < 2 else hidden * self.directions

    def multiply_adds(self, inputs: Types, outputs: Sequence[TensorType]) -> Dim:
        x = operand_type(inputs, X)
        n, t, size = x.shape
        total = Dim.of(0)
        for layer, _, _ in self.passes:
            width = size if layer == 0 else Dim.of(self.directions * self.hidden)
            fed = sum(math.prod(self.find_shape(name, 0)) for name in self.fed_names)
            total += n * t * (width * (self.gates * self.hidden) + fed)
        return total

    def couple(
        self, outputs: Results, x: NodeInput, lengths: NodeInput | None, *others: NodeInput | None
    ) -> Coupling:
        # Features may go; units stay, each of which feeds all gates of all units.
        incoming = x.axis(2)
        weights = [w for w in others[len(self.state_names) :] if w is not None]
        read = [weight.axis(1) for weight in weights[:: len(self.names)][: self.directions]]
        return Coupling(((incoming, *read),), read=tuple(Reading(incoming, w) for w in read))

    def torch(self, node: Node) -> Spelling:
        spelled = super().torch(node)
        if self.states:
            return spelled
        return replace(spelled, expression=Index(spelled.expression, (Leaf(0),)))

    def spell_option(self, field: str) -> Term | None:
        return None if field in ("states", "peephole", "recurrence") else self.leaf(field)

    def spell_module(self, node: Node) -> Call:
        """Options in the order of PyTorch's signature, which is not that of the fields."""
        places, options = self.spell_settings(node, without=())
        named = dict(options)
        if not self.own_class:
            named["batch_first"] = Name("True")
        ordered = tuple((key, named[key]) for key in _SIGNATURE if key in named)
        name = self.own_class or self.torch_module
        return Call(name, (*self.spell_sizes(node), *places), ordered)

    def spell_setting(self, field: str, node: Node) -> Term | None:
        if field == "hidden" and self.bidirectional:  # no axis of the result has this size
            return self.leaf(field)
        return super().spell_setting(field, node)

    def _spell_starts(self, node: Node) -> tuple[Term, ...]:
        """The first states that are given: CUDA's kernels want them in one piece."""
        places = range(START, START + len(self.state_names))
        return tuple(
            Method(In(place), "contiguous") for place in places if node.inputs[place] is not None
        )

    def spell_call_of_module(self, node: Node) -> Term:
        starts = self._spell_starts(node)
        state = starts if len(starts) < 2 else (Items(starts),)
        if node.inputs[LENGTHS] is None:
            return Call(Own(), (In(X), *state))
        if self.own_class:
            return Call(Own(), (In(X), *state), (("lengths", In(LENGTHS)),))
        return Call("run_packed", (Own(), In(X), In(LENGTHS), *state))

    def spell_function(self, node: Node) -> Term:
        starts = self._spell_starts(node)
        if not starts:
            rows = Leaf(input_type(node).shape[0], "rows", dim=("in", X, 0))
            sizes = (Leaf(self.layers * self.directions), rows, self.leaf_of("hidden"))
            starts = (Method(In(X), "new_zeros", sizes),) * len(self.state_names)
        count = START + len(self.state_names)
        weights = Items(tuple(In(place) for place in range(count, len(node.inputs))), "[]")
        state: Term = starts[0] if len(starts) == 1 else Items(starts, "[]")
        rest = [self.leaf_of(field) for field in ("bias", "layers", "bidirectional")]
        named: list[tuple[str, Term]] = []
        if self.dropout:
            named += [("dropout", self.leaf_of("dropout")), ("training", Name("self.training"))]
        if node.inputs[LENGTHS] is not None:
            named.append(("lengths", In(LENGTHS)))
        arguments = (In(X), state, weights, *rest)
        if self.own_class:
            return Call(self.function_name, arguments, (*self.spell_cell(), *named))
        return Call(
            "run_recurrent", (Name(f"torch.{self.function_name}"), *arguments), tuple(named)
        )

    def spell_cell(self) -> tuple[tuple[str, Term], ...]:
        """Arguments that only functions of layers that PyTorch lacks have."""
        return ()

    def leaf_of(self, field: str) -> Leaf:
        """A field as an argument that is always written."""
        return Leaf(getattr(self, field), field, field=field)

    def onnx(
        self,
        build: OnnxBuilder,
        outputs: Results,
        x: OnnxInput,
        lengths: OnnxInput | None,
        *others: OnnxInput | None,
    ) -> Values:
        return _Writer(self, build, outputs[0], others).write(x, lengths)


class OneState(Recurrent):
    """Base of recurrent layers whose state is their output."""

    operands = (
        Operand("x"),
        Operand("lengths", optional=True, named=True),
        Operand("h0", optional=True, named=True),
    )
    state_names = ("h0",)

    def infer(
        self,
        assume: Assume,
        x: TensorType,
        lengths: TensorType | None,
        h0: TensorType | None,
        *weights: TensorType,
    ) -> tuple[TensorType, ...]:
        return self.infer_sequence(assume, x, lengths, (h0,), weights)

    def evaluate(
        self, x: Array, lengths: Array | None, h0: Array | None, *weights: Array
    ) -> tuple[Array, ...]:
        return self.compute_sequence(x, lengths, (h0,), weights)


class _Writer:
    """Writes a recurrent layer as ONNX operators, one for each layer."""

    def __init__(
        self,
        op: Recurrent,
        build: OnnxBuilder,
        output: TensorType,
        others: Sequence[OnnxInput | None],
    ) -> None:
        self.op, self.build = op, build
        values = [found.value if found is not None else None for found in others]
        count = len(op.state_names)
        self.starts, self.weights = values[:count], values[count:]
        self.shape, self.dtype = output.shape, output.dtype

    def write(self, sequence: OnnxInput, counts: OnnxInput | None) -> Values:
        op, build = self.op, self.build
        x = build.op("Transpose", [sequence.value], {"perm": [1, 0, 2]})  # places first
        lengths = None
        if counts is not None:
            lengths = build.op("Cast", [counts.value], {"to": DType.I32})
        finals: list[list[Any]] = [[] for _ in op.state_names]
        n, t, width = self.shape
        for layer in range(op.layers):
            weights, peepholes = self._stack_weights(layer)
            starts = [self._cut_state(start, layer) for start in self.starts]
            attributes = {"hidden_size": op.hidden, **op.onnx_attributes()}
            if op.bidirectional:
                attributes["direction"] = "bidirectional"
            inputs = [x, *weights, lengths, *starts, *peepholes]
            values = build.op(op.onnx_type, inputs, attributes, outputs=1 + len(finals))
            y, *states = values
            for kept, state in zip(finals, states, strict=True):
                kept.append(state)
            y = build.op("Transpose", [y], {"perm": [0, 2, 1, 3]})  # [t, n, directions, hidden]
            whole = (t, n, Dim.of(op.directions), Dim.of(op.hidden))
            x = build.reshape(y, whole, (t, n, width))
        y = build.op("Transpose", [x], {"perm": [1, 0, 2]})
        if not op.states:
            return [y]
        return [y, *(self._join(kept, 0) for kept in finals)]

    def _stack_weights(self, layer: int) -> tuple[list[Any], list[Any]]:
        """Weights of the input, of the feedback, and both biases, of all directions; and those of
        the cell."""
        op = self.op
        count = len(op.names)
        first = layer * op.directions * count
        sides = [self.weights[first + d * count :][:count] for d in range(op.directions)]
        read = [self._order(side[0]) for side in sides]
        fed = [self._order(op.write_feedback(self.build, side[1], self.dtype)) for side in sides]
        found = [self._stack(read), self._stack(fed), None]
        if op.bias:
            biases = [self._join([self._order(bias) for bias in side[-2:]], 0) for side in sides]
            found[-1] = self._stack(biases)
        if len(op.fed_names) == 1:
            return found, []
        cells = [self._order(side[2], PEEPHOLE_ORDER) for side in sides]
        return found, [self._stack(cells)]

    def _stack(self, sides: Sequence[Any]) -> Any:
        return self._join([self._wrap(side) for side in sides], 0)

    def _order(self, weight: Any, order: tuple[int, ...] | None = None) -> Any:
        """The gates in ONNX's order."""
        order = order or self.op.order
        if order == tuple(range(len(order))):
            return weight
        sizes = self.build.constant(np.full(len(order), self.op.hidden, np.int64))
        gates = self.build.op("Split", [weight, sizes], {"axis": 0}, outputs=len(order))
        return self._join([gates[place] for place in order], 0)

    def _wrap(self, value: Any) -> Any:
        """An axis of one direction, before the others."""
        return self.build.op("Unsqueeze", [value, self.build.constant(np.zeros(1, np.int64))])

    def _join(self, values: Sequence[Any], axis: int) -> Any:
        if len(values) == 1:
            return values[0]
        return self.build.op("Concat", list(values), {"axis": axis})

    def _cut_state(self, start: Any, layer: int) -> Any:
        """The initial states of a layer's directions."""
        if start is None or self.op.layers == 1:
            return start
        sides = self.op.directions
        bounds = (layer * sides, (layer + 1) * sides, 0)
        places = [self.build.constant(np.array([bound], np.int64)) for bound in bounds]
        return self.build.op("Slice", [start, *places])
