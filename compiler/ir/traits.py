"""What other rooms must know of an op: traits that its class declares. None of them keeps a list of
ops, so that a new one is known to each analysis by what it says here; a default says nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

from compiler.ir.operands import UNLIMITED, Limits
from compiler.vocabulary.signature import Described, Direction

InIntegers = Literal["layer", "moves", "joins", "computes"]
"""How ONNX Runtime runs an op on the integers that numbers were rounded to: a `layer` multiplies
them with those of its weight; one that `moves` them keeps their scale, and the maximum of several
is one of them; one that `joins` operands keeps the scale that they share; one that `computes` has a
result with a scale of its own."""


class Traits(Described):
    """The attributes of ops that passes, lints and backends read off the class."""

    scalar: ClassVar[bool] = False
    """Whether it also acts on compile-time numbers (`sqrt(64)`), through `evaluate`."""
    operator: ClassVar[str] = ""
    """The operator that stands for it where a tensor is involved: `+`."""
    of_graph: ClassVar[bool] = False
    """Whether its result follows from the nodes before it, not from its operands alone: its meaning
    are the nodes that `expand_graph` puts in its place."""
    variable: ClassVar[str] = ""
    """What a variable with its result is called where nothing else says it."""

    # --- while training, and in evaluation ----------------------------------------------------

    random: ClassVar[bool] = False
    """Whether two applications to the same inputs may differ."""
    noisy: ClassVar[bool] = False
    """Whether it draws random numbers while training; in evaluation its result is its operand."""
    of_mode: ClassVar[bool] = False
    """Whether its result is its first operand in training, and its second in evaluation."""
    over_batch: ClassVar[bool] = False
    """Whether it takes statistics of each channel over a batch while training."""
    better: ClassVar[Direction | None] = None
    """Which value is better, of a loss; None of everything else."""
    target_operand: ClassVar[int] = 1
    """The operand that `target_range` speaks of: the target of a loss."""
    applies: ClassVar[tuple[str, ...]] = ()
    """Functions of which it takes one itself, to its first operand: scores become shares."""

    expects: ClassVar[Limits] = UNLIMITED
    """What entries of the first operand of a loss lie between: probabilities, or logarithms."""
    squashes: ClassVar[bool] = False
    """Whether it keeps numbers in a range with a slope of 1/4 at most, so that gradients shrink."""
    flat_at_zero: ClassVar[bool] = False
    """Whether no gradient passes it where its operand is exactly 0."""

    # --- entries ------------------------------------------------------------------------------

    broadcasts: ClassVar[bool] = False
    """Whether it acts element by element on operands that are broadcast to one shape."""
    moves: ClassVar[bool] = False
    """Whether every entry of its results is an entry of an operand, in another place."""
    converts: ClassVar[bool] = False
    """Whether every entry of its result is that of its operand, in another dtype."""
    encodes: ClassVar[bool] = False
    """Whether its result says in another form which class each entry of its operand names."""
    matches: ClassVar[bool] = False
    """Whether it only asks which entries are equal, so that they may be names of categories."""
    selects: ClassVar[bool] = False
    """Whether a condition says from which operand its result has each entry."""
    keeps_channels: ClassVar[bool] = False
    """Whether each entry of its results is a copy, a maximum, a mean or a sum of entries of the
    same channel: channels of zeros stay so, and numbers that are not negative stay so."""
    zeroed_by: ClassVar[tuple[int, ...]] = ()
    """Operands of which a channel of zeros makes that of its result zeros, whatever the others
    hold."""
    of_time: ClassVar[bool] = False
    """Whether it is a number that follows from how far a training is."""
    linear: ClassVar[bool] = False
    """Whether each entry of its results is a sum of entries of its operands, times numbers that are
    always the same; ops that move or add have it anyway."""
    averages: ClassVar[bool] = False
    """Whether each entry of its result is the mean of the entries along the axes that it takes
    away."""
    signs: ClassVar[tuple[int, ...]] = ()
    """The signs with which it adds its operands up: `(1, -1)` of a difference."""
    fills: ClassVar[bool] = False
    """Whether it makes a tensor whose entries are all one number: no work worth sharing."""
    reads_sizes: ClassVar[bool] = False
    """Whether its result follows from sizes, whatever the entries of its operands are."""
    multiple: ClassVar[bool] = False
    """Whether it returns a tuple of tensors however many there are (`split`, `unbind`)."""
    paired_results: ClassVar[int | None] = None
    """The result from which on PyTorch gives all of them as one tuple, behind those before; None
    where they come one by one."""
    foldable: ClassVar[bool] = True
    """Whether its result may stand for it where its inputs are known; not where it says how a
    weight is stored."""

    # --- axes ---------------------------------------------------------------------------------

    joins: ClassVar[bool] = False
    """Whether it puts its operands beside each other along an axis of its result."""
    multiplies_rows: ClassVar[bool] = False
    """Whether it multiplies every row along the last axis of its first operand with one matrix."""
    chooses_channels: ClassVar[bool] = False
    """Whether an option says how many channels its result has, whatever its operand has."""
    reshapes: ClassVar[bool] = False
    """Whether it merges or splits axes, and keeps all entries in their order."""
    cuts: ClassVar[bool] = False
    """Whether its options say where an axis is cut: with some of their values it is whole."""
    sizing: ClassVar[frozenset[str]] = frozenset()
    """Fields that hold words or fractions which the sizes of its results follow."""
    row_axes: ClassVar[tuple[str, ...] | None] = None
    """Of an op that does to each of several stacked rows what it does to one, the fields that name
    axes: they stand one further then (`Op.over_rows`). None where that is not so, or where other
    fields change."""
    axis_by_axis: ClassVar[bool] = False
    """Whether each axis of its result follows from the same axis of its first operand and from its
    options, but for an axis of channels."""

    # --- numbers ------------------------------------------------------------------------------

    limits: ClassVar[Limits] = UNLIMITED
    """What every entry of its results lies between, whatever its operands hold."""
    weight_limits: ClassVar[Mapping[str, Limits]] = {}
    """What entries of its weights lie between, by name, where they are not any numbers."""
    clips: ClassVar[bool] = False
    """Whether it only clips entries to `limits`."""
    scales_with_operand: ClassVar[bool] = False
    """Whether a channel of its operand times a positive number gives that of its result times the
    number, so that scales of layers may be moved past it."""
    centers: ClassVar[bool] = False
    """Whether it looks at how far entries lie from their mean, so that it magnifies what rounding
    does to large numbers that vary little."""
    subtracts_first: ClassVar[bool] = False
    """Whether it takes whole numbers as they are, and rounds to f32 only what is left of them."""
    finds_nan: ClassVar[bool] = False
    """Whether it tells NaN from numbers, so that a network is meant to be given some."""
    masked_by: ClassVar[tuple[int, ...]] = ()
    """Operands in which minus infinity closes an entry."""
    mixes: ClassVar[int | None] = None
    """The operand whose rows its result is weighted means of: the values of attention."""

    # --- files ----------------------------------------------------------------------------------

    exported: ClassVar[bool] = True
    """Whether an opset of ONNX can say it: nets with others are for PyTorch alone."""

    # --- few bits -----------------------------------------------------------------------------

    keeps_f32: ClassVar[bool] = False
    """Whether it computes in f32 where a net computes in half precision: it sums many terms, or
    its results leave the range of f16 (the list of PyTorch's autocast,
    https://docs.pytorch.org/docs/stable/amp.html)."""
    onnx_bfloat: ClassVar[bool] = False
    """Whether ONNX has it in bf16 before opset 22 and ONNX Runtime computes it so on CUDA."""
    half_rank: ClassVar[int | None] = None
    """The largest rank of an operand for which PyTorch has a kernel in f16 on the CPU, where every
    net is verified; None where that is any."""
    in_integers: ClassVar[InIntegers | None] = None
    """How it runs on integers; None where ONNX Runtime has no kernel, or none that pays."""
    rounds: ClassVar[bool] = False
    """Whether every entry of its result is that of its operand, rounded to one of the levels of an
    integer type: what is stored of it takes no more than a byte."""
    quantized: ClassVar[bool] = False
    """Whether quantization passes write it: it says how numbers are rounded or stored."""
