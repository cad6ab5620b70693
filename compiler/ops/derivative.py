"""Derivatives: of one tensor by another, and where they end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, final

from compiler.ir.graph import Graph, Node, Op, Parameter, Value
from compiler.ir.inputs import OnnxInput
from compiler.ir.onnx_builder import OnnxBuilder, Values
from compiler.ir.operands import Array, Assume, Results
from compiler.ops.axes import need_float
from compiler.ops.differentiation import expand_graph, passes_slope
from compiler.ops.elementwise import Function
from compiler.ops.registry import OPS
from compiler.records import dataclass
from compiler.report.diagnostics import Fault
from compiler.report.messages.derivatives import no_slope
from compiler.types.tensor import TensorType
from compiler.vocabulary.signature import Operand
from compiler.vocabulary.spelling import Call, In, Index, Leaf, Method, Name, Spelling


@OPS.register
@final
@dataclass(frozen=True)
class Grad(Op):
    """How the sum of `y` changes with each entry of `x`, which `y` is computed from: `g[i] =
    (d Σ_j y[j]) / (d x[i])`.

    `x` is any floating-point tensor on the way to `y`: an input, a value between, a weight
    (`grad(loss, net.weight)`). What is computed of the result has a gradient itself, so that a
    training minimizes it, and `grad` can be applied again. In PyTorch it is `torch.autograd.grad`;
    a deployed file has the derivative written out, in evaluation mode.

    Shapes: y `f32[...]`, x `f32[...]` -> the shape of x.

    Example:

        input real: f32[batch, 8]
        input fake: f32[batch, 8]
        between = 0.3 * real + 0.7 * fake
        score = between -> dense(16) -> tanh -> dense(1)
        slope = grad(sum(score), between)
        penalty = mean((norm(slope, axis=1) - 1) ** 2)

    Errors: W0382 where a tensor holds no floating-point numbers, W1510 where y does not depend on
    x, W1511 in a deployed file where an op between them has no derivative written down.
    Source: https://docs.pytorch.org/docs/stable/generated/torch.autograd.grad.html
    """

    name = "grad"
    of_graph = True
    operands = (Operand("y"), Operand("x"))

    def infer(self, assume: Assume, y: TensorType, x: TensorType) -> tuple[TensorType, ...]:
        need_float(self.name, y, operand=0)
        need_float(self.name, x, operand=1)
        return (x,)

    def check_graph(
        self,
        before: Sequence[Node],
        inputs: Sequence[Value | None],
        parameters: Mapping[str, Parameter],
    ) -> None:
        y, x = inputs
        assert y is not None, "y is required"
        assert x is not None, "x is required"
        reached, stops = {x.name}, ""
        for node in before:
            if not any(v is not None and v.name in reached for v in node.inputs):
                continue
            if passes_slope(node):
                reached.update(v.name for v in node.outputs if v.type.dtype.is_float)
            else:
                stops = node.op.name
        reason = "y is not computed from x"
        if x.name in parameters and not parameters[x.name].trainable:
            reason = "x is a buffer, of which there are no gradients"
        elif y.name in reached:
            return
        elif stops and _depends(before, y, x):
            reason = f"all ways from x to y go through what passes no gradient, as `{stops}`"
        raise Fault(
            lambda where: no_slope(where.call, reason, (where.operand(0), where.operand(1)))
        )

    def expand(self, graph: Graph) -> Graph:
        return expand_graph(graph)

    def evaluate(self, y: Array, x: Array) -> tuple[Array, ...]:
        raise AssertionError("graphs are expanded before they are evaluated")

    def torch(self, node: Node) -> Spelling:
        (y, _) = node.types
        assert y is not None, "y is required"
        total = Method(In(0), "sum") if y.rank else In(0)
        made = Call("torch.autograd.grad", (total, In(1)), (("create_graph", Name("True")),))
        return Spelling(Index(made, (Leaf(0),)))

    def onnx(self, build: OnnxBuilder, outputs: Results, y: OnnxInput, x: OnnxInput) -> Values:
        raise AssertionError("graphs are expanded before they are exported")


def _depends(before: Sequence[Node], y: Value, x: Value) -> bool:
    """Whether y is computed from x at all."""
    found = {x.name}
    for node in before:
        if any(v is not None and v.name in found for v in node.inputs):
            found.update(v.name for v in node.outputs)
    return y.name in found


@OPS.register
@final
@dataclass(frozen=True)
class Detach(Function):
    """What goes in comes out, and no gradient passes: `y = x`, whose derivative counts as 0.

    What stands before it does not learn through it: the generator while the critic is trained, the
    targets that a teacher makes. `soft + detach(hard - soft)` counts forward as `hard`, and
    backward as `soft`.

    Shapes: x of any dtype -> the same.

    Example: `target = detach(x -> dense(8) as teacher)`
    Source: https://docs.pytorch.org/docs/stable/generated/torch.Tensor.detach.html
    """

    name = "detach"
    moves = True
    keeps_channels = True
    scales_with_operand = True
    onnx_bfloat = True
    torch_method = "detach"

    @property
    def is_flat(self) -> bool:
        return True

    def check(self, types: Sequence[TensorType]) -> None:
        """Every tensor is one."""

    def calculate(self, x: Array) -> Array:
        return x

    def write(self, build: OnnxBuilder, x: Any, type: TensorType) -> Any:
        return x
