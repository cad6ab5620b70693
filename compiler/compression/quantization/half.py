"""Half precision: weights of 16 bits, and where the target has the kernels, products too."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar, Literal, final

import numpy as np
from numpy.typing import NDArray

from compiler.compression.base import CompressionContext
from compiler.compression.context import LayerNote
from compiler.compression.quantization.base import SCHEMES, Scheme
from compiler.compression.quantization.calibrated import fold_norms
from compiler.compression.quantization.storing import (
    Packing,
    Weight,
    explain_layers,
    find_weights,
    measure_loss,
    store_weights,
)
from compiler.compression.selecting import is_selected, layer_path
from compiler.ir.graph import Graph, Node, Op
from compiler.ir.verify import verify_graph
from compiler.ir.weighted_net import WeightedNet
from compiler.ir.weights import path_matches
from compiler.ops.stored import Stored
from compiler.passes.half_precision import LARGEST, HalfRewriter
from compiler.program.variant import Target
from compiler.records import dataclass
from compiler.report.diagnostics import CompileError, Message
from compiler.report.messages.weight_formats import no_half_kernels
from compiler.report.source import Span
from compiler.types.tensor import DType

Array = NDArray[Any]
Compute = Literal["auto", "always", "never"]


class HalfScheme(Scheme):
    """What `float16` and `bfloat16` share: `keep` are paths of layers that stay in f32, `compute`
    says whether layers compute in half precision too."""

    least_bits = 16.0
    sparse = False
    leaves_own = True
    dtype: ClassVar[DType]
    keep: tuple[str, ...]
    compute: Compute

    @property
    def step(self) -> str:
        """What notes call it."""
        return f"quantize({self.name})"

    @property
    def keeps_floats(self) -> bool:
        """Where layers compute with them; stored ones are unpacked as the file loads."""
        return self.compute == "always"

    @property
    def stores_all(self) -> bool:
        """Where no layer is to keep f32."""
        return not self.keep

    def find_target_fault(self, target: Target, span: Span | None) -> Message | None:
        """Products in bf16 on the CPU."""
        if self.compute == "always" and self.dtype is DType.BF16 and target.device != "cuda":
            return no_half_kernels(span, self.name)
        return None

    def explain_layers(self, graph: Graph) -> Mapping[str, str]:
        """Small weights stay, where no layer may compute in half precision."""
        if self.compute != "never":
            return {}
        layers = explain_layers(graph)
        kept = [path for path in layers if not is_selected(path, None, self.keep)]
        return layers | dict.fromkeys(kept, "`keep` says so")

    def quantize(
        self,
        net: WeightedNet,
        context: CompressionContext,
        only: Sequence[str] | None,
        excluded: Sequence[str],
    ) -> WeightedNet:
        """The net in half precision; its inputs and outputs stay as they are."""
        folded = fold_norms(net)
        kept = (*excluded, *self.keep)
        cuda = context.target.device == "cuda"
        fault = self.find_target_fault(context.target, context.span)
        if fault is not None:
            raise CompileError([fault])
        if self.compute == "always" or (self.compute == "auto" and cuda):
            return self.halve(folded, context, only, kept)
        stored = self.store(folded, context, only, kept)
        if self.compute == "never":
            return stored
        if self.dtype is DType.BF16 or context.latency_meter is None:
            reason = "ONNX Runtime has no kernels for 16 bits on the CPU"
            done = f"stored as {self.dtype}, computed in f32"
            context.note(LayerNote(self.step, net.graph.name, done, reason, span=context.span))
            return stored
        return self.choose(folded, stored, context, only, kept)

    def choose(
        self,
        net: WeightedNet,
        stored: WeightedNet,
        context: CompressionContext,
        only: Sequence[str] | None,
        kept: Sequence[str],
    ) -> WeightedNet:
        """The faster one of stored and computed."""
        assert context.latency_meter is not None, "the meter decides"
        quiet = replace(context, journal=[])
        halved = self.halve(net, quiet, only, kept)
        slow, fast = context.latency_meter.compare([stored, halved])
        figures = (("stored_seconds", slow), ("computed_seconds", fast))
        done = "computed in 16 bits" if fast < slow else "stored in 16 bits, computed in f32"
        context.note(LayerNote(self.step, net.graph.name, done, "measured", figures, context.span))
        if fast < slow:
            context.journal.extend(quiet.journal)
            return halved
        return stored

    def store(
        self,
        net: WeightedNet,
        context: CompressionContext,
        only: Sequence[str] | None,
        kept: Sequence[str],
    ) -> WeightedNet:
        """The net with weights of 16 bits that become f32 when the file is loaded."""
        weights = []
        for weight in find_weights(net, context, only, kept, self.step):
            if self.fits(net.weights[weight.path]):
                weights.append(weight)
                continue
            reason = f"a number of `{weight.path}` is beyond the range of {self.dtype}"
            context.note(LayerNote(self.step, weight.layer, "", reason, span=weight.span))

        def pack(weight: Weight, array: Array) -> Packing:
            rounded = self.dtype.round(array)
            figures = (("bits", 16.0), ("sqnr", measure_loss(array, rounded)))
            done = f"stored as {self.dtype}"
            context.note(LayerNote(self.step, weight.layer, done, "", figures, weight.span))
            return Packing(Stored(), {"codes": (self.dtype, rounded)})

        return store_weights(net, weights, pack)

    def halve(
        self,
        net: WeightedNet,
        context: CompressionContext,
        only: Sequence[str] | None,
        kept: Sequence[str],
    ) -> WeightedNet:
        """The net that computes in half precision."""

        def computes(node: Node) -> bool:
            path = layer_path(node)
            inner = is_selected(path, only, kept)
            frames = any(path_matches(node.scope.path, pattern) for pattern in kept)
            able = self.has_kernel(node.op) and not _is_too_long(node)
            return inner and not frames and able

        rewriter = HalfRewriter(net.graph, self.dtype, net.weights, computes)
        graph = rewriter.run()
        verify_graph(graph)
        weights = {
            p.path: self.dtype.round(net.weights[p.path])
            if p.value.type.dtype is self.dtype
            else net.weights[p.path]
            for p in graph.parameters
        }
        for node in graph.nodes:
            if any(v is not None and v.name in graph.parameter for v in node.inputs):
                half = node.outputs[0].name in rewriter.halved
                done = f"computes in {self.dtype}" if half else ""
                reason = "" if half else f"`{node.op.name}` stays in f32"
                span = node.origin.span
                context.note(LayerNote(self.step, layer_path(node), done, reason, span=span))
        return WeightedNet(graph, weights)

    def has_kernel(self, op: Op) -> bool:
        """Whether an op computes in the dtype."""
        return not (op.keeps_f32 or op.quantized) and (self.dtype is DType.F16 or op.onnx_bfloat)

    def fits(self, array: Array) -> bool:
        """Whether a weight's numbers are in the range of the dtype."""
        return self.dtype is DType.BF16 or bool(np.abs(array).max(initial=0) <= LARGEST)


def _is_too_long(node: Node) -> bool:
    """Whether the operand of a node has too many axes for PyTorch's kernel."""
    source, most = node.inputs[0] if node.inputs else None, node.op.half_rank
    return most is not None and source is not None and source.type.rank > most


@SCHEMES.register
@final
@dataclass(frozen=True)
class Float16(HalfScheme):
    """Keeps weights as f16, and computes in it where the target has the kernels.

    Half the file at next to no error. On CUDA products run on tensor cores; norms, softmax, sums
    and exponentials stay in f32, with casts between. Inputs and outputs of the net stay f32. On
    the CPU weights are stored, and computed with in f32, unless measurements say otherwise.

    - `keep`: path patterns of layers that stay in f32.
    - `compute`: `auto`, `always`, or `never`: only storage.

    Example: `apply quantize(float16(keep=["head"]))`
    Source: Micikevicius et al. 2018, Mixed Precision Training, https://arxiv.org/abs/1710.03740
    """

    name = "float16"
    dtype = DType.F16
    keep: tuple[str, ...] = ()
    compute: Compute = "auto"


@SCHEMES.register
@final
@dataclass(frozen=True)
class Bfloat16(HalfScheme):
    """Keeps weights as bf16, and computes in it where the target has the kernels; see `float16`.

    Bf16 has the range of f32 and 8 bits of precision. ONNX Runtime computes in it on CUDA only.

    - `keep`: path patterns of layers that stay in f32.
    - `compute`: `auto`, `always`, or `never`: only storage.

    Errors: W1156 where it is to compute on the CPU.
    Example: `apply quantize(bfloat16)`
    Source: Kalamkar et al. 2019, https://arxiv.org/abs/1905.12322
    """

    name = "bfloat16"
    dtype = DType.BF16
    keep: tuple[str, ...] = ()
    compute: Compute = "auto"
