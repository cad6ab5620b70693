"""Dropout and its kin: noise that acts in training only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import ClassVar, final

from compiler.ir.coupling import Coupling, tie_same
from compiler.ir.graph import Node, Op
from compiler.ir.inputs import NodeInput, OnnxInput
from compiler.ir.onnx_builder import OnnxBuilder, Values
from compiler.ir.operands import Array, Assume, Results
from compiler.ir.spelled import fill_axes
from compiler.ir.symbols import Slopes, Symbol
from compiler.ops.axes import need_float, need_rank
from compiler.ops.layers import need_rate
from compiler.ops.modules import input_type
from compiler.ops.registry import OPS
from compiler.ops.windows import need_layout
from compiler.records import dataclass
from compiler.types.tensor import TensorType
from compiler.vocabulary.signature import Operand
from compiler.vocabulary.spelling import Call, In, Infix, Leaf, Method, Name, Spelling, Term

_TRAINING = ("training", Name("self.training"))


class Noise(Op):
    """Base of ops that draw random numbers in training, and are the identity in evaluation."""

    keeps_channels = True
    onnx_bfloat = True
    noisy = True
    operands = (Operand("x"),)
    torch_roles: ClassVar[Mapping[str, str]] = {"p": "drop"}
    p: float

    def infer(self, assume: Assume, x: TensorType) -> tuple[TensorType, ...]:
        need_float(self.name, x)
        need_rate(self.name, "p", self.p)
        return (x,)

    def evaluate(self, x: Array) -> tuple[Array, ...]:
        return (x,)

    def pull_back(self, slope: Symbol, result: Symbol, x: Symbol) -> Slopes:
        return [slope]  # in evaluation its result is its operand

    def couple(self, outputs: Results, x: NodeInput) -> Coupling:
        return Coupling(tie_same(x, outputs[0].rank))

    def torch(self, node: Node) -> Spelling:
        p = self.leaf("p")
        called = Call(fill_axes(self.torch_function, node.types), (In(0),), (("p", p), _TRAINING))
        return Spelling(called, module=Call(fill_axes(self.torch_module, node.types), (p,)))

    def onnx(self, build: OnnxBuilder, outputs: Results, x: OnnxInput) -> Values:
        return [x.value]


@OPS.register
@final
@dataclass(frozen=True)
class Dropout(Noise):
    """Dropout: in training, each entry becomes 0 with probability p and the rest is divided by
    1 - p; in evaluation nothing happens.

        y = m * x / (1 - p)

    m is 0 with probability p, else 1, for each entry.

    Shapes: x `f32[...]` -> the same.

    - `p`: the probability, from 0 to 1: `dropout(25%)`.

    Example: `y = x -> dropout(50%) -> dense(4096)`
    Errors: W0353 where `p` is no probability.
    Source: Srivastava et al. 2014, https://jmlr.org/papers/v15/srivastava14a.html
    """

    name = "dropout"
    row_axes = ()
    scales_with_operand = True
    torch_function = "F.dropout"
    torch_module = "nn.Dropout"
    p: float = 0.5


@OPS.register
@final
@dataclass(frozen=True)
class ChannelDropout(Noise):
    """Dropout of whole channels: in training, each channel of each sample becomes 0 with
    probability p and the rest is divided by 1 - p; in evaluation nothing happens. Neighbours in an
    image say nearly the same, so that dropping single entries takes little away.

        y = m * x / (1 - p)

    m is 0 with probability p, else 1, for each channel of each sample.

    Shapes: x `f32[n, c, size…]` with one to three axes of space -> the same.

    - `p`: the probability, from 0 to 1.

    Errors: W0350 for another number of axes, W0353 where `p` is no probability.
    Example: `y = image -> conv(64, kernel=3) -> relu -> channel_dropout(20%)`
    Source: Tompson et al. 2015, https://arxiv.org/abs/1411.4280; `torch.nn.Dropout2d`
    """

    name = "channel_dropout"
    scales_with_operand = True
    torch_function = "F.dropout{axes}d"
    torch_module = "nn.Dropout{axes}d"
    p: float = 0.5

    def infer(self, assume: Assume, x: TensorType) -> tuple[TensorType, ...]:
        need_layout(self.name, x)
        return super().infer(assume, x)


@OPS.register
@final
@dataclass(frozen=True)
class AlphaDropout(Noise):
    """Dropout for nets of `selu`: in training, each entry takes selu's lower bound, -1.7581, with
    probability p, and a shift and a scale then keep mean 0 and variance 1; in evaluation nothing
    happens.

        y = a * (x where kept, else α) + b
        α = -1.7581,  a = 1 / √((1 - p) * (1 + p * α²)),  b = -a * α * p

    Shapes: x `f32[...]` -> the same.

    - `p`: the probability, from 0 to 1.

    Example: `y = x -> dense(256) -> selu -> alpha_dropout(10%)`
    Errors: W0353 where `p` is no probability.
    Source: Klambauer et al. 2017, https://arxiv.org/abs/1706.02515
    """

    name = "alpha_dropout"
    row_axes = ()
    keeps_channels = False  # in training, what is dropped is not 0
    torch_function = "F.alpha_dropout"
    torch_module = "nn.AlphaDropout"
    p: float = 0.5


@OPS.register
@final
@dataclass(frozen=True)
class DropPath(Noise):
    """Stochastic depth: in training, each sample becomes 0 with probability p and the rest is
    divided by 1 - p; in evaluation nothing happens. At the end of a residual branch it leaves the
    branch out for that sample.

        y = m * x / (1 - p)

    m is 0 with probability p, else 1, for each sample.

    Shapes: x `f32[n, ...]` -> the same.

    - `p`: the probability, from 0 to 1. Nets often let it grow with depth: `20% * i / count`.

    Errors: W0353 where `p` is no probability.
    Example: `y = sequence + (sequence -> layer_norm -> mlp(256) -> drop_path(10%))`
    Source: Huang et al. 2016, https://arxiv.org/abs/1603.09382;
    `torchvision.ops.stochastic_depth` in mode "row"
    """

    name = "drop_path"
    scales_with_operand = True
    p: float = 0.1

    def infer(self, assume: Assume, x: TensorType) -> tuple[TensorType, ...]:
        need_rank(self.name, x, 1)
        return super().infer(assume, x)

    def torch(self, node: Node) -> Spelling:
        rows: Term = Leaf(input_type(node).shape[0], "rows", dim=("in", 0, 0))
        ones: tuple[Term, ...] = (rows, *[Leaf(1)] * (input_type(node).rank - 1))
        kept = Call(
            "F.dropout",
            (Method(In(0), "new_ones", ones),),
            (("p", replace(self.leaf("p"), default=0.5)), _TRAINING),  # F.dropout's
        )
        return Spelling(Infix("*", In(0), kept))
