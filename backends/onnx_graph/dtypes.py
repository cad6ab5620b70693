"""Element types of Weft and of ONNX, and arrays in the form in which files hold them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import ml_dtypes
import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from compiler.types.tensor import DType, TensorType

Array = NDArray[Any]

_TO_ONNX = {
    DType.F64: ir.DataType.DOUBLE,
    DType.F32: ir.DataType.FLOAT,
    DType.F16: ir.DataType.FLOAT16,
    DType.BF16: ir.DataType.BFLOAT16,
    DType.I64: ir.DataType.INT64,
    DType.I32: ir.DataType.INT32,
    DType.I16: ir.DataType.INT16,
    DType.I8: ir.DataType.INT8,
    DType.U8: ir.DataType.UINT8,
    DType.BOOL: ir.DataType.BOOL,
}


def onnx_dtype(dtype: DType) -> ir.DataType:
    """The ONNX element type of a Weft dtype."""
    return _TO_ONNX[dtype]


def name_type(number: int) -> str:
    """What Weft calls an element type of ONNX; ONNX's name where Weft has it not."""
    kind = ir.DataType(number)
    return next((str(dtype) for dtype, known in _TO_ONNX.items() if known is kind), kind.name)


def element_type(dtype: DType, array: object) -> ir.DataType:
    """The ONNX element type of an initializer."""
    return array.kind if isinstance(array, PackedArray) else onnx_dtype(dtype)


@dataclass(frozen=True, eq=False)
class PackedArray:
    """Integers of 4 bits, two in a byte, the lower half first: INT4 or UINT4 of ONNX."""

    memory: Array  # of bytes
    shape: tuple[int, ...]
    kind: ir.DataType

    @staticmethod
    def pack(codes: Array) -> PackedArray:
        """Packs i8 codes from -8 to 7, or u8 codes from 0 to 15."""
        signed = codes.dtype == np.int8
        low, high = (-8, 7) if signed else (0, 15)
        if codes.size and not (low <= codes.min() and codes.max() <= high):
            raise ValueError(f"codes from {codes.min()} to {codes.max()} do not fit into 4 bits")
        halves = np.zeros(codes.size + codes.size % 2, np.uint8)
        halves[: codes.size] = codes.reshape(-1).view(np.uint8) & 15
        kind = ir.DataType.INT4 if signed else ir.DataType.UINT4
        return PackedArray(halves[0::2] | (halves[1::2] << 4), codes.shape, kind)

    @property
    def size(self) -> int:
        """The number of integers."""
        return int(np.prod(self.shape))

    @property
    def nbytes(self) -> int:
        """The bytes that they take."""
        return self.memory.nbytes


def onnx_shape(type: TensorType) -> ir.Shape:
    """The shape with symbolic dims as text: `["batch", 3, "h // 2"]`."""
    return ir.Shape([d.known if d.known is not None else str(d) for d in type.shape])


def stored_array(array: Array, dtype: DType) -> Array:
    """The array as a file holds it: contiguous, little-endian, of exactly this dtype. What is
    stored so already is returned as it is, not copied."""
    return np.asarray(array, dtype=stored_dtype(dtype), order="C")


def stored_dtype(dtype: DType) -> np.dtype[Any]:
    """The NumPy dtype with the bytes of a file."""
    wanted = np.dtype(ml_dtypes.bfloat16) if dtype is DType.BF16 else dtype.numpy
    return wanted.newbyteorder("<")
