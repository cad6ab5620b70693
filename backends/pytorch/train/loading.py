"""Data in a training script: raw columns, column expressions, splits."""

from __future__ import annotations

import re

from backends.pytorch.train.ranges import emit_column_checks, emit_raw_checks
from backends.pytorch.train.script_spec import ScriptSpec
from compiler.writing.python import write_literal

Lines = list[str]


def reads_folder(script: ScriptSpec) -> bool:
    """Whether the source reads files, so that the script needs to know where they are."""
    return any("folder" in line for line in emit_loading(script))


def load_arguments(script: ScriptSpec) -> dict[str, str]:
    """What `load_splits` needs: arguments of the call, and the parameters they are given for."""
    found = {"loaded": "loaded: dict[str, np.ndarray]"}
    if script.statistics:
        found["out"] = "out: Path"
    return {**found, "device": "device: torch.device"}


def emit_loading(script: ScriptSpec) -> Lines:
    """Body of `load_columns`: the raw columns that the train needs."""
    data = script.train.data
    wanted = {item.name for item in script.column_graph.inputs}
    if data.split.stratify is not None:
        wanted.add(data.split.stratify)
    return list(data.source.code([c for c in data.schema if c.name in wanted]))


def emit_columns(script: ScriptSpec) -> Lines:
    """Lines of `load_splits` that divide the rows, compute the columns and look at them."""
    checks = emit_column_checks(script)
    inputs = [f"raw[{write_literal(item.name)}]" for item in script.column_graph.inputs]
    splits = [f"splits = split_rows({', '.join(_split_parameters(script))})"]
    if not script.column_graph.nodes:
        names = [item.value.name for item in script.column_graph.inputs]
        given = [inputs[names.index(o.value.name)] for o in script.column_graph.outputs]
        return [*splits, f"columns = [{', '.join(given)}]", *checks]
    if script.statistics:
        inputs.append('torch.from_numpy(splits["train"])')
    call = f"compute_columns({', '.join(inputs)})"
    splits += emit_raw_checks(script)
    if not script.statistics:
        columns = f"columns = [{call}]" if len(script.columns) == 1 else f"columns = {call}"
        return [*splits, columns, *checks]
    count = len(script.statistics)
    figures = ", ".join(map(write_literal, script.statistics))
    return [
        *splits,
        f"computed = {call}",
        f"columns, figures = computed[:-{count}], computed[-{count}:]",
        *checks,
        "if RANK == 0:",
        f"    names = [{figures}]",
        "    tensors = dict(zip(names, figures, strict=True))",
        '    save_file(tensors, out / "columns.safetensors")',
    ]


def emit_split(script: ScriptSpec) -> Lines:
    """The function `split_rows`."""
    parameters = ", ".join(_split_parameters(script).values())
    return [
        f"def split_rows({parameters}) -> dict[str, np.ndarray]:",
        '    """Which rows belong to which split."""',
        *(f"    {line}" for line in script.train.data.split.code()),
    ]


def _split_parameters(script: ScriptSpec) -> dict[str, str]:
    """What `split_rows` needs: arguments of the call, and the parameters they are given for."""
    split = script.train.data.split
    text = "\n".join(split.code())
    found = {}
    if re.search(r"\brows\b", text):
        first = script.column_graph.inputs[0].name
        found[f"len(raw[{write_literal(first)}])"] = "rows: int"
    if split.stratify is not None:
        found[f"loaded[{write_literal(split.stratify)}]"] = "labels: np.ndarray"
    return found
