"""Recurrent layers and loops that generated modules bring along, where PyTorch has none."""

from __future__ import annotations

from collections.abc import Mapping

RECURRENT_HELPERS: Mapping[str, str] = {
    "run_packed": '''\
def run_packed(
    layer: nn.RNNBase, x: Tensor, lengths: Tensor, state: Any = None
) -> tuple[Tensor, Any]:
    """A recurrent layer over sequences of unequal length: zeros behind their ends."""
    packed = nn.utils.rnn.pack_padded_sequence(
        x, lengths.cpu(), batch_first=True, enforce_sorted=False
    )
    packed, state = layer(packed, state)
    y, _ = nn.utils.rnn.pad_packed_sequence(
        packed, batch_first=True, total_length=x.shape[1]
    )
    return y, state
''',
    "run_recurrent": '''\
def run_recurrent(
    function: Callable[..., tuple[Tensor, ...]],
    x: Tensor,
    state: Any,
    weights: list[Tensor],
    bias: bool,
    layers: int,
    bidirectional: bool,
    dropout: float = 0.0,
    training: bool = False,
    lengths: Tensor | None = None,
) -> tuple[Tensor, Any]:
    """A recurrent layer with weights that are given: `torch.lstm` and its kin."""
    options = (bias, layers, dropout, training, bidirectional)
    if lengths is None:
        y, *final = function(x, state, weights, *options, True)
        return y, final[0] if len(final) == 1 else tuple(final)
    packed = nn.utils.rnn.pack_padded_sequence(
        x, lengths.cpu(), batch_first=True, enforce_sorted=False
    )
    order, back = packed.sorted_indices, packed.unsorted_indices
    if isinstance(state, Tensor):
        state = state[:, order]
    else:
        state = [part[:, order] for part in state]
    y, *final = function(packed.data, packed.batch_sizes, state, weights, *options)
    packed = nn.utils.rnn.PackedSequence(y, packed.batch_sizes, order, back)
    y, _ = nn.utils.rnn.pad_packed_sequence(
        packed, batch_first=True, total_length=x.shape[1]
    )
    final = [part[:, back] for part in final]
    return y, final[0] if len(final) == 1 else tuple(final)
''',
    "CellLayers": '''\
class CellLayers(nn.Module):
    """Base of recurrent layers that PyTorch lacks, rows first; its weights have the names and the
    start of PyTorch's own."""

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        dropout: float = 0.0,
        bidirectional: bool = False,
    ) -> None:
        super().__init__()
        self.bias, self.num_layers = bias, num_layers
        self.dropout, self.bidirectional = dropout, bidirectional
        suffixes = ("", "_reverse") if bidirectional else ("",)
        bound = hidden_size**-0.5
        for layer in range(num_layers):
            width = input_size if layer == 0 else hidden_size * len(suffixes)
            for suffix in suffixes:
                for name, shape in self.list_weights(width, hidden_size).items():
                    if bias or not name.startswith("bias"):
                        weight = nn.Parameter(torch.empty(shape).uniform_(-bound, bound))
                        self.register_parameter(f"{name}_l{layer}{suffix}", weight)

    def list_weights(self, width: int, hidden: int) -> dict[str, tuple[int, ...]]:
        """The shapes of the weights of one pass, by their names."""
        raise NotImplementedError
''',
    "PeepholeLSTM": '''\
class PeepholeLSTM(CellLayers):
    """An LSTM whose gates see the cell (Gers and Schmidhuber 2000)."""

    def list_weights(self, width: int, hidden: int) -> dict[str, tuple[int, ...]]:
        return {
            "weight_ih": (4 * hidden, width),
            "weight_hh": (4 * hidden, hidden),
            "weight_ch": (3 * hidden,),
            "bias_ih": (4 * hidden,),
            "bias_hh": (4 * hidden,),
        }

    def forward(
        self, x: Tensor, state: Any = None, lengths: Tensor | None = None
    ) -> tuple[Tensor, Any]:
        return run_peephole_lstm(
            x,
            state,
            list(self.parameters()),
            self.bias,
            self.num_layers,
            self.bidirectional,
            dropout=self.dropout,
            training=self.training,
            lengths=lengths,
        )
''',
    "run_peephole_lstm": '''\
def run_peephole_lstm(
    x: Tensor,
    state: Any,
    weights: list[Tensor],
    bias: bool,
    layers: int,
    bidirectional: bool,
    dropout: float = 0.0,
    training: bool = False,
    lengths: Tensor | None = None,
) -> tuple[Tensor, Any]:
    """The layers of an LSTM whose gates see the cell, and the last states."""

    def step(
        mixed: Tensor, state: list[Tensor], weight_hh: Tensor, weight_ch: Tensor
    ) -> list[Tensor]:
        h, c = state
        i, f, g, o = (mixed + h @ weight_hh.T).chunk(4, dim=-1)
        to_i, to_f, to_o = weight_ch.chunk(3)
        c = (f + to_f * c).sigmoid() * c + (i + to_i * c).sigmoid() * g.tanh()
        return [(o + to_o * c).sigmoid() * c.tanh(), c]

    if state is None:
        size = weights[1].shape[1]
        state = [x.new_zeros(layers * (1 + bidirectional), len(x), size)] * 2
    if not training:
        dropout = 0.0
    y, final = run_cells(
        step, x, state, weights, bias, layers, bidirectional, dropout, lengths
    )
    return y, tuple(final)
''',
    "DiagonalRNN": '''\
class DiagonalRNN(CellLayers):
    """A recurrent layer in which each unit feeds back to itself alone (IndRNN; Li et al. 2018)."""

    def __init__(self, *args: Any, nonlinearity: str = "tanh", **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.nonlinearity = nonlinearity

    def list_weights(self, width: int, hidden: int) -> dict[str, tuple[int, ...]]:
        return {
            "weight_ih": (hidden, width),
            "weight_hh": (hidden,),
            "bias_ih": (hidden,),
            "bias_hh": (hidden,),
        }

    def forward(
        self, x: Tensor, state: Any = None, lengths: Tensor | None = None
    ) -> tuple[Tensor, Any]:
        return run_diagonal_rnn(
            x,
            state,
            list(self.parameters()),
            self.bias,
            self.num_layers,
            self.bidirectional,
            nonlinearity=self.nonlinearity,
            dropout=self.dropout,
            training=self.training,
            lengths=lengths,
        )
''',
    "run_diagonal_rnn": '''\
def run_diagonal_rnn(
    x: Tensor,
    state: Any,
    weights: list[Tensor],
    bias: bool,
    layers: int,
    bidirectional: bool,
    nonlinearity: str = "tanh",
    dropout: float = 0.0,
    training: bool = False,
    lengths: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Recurrent layers in which each unit feeds back to itself alone, and their last states."""
    act = torch.relu if nonlinearity == "relu" else torch.tanh

    def step(mixed: Tensor, state: list[Tensor], weight_hh: Tensor) -> list[Tensor]:
        return [act(mixed + state[0] * weight_hh)]

    if state is None:
        state = x.new_zeros(layers * (1 + bidirectional), len(x), len(weights[1]))
    if not training:
        dropout = 0.0
    y, (final,) = run_cells(
        step, x, [state], weights, bias, layers, bidirectional, dropout, lengths
    )
    return y, final
''',
    "run_cells": '''\
def run_cells(
    step: Callable[..., list[Tensor]],
    x: Tensor,
    starts: list[Tensor],
    weights: list[Tensor],
    bias: bool,
    layers: int,
    bidirectional: bool,
    dropout: float,
    lengths: Tensor | None,
) -> tuple[Tensor, list[Tensor]]:
    """A cell over the places of sequences, in layers and directions, and the last states; behind
    the end of a row states stay, and results are 0."""
    directions = 1 + bidirectional
    count = len(weights) // (layers * directions)
    fed = count - 2 * bias
    places, seen = torch.arange(x.shape[1], device=x.device), None
    if lengths is not None:
        if lengths.min() < 1 or lengths.max() > x.shape[1]:
            raise RuntimeError(f"lengths must lie between 1 and {x.shape[1]}")
        seen = places < lengths.to(x.device)[:, None]
    finals: list[list[Tensor]] = []
    for layer in range(layers):
        x, sides = F.dropout(x, dropout) if layer else x, []
        for number in range(layer * directions, (layer + 1) * directions):
            own = weights[number * count : (number + 1) * count]
            mixed = F.linear(x, own[0], sum(own[fed:]) if bias else None).unbind(1)
            state = [start[number] for start in starts]
            order = range(x.shape[1])
            outputs: dict[int, Tensor] = {}
            for place in reversed(order) if number % directions else order:
                new = step(mixed[place], state, *own[1:fed])
                if seen is not None:
                    here = seen[:, place, None]
                    new = [torch.where(here, n, s) for n, s in zip(new, state)]
                state, outputs[place] = new, new[0]
            sides.append(torch.stack([outputs[place] for place in order], dim=1))
            finals.append(state)
        x = torch.cat(sides, dim=-1)
        if seen is not None:
            x = torch.where(seen[..., None], x, 0)
    return x, [torch.stack(parts) for parts in zip(*finals)]
''',
    "run_lstm": '''\
def run_lstm(
    x: Tensor,
    h: Tensor,
    c: Tensor,
    input_weight: Tensor,
    state_weight: Tensor,
    bias: Tensor | None = None,
    axis: int = 1,
    reverse: bool = False,
) -> tuple[Tensor, Tensor, Tensor]:
    """An LSTM with weights that are given: its output at each step, and its last
    states."""
    weights = [input_weight.contiguous(), state_weight.contiguous()]
    if bias is not None:
        weights += [bias, torch.zeros_like(bias)]
    states = [state[None].contiguous().to(x.dtype) for state in (h, c)]
    options = (bias is not None, 1, 0.0, torch.is_grad_enabled(), False, axis == 1)
    y, h, c = torch.lstm(x.flip(axis) if reverse else x, states, weights, *options)
    return y.flip(axis) if reverse else y, h[0], c[0]
''',
    "run_gru": '''\
def run_gru(
    x: Tensor,
    h: Tensor,
    input_weight: Tensor,
    state_weight: Tensor,
    input_bias: Tensor | None = None,
    state_bias: Tensor | None = None,
    axis: int = 1,
    reverse: bool = False,
) -> tuple[Tensor, Tensor]:
    """A GRU with weights that are given: its output at each step, and its last
    state."""
    weights = [input_weight.contiguous(), state_weight.contiguous()]
    biases = [bias for bias in (input_bias, state_bias) if bias is not None]
    if biases:
        zeros = torch.zeros_like(biases[0])
        weights += [zeros if b is None else b for b in (input_bias, state_bias)]
    options = (len(weights) > 2, 1, 0.0, torch.is_grad_enabled(), False, axis == 1)
    x = x.flip(axis) if reverse else x
    y, h = torch.gru(x, h[None].contiguous().to(x.dtype), weights, *options)
    return y.flip(axis) if reverse else y, h[0]
''',
}
"""Their text, by name."""
