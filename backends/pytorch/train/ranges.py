"""Checks of a training script that its data, which may have changed since it was written, holds no
class number, place of a table or probability that its losses and layers do not take."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from backends.pytorch.train import script_template
from backends.pytorch.train.script_spec import ScriptSpec
from backends.pytorch.train.template_slots import fill
from compiler.ir.graph import Graph, Value
from compiler.ir.target_range import TargetRange
from compiler.rows.targets import Reader, find_fixed, find_readers
from compiler.types.dims import equal
from compiler.types.tensor import DType
from compiler.writing.python import show, write_literal, write_string

Lines = list[str]


@dataclass(frozen=True)
class ColumnCheck:
    """A column, the expression for it in `load_splits`, and what it may hold."""

    name: str
    column: str
    taken: TargetRange
    dtype: DType

    def write(self) -> str:
        """The call."""
        name = write_string(show(self.name))
        if self.taken.values is not None:
            return f"check_values({name}, {self.column}, {write_literal(self.taken.values)})"
        low = "-math.inf" if self.taken.low is None else write_literal(self.taken.low)
        high = "math.inf" if self.taken.high is None else write_literal(self.taken.high)
        least, largest = self.dtype.range
        ignored = self.taken.ignored
        besides = "" if ignored is None or not least <= ignored <= largest else f", {ignored:g}"
        return f"check_range({name}, {self.column}, {low}, {high}{besides})"


def emit_raw_checks(script: ScriptSpec) -> Lines:
    """Lines of `load_splits` that look at raw columns: columns are computed of them in all rows."""
    return list(dict.fromkeys(check.write() for check in _find_raw_checks(script)))


def emit_column_checks(script: ScriptSpec) -> Lines:
    """Lines of `load_splits` that look at the columns of every split."""
    checks = dict.fromkeys(check.write() for check in _find_column_checks(script))
    return ["for rows in splits.values():", *(f"    {check}" for check in checks)] if checks else []


def emit_range_functions(script: ScriptSpec) -> Lines:
    """The functions that these call; none where nothing is checked."""
    checks = "\n".join([*emit_raw_checks(script), *emit_column_checks(script)])
    templates = {
        "check_range(": script_template.CHECK_RANGE,
        "check_values(": script_template.CHECK_VALUES,
    }
    return [line for call, text in templates.items() if call in checks for line in fill(text, {})]


def computes_places(script: ScriptSpec) -> bool:
    """Whether a table or a loss reads class numbers that the objective computes of columns: PyTorch
    says then which do not fit."""
    step = script.train.step
    fixed = find_fixed(step)
    return any(
        reader.places and reader.value.name in fixed and _find_column(step, reader.value) is None
        for reader in _read(script.train.step, script)
    )


def _find_raw_checks(script: ScriptSpec) -> Iterator[ColumnCheck]:
    """The checks of raw columns that column expressions look up with."""
    raw = {item.value.name: item.name for item in script.column_graph.inputs}
    for reader in find_readers(script.column_graph, ()):
        name = raw.get(reader.value.name)
        if name is not None and not _always_fits(script, name, reader):
            dtype = reader.value.type.dtype
            yield ColumnCheck(name, f"raw[{write_literal(name)}]", reader.range, dtype)


def _find_column_checks(script: ScriptSpec) -> Iterator[ColumnCheck]:
    """The checks of columns that losses, metrics and layers read."""
    step = script.train.step
    columns = {item.value.name: item.name for item in step.inputs}
    for reader in _read(step, script):
        source = _find_column(step, reader.value)
        name = columns[source.name] if source is not None else None
        if source is None or name not in script.columns or _always_fits(script, name, reader):
            continue
        column = f"columns[{script.columns.index(name)}][rows]"
        yield ColumnCheck(name, column, reader.range, source.type.dtype)


def _read(step: Graph, script: ScriptSpec) -> Iterator[Reader]:
    return find_readers(step, script.train.metrics)


def _find_column(step: Graph, value: Value) -> Value | None:
    """The column that has all the numbers of a value and no others, in whatever order; None where
    there is none."""
    inputs = {item.value.name for item in step.inputs}
    while value.name not in inputs:
        maker = step.producers.get(value.name)
        given = [v for v in maker.inputs if v is not None] if maker is not None else []
        if maker is None or len(given) != 1 or not (maker.op.moves or maker.op.converts):
            return None
        (source,) = given
        whole = source.type.dtype.is_integer or value.type.dtype.is_float
        if not whole or equal(source.type.size, value.type.size) is not True:
            return None
        value = source
    return value


def _always_fits(script: ScriptSpec, name: str, reader: Reader) -> bool:
    """Whether a column holds nothing else by its type, or by the words that its cells are looked up
    in."""
    taken, dtype = reader.range, reader.value.type.dtype
    if taken.values is not None:
        return False
    low, high = dtype.range
    data = script.train.data
    words = {c.name: len(c.categories) for c in data.schema if c.words}
    outputs = {o.name: o.value for o in data.columns.outputs}
    raw = {item.value.name: item.name for item in data.columns.inputs}
    source = _find_column(data.columns, outputs[name]) if name in outputs else None
    count = words.get(raw[source.name] if source is not None else name, 0)
    low, high = (0, count - 1) if count else (low, high)
    return (taken.low is None or taken.low <= low) and (taken.high is None or high <= taken.high)
