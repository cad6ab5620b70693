"""What layers with weights share: guards of their types, and the terms of their modules."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Sequence
from typing import ClassVar, NoReturn

import numpy as np

from compiler.ir.channels import Numbers, ZeroChannels
from compiler.ir.graph import Op
from compiler.ir.operands import Array, Types, Weight
from compiler.ops.axes import operand_type
from compiler.ops.modules import Modular
from compiler.report.diagnostics import Fault, Label, Where
from compiler.report.messages.layers import (
    channels_do_not_match,
    option_out_of_range,
    weight_does_not_fit,
    weight_shape_unknown,
)
from compiler.types.dims import Dim, equal
from compiler.types.tensor import DType, TensorType
from compiler.vocabulary.initializers.modules import ModuleUniform


class Layer(Modular):
    """Base of ops whose weight, the first input behind the operand, makes channels: compression
    takes some of them away."""

    channel_axis: ClassVar[int] = -1
    """The axis of the operand that the weight mixes, and of the result that it makes."""
    made_axis: ClassVar[int] = 0
    """The axis of the weight along which the channels lie that it makes."""

    @property
    @abstractmethod
    def channels(self) -> int:
        """How many channels it makes."""

    @property
    def groups(self) -> int:
        """How many groups of channels there are that do not see each other."""
        return 1

    def find_zeros(self, inputs: ZeroChannels) -> Numbers:
        return find_unmade(inputs, self.made_axis)


class LinearLayer(Layer):
    """Base of layers that sum their operand's channels times a weight; where `bias` is set, they
    add a number to each channel."""

    chooses_channels = True
    out: int
    bias: bool

    @property
    def channels(self) -> int:
        return self.out

    def find_degree(self, degrees: Sequence[int], numbers: Sequence[float | None]) -> int | None:
        x, weight, *bias = degrees
        return max((x + weight, *bias))

    def make_weights(self, x: TensorType, shape: Sequence[int]) -> tuple[Weight, ...]:
        """Its weight, of a shape with all that one sum multiplies behind the first axis, and its
        bias."""
        draw = ModuleUniform(math.prod(shape[1:]))
        weight = Weight("weight", TensorType.of(x.dtype, shape), draw)
        if not self.bias:
            return (weight,)
        return weight, Weight("bias", TensorType.of(x.dtype, (self.out,)), draw)

    @abstractmethod
    def list_rows(self, x: Array) -> Array | None:
        """What it multiplies with each row of its weight, for an operand: `[rows, columns]`, in
        f64; None where no row of the weight is multiplied with all of that."""


def find_unmade(inputs: ZeroChannels, axis: int) -> Numbers:
    """The channels that a layer's weights make zero: no weight along an axis of them, and no
    bias."""
    zero = inputs.along(1, axis)
    return zero & inputs.of(2) if len(inputs.types) > 2 else zero


def find_place(where: Where, index: int, type: TensorType) -> Label:
    """Where an operand was made, with its type as the text."""
    return Label(where.operand(index).span, str(type))


def need_known(op: str, type: TensorType, axis: int, what: str) -> int:
    """The size of an axis that weights depend on.

    Raises:
        Fault: it is symbolic.
    """
    size = type.shape[axis].known
    if size is None:
        text = str(type.shape[axis])
        raise Fault(
            lambda where: weight_shape_unknown(
                where.call, op, what, text, find_place(where, 0, type)
            )
        )
    return size


def need_channels(op: str, type: TensorType) -> int:
    """The number of channels, the size of axis 1; raises `Fault` if it is symbolic."""
    return need_known(op, type, 1, "the channels, axis 1")


def need_divisor(groups: int, channels: int, type: TensorType) -> None:
    """Raises `Fault` unless `groups` divides the input channels, of a tensor of that type."""
    if channels % groups:
        raise Fault(
            lambda where: channels_do_not_match(
                where.call, groups, channels, find_place(where, 0, type)
            )
        )


def need_output_divisor(groups: int, out: int) -> None:
    """Raises `Fault` unless `groups` divides the output channels."""
    if out % groups:
        raise Fault(lambda where: channels_do_not_match(where.call, groups, out))


def refuse_option(
    op: str,
    option: str,
    value: object,
    needed: str,
    hint: str | None = None,
    share: bool = False,
) -> NoReturn:
    """Raises `Fault` for a number that an option cannot have; `share` says whether it may be
    written as a percentage."""
    raise Fault(
        lambda where: option_out_of_range(
            where.argument(option), op, option, value, needed, hint, share
        )
    )


def need_held(op: str, option: str, value: object, dtype: DType) -> None:
    """Raises `Fault` for a number that a tensor of a dtype cannot hold."""
    if isinstance(value, int | float) and not dtype.holds(value):
        low, high = (
            f"{bound:,}" if isinstance(bound, int) else f"{bound:g}" for bound in dtype.range
        )
        refuse_option(op, option, value, f"between {low} and {high} in {dtype.value}")


def need_least(op: str, option: str, values: int | Sequence[int], least: int) -> None:
    """Raises `Fault` if a number of an option is smaller than `least`."""
    found = (values,) if isinstance(values, int) else tuple(values)
    small = next((v for v in found if v < least), None)
    if small is not None:
        refuse_option(op, option, small, f"at least {least}")


def need_small(op: str, option: str, value: float) -> None:
    """Raises `Fault` for an `eps` that is no small number: someone gave a number of channels."""
    if not 0 <= value < 1:
        hint = f"`{op}` takes its sizes from its input: leave the number out"
        refuse_option(op, option, value, "a small number below 1", hint)


def need_rate(op: str, option: str, value: float) -> None:
    """Raises `Fault` unless a rate is between 0 and 1."""
    if not 0 <= value <= 1:
        refuse_option(op, option, value, "between 0 and 1", share=True)


def need_weights(op: Op, inputs: Types) -> tuple[Weight, ...]:
    """The weights that the op makes for its operands, after checking those it got: one given by
    keyword (tied, or computed) may have another shape.

    Raises:
        Fault: a weight does not have the shape that the op makes.
    """
    count = len(op.operands)
    made = op.weights(inputs[:count])
    for index, weight in enumerate(made, start=count):
        found = operand_type(inputs, index)
        if found.dtype is weight.type.dtype and found.rank == weight.type.rank:
            pairs = zip(found.shape, weight.type.shape, strict=True)
            if all(equal(a, b) is True for a, b in pairs):
                continue
        _refuse_weight(op, weight, found, operand_type(inputs, 0))
    return made


def _refuse_weight(op: Op, weight: Weight, found: TensorType, x: TensorType) -> None:
    raise Fault(
        lambda where: weight_does_not_fit(
            where.argument(weight.name),
            op.name,
            weight.name,
            str(found),
            str(weight.type),
            find_place(where, 0, x),
        )
    )


def known(size: Dim) -> int:
    """The number of a size that a guard has found to be one."""
    number = size.known
    assert number is not None, f"{size} is not known"
    return number


def widen(x: Array) -> Array:
    """Half precision as f32, in which its meaning is computed; anything else as it is."""
    return x.astype(np.float32) if x.dtype == np.float16 else x


def given(array: Array | None) -> Array:
    """An array that is never left out."""
    assert array is not None, "this input is required"
    return array
