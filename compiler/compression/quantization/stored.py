"""Storage apart from compute: weights that take 8 or 4 bits in the file and are fractions again
once it is loaded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from compiler.compression.base import CompressionContext
from compiler.compression.context import LayerNote
from compiler.compression.quantization.base import SCHEMES, Scheme
from compiler.compression.quantization.calibrated import fold_norms
from compiler.compression.quantization.calibration import draw_batches
from compiler.compression.quantization.rounding import (
    Book,
    Rounding,
    collect_moments,
    learn_book,
    round_weight,
    space_symmetric,
)
from compiler.compression.quantization.storing import (
    Packing,
    Weight,
    explain_layers,
    find_weights,
    measure_loss,
    store_weights,
)
from compiler.ir.graph import Graph
from compiler.ir.weighted_net import WeightedNet
from compiler.ops.stored import Codebook, Stored
from compiler.records import dataclass
from compiler.types.tensor import DType

Array = NDArray[Any]

SMALL = 512
"""Numbers of a weight below which it keeps 8 bits: few bytes, and often the first layer."""
ROWS = 128
"""Calibration rows of GPTQ."""


@final
@dataclass(frozen=True)
class Storage:
    """How weights are kept: the options of `stored8` and `stored4` together."""

    bits: int
    per_channel: bool
    codebook: bool
    rounding: Rounding
    step: str  # what notes call it

    def store(
        self,
        net: WeightedNet,
        context: CompressionContext,
        only: Sequence[str] | None,
        excluded: Sequence[str],
    ) -> WeightedNet:
        """The net with its weights in few bits."""
        folded = fold_norms(net)
        weights = find_weights(folded, context, only, excluded, self.step)
        moments = self.find_moments(folded, weights, context)

        def pack(weight: Weight, array: Array) -> Packing:
            return self.pack(weight, array, moments.get(weight.path), context)

        return store_weights(folded, weights, pack)

    def find_moments(
        self, net: WeightedNet, weights: Sequence[Weight], context: CompressionContext
    ) -> Mapping[str, Array]:
        """What GPTQ needs to know of the inputs of layers; nothing for other rounding."""
        if self.rounding != "gptq":
            return {}
        batches = draw_batches(net, context, ROWS)
        return collect_moments(net, [weight.node for weight in weights], batches)

    def pack(
        self, weight: Weight, array: Array, moments: Array | None, context: CompressionContext
    ) -> Packing:
        """The codes of a weight and what they stand for; a note about it."""
        small = array.size < SMALL
        bits = 8 if small else self.bits
        matrix = weight.unfold(array).astype(np.float32)
        if self.codebook and not small:
            packing, made = _pack_book(weight, array, matrix, bits, moments)
            done = f"{bits} bits, a codebook"
        else:
            # A scale takes as much as 8 codes of 4 bits: short rows share one.
            per_row = self.per_channel and matrix.shape[1] >= 16
            packing, made = _pack_steps(weight, array, matrix, bits, moments, per_row)
            done = f"{bits} bits" + (" per channel" if per_row else "")
        if moments is not None:
            done += ", rounded by GPTQ"
        figures = (("bits", float(bits)), ("sqnr", measure_loss(array, made)))
        context.note(LayerNote(self.step, weight.layer, done, "", figures, weight.span))
        return packing


def _pack_steps(
    weight: Weight,
    array: Array,
    matrix: Array,
    bits: int,
    moments: Array | None,
    per_row: bool,
) -> tuple[Packing, Array]:
    levels = space_symmetric(matrix, bits, per_row=per_row)
    codes = round_weight(matrix, levels, moments)
    folded = weight.fold(codes, array.shape).astype(np.int8)
    scale = levels.scale[:, 0].astype(np.float32)
    spread = weight.spread(scale, array.ndim) if per_row else scale[:1].reshape(())
    parts = {"codes": (DType.I8, folded), "scale": (DType.F32, spread)}
    return Packing(Stored(bits), parts), folded * spread


def _pack_book(
    weight: Weight, array: Array, matrix: Array, bits: int, moments: Array | None
) -> tuple[Packing, Array]:
    book: Book = learn_book(matrix, 2**bits)
    codes = round_weight(matrix, book, moments)
    folded = weight.fold(codes, array.shape).astype(np.uint8)
    parts = {"codes": (DType.U8, folded), "book": (DType.F32, book.entries)}
    return Packing(Codebook(bits), parts), book.entries[folded]


class StoredWeights(Scheme):
    """Base of `stored8` and `stored4`: weights of few bits in the file, unpacked at loading."""

    unpacks = True
    per_channel: bool
    rounding: Rounding

    @property
    def learns_book(self) -> bool:
        """Whether levels are learned, not evenly spaced."""
        return False

    @property
    def stores_all(self) -> bool:
        """Every weight."""
        return True

    def explain_layers(self, graph: Graph) -> Mapping[str, str]:
        """Small weights stay."""
        return explain_layers(graph)

    def quantize(
        self,
        net: WeightedNet,
        context: CompressionContext,
        only: Sequence[str] | None,
        excluded: Sequence[str],
    ) -> WeightedNet:
        """The net with its weights in few bits.

        Raises:
            CompileError: GPTQ is asked for, and there is nothing to calibrate on.
        """
        step = f"quantize({self.name})"
        bits = int(self.least_bits)
        storage = Storage(bits, self.per_channel, self.learns_book, self.rounding, step)
        return storage.store(net, context, only, excluded)


@SCHEMES.register
@final
@dataclass(frozen=True)
class Stored8(StoredWeights):
    """Keeps weights in 8 bits in the file and computes in fractions.

    ONNX Runtime unpacks them once, when it loads the file: a quarter of the size at the speed of
    f32. For small networks that is faster than integer kernels, whose rounding and unrounding
    costs more than it saves. Batch norms are folded first. Weights with fewer than 32 numbers
    and all of one axis (biases, norms) stay as they are. Where most codes are 0, as behind
    `prune(weights=90%)`, only the others are in the file.

    - `per_channel`: a scale for each output of a layer, or one for all.
    - `rounding`: `nearest`, or `gptq`, which rounds so that the outputs of the layer on
      calibration rows move least.

    Example: `apply quantize(stored8)`
    Source: Frantar et al. 2022, GPTQ, https://arxiv.org/abs/2210.17323
    """

    name = "stored8"
    least_bits = 8.0
    per_channel: bool = True
    rounding: Rounding = "nearest"


@SCHEMES.register
@final
@dataclass(frozen=True)
class Stored4(StoredWeights):
    """Keeps weights in 4 bits in the file and computes in fractions; see `stored8`.

    An eighth of the size at the speed of f32. Weights with fewer than 512 numbers keep 8 bits.
    Before opset 21 files have no integers of 4 bits, and each code takes 8.

    - `per_channel`: a scale for each output of a layer, or one for all.
    - `codebook`: 16 numbers of any size for each weight, found by k-means, in place of evenly
      spaced levels: smaller errors where rows are alike, no scales to keep.
    - `rounding`: `nearest`, or `gptq`, which rounds so that the outputs of the layer on
      calibration rows move least.

    Example: `apply quantize(stored4(codebook=true))`
    Source: Han et al. 2016, Deep Compression, https://arxiv.org/abs/1510.00149; Frantar et al.
    2022, GPTQ, https://arxiv.org/abs/2210.17323
    """

    name = "stored4"
    least_bits = 4.0
    per_channel: bool = True
    codebook: bool = False
    rounding: Rounding = "nearest"

    @property
    def learns_book(self) -> bool:
        return self.codebook
