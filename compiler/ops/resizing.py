"""Images and sequences made larger or smaller: resize."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Any, Literal, Self, final

import numpy as np

from compiler.ir.coupling import Coupling, tie_same
from compiler.ir.graph import Node, Op
from compiler.ir.inputs import NodeInput, OnnxInput
from compiler.ir.onnx_builder import OnnxBuilder, Values
from compiler.ir.operands import Array, Arrays, Assume, Results, Types
from compiler.ir.symbols import NoDerivative, Slopes, Symbol
from compiler.ops.axes import operand_type, places, squeeze, unsqueeze
from compiler.ops.interpolation import SMOOTH_CUBIC, Axis, interpolate
from compiler.ops.layers import known
from compiler.ops.nearest import Nearest, least_size
from compiler.ops.registry import OPS
from compiler.records import dataclass
from compiler.report.diagnostics import Fault
from compiler.report.messages.tensor_operands import bad_option, wrong_dtype
from compiler.report.messages.tensor_shapes import wrong_rank
from compiler.types.dims import Dim, at_most
from compiler.types.tensor import DType, TensorType
from compiler.vocabulary import spelling
from compiler.vocabulary.signature import Operand
from compiler.vocabulary.spelling import Call, In, Index, Leaf, Name, Spelling, Term

Mode = Literal["nearest", "nearest-exact", "linear", "bilinear", "trilinear", "bicubic"]
_SIMPLE = 100
"""The largest denominator of a scale of a size that is not known."""
_SPACE = {"bilinear": 2, "trilinear": 3, "bicubic": 2}
_LINEAR = {1: "linear", 2: "bilinear", 3: "trilinear"}
_ONNX: dict[str, tuple[str, str, dict[str, object]]] = {
    "nearest": ("nearest", "asymmetric", {"nearest_mode": "floor"}),
    "nearest-exact": ("nearest", "half_pixel", {"nearest_mode": "round_prefer_ceil"}),
    "linear": ("linear", "half_pixel", {}),
    "bicubic": ("cubic", "half_pixel", {"cubic_coeff_a": -0.75}),
}


@OPS.register
@final
@dataclass(frozen=True)
class Resize(Op):
    """The axes of space made larger or smaller, with values between the old ones.

    x is `[n, c, …]` with one to three axes of space; a list of sizes or scales also takes
    `[c, …]` without a batch. `size` gives the new sizes, `scale` factors (the size is rounded
    down, as fractions are multiplied: 0.7 of 90 is 63, where PyTorch's product of floating-point
    numbers is a little less); a single number is for all axes of space. "nearest" takes the
    nearest entry before ("nearest-exact" the nearest), "linear" goes straight between neighbours
    ("bilinear" and "trilinear" are its names for two and three axes), "bicubic" lays a cubic
    through four. With `align_corners` the first and the last entries stay what they are. With
    `antialias` each entry of a smaller image is a weighted mean of all that it stands for, as
    Pillow computes it; for "bilinear" and "bicubic". As in PyTorch's `interpolate`. Where its
    kernels differ in which entries they take, as "nearest" does for 5 entries times 1.1, the size
    is refused; of one that is not known it is assumed that they agree.

    Shapes: x `f32[n, c, size…]` -> `f32[n, c, new size…]`.
    Errors: W0380 for too few or too many axes, W0382 for whole numbers, W0392 where not exactly
    one of `size` and `scale` is given, or one does not suit.
    Example: `y = image -> resize(scale=2, mode="nearest")`
    Source: https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.interpolate.html
    """

    name = "resize"
    axis_by_axis = True
    keeps_f32 = True
    operands = (Operand("x"),)
    sizing = frozenset({"scale"})

    size: int | Dim | tuple[int | Dim, ...] | None = None
    scale: int | float | tuple[int | float, ...] | None = None
    mode: Mode = "nearest"
    align_corners: bool = False
    antialias: bool = False

    @property
    def kind(self) -> str:
        """The mode without the number of axes in its name."""
        return "linear" if self.mode in _LINEAR.values() else self.mode

    @property
    def _weighing(self) -> str:
        return f"smooth {self.kind}" if self.antialias else self.kind

    def space(self, rank: int) -> int:
        """How many last axes are resized."""
        given = self.size if self.size is not None else self.scale
        return len(given) if isinstance(given, tuple) else rank - 2

    def infer(self, assume: Assume, x: TensorType) -> tuple[TensorType, ...]:
        if (self.size is None) == (self.scale is None):
            raise self._refuse("size", "give either `size` or `scale`")
        space = self.space(x.rank)
        wanted = _SPACE.get(self.mode, space)
        if not 1 <= space <= 3 or space != wanted or x.rank not in (space + 1, space + 2):
            least = f"{wanted + 2} axes" if 1 <= wanted <= 3 else "three to five axes"
            needed = f'a tensor of {least} for mode "{self.mode}"'
            raise Fault(lambda where: wrong_rank(where.call, "resize", needed, x, places(where, 1)))
        self._check_options(x)
        made = self._make(x, assume)
        for axis in self._nearest(x, made):
            self._check_kernels(axis, x, assume)
        return (made,)

    def _make(self, x: TensorType, assume: Assume) -> TensorType:
        space = self.space(x.rank)
        return TensorType(x.dtype, (*x.shape[: x.rank - space], *self._sizes(x, space, assume)))

    def _nearest(self, x: TensorType, made: TensorType) -> Sequence[Nearest]:
        """The axes of space, for the modes that take the nearest entry."""
        if self.kind not in ("nearest", "nearest-exact"):
            return ()
        space = self.space(x.rank)
        scales: Sequence[float | None] = (None,) * space
        if self.scale is not None:
            scales = [_round_up(scale) for scale in self._scales(space)]
        axes = zip(x.shape[-space:], made.shape[-space:], scales, strict=True)
        return [Nearest(*axis, exact=self.kind == "nearest-exact") for axis in axes]

    def _check_kernels(self, axis: Nearest, x: TensorType, assume: Assume) -> None:
        """Refuses what PyTorch's kernels do not agree on; where a size is not known, it is assumed
        to be none of those."""
        if axis.sizes is not None and axis.differs_between_kernels(x.dtype):
            raise self._refuse(
                "scale" if self.size is None else "size",
                f"which entries of an axis of {axis.before} its {axis.after} are differs from one "
                "kernel of PyTorch to another",
                'with another size or factor, or mode "linear", they agree',
            )
        ratio = None if axis.scale is None else _simplify(axis.scale)
        if axis.sizes is None and ratio is not None and not axis.exact:
            least = Dim.of(least_size(ratio))
            if at_most(least, axis.before) is None:
                assume(least, "<=", axis.before)

    def _check_options(self, x: TensorType) -> None:
        if not x.dtype.is_float:
            hint = "convert it: `cast(…, f32)`"
            raise Fault(
                lambda where: wrong_dtype(
                    where.call, "resize", "a floating-point tensor", x, places(where, 1), hint
                )
            )
        if self.align_corners and self.kind in ("nearest", "nearest-exact"):
            raise self._refuse("align_corners", f'mode "{self.mode}" has no corners to align')
        if self.antialias and (self.kind not in ("linear", "bicubic") or self.space(x.rank) != 2):
            raise self._refuse("antialias", 'it is for the modes "bilinear" and "bicubic"')
        if self.antialias and self.align_corners:
            raise self._refuse("antialias", "it does not go together with `align_corners`")

    def _sizes(self, x: TensorType, space: int, assume: Assume) -> tuple[Dim, ...]:
        if self.size is not None:
            given = self.size if isinstance(self.size, tuple) else (self.size,) * space
            sizes = tuple(Dim.of(s) for s in given)
        else:
            sizes = tuple(
                self._scaled(d, s)
                for d, s in zip(x.shape[-space:], self._scales(space), strict=True)
            )
        for size in sizes:
            some = at_most(1, size)
            if some is None:
                assume(Dim.of(1), "<=", size)
            elif not some:
                option = "size" if self.size is not None else "scale"
                raise self._refuse(option, f"an axis of {x} would have size {size}")
        return sizes

    def _scales(self, space: int) -> tuple[float, ...]:
        assert self.scale is not None
        return self.scale if isinstance(self.scale, tuple) else (self.scale,) * space

    def _scaled(self, dim: Dim, scale: float) -> Dim:
        """The size rounded down, as PyTorch computes it."""
        if not (math.isfinite(scale) and scale > 0):
            raise self._refuse("scale", f"{scale} is not a factor")
        ratio = _simplify(scale)
        if ratio is None and dim.known is not None:
            return Dim.of(math.floor(dim.known * scale))
        if ratio is None:
            raise self._refuse("scale", f"{scale} times `{dim}`, which is not known, is not exact")
        return dim * ratio.numerator // ratio.denominator

    def _refuse(self, option: str, reason: str, hint: str | None = None) -> Fault:
        return Fault(
            lambda where: bad_option(where.argument(option), "resize", option, reason, hint)
        )

    def magnitudes(self, operands: Arrays, results: Sequence[Array]) -> Sequence[Array | float]:
        # Between neighbours, at places that are rounded as far as an axis is long.
        x = np.asarray(operands[0])
        axes = tuple(range(x.ndim - self.space(x.ndim), x.ndim))
        longest = max(results[0].shape[a] for a in axes)
        return [np.abs(x).max(axis=axes, keepdims=True) * max(1.0, longest / 16)]

    def evaluate(self, x: Array) -> tuple[Array, ...]:
        given = TensorType.of(DType.F32, x.shape)
        made = self._make(given, lambda *_: None)
        space = self.space(x.ndim)
        if nearest := self._nearest(given, made):
            for axis, item in enumerate(nearest, x.ndim - space):
                x = np.take(x, item.find_entries(), axis)
            return (x,)
        scales = (None,) * space if self.scale is None else self._scales(space)
        axes = [
            Axis(x.ndim - space + i, made.shape[x.ndim - space + i].evaluate({}), scales[i])
            for i in range(space)
        ]
        return (interpolate(x, axes, self._weighing, align_corners=self.align_corners),)

    def pull_back(self, slope: Symbol, result: Symbol, x: Symbol) -> Slopes:
        """Axis by axis a product with the weights that old entries have in new ones."""
        space = self.space(x.rank)
        for place, matrix in enumerate(self._find_weights(x.type, result.type), x.rank - space):
            turned = slope.apply("transpose", a=place, b=-1)
            slope = turned @ slope.build.constant(matrix, slope.dtype)
            slope = slope.apply("transpose", a=place, b=-1)
        return [slope]

    def _find_weights(self, x: TensorType, made: TensorType) -> list[Array]:
        """For each axis of space the weight of each old entry in each new one: `[new, old]`."""
        space = self.space(x.rank)
        sizes = [size.known for size in (*x.shape[-space:], *made.shape[-space:])]
        if None in sizes:
            raise NoDerivative("of sizes that are not known its weights are not either")
        ones = [np.eye(known(size)) for size in x.shape[-space:]]
        if nearest := self._nearest(x, made):
            pairs = zip(ones, nearest, strict=True)
            return [np.take(one, item.find_entries(), 1).T for one, item in pairs]
        scales = (None,) * space if self.scale is None else self._scales(space)
        axes = [
            Axis(1, known(size), scale)
            for size, scale in zip(made.shape[-space:], scales, strict=True)
        ]
        return [
            interpolate(one, [axis], self._weighing, align_corners=self.align_corners).T
            for one, axis in zip(ones, axes, strict=True)
        ]

    def couple(self, outputs: Results, x: NodeInput) -> Coupling:
        rank = outputs[0].rank
        return Coupling(tie_same(x, rank - self.space(rank)))

    def torch(self, node: Node) -> Spelling:
        value = node.inputs[0]
        assert value is not None
        space = self.space(value.type.rank)
        named = (
            ("size", _list_term(self.size, "size")),
            ("scale_factor", self._spell_scale()),
            (
                "mode",
                Leaf(_LINEAR[space] if self.kind == "linear" else self.mode, "mode", "nearest"),
            ),
            ("align_corners", Leaf(self.align_corners or None, "align_corners", None)),
            ("antialias", Leaf(self.antialias, "antialias", False)),
        )
        if value.type.rank == space + 2:
            module = None if self.antialias else Call("nn.Upsample", (), named[:-1])
            return Spelling(Call("F.interpolate", (In(0),), named), module=module)
        batched = Index(In(0), (Name("None"),))
        return Spelling(Index(Call("F.interpolate", (batched,), named), (Leaf(0),)))

    def _spell_scale(self) -> Term:
        if self.scale is None:
            return _list_term(None, "scale")
        scales = self._scales(1)
        if all(_round_up(scale) == scale for scale in scales):
            return _list_term(self.scale, "scale")
        leaves = [Leaf(_round_up(scale)) for scale in scales]
        return spelling.Sequence(tuple(leaves)) if isinstance(self.scale, tuple) else leaves[0]

    def onnx(self, build: OnnxBuilder, outputs: Results, x: OnnxInput) -> Values:
        made = outputs[0]
        if x.shape == made.shape and self.size is not None:
            return [x.value]
        if x.rank == self.space(x.rank) + 2:
            return [self._write(build, x.value, x.type, made)]
        one = (Dim.of(1),)
        wide = [TensorType(t.dtype, one + t.shape) for t in (x.type, made)]
        return [squeeze(build, self._write(build, unsqueeze(build, x.value, [0]), *wide), [0])]

    def _write(self, build: OnnxBuilder, value: Any, x: TensorType, made: TensorType) -> Any:
        """The result of a tensor with a batch: a Resize node, or a Gather along each axis where
        that would take other entries."""
        factors = self._factors(x, made)
        nearest = self._nearest(x, made)
        if not all(axis.is_resize(f) for axis, f in zip(nearest, factors, strict=False)):
            for place, axis in enumerate(nearest, 2):
                if not axis.stays:
                    entries = axis.write_entries(build)
                    value = build.op("Gather", [value, entries], {"axis": place})
            return value
        mode, coordinates, rest = _ONNX[self.kind]
        if self.align_corners:
            coordinates = "align_corners"
        attributes = {"mode": mode, "coordinate_transformation_mode": coordinates, **rest}
        if self.antialias:
            attributes |= {"antialias": 1, "exclude_outside": 1}
            if self.kind == "bicubic":
                attributes["cubic_coeff_a"] = SMOOTH_CUBIC
        if None in factors:
            return build.op("Resize", [value, None, None, build.shape(made.shape)], attributes)
        scales = build.constant(np.array([1.0, 1.0, *factors], np.float32))
        return build.op("Resize", [value, None, scales], attributes)

    def _factors(self, x: TensorType, made: TensorType) -> Sequence[float | None]:
        """The scales that Resize gets for the axes of space, None where it gets sizes."""
        space = x.rank - 2
        if self.scale is None or self.align_corners:  # corners depend on the sizes alone
            return (None,) * space
        axes = zip(self._scales(space), x.shape[2:], made.shape[2:], strict=True)
        return [_single(*axis) for axis in axes]

    def over_rows(self, operands: Types, rows: Dim) -> Self | None:
        rank = operand_type(operands, 0).rank
        return self if rank == self.space(rank) + 1 else None


def _simplify(scale: float) -> Fraction | None:
    """The fraction that a scale stands for; None where it is the nearest to none of the simple
    ones."""
    ratio = Fraction(scale).limit_denominator(_SIMPLE)
    return ratio if ratio and float(ratio) == scale else None


def _round_up(scale: float) -> float:
    """The scale as PyTorch takes it, so that every size times it, in floating-point numbers, rounds
    down to what that times the fraction does. A product that is whole, n, comes out as n (1 +
    error) rounded to 53 bits, which is n unless the error is below -2⁻⁵⁴."""
    ratio = _simplify(scale)
    if ratio is None or Fraction(scale) / ratio - 1 >= Fraction(-1, 2**54):
        return scale
    return math.nextafter(scale, math.inf)


def _single(scale: float, before: Dim, after: Dim) -> float:
    """The scale in single precision, which ONNX multiplies sizes by: the next one up where the
    nearest would round a size down."""
    single = np.float32(scale)
    ratio = _simplify(scale)
    low = ratio is not None and Fraction(float(single)) < ratio
    if before.known is not None:
        low = math.floor(before.known * float(single)) != after.known
    if low:
        single = np.nextafter(single, np.float32(np.inf))
    return float(single)


def _list_term(value: object, field: str) -> Term:
    if isinstance(value, tuple):
        leaves = (Leaf(v, f"{field}{i}", field=f"{field}.{i}") for i, v in enumerate(value))
        return spelling.Sequence(tuple(leaves))
    return Leaf(value, field, None, field)
