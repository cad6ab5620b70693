"""Functions and classes that generated modules bring along, because PyTorch has none that says
the same."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from backends.pytorch.terms.recurrent_helpers import RECURRENT_HELPERS

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


_CONVOLUTION = ("out_channels", "self._conv_forward(x, weight, self.bias)")
_ROUNDED_LAYERS = {
    **{f"Conv{axes}d": _CONVOLUTION for axes in (1, 2, 3)},
    "Linear": ("out_features", "F.linear(x, weight, self.bias)"),
}
"""Layers whose weight may be rounded: how many scales it has, and the call with what is left."""


def _write_all(prefix: str, write: Callable[[str, str, str], str]) -> dict[str, str]:
    return {f"{prefix}{layer}": write(layer, *said) for layer, said in _ROUNDED_LAYERS.items()}


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
    **_write_all(LEARNED, _write_learned),
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
    **_write_all(ROUNDED, _write_rounded),
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
    "MaskedBatchNorm": '''\
class MaskedBatchNorm(nn.BatchNorm1d):
    """Batch normalisation of the rows that a mask has; the others become 0."""

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        # x: [n, ..., channels]; mask: bool[n, ...]
        y = torch.zeros_like(x)
        y[mask] = super().forward(x[mask])
        return y
''',
    "masked_batch_norm": '''\
def masked_batch_norm(
    x: Tensor,
    mask: Tensor,
    running_mean: Tensor,
    running_var: Tensor,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """Batch normalisation of the rows that a mask has; the others become 0."""
    y = torch.zeros_like(x)
    y[mask] = F.batch_norm(
        x[mask], running_mean, running_var, weight, bias, training, momentum, eps
    )
    return y
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
    **RECURRENT_HELPERS,
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
