"""What layers, attention and losses refuse, and what they say."""

from __future__ import annotations

import pytest

from compiler.driver import check_source
from compiler.ir.graph import Op
from compiler.ops.attention import ScaledDotProductAttention
from compiler.ops.class_losses import CrossEntropy, Nll
from compiler.ops.convolution import Conv, ConvTranspose
from compiler.ops.group_normalization import GroupNorm, InstanceNorm, RmsNorm
from compiler.ops.linear import Dense, Embedding
from compiler.ops.losses import Huber, Mse, SmoothL1
from compiler.ops.normalization import BatchNorm, LayerNorm
from compiler.ops.pooling import AvgPool, MaxPool
from compiler.ops.probability_losses import BceWithLogits
from compiler.ops.regularization import Dropout
from compiler.ops.smooth_activation import Celu, Glu, Softplus
from compiler.ops.softmax import Softmax
from compiler.report.diagnostics import Sink
from compiler.report.messages import attention_and_losses as pairs
from compiler.report.messages import layers, windows
from compiler.report.messages.tensor_operands import wrong_dtype
from compiler.report.messages.tensor_shapes import no_such_axis, wrong_rank
from compiler.report.source import Source
from compiler.types.tensor import TensorType
from tests.faults import fault_of


def read(text: str) -> TensorType:
    """A type from its text: `f32[batch, 3]`."""
    dtype, _, dims = text.rstrip("]").partition("[")
    parts = [d.strip() for d in dims.split(",") if d.strip()]
    return TensorType.of(dtype, [int(d) if d.isdigit() else d for d in parts])


def infer(op: Op, *texts: str | None) -> tuple[list[str], list[str]]:
    """Types of the outputs and the promises made; weights are the op's own."""
    operands = [None if t is None else read(t) for t in texts]
    operands += [None] * (len(op.operands) - len(operands))
    made = [w.type for w in op.weights(operands)]
    promises: list[str] = []
    types = op.infer(lambda a, r, b: promises.append(f"{a} {r} {b}"), *operands, *made)
    return [str(t) for t in types], promises


REFUSED = [
    (Conv(32, 3, groups=3), ("f32[n, 16, 26, 26]",), layers.channels_do_not_match),
    (Conv(32, 3, groups=3), ("f32[n, 6, 26, 26]",), layers.channels_do_not_match),
    (Conv(32, 3), ("f32[n, 16]",), windows.wrong_layout),
    (Conv(32, 3), ("f32[n, c, 8, 8]",), layers.weight_shape_unknown),
    (Conv(32, 9), ("f32[n, 3, 8, 8]",), windows.window_too_large),
    (Conv(32, 3, dilation=4), ("f32[n, 3, 8, 8]",), windows.window_too_large),
    (Conv(32, (3, 3, 3)), ("f32[n, 3, 8, 8]",), windows.wrong_count),
    (Conv(0, 3), ("f32[n, 3, 8, 8]",), layers.option_out_of_range),
    (Conv(8, 3, padding=-1), ("f32[n, 3, 8, 8]",), layers.option_out_of_range),
    (Conv(8, 2, stride=4, padding="same"), ("f32[n, 3, h, 8]",), windows.padding_undecided),
    (Conv(8, 3), ("i64[n, 3, 8, 8]",), wrong_dtype),
    (ConvTranspose(8, 2, padding=1), ("f32[n, 3, 1, 1]",), windows.nothing_left),
    (ConvTranspose(8, 3, 2, padding="same"), ("f32[n, 3, 4, 4]",), layers.option_out_of_range),
    (ConvTranspose(8, 4, 2, "same", 1), ("f32[n, 3, 4, 4]",), layers.option_out_of_range),
    (ConvTranspose(8, 2, 2, output_padding=2), ("f32[n, 3, 4, 4]",), layers.option_out_of_range),
    (ConvTranspose(9, 2, groups=2), ("f32[n, 4, 4, 4]",), layers.channels_do_not_match),
    (Dense(10), ("f32[n, d]",), layers.weight_shape_unknown),
    (Dense(10), ("f32[]",), wrong_rank),
    (Dense(10), ("u8[n, 4]",), wrong_dtype),
    (Embedding(10, 4), ("f32[n]",), wrong_dtype),
    (Embedding(10, 4, padding_idx=10), ("i64[n]",), layers.option_out_of_range),
    (BatchNorm(64), ("f32[n, 64, 8, 8]",), layers.option_out_of_range),
    (LayerNorm(768), ("f32[n, 768]",), layers.option_out_of_range),
    (LayerNorm(axes=3), ("f32[n, 768]",), layers.option_out_of_range),
    (LayerNorm(), ("f32[n, d]",), layers.weight_shape_unknown),
    (GroupNorm(3), ("f32[n, 8, 4]",), layers.channels_do_not_match),
    (GroupNorm(8), ("f32[n, 8]",), layers.no_variance),
    (InstanceNorm(), ("f32[n, 8, 1, 1]",), layers.no_variance),
    (RmsNorm(4096), ("f32[n, 4096]",), layers.option_out_of_range),
    (MaxPool(3), ("f32[n, 8]",), windows.wrong_layout),
    (MaxPool(9), ("f32[n, 8, 8, 8]",), windows.window_too_large),
    (MaxPool(2, padding=2), ("f32[n, 8, 8, 8]",), layers.option_out_of_range),
    (AvgPool((2, 2)), ("f32[n, 8, 8]",), windows.wrong_count),
    (Dropout(50), ("f32[n, 8]",), layers.option_out_of_range),
    (Softmax(2), ("f32[n, 8]",), no_such_axis),
    (Glu(), ("f32[n, 7]",), layers.halves_differ),
    (Softplus(beta=0.0), ("f32[n]",), layers.option_out_of_range),
    (Celu(0.0), ("f32[n]",), layers.option_out_of_range),
    (CrossEntropy(), ("f32[n, 10]", "i64[n, 1]"), pairs.target_does_not_fit),
    (CrossEntropy(), ("f32[n, t, 10]", "i64[n, t]"), pairs.target_does_not_fit),
    (CrossEntropy(), ("f32[n, 10]", "bool[n]"), pairs.target_does_not_fit),
    (CrossEntropy(label_smoothing=2.0), ("f32[n, 10]", "i64[n]"), layers.option_out_of_range),
    (CrossEntropy(ignore_index=0), ("f32[n, 10]", "f32[n, 10]"), layers.option_out_of_range),
    (CrossEntropy((1.0, 2.0)), ("f32[n, 3]", "i64[n]"), pairs.class_weights_do_not_fit),
    (Nll(), ("f32[n, 3]", "f32[n, 3]"), pairs.target_does_not_fit),
    (Mse(), ("f32[n, 1]", "f32[n]"), pairs.target_does_not_fit),
    (SmoothL1(-1.0), ("f32[n]", "f32[n]"), layers.option_out_of_range),
    (Huber(0.0), ("f32[n]", "f32[n]"), layers.option_out_of_range),
    (BceWithLogits((1.0, 2.0)), ("f32[n, 3]", "f32[n, 3]"), pairs.class_weights_do_not_fit),
]
ATTENTION = [
    (
        (),
        ("f32[n, 4, t, 16]", "f32[n, 4, t, 8]", "f32[n, 4, t, 8]"),
        pairs.attention_does_not_match,
    ),
    (
        (),
        ("f32[n, 4, t, 16]", "f32[n, 2, t, 16]", "f32[n, 2, t, 8]"),
        pairs.attention_does_not_match,
    ),
    ((), ("f32[n, 4, t, 16]", "f32[n, t, 16]", "f32[n, t, 16]"), pairs.attention_does_not_match),
    ((), ("f32[4, 9, 16]", "f32[4, 9, 16]", "f32[4, 8, 16]"), pairs.attention_does_not_match),
    ((), (*["f32[4, 9, 16]"] * 3, "bool[8, 9]"), pairs.mask_does_not_fit),
    ((), (*["f32[4, 9, 16]"] * 3, "i64[9, 9]"), pairs.mask_does_not_fit),
    ((), (*["f32[4, 9, 16]"] * 3, "bool[9]"), pairs.mask_does_not_fit),
    ((True,), (*["f32[4, 9, 16]"] * 3, "bool[9, 9]"), pairs.two_masks),
    (
        (False, None, True),
        (*["f32[5, 9, 16]"], *["f32[2, 9, 16]"] * 2),
        pairs.attention_does_not_match,
    ),
]


@pytest.mark.parametrize(("op", "types", "expected"), REFUSED, ids=lambda v: getattr(v, "name", ""))
def test_refused(op: Op, types: tuple[str, ...], expected: type) -> None:
    message = fault_of(lambda: infer(op, *types))
    assert message.kind is expected, message
    assert message.text.title
    assert message.text.label
    assert all(label.text for label in message.text.labels)


@pytest.mark.parametrize(("options", "types", "expected"), ATTENTION)
def test_attention_refuses(
    options: tuple[object, ...], types: tuple[str, ...], expected: type
) -> None:
    op = ScaledDotProductAttention(*options)  # type: ignore[arg-type]
    filled = (*types, None) if len(types) == 3 else types
    message = fault_of(lambda: infer(op, *filled))
    assert message.kind is expected, message
    assert message.text.label


def test_channels_message_names_the_divisors() -> None:
    message = fault_of(lambda: infer(Conv(32, 3, groups=3), "f32[batch, 16, 26, 26]"))
    assert message.text.title == "channels do not match"
    assert message.text.label == "`groups=3` must divide the input channels"
    assert message.text.labels[0].text.startswith("which are 16 here: ")
    assert message.text.help == "16 is divisible by 1, 2, 4, 8 and 16"


def test_weights_given_by_keyword_are_checked() -> None:
    x, weight = read("f32[n, 8]"), read("f32[8, 4]")
    op = Dense(4, bias=False)
    message = fault_of(lambda: op.infer(lambda *_: None, x, weight))
    assert message.kind is layers.weight_does_not_fit
    assert message.text.label == "is f32[8, 4], and f32[4, 8] is needed"
    (found,) = op.infer(lambda *_: None, x, read("f32[4, 8]"))
    assert str(found) == "f32[n, 4]"


@pytest.mark.parametrize(
    ("written", "hint"),
    [
        ("dropout(50)", "write `50%`"),
        ("dropout(p=2.5)", "write `2.5%`"),
        ("dropout(150)", None),
        ("dropout(130%)", None),
        ("dropout(p=130%)", None),
        ("drop_path(200%)", None),
    ],
)
def test_a_share_is_proposed_for_a_number_that_is_no_share_yet(
    written: str, hint: str | None
) -> None:
    sink = Sink()
    text = f"model M {{ input x: f32[n, 4]\n output y = x -> {written} }}\n"
    check_source(Source("m.weft", text), sink=sink)
    (message,) = sink.messages
    assert (message.kind, message.text.help) == (layers.option_out_of_range, hint)


def test_hints_say_what_was_meant() -> None:
    last = fault_of(lambda: infer(CrossEntropy(), "f32[n, t, 10]", "i64[n, t]"))
    assert last.text.help == "classes are along the last axis here: `axis=-1`"
    extra = fault_of(lambda: infer(Mse(), "f32[n, 1]", "f32[n]"))
    assert extra.text.help == "drop the prediction's axis of size 1: `squeeze(1)`"
    keys = fault_of(
        lambda: infer(ScaledDotProductAttention(), *["f32[n, 4, 9, 16]"] * 3, "bool[n, 9]")
    )
    assert keys.text.help == "a mask of keys is `mask[:, none, none, :]`"


def test_sizes_stay_symbolic() -> None:
    assert infer(Conv(8, 3, padding=1), "f32[n, 3, h, w]") == (["f32[n, 8, h, w]"], [])
    assert infer(Conv(8, 7, 2, 3), "f32[n, 3, h, w]")[0] == [
        "f32[n, 8, (h + 1) // 2, (w + 1) // 2]"
    ]
    assert infer(Conv(8, 3, 2, "same"), "f32[n, 3, h, w]")[0] == [
        "f32[n, 8, (h + 1) // 2, (w + 1) // 2]"
    ]
    assert infer(MaxPool(2), "f32[n, 8, h, w]")[0] == ["f32[n, 8, h // 2, w // 2]"]
    for op in (
        ConvTranspose(8, 2, 2),
        ConvTranspose(8, 4, 2, "same"),
        ConvTranspose(8, 1, 2, "same"),
    ):
        assert infer(op, "f32[n, 3, h, w]")[0] == ["f32[n, 8, 2 * h, 2 * w]"]


def test_what_cannot_be_decided_is_promised() -> None:
    assert infer(Conv(8, 5), "f32[n, 3, h, 8]")[1] == ["5 <= h"]
    assert infer(Mse(), "f32[n, 3]", "f32[m, 3]")[1] == ["n == m"]
