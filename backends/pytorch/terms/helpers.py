"""Functions and classes that generated modules bring along, because PyTorch has none that says
the same."""

from __future__ import annotations

import re
from collections.abc import Mapping

ROUNDED = "Rounded"
"""Begins the name of a layer whose weight is rounded: `RoundedConv2d` is an `nn.Conv2d`."""


def _write_rounded(layer: str, size: str, call: str) -> str:
    return f'''\
class {ROUNDED}{layer}(nn.{layer}):
    """An `nn.{layer}` that computes with its weight rounded to 8 bits; gradients pass as if it
    were not."""

    def __init__(self, *args: Any, per_channel: bool = True, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        shape = (self.{size},) if per_channel else ()
        self.register_buffer("weight_scale", torch.ones(shape))
        self.register_buffer("weight_zero_point", torch.zeros(shape, dtype=torch.int32))

    def forward(self, x: Tensor) -> Tensor:
        scale, zero_point = self.weight_scale, self.weight_zero_point
        if scale.ndim == 0:
            weight = torch.fake_quantize_per_tensor_affine(
                self.weight, scale, zero_point, -128, 127
            )
        else:
            weight = torch.fake_quantize_per_channel_affine(
                self.weight, scale, zero_point, 0, -128, 127
            )
        return {call}
'''


LEARNED = "Learned"
"""Begins the name of a layer whose weight is rounded in steps that are learned."""


def _write_learned(layer: str, size: str, call: str) -> str:
    return f'''\
class {LEARNED}{layer}(nn.{layer}):
    """An `nn.{layer}` that computes with its weight rounded to 8 bits, in steps that are
    learned."""

    def __init__(self, *args: Any, per_channel: bool = True, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        shape = (self.{size},) if per_channel else ()
        self.weight_scale = nn.Parameter(torch.ones(shape))
        self.register_buffer("weight_zero_point", torch.zeros(shape, dtype=torch.int32))

    def forward(self, x: Tensor) -> Tensor:
        weight = round_to_steps(
            self.weight, self.weight_scale, self.weight_zero_point, -128, 127
        )
        return {call}
'''


HELPERS: Mapping[str, str] = {
    "LearnedQuantize": '''\
class LearnedQuantize(nn.Module):
    """Rounds to steps of `scale`, which is learned, from level `low` to level `high`."""

    def __init__(self, low: int, high: int) -> None:
        super().__init__()
        self.low, self.high = low, high
        self.scale = nn.Parameter(torch.ones(()))
        self.register_buffer("zero_point", torch.zeros((), dtype=torch.int32))

    def forward(self, x: Tensor) -> Tensor:
        return round_to_steps(x, self.scale, self.zero_point, self.low, self.high)
''',
    "LearnedConv1d": _write_learned(
        "Conv1d", "out_channels", "self._conv_forward(x, weight, self.bias)"
    ),
    "LearnedConv2d": _write_learned(
        "Conv2d", "out_channels", "self._conv_forward(x, weight, self.bias)"
    ),
    "LearnedConv3d": _write_learned(
        "Conv3d", "out_channels", "self._conv_forward(x, weight, self.bias)"
    ),
    "LearnedLinear": _write_learned("Linear", "out_features", "F.linear(x, weight, self.bias)"),
    "round_to_steps": '''\
def round_to_steps(
    x: Tensor, scale: Tensor, zero_point: Tensor, low: int, high: int, axis: int = 0
) -> Tensor:
    """Rounds to levels times `scale`. Gradients pass the rounding as if it were not there, and
    reach the scale, made smaller by the root of how many numbers share it times the levels
    (LSQ; Esser et al. 2020)."""
    share = (x.numel() / scale.numel() * high) ** -0.5
    scale = scale * share + (scale - scale * share).detach()
    if scale.ndim:
        shape = [-1 if a == axis else 1 for a in range(x.ndim)]
        scale, zero_point = scale.view(shape), zero_point.view(shape)
    levels = (x / scale).clamp(low - zero_point, high - zero_point)
    levels = levels + (levels.round() - levels).detach()
    return levels * scale
''',
    "FakeQuantize": '''\
class FakeQuantize(nn.Module):
    """Rounds to steps of `scale`, from level `low` to level `high`; inside that range,
    gradients pass as if it did not."""

    def __init__(self, low: int, high: int) -> None:
        super().__init__()
        self.low, self.high = low, high
        self.register_buffer("scale", torch.ones(()))
        self.register_buffer("zero_point", torch.zeros((), dtype=torch.int32))

    def forward(self, x: Tensor) -> Tensor:
        return torch.fake_quantize_per_tensor_affine(
            x, self.scale, self.zero_point, self.low, self.high
        )
''',
    "RoundedConv1d": _write_rounded(
        "Conv1d", "out_channels", "self._conv_forward(x, weight, self.bias)"
    ),
    "RoundedConv2d": _write_rounded(
        "Conv2d", "out_channels", "self._conv_forward(x, weight, self.bias)"
    ),
    "RoundedConv3d": _write_rounded(
        "Conv3d", "out_channels", "self._conv_forward(x, weight, self.bias)"
    ),
    "RoundedLinear": _write_rounded("Linear", "out_features", "F.linear(x, weight, self.bias)"),
    "DynamicLinear": '''\
class DynamicLinear(nn.Module):
    """A linear layer with a weight of 8 bits that rounds its input at each call."""

    def __init__(self, in_features: int, out_features: int, bias: bool = True) -> None:
        super().__init__()
        codes = torch.zeros(out_features, in_features, dtype=torch.int8)
        self.register_buffer("codes", codes)
        self.register_buffer("scale", torch.ones(out_features))
        self.bias = nn.Parameter(torch.zeros(out_features)) if bias else None

    def forward(self, x: Tensor) -> Tensor:
        weight = self.codes * self.scale[:, None]
        return F.linear(round_to_bytes(x), weight, self.bias)
''',
    "PackedLinear": '''\
class PackedLinear(nn.Module):
    """A linear layer with a weight of few bits: levels from 0, and a scale for each
    block of a row; without zero points, level `middle` stands for 0."""

    def __init__(
        self,
        in_features: int,
        out_features: int,
        block: int,
        middle: int | None = None,
        bias: bool = True,
    ) -> None:
        super().__init__()
        self.block, self.middle = block, middle
        blocks = (out_features, -(-in_features // block))
        codes = torch.zeros(out_features, in_features, dtype=torch.uint8)
        self.register_buffer("codes", codes)
        self.register_buffer("scale", torch.ones(blocks))
        if middle is None:
            self.register_buffer("zero_point", torch.zeros(blocks, dtype=torch.uint8))
        self.bias = nn.Parameter(torch.zeros(out_features)) if bias else None

    def forward(self, x: Tensor) -> Tensor:
        zero_point = self.middle
        if zero_point is None:
            zero_point = self.spread(self.zero_point)
        weight = (self.codes.float() - zero_point) * self.spread(self.scale)
        return F.linear(x, weight, self.bias)

    def spread(self, blocks: Tensor) -> Tensor:
        """One number for each entry of a row instead of one for each block."""
        return blocks.repeat_interleave(self.block, dim=1)[:, : self.codes.shape[1]]
''',
    "nms": '''\
def nms(boxes: Tensor, scores: Tensor, iou_threshold: float, most: int) -> Tensor:
    """Non-maximum suppression: places of the boxes that no better one overlaps by more than the
    threshold, best first, and -1 behind them."""
    low = torch.minimum(boxes[:, :2], boxes[:, 2:])
    high = torch.maximum(boxes[:, :2], boxes[:, 2:])
    area = (high - low).prod(dim=1)
    order = scores.argsort(descending=True, stable=True)
    kept = torch.full((most,), -1, device=boxes.device)
    for place in range(most):
        if not len(order):
            break
        best, order = order[0], order[1:]
        kept[place] = best
        size = torch.minimum(high[best], high[order]) - torch.maximum(low[best], low[order])
        both = size.clamp(min=0).prod(dim=1)
        overlap = both / (area[best] + area[order] - both)
        order = order[~(overlap > iou_threshold)]
    return kept
''',
    "spectral_norm": '''\
def spectral_norm(
    weight: Tensor,
    u: Tensor,
    v: Tensor,
    axis: int = 0,
    iterations: int = 1,
    eps: float = 1e-12,
    training: bool = False,
) -> Tensor:
    """A weight divided by its largest singular value. In training, the buffers u and v follow its
    vectors by power iteration."""
    matrix = weight.movedim(axis, 0).flatten(1)
    if training:
        with torch.no_grad():
            for _ in range(iterations):
                v.copy_(F.normalize(matrix.T.mv(u), dim=0, eps=eps))
                u.copy_(F.normalize(matrix.mv(v), dim=0, eps=eps))
    # The next call changes them before gradients pass this one.
    return weight / (u.clone() @ matrix.mv(v.clone()))
''',
    "top_k": '''\
def top_k(
    x: Tensor, k: int, dim: int = -1, largest: bool = True
) -> tuple[Tensor, Tensor]:
    """The k largest entries and their places; of equals the first ones, which `torch.topk`
    leaves open."""
    values, places = x.sort(dim=dim, descending=largest, stable=True)
    return values.narrow(dim, 0, k), places.narrow(dim, 0, k)
''',
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
    places = torch.arange(x.shape[1], device=x.device)
    seen = None if lengths is None else places < lengths.to(x.device)[:, None]
    finals: list[list[Tensor]] = []
    for layer in range(layers):
        x, sides = F.dropout(x, dropout) if layer else x, []
        for number in range(layer * directions, (layer + 1) * directions):
            own = weights[number * count : (number + 1) * count]
            mixed = F.linear(x, own[0], sum(own[fed:]) if bias else None)
            state = [start[number] for start in starts]
            order = range(x.shape[1])
            outputs: dict[int, Tensor] = {}
            for place in reversed(order) if number % directions else order:
                new = step(mixed[:, place], state, *own[1:fed])
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
    "round_to_bytes": '''\
def round_to_bytes(x: Tensor) -> Tensor:
    """What x is worth in 256 levels between its least and its greatest number and 0."""
    low, high = x.min().clamp(max=0), x.max().clamp(min=0)
    scale = (high - low) / 255
    scale = torch.where(scale == 0, 1.0, scale)
    zero_point = (-low / scale).round()
    levels = ((x / scale).round() + zero_point).clamp(0, 255)
    return (levels - zero_point) * scale
''',
}
"""Their text, by name."""


def _uses(name: str) -> str:
    """The pattern of a call, or of the base of a class."""
    return rf"(?<!class )(?<!def )(?<![.\w]){name}(\(|\):$)"


def find_helpers(text: str) -> list[str]:
    """The texts of what code calls, and of what those call, in order of their names."""
    found: dict[str, str] = {}
    while True:
        calling = "\n".join([text, *found.values()])
        more = {
            name: source
            for name, source in HELPERS.items()
            if name not in found and re.search(_uses(name), calling, re.MULTILINE)
        }
        if not more:
            return [source.rstrip("\n") for _, source in sorted(found.items())]
        found |= more
