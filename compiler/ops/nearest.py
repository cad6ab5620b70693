"""Which entries resizing takes with the modes "nearest" and "nearest-exact", in NumPy and in ONNX.

PyTorch counts in single precision: new entry i is the old one at `floor(i * step)`, or with
"nearest-exact" at `floor((i + 0.5) * step)`, where the step is `1 / scale`, or old size / new size
where sizes are given. Which entry is taken where that comes near a whole number is a matter of
rounding, and ONNX's Resize, which divides by the scale, rounds otherwise.

Source: `nearest_neighbor_compute_source_index` in `aten/src/ATen/native/UpSample.h` of PyTorch.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import numpy as np

from compiler.ir.onnx_builder import OnnxBuilder
from compiler.ir.operands import Array
from compiler.ops.creation import LARGEST
from compiler.ops.gathering import write_steps
from compiler.records import dataclass
from compiler.types.dims import Dim
from compiler.types.tensor import DType

POWERS = (1, 2, 4, 8, 16, 32)


@dataclass(frozen=True)
class Nearest:
    """An axis of `before` entries that becomes one of `after`; `scale` is the factor where one was
    given, and `exact` stands for "nearest-exact"."""

    before: Dim
    after: Dim
    scale: float | None
    exact: bool

    @property
    def _shift(self) -> float:
        return 0.5 if self.exact else 0.0

    @property
    def sizes(self) -> tuple[int, int] | None:
        """Both sizes, where they are known."""
        before, after = self.before.known, self.after.known
        return None if before is None or after is None else (before, after)

    @property
    def stays(self) -> bool:
        """Whether nothing is done to the axis."""
        return self.before == self.after and self.scale in (None, 1)

    def find_entries(self) -> Array:
        """The old entry that each new one is; for known sizes."""
        assert self.sizes is not None
        before, after = self.sizes
        at = np.arange(after, dtype=np.float32) + np.float32(self._shift)
        return _take(at * self._step(np.float32), before)

    def differs_between_kernels(self, dtype: DType) -> bool:
        """Whether PyTorch's kernels, of which memory layout, size and device choose one, take
        other entries; for known sizes.

        Some take "nearest" as a copy where an axis keeps its size, and as a repetition where it
        doubles, whatever the scale says (`nearest_idx`). Others subtract the half of
        "nearest-exact" and add it again, or count in double precision where the elements are f64
        (`HelperInterpNearest` in `UpSampleKernel.cpp`).
        """
        assert self.sizes is not None
        entries = self.find_entries()
        return any(not np.array_equal(entries, other) for other in self._count_otherwise(dtype))

    def _step(self, kind: Any) -> Any:
        """How far apart new entries are in old ones, in a floating-point type of NumPy."""
        assert self.sizes is not None
        before, after = self.sizes
        return kind(1 / self.scale) if self.scale is not None else kind(before) / kind(after)

    def _count_otherwise(self, dtype: DType) -> Iterator[Array]:
        assert self.sizes is not None
        before, after = self.sizes
        if not self.exact and after in (before, 2 * before):
            yield np.arange(after) // (after // before)
        kinds: tuple[Any, ...] = (np.float32, np.float64) if dtype is DType.F64 else (np.float32,)
        for kind in kinds:
            # With one rounding for a product and a sum, which is how compilers write the two.
            at = (np.arange(after) + self._shift) * np.float64(self._step(kind)) - self._shift
            yield _take((at.astype(kind) + kind(self._shift)).astype(np.float32), before)

    def is_resize(self, factor: float | None) -> bool:
        """Whether ONNX's Resize takes the same entries, however it rounds; `factor` is the scale
        that it gets, in single precision, where it gets one."""
        if self.sizes is not None:
            entries = self.find_entries()
            return all(np.array_equal(entries, other) for other in self._resize(factor))
        if self.scale is not None:
            # Powers of 2 are exact. Where 1 / scale is rounded up, no product of it falls below
            # a whole number.
            whole = self.scale == int(self.scale) > 0
            up = whole and Fraction(float(np.float32(1 / self.scale))) * int(self.scale) >= 1
            return up or math.frexp(self.scale)[0] == 0.5
        return any(self.after == self.before * times for times in POWERS)

    def _resize(self, factor: float | None) -> Iterator[Array]:
        """What Resize takes, in both precisions; what keeps its size may be copied."""
        assert self.sizes is not None
        before, after = self.sizes
        if before == after:
            yield np.arange(before)
        kinds: tuple[Any, ...] = (np.float32, np.float64)
        for kind in kinds:
            scale = kind(after) / kind(before) if factor is None else kind(factor)
            shift = kind(self._shift)
            at = (np.arange(after, dtype=kind) + shift) / scale - shift
            yield _take(at + shift, before)

    def write_entries(self, build: OnnxBuilder) -> Any:
        """The entries as an i64 tensor of one axis: a constant where sizes are known, otherwise
        the same arithmetic in the file."""
        if self.sizes is not None and self.sizes[1] <= LARGEST:
            return build.constant(self.find_entries())
        at = _to_single(build, write_steps(build, self.after))
        if self.exact:
            at = build.op("Add", [at, build.constant(np.array(0.5, np.float32))])
        size = build.shape([self.before])
        if self.scale is not None:
            step = build.constant(np.array(1 / self.scale, np.float32))
        else:
            sizes = [_to_single(build, size), _to_single(build, build.shape([self.after]))]
            step = build.op("Div", sizes)
        places = build.op("Floor", [build.op("Mul", [at, step])])
        last = build.op("Sub", [size, build.constant(np.array([1]))])
        return build.op("Min", [build.op("Cast", [places], {"to": DType.I64}), last])


def least_size(ratio: Fraction) -> int:
    """The least size of an axis at which "nearest" with this factor is the same in all of
    PyTorch's kernels: below it the axis keeps its size, or doubles, by rounding alone, and some
    of them then copy or repeat."""
    over = ratio - math.floor(ratio)
    return math.ceil(1 / over) if over and 1 < ratio < 3 else 1


def _take(places: Array, count: int) -> Array:
    return np.asarray(np.clip(np.floor(places).astype(np.int64), 0, count - 1))


def _to_single(build: OnnxBuilder, value: Any) -> Any:
    return build.op("Cast", [value], {"to": DType.F32})
