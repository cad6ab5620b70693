"""Boxes of the library against their formulas written down with PyTorch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from compiler.ops.detection import Nms
from tests.elaborating import codes
from tests.std_blocks import compare_block

DRAWN = np.random.default_rng(6)


def draw_boxes(count: int) -> Any:
    low = DRAWN.random((2, count, 2))
    size = DRAWN.random((2, count, 2)) + 0.1
    return np.concatenate([low, low + size], axis=-1).astype(np.float32)


A, B = draw_boxes(4), draw_boxes(3)


def iou(a: Any, b: Any, *, general: bool = False) -> Any:
    """One pair after the other, from the definitions."""
    rows = []
    for x in a:
        for y in b:
            width = (torch.minimum(x[2], y[2]) - torch.maximum(x[0], y[0])).clamp(min=0)
            height = (torch.minimum(x[3], y[3]) - torch.maximum(x[1], y[1])).clamp(min=0)
            areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (x, y)]
            union = areas[0] + areas[1] - width * height
            value = width * height / union
            if general:
                around = (torch.maximum(x[2], y[2]) - torch.minimum(x[0], y[0])) * (
                    torch.maximum(x[3], y[3]) - torch.minimum(x[1], y[1])
                )
                value = value - (around - union) / around
            rows.append(value)
    return torch.stack(rows).reshape(len(a), len(b))


def in_batch(function: Callable[..., Any], **options: bool) -> Callable[..., Any]:
    return lambda a, b: torch.stack([function(x, y, **options) for x, y in zip(a, b, strict=True)])


def to_center(boxes: Any) -> Any:
    left, top, right, bottom = boxes.unbind(-1)
    return torch.stack([(left + right) / 2, (top + bottom) / 2, right - left, bottom - top], -1)


CASES: list[tuple[str, str, Callable[..., Any]]] = [
    ("a b", "box_iou(a, b)", in_batch(iou)),
    ("a b", "box_iou(a[0], b[1])", lambda a, b: iou(a[0], b[1])),
    ("a b", "generalized_box_iou(a, b)", in_batch(iou, general=True)),
    ("a", "edges_to_center(a)", to_center),
    ("a", "center_to_edges(edges_to_center(a))", lambda a: a),
    ("a", "box_area(a)", lambda a: (a[..., 2] - a[..., 0]) * (a[..., 3] - a[..., 1])),
]


@pytest.mark.parametrize(("names", "call", "oracle"), CASES, ids=[c[1] for c in CASES])
def test_numbers_and_gradients(names: str, call: str, oracle: Callable[..., Any]) -> None:
    compare_block("boxes", call, {n: {"a": A, "b": B}[n] for n in names.split()}, oracle)


def suppress(boxes: Any, scores: Any, threshold: float) -> list[int]:
    """The definition: a box is dropped where a better one that stays overlaps it too much."""
    kept: list[int] = []
    for i in sorted(range(len(scores)), key=lambda i: -scores[i]):
        overlaps = iou(boxes[i : i + 1], boxes[kept])[0] if kept else torch.zeros(1)
        if not (overlaps > threshold).any():
            kept.append(i)
    return kept


@pytest.mark.parametrize("threshold", [0.05, 0.3, 0.6])
def test_boxes_that_overlap_are_dropped(threshold: float) -> None:
    boxes, scores = draw_boxes(20)[0], DRAWN.random(20).astype(np.float32)
    wanted = suppress(torch.tensor(boxes), scores, threshold)
    assert 1 < len(wanted) < 20
    for most in (1, len(wanted), 25):
        (found,) = Nms(threshold, most).evaluate(boxes, scores)
        assert found.tolist() == [*wanted, *[-1] * most][:most]
    turned = boxes[:, [2, 1, 0, 3]]  # other corners
    assert Nms(threshold, 20).evaluate(turned, scores)[0][: len(wanted)].tolist() == wanted


WRONG = [
    ("nms(boxes, scores, iou_threshold=1.5, most=3)", "W0353"),
    ("nms(boxes, scores, iou_threshold=0.5, most=0)", "W0353"),
    ("nms(boxes[0], scores, iou_threshold=0.5, most=3)", "W0380"),
    ("nms(boxes, boxes, iou_threshold=0.5, most=3)", "W0380"),
    ("nms(cast(boxes, f64), scores, iou_threshold=0.5, most=3)", "W0382"),
    ("nms(boxes[:, :3], scores, iou_threshold=0.5, most=3)", "W0387"),
]


@pytest.mark.parametrize(("call", "code"), WRONG)
def test_what_is_refused(call: str, code: str) -> None:
    inputs = "input boxes: f32[n, 4]\n    input scores: f32[n]"
    assert codes(f"model M {{\n    {inputs}\n    output y = {call}\n}}") == [code]
