"""Known cells that a `scan` says, as one op each: what a pass makes of such loops."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, final

import numpy as np

from compiler.ir.graph import Node, Op
from compiler.ir.inputs import OnnxInput
from compiler.ir.onnx_builder import OnnxBuilder, Values
from compiler.ir.operands import Array, Arrays, Assume, Results, Types
from compiler.ops.activation import sigmoid
from compiler.ops.axes import operand_type
from compiler.ops.layers import known
from compiler.ops.magnitudes import grow
from compiler.records import dataclass
from compiler.types.dims import Dim
from compiler.types.tensor import TensorType
from compiler.vocabulary.signature import Operand
from compiler.vocabulary.spelling import Call, In, Leaf, Spelling

State = tuple[Array, ...]


@dataclass(frozen=True)
class CellLoop(Op):
    """Base of known cells that run over the places of one sequence."""

    keeps_f32 = True
    gates: ClassVar[int]
    order: ClassVar[tuple[int, ...]]
    """The gates as ONNX orders them, by their places in the weights."""
    onnx_type: ClassVar[str]
    helper: ClassVar[str]
    state_count: ClassVar[int]
    axis: int = 1
    reverse: bool = False

    @abstractmethod
    def step(self, x: Array, state: State, *weights: Array | None) -> State:
        """The states behind one place; the first is the output."""

    def onnx_attributes(self) -> dict[str, object]:
        """Attributes of ONNX's operator, besides those that all have."""
        return {}

    @abstractmethod
    def onnx_rest(self, build: OnnxBuilder, rest: Values, states: Values, hidden: int) -> list[Any]:
        """ONNX's inputs behind the two matrices: of what follows these here, and the states."""

    def infer(self, assume: Assume, *inputs: TensorType | None) -> tuple[TensorType, ...]:
        x = operand_type(inputs, 0)
        states = [operand_type(inputs, 1 + place) for place in range(self.state_count)]
        return (TensorType(x.dtype, (*x.shape[:2], states[0].shape[-1])), *states)

    def evaluate(self, x: Array, *rest: Array | None) -> tuple[Array, ...]:
        states: Any = rest[: self.state_count]
        places = range(x.shape[self.axis])
        found: list[Array] = []
        for place in places[::-1] if self.reverse else places:
            states = self.step(x.take(place, self.axis), states, *rest[self.state_count :])
            found.append(states[0])
        if not found:
            shape = (*x.shape[:2], states[0].shape[-1])
            return (np.zeros(shape, x.dtype), *states)
        y = np.stack(found[::-1] if self.reverse else found, axis=self.axis)
        return (y, *states)

    def magnitudes(self, operands: Arrays, results: Sequence[Array]) -> Sequence[Array | float]:
        # A gate is a sum of large terms, which may cancel; what it is off by goes on.
        x, *rest = operands
        assert x is not None, "a sequence is always given"
        own = [array for array in rest[self.state_count :] if array is not None]
        size = np.abs(own[0]).sum(1) * np.abs(x).max(initial=0.0)
        size = size + np.abs(own[1]).sum(1) + sum(float(np.abs(b).max()) for b in own[2:])
        worst = size.max(initial=1.0) * x.shape[self.axis]
        worst = worst * grow(own[1].shape[1] + x.shape[-1], x.dtype)
        return [np.maximum(np.abs(result), worst) for result in results]

    def multiply_adds(self, inputs: Types, outputs: Sequence[TensorType]) -> Dim:
        x, rows = operand_type(inputs, 0), operand_type(inputs, 1 + self.state_count).shape[0]
        hidden = outputs[0].shape[-1]
        return x.shape[0] * x.shape[1] * rows * (x.shape[-1] + hidden)

    def torch(self, node: Node) -> Spelling:
        options = (("axis", Leaf(self.axis, default=1)), self.named("reverse"))
        named = [
            (operand.name, In(place))
            for place, (operand, value) in enumerate(zip(self.operands, node.inputs, strict=True))
            if operand.optional and value is not None
        ]
        first = sum(not operand.optional for operand in self.operands)
        return Spelling(Call(self.helper, tuple(map(In, range(first))), (*named, *options)))

    def write(
        self,
        build: OnnxBuilder,
        outputs: Results,
        sequence: OnnxInput,
        states: Sequence[OnnxInput],
        matrices: Sequence[OnnxInput],
        rest: Sequence[OnnxInput | None],
    ) -> Values:
        """The loop as an operator of ONNX: of the sequence, the states before it, the matrices of
        input and feedback, and the weights behind them."""
        x = sequence.value
        if self.axis == 1:
            x = build.op("Transpose", [x], {"perm": [1, 0, 2]})  # places first
        weights = [_lift(build, reorder(build, w.value, self.order)) for w in matrices]
        begun = [_lift(build, state.value) for state in states]
        others = [found.value if found is not None else None for found in rest]
        hidden = known(outputs[0].shape[-1])
        attributes = {"hidden_size": hidden, **self.onnx_attributes()}
        if self.reverse:
            attributes["direction"] = "reverse"
        inputs = [x, *weights, *self.onnx_rest(build, others, begun, hidden)]
        y, *finals = build.op(self.onnx_type, inputs, attributes, outputs=1 + len(states))
        made = build.op("Squeeze", [y, build.constant(np.array([1], np.int64))])
        if self.axis == 1:
            made = build.op("Transpose", [made], {"perm": [1, 0, 2]})
        first_axis = build.constant(np.zeros(1, np.int64))
        return [made, *(build.op("Squeeze", [state, first_axis]) for state in finals)]


@final
@dataclass(frozen=True)
class LstmLoop(CellLoop):
    """An LSTM that a `scan` says: made by a pass, never by a call.

        i, f, g, o = W x_t + U h + b, cut into four
        i, f = i + p_i * c, f + p_f * c
        c = sigmoid(f) * c + sigmoid(i) * tanh(g)
        h = sigmoid(o + p_o * c) * tanh(c)

    Shapes: x `f32[n, t, d]`, h and c `f32[n, hidden]`, W `[4 hidden, d]`, U `[4 hidden, hidden]`,
    b `[4 hidden]`, p_i, p_o, p_f `[3 hidden]` -> `f32[n, t, hidden]`, and the last h and c.

    - `axis`: the axis of x that the places lie along, 0 or 1.
    - `reverse`: from the end; what is made keeps its place.

    Cost: 4 hidden (d + hidden) multiply-adds for each place.
    """

    name = "lstm_loop"
    operands = (
        Operand("x"),
        Operand("h"),
        Operand("c"),
        Operand("input_weight"),
        Operand("state_weight"),
        Operand("bias", optional=True),
        Operand("peepholes", optional=True),
    )
    gates = 4
    order = (0, 3, 1, 2)
    onnx_type = "LSTM"
    helper = "run_lstm"
    state_count = 2

    def step(self, x: Array, state: State, *weights: Array | None) -> State:
        h, c = state
        first, second, bias, peepholes = weights
        assert first is not None, "it has weights"
        assert second is not None, "it has weights"
        mixed = x @ first.T + h @ second.T + (0 if bias is None else bias)
        i, f, g, o = np.split(mixed, 4, axis=-1)
        seen = np.zeros((3, h.shape[-1]), x.dtype)
        if peepholes is not None:
            seen = peepholes.reshape(3, -1)
        new = sigmoid(f + seen[2] * c) * c + sigmoid(i + seen[0] * c) * np.tanh(g)
        return sigmoid(o + seen[1] * new) * np.tanh(new), new

    def torch(self, node: Node) -> Spelling:
        assert node.inputs[6] is None, "PyTorch has no LSTM with peepholes"
        return super().torch(node)

    def onnx(
        self,
        build: OnnxBuilder,
        outputs: Results,
        x: OnnxInput,
        h: OnnxInput,
        c: OnnxInput,
        input_weight: OnnxInput,
        state_weight: OnnxInput,
        bias: OnnxInput | None,
        peepholes: OnnxInput | None,
    ) -> Values:
        matrices = (input_weight, state_weight)
        return self.write(build, outputs, x, (h, c), matrices, (bias, peepholes))

    def onnx_rest(self, build: OnnxBuilder, rest: Values, states: Values, hidden: int) -> list[Any]:
        bias, peepholes = rest
        if bias is not None:
            bias = reorder(build, bias, self.order)
        both = pair_biases(build, bias, None, 4 * hidden)
        seen = None if peepholes is None else _lift(build, peepholes)
        return [both, None, *states, seen]


@final
@dataclass(frozen=True)
class GruLoop(CellLoop):
    """A gated recurrent unit that a `scan` says: made by a pass, never by a call.

        r, z, n = W x_t + b, and r', z', n' = U h + c, each cut into three
        r, z = sigmoid(r + r'), sigmoid(z + z')
        h = (1 - z) * tanh(n + r * n') + z * h

    Shapes: x `f32[n, t, d]`, h `f32[n, hidden]`, W `[3 hidden, d]`, U `[3 hidden, hidden]`, b and
    c `[3 hidden]` -> `f32[n, t, hidden]`, and the last h.

    - `axis`: the axis of x that the places lie along, 0 or 1.
    - `reverse`: from the end; what is made keeps its place.
    - `reset_after`: whether r multiplies what U makes of h, as in PyTorch; where false, U sees
      r * h, as in the paper.

    Cost: 3 hidden (d + hidden) multiply-adds for each place.
    """

    name = "gru_loop"
    operands = (
        Operand("x"),
        Operand("h"),
        Operand("input_weight"),
        Operand("state_weight"),
        Operand("input_bias", optional=True),
        Operand("state_bias", optional=True),
    )
    gates = 3
    order = (1, 0, 2)
    onnx_type = "GRU"
    helper = "run_gru"
    state_count = 1
    reset_after: bool = True

    def step(self, x: Array, state: State, *weights: Array | None) -> State:
        (h,) = state
        first, second, bias, fed = weights
        assert first is not None, "it has weights"
        assert second is not None, "it has weights"
        mixed = x @ first.T + (0 if bias is None else bias)
        r, z, n = np.split(mixed, 3, axis=-1)
        us = np.split(second, 3)
        cs = [0, 0, 0] if fed is None else np.split(fed, 3)
        r, z = (sigmoid(g + h @ u.T + c) for g, u, c in zip((r, z), us, cs, strict=False))
        inner = r * (h @ us[2].T + cs[2]) if self.reset_after else (r * h) @ us[2].T + cs[2]
        return ((1 - z) * np.tanh(n + inner) + z * h,)

    def torch(self, node: Node) -> Spelling:
        assert self.reset_after, "PyTorch has no GRU that resets before the product"
        return super().torch(node)

    def onnx(
        self,
        build: OnnxBuilder,
        outputs: Results,
        x: OnnxInput,
        h: OnnxInput,
        input_weight: OnnxInput,
        state_weight: OnnxInput,
        input_bias: OnnxInput | None,
        state_bias: OnnxInput | None,
    ) -> Values:
        matrices = (input_weight, state_weight)
        return self.write(build, outputs, x, (h,), matrices, (input_bias, state_bias))

    def onnx_attributes(self) -> dict[str, object]:
        return {"linear_before_reset": int(self.reset_after)}

    def onnx_rest(self, build: OnnxBuilder, rest: Values, states: Values, hidden: int) -> list[Any]:
        bias, fed = (None if b is None else reorder(build, b, self.order) for b in rest)
        both = pair_biases(build, bias, fed, 3 * hidden)
        return [both, None, *states]


def reorder(build: OnnxBuilder, weight: Any, order: Sequence[int]) -> Any:
    """The gates along the first axis in another order."""
    rows = build.op("Split", [weight], {"axis": 0, "num_outputs": len(order)}, outputs=len(order))
    return build.op("Concat", [rows[place] for place in order], {"axis": 0})


def pair_biases(build: OnnxBuilder, first: Any, second: Any, size: int) -> Any:
    """Both biases of that size beside each other, zeros for one that is not there; None where
    neither is."""
    if first is None and second is None:
        return None
    given = [
        build.constant(np.zeros(size, np.float32)) if bias is None else bias
        for bias in (first, second)
    ]
    return _lift(build, build.op("Concat", given, {"axis": 0}))


def _lift(build: OnnxBuilder, value: Any) -> Any:
    """An axis of one direction, before the others."""
    return build.op("Unsqueeze", [value, build.constant(np.zeros(1, np.int64))])
