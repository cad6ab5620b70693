"""Cases of dense layers, embeddings and normalisations."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from compiler.ops.group_normalization import GroupNorm, InstanceNorm, RmsNorm
from compiler.ops.linear import Dense, Embedding
from compiler.ops.masked_normalization import MaskedBatchNorm
from compiler.ops.normalization import BatchNorm, LayerNorm
from tests.laws.harness import Case, cases, draw_numbers, draw_shape, make_case

EPS = st.sampled_from((1e-5, 1e-6, 1e-3))


def draw_names(draw: Any, axes: int) -> dict[tuple[int, int], str]:
    """Names for some of the first axes."""
    return {(0, a): "abcd"[a] for a in range(axes) if draw(st.booleans())}


@cases("dense")
def draw_dense(draw: Any) -> Case:
    shape = draw_shape(draw, 1, 4)
    x = draw_numbers(draw, shape)
    op = Dense(draw(st.integers(1, 6)), bias=draw(st.booleans()))
    return make_case(op, x, symbols=draw_names(draw, len(shape) - 1))


@cases("embedding")
def draw_embedding(draw: Any) -> Case:
    count = draw(st.integers(1, 9))
    shape = draw_shape(draw, 0, 3)
    x = draw_numbers(draw, shape, draw(st.sampled_from(("int64", "int32"))), 0, count)
    padding = draw(st.one_of(st.none(), st.integers(-count, count - 1)))
    op = Embedding(count, draw(st.integers(1, 5)), padding)
    return make_case(op, x, symbols=draw_names(draw, len(shape)))


@cases("batch_norm")
def draw_batch_norm(draw: Any) -> Case:
    shape = draw_shape(draw, 2, 5, 4)
    op = BatchNorm(eps=draw(EPS), affine=draw(st.booleans()))
    names = {(0, a): "abcde"[a] for a in (0, *range(2, len(shape))) if draw(st.booleans())}
    return make_case(op, draw_numbers(draw, shape), symbols=names)


@cases("masked_batch_norm")
def draw_masked_batch_norm(draw: Any) -> Case:
    shape = draw_shape(draw, 2, 5, 4)
    op = MaskedBatchNorm(eps=draw(EPS), affine=draw(st.booleans()))
    mask = draw_numbers(draw, shape[:-1], "bool")
    names = draw_names(draw, len(shape) - 1)
    names |= {(1, a): name for (_, a), name in names.items()}
    return make_case(op, draw_numbers(draw, shape), mask, symbols=names)


@cases("layer_norm")
def draw_layer_norm(draw: Any) -> Case:
    shape = (*draw_shape(draw, 0, 3), draw(st.integers(2, 7)))
    op = LayerNorm(
        eps=draw(EPS),
        affine=draw(st.booleans()),
        bias=draw(st.booleans()),
        axes=draw(st.integers(1, len(shape))),
    )
    free = len(shape) - op.axes if op.affine else len(shape)
    return make_case(op, draw_numbers(draw, shape), symbols=draw_names(draw, free))


@cases("rms_norm")
def draw_rms_norm(draw: Any) -> Case:
    shape = (*draw_shape(draw, 0, 3), draw(st.integers(2, 7)))
    op = RmsNorm(eps=draw(st.one_of(st.none(), EPS)), affine=draw(st.booleans()))
    return make_case(op, draw_numbers(draw, shape), symbols=draw_names(draw, len(shape) - 1))


@cases("group_norm")
def draw_group_norm(draw: Any) -> Case:
    groups = draw(st.integers(1, 3))
    channels = groups * draw(st.integers(1, 3))
    shape = (draw(st.integers(1, 3)), channels, *draw_shape(draw, 1, 3), 2)
    op = GroupNorm(groups, eps=draw(EPS), affine=draw(st.booleans()))
    names = {(0, a): "abcdef"[a] for a in (0, *range(2, len(shape))) if draw(st.booleans())}
    return make_case(op, draw_numbers(draw, shape), symbols=names)


@cases("instance_norm")
def draw_instance_norm(draw: Any) -> Case:
    shape = (*draw_shape(draw, 2, 4), draw(st.integers(2, 6)))
    op = InstanceNorm(eps=draw(EPS), affine=draw(st.booleans()))
    names = {(0, a): "abcde"[a] for a in (0, *range(2, len(shape) - 1)) if draw(st.booleans())}
    return make_case(op, draw_numbers(draw, shape), symbols=names)
