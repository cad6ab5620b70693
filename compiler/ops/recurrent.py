"""Recurrent layers with PyTorch's weights: LSTM, GRU and Elman's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal, final

import numpy as np

from compiler.ir.operands import Array, Assume
from compiler.ops.recurrence import OneState, Recurrent, State
from compiler.ops.registry import OPS
from compiler.records import dataclass
from compiler.types.tensor import TensorType
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
    - `states`: whether the last states are results too.

    Cost: 4 hidden (d + hidden) multiply-adds for each place, layer and direction.
    Example: `y = tokens -> embedding(1000, 64) -> lstm(128)`
    Errors: W0354 where the features are not known, W1424 where operands do not fit.
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
    module_name = "nn.LSTM"
    state_names = ("h0", "c0")
    paired_results = 1

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
    def torch_name(self) -> str:
        return "lstm"

    def step(self, mixed: Array, state: State, weight: Array, bias: Array) -> State:
        h, c = state
        i, f, g, o = np.split(mixed + h @ weight.T + bias, 4, axis=-1)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        return sigmoid(o) * np.tanh(c), c


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

    Cost: 3 hidden (d + hidden) multiply-adds for each place, layer and direction.
    Example: `y = tokens -> embedding(1000, 64) -> gru(128)`
    Errors: W0354 where the features are not known, W1424 where operands do not fit.
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.GRU.html
    """

    name = "gru"
    gates = 3
    order = (1, 0, 2)
    onnx_type = "GRU"
    module_name = "nn.GRU"

    @property
    def torch_name(self) -> str:
        return "gru"

    def step(self, mixed: Array, state: State, weight: Array, bias: Array) -> State:
        (h,) = state
        r, z, n = np.split(mixed, 3, axis=-1)
        fed_r, fed_z, fed_n = np.split(h @ weight.T + bias, 3, axis=-1)
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
    - `act`: `"tanh"` or `"relu"`.

    Cost: hidden (d + hidden) multiply-adds for each place, layer and direction.
    Example: `y = x -> rnn(32, act="relu")`
    Errors: W0354 where the features are not known, W1424 where operands do not fit.
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.RNN.html
    """

    name = "rnn"
    gates = 1
    order = (0,)
    onnx_type = "RNN"
    module_name = "nn.RNN"
    torch_keywords: ClassVar[Mapping[str, str]] = {"act": "nonlinearity"}
    act: Literal["tanh", "relu"] = "tanh"

    @property
    def torch_name(self) -> str:
        return f"rnn_{self.act}"

    def step(self, mixed: Array, state: State, weight: Array, bias: Array) -> State:
        (h,) = state
        h = mixed + h @ weight.T + bias
        return (np.maximum(h, 0) if self.act == "relu" else np.tanh(h),)

    def spell_settings(self) -> tuple[tuple[str, Term], ...]:
        return (*super().spell_settings(), self.named("act"))

    def onnx_attributes(self) -> dict[str, object]:
        name = {"tanh": "Tanh", "relu": "Relu"}[self.act]
        return {"activations": [name] * self.directions}


def sigmoid(x: Array) -> Array:
    """Without overflow: `(1 + tanh(x / 2)) / 2`."""
    return np.asarray((np.tanh(x / 2) + 1) / 2)
