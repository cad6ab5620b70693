"""Weight-only quantization: dense layers read weights of 4 or 8 bits in blocks, in the product."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, final

import numpy as np
from numpy.typing import NDArray

from compiler.compression.base import CompressionContext
from compiler.compression.context import LayerNote
from compiler.compression.quantization.base import SCHEMES
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
from compiler.compression.quantization.dynamic import refuse_setting
from compiler.compression.quantization.rounding import (
    Rounding,
    collect_moments,
    round_weight,
    space_blocks,
)
from compiler.compression.quantization.stored import ROWS, Storage
from compiler.compression.quantization.storing import measure_loss
from compiler.ir.weighted_net import WeightedNet
from compiler.ops.packed import PackedDense
from compiler.records import dataclass
from compiler.report.diagnostics import CompileError
from compiler.report.messages.weight_formats import no_dense_layer
from compiler.types.tensor import DType

Array = NDArray[Any]
Level = Literal[0, 1, 2, 3, 4]

MOST_BLOCK = 256
"""ONNX Runtime refuses larger ones when it loads the file."""
LEAST = 1024
"""Numbers of a weight below which a block's kernel does not pay."""


@dataclass(frozen=True)
class PackedWeights(DenseScheme):
    """Base of `weights4` and `weights8`, which pack dense layers alike."""

    least_size = LEAST
    block: int = 32
    accuracy_level: Level = 4
    symmetric: bool = True
    rounding: Rounding = "nearest"
    rest: Rest = "stored"

    @property
    def bits(self) -> int:
        """Bits of a number."""
        return int(self.least_bits)

    @property
    def step(self) -> str:
        """What notes call it."""
        return f"quantize({self.name})"

    def check(self) -> None:
        if not 16 <= self.block <= MOST_BLOCK or self.block & (self.block - 1):
            refuse_setting(self, "block", self.block, f"a power of 2 from 16 to {MOST_BLOCK}")

    def quantize(
        self,
        net: WeightedNet,
        context: CompressionContext,
        only: Sequence[str] | None,
        excluded: Sequence[str],
    ) -> WeightedNet:
        """The net with packed dense layers.

        Raises:
            CompileError: no dense layer may be touched, or there is nothing to calibrate on.
        """
        folded = pull_slices(fold_norms(net))
        found = find_dense(folded, context, only, excluded, self.step, self.rest)
        layers = [one for one in found if folded.weights[one.weight].size >= LEAST]
        if not layers:
            raise CompileError([no_dense_layer(context.span, net.graph.name, self.name, LEAST)])
        for one in found:
            if one not in layers:
                size = folded.weights[one.weight].size
                reason = f"its weight has only {size} numbers, which are not packed"
                context.note(LayerNote(self.step, one.path, "", reason, span=one.span))
        made = self.replace(folded, layers, context)
        if self.rest == "float":
            return made
        storage = Storage(8, per_channel=True, codebook=False, rounding="nearest", step=self.step)
        return storage.store(made, context, only, excluded)

    def replace(
        self, net: WeightedNet, layers: Sequence[DenseLayer], context: CompressionContext
    ) -> WeightedNet:
        """The net with these layers packed."""
        moments: dict[str, Array] = {}
        if self.rounding == "gptq":
            nodes = [node for layer in layers for node in layer.calls]
            moments = collect_moments(net, nodes, draw_batches(net, context, ROWS))

        def make(layer: DenseLayer, weight: Array) -> Replacement:
            matrix = weight.astype(np.float32)
            levels = space_blocks(matrix, self.bits, self.block, symmetric=self.symmetric)
            codes = round_weight(matrix, levels, moments.get(layer.weight))
            parts = {"codes": (DType.U8, codes.astype(np.uint8))}
            parts["scale"] = (DType.F32, levels.scale)
            if not self.symmetric:
                parts["zero_point"] = (DType.U8, levels.zero.astype(np.uint8))
            sqnr = measure_loss(weight, levels.value(codes, 0))
            done = f"{self.bits} bits in blocks of {self.block}"
            done += ", rounded by GPTQ" if moments else ""
            figures = (("bits", float(self.bits)), ("sqnr", sqnr))
            context.note(LayerNote(self.step, layer.path, done, "", figures, layer.span))
            op = PackedDense(
                len(matrix),
                layer.bias is not None,
                self.bits,
                self.block,
                self.symmetric,
                self.accuracy_level,
            )
            return Replacement(op, parts)

        return replace_dense(net, layers, make)


@SCHEMES.register
@final
@dataclass(frozen=True)
class Weights4(PackedWeights):
    """Computes dense layers from weights of 4 bits, with a scale for each block of a row.

    With few rows a dense layer takes as long as reading its weight, which is an eighth now: for
    language models that write token by token. With many rows `dynamic` is faster. ONNX Runtime's
    operator is `MatMulNBits`; weights of dense layers with fewer than 1024 numbers, and all
    others, are stored (`rest`).

    - `block`: how many entries of a row share a scale, a power of 2 from 16 to 256.
    - `accuracy_level`: what the runtime may round inputs to: 4 is 8 bits, by far the fastest; 1
      is f32.
    - `symmetric`: levels around 0; without it each block has a zero point of its own.
    - `rounding`: `nearest`, or `gptq`, which rounds so that the outputs of the layer on
      calibration rows move least.
    - `rest`: `stored` keeps all other weights in 8 bits in the file, `float` as they are.

    Example: `apply quantize(weights4(block=32, rounding="gptq"))`
    Source: Frantar et al. 2022, GPTQ, https://arxiv.org/abs/2210.17323
    """

    name = "weights4"
    least_bits = 4.0


@SCHEMES.register
@final
@dataclass(frozen=True)
class Weights8(PackedWeights):
    """Computes dense layers from weights of 8 bits, with a scale for each block of a row; see
    `weights4`.

    - `block`: how many entries of a row share a scale, a power of 2 from 16 to 256.
    - `accuracy_level`: what the runtime may round inputs to: 4 is 8 bits, by far the fastest; 1
      is f32.
    - `symmetric`: levels around 0; without it each block has a zero point of its own.
    - `rounding`: `nearest`, or `gptq`.
    - `rest`: `stored` keeps all other weights in 8 bits in the file, `float` as they are.

    Example: `apply quantize(weights8(block=64))`
    Source: Frantar et al. 2022, GPTQ, https://arxiv.org/abs/2210.17323
    """

    name = "weights8"
    least_bits = 8.0
