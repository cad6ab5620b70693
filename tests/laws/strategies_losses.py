"""Cases of losses."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from compiler.ops.class_losses import CrossEntropy, Nll
from compiler.ops.losses import L1, Huber, Mse, SmoothL1
from compiler.ops.probability_losses import Bce, BceWithLogits, Kl
from compiler.ops.sequence_losses import Ctc
from tests.laws.harness import Case, cases, draw_numbers, draw_shape, make_case

REDUCTIONS = st.sampled_from(("mean", "sum", "none"))


def draw_pair_names(draw: Any, axes: int) -> dict[tuple[int, int], str]:
    """Names for some of the first axes of two tensors of one shape."""
    found = [a for a in range(axes) if draw(st.booleans())]
    return {(operand, a): "abcd"[a] for a in found for operand in (0, 1)}


def draw_counts(draw: Any, target: NDArray[Any]) -> tuple[NDArray[Any] | None, ...]:
    """A mask and weights of the entries of a target, of which some count; or none."""
    mask = draw_numbers(draw, target.shape, "bool") if draw(st.booleans()) else None
    weight = draw_numbers(draw, target.shape, low=0, high=2) if draw(st.booleans()) else None
    if mask is not None and mask.size:
        mask.flat[-1] = True
    if weight is not None and weight.size:
        weight.flat[-1] = 1
    return mask, weight


def name_counts(
    names: dict[tuple[int, int], str], counts: tuple[NDArray[Any] | None, ...]
) -> dict[tuple[int, int], str]:
    """The same names for the axes of masks and weights."""
    given = [place for place, array in enumerate(counts, 2) if array is not None]
    return names | {(p, axis): name for (of, axis), name in names.items() if of == 1 for p in given}


@cases("cross_entropy", "nll")
def draw_class_loss(draw: Any, name: str) -> Case:
    classes = draw(st.integers(2, 5))
    rest = draw_shape(draw, 1, 3)
    axis = draw(st.integers(0, len(rest)))
    shape = (*rest[:axis], classes, *rest[axis:])
    x = draw_numbers(draw, shape)
    ignored = draw(st.sampled_from((-100, 0)))
    options = {
        "weight": tuple(np.linspace(0.5, 2, classes).tolist()) if draw(st.booleans()) else None,
        "ignore_index": ignored,
        "reduction": draw(REDUCTIONS),
        "axis": draw(st.sampled_from((axis, axis - len(shape)))),
    }
    target = draw_numbers(
        draw, rest, draw(st.sampled_from(("int64", "int32", "uint8"))), 0, classes
    )
    target.flat[0] = classes - 1  # something counts
    symbols = {(0, a): f"s{a}" for a in range(len(shape)) if a != axis and draw(st.booleans())}
    symbols |= {(1, a - (a > axis)): n for (_, a), n in symbols.items()}
    if name == "nll":
        return make_case(Nll(**options), x, target, symbols=symbols)
    options["label_smoothing"] = draw(st.sampled_from((0.0, 0.1)))
    if draw(st.booleans()):
        target = draw_numbers(draw, shape, low=0, high=1)
        options["ignore_index"] = -100
        symbols = {(operand, a): n for (o, a), n in symbols.items() if o == 0 for operand in (0, 1)}
    return make_case(CrossEntropy(**options), x, target, symbols=symbols)


@cases("mse", "l1", "smooth_l1", "huber")
def draw_difference(draw: Any, name: str) -> Case:
    shape = draw_shape(draw, 0, 3)
    reduction = draw(REDUCTIONS)
    op = {
        "mse": Mse(reduction),
        "l1": L1(reduction),
        "smooth_l1": SmoothL1(draw(st.sampled_from((0.0, 0.5, 1.0))), reduction),
        "huber": Huber(draw(st.sampled_from((0.5, 1.0))), reduction),
    }[name]
    x = draw_numbers(draw, shape)
    target = draw_numbers(draw, shape, draw(st.sampled_from(("float32", "int64"))))
    counts = draw_counts(draw, target)
    names = name_counts(draw_pair_names(draw, len(shape)), counts)
    return make_case(op, x, target, *counts, symbols=names)


@cases("bce", "bce_with_logits")
def draw_binary(draw: Any, name: str) -> Case:
    shape = draw_shape(draw, 1, 3)
    target = draw_numbers(draw, shape, draw(st.sampled_from(("float32", "bool"))), 0, 1)
    counts = draw_counts(draw, target)
    names = name_counts(draw_pair_names(draw, len(shape) - 1), counts)
    if name == "bce":
        x = draw_numbers(draw, shape, low=0, high=1)
        return make_case(Bce(draw(REDUCTIONS)), x, target, *counts, symbols=names)
    weights = tuple(np.linspace(0.5, 2, shape[-1]).tolist())
    op = BceWithLogits(draw(st.sampled_from((None, 3.0, weights))), draw(REDUCTIONS))
    x = draw_numbers(draw, shape, low=-8, high=8)
    return make_case(op, x, target, *counts, symbols=names)


@cases("kl")
def draw_kl(draw: Any) -> Case:
    shape = draw_shape(draw, 1, 3)
    log_target = draw(st.booleans())
    op = Kl(log_target, draw(st.sampled_from(("mean", "batchmean", "sum", "none"))))
    x = draw_numbers(draw, shape, low=-3, high=0)
    target = draw_numbers(draw, shape, low=-3, high=0)
    if not log_target:
        target = np.maximum(target + 2, 0)  # zeros among them
    counts = draw_counts(draw, target)
    names = name_counts(draw_pair_names(draw, len(shape)), counts)
    return make_case(op, x, target, *counts, symbols=names)


@cases("ctc")
def draw_ctc(draw: Any) -> Case:
    n, t, classes, labels = (draw(st.integers(least, 5)) for least in (1, 1, 2, 1))
    x = draw_numbers(draw, (n, t, classes))
    x = x - np.log(np.exp(x).sum(-1, keepdims=True))
    kind = draw(st.sampled_from(("int64", "int32", "uint8")))
    target = draw_numbers(draw, (n, labels), kind, 0, classes)
    lengths = [
        draw_numbers(draw, (n,), "int64", 1, t + 1),
        draw_numbers(draw, (n,), "int64", 0, labels + 1),
    ]
    given = [array if draw(st.booleans()) else None for array in lengths]
    op = Ctc(draw(st.integers(0, classes - 1)), draw(REDUCTIONS), draw(st.booleans()))
    symbols = {(0, 1): "t", (1, 1): "s", **{(place, 0): "n" for place in range(4)}}
    symbols = {k: name for k, name in symbols.items() if k[0] < 2 or given[k[0] - 2] is not None}
    skip = dict.fromkeys(("onnxruntime", "reference"), "ONNX has no such operator")
    symbols = symbols if draw(st.booleans()) else {}
    return make_case(op, x, target, *given, symbols=symbols, skip=skip)
