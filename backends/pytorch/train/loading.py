"""Data in a training script: raw columns, splits, column expressions."""

from __future__ import annotations

import re
from collections.abc import Iterator

from backends.pytorch.train.choosing import choose_rows, draw_balanced
from backends.pytorch.train.code import Function, Statement, Suite, when, write_statements
from backends.pytorch.train.column_statistics import TRAINING
from backends.pytorch.train.functions import (
    LOADER_LOCALS,
    inline_columns,
    list_loader_names,
    name_columns,
)
from backends.pytorch.train.ranges import emit_column_checks, emit_raw_checks
from backends.pytorch.train.script_spec import ScriptSpec
from backends.pytorch.train.streaming import (
    list_raw_columns,
    make_rows,
    name_columns_held,
    name_held,
    open_rows,
    save_figures,
)
from backends.pytorch.train.windows import cut_windows, order_rows, spell_times
from compiler.data.base import LoadingCode
from compiler.writing.names import name_all
from compiler.writing.python import quote_docstring, write_literal, write_string

Lines = list[str]


def note_data(script: ScriptSpec) -> str:
    """The statement that says which numbers the data has."""
    if script.streams:
        return "data = [split.checksum for split in splits.values()]"
    return "data = [zlib.crc32(c.cpu().ravel().numpy()) for s in splits.values() for c in s]"


def reads_folder(script: ScriptSpec) -> bool:
    """Whether the source reads files, so that the script needs to know where they are."""
    return any(_load(each).reads_folder for each in script.sets)


def load_parameters(script: ScriptSpec) -> dict[str, str]:
    """What `load_splits` needs: arguments of the call, and the parameters they are given for."""
    found = {"options.data": "folder: Path"} if reads_folder(script) else {}
    if any(each.statistics for each in script.sets) or script.maps:
        found["out"] = "out: Path"
    return {**found, "device": "device: str"}


def write_loaders(script: ScriptSpec) -> Iterator[Function]:
    """The function `load_splits`; behind those of each data set where there are several."""
    yield from map(_write_loader, script.sets)
    if script.data.members:
        yield _write_joining(script)


def _write_joining(script: ScriptSpec) -> Function:
    """`load_splits` of several data sets, which the functions of these load."""
    calls = [f"{each.loader}({', '.join(_name_arguments(each))})" for each in script.sets]
    joined = "[column for columns in loaded for column in columns[split]]"
    return Function(
        "load_splits",
        tuple(load_parameters(script).values()),
        "Splits",
        (
            f"loaded = [{', '.join(calls)}]",
            f"return {{split: {joined} for split in {write_literal(script.splits)}}}",
        ),
        ("The columns of every split of all data sets, on the device.",),
    )


def _name_arguments(script: ScriptSpec) -> list[str]:
    """The parameters of `load_splits` that the loader of one data set takes."""
    return [parameter.partition(":")[0] for parameter in load_parameters(script).values()]


def _write_loader(script: ScriptSpec) -> Function:
    """The function that loads the rows of a data set."""
    if script.streams:
        return _write_streaming_loader(script)
    names = _name_columns(script)
    columns = [f"`{quote_docstring(name)}`" for name in script.columns]
    listed = " and ".join(filter(None, [", ".join(columns[:-1]), columns[-1]]))
    computed, results = _compute(script, names)
    return Function(
        script.loader,
        tuple(load_parameters(script).values()),
        "Splits",
        (
            *_load_arrays(script, names),
            *choose_rows(script, names),
            *order_rows(script, names),
            *_divide(script, names),
            *draw_balanced(script, names),
            *emit_raw_checks(script, names),
            *computed,
            *emit_column_checks(script, results),
            *save_figures(script),
            *when(script.data.balance, 'splits["train"] = balanced'),
            *(cut_windows(script, names, results) or [_choose_rows(results)]),
        ),
        (f"The columns {listed} of every split, on the device.",),
    )


def _write_streaming_loader(script: ScriptSpec) -> Function:
    """The function that says which rows there are, and what reads them."""
    held = name_held(script)
    kept = choose_rows(script, held)
    rest = (
        *kept,
        *when(kept, "numbers = np.flatnonzero(keep)"),
        *_divide(script, held),
        *draw_balanced(script, held),
        *emit_column_checks(script, name_columns_held(script, held)),
        *when(script.data.balance, 'splits["train"] = balanced'),
        *make_rows(script),
    )
    opened = open_rows(script, held, "\n".join(write_statements(rest)))
    return Function(
        script.loader,
        tuple(load_parameters(script).values()),
        "Splits",
        (*opened, *rest),
        ("The rows of every split, and what reads them.",),
    )


def _choose_rows(results: list[str]) -> str:
    """The statement that returns the rows of each split."""
    taken = ", ".join(f"{result}[chosen].to(device)" for result in results)
    return f"return {{split: [{taken}] for split, chosen in splits.items()}}"


def _load(script: ScriptSpec) -> LoadingCode:
    """The raw columns that the train needs."""
    return script.data.source.code(list_raw_columns(script))


def _name_columns(script: ScriptSpec) -> dict[str, str]:
    """The variables of raw columns: those that the column expressions read, where these are
    written in the loader."""
    inlined = inline_columns(script)
    inputs = [item.name for item in script.column_graph.inputs]
    known = dict(zip(inputs, inlined.parameters, strict=False)) if inlined is not None else {}
    taken = {*list_loader_names(script), *known.values()}
    others = [name for name in _load(script).columns if name not in known]
    return known | name_all(others, taken)


def _load_arrays(script: ScriptSpec, names: dict[str, str]) -> list[Statement]:
    code = _load(script)
    made = [
        f"{names[name]} = torch.tensor({expression})" for name, expression in code.columns.items()
    ]
    inside = [Suite(code.opened, tuple(made))] if code.opened else made
    apart = when(code.lines and code.lines[0].startswith("def "), "")
    return [*apart, *code.lines, *inside]


def _divide(script: ScriptSpec, names: dict[str, str]) -> list[Statement]:
    """Statements that say which rows belong to which split."""
    split = script.data.split
    lines, parts = split.code()
    entries = ", ".join(f"{write_string(name)}: {rows}" for name, rows in parts.items())
    text = "\n".join((*lines, entries))
    first = next(iter(names.values()), "")
    if script.streams:
        first = "source" if script.data.where is None else "numbers"
    return [
        *when(re.search(r"\brows\b", text), f"rows = len({first})"),
        *when(split.stratify, f"labels = {names.get(split.stratify or '', '')}.numpy()"),
        *when(split.group, f"groups = {names.get(split.group or '', '')}.numpy()"),
        *when(split.timed, f"times = {spell_times(script, names)}"),
        *lines,
        f"splits = {{{entries}}}",
    ]


def _compute(script: ScriptSpec, names: dict[str, str]) -> tuple[list[Statement], list[str]]:
    """Statements that compute the columns, and an expression for each."""
    graph = script.column_graph
    inputs = [names[item.name] for item in graph.inputs]
    if not graph.nodes:
        known = {i.value.name: name for i, name in zip(graph.inputs, inputs, strict=True)}
        return [], [known[output.value.name] for output in graph.outputs]
    training = 'torch.from_numpy(splits["train"])'
    inlined, count = inline_columns(script), len(script.columns)
    if inlined is None:
        given = [*inputs, *when(script.statistics, training)]
        call = f"{name_columns(script)}({', '.join(map(str, given))})"
        single = count == 1 and not script.statistics
        statements: list[Statement] = [f"columns = [{call}]" if single else f"columns = {call}"]
        if script.statistics:
            statements.append(f"columns, figures = columns[:{count}], columns[{count}:]")
        return statements, [f"columns[{place}]" for place in range(count)]
    statements = [*when(script.statistics, f"{TRAINING} = {training}"), *inlined.lines]
    results, figures = inlined.results[:count], inlined.results[count:]
    wanted = name_all(script.columns, {*names.values(), *LOADER_LOCALS, *results})
    found = []
    for name, result in zip(script.columns, results, strict=True):
        if result.isidentifier():
            found.append(result)
        else:
            statements.append(f"{wanted[name]} = {result}")
            found.append(wanted[name])
    if figures:
        statements.append(f"figures = [{', '.join(figures)}]")
    return statements, found
