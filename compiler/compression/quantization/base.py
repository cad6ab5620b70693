"""What a quantization scheme is: `int8`, `dynamic`, `weights4` … in `quantize(SCHEME)`."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Collection, Mapping, Sequence
from math import prod
from typing import ClassVar, final

from compiler.compression.base import COMPRESSION, CompressionContext, CompressionPass
from compiler.compression.effects import find_idle_pattern
from compiler.compression.low_rank.layers import walk_nodes
from compiler.compression.selecting import KEPT_OUT, is_selected, layer_path
from compiler.compression.wording import describe_pass
from compiler.ir.cost import is_weight
from compiler.ir.graph import Graph
from compiler.ir.weighted_net import WeightedNet
from compiler.program.variant import Target
from compiler.records import dataclass
from compiler.report.diagnostics import Message
from compiler.report.messages.effects import pass_does_nothing
from compiler.report.source import Span
from compiler.vocabulary.signature import Described, Registry


class Scheme(Described):
    """Base of quantization schemes; fields are options (`quantize(weights4(block=32))`), and the
    bare word is the scheme with its defaults. Subclasses register with `@SCHEMES.register`."""

    least_bits: ClassVar[float] = 1.0
    """The fewest bits that a number of a weight takes in the file; for bounds on sizes."""
    sparse: ClassVar[bool] = True
    """Whether weights may be stored without their zeros."""
    leaves_own: ClassVar[bool] = False
    """Whether it may leave weights that the same scheme would take behind it."""
    chooses: ClassVar[bool] = False
    """Whether it may find that the net is best left as it is."""
    unpacks: ClassVar[bool] = False
    """Whether every weight that is kept in few bits is unpacked by a node of its own."""

    rounds: ClassVar[bool] = False
    """Whether the net may round to steps behind it, as integer arithmetic does."""

    @property
    def keeps_floats(self) -> bool:
        """Whether passes that work on weights in floats surely still find them."""
        return False

    @property
    def stores_all(self) -> bool:
        """Whether it leaves no weight of those that it may touch to another scheme."""
        return False

    def __post_init__(self) -> None:
        self.check()

    def check(self) -> None:
        """Refuses settings that mean nothing.

        Raises:
            Fault: which setting, and why.
        """

    def find_fault(
        self, graph: Graph, only: Sequence[str] | None, excluded: Sequence[str], span: Span | None
    ) -> Message | None:
        """Why the scheme can do nothing to a net, as far as its graph tells; see
        `CompressionPass.find_fault`."""
        return None

    def explain_layers(self, graph: Graph) -> Mapping[str, str]:
        """The layers with weights, by path, and why each would stay as it is whatever patterns say;
        empty where it would not. Without any where that is not told before any work."""
        return {}

    def find_target_fault(self, target: Target, span: Span | None) -> Message | None:
        """Why a target cannot do what is asked for; None where it can."""
        return None

    @abstractmethod
    def quantize(
        self,
        net: WeightedNet,
        context: CompressionContext,
        only: Sequence[str] | None,
        excluded: Sequence[str],
    ) -> WeightedNet:
        """The net in fewer bits; see `CompressionPass.run`."""


SCHEMES: Registry[Scheme] = Registry("quantization scheme")
"""Every quantization scheme by name."""


@COMPRESSION.register
@final
@dataclass(frozen=True)
class Quantize(CompressionPass):
    """Stores or computes the net in fewer bits.

    - `scheme`: a quantization scheme, such as `int8`, with options of its own; `auto` chooses.
    - `only`, `except`: path patterns of layers that may, or may not, be touched.

    Example: `apply quantize(int8, except=["head"])`
    Source: https://onnxruntime.ai/docs/performance/model-optimizations/quantization.html
    """

    name = "quantize"
    changes = "bits"
    scheme: Scheme
    only: tuple[str, ...] | None = None
    except_: tuple[str, ...] = ()

    def count_least(self, shape: tuple[int, ...]) -> int:
        """All of them."""
        return prod(shape)

    @property
    def may_leave_whole(self) -> bool:
        """Where the scheme chooses."""
        return self.scheme.chooses

    def find_target_fault(self, target: Target, span: Span | None) -> Message | None:
        """What keeps the scheme from the target."""
        return self.scheme.find_target_fault(target, span)

    @property
    def may_leave_out_zeros(self) -> bool:
        """Whether the scheme stores weights like that."""
        return self.scheme.sparse

    @property
    def leaves_floats(self) -> bool:
        """Where the scheme does, or layers are left out."""
        return self.scheme.keeps_floats or self.only is not None or bool(self.except_)

    def can_follow(self, before: CompressionPass) -> bool:
        """Behind another quantization, where that leaves it some weights."""
        if not isinstance(before, Quantize) or before.only is not None or before.except_:
            return True
        again = type(before.scheme) is type(self.scheme) and not before.scheme.leaves_own
        return not before.scheme.stores_all and not again

    @property
    def unpacks_weights(self) -> bool:
        """What the scheme does."""
        return self.scheme.unpacks

    def find_fault(
        self, graph: Graph | None, bounded: Collection[str], span: Span | None
    ) -> Message | None:
        """What keeps the scheme from the net."""
        if graph is None:
            return None
        fault = self.scheme.find_fault(graph, self.only, self.except_, span)
        return fault or self._find_untouched(graph, span) or self._find_idle(graph, span)

    def _find_untouched(self, graph: Graph, span: Span | None) -> Message | None:
        """Patterns that leave no layer with weights."""
        paths = {p.path.rpartition(".")[0] for p in graph.parameters if is_weight(p)}
        for node, _ in walk_nodes(graph):
            if any(v is not None and v.name in graph.parameter for v in node.inputs):
                paths.add(layer_path(node))
        if not paths or any(is_selected(path, self.only, self.except_) for path in paths):
            return None
        reasons = tuple(f"`{path}`: {KEPT_OUT}" for path in sorted(paths))
        return pass_does_nothing(span, describe_pass(self), reasons)

    def _find_idle(self, graph: Graph, span: Span | None) -> Message | None:
        """Layers that stay as they are, where these are all, or all that a pattern names."""
        layers = self.scheme.explain_layers(graph)
        chosen = {p: r for p, r in layers.items() if is_selected(p, self.only, self.except_)}
        whole = {path: reason for path, reason in chosen.items() if reason}
        if chosen and len(whole) == len(chosen):
            reasons = tuple(f"`{path}`: {reason}" for path, reason in whole.items())
            return pass_does_nothing(span, describe_pass(self), reasons)
        touched = [path for path in chosen if path not in whole]
        return find_idle_pattern(self.name, self.patterns, touched, whole, span)

    @property
    def may_round(self) -> bool:
        """What the scheme does."""
        return self.scheme.rounds

    def find_least_bits(self, bits: float) -> float:
        """Those of the scheme."""
        return min(bits, self.scheme.least_bits)

    def run(self, net: WeightedNet, context: CompressionContext) -> WeightedNet:
        """The net as the scheme makes it."""
        return self.scheme.quantize(net, context, self.only, self.except_)
