"""Cases of activations, softmax and dropout."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from compiler.ops import activation, derivative, expecting, shrinking, smooth_activation
from compiler.ops.regularization import AlphaDropout, ChannelDropout, Dropout, DropPath
from compiler.ops.softmax import LogSoftmax, Softmax, Softmin
from tests.laws.harness import Case, cases, draw_numbers, draw_shape, make_case
from tests.laws.strategies_arithmetic import NUMBERS
from tests.laws.strategies_linear import draw_names

PLAIN = {
    cls.name: cls
    for cls in (
        activation.Relu,
        activation.Relu6,
        activation.Selu,
        activation.Silu,
        activation.Sigmoid,
        activation.Tanh,
        activation.HardSigmoid,
        activation.HardSwish,
        smooth_activation.Softsign,
        smooth_activation.Mish,
        smooth_activation.LogSigmoid,
        shrinking.TanhShrink,
        shrinking.Identity,
        derivative.Detach,
    )
}


def draw_values(draw: Any, shape: tuple[int, ...]) -> Any:
    """Numbers on both sides of every bend."""
    return draw_numbers(draw, shape, low=-8, high=8)


@cases(*PLAIN)
def draw_plain(draw: Any, name: str) -> Case:
    # The evaluator of onnx 1.23 returns no array for the Softsign of a tensor without axes.
    shape = draw_shape(draw, 1 if name == "softsign" else 0, 4)
    return make_case(PLAIN[name](), draw_values(draw, shape), symbols=draw_names(draw, len(shape)))


@cases("hard_shrink", "soft_shrink", "threshold")
def draw_shrink(draw: Any, name: str) -> Case:
    number = draw(st.sampled_from((0.0, 0.5, 1.5)))
    op = {
        "hard_shrink": shrinking.HardShrink(number),
        "soft_shrink": shrinking.SoftShrink(number),
        "threshold": shrinking.Threshold(number - 0.5, draw(st.sampled_from((0.0, -1.5)))),
    }[name]
    shape = draw_shape(draw, 0, 4)
    return make_case(op, draw_values(draw, shape), symbols=draw_names(draw, len(shape)))


@cases("unit_step", "sign")
def draw_step(draw: Any, name: str) -> Case:
    straight = draw(st.booleans())
    op = shrinking.UnitStep(straight) if name == "unit_step" else shrinking.Sign(straight)
    shape = draw_shape(draw, 0, 4)
    kinds = NUMBERS if name == "sign" and not straight else ("float32",)
    dtype = draw(st.sampled_from(kinds))
    values = draw_numbers(draw, shape, dtype, 0 if dtype == "uint8" else -3, 4).round()
    return make_case(op, values, symbols=draw_names(draw, len(shape)))


@cases("leaky_relu", "rrelu", "elu", "celu", "gelu", "softplus", "hard_tanh")
def draw_with_options(draw: Any, name: str) -> Case:
    number = draw(st.sampled_from((0.01, 0.2, 1.0, 1.5)))
    op = {
        "leaky_relu": activation.LeakyRelu(number),
        "rrelu": activation.Rrelu(number / 2, number) if number < 1 else activation.Rrelu(),
        "elu": activation.Elu(number),
        "celu": smooth_activation.Celu(number),
        "gelu": activation.Gelu(draw(st.sampled_from(("none", "tanh")))),
        "softplus": smooth_activation.Softplus(
            max(number, 0.2), draw(st.sampled_from((20.0, 2.0)))
        ),
        "hard_tanh": activation.HardTanh(-number, 2 * number),
    }[name]
    shape = draw_shape(draw, 0, 4)
    return make_case(op, draw_values(draw, shape), symbols=draw_names(draw, len(shape)))


@cases("expect")
def draw_expect(draw: Any) -> Case:
    values = draw(st.sampled_from((None, (-1.0, 1.0))))
    op = expecting.Expect(values, low=None if values else 0)
    shape = draw_shape(draw, 0, 4)
    numbers = draw_numbers(draw, shape, draw(st.sampled_from(NUMBERS)), 0, 4)
    return make_case(op, numbers, symbols=draw_names(draw, len(shape)))


@cases("prelu")
def draw_prelu(draw: Any) -> Case:
    per_channel = draw(st.booleans())
    shape = draw_shape(draw, 2 if per_channel else 0, 4)
    op = smooth_activation.Prelu(per_channel, init=0.3)
    names = draw_names(draw, min(len(shape), 1))
    return make_case(op, draw_values(draw, shape), symbols=names)


@cases("glu")
def draw_glu(draw: Any) -> Case:
    shape = list(draw_shape(draw, 1, 4))
    axis = draw(st.integers(-len(shape), len(shape) - 1))
    shape[axis] *= 2
    names = {k: n for k, n in draw_names(draw, len(shape)).items() if k[1] != axis % len(shape)}
    return make_case(smooth_activation.Glu(axis), draw_values(draw, tuple(shape)), symbols=names)


@cases("softmax", "log_softmax", "softmin")
def draw_softmax(draw: Any, name: str) -> Case:
    shape = draw_shape(draw, 1, 4)
    axis = draw(st.integers(-len(shape), len(shape) - 1))
    op = {"softmax": Softmax, "log_softmax": LogSoftmax, "softmin": Softmin}[name](axis)
    return make_case(op, draw_values(draw, shape), symbols=draw_names(draw, len(shape)))


@cases("dropout", "alpha_dropout", "drop_path", "channel_dropout")
def draw_dropout(draw: Any, name: str) -> Case:
    kinds = {
        cls.name: (cls, least, most)
        for cls, least, most in (
            (Dropout, 0, 4),
            (AlphaDropout, 0, 4),
            (DropPath, 1, 4),
            (ChannelDropout, 3, 4),
        )
    }
    cls, least, most = kinds[name]
    shape = draw_shape(draw, least, most, 4)
    op = cls(draw(st.sampled_from((0.0, 0.25, 0.5, 1.0))))
    return make_case(op, draw_values(draw, shape), symbols=draw_names(draw, len(shape)))
