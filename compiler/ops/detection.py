"""Boxes of objects: non-maximum suppression."""

from __future__ import annotations

from typing import final

import numpy as np

from compiler.ir.graph import Node, Op
from compiler.ir.inputs import OnnxInput
from compiler.ir.onnx_builder import OnnxBuilder, Values
from compiler.ir.operands import Array, Assume, Results
from compiler.ops.axes import axes_constant, places, unsqueeze
from compiler.ops.layers import need_least, refuse_option
from compiler.ops.ordering import rank_entries
from compiler.ops.registry import OPS
from compiler.records import dataclass
from compiler.report.diagnostics import Fault
from compiler.report.messages.tensor_operands import sizes_disagree, wrong_dtype
from compiler.report.messages.tensor_shapes import wrong_rank
from compiler.types.dims import Dim, equal
from compiler.types.tensor import DType, TensorType
from compiler.vocabulary.signature import Operand
from compiler.vocabulary.spelling import Call, In, Spelling


@OPS.register
@final
@dataclass(frozen=True)
class Nms(Op):
    """Non-maximum suppression: places of the boxes that are left once every box is dropped that
    overlaps a better one by more than a threshold.

    Boxes are opposite corners (`xyxy`), and of equal scores the first is better. The places come
    in the order of the scores; behind the last of them stands -1. An overlap is the intersection
    over union, `box_iou` of `std.boxes`. With classes, move the boxes of each class apart first.

    Shapes: boxes `f32[n, 4]`, scores `f32[n]` -> `i64[most]`.

    - `iou_threshold`: the overlap up to which both boxes stay, from 0 to 1.
    - `most`: how many places there are in the result.

    Errors: W0353 for a threshold outside of 0 to 1 or a `most` below 1, W0380 for other axes, W0382
    where operands are not f32, W0387 where sizes differ.
    Example: `kept = nms(boxes, score, iou_threshold=0.5, most=100)`
    Source: https://docs.pytorch.org/vision/stable/generated/torchvision.ops.nms.html
    """

    name = "nms"
    keeps_f32 = True
    operands = (Operand("boxes"), Operand("scores"))

    iou_threshold: float
    most: int

    def infer(
        self, assume: Assume, boxes: TensorType, scores: TensorType
    ) -> tuple[TensorType, ...]:
        need_least(self.name, "most", self.most, 1)
        if not 0 <= self.iou_threshold <= 1:
            refuse_option(self.name, "iou_threshold", self.iou_threshold, "from 0 to 1")
        for index, (found, rank) in enumerate(((boxes, 2), (scores, 1))):
            word = self.operands[index].name
            needed = "boxes `[n, 4]`" if index == 0 else "a score for each box, `[n]`"
            if found.dtype is not DType.F32:
                raise Fault(
                    lambda where, word=word, found=found: wrong_dtype(  # type: ignore[misc]
                        where.argument(word), "nms", "a tensor of f32", found, places(where, 2)
                    )
                )
            if found.rank != rank:
                raise Fault(
                    lambda where, word=word, needed=needed, found=found: wrong_rank(  # type: ignore[misc]
                        where.argument(word), "nms", needed, found
                    )
                )
        for left, right in ((boxes.shape[1], Dim.of(4)), (scores.shape[0], boxes.shape[0])):
            same = equal(left, right)
            if same is None:
                assume(left, "==", right)
            elif not same:
                reason = f"boxes are {boxes} and scores {scores}, not `[n, 4]` and `[n]`"
                raise Fault(
                    lambda where, reason=reason: sizes_disagree(  # type: ignore[misc]
                        where.call, "nms", reason, places(where, 2)
                    )
                )
        return (TensorType(DType.I64, (Dim.of(self.most),)),)

    def evaluate(self, boxes: Array, scores: Array) -> tuple[Array, ...]:
        low = np.minimum(boxes[:, :2], boxes[:, 2:])
        high = np.maximum(boxes[:, :2], boxes[:, 2:])
        area = (high - low).prod(axis=1)
        order = rank_entries(scores, 0, descending=True)
        kept = np.full(self.most, -1, np.int64)
        for place in range(self.most):
            if not order.size:
                break
            best, order = order[0], order[1:]
            kept[place] = best
            size = np.minimum(high[best], high[order]) - np.maximum(low[best], low[order])
            both = np.maximum(size, 0).prod(axis=1)
            with np.errstate(invalid="ignore"):  # boxes without area overlap none
                overlap = both / (area[best] + area[order] - both)
            order = order[~(overlap > np.float32(self.iou_threshold))]
        return (kept,)

    def torch(self, node: Node) -> Spelling:
        options = (self.named("iou_threshold"), self.named("most"))
        return Spelling(Call("nms", (In(0), In(1)), options))

    def onnx(
        self, build: OnnxBuilder, outputs: Results, boxes: OnnxInput, scores: OnnxInput
    ) -> Values:
        places = unsqueeze(build, boxes.value, [0])
        numbers = unsqueeze(build, scores.value, [0, 1])
        most = axes_constant(build, [self.most])
        threshold = build.constant(np.array([self.iou_threshold], np.float32))
        found = build.op("NonMaxSuppression", [places, numbers, most, threshold])
        column = build.constant(np.array(2, np.int64))  # of batch, class and box
        kept = build.op("Gather", [found, column], {"axis": 1})
        rest = build.constant(np.full(self.most, -1, np.int64))
        padded = build.op("Concat", [kept, rest], {"axis": 0})
        return [build.op("Slice", [padded, axes_constant(build, [0]), most])]
