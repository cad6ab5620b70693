"""Recurrent layers with PyTorch's weights: LSTM, GRU and Elman's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, final

import numpy as np

from compiler.ir.onnx_builder import OnnxBuilder
from compiler.ir.operands import Array, Assume
from compiler.ops.activation import sigmoid
from compiler.ops.recurrence import OneState, Recurrent, State
from compiler.ops.registry import OPS
from compiler.records import dataclass
from compiler.types.tensor import DType, TensorType
from compiler.vocabulary.signature import Operand
from compiler.vocabulary.spelling import Term


@OPS.register
@final
@dataclass(frozen=True)
class Lstm(Recurrent):
    """Long short-term memory (Hochreiter and Schmidhuber 1997): PyTorch's `nn.LSTM`, rows first.

        i, f, g, o = W x_t + b + U h + c, cut into four
        c = sigmoid(f) * c + sigmoid(i) * tanh(g)
        h = sigmoid(o) * tanh(c)

    With `peephole` the gates see the cell (Gers and Schmidhuber 2000), each unit its own: `p * c`
    is added to i and f before the step, and to o behind it. PyTorch has no such layer; the
    generated class is a loop, and ONNX's operator has it.

    Shapes: x `f32[n, t, d]` -> `f32[n, t, hidden]`, twice as wide with `bidirectional`; with
    `states` also the last h and c, `f32[layers, n, hidden]` each, as `y, h, c = x -> lstm(64,
    states=true)`. Weights have PyTorch's names: `weight_ih_l0`, `weight_hh_l0`, `bias_ih_l0`, …;
    `init`, `recurrent_init` and `bias_init` say how they start.

    - `lengths`: how many places of each row count, at least 1; behind them y is 0, and h and c are
      those of the last place that counts.
    - `h0`, `c0`: the states to begin with, `f32[layers, n, hidden]`; zeros where they are left out.
    - `hidden`: the size of a state.
    - `layers`: how many, each on the results of the one before.
    - `bidirectional`: a second pass from the end, whose results stand beside those of the first;
      it has layers of its own in h and c.
    - `bias`: whether numbers are added.
    - `peephole`: whether gates see the cell; `weight_ch_l0`, … then has the weights of i, f and o,
      which start as `peephole_init` says.
    - `states`: whether the last states are results too.
    - `dropout`: the probability with which each entry between two layers becomes 0 in training.

    Cost: 4 hidden (d + hidden) multiply-adds for each place, layer and direction.
    Example: `y = tokens -> embedding(1000, 64) -> lstm(128)`
    Errors: W0353 where `dropout` is no probability or there is one layer, W0354 where the features
    are not known, W1424 where operands do not fit.
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.LSTM.html
    """

    name = "lstm"
    operands = (
        Operand("x"),
        Operand("lengths", optional=True, named=True),
        Operand("h0", optional=True, named=True),
        Operand("c0", optional=True, named=True),
    )
    gates = 4
    order = (0, 3, 1, 2)
    onnx_type = "LSTM"
    torch_module = "nn.LSTM"
    state_names = ("h0", "c0")
    paired_results = 1
    peephole: bool = False

    def infer(
        self,
        assume: Assume,
        x: TensorType,
        lengths: TensorType | None,
        h0: TensorType | None,
        c0: TensorType | None,
        *weights: TensorType,
    ) -> tuple[TensorType, ...]:
        return self.infer_sequence(assume, x, lengths, (h0, c0), weights)

    def evaluate(
        self,
        x: Array,
        lengths: Array | None,
        h0: Array | None,
        c0: Array | None,
        *weights: Array,
    ) -> tuple[Array, ...]:
        return self.compute_sequence(x, lengths, (h0, c0), weights)

    @property
    def function_name(self) -> str:
        return "run_peephole_lstm" if self.peephole else "lstm"

    @property
    def own_class(self) -> str:
        return "PeepholeLSTM" if self.peephole else ""

    @property
    def fed_names(self) -> tuple[str, ...]:
        return ("weight_hh", "weight_ch") if self.peephole else ("weight_hh",)

    def find_shape(self, name: str, width: int) -> tuple[int, ...]:
        return (3 * self.hidden,) if name == "weight_ch" else super().find_shape(name, width)

    def step(self, mixed: Array, state: State, bias: Array, *weights: Array) -> State:
        h, c = state
        i, f, g, o = np.split(mixed + h @ weights[0].T + bias, 4, axis=-1)
        if not self.peephole:
            c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
            return sigmoid(o) * np.tanh(c), c
        to_i, to_f, to_o = np.split(weights[1], 3)
        c = sigmoid(f + to_f * c) * c + sigmoid(i + to_i * c) * np.tanh(g)
        return sigmoid(o + to_o * c) * np.tanh(c), c

    def weigh_feedback(self, weights: Sequence[Array], places: int) -> Array:
        total = super().weigh_feedback(weights, places)
        if self.peephole:  # each place adds at most 1 to a cell
            i, f, o = np.split(places * np.abs(weights[1]), 3)
            total = total + np.concatenate([i, f, np.zeros_like(i), o])
        return total


@OPS.register
@final
@dataclass(frozen=True)
class Gru(OneState):
    """Gated recurrent unit (Cho et al. 2014): PyTorch's `nn.GRU`, rows first.

        r, z, n = W x_t + b, and r', z', n' = U h + c, each cut into three
        r, z = sigmoid(r + r'), sigmoid(z + z')
        h = (1 - z) * tanh(n + r * n') + z * h

    Shapes: x `f32[n, t, d]` -> `f32[n, t, hidden]`, twice as wide with `bidirectional`; with
    `states` also the last h, `f32[layers, n, hidden]`, as `y, h = x -> gru(64, states=true)`.
    Weights have PyTorch's names: `weight_ih_l0`, `weight_hh_l0`, `bias_ih_l0`, …;
    `init`, `recurrent_init` and `bias_init` say how they start.

    - `lengths`: how many places of each row count, at least 1; behind them y is 0, and h is that of
      the last place that counts.
    - `h0`: the state to begin with, `f32[layers, n, hidden]`; zeros where it is left out.
    - `hidden`: the size of a state.
    - `layers`: how many, each on the results of the one before.
    - `bidirectional`: a second pass from the end, whose results stand beside those of the first;
      it has layers of its own in h.
    - `bias`: whether numbers are added.
    - `states`: whether the last state is a result too.
    - `dropout`: the probability with which each entry between two layers becomes 0 in training.

    Cost: 3 hidden (d + hidden) multiply-adds for each place, layer and direction.
    Example: `y = tokens -> embedding(1000, 64) -> gru(128)`
    Errors: W0353 where `dropout` is no probability or there is one layer, W0354 where the features
    are not known, W1424 where operands do not fit.
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.GRU.html
    """

    name = "gru"
    gates = 3
    order = (1, 0, 2)
    onnx_type = "GRU"
    torch_module = "nn.GRU"

    @property
    def function_name(self) -> str:
        return "gru"

    def step(self, mixed: Array, state: State, bias: Array, *weights: Array) -> State:
        (h,) = state
        r, z, n = np.split(mixed, 3, axis=-1)
        fed_r, fed_z, fed_n = np.split(h @ weights[0].T + bias, 3, axis=-1)
        z = sigmoid(z + fed_z)
        return ((1 - z) * np.tanh(n + sigmoid(r + fed_r) * fed_n) + z * h,)

    def onnx_attributes(self) -> dict[str, object]:
        return {"linear_before_reset": 1}


@OPS.register
@final
@dataclass(frozen=True)
class Rnn(OneState):
    """Recurrent layer of Elman (1990): PyTorch's `nn.RNN`, rows first.

        h = tanh(W x_t + b + U h + c)

    With `recurrence="diagonal"` each unit feeds back to itself alone (IndRNN; Li et al. 2018): U
    is a vector, and `u * h` stands for `U h`. PyTorch has no such layer; the generated class is a
    loop.

    Shapes: x `f32[n, t, d]` -> `f32[n, t, hidden]`, twice as wide with `bidirectional`; with
    `states` also the last h, `f32[layers, n, hidden]`, as `y, h = x -> rnn(64, states=true)`.
    Weights have PyTorch's names: `weight_ih_l0`, `weight_hh_l0`, `bias_ih_l0`, …;
    `init`, `recurrent_init` and `bias_init` say how they start.

    - `lengths`: how many places of each row count, at least 1; behind them y is 0, and h is that of
      the last place that counts.
    - `h0`: the state to begin with, `f32[layers, n, hidden]`; zeros where it is left out.
    - `hidden`: the size of a state.
    - `layers`: how many, each on the results of the one before.
    - `bidirectional`: a second pass from the end, whose results stand beside those of the first;
      it has layers of its own in h.
    - `bias`: whether numbers are added.
    - `states`: whether the last state is a result too.
    - `dropout`: the probability with which each entry between two layers becomes 0 in training.
    - `act`: `"tanh"` or `"relu"`.
    - `recurrence`: `"full"`, each unit feeds all of them, or `"diagonal"`.

    Cost: hidden (d + hidden) multiply-adds for each place, layer and direction; hidden (d + 1) of
    diagonal recurrence.
    Errors: W0353 where `dropout` is no probability or there is one layer, W0354 where the features
    are not known, W1424 where operands do not fit.
    Example: `y = sequence -> rnn(32, act="relu")`
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.RNN.html
    """

    name = "rnn"
    gates = 1
    order = (0,)
    onnx_type = "RNN"
    torch_module = "nn.RNN"
    act: Literal["tanh", "relu"] = "tanh"
    recurrence: Literal["full", "diagonal"] = "full"

    @property
    def is_diagonal(self) -> bool:
        """Whether each unit feeds itself alone."""
        return self.recurrence == "diagonal"

    @property
    def function_name(self) -> str:
        return "run_diagonal_rnn" if self.is_diagonal else f"rnn_{self.act}"

    @property
    def own_class(self) -> str:
        return "DiagonalRNN" if self.is_diagonal else ""

    def find_shape(self, name: str, width: int) -> tuple[int, ...]:
        if name == "weight_hh" and self.is_diagonal:
            return (self.hidden,)
        return super().find_shape(name, width)

    def step(self, mixed: Array, state: State, bias: Array, *weights: Array) -> State:
        (h,) = state
        fed = h * weights[0] if self.is_diagonal else h @ weights[0].T
        h = mixed + fed + bias
        return (np.maximum(h, 0) if self.act == "relu" else np.tanh(h),)

    def spell_cell(self) -> tuple[tuple[str, Term], ...]:
        return (self.named("act"),)

    def weigh_feedback(self, weights: Sequence[Array], places: int) -> Array:
        if self.is_diagonal:
            return np.abs(weights[0])
        return super().weigh_feedback(weights, places)

    def write_feedback(self, build: OnnxBuilder, weight: Any, dtype: DType) -> Any:
        """Of diagonal recurrence, the matrix that is 0 but on its diagonal."""
        if not self.is_diagonal:
            return weight
        diagonal = build.constant(np.eye(self.hidden, dtype=bool))
        zero = build.constant(np.array(0, dtype.numpy), dtype)
        return build.op("Where", [diagonal, weight, zero])

    def onnx_attributes(self) -> dict[str, object]:
        name = {"tanh": "Tanh", "relu": "Relu"}[self.act]
        return {"activations": [name] * self.directions}
