"""Dynamic quantization: dense layers multiply integers, with the scale of their input found at
each call."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from compiler.compression.base import CompressionContext
from compiler.compression.context import LayerNote
from compiler.compression.quantization.base import SCHEMES, Scheme
from compiler.compression.quantization.calibrated import fold_norms
from compiler.compression.quantization.calibration import draw_batches
from compiler.compression.quantization.dense_layers import (
    DenseLayer,
    DenseScheme,
    Replacement,
    Rest,
    find_dense,
    pull_slices,
    replace_dense,
)
from compiler.compression.quantization.rounding import (
    Rounding,
    collect_moments,
    round_weight,
    space_symmetric,
)
from compiler.compression.quantization.smooth import smooth_net
from compiler.compression.quantization.stored import ROWS, Storage
from compiler.compression.quantization.storing import measure_loss
from compiler.compression.selecting import layer_path
from compiler.ir.weighted_net import WeightedNet
from compiler.ops.packed import DynamicDense
from compiler.records import dataclass
from compiler.report.diagnostics import CompileError, Fault
from compiler.report.messages.layers import option_out_of_range
from compiler.report.messages.weight_formats import no_dense_layer
from compiler.types.tensor import DType

Array = NDArray[Any]

STEP = "quantize(dynamic)"


@SCHEMES.register
@final
@dataclass(frozen=True)
class Dynamic(DenseScheme):
    """Computes dense layers in 8-bit integers, with the scale of each input found when it comes
    (dynamic quantization): no calibration, and a fit range for every call.

    On CPUs it is the fastest form of transformers, because what stands between their dense
    layers stays float anyway. Convolutions compute in fractions: finding the range of an image
    at each call costs more than integers save.

    - `per_channel`: a scale for each output of a weight, or one for all, which is a little faster.
    - `smooth`: from 0 to 1, how much of the outliers of activations behind norms moves into the
      weights before (SmoothQuant, https://arxiv.org/abs/2211.10438; 0.5 is usual). It needs
      calibration rows; 0 moves nothing.
    - `rounding`: `nearest`, or `gptq`, which rounds so that the outputs of the layer on
      calibration rows move least.
    - `rest`: `stored` keeps all other weights in 8 bits in the file, `float` as they are.

    Example: `apply quantize(dynamic(smooth=0.5))`
    Source: https://onnxruntime.ai/docs/performance/model-optimizations/quantization.html
    """

    name = "dynamic"
    least_bits = 8.0
    per_channel: bool = True
    smooth: float = 0.0
    rounding: Rounding = "nearest"
    rest: Rest = "stored"

    def check(self) -> None:
        if not 0 <= self.smooth <= 1:
            refuse_setting(self, "smooth", self.smooth, "from 0 to 1")

    def quantize(
        self,
        net: WeightedNet,
        context: CompressionContext,
        only: Sequence[str] | None,
        excluded: Sequence[str],
    ) -> WeightedNet:
        """The net with integer dense layers.

        Raises:
            CompileError: no dense layer may be touched, or there is nothing to calibrate on.
        """
        folded = pull_slices(fold_norms(net))
        layers = find_dense(folded, context, only, excluded, STEP, self.rest)
        if not layers:
            raise CompileError([no_dense_layer(context.span, net.graph.name, self.name)])
        if context.target.device == "cuda":
            reason = "ONNX Runtime fuses dynamic quantization on the CPU only: expect no speed"
            context.note(LayerNote(STEP, net.graph.name, "", reason, span=context.span))
        if self.smooth:
            folded = smooth_with_notes(folded, context, self.smooth, STEP)
        made = self.replace(folded, layers, context)
        if self.rest == "float":
            return made
        storage = Storage(8, self.per_channel, codebook=False, rounding="nearest", step=STEP)
        return storage.store(made, context, only, excluded)

    def replace(
        self, net: WeightedNet, layers: Sequence[DenseLayer], context: CompressionContext
    ) -> WeightedNet:
        """The net with these layers in integers."""
        moments: dict[str, Array] = {}
        if self.rounding == "gptq":
            nodes = [node for layer in layers for node in layer.calls]
            moments = collect_moments(net, nodes, draw_batches(net, context, ROWS))
        greatest = 8 if context.target.vnni or context.target.device == "cuda" else 7

        def make(layer: DenseLayer, weight: Array) -> Replacement:
            matrix = weight.astype(np.float32)
            levels = space_symmetric(matrix, greatest, per_row=self.per_channel)
            codes = round_weight(matrix, levels, moments.get(layer.weight)).astype(np.int8)
            scale = np.ascontiguousarray(levels.scale[:, 0])
            sqnr = measure_loss(weight, codes * scale[:, None])
            figures = (("bits", 8.0), ("sqnr", sqnr))
            done = "integers, input rounded at each call"
            context.note(LayerNote(STEP, layer.path, done, "", figures, layer.span))
            op = DynamicDense(len(matrix), bias=layer.bias is not None)
            return Replacement(op, {"codes": (DType.I8, codes), "scale": (DType.F32, scale)})

        return replace_dense(net, layers, make)


def smooth_with_notes(
    net: WeightedNet, context: CompressionContext, strength: float, step: str
) -> WeightedNet:
    """The smoothed net; a note for each norm."""
    made, smoothings = smooth_net(net, draw_batches(net, context, ROWS), strength)
    for item in smoothings:
        figures = (("largest_scale", float(item.scale.max())),)
        path, span = layer_path(item.norm), item.norm.origin.span
        readers = ", ".join(layer_path(node) for node in item.readers)
        context.note(LayerNote(step, path, f"smoothed for {readers}", "", figures, span))
    return made


def refuse_setting(scheme: Scheme, option: str, value: object, needed: str) -> None:
    """Raises `Fault` for a number that an option of a scheme cannot have."""
    name = scheme.name
    raise Fault(
        lambda where: option_out_of_range(where.argument(option), name, option, value, needed)
    )
