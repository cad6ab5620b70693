"""Arrays held in memory: data that a program hands over instead of a file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, final

import numpy as np
from numpy.typing import NDArray

from compiler.data.base import HELD, Column, DataSource
from compiler.records import dataclass
from compiler.tensor import DType, TensorType


@final
@dataclass(frozen=True, eq=False)
class Memory(DataSource):
    """Columns that a Python program gives to `weft.load(…, data={"digits": {"image": …}})` in
    place of the source that the spec names. Code that is generated for them reads
    `columns.npz`, which is written beside it.

    columns: an array per column, all with one number of rows.
    """

    name: ClassVar[str] = "memory"
    columns: Mapping[str, NDArray[Any]]

    def schema(self, folder: Path) -> tuple[Column, ...]:
        rows = {len(array) if array.ndim else -1 for array in self.columns.values()}
        if len(rows) != 1 or -1 in rows:
            raise ValueError(f"columns need one number of rows, and these have {sorted(rows)}")
        return tuple(
            Column(name, TensorType.of(_dtype_of(name, array), array.shape[1:]))
            for name, array in self.columns.items()
        )

    def load(self, folder: Path) -> Mapping[str, NDArray[Any]]:
        return {
            name: np.asarray(array, _dtype_of(name, array).numpy)
            for name, array in self.columns.items()
        }

    def imports(self) -> Sequence[str]:
        return []

    def code(self, columns: Sequence[Column]) -> Sequence[str]:
        names = ", ".join(f'"{c.name}": file["{c.name}"]' for c in columns)
        path = f'Path(__file__).with_name("{HELD}")'
        return [f"with np.load({path}) as file:", f"    return {{{names}}}"]

    def held(self, folder: Path) -> Mapping[str, NDArray[Any]]:
        return self.load(folder)


def _dtype_of(name: str, array: NDArray[Any]) -> DType:
    """The dtype of the column of an array.

    Raises:
        ValueError: it holds words or objects.
    """
    if array.dtype == np.uint8 and array.ndim > 1:
        return DType.U8
    kinds = {"b": DType.BOOL, "i": DType.I64, "u": DType.I64, "f": DType.F32}
    if array.dtype.kind not in kinds:
        raise ValueError(f"column {name} holds {array.dtype}, and a tensor holds numbers")
    return kinds[array.dtype.kind]
