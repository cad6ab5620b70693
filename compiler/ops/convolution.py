"""Convolution and transposed convolution over one, two or three axes of space."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import ClassVar, final

import numpy as np

from compiler.ir.channels import Numbers, ZeroChannels
from compiler.ir.coupling import Coupling, CutTensor, counts_groups, couple_convolution, cut_groups
from compiler.ir.graph import Node, Op
from compiler.ir.inputs import NodeInput, OnnxInput, list_values
from compiler.ir.onnx_builder import OnnxBuilder, Values
from compiler.ir.operands import Array, Arrays, Assume, Results, Types, Weight
from compiler.ir.symbols import Slopes, Symbol
from compiler.ops.axes import need_float, operand_type
from compiler.ops.layers import (
    LinearLayer,
    find_unmade,
    given,
    known,
    need_channels,
    need_divisor,
    need_least,
    need_output_divisor,
    need_weights,
    refuse_option,
    widen,
)
from compiler.ops.magnitudes import measure_terms
from compiler.ops.modules import input_type
from compiler.ops.registry import OPS
from compiler.ops.window_slopes import correlate_windows, cut_space, scatter_windows
from compiler.ops.windows import (
    Padding,
    Sizes,
    Window,
    array_sizes,
    collapse,
    convolve,
    count_along,
    count_padded,
    count_windows,
    make_windows,
    need_layout,
    need_positive,
    pad_space,
    pick,
    spell_sizes,
    spread,
    turn_same,
    view_windows,
    write_windows,
)
from compiler.records import dataclass
from compiler.types.dims import Dim, product
from compiler.types.tensor import TensorType
from compiler.vocabulary.signature import Operand
from compiler.vocabulary.spelling import Call, In, Leaf, Term
from compiler.vocabulary.spelling import Sequence as Items


class Convolution(LinearLayer):
    """Base of convolutions: channels stand on axis 1, and space behind them."""

    channel_axis = 1
    axis_by_axis = True
    torch_sizes: ClassVar[Mapping[str, int]] = {"in_channels": 1}
    torch_widths: ClassVar[Mapping[str, int]] = {"out": 1}
    torch_roles: ClassVar[Mapping[str, str]] = {"out": "channels", "kernel": "kernel_size"}
    shaping = ("out", "kernel", "bias")
    operands = (Operand("x"),)
    sizing = frozenset({"padding"})
    kernel: Sizes
    stride: Sizes
    padding: Padding
    dilation: Sizes
    groups: int

    def need_options(self, axes: int) -> None:
        """Raises `Fault` for numbers that no convolution has."""
        for option, value, least in (
            ("out", self.out, 1),
            ("kernel", self.kernel, 1),
            ("stride", self.stride, 1),
            ("padding", self.padding, 0),
            ("dilation", self.dilation, 1),
            ("groups", self.groups, 1),
        ):
            if not isinstance(value, str):
                need_least(self.name, option, spread(option, value, axes), least)

    def couple(
        self, outputs: Results, x: NodeInput, weight: NodeInput, bias: NodeInput | None = None
    ) -> Coupling:
        return couple_convolution(x, weight, bias, self.out, self.groups, made=self.made_axis)

    def cut(self, inputs: Sequence[CutTensor | None], outputs: Sequence[CutTensor]) -> Op:
        assert inputs[0] is not None, "a convolution has an input"
        groups = cut_groups(inputs[0], 1, self.groups)
        out = known(outputs[0].type.shape[1])
        return replace(self, out=out, groups=groups)  # type: ignore[type-var]

    def spell_setting(self, field: str, node: Node) -> Term | None:
        """An option with a number for each axis of space is one number where all are the same."""
        term = super().spell_setting(field, node)
        return spell_sizes(term) if isinstance(term, Leaf) else term


@OPS.register
@final
@dataclass(frozen=True)
class Conv(Convolution):
    """Convolution (cross-correlation) over the axes of space.

        y[n, o, p] = bias[o] + Σ_{c, k} weight[o, c, k] * x[n, c, q]
        q = stride * p + dilation * k - padding

    The number of axes of space, one to three, is read from the input.

    Shapes: x `f32[n, c, size…]` -> `f32[n, out, result…]` with `result = (size + 2 * padding -
    dilation * (kernel - 1) - 1) // stride + 1`; weight `[out, c / groups, kernel…]`, bias `[out]`.

    - `out`: output channels.
    - `kernel`, `stride`, `dilation`: one number, or a list with one for each axis of space.
    - `padding`: zeros on both sides; `"valid"` is 0; `"same"` gives ceil(size / stride) outputs,
      with the odd zero after (for a stride over 1 this is the rule of TensorFlow and Keras;
      PyTorch has none).
    - `groups`: divides channels into groups that do not see each other; `groups=c` is depthwise.
    - `bias`: whether a number per output channel is added.

    Cost: c / groups * kernel… multiply-adds for each entry of the result.
    Errors: W0312 where `groups` does not divide the channels, W0350 for another number of axes,
    W0351 where the kernel is larger than its input, W0354 where the channels are not known.
    Example: `y = image -> conv(64, kernel=3, padding=1) -> relu`
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.Conv2d.html
    """

    name = "conv"
    in_integers = "layer"
    torch_function = "F.conv{axes}d"
    torch_module = "nn.Conv{axes}d"
    out: int
    kernel: Sizes
    stride: Sizes = 1
    padding: Padding = 0
    dilation: Sizes = 1
    groups: int = 1
    bias: bool = True

    def windows(self, sizes: Sequence[Dim]) -> tuple[Window, ...]:
        """One window for each axis of space of these sizes; raises `Fault` where an option does
        not fit them."""
        axes = len(sizes)
        kernel = spread("kernel", self.kernel, axes)
        stride = spread("stride", self.stride, axes)
        dilation = spread("dilation", self.dilation, axes)
        return make_windows(kernel, stride, dilation, self.padding, sizes)

    def weights(self, operands: Types) -> tuple[Weight, ...]:
        x = operand_type(operands, 0)
        need_float(self.name, x)
        axes = need_layout(self.name, x)
        self.need_options(axes)
        channels = need_channels(self.name, x)
        need_divisor(self.groups, channels, x)
        need_output_divisor(self.groups, self.out)
        shape = (self.out, channels // self.groups, *spread("kernel", self.kernel, axes))
        return self.make_weights(x, shape)

    def infer(self, assume: Assume, x: TensorType, *weights: TensorType) -> tuple[TensorType, ...]:
        need_weights(self, (x, *weights))
        space = count_windows(self.windows(x.shape[2:]), x.shape[2:], x, assume)
        return (TensorType(x.dtype, (x.shape[0], Dim.of(self.out), *space)),)

    def follow_size(
        self, output: int, axis: int, size: Dim, options: Mapping[str, Dim]
    ) -> Dim | None:
        if axis < 2:
            return None
        stride = pick("stride", self.stride, axis, options)
        if self.padding == "same":
            return size if stride == 1 else None
        padding = 0 if self.padding == "valid" else pick("padding", self.padding, axis, options)
        dilation = pick("dilation", self.dilation, axis, options)
        span = dilation * (pick("kernel", self.kernel, axis, options) - 1) + 1
        return count_along(size + padding * 2, span, stride)

    def magnitudes(self, operands: Arrays, results: Sequence[Array]) -> Sequence[Array | float]:
        return measure_terms(self, operands, results, math.prod(given(operands[1]).shape[1:]))

    def evaluate(self, x: Array, weight: Array, bias: Array | None = None) -> tuple[Array, ...]:
        windows = self.windows(array_sizes(x))
        view = view_windows(pad_space(widen(x), windows), windows)
        y = convolve(view, widen(weight), self.groups)
        if bias is not None:
            y = y + widen(bias).reshape(-1, *[1] * (x.ndim - 2))
        return (y.astype(x.dtype, copy=False),)

    def pull_back(
        self, slope: Symbol, result: Symbol, x: Symbol, weight: Symbol, bias: Symbol | None = None
    ) -> Slopes:
        sizes, windows = x.shape[2:], self.windows(x.shape[2:])

        def by_weight() -> Symbol:
            padded = [size + w.low + w.high for size, w in zip(sizes, windows, strict=True)]
            seen = cut_space(x, [-w.low for w in windows], padded)
            return correlate_windows(seen, slope, windows, weight.shape, self.groups)

        made: Slopes = [
            lambda: scatter_windows(slope, weight, windows, sizes, self.groups),
            by_weight,
        ]
        return made if bias is None else [*made, lambda: slope.sum(_without_channels(slope))]

    def multiply_adds(self, inputs: Types, outputs: Sequence[TensorType]) -> Dim:
        return outputs[0].size * product(operand_type(inputs, 1).shape[1:])

    def scratch(self, inputs: Types, outputs: Sequence[TensorType]) -> Dim:
        x = operand_type(inputs, 0)
        return count_padded(x, self.windows(x.shape[2:]))

    def spell_operands(self, node: Node) -> tuple[Term, ...]:
        return (self._spell_padding(input_type(node))[0],)

    def spell_setting(self, field: str, node: Node) -> Term | None:
        if field == "padding":
            return self._spell_padding(input_type(node))[1]
        return super().spell_setting(field, node)

    def _spell_padding(self, x: TensorType) -> tuple[Term, Term]:
        """The input, padded where the module cannot do it, and the module's padding."""
        if self.padding == "valid":
            return In(0), Leaf(0, "padding", 0)
        if self.padding != "same":
            return In(0), spell_sizes(self.leaf("padding"))
        windows = self.windows(x.shape[2:])
        if all(w.stride == 1 for w in windows):
            return In(0), Leaf("same", "padding", 0, "padding")
        if all(w.low == w.high and w.low.known is not None for w in windows):
            lows = collapse(tuple(known(w.low) for w in windows))
            return In(0), Leaf(lows, "padding", 0, dim=("along", 0, 2))
        # F.pad counts axes from the last.
        pads = [w for window in reversed(windows) for w in (window.low, window.high)]
        amounts = tuple(
            Leaf(p if p.known is None else p.known, "pad", dim=("along", 0, 2)) for p in pads
        )
        return Call("F.pad", (In(0), Items(amounts))), Leaf(0, "padding", 0)

    def onnx(
        self,
        build: OnnxBuilder,
        outputs: Results,
        x: OnnxInput,
        weight: OnnxInput,
        bias: OnnxInput | None = None,
    ) -> Values:
        value, windows = x.value, self.windows(x.shape[2:])
        if any(w.pads is None for w in windows) and any(w.dilation != 1 for w in windows):
            # runtime_faults: same_with_dilation
            zeros = [Dim.of(0)] * 2
            pads = [*zeros, *(w.low for w in windows), *zeros, *(w.high for w in windows)]
            value = build.op("Pad", [value, build.shape(pads)])
            windows = tuple(replace(w, low=zeros[0], high=zeros[0]) for w in windows)
        attributes = write_windows(windows)
        if self.groups != 1:
            attributes["group"] = self.groups
        return [build.op("Conv", [value, *list_values(weight, bias)], attributes)]

    def list_rows(self, x: Array) -> Array | None:
        if self.groups != 1:
            return None
        windows = self.windows(array_sizes(x))
        view = view_windows(pad_space(x, windows), windows)
        axes = x.ndim - 2
        # [batch, channels, space…, kernel…] -> rows by place, columns by channel and kernel
        order = (0, *range(2, 2 + axes), 1, *range(2 + axes, 2 + 2 * axes))
        rows = np.transpose(view, order)
        return rows.reshape(-1, math.prod(rows.shape[1 + axes :])).astype(np.float64)


@OPS.register
@final
@dataclass(frozen=True)
class ConvTranspose(Convolution):
    """Transposed convolution: every input entry adds its multiple of the kernel to the output.

        y[n, o, stride * p + dilation * k - padding] += weight[c, o, k] * x[n, c, p]

    It is the gradient of `conv` by its input, and learns to enlarge. The number of axes of
    space, one to three, is read from the input.

    Shapes: x `f32[n, c, size…]` -> `f32[n, out, result…]` with `result = (size - 1) * stride - 2 *
    padding + dilation * (kernel - 1) + output_padding + 1`; weight `[c, out / groups, kernel…]`,
    bias `[out]`.

    - `out`: output channels.
    - `kernel`, `stride`, `dilation`: one number, or a list with one for each axis of space.
    - `padding`: entries cut off both sides of the output; `"valid"` is 0; `"same"` gives size *
      stride outputs where that cuts both sides alike, or adds entries after.
    - `output_padding`: entries added after the output; smaller than the stride or dilation.
    - `groups`: divides channels into groups that do not see each other.
    - `bias`: whether a number per output channel is added.

    Cost: out / groups * kernel… multiply-adds for each entry of x.
    Errors: W0312 where `groups` does not divide the channels, W0350 for another number of axes,
    W0353 where `output_padding` is too large, W0354 where the channels are not known.
    Example: `y = features -> conv_transpose(32, kernel=2, stride=2)`
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.ConvTranspose2d.html
    """

    name = "conv_transpose"
    made_axis = 1
    torch_function = "F.conv_transpose{axes}d"
    torch_module = "nn.ConvTranspose{axes}d"
    out: int
    kernel: Sizes
    stride: Sizes = 1
    padding: Padding = 0
    output_padding: Sizes = 0
    groups: int = 1
    bias: bool = True
    dilation: Sizes = 1

    def windows(self, axes: int) -> tuple[Window, ...]:
        """The windows of the convolution that this one turns round."""
        kernel, stride = spread("kernel", self.kernel, axes), spread("stride", self.stride, axes)
        dilation = spread("dilation", self.dilation, axes)
        if self.padding == "same":
            return turn_same(kernel, stride, dilation)
        return make_windows(kernel, stride, dilation, self.padding, [Dim.of(1)] * axes)

    def added(self, axes: int) -> tuple[int, ...]:
        """The entries added after each axis of the output."""
        if self.padding == "same" and self.output_padding == 0:
            return tuple(max(w.stride - w.span, 0) for w in self.windows(axes))
        return spread("output_padding", self.output_padding, axes)

    def weights(self, operands: Types) -> tuple[Weight, ...]:
        x = operand_type(operands, 0)
        need_float(self.name, x)
        axes = need_layout(self.name, x)
        self.need_options(axes)
        self._need_output_padding(axes)
        channels = need_channels(self.name, x)
        need_divisor(self.groups, channels, x)
        need_output_divisor(self.groups, self.out)
        shape = (channels, self.out // self.groups, *spread("kernel", self.kernel, axes))
        return self.make_weights(x, shape)

    def _need_output_padding(self, axes: int) -> None:
        extra = self.added(axes)
        need_least(self.name, "output_padding", extra, 0)
        if self.padding == "same" and self.output_padding != 0:
            refuse_option(self.name, "output_padding", max(extra), '0 with `padding="same"`')
        for window, added in zip(self.windows(axes), extra, strict=True):
            most = max(window.stride, window.dilation) - 1  # PyTorch and ONNX ask for this
            if added > most:
                refuse_option(self.name, "output_padding", added, f"at most {most}")

    def infer(self, assume: Assume, x: TensorType, *weights: TensorType) -> tuple[TensorType, ...]:
        need_weights(self, (x, *weights))
        axes = x.rank - 2
        extra = self.added(axes)
        space = []
        for axis, (window, added) in enumerate(zip(self.windows(axes), extra, strict=True), 2):
            full = (x.shape[axis] - 1) * window.stride + window.span + added
            size = full - window.low - window.high
            need_positive(size, "padding", axis, x, assume)
            space.append(size)
        return (TensorType(x.dtype, (x.shape[0], Dim.of(self.out), *space)),)

    def follow_size(
        self, output: int, axis: int, size: Dim, options: Mapping[str, Dim]
    ) -> Dim | None:
        if axis < 2 or self.padding == "same":
            return None
        padding = 0 if self.padding == "valid" else pick("padding", self.padding, axis, options)
        dilation = pick("dilation", self.dilation, axis, options)
        span = dilation * (pick("kernel", self.kernel, axis, options) - 1) + 1
        added = pick("output_padding", self.output_padding, axis, options)
        stride = pick("stride", self.stride, axis, options)
        return (size - 1) * stride - padding * 2 + span + added

    def magnitudes(self, operands: Arrays, results: Sequence[Array]) -> Sequence[Array | float]:
        weight = given(operands[1])
        count = weight.size // (weight.shape[1] * self.groups)
        return measure_terms(self, operands, results, count)

    def evaluate(self, x: Array, weight: Array, bias: Array | None = None) -> tuple[Array, ...]:
        dtype = x.dtype
        x, weight = widen(x), widen(weight)
        axes = x.ndim - 2
        windows = self.windows(axes)
        extra = self.added(axes)
        pieces = _spread_entries(x, weight, self.groups)
        sizes = [
            (s - 1) * w.stride + w.span + e
            for s, w, e in zip(x.shape[2:], windows, extra, strict=True)
        ]
        y = np.zeros((x.shape[0], self.out, *sizes), x.dtype)
        for offset in np.ndindex(*weight.shape[2:]):
            place = tuple(
                slice(w.dilation * k, w.dilation * k + (s - 1) * w.stride + 1, w.stride)
                for k, w, s in zip(offset, windows, x.shape[2:], strict=True)
            )
            y[:, :, *place] += pieces[:, :, *offset]
        cut = [slice(known(w.low), s - known(w.high)) for w, s in zip(windows, sizes, strict=True)]
        y = y[:, :, *cut]
        if bias is not None:
            y = y + widen(bias).reshape(-1, *[1] * axes)
        return (y.astype(dtype, copy=False),)

    def pull_back(
        self, slope: Symbol, result: Symbol, x: Symbol, weight: Symbol, bias: Symbol | None = None
    ) -> Slopes:
        windows = self.windows(x.rank - 2)
        pairs = zip(x.shape[2:], windows, strict=True)
        full = [(size - 1) * window.stride + window.span for size, window in pairs]
        whole = cut_space(slope, [-window.low for window in windows], full)
        options = {
            name: tuple(getattr(window, name) for window in windows)
            for name in ("kernel", "stride", "dilation")
        }
        out = known(x.shape[1])
        made: Slopes = [
            lambda: whole.apply("conv", weight, out=out, groups=self.groups, bias=False, **options),
            lambda: correlate_windows(whole, x, windows, weight.shape, self.groups),
        ]
        return made if bias is None else [*made, lambda: slope.sum(_without_channels(slope))]

    def multiply_adds(self, inputs: Types, outputs: Sequence[TensorType]) -> Dim:
        return operand_type(inputs, 0).size * product(operand_type(inputs, 1).shape[1:])

    def spell_setting(self, field: str, node: Node) -> Term | None:
        axes = input_type(node).rank - 2
        match field:
            case "padding":
                cut = tuple(known(window.low) for window in self.windows(axes))
                return spell_sizes(replace(self.leaf(field), value=cut))
            case "output_padding":
                return spell_sizes(replace(self.leaf(field), value=self.added(axes)))
        return super().spell_setting(field, node)

    def onnx(
        self,
        build: OnnxBuilder,
        outputs: Results,
        x: OnnxInput,
        weight: OnnxInput,
        bias: OnnxInput | None = None,
    ) -> Values:
        axes = x.rank - 2
        windows, extra = self.windows(axes), self.added(axes)
        behind = [0] * axes
        if any(e >= w.stride for e, w in zip(extra, windows, strict=True)):
            # runtime_faults: output_padding. What is added is cut off less, or is zeros behind.
            behind = [max(e - known(w.high), 0) for e, w in zip(extra, windows, strict=True)]
            windows = tuple(
                replace(w, high=Dim.of(max(known(w.high) - e, 0)))
                for e, w in zip(extra, windows, strict=True)
            )
            extra = (0,) * axes
        attributes = write_windows(windows)
        if self.groups != 1:
            attributes["group"] = self.groups
        if any(extra):
            attributes["output_padding"] = extra
        if not any(behind):
            return [build.op("ConvTranspose", list_values(x, weight, bias), attributes)]
        made = build.op("ConvTranspose", [x.value, weight.value], attributes)
        pads = np.array([0] * (axes + 4) + behind, np.int64)
        made = build.op("Pad", [made, build.constant(pads)])
        if bias is None:
            return [made]
        channels = (Dim.of(self.out),)
        added = build.reshape(bias.value, channels, (*channels, *[Dim.of(1)] * axes))
        return [build.op("Add", [made, added])]

    def find_zeros(self, inputs: ZeroChannels) -> Numbers:
        channels = operand_type(inputs.types, 0).shape[1].known or 0
        whole = self.groups > 1 and counts_groups(channels, self.groups)
        return find_unmade(inputs, 0 if whole else 1)

    def list_rows(self, x: Array) -> None:
        return None


def _without_channels(slope: Symbol) -> list[int]:
    """The axes of samples and of space."""
    return [axis for axis in range(slope.rank) if axis != 1]


def _spread_entries(x: Array, weight: Array, groups: int) -> Array:
    """Every input entry times the kernel: `[n, out, *kernel, *size]`."""
    n, channels, *sizes = x.shape
    inner = channels // groups
    entries = x.reshape(n, groups, inner, math.prod(sizes)).swapaxes(0, 1)
    columns = weight.reshape(groups, inner, -1).swapaxes(1, 2)[:, None]
    out = weight.shape[1] * groups
    pieces: Array = np.matmul(columns, entries)
    return pieces.swapaxes(0, 1).reshape(n, out, *weight.shape[2:], *sizes)
