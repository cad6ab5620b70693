"""A value that is one thing in training and another in evaluation: what `if training` becomes."""

from __future__ import annotations

from typing import NoReturn, final

from compiler.ir.coupling import Coupling, tie_same
from compiler.ir.graph import Node, Op
from compiler.ir.inputs import NodeInput, OnnxInput
from compiler.ir.onnx_builder import OnnxBuilder
from compiler.ir.operands import Array, Assume, Results
from compiler.ir.symbols import Slopes, Symbol
from compiler.ops.registry import OPS
from compiler.records import dataclass
from compiler.report.diagnostics import Fault
from compiler.report.messages.modes import versions_differ
from compiler.types.tensor import TensorType
from compiler.vocabulary.signature import Operand
from compiler.vocabulary.spelling import Choose, In, Name, Spelling


@OPS.keep
@final
@dataclass(frozen=True)
class ByMode(Op):
    """What a value is in training, and what in evaluation: both of one type. Only one of them is
    computed. Whatever is evaluated or deployed has the second in its place (`take_evaluation`).

    Shapes: training and evaluation of any dtype, and the same shape -> that shape.
    """

    name = "by_mode"
    of_mode = True
    operands = (Operand("training"), Operand("evaluation"))

    def infer(
        self, assume: Assume, training: TensorType, evaluation: TensorType
    ) -> tuple[TensorType, ...]:
        if training != evaluation:
            kinds = f"a tensor {training}", f"a tensor {evaluation}"
            raise Fault(lambda where: versions_differ(where.call, "this", *kinds))
        return (evaluation,)

    def evaluate(self, training: Array, evaluation: Array) -> tuple[Array, ...]:
        return (evaluation,)

    def pull_back(self, slope: Symbol, result: Symbol, *inputs: Symbol) -> Slopes:
        return [None, slope]

    def couple(self, outputs: Results, training: NodeInput, evaluation: NodeInput) -> Coupling:
        ties = (tie_same(operand, outputs[0].rank) for operand in (training, evaluation))
        return Coupling(tuple(tie for operand in ties for tie in operand))

    def torch(self, node: Node) -> Spelling:
        return Spelling(Choose(Name("self.training"), In(0), In(1)))

    def onnx(
        self, build: OnnxBuilder, outputs: Results, training: OnnxInput, evaluation: OnnxInput
    ) -> NoReturn:
        """It is never lowered: a file holds the version of evaluation."""
        raise AssertionError("the version of evaluation is taken before a graph is exported")
