"""Spectra of signals: the short-time Fourier transform."""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

import numpy as np

from compiler.ir.coupling import Coupling, tie_same
from compiler.ir.graph import Node, Op
from compiler.ir.inputs import NodeInput, OnnxInput
from compiler.ir.onnx_builder import OnnxBuilder, Values
from compiler.ir.operands import Array, Arrays, Assume, Results, Types
from compiler.ops.axes import axes_constant, need_single_or_double, unsqueeze
from compiler.ops.gathering import need_one_dtype
from compiler.ops.layers import need_least
from compiler.ops.registry import OPS
from compiler.records import dataclass
from compiler.report.diagnostics import Fault
from compiler.report.messages.tensor_operands import bad_option
from compiler.report.messages.tensor_shapes import wrong_rank
from compiler.types.dims import Dim, at_most, equal
from compiler.types.tensor import TensorType
from compiler.vocabulary.signature import Operand
from compiler.vocabulary.spelling import Call, In, Leaf, Spelling


@OPS.register
@final
@dataclass(frozen=True)
class Stft(Op):
    """The short-time Fourier transform of real signals: spectra of windows that slide over them.

    With centred windows, the signal is reflected at both ends first, by half a window. The last
    axis of the result has the real and the imaginary part (`torch.view_as_real` of
    `torch.stft`): `y[n, f, t] = Σ_k x[n, t * hop + k] window[k] exp(-2πi f k / n_fft)`.
    `std.signals` has windows, power spectra and `log_mel`.

    Shapes: x `f32[n, t]`, window `f32[n_fft]` -> `f32[n, n_fft // 2 + 1, frames, 2]`.
    Cost: n_fft multiply-adds for each entry, as if there were no fast transform.

    - `n_fft`: entries of a window.
    - `hop_length`: distance of windows; none is a quarter of `n_fft`.
    - `center`: whether window t is centred at entry `t * hop_length`; else it begins there.

    Errors: W0353 for numbers below 1, W0380 for other axes, W0382 where x is not f32 or f64, W0392
    where the window has another length or the signal is too short, W0397 where dtypes differ.
    Example: `spectrum = stft(wave, hann_window(400), n_fft=400, hop_length=160)`
    Source: https://docs.pytorch.org/docs/stable/generated/torch.stft.html
    """

    name = "stft"
    keeps_f32 = True
    operands = (Operand("x"), Operand("window"))

    n_fft: int
    hop_length: int | None = None
    center: bool = True

    @property
    def hop(self) -> int:
        """The distance of windows."""
        return self.n_fft // 4 if self.hop_length is None else self.hop_length

    @property
    def reflected(self) -> int:
        """Entries that are put before the signal, and behind it."""
        return self.n_fft // 2 if self.center else 0

    def infer(self, assume: Assume, x: TensorType, window: TensorType) -> tuple[TensorType, ...]:
        need_least(self.name, "n_fft", self.n_fft, 1)
        need_least(self.name, "hop_length", self.hop, 1)
        need_single_or_double(self.name, x)
        if x.rank != 2:
            raise Fault(lambda where: wrong_rank(where.call, "stft", "signals `[batch, t]`", x))
        need_one_dtype(self.name, x, window)
        if window.rank != 1:
            raise Fault(lambda where: wrong_rank(where.call, "stft", "a vector as window", window))
        if not equal(window.shape[0], Dim.of(self.n_fft)):
            reason = f"the window {window} has not {self.n_fft} entries"
            raise Fault(lambda where: bad_option(where.argument("n_fft"), "stft", "n_fft", reason))
        least = Dim.of(self.reflected + 1 if self.center else self.n_fft)
        fits = at_most(least, x.shape[1])
        if fits is None:
            assume(least, "<=", x.shape[1])
        elif not fits:
            reason = f"signals of {x.shape[1]} entries need {least} at least"
            raise Fault(lambda where: bad_option(where.argument("n_fft"), "stft", "n_fft", reason))
        frames = (x.shape[1] + 2 * self.reflected - self.n_fft) // self.hop + 1
        bins = Dim.of(self.n_fft // 2 + 1)
        return (TensorType(x.dtype, (x.shape[0], bins, frames, Dim.of(2))),)

    def magnitudes(self, operands: Arrays, results: Sequence[Array]) -> Sequence[Array | float]:
        x, window = (np.abs(np.asarray(a, np.float64)) for a in operands)
        sums = (self._view(x) * window).sum(axis=-1)
        return [sums[:, None, :, None] * max(np.log2(self.n_fft), 1.0)]

    def _view(self, x: Array) -> Array:
        """The windows of signals: `[n, frames, n_fft]`."""
        wide = np.pad(x, [(0, 0), (self.reflected,) * 2], mode="reflect") if self.reflected else x
        view = np.lib.stride_tricks.sliding_window_view(wide, self.n_fft, axis=1)
        return view[:, :: self.hop]

    def evaluate(self, x: Array, window: Array) -> tuple[Array, ...]:
        spectrum = np.fft.rfft(self._view(x.astype(np.float64)) * window, axis=-1)
        parts = np.stack([spectrum.real, spectrum.imag], axis=-1)
        return (parts.transpose(0, 2, 1, 3).astype(x.dtype),)

    def multiply_adds(self, inputs: Types, outputs: Sequence[TensorType]) -> Dim:
        return outputs[0].size * self.n_fft

    def couple(self, outputs: Results, x: NodeInput, window: NodeInput) -> Coupling:
        return Coupling(tie_same(x, 1))

    def torch(self, node: Node) -> Spelling:
        options = (
            ("hop_length", self.leaf("hop_length")),
            ("window", In(1)),
            ("center", self.leaf("center")),
            ("return_complex", Leaf(True)),
        )
        spectrum = Call("torch.stft", (In(0), self.leaf("n_fft")), options)
        return Spelling(Call("torch.view_as_real", (spectrum,)))

    def onnx(self, build: OnnxBuilder, outputs: Results, x: OnnxInput, window: OnnxInput) -> Values:
        signal = x.value
        if self.reflected:
            around = axes_constant(build, [0, self.reflected, 0, self.reflected])
            signal = build.op("Pad", [signal, around], {"mode": "reflect"})
        hop = build.constant(np.array(self.hop, np.int64))
        given = [unsqueeze(build, signal, [x.rank]), hop, window.value]
        made = build.op("STFT", given, {"onesided": 1})
        return [build.op("Transpose", [made], {"perm": [0, 2, 1, 3]})]
