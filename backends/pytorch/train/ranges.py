"""Checks of a training script that its data, which may have changed since it was written, holds no
class number, place of a table or probability that its losses and layers do not take."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from backends.pytorch.train.code import Function, Statement, suite
from backends.pytorch.train.script_spec import ScriptSpec
from compiler.ir.graph import Graph, Value
from compiler.ir.target_range import TargetRange
from compiler.program.train import MetricUse
from compiler.rows.readers import Reader, find_readers
from compiler.types.dims import equal
from compiler.types.tensor import DType
from compiler.writing.python import show, write_literal, write_string


@dataclass(frozen=True)
class ColumnCheck:
    """A column, the expression for it in `load_splits`, and what it may hold."""

    name: str
    column: str
    taken: TargetRange
    dtype: DType

    @property
    def ignored(self) -> float | None:
        """What it may hold besides, where its dtype has that."""
        least, largest = self.dtype.range
        ignored = self.taken.ignored
        return None if ignored is None or not least <= ignored <= largest else ignored

    def write(self) -> str:
        """The call."""
        name = write_string(show(self.name))
        if self.taken.values is not None:
            return f"check_values({name}, {self.column}, {write_literal(self.taken.values)})"
        low = "-math.inf" if self.taken.low is None else write_literal(self.taken.low)
        high = "math.inf" if self.taken.high is None else write_literal(self.taken.high)
        besides = "" if self.ignored is None else f", {self.ignored:g}"
        return f"check_range({name}, {self.column}, {low}, {high}{besides})"


def emit_raw_checks(script: ScriptSpec, names: Mapping[str, str]) -> list[Statement]:
    """Statements of `load_splits` that look at raw columns, by their variables: columns are
    computed of them in all rows."""
    return list(dict.fromkeys(check.write() for check in _find_raw_checks(script, names)))


def emit_column_checks(script: ScriptSpec, columns: Sequence[str]) -> list[Statement]:
    """Statements of `load_splits` that look at the columns, by their expressions, of every
    split; not at those without one, which are computed later."""
    checks = list(dict.fromkeys(c.write() for c in _find_column_checks(script, columns)))
    return [suite("for chosen in splits.values():", checks)] if checks else []


def write_range_functions(script: ScriptSpec) -> Iterator[Function]:
    """The functions that these call; none where nothing is checked."""
    checks: list[ColumnCheck] = []
    for each in script.sets:
        raw = {item.name: item.name for item in each.column_graph.inputs}
        checks += [*_find_raw_checks(each, raw), *_find_column_checks(each, each.columns)]
    ranges = [check for check in checks if check.taken.values is None]
    if ranges:
        yield _write_range_function(ignores=any(c.ignored is not None for c in ranges))
    if len(ranges) < len(checks):
        yield _write_values_function()


REFUSAL = ("Ends the process where data that has changed does not fit the objective.",)
FIRST_OUTSIDE = "found = column[~inside][0].item()"


def _write_range_function(*, ignores: bool) -> Function:
    inside = "(column >= low - 1e-6) & (column <= high + 1e-6)"
    refused = "the column {name!r} holds {found:g}: {low:g} to {high:g} are taken"
    parameters = ("name: str", "column: Tensor", "low: float", "high: float")
    return Function(
        "check_range",
        (*parameters, *(["ignored: float = math.nan"] if ignores else [])),
        "None",
        (
            f"inside = {inside}{' | (column == ignored)' if ignores else ''}",
            suite("if not inside.all():", [FIRST_OUTSIDE, f'sys.exit(f"{refused}")']),
        ),
        REFUSAL,
    )


def _write_values_function() -> Function:
    refused = "the column {name!r} holds {found:g}: {taken} are taken"
    listed = 'taken = " or ".join(f"{value:g}" for value in values)'
    return Function(
        "check_values",
        ("name: str", "column: Tensor", "values: tuple[float, ...]"),
        "None",
        (
            "inside = torch.stack([column == value for value in values]).any(0)",
            suite("if not inside.all():", [FIRST_OUTSIDE, listed, f'sys.exit(f"{refused}")']),
        ),
        REFUSAL,
    )


def _find_raw_checks(script: ScriptSpec, names: Mapping[str, str]) -> Iterator[ColumnCheck]:
    """The checks of raw columns that column expressions look up with."""
    if _is_packaged(script):
        return
    raw = {item.value.name: item.name for item in script.column_graph.inputs}
    for reader in _read(script.column_graph, ()):
        name = raw.get(reader.value.name)
        if name is not None and not _always_fits(script, name, reader):
            dtype = reader.value.type.dtype
            yield ColumnCheck(name, names[name], reader.range, dtype)


def _is_packaged(script: ScriptSpec) -> bool:
    """Whether the data comes with a package or lies beside the script, so that it does not change
    without a new script."""
    data = script.data
    if script.streams:
        return False
    return not data.source.code(data.schema).reads_folder


def _find_column_checks(script: ScriptSpec, columns: Sequence[str]) -> Iterator[ColumnCheck]:
    """The checks of columns that losses, metrics and layers read."""
    if _is_packaged(script):
        return
    step = script.train.graph
    known = {item.value.name: script.find_column(item.name) for item in step.inputs}
    for reader in _read(step, script.train.metrics):
        source = _find_column(step, reader.value)
        name = known[source.name] if source is not None else None
        if source is None or name not in script.columns or _always_fits(script, name, reader):
            continue
        column = columns[script.columns.index(name)]
        if column:
            yield ColumnCheck(name, f"{column}[chosen]", reader.range, source.type.dtype)


def _read(step: Graph, uses: Sequence[MetricUse]) -> Iterator[Reader]:
    """What reads targets and places of all entries; those that a mask leaves some out of are held
    to their range before a script is run. Of divisors that are 0 PyTorch tells itself."""
    return (r for r in find_readers(step, uses) if not r.range.divides and r.mask is None)


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
    data = script.data
    words = {c.name: len(c.categories) for c in data.schema if c.words}
    outputs = {o.name: o.value for o in data.columns.outputs}
    raw = {item.value.name: item.name for item in data.columns.inputs}
    source = _find_column(data.columns, outputs[name]) if name in outputs else None
    count = words.get(raw[source.name] if source is not None else name, 0)
    low, high = (0, count - 1) if count else (low, high)
    return (taken.low is None or taken.low <= low) and (taken.high is None or high <= taken.high)
